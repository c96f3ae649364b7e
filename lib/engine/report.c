/* report.c - one claimed report is posted and judged; a slow receiver holds one worker at most as
 * often as its max_in_flight says, and a report that may not go yet holds none (pace.h). */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/destination.h>
#include <retrybuild/log.h>

#include "fault.h"
#include "off.h"
#include "spans.h"

#define RB_REPORT_MARGIN_MS 5000
#define RB_BUSY_FROM_MS 100
#define RB_BUSY_TO_MS 500
#define RB_FIRST_LOOK_MS 20
#define RB_CALLBACK_GIVE_UP_MS (24LL * 3600 * 1000)
#define RB_CALLBACK_IN_FLIGHT 4
#define RB_REPLY_GIVE_UP_MS (3600 * 1000)

/* The URL that a request named is a webhook of that one retry. */
static void callback_setting(const struct rb_retry *r, struct rb_secret *url,
                             struct rb_destination_setting *ret_d)
{
    (void)r;
    *ret_d = (struct rb_destination_setting){
        .name = RB_CALLBACK_DESTINATION,
        .type = "webhook",
        .url = url,
        .stages = {true, true, true, true},
        .give_up_ms = RB_CALLBACK_GIVE_UP_MS,
        .max_in_flight = RB_CALLBACK_IN_FLIGHT,
    };
}

/* Who asked through a source is answered by its type, with its credential. False when the source is
 * no longer configured. */
static bool reply_setting(const struct rb_settings *s, const struct rb_retry *r,
                          struct rb_destination_setting *ret_d)
{
    for (unsigned i = 0; i < s->n_sources; i++) {
        if (rb_str_eq(s->sources[i].name, r->source.source)) {
            *ret_d = (struct rb_destination_setting){
                .name = RB_REPLY_DESTINATION,
                .type = s->sources[i].type,
                .api = s->sources[i].api,
                .to_asker = true,
                .stages = {true, true, true, true},
                .give_up_ms = RB_REPLY_GIVE_UP_MS,
                .max_in_flight = RB_CALLBACK_IN_FLIGHT,
            };
            return true;
        }
    }
    return false;
}

static const struct rb_destination_setting *find_destination(const struct rb_settings *s,
                                                             const char *name)
{
    for (unsigned i = 0; i < s->n_destinations; i++) {
        if (strcmp(s->destinations[i].name, name) == 0) {
            return &s->destinations[i];
        }
    }
    return NULL;
}

static const char *verdict_name(enum rb_report_verdict v)
{
    switch (v) {
    case RB_POST_DELIVERED:
        return "delivered";
    case RB_POST_AGAIN:
        return "again";
    case RB_POST_DEAD:
    default:
        return "dead";
    }
}

static enum rb_code settle_report(struct rb_worker *w, const struct rb_task *t,
                                  enum rb_report_outcome outcome, int64_t again_ms,
                                  const char *error, int64_t boot_deadline_ms, struct rb_err *err)
{
    enum rb_code rc;
    for (;;) {
        rc = rb_store_report_settle(w->ses, t, outcome, again_ms, error, rb_engine_now_ms(w->e),
                                    err);
        rb_engine_store_state(w->e, rc, err);
        if (!rb_store_gone(rc) || rb_boot_ms(w->e->clock) >= boot_deadline_ms ||
            atomic_load(&w->e->cancel_calls)) {
            return rc;
        }
        (void)rb_engine_pause(w->e, rb_engine_jitter_ms(w->e, 100, 400));
    }
}

static enum rb_code post(struct rb_worker *w, struct rb_task *t,
                         const struct rb_destination_setting *d, int64_t boot_deadline_ms,
                         struct rb_post_result *ret, struct rb_err *err)
{
    struct rb_post_result result = {.verdict = RB_POST_AGAIN};
    struct rb_span_of_report traced;
    rb_spans_report_begin(w->e, w->rt->settings, t->retry, &traced);
    const struct rb_report_view view = {
        .retry = t->retry,
        .stage = t->stage,
        .message_id = t->message_id,
        .attempts = t->attempts,
        .now_ms = rb_engine_now_ms(w->e),
        .forge_tokens = w->e->forge_tokens,
        .receipt = t->receipt,
        .traceparent = traced.header,
        .tracestate = t->retry->tracestate,
        .event_trace = traced.event,
    };

    if (!rb_report_by_aws(w->codebuild, w->rt->settings, d, &view, t->first_due_ms, &result)) {
        rb_destination_post(d, &view, t->first_due_ms, w->rt->settings, w->http, w->e->random,
                            &result);
    }
    *ret = result;
    rb_spans_report_end(w->e, w->rt->settings, t, d, &result, &traced);
    if (result.receipt[0] != '\0') {
        snprintf(t->receipt, sizeof(t->receipt), "%s", result.receipt);
    }
    RB_FAULT_POINT("report.after_post");
    rb_count(RB_M_REPORTS, t->destination, verdict_name(result.verdict));
    rb_engine_used(w->e, RB_USE_DESTINATION, t->destination,
                   result.verdict == RB_POST_DELIVERED ? NULL : result.error);
    if (result.verdict != RB_POST_DELIVERED) {
        rb_log(result.verdict == RB_POST_DEAD ? RB_LOG_ERROR : RB_LOG_WARN, "report.failed",
               RB_F("retry", t->retry->id), RB_F("destination", t->destination),
               RB_F("stage", rb_stage_name(t->stage)),
               RB_F("verdict", verdict_name(result.verdict)), RB_FI("attempts", t->attempts + 1),
               RB_F("error", result.error));
    }
    enum rb_report_outcome outcome = RB_REPORT_DONE;
    if (result.verdict == RB_POST_AGAIN) {
        outcome = RB_REPORT_AGAIN;
    } else if (result.verdict == RB_POST_DEAD) {
        outcome = RB_REPORT_GIVE_UP;
    }
    return settle_report(w, t, outcome, rb_engine_now_ms(w->e) + result.again_in_ms,
                         result.verdict == RB_POST_DELIVERED ? NULL : result.error,
                         boot_deadline_ms, err);
}

/* What the operator has to know about a destination. */
static void tell_change(const char *destination, enum rb_pace_change change, const char *error)
{
    char scope[80];

    if (change == RB_PACE_OFF) {
        rb_off_tell(destination, true, error);
        return;
    }
    if (change == RB_PACE_SAME) {
        return;
    }
    snprintf(scope, sizeof(scope), "destination:%s", destination);
    rb_gauge(RB_M_BREAKER_OPEN, scope, change == RB_PACE_CLOSED ? 0 : 1);
    if (change == RB_PACE_CLOSED) {
        rb_log(RB_LOG_INFO, "destination.back", RB_F("destination", destination));
    } else {
        rb_log(RB_LOG_WARN, "destination.failing", RB_F("destination", destination),
               RB_F("error", error));
    }
}

static enum rb_code post_in_turn(struct rb_worker *w, struct rb_task *t,
                                 const struct rb_destination_setting *d, int64_t boot_deadline_ms,
                                 struct rb_err *err)
{
    struct rb_engine *e = w->e;
    const struct rb_pace_rule rule = {
        .destination = d->name,
        .most_in_flight = d->max_in_flight,
        .distance_ms = rb_destination_pace_ms(d),
        .many_receivers = d->to_asker || strcmp(d->name, RB_CALLBACK_DESTINATION) == 0,
        .generation = w->rt->generation,
    };
    struct rb_post_result result = {.verdict = RB_POST_AGAIN};
    int64_t now_ms = rb_engine_now_ms(e), wait_ms = 0;

    pthread_mutex_lock(&e->lock);
    enum rb_turn turn =
        rb_pace_take(&e->pace, &rule, t->due_ms > t->first_due_ms, now_ms, &wait_ms);
    pthread_mutex_unlock(&e->lock);
    if (turn == RB_TURN_OFF) {
        bool off = true;
        enum rb_code rc = rb_off_still(w, d, &off, err);
        if (rc != RB_OK) {
            return rc; /* the lease runs out, and it is asked again */
        }
        if (!off) {
            return rb_store_release(w->ses, t, now_ms, now_ms, err);
        }
        rb_count(RB_M_REPORTS, t->destination, "dead");
        return settle_report(w, t, RB_REPORT_GIVE_UP, 0,
                             "the destination is switched off: it answered 410", boot_deadline_ms,
                             err);
    }
    if (turn == RB_TURN_WAIT) {
        if (rule.distance_ms == 0) {
            wait_ms += rb_engine_jitter_ms(e, RB_BUSY_FROM_MS, RB_BUSY_TO_MS);
        }
        return rb_store_release(w->ses, t, now_ms + wait_ms, now_ms, err);
    }
    int64_t began_boot_ms = rb_boot_ms(e->clock);
    enum rb_code rc = post(w, t, d, boot_deadline_ms, &result, err);
    const struct rb_pace_outcome outcome = {
        .failed = result.verdict == RB_POST_AGAIN && result.pause_ms == 0,
        .gone = result.gone,
        .held_ms = rb_boot_ms(e->clock) - began_boot_ms,
        .pause_ms = result.pause_ms,
        .again_in_ms = result.again_in_ms,
    };
    if (result.gone && !rule.many_receivers) {
        rb_off_gone(w, d);
    }
    pthread_mutex_lock(&e->lock);
    enum rb_pace_change change = rb_pace_leave(&e->pace, &rule, &outcome, rb_engine_now_ms(e));
    pthread_mutex_unlock(&e->lock);
    tell_change(d->name, change, result.error);
    return rc;
}

static enum rb_code report_one(struct rb_worker *w, struct rb_task *t, int64_t boot_deadline_ms,
                               struct rb_err *err)
{
    RB_CLEANUP(rb_secret_freep) struct rb_secret *url = NULL;
    const struct rb_destination_setting *d = find_destination(w->rt->settings, t->destination);
    struct rb_destination_setting made;

    if (d == NULL && strcmp(t->destination, RB_CALLBACK_DESTINATION) == 0 &&
        t->retry->callback_url != NULL) {
        url = rb_secret_new(t->retry->callback_url, strlen(t->retry->callback_url));
        if (url == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a report");
        }
        callback_setting(t->retry, url, &made);
        d = &made;
    }
    if (d == NULL && strcmp(t->destination, RB_REPLY_DESTINATION) == 0 &&
        reply_setting(w->rt->settings, t->retry, &made)) {
        d = &made;
    }
    if (d == NULL) {
        rb_count(RB_M_REPORTS, "other", "dead");
        return settle_report(w, t, RB_REPORT_GIVE_UP, 0, "the destination is no longer configured",
                             boot_deadline_ms, err);
    }
    return post_in_turn(w, t, d, boot_deadline_ms, err);
}

/* A receiver never outlives the lease: the longest timeout of all destinations fits into it. */
static int64_t report_lease_ms(const struct rb_settings *s)
{
    int64_t longest_ms = s->timing.report_timeout_ms;
    for (unsigned i = 0; i < s->n_destinations; i++) {
        if (s->destinations[i].timeout_ms > longest_ms) {
            longest_ms = s->destinations[i].timeout_ms;
        }
    }
    longest_ms += RB_REPORT_MARGIN_MS;
    return s->timing.lease_ms > longest_ms ? s->timing.lease_ms : longest_ms;
}

static enum rb_code report_round(struct rb_worker *w, struct rb_round *ret, struct rb_err *err)
{
    RB_CLEANUP(rb_task_freep) struct rb_task *task = NULL;
    int64_t lease_ms = report_lease_ms(w->rt->settings);
    int64_t boot_ms = rb_boot_ms(w->e->clock);
    struct rb_err why = {.code = RB_OK};
    unsigned n = 0;
    bool wait = false;

    enum rb_code rc = rb_off_look(w, &wait, err);
    if (rc != RB_OK || wait) {
        ret->next_ms = rb_engine_now_ms(w->e) + RB_FIRST_LOOK_MS;
        return rc;
    }
    rc = rb_store_claim(w->ses, RB_TASK_REPORT, 1, lease_ms, rb_engine_now_ms(w->e), &task, &n,
                        &ret->next_ms, err);
    if (rc != RB_OK || n == 0) {
        return rc;
    }
    ret->worked = true;
    rb_engine_wake(w->e, RB_TASK_REPORT);
    rc = report_one(w, task, boot_ms + lease_ms, &why);
    if (rc != RB_OK && !rb_store_gone(rc)) {
        rb_log(RB_LOG_WARN, "report.lost_lease", RB_F("retry", task->retry->id),
               RB_F("destination", task->destination), RB_F("error", why.msg));
    }
    return RB_OK;
}

const struct rb_worker_role rb_role_report = {
    .name = "report",
    .kind = RB_TASK_REPORT,
    .needs_codebuild = true, /* topics and buses */
    .needs_http = true,
    .round = report_round,
};
