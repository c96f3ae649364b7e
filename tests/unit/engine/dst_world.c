/* The world of the simulation: CodeBuild, the way to it, time, loss of memory. */
#include "dst.h"

#include <string.h>

const struct rb_timing dst_timing = {
    .resend_window_ms = 4 * MINUTE,
    .token_window_ms = 5 * MINUTE,
    .signature_window_ms = 5 * MINUTE,
    .visibility_grace_ms = 2 * MINUTE,
};

uint64_t dst_random(struct world *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

int64_t dst_between(struct world *w, int64_t from, int64_t to)
{
    return from + (int64_t)(dst_random(w) % (uint64_t)(to - from + 1));
}

bool dst_chance(struct world *w, unsigned percent)
{
    return dst_random(w) % 100 < percent && w->now_ms < FAULTS_UNTIL;
}

/* ---- CodeBuild ---- */

void dst_start_build(struct world *w, uint64_t life, int64_t issue, bool ours)
{
    if (w->n_builds == MAX_BUILDS) {
        return;
    }
    w->builds[w->n_builds++] = (struct build){
        .started_ms = w->now_ms,
        .visible_ms = w->now_ms + dst_between(w, 0, dst_chance(w, 30) ? 119 * SECOND : 2 * SECOND),
        .life = life,
        .issue = issue,
        .ours = ours,
    };
    w->effects += ours ? 1 : 0;
}

static void arrive(struct world *w, struct copy *c)
{
    c->state = COPY_ANSWERED;
    c->answers_ms = dst_chance(w, 15) ? NEVER : w->now_ms + dst_between(w, 1, 200);
    if (w->now_ms - c->date_ms > dst_timing.signature_window_ms) {
        c->rc = RB_E_CLOCK;
        return;
    }
    if (dst_chance(w, 12)) {
        c->rc = dst_chance(w, 10) ? RB_E_REFUSED : RB_E_THROTTLED;
        return;
    }
    c->rc = RB_OK;
    for (unsigned i = 0; i < w->n_builds; i++) {
        if (w->builds[i].ours && w->builds[i].life == c->life && w->builds[i].issue == c->issue &&
            w->now_ms - w->builds[i].started_ms <= dst_timing.token_window_ms) {
            c->build = i;
            return;
        }
    }
    c->build = w->n_builds;
    dst_start_build(w, c->life, c->issue, true);
    if (dst_chance(w, 5)) {
        c->rc = RB_E_AMBIGUOUS; /* a 500 after the effect */
    }
}

unsigned dst_push_copy(struct world *w, const struct worker *k, int64_t date_ms)
{
    unsigned at = 0;
    while (at < MAX_COPIES && w->copies[at].state == COPY_TRAVELS) {
        at++;
    }
    assert_true(at < MAX_COPIES);
    int64_t travel_ms = dst_between(w, 1, 200);
    if (dst_chance(w, 20)) {
        travel_ms = dst_between(w, 0, 12 * MINUTE);
    }
    w->copies[at] = (struct copy){
        .state = COPY_TRAVELS,
        .arrives_ms = dst_chance(w, 8) ? NEVER : w->now_ms + travel_ms,
        .answers_ms = NEVER,
        .date_ms = date_ms,
        .life = k->r.life,
        .issue = k->r.intent.issue,
    };
    return at;
}

/* ---- the world ---- */

static void admit(struct world *w)
{
    w->store = (struct record){
        .state = RB_STATE_SCHEDULED, .due_ms = w->now_ms, .life = dst_random(w) | 1};
}

static void init_world(struct world *w, uint64_t seed, enum mutant mutant, enum naming naming,
                       struct rb_retry *scratch)
{
    memset(w, 0, sizeof(*w));
    w->random = seed * 0x2545f4914f6cdd1dULL + 1;
    w->mutant = mutant;
    w->naming = naming;
    w->now_ms = START;
    w->scratch = scratch;
    rb_plan_windows_from(&dst_timing, &w->windows);
    w->birth_ms = START - 60 * MINUTE;
    w->loss_at_ms = dst_chance(w, 30) ? START + dst_between(w, 0, 20 * MINUTE) : NEVER;
    w->readmitted_ms = NEVER;
    w->crash_percent = (unsigned)dst_between(w, 0, 12);
    w->stall_percent = (unsigned)dst_between(w, 0, 12);
    w->foreign_left = dst_chance(w, 10) ? 2 : 0;
    w->foreign_at_ms = START + dst_between(w, 0, 10 * MINUTE);
    for (unsigned i = 0; i < WORKERS; i++) {
        w->workers[i] = (struct worker){.pc = IDLE,
                                        .at_ms = START + dst_between(w, 0, SECOND),
                                        .skew_ms = dst_between(w, -5 * SECOND, 5 * SECOND)};
    }
    admit(w);
}

static int64_t next_instant(const struct world *w)
{
    int64_t at = w->loss_at_ms < w->readmitted_ms ? w->loss_at_ms : w->readmitted_ms;

    if (w->foreign_left > 0 && w->foreign_at_ms < at) {
        at = w->foreign_at_ms;
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        at = w->workers[i].at_ms < at ? w->workers[i].at_ms : at;
    }
    for (unsigned i = 0; i < MAX_COPIES; i++) {
        if (w->copies[i].state == COPY_TRAVELS && w->copies[i].arrives_ms < at) {
            at = w->copies[i].arrives_ms;
        }
    }
    return at;
}

static void happen(struct world *w)
{
    if (w->loss_at_ms <= w->now_ms) {
        bool live = w->store.state == RB_STATE_SCHEDULED || w->store.state == RB_STATE_SUBMITTING;
        w->loss_at_ms = NEVER;
        if (live) { /* everything is forgotten; the failure will be delivered once more */
            w->store.state = RB_STATE_IGNORED;
            w->fence = dst_random(w) | 1;
            w->lease_until_ms = 0;
            w->readmitted_ms = w->now_ms + dst_between(w, 0, 3 * MINUTE);
        }
        return;
    }
    if (w->readmitted_ms <= w->now_ms) {
        w->readmitted_ms = NEVER;
        w->birth_ms = w->now_ms; /* made on first use */
        admit(w);
        return;
    }
    if (w->foreign_left > 0 && w->foreign_at_ms <= w->now_ms) {
        w->foreign_left--;
        w->foreign_at_ms = w->now_ms + dst_between(w, SECOND, 3 * MINUTE);
        dst_start_build(w, 0, 0, false);
        return;
    }
    for (unsigned i = 0; i < MAX_COPIES; i++) {
        if (w->copies[i].state == COPY_TRAVELS && w->copies[i].arrives_ms <= w->now_ms) {
            arrive(w, &w->copies[i]);
            return;
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        if (w->workers[i].at_ms <= w->now_ms) {
            dst_step(w, &w->workers[i]);
            return;
        }
    }
}

static bool all_over(const struct world *w)
{
    bool open = w->store.state == RB_STATE_SCHEDULED || w->store.state == RB_STATE_SUBMITTING;

    if (open || w->loss_at_ms != NEVER || w->readmitted_ms != NEVER) {
        return false;
    }
    for (unsigned i = 0; i < MAX_COPIES; i++) {
        if (w->copies[i].state == COPY_TRAVELS && w->copies[i].arrives_ms != NEVER) {
            return false;
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        if (w->workers[i].pc != IDLE) {
            return false;
        }
    }
    return true;
}

struct dst_outcome dst_live(uint64_t seed, enum mutant mutant, enum naming naming,
                            struct rb_retry *scratch)
{
    static struct world w;
    struct dst_outcome o = {.ended = false};

    init_world(&w, seed, mutant, naming, scratch);
    while (w.now_ms < HORIZON) {
        int64_t at = next_instant(&w);
        w.now_ms = at > w.now_ms ? at : w.now_ms;
        happen(&w);
        o.resent = o.resent || w.store.intent.sends > 1;
        if (w.effects > 1 || all_over(&w)) {
            o.ended = true;
            break;
        }
    }
    o.effects = w.effects;
    o.wrongly_adopted = w.wrongly_adopted;
    o.state = w.store.state;
    return o;
}
