/* The simulated worker: what fresh.c, resume.c and send.c do around the decisions of plan.c. */
#include "dst.h"

#include <stdio.h>
#include <string.h>

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
        k->at_ms = w->now_ms + dst_between(w, 0, 2 * SECOND);
        return false;
    }
    w->store = k->r;
    if (!keep_lease) {
        w->fence = 0;
        w->lease_until_ms = 0;
        k->pc = IDLE;
        k->at_ms = w->now_ms + dst_between(w, 1, 50);
    }
    return true;
}

/* Between two steps anything may happen to a worker. */
static void go(struct world *w, struct worker *k, enum pc pc)
{
    k->pc = pc;
    k->at_ms = w->now_ms + dst_between(w, 1, 40);
    if (dst_chance(w, w->crash_percent)) {
        k->pc = IDLE;
        k->at_ms = w->now_ms + dst_between(w, 0, 20 * SECOND);
    } else if (dst_chance(w, w->stall_percent)) {
        k->at_ms = w->now_ms + dst_between(w, 0, 11 * MINUTE);
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

static void claim(struct world *w, struct worker *k)
{
    bool open = w->store.state == RB_STATE_SCHEDULED || w->store.state == RB_STATE_SUBMITTING;

    k->at_ms = w->now_ms + dst_between(w, 50, 1000);
    if (!open || w->store.due_ms > w->now_ms || w->lease_until_ms > w->now_ms) {
        if (open && w->store.due_ms > w->now_ms) {
            k->at_ms = w->store.due_ms + dst_between(w, 0, 1000);
        }
        return;
    }
    k->fence = dst_random(w) | 1;
    w->fence = k->fence;
    w->lease_until_ms = w->now_ms + LEASE;
    k->r = w->store;
    go(w, k, LOOKING);
}

#define NAME_BYTES 48

/* The retry of a life of the store has an id of its own. */
static void retry_id(uint64_t life, char ret_id[RB_ID_BYTES])
{
    memcpy(ret_id, "rty_", 4);
    for (size_t i = 4; i < RB_ID_BYTES - 1; i++) {
        ret_id[i] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(life >> (i * 2)) & (i == 4 ? 7 : 31)];
    }
    ret_id[RB_ID_BYTES - 1] = '\0';
}

static const char *initiator_of(const struct world *w, uint64_t life, bool ours,
                                char ret_name[NAME_BYTES])
{
    char id[RB_ID_BYTES];

    retry_id(life, id);
    snprintf(ret_name, NAME_BYTES, "role%s%s", w->naming == NAMED ? "/" : "",
             w->naming == NAMED ? id : "");
    return w->naming == NO_NAMES ? NULL : ours ? ret_name : "ann";
}

/* What the worker asks plan.c in its retry's name. */
static void become(struct world *w, const struct worker *k, char own_name[NAME_BYTES])
{
    struct rb_retry *r = w->scratch;

    retry_id(k->r.life, r->id);
    snprintf(own_name, NAME_BYTES, "role/%s", r->id);
    r->intent.initiator = w->naming == NO_NAMES ? NULL : own_name;
    r->intent.date_ms = k->r.intent.date_ms;
    r->intent.low_water = k->r.intent.low_water;
}

static void count_candidate(const struct world *w, struct worker *k, const struct rb_build *b,
                            unsigned at)
{
    bool named = rb_plan_named(w->scratch, b) == RB_NAME_OURS;

    if (!rb_plan_candidate(w->scratch, b, NULL) || (k->look.named && !named)) {
        return;
    }
    k->look.n_candidates = named && !k->look.named ? 1 : k->look.n_candidates + 1;
    k->look.named = named;
    k->candidate = at;
}

static void look(struct world *w, struct worker *k)
{
    char own_name[NAME_BYTES], name[NAME_BYTES];
    struct rb_plan_state s = plan_state(&k->r);

    k->look = (struct rb_look_result){.status = RB_LOOK_OK, .began_ms = aws_now(w, k)};
    if (dst_chance(w, 8)) {
        k->look.status = RB_LOOK_FAILED;
    }
    become(w, k, own_name);
    for (unsigned i = 0; i < w->n_builds && k->look.status == RB_LOOK_OK; i++) {
        struct rb_build b = RB_BUILD_INIT;
        if (w->builds[i].visible_ms > w->now_ms) {
            continue;
        }
        b.id = w->builds[i].ours ? "web:ours" : "web:theirs";
        b.number = 100 + (int64_t)i;
        b.started_ms = w->builds[i].started_ms;
        b.initiator = initiator_of(w, w->builds[i].life, w->builds[i].ours, name);
        if (s.open) {
            count_candidate(w, k, &b, i);
        }
    }
    w->scratch->intent.initiator = NULL; /* it was the stack's */
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
        later(w, k, dst_between(w, 300, 3000));
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
        w->wrongly_adopted += w->builds[k->candidate].ours ? 0 : 1;
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
        later(w, k, rb_plan_ambiguous_wait_ms(w->now_ms - k->r.intent.date_ms));
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
    k->r.intent.ambiguous = k->was_ambiguous;
    k->r.intent.sends = k->sends_before;
    later(w, k, rb_plan_ambiguous_wait_ms(w->now_ms - k->r.intent.date_ms));
}

static void send_copy(struct world *w, struct worker *k)
{
    if (dst_chance(w, 5)) {
        unsent(w, k); /* could not connect */
        return;
    }
    int64_t date_ms =
        w->mutant == RESIGNED || w->mutant == ENDLESS_RESEND ? aws_now(w, k) : k->r.intent.date_ms;
    k->copy = dst_push_copy(w, k, date_ms);
    k->deadline_ms = w->now_ms + 10 * SECOND;
    k->pc = WAIT_ANSWER;
    k->at_ms = w->now_ms + dst_between(w, 1, 20);
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
        later(w, k, rb_plan_backoff_ms(k->r.intent.issue, SECOND, 20 * SECOND, dst_random(w)));
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
        later(w, k, rb_plan_ambiguous_wait_ms(w->now_ms - k->r.intent.date_ms));
    }
}

static void wait_answer(struct world *w, struct worker *k)
{
    const struct copy *c = &w->copies[k->copy];

    if (c->state == COPY_ANSWERED && c->answers_ms <= w->now_ms) {
        k->pc = JUDGE; /* for a crash or a stall between the answer and its write */
        if (dst_chance(w, w->crash_percent)) {
            k->pc = IDLE;
            k->at_ms = w->now_ms + dst_between(w, 0, 20 * SECOND);
            return;
        }
        answered(w, k, c->rc);
    } else if (w->now_ms >= k->deadline_ms) {
        answered(w, k, RB_E_TIMEOUT);
    } else {
        k->at_ms = w->now_ms + dst_between(w, 10, 200);
        k->at_ms = k->at_ms > k->deadline_ms ? k->deadline_ms : k->at_ms;
    }
}

void dst_step(struct world *w, struct worker *k)
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
