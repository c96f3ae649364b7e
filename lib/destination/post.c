/* Sending a report and judging the answer: the same for every type.
 *
 * An error text is safe to show: the receiver's host at most, never a path (it may be a secret) and
 * never a body.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "internal.h"
#include "poster.h"

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
    ret->pause_ms = 0;
    ret->gone = false;
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

void rb_poster_fail(struct rb_poster *p, const char *error)
{
    set_result(p->ret, RB_POST_DEAD, error);
}

void rb_poster_done(struct rb_poster *p)
{
    set_result(p->ret, RB_POST_DELIVERED, "");
}

static int64_t capped(int64_t ms)
{
    return ms < RETRY_AFTER_CAP_MS ? ms : RETRY_AFTER_CAP_MS;
}

void rb_poster_again(struct rb_poster *p, int64_t after_ms, const char *error)
{
    int64_t give_up_ms = p->d->give_up_ms > 0 ? p->d->give_up_ms : DEFAULT_GIVE_UP_MS;

    if (p->v->now_ms - p->first_due_ms >= give_up_ms) {
        set_result(p->ret, RB_POST_DEAD, error);
        return;
    }
    set_result(p->ret, RB_POST_AGAIN, error);
    p->ret->again_in_ms = scheduled_ms(p->d, p->v->attempts, p->rnd);
    after_ms = capped(after_ms);
    if (after_ms > p->ret->again_in_ms) {
        p->ret->again_in_ms = after_ms;
    }
}

void rb_poster_limited(struct rb_poster *p, int64_t after_ms, const char *error)
{
    rb_poster_again(p, after_ms, error);
    p->ret->pause_ms = after_ms > 0 ? capped(after_ms) : p->ret->again_in_ms;
}

bool rb_poster_keep(struct rb_poster *p, const char *receipt)
{
    size_t len = strlen(receipt);

    if (len >= sizeof(p->ret->receipt)) {
        return false;
    }
    memcpy(p->ret->receipt, receipt, len + 1);
    return true;
}

json_t *rb_poster_json(const struct rb_poster *p)
{
    json_t *j = NULL;

    (void)rb_json_load(rb_buf_str(&p->answer.body), p->answer.body.len, &j, NULL);
    return j;
}

static enum rb_code call(struct rb_poster *p, const struct rb_rendered *r, struct rb_err *err)
{
    const struct rb_destination_setting *d = p->d;
    int64_t timeout_ms = d->timeout_ms > 0 ? d->timeout_ms : p->s->timing.report_timeout_ms;
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
    rb_http_answer_release(&p->answer);
    p->answer = (struct rb_http_answer){.status = 0};
    return rb_httpc_call(p->http, &req, &p->answer, &sent, err);
}

static bool permanent(enum rb_code rc)
{
    return rc == RB_E_BLOCKED || rc == RB_E_INVALID;
}

static void judge(struct rb_poster *p)
{
    long status = p->answer.status;
    bool good = status >= 200 && status < 300;
    int64_t pause_ms = rb_limits_pause_ms(&p->answer, !good, p->v->now_ms);
    char text[64];

    snprintf(text, sizeof(text), "the receiver answered %ld", status);
    if (good) {
        rb_poster_done(p);
        if (pause_ms > 0) { /* this was the last one of the quota */
            p->ret->pause_ms = capped(pause_ms);
        }
    } else if (status == 429) {
        rb_poster_limited(p, pause_ms, text);
    } else if (status == 408 || status >= 500) {
        rb_poster_again(p, pause_ms, text);
    } else {
        rb_poster_fail(p, text);
        p->ret->gone = status == 410;
    }
    if (p->type->judge != NULL) {
        p->type->judge(p);
    }
}

bool rb_poster_send(struct rb_poster *p, const struct rb_rendered *r)
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = call(p, r, &err);

    if (rc == RB_OK) {
        judge(p);
    } else if (permanent(rc)) {
        rb_poster_fail(p, err.msg);
    } else {
        rb_poster_again(p, -1, err.msg);
    }
    return p->ret->verdict == RB_POST_DELIVERED;
}

static void post_once(struct rb_poster *p)
{
    struct rb_rendered r;
    struct rb_err err = {.code = RB_OK};

    if (p->type->render(p->d, p->v, p->a, &r, &err) != RB_OK) {
        rb_poster_fail(p, err.msg);
        return;
    }
    (void)rb_poster_send(p, &r);
}

static const struct rb_destination_type *type_of(const struct rb_destination_setting *d)
{
    return d->to_asker ? rb_reply_type_find(d->type) : rb_destination_type_find(d->type);
}

int64_t rb_destination_pace_ms(const struct rb_destination_setting *d)
{
    const struct rb_destination_type *type = type_of(d);

    return type == NULL ? 0 : type->pace_ms;
}

void rb_destination_post(const struct rb_destination_setting *d, const struct rb_report_view *v,
                         int64_t first_due_ms, const struct rb_settings *s, struct rb_httpc *http,
                         const struct rb_random *rnd, struct rb_post_result *ret)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_poster p = {
        .d = d,
        .type = type_of(d),
        .v = v,
        .s = s,
        .http = http,
        .rnd = rnd,
        .first_due_ms = first_due_ms,
        .a = &a,
        .ret = ret,
    };

    rb_arena_init(&a, ARENA_MAX_BYTES);
    *ret = (struct rb_post_result){.verdict = RB_POST_DEAD};
    if (p.type == NULL) {
        rb_poster_fail(&p, "no such type of destination");
    } else if (p.type->post != NULL) {
        p.type->post(&p);
    } else {
        post_once(&p);
    }
    ret->status = p.answer.status;
    rb_http_answer_release(&p.answer);
}
