/* A simulated world around the decisions of the once-only call: workers that crash, stall past
 * their lease and wake up again, copies of the call that arrive minutes late or never, answers that
 * get lost, a CodeBuild with a token window, a signature window and a lag of its lists, clocks that
 * are wrong, a store that loses its memory. One seed is one life of one failed build.
 *
 * The worker here does what submit.c and send.c do around the pure functions: look, intent, mark,
 * send, answer, each write fenced. Thousands of seeds must start no second build and come to an
 * end; and with any one of the rules switched off a second build must be found, otherwise the
 * simulation could not see one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <retrybuild/cleanup.h>

#include "plan.h"

#define SEEDS 20000
#define SEEDS_FOR_A_MUTANT 20000
#define WORKERS 3
#define MAX_COPIES 64
#define MAX_BUILDS 64
#define START 1000000000LL
#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define FAULTS_UNTIL (START + 45 * MINUTE)
#define HORIZON (START + 6 * 60 * MINUTE)
#define LEASE (30 * SECOND)
#define QUARANTINE (7 * MINUTE)
#define NEVER INT64_MAX

enum mutant {
    NO_MUTANT,
    UNFENCED,        /* rule 1: writes do not name the fence */
    INTENT_AFTER,    /* rule 1: nothing is written before the call */
    RESIGNED,        /* rule 2: every send carries its own date */
    UNMARKED,        /* rule 3: not marked before the wire */
    ENDLESS_RESEND,  /* rule 3: resent whenever */
    CONCLUDED_EARLY, /* rule 4: "did not happen" as soon as the resend window ends */
    NOT_LOOKED,      /* rule 4: "did not happen" without a look */
    NO_QUARANTINE,   /* a lost memory goes on at once */
};

static const struct rb_timing timing = {
    .resend_window_ms = 4 * MINUTE,
    .token_window_ms = 5 * MINUTE,
    .signature_window_ms = 5 * MINUTE,
    .visibility_grace_ms = 2 * MINUTE,
};

struct intent {
    int64_t issue, unknowns, date_ms, low_water, sends;
    bool ambiguous;
};

struct record {
    enum rb_state state;
    struct intent intent;
    int64_t due_ms;
    uint64_t life; /* tokens of another life of the store are other tokens */
};

enum copy_state { COPY_FREE, COPY_TRAVELS, COPY_ANSWERED };
struct copy {
    enum copy_state state;
    int64_t arrives_ms, answers_ms;
    int64_t date_ms;
    uint64_t life;
    int64_t issue;
    enum rb_code rc;
    unsigned build; /* of RB_OK */
};

struct build {
    int64_t started_ms, visible_ms;
    uint64_t life; /* 0 = somebody else's */
    int64_t issue;
    bool ours;
};

enum pc { IDLE, LOOKING, JUDGE, MARK, SEND, WAIT_ANSWER };
struct worker {
    enum pc pc;
    int64_t at_ms;
    int64_t skew_ms; /* its idea of AWS's clock is wrong by this */
    uint64_t fence;
    struct record r; /* as it knows it */
    struct rb_look_result look;
    unsigned candidate;
    bool was_ambiguous;
    int64_t sends_before;
    int64_t deadline_ms;
    unsigned copy;
};

struct world {
    uint64_t random;
    enum mutant mutant;
    struct rb_plan_windows windows;
    int64_t now_ms;
    struct record store;
    uint64_t fence;
    int64_t lease_until_ms;
    int64_t birth_ms, loss_at_ms, readmitted_ms;
    struct worker workers[WORKERS];
    struct copy copies[MAX_COPIES];
    struct build builds[MAX_BUILDS];
    unsigned n_builds, effects, foreign_left;
    int64_t foreign_at_ms;
    struct rb_retry *scratch;
    unsigned crash_percent, stall_percent;
};

static uint64_t next_random(struct world *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static int64_t between(struct world *w, int64_t from, int64_t to)
{
    return from + (int64_t)(next_random(w) % (uint64_t)(to - from + 1));
}

static bool chance(struct world *w, unsigned percent)
{
    return next_random(w) % 100 < percent && w->now_ms < FAULTS_UNTIL;
}

static int64_t aws_now(const struct world *w, const struct worker *k)
{
    return w->now_ms + k->skew_ms;
}

static struct rb_plan_state plan_state(const struct record *r)
{
    return (struct rb_plan_state){
        .open = r->state == RB_STATE_SUBMITTING || (r->intent.issue > 0 && r->intent.ambiguous),
        .ambiguous = r->intent.ambiguous,
        .issue = r->intent.issue,
        .unknowns = r->intent.unknowns,
        .date_ms = r->intent.date_ms,
        .sends = r->intent.sends,
    };
}

/* A write of the worker: refused when its lease has passed on, or the memory was lost. */
static bool settle(struct world *w, struct worker *k, bool keep_lease)
{
    if (w->mutant != UNFENCED && k->fence != w->fence) {
        k->pc = IDLE;
        k->at_ms = w->now_ms + between(w, 0, 2 * SECOND);
        return false;
    }
    w->store = k->r;
    if (!keep_lease) {
        w->fence = 0;
        w->lease_until_ms = 0;
        k->pc = IDLE;
        k->at_ms = w->now_ms + between(w, 1, 50);
    }
    return true;
}

/* Between two steps anything may happen to a worker. */
static void go(struct world *w, struct worker *k, enum pc pc)
{
    k->pc = pc;
    k->at_ms = w->now_ms + between(w, 1, 40);
    if (chance(w, w->crash_percent)) {
        k->pc = IDLE;
        k->at_ms = w->now_ms + between(w, 0, 20 * SECOND);
    } else if (chance(w, w->stall_percent)) {
        k->at_ms = w->now_ms + between(w, 0, 11 * MINUTE);
    }
}

static void later(struct world *w, struct worker *k, int64_t wait_ms)
{
    k->r.due_ms = w->now_ms + wait_ms;
    (void)settle(w, k, false);
}

static void finish(struct world *w, struct worker *k, enum rb_state state)
{
    k->r.state = state;
    (void)settle(w, k, false);
}

/* ---- CodeBuild ---- */

static void start_build(struct world *w, uint64_t life, int64_t issue, bool ours)
{
    if (w->n_builds == MAX_BUILDS) {
        return;
    }
    w->builds[w->n_builds++] = (struct build){
        .started_ms = w->now_ms,
        .visible_ms = w->now_ms + between(w, 0, chance(w, 30) ? 119 * SECOND : 2 * SECOND),
        .life = life,
        .issue = issue,
        .ours = ours,
    };
    w->effects += ours ? 1 : 0;
}

static void arrive(struct world *w, struct copy *c)
{
    c->state = COPY_ANSWERED;
    c->answers_ms = chance(w, 15) ? NEVER : w->now_ms + between(w, 1, 200);
    if (w->now_ms - c->date_ms > timing.signature_window_ms) {
        c->rc = RB_E_CLOCK;
        return;
    }
    if (chance(w, 12)) {
        c->rc = chance(w, 10) ? RB_E_REFUSED : RB_E_THROTTLED;
        return;
    }
    c->rc = RB_OK;
    for (unsigned i = 0; i < w->n_builds; i++) {
        if (w->builds[i].ours && w->builds[i].life == c->life && w->builds[i].issue == c->issue &&
            w->now_ms - w->builds[i].started_ms <= timing.token_window_ms) {
            c->build = i;
            return;
        }
    }
    c->build = w->n_builds;
    start_build(w, c->life, c->issue, true);
    if (chance(w, 5)) {
        c->rc = RB_E_AMBIGUOUS; /* a 500 after the effect */
    }
}

static unsigned push_copy(struct world *w, const struct worker *k, int64_t date_ms)
{
    unsigned at = 0;
    while (at < MAX_COPIES && w->copies[at].state == COPY_TRAVELS) {
        at++;
    }
    assert_true(at < MAX_COPIES);
    int64_t travel_ms = between(w, 1, 200);
    if (chance(w, 20)) {
        travel_ms = between(w, 0, 12 * MINUTE);
    }
    w->copies[at] = (struct copy){
        .state = COPY_TRAVELS,
        .arrives_ms = chance(w, 8) ? NEVER : w->now_ms + travel_ms,
        .answers_ms = NEVER,
        .date_ms = date_ms,
        .life = k->r.life,
        .issue = k->r.intent.issue,
    };
    return at;
}

/* ---- the worker ---- */

static void claim(struct world *w, struct worker *k)
{
    bool open = w->store.state == RB_STATE_SCHEDULED || w->store.state == RB_STATE_SUBMITTING;

    k->at_ms = w->now_ms + between(w, 50, 1000);
    if (!open || w->store.due_ms > w->now_ms || w->lease_until_ms > w->now_ms) {
        if (open && w->store.due_ms > w->now_ms) {
            k->at_ms = w->store.due_ms + between(w, 0, 1000);
        }
        return;
    }
    k->fence = next_random(w) | 1;
    w->fence = k->fence;
    w->lease_until_ms = w->now_ms + LEASE;
    k->r = w->store;
    go(w, k, LOOKING);
}

static void look(struct world *w, struct worker *k)
{
    struct rb_plan_state s = plan_state(&k->r);

    k->look = (struct rb_look_result){.status = RB_LOOK_OK, .began_ms = aws_now(w, k)};
    if (chance(w, 8)) {
        k->look.status = RB_LOOK_FAILED;
    }
    w->scratch->intent.date_ms = k->r.intent.date_ms;
    w->scratch->intent.low_water = k->r.intent.low_water;
    for (unsigned i = 0; i < w->n_builds && k->look.status == RB_LOOK_OK; i++) {
        struct rb_build b = RB_BUILD_INIT;
        if (w->builds[i].visible_ms > w->now_ms) {
            continue;
        }
        b.id = w->builds[i].ours ? "web:ours" : "web:theirs";
        b.number = 100 + (int64_t)i;
        b.started_ms = w->builds[i].started_ms;
        if (s.open && rb_plan_candidate(w->scratch, &b, NULL)) {
            k->candidate = i;
            k->look.n_candidates++;
        }
    }
    go(w, k, JUDGE);
}

static void judge_fresh(struct world *w, struct worker *k)
{
    bool strict = START - MINUTE < w->birth_ms; /* the build ended before the world began */
    struct rb_build own = RB_BUILD_INIT;
    int64_t highest = 50;

    int64_t until_ms = rb_plan_quarantine_until(START - MINUTE, w->birth_ms, QUARANTINE, w->now_ms);
    if (until_ms > 0 && w->mutant != NO_QUARANTINE) {
        later(w, k, until_ms - w->now_ms);
        return;
    }
    if (k->look.status != RB_LOOK_OK) {
        later(w, k, between(w, 300, 3000));
        return;
    }
    own.id = "web:own";
    own.number = 50;
    own.ended_ms = START - MINUTE;
    for (unsigned i = 0; i < w->n_builds; i++) {
        struct rb_build b = RB_BUILD_INIT;
        b.id = "web:b";
        b.number = 100 + (int64_t)i;
        b.started_ms = w->builds[i].started_ms;
        if (w->builds[i].visible_ms > k->look.began_ms - k->skew_ms) {
            continue;
        }
        highest = b.number;
        if (rb_plan_newer(&own, &b, strict)) {
            finish(w, k, RB_STATE_SUPERSEDED);
            return;
        }
    }
    k->r.state = RB_STATE_SUBMITTING;
    k->r.intent.issue++;
    k->r.intent.date_ms = rb_plan_date(&w->windows, aws_now(w, k));
    k->r.intent.low_water = highest;
    k->r.intent.ambiguous = false;
    k->r.intent.sends = 0;
    if (w->mutant == INTENT_AFTER || settle(w, k, true)) {
        go(w, k, MARK);
    }
}

static void reissue(struct world *w, struct worker *k, bool unknown)
{
    k->r.intent.unknowns += unknown ? 1 : 0;
    k->r.intent.ambiguous = false;
    k->r.intent.sends = 0;
    k->r.state = RB_STATE_SCHEDULED;
    later(w, k, 0);
}

static void judge_open(struct world *w, struct worker *k)
{
    struct rb_plan_state s = plan_state(&k->r);
    struct rb_plan_windows windows = w->windows;

    if (w->mutant == ENDLESS_RESEND) {
        windows.resend_ms = HORIZON;
    }
    if (w->mutant == CONCLUDED_EARLY || w->mutant == NOT_LOOKED) {
        windows.dead_ms = w->mutant == CONCLUDED_EARLY ? windows.resend_ms : windows.dead_ms;
        windows.grace_ms = 0;
        windows.margin_ms = 0;
    }
    if (w->mutant == NOT_LOOKED) {
        k->look = (struct rb_look_result){.status = RB_LOOK_OK, .began_ms = aws_now(w, k)};
    }
    struct rb_plan plan = rb_plan_resume(&windows, &s, &k->look, aws_now(w, k));
    switch (plan.step) {
    case RB_PLAN_SEND:
        go(w, k, MARK);
        return;
    case RB_PLAN_ADOPT:
        finish(w, k, RB_STATE_RUNNING);
        return;
    case RB_PLAN_HOLD:
        finish(w, k, RB_STATE_HELD);
        return;
    case RB_PLAN_REISSUE:
        reissue(w, k, true);
        return;
    case RB_PLAN_RESTART:
        reissue(w, k, false);
        return;
    case RB_PLAN_GIVE_UP:
        finish(w, k, RB_STATE_DEAD);
        return;
    case RB_PLAN_WAIT:
    default:
        later(w, k, plan.wait_ms);
    }
}

static void mark(struct world *w, struct worker *k)
{
    struct rb_plan_state s = plan_state(&k->r);

    if (!rb_plan_may_send(&w->windows, &s, aws_now(w, k)) && w->mutant != ENDLESS_RESEND &&
        w->mutant != RESIGNED) {
        later(w, k, rb_plan_ambiguous_wait_ms(&s, aws_now(w, k)));
        return;
    }
    k->was_ambiguous = k->r.intent.ambiguous;
    k->sends_before = k->r.intent.sends;
    k->r.intent.ambiguous = true;
    k->r.intent.sends++;
    if (w->mutant == UNMARKED || w->mutant == INTENT_AFTER || settle(w, k, true)) {
        go(w, k, SEND);
    }
}

static void unsent(struct world *w, struct worker *k)
{
    struct rb_plan_state s = plan_state(&k->r);
    k->r.intent.ambiguous = k->was_ambiguous;
    k->r.intent.sends = k->sends_before;
    later(w, k, rb_plan_ambiguous_wait_ms(&s, aws_now(w, k)));
}

static void send_copy(struct world *w, struct worker *k)
{
    if (chance(w, 5)) {
        unsent(w, k); /* could not connect */
        return;
    }
    int64_t date_ms =
        w->mutant == RESIGNED || w->mutant == ENDLESS_RESEND ? aws_now(w, k) : k->r.intent.date_ms;
    k->copy = push_copy(w, k, date_ms);
    k->deadline_ms = w->now_ms + 10 * SECOND;
    k->pc = WAIT_ANSWER;
    k->at_ms = w->now_ms + between(w, 1, 20);
}

static void answered(struct world *w, struct worker *k, enum rb_code rc)
{
    struct rb_plan_state s = plan_state(&k->r);

    switch (rb_plan_answer(&s, rc, RB_SENT_COPY)) {
    case RB_ANSWER_RUNNING:
        finish(w, k, RB_STATE_RUNNING);
        return;
    case RB_ANSWER_AGAIN:
        k->r.intent.ambiguous = false;
        k->r.intent.sends = 0;
        k->r.state = RB_STATE_SCHEDULED;
        later(w, k, rb_plan_backoff_ms(k->r.intent.issue, SECOND, 20 * SECOND, next_random(w)));
        return;
    case RB_ANSWER_REFUSED:
        finish(w, k, RB_STATE_REFUSED);
        return;
    case RB_ANSWER_ALARM:
        finish(w, k, RB_STATE_DEAD);
        return;
    case RB_ANSWER_UNSENT:
        unsent(w, k);
        return;
    case RB_ANSWER_AMBIGUOUS:
    default:
        later(w, k, rb_plan_ambiguous_wait_ms(&s, aws_now(w, k)));
    }
}

static void wait_answer(struct world *w, struct worker *k)
{
    const struct copy *c = &w->copies[k->copy];

    if (c->state == COPY_ANSWERED && c->answers_ms <= w->now_ms) {
        k->pc = JUDGE; /* for a crash or a stall between the answer and its write */
        if (chance(w, w->crash_percent)) {
            k->pc = IDLE;
            k->at_ms = w->now_ms + between(w, 0, 20 * SECOND);
            return;
        }
        answered(w, k, c->rc);
    } else if (w->now_ms >= k->deadline_ms) {
        answered(w, k, RB_E_TIMEOUT);
    } else {
        k->at_ms = w->now_ms + between(w, 10, 200);
        k->at_ms = k->at_ms > k->deadline_ms ? k->deadline_ms : k->at_ms;
    }
}

static void step(struct world *w, struct worker *k)
{
    switch (k->pc) {
    case IDLE:
        claim(w, k);
        return;
    case LOOKING:
        look(w, k);
        return;
    case JUDGE: {
        struct rb_plan_state s = plan_state(&k->r);
        if (s.open) {
            judge_open(w, k);
        } else {
            judge_fresh(w, k);
        }
        return;
    }
    case MARK:
        mark(w, k);
        return;
    case SEND:
        send_copy(w, k);
        return;
    case WAIT_ANSWER:
    default:
        wait_answer(w, k);
    }
}

/* ---- the world ---- */

static void admit(struct world *w)
{
    w->store = (struct record){
        .state = RB_STATE_SCHEDULED, .due_ms = w->now_ms, .life = next_random(w) | 1};
}

static void init_world(struct world *w, uint64_t seed, enum mutant mutant, struct rb_retry *scratch)
{
    memset(w, 0, sizeof(*w));
    w->random = seed * 0x2545f4914f6cdd1dULL + 1;
    w->mutant = mutant;
    w->now_ms = START;
    w->scratch = scratch;
    rb_plan_windows_from(&timing, &w->windows);
    w->birth_ms = START - 60 * MINUTE;
    w->loss_at_ms = chance(w, 30) ? START + between(w, 0, 20 * MINUTE) : NEVER;
    w->readmitted_ms = NEVER;
    w->crash_percent = (unsigned)between(w, 0, 12);
    w->stall_percent = (unsigned)between(w, 0, 12);
    w->foreign_left = chance(w, 10) ? 2 : 0;
    w->foreign_at_ms = START + between(w, 0, 10 * MINUTE);
    for (unsigned i = 0; i < WORKERS; i++) {
        w->workers[i] = (struct worker){.pc = IDLE,
                                        .at_ms = START + between(w, 0, SECOND),
                                        .skew_ms = between(w, -5 * SECOND, 5 * SECOND)};
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
            w->fence = next_random(w) | 1;
            w->lease_until_ms = 0;
            w->readmitted_ms = w->now_ms + between(w, 0, 3 * MINUTE);
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
        w->foreign_at_ms = w->now_ms + between(w, SECOND, 3 * MINUTE);
        start_build(w, 0, 0, false);
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
            step(w, &w->workers[i]);
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

struct outcome {
    unsigned effects;
    enum rb_state state;
    bool ended;
    bool resent;
};

static struct outcome live(uint64_t seed, enum mutant mutant, struct rb_retry *scratch)
{
    static struct world w;
    struct outcome o = {.ended = false};

    init_world(&w, seed, mutant, scratch);
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
    o.state = w.store.state;
    return o;
}

static void no_seed_starts_two_builds_and_every_life_ends(void **state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();
    unsigned by_state[RB_STATE_COUNT] = {0}, started = 0, resent = 0;

    (void)state;
    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct outcome o = live(seed, NO_MUTANT, scratch);
        if (o.effects > 1) {
            fail_msg("seed %llu starts %u builds", (unsigned long long)seed, o.effects);
        }
        if (!o.ended) {
            fail_msg("seed %llu is %s at the horizon", (unsigned long long)seed,
                     rb_state_name(o.state));
        }
        by_state[o.state]++;
        started += o.effects;
        resent += o.resent ? 1 : 0;
    }
    /* The simulation goes to the places it is about. */
    assert_true(started > SEEDS / 2);
    assert_true(resent > SEEDS / 50);
    assert_true(by_state[RB_STATE_RUNNING] > SEEDS / 2);
    assert_true(by_state[RB_STATE_SUPERSEDED] > 0);
    assert_true(by_state[RB_STATE_HELD] > 0);
    print_message("%u seeds: %u running, %u superseded, %u held, %u refused, %u dead, %u resent\n",
                  (unsigned)SEEDS, by_state[RB_STATE_RUNNING], by_state[RB_STATE_SUPERSEDED],
                  by_state[RB_STATE_HELD], by_state[RB_STATE_REFUSED], by_state[RB_STATE_DEAD],
                  resent);
}

static void the_same_seed_lives_the_same_life(void **state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    (void)state;
    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct outcome a = live(seed, NO_MUTANT, scratch), b = live(seed, NO_MUTANT, scratch);
        assert_int_equal(a.effects, b.effects);
        assert_int_equal(a.state, b.state);
    }
}

static void must_find(enum mutant mutant, const char *name)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= SEEDS_FOR_A_MUTANT; seed++) {
        if (live(seed, mutant, scratch).effects > 1) {
            print_message("%s: two builds at seed %llu\n", name, (unsigned long long)seed);
            return;
        }
    }
    fail_msg("%s: nothing found", name);
}

static void writes_without_a_fence_are_found(void **state)
{
    (void)state;
    must_find(UNFENCED, "unfenced writes");
}

static void calls_before_the_intent_are_found(void **state)
{
    (void)state;
    must_find(INTENT_AFTER, "no intent before the call");
}

static void resends_with_a_new_date_are_found(void **state)
{
    (void)state;
    must_find(RESIGNED, "re-signed resends");
}

static void sends_without_a_mark_are_found(void **state)
{
    (void)state;
    must_find(UNMARKED, "not marked before the wire");
}

static void resends_beyond_the_window_are_found(void **state)
{
    (void)state;
    must_find(ENDLESS_RESEND, "endless resends");
}

static void early_conclusions_are_found(void **state)
{
    (void)state;
    must_find(CONCLUDED_EARLY, "concluded too early");
}

static void conclusions_without_a_look_are_found(void **state)
{
    (void)state;
    must_find(NOT_LOOKED, "concluded without a look");
}

static void a_lost_memory_without_quarantine_is_found(void **state)
{
    (void)state;
    must_find(NO_QUARANTINE, "no quarantine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_seed_starts_two_builds_and_every_life_ends),
        cmocka_unit_test(the_same_seed_lives_the_same_life),
        cmocka_unit_test(writes_without_a_fence_are_found),
        cmocka_unit_test(calls_before_the_intent_are_found),
        cmocka_unit_test(resends_with_a_new_date_are_found),
        cmocka_unit_test(sends_without_a_mark_are_found),
        cmocka_unit_test(resends_beyond_the_window_are_found),
        cmocka_unit_test(early_conclusions_are_found),
        cmocka_unit_test(conclusions_without_a_look_are_found),
        cmocka_unit_test(a_lost_memory_without_quarantine_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
