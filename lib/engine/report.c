/* report.c - one claimed report is posted and judged; a slow receiver holds one worker at most as
 * often as its max_in_flight says. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/destination.h>
#include <retrybuild/log.h>

#include "fault.h"

#define RB_REPORT_MARGIN_MS 5000
#define RB_BUSY_FROM_MS 100
#define RB_BUSY_TO_MS 500
#define RB_BUSY_MOST_MS 60000
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

/* A seat for one post; false when the destination has as many under way as it may. Then
 * *ret_wait_ms says when it is worth looking again: in the order of arrival, as fast as seats
 * become free. Without that, what waits for a silent destination would keep workers and store busy.
 */
static bool take_seat(struct rb_engine *e, const char *name, int64_t most, int64_t *ret_wait_ms)
{
    unsigned free_at = RB_MAX_FLIGHTS, at = RB_MAX_FLIGHTS;
    bool ok = false;

    *ret_wait_ms = 0;
    pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < RB_MAX_FLIGHTS; i++) {
        if (e->flights[i].n > 0 && strcmp(e->flights[i].destination, name) == 0) {
            at = i;
            break;
        }
        if (e->flights[i].n == 0 && free_at == RB_MAX_FLIGHTS) {
            free_at = i;
        }
    }
    if (at < RB_MAX_FLIGHTS) {
        ok = most <= 0 || e->flights[at].n < most;
        e->flights[at].n += ok ? 1 : 0;
        if (!ok) {
            *ret_wait_ms = ++e->flights[at].waiting * e->flights[at].hold_ms / most;
        } else if (e->flights[at].waiting > 0) {
            e->flights[at].waiting--;
        }
    } else if (free_at < RB_MAX_FLIGHTS) {
        snprintf(e->flights[free_at].destination, sizeof(e->flights[free_at].destination), "%s",
                 name);
        e->flights[free_at].n = 1;
        e->flights[free_at].waiting = 0;
        e->flights[free_at].hold_ms = RB_BUSY_FROM_MS;
        ok = true;
    }
    pthread_mutex_unlock(&e->lock);
    *ret_wait_ms = *ret_wait_ms < RB_BUSY_MOST_MS ? *ret_wait_ms : RB_BUSY_MOST_MS;
    return ok;
}

static void leave_seat(struct rb_engine *e, const char *name, int64_t held_ms)
{
    pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < RB_MAX_FLIGHTS; i++) {
        if (e->flights[i].n > 0 && strcmp(e->flights[i].destination, name) == 0) {
            e->flights[i].n--;
            e->flights[i].hold_ms = held_ms;
            break;
        }
    }
    pthread_mutex_unlock(&e->lock);
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

static enum rb_code post(struct rb_worker *w, const struct rb_task *t,
                         const struct rb_destination_setting *d, int64_t boot_deadline_ms,
                         struct rb_err *err)
{
    struct rb_post_result result = {.verdict = RB_POST_AGAIN};
    const struct rb_report_view view = {
        .retry = t->retry,
        .stage = t->stage,
        .message_id = t->message_id,
        .attempts = t->attempts,
        .now_ms = rb_engine_now_ms(w->e),
    };

    if (!rb_report_by_aws(w, d, &view, t, &result)) {
        rb_destination_post(d, &view, t->first_due_ms, w->rt->settings, w->http, w->e->random,
                            &result);
    }
    RB_FAULT_POINT("report.after_post");
    rb_count(RB_M_REPORTS, t->destination, verdict_name(result.verdict));
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

static enum rb_code report_one(struct rb_worker *w, const struct rb_task *t,
                               int64_t boot_deadline_ms, struct rb_err *err)
{
    RB_CLEANUP(rb_secret_freep) struct rb_secret *url = NULL;
    const struct rb_destination_setting *d = find_destination(w->rt->settings, t->destination);
    struct rb_destination_setting made;
    int64_t now_ms = rb_engine_now_ms(w->e);

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
    int64_t wait_ms = 0;
    if (!take_seat(w->e, d->name, d->max_in_flight, &wait_ms)) {
        wait_ms += rb_engine_jitter_ms(w->e, RB_BUSY_FROM_MS, RB_BUSY_TO_MS);
        return rb_store_release(w->ses, t, now_ms + wait_ms, now_ms, err);
    }
    int64_t began_boot_ms = rb_boot_ms(w->e->clock);
    enum rb_code rc = post(w, t, d, boot_deadline_ms, err);
    leave_seat(w->e, d->name, rb_boot_ms(w->e->clock) - began_boot_ms);
    return rc;
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

    enum rb_code rc = rb_store_claim(w->ses, RB_TASK_REPORT, 1, lease_ms, rb_engine_now_ms(w->e),
                                     &task, &n, &ret->next_ms, err);
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
