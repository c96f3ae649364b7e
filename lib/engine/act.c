/* act.c - what a person may do with a retry: one table row a verb. */
#include "off.h"
#include "spans.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#define RB_ACT_NOTE_BYTES 300
#define RB_ACT_TRIES 2

struct verb {
    const char *name, *done;
    bool from[RB_STATE_COUNT];
    enum rb_state to;
    const char *allowed; /* for the message */
};

static const struct verb verbs[] = {
    [RB_VERB_CANCEL] = {.name = "cancel",
                        .done = "cancelled",
                        .from = {[RB_STATE_RECEIVED] = true,
                                 [RB_STATE_SCHEDULED] = true,
                                 [RB_STATE_HELD] = true,
                                 [RB_STATE_RUNNING] = true},
                        .to = RB_STATE_CANCELLED,
                        .allowed = "received, scheduled, held or running"},
    [RB_VERB_APPROVE] = {.name = "approve",
                         .done = "approved",
                         .from = {[RB_STATE_HELD] = true},
                         .to = RB_STATE_SCHEDULED,
                         .allowed = "held"},
    [RB_VERB_DENY] = {.name = "deny",
                      .done = "denied",
                      .from = {[RB_STATE_HELD] = true},
                      .to = RB_STATE_CANCELLED,
                      .allowed = "held"},
    [RB_VERB_REQUEUE] = {.name = "requeue",
                         .done = "requeued",
                         .from = {[RB_STATE_DEAD] = true},
                         .to = RB_STATE_SCHEDULED,
                         .allowed = "dead, or one with dead reports"},
    [RB_VERB_EXPIRE] = {.name = "expire", /* the keeper's: nobody answered */
                        .done = "expired",
                        .from = {[RB_STATE_HELD] = true},
                        .to = RB_STATE_CANCELLED,
                        .allowed = "held"},
};

/* A fresh call may be made once no copy of the old one can live any more. */
static int64_t fresh_call_at(struct rb_engine *e, const struct rb_runtime *rt,
                             const struct rb_retry *r, int64_t now_ms)
{
    struct rb_plan_state state;

    rb_plan_state_of(r, &state);
    if (!state.ambiguous) {
        return now_ms;
    }
    int64_t left_ms = rb_plan_dead_at(&rt->windows, &state) + 1 - rb_aws_now_ms(e->aws);
    return left_ms > 0 ? now_ms + left_ms : now_ms;
}

/* The child runs: it is the follower that stops it, and ends the retry once it is stopped. */
static bool cancel_running(struct rb_retry *r, const char *who, int64_t now_ms)
{
    char note[RB_ACT_NOTE_BYTES];

    if (r->cancelled_by == NULL) {
        const char *name = rb_str_empty(who) ? "a person" : who;
        r->cancelled_by = rb_arena_strdup(&r->arena, name);
        snprintf(note, sizeof(note), "%s by %s: the new build is to be stopped",
                 verbs[RB_VERB_CANCEL].done, name);
        rb_retry_note(r, now_ms, note);
    }
    return r->cancelled_by != NULL;
}

static void apply(struct rb_engine *e, const struct rb_runtime *rt, struct rb_retry *r,
                  enum rb_verb verb, const char *who, int64_t now_ms)
{
    const struct verb *v = &verbs[verb];
    char note[RB_ACT_NOTE_BYTES];

    snprintf(note, sizeof(note), "%s by %s", v->done, rb_str_empty(who) ? "a person" : who);
    rb_retry_enter(r, v->to, now_ms, note);
    if (v->to != RB_STATE_SCHEDULED) {
        return;
    }
    r->finished_ms = 0;
    r->due_ms = now_ms;
    if (verb == RB_VERB_APPROVE) {
        /* Whoever approves says that none of the builds in sight is the one of our call. */
        r->due_ms = fresh_call_at(e, rt, r, now_ms);
        r->intent.ambiguous = false;
        r->intent.sends = 0;
    } else {
        r->intent.unknowns = 0; /* an ambiguous call is looked for first, as always */
    }
}

static enum rb_code act_once(struct rb_engine *e, const struct rb_runtime *rt,
                             struct rb_store_session *ses, struct rb_retry *r, enum rb_verb verb,
                             const char *who, enum rb_settle_conflict *ret_conflict,
                             struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(e);
    char intent_key[RB_KEY_BYTES];
    struct rb_settle s = {.retry = r};

    if (r->state == RB_STATE_RUNNING) {
        if (!cancel_running(r, who, now_ms)) {
            return rb_err_set(err, RB_E_NOMEM, "no memory to cancel '%s'", r->id);
        }
        r->due_ms = now_ms;
        s.next = RB_TASK_FOLLOW;
    } else {
        apply(e, rt, r, verb, who, now_ms);
        s.next = r->state == RB_STATE_SCHEDULED ? RB_TASK_SUBMIT : RB_TASK_NONE;
    }
    rb_intent_key(&r->build, intent_key);
    s.close_intent = intent_key;
    s.next_due_ms = s.next == RB_TASK_NONE ? 0 : r->due_ms;
    if (s.next != RB_TASK_FOLLOW && /* its state stays: nothing to report */
        !rb_engine_reports(rt->settings, r, now_ms, &r->arena, &s.reports, &s.n_reports)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the reports of '%s'", r->id);
    }
    enum rb_code rc = rb_store_settle(ses, &s, now_ms, err);
    *ret_conflict = s.conflict;
    if (rc == RB_OK) {
        rb_log(RB_LOG_INFO, "retry.acted", RB_F("retry", r->id), RB_F("verb", verbs[verb].name),
               RB_F("by", who), RB_F("state", rb_state_name(r->state)));
        if (rb_state_terminal(r->state)) {
            rb_count(RB_M_RETRIES_TOTAL, rb_state_name(r->state), NULL);
            rb_spans_ended(e, rt->settings, r);
        }
        if (s.next != RB_TASK_NONE) {
            rb_engine_wake(e, s.next);
        }
    }
    return rc;
}

static enum rb_code not_allowed(const struct rb_retry *r, enum rb_verb verb, struct rb_err *err)
{
    return rb_err_set(err, RB_E_CONFLICT, "'%s' is %s; only a retry that is %s can be %s", r->id,
                      rb_state_name(r->state), verbs[verb].allowed, verbs[verb].done);
}

enum rb_code rb_engine_act(struct rb_engine *e, struct rb_store_session *ses, const char *retry_id,
                           enum rb_verb verb, const char *who, struct rb_retry **ret_r,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    unsigned requeued = 0;
    enum rb_code rc = RB_OK;

    if (verb == RB_VERB_REQUEUE) {
        rc = rb_off_switch_on(e, ses, rt->settings, err);
        if (rc != RB_OK) {
            return rc;
        }
        rc = rb_store_report_requeue(ses, retry_id, rb_engine_now_ms(e), &requeued, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (requeued > 0) {
            rb_engine_wake(e, RB_TASK_REPORT);
        }
    }
    for (unsigned i = 0; i < RB_ACT_TRIES; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
        enum rb_settle_conflict conflict = RB_CONFLICT_NONE;

        rc = rb_store_get(ses, retry_id, &r, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (!verbs[verb].from[r->state]) {
            if (requeued > 0) {
                *ret_r = RB_TAKE(r);
                return RB_OK;
            }
            return not_allowed(r, verb, err);
        }
        rc = act_once(e, rt, ses, r, verb, who, &conflict, err);
        if (rc == RB_OK) {
            return rb_store_get(ses, retry_id, ret_r, err);
        }
        if (rc != RB_E_CONFLICT || conflict == RB_CONFLICT_EFFECT) {
            return rc;
        }
    }
    return rb_err_set(err, RB_E_CONFLICT, "'%s' changed while it was being %s; look again",
                      retry_id, verbs[verb].done);
}
