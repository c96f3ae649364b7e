/* Sending a report and judging the answer: the same for every type.
 *
 * An error text is safe to show: the receiver's host at most, never a path (it may be a secret) and
 * never a body.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "internal.h"

#define ARENA_MAX_BYTES ((size_t)1024 * 1024)
#define ANSWER_MAX_BYTES ((size_t)1024 * 1024)
#define DEFAULT_TIMEOUT_MS 10000
#define CONNECT_TIMEOUT_MAX_MS 5000
#define JITTER_BASE_MS 1000
#define JITTER_CAP_MS (15 * 60 * 1000)
#define RETRY_AFTER_CAP_MS (60 * 60 * 1000)
#define DEFAULT_GIVE_UP_MS (INT64_C(24) * 60 * 60 * 1000)

static void set_result(struct rb_post_result *ret, enum rb_report_verdict verdict,
                       const char *error)
{
    size_t len = strlen(error);

    len = len < sizeof(ret->error) ? len : sizeof(ret->error) - 1; /* cut rather than refused */
    ret->verdict = verdict;
    ret->again_in_ms = 0;
    memcpy(ret->error, error, len);
    ret->error[len] = '\0';
}

static int64_t scheduled_ms(const struct rb_destination_setting *d, int64_t attempts,
                            const struct rb_random *rnd)
{
    if (d->n_schedule > 0) {
        int64_t last = (int64_t)d->n_schedule - 1;
        return d->schedule_ms[attempts < last ? attempts : last];
    }
    int64_t most_ms = attempts < 20 ? (int64_t)JITTER_BASE_MS << attempts : JITTER_CAP_MS;
    most_ms = most_ms < JITTER_CAP_MS ? most_ms : JITTER_CAP_MS;
    return (int64_t)rb_random_below(rnd, (uint64_t)most_ms + 1);
}

/* Again at its time, or never when the report has been tried for long enough. */
static void again(const struct rb_destination_setting *d, const struct rb_report_view *v,
                  int64_t first_due_ms, const struct rb_random *rnd, int64_t retry_after_ms,
                  const char *error, struct rb_post_result *ret)
{
    int64_t give_up_ms = d->give_up_ms > 0 ? d->give_up_ms : DEFAULT_GIVE_UP_MS;

    if (v->now_ms - first_due_ms >= give_up_ms) {
        set_result(ret, RB_POST_DEAD, error);
        return;
    }
    set_result(ret, RB_POST_AGAIN, error);
    ret->again_in_ms = scheduled_ms(d, v->attempts, rnd);
    if (retry_after_ms > RETRY_AFTER_CAP_MS) {
        retry_after_ms = RETRY_AFTER_CAP_MS;
    }
    if (retry_after_ms > ret->again_in_ms) {
        ret->again_in_ms = retry_after_ms;
    }
}

static enum rb_code send_report(const struct rb_destination_setting *d, const struct rb_rendered *r,
                                const struct rb_settings *s, struct rb_httpc *http,
                                struct rb_http_answer *ret_answer, struct rb_err *err)
{
    int64_t timeout_ms = d->timeout_ms > 0 ? d->timeout_ms : s->timing.report_timeout_ms;
    bool sent = false;

    timeout_ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
    const struct rb_http_request req = {
        .method = r->method,
        .url = r->url,
        .headers = r->headers,
        .body = r->body,
        .body_len = r->body_len,
        .reach = RB_REACH_GUARDED,
        .connect_timeout_ms =
            timeout_ms < CONNECT_TIMEOUT_MAX_MS ? timeout_ms : CONNECT_TIMEOUT_MAX_MS,
        .timeout_ms = timeout_ms,
        .max_answer_bytes = ANSWER_MAX_BYTES,
    };
    return rb_httpc_call(http, &req, ret_answer, &sent, err);
}

static bool permanent(enum rb_code rc)
{
    return rc == RB_E_BLOCKED || rc == RB_E_INVALID;
}

void rb_destination_post(const struct rb_destination_setting *d, const struct rb_report_view *v,
                         int64_t first_due_ms, const struct rb_settings *s, struct rb_httpc *http,
                         const struct rb_random *rnd, struct rb_post_result *ret)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    const struct rb_destination_type *type =
        d->to_asker ? rb_reply_type_find(d->type) : rb_destination_type_find(d->type);
    struct rb_rendered r;
    struct rb_err err = {.code = RB_OK};

    rb_arena_init(&a, ARENA_MAX_BYTES);
    if (type == NULL) {
        set_result(ret, RB_POST_DEAD, "no such type of destination");
        return;
    }
    if (type->render(d, v, &a, &r, &err) != RB_OK) {
        set_result(ret, RB_POST_DEAD, err.msg);
        return;
    }
    enum rb_code rc = send_report(d, &r, s, http, &answer, &err);
    if (rc != RB_OK) {
        if (permanent(rc)) {
            set_result(ret, RB_POST_DEAD, err.msg);
        } else {
            again(d, v, first_due_ms, rnd, -1, err.msg, ret);
        }
        return;
    }
    char text[64];
    snprintf(text, sizeof(text), "the receiver answered %ld", answer.status);
    if (answer.status >= 200 && answer.status < 300) {
        set_result(ret, RB_POST_DELIVERED, "");
    } else if (answer.status == 429 || answer.status == 408 || answer.status >= 500) {
        again(d, v, first_due_ms, rnd, rb_http_retry_after_ms(&answer, v->now_ms), text, ret);
    } else {
        set_result(ret, RB_POST_DEAD, text);
    }
}
