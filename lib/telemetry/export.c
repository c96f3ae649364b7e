/* export.c - the thread that posts batches, one after the other.
 *
 * A collector that is away, or asks for patience (429, 502, 503, 504), gets the same batch again
 * with growing pauses; meanwhile the others wait in the queue, and what finds no room there is
 * dropped. A batch that nobody took for GIVE_UP_MS makes room for newer ones.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#include "internal.h"

#define BODY_BYTES (RB_BATCH_BYTES + 8192)
#define ANSWER_MAX_BYTES ((size_t)64 * 1024)
#define ARENA_BYTES ((size_t)256 * 1024)
#define CONNECT_TIMEOUT_MAX_MS 5000
#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS 30000
#define RETRY_AFTER_MOST_MS 120000
#define GIVE_UP_MS (5 * 60 * 1000)
#define WHY_BYTES 256

struct courier {
    struct rb_tracer *t;
    struct rb_settings *settings; /* in force for this round */
    uint64_t generation;          /* of those */
    struct rb_httpc *http;        /* of those */
    uint64_t http_generation;
    struct rb_batch_of_spans batch; /* n == 0: none in hand */
    int64_t first_boot_ms;          /* when it was posted first */
    int64_t again_boot_ms;
    int64_t pause_ms;
    int64_t timeout_ms; /* of this round */
    bool stopping;
    bool failing, rejecting; /* told already */
};

static void count(const char *result, int64_t n)
{
    if (n > 0) {
        rb_metric_add(rb_metric_cell(RB_M_SPANS, result, NULL), n);
    }
}

static void done(struct courier *c)
{
    c->batch.n = 0;
    rb_buf_clear(&c->batch.json);
    c->pause_ms = c->again_boot_ms = c->first_boot_ms = 0;
}

static void gave_up(struct courier *c, const char *result)
{
    count(result, c->batch.n);
    done(c);
}

static void tell_failing(struct courier *c, const char *why)
{
    if (!c->failing) {
        rb_log(RB_LOG_WARN, "telemetry.failing", RB_F("error", why));
    }
    c->failing = true;
}

static void taken(struct courier *c, int64_t rejected, const char *why)
{
    rejected = rejected < c->batch.n ? rejected : c->batch.n;
    count("exported", c->batch.n - rejected);
    count("rejected", rejected);
    if (c->failing) {
        rb_log(RB_LOG_INFO, "telemetry.back", RB_F("collector", "takes spans again"));
    }
    if (rejected > 0 && !c->rejecting) {
        rb_log(RB_LOG_WARN, "telemetry.rejected", RB_FI("spans", rejected), RB_F("why", why));
    }
    c->failing = false;
    c->rejecting = rejected > 0;
    done(c);
}

static void again(struct courier *c, int64_t retry_after_ms, const char *why)
{
    int64_t now_ms = rb_boot_ms(c->t->clock);

    tell_failing(c, why);
    if (c->stopping || now_ms - c->first_boot_ms >= GIVE_UP_MS) {
        gave_up(c, "failed");
        return;
    }
    c->pause_ms = c->pause_ms == 0 ? PAUSE_FIRST_MS : c->pause_ms * 2;
    c->pause_ms = c->pause_ms < PAUSE_MOST_MS ? c->pause_ms : PAUSE_MOST_MS;
    int64_t wait_ms =
        c->pause_ms / 2 +
        (int64_t)rb_random_below(c->t->random, (uint64_t)(c->pause_ms - c->pause_ms / 2) + 1);
    if (retry_after_ms >= 0) {
        wait_ms = retry_after_ms < RETRY_AFTER_MOST_MS ? retry_after_ms : RETRY_AFTER_MOST_MS;
    }
    c->again_boot_ms = now_ms + wait_ms;
}

static bool make_headers(const struct rb_settings *s, struct rb_arena *a,
                         const char *ret_headers[RB_HTTP_HEADERS_MAX])
{
    unsigned n = 0;

    ret_headers[n++] = "Content-Type: application/json";
    for (unsigned i = 0; i < s->telemetry.n_headers && n + 1 < RB_HTTP_HEADERS_MAX; i++) {
        const struct rb_telemetry_header *h = &s->telemetry.headers[i];
        ret_headers[n] = rb_arena_printf(a, "%s: %s", h->name, rb_secret_data(h->value));
        if (ret_headers[n++] == NULL) {
            return false;
        }
    }
    ret_headers[n] = NULL;
    return true;
}

static void judge(struct courier *c, const struct rb_http_answer *answer)
{
    char why[WHY_BYTES];
    int64_t rejected = 0;

    switch (rb_otlp_judge(answer->status, &answer->body, &rejected, why, sizeof(why))) {
    case RB_OTLP_TAKEN:
        taken(c, rejected, why);
        break;
    case RB_OTLP_AGAIN:
        again(c, rb_http_retry_after_ms(answer, rb_now_ms(c->t->clock)), why);
        break;
    case RB_OTLP_REFUSED:
    default:
        tell_failing(c, why);
        gave_up(c, "failed");
        break;
    }
}

/* client - that of the settings in force; without one the batch waits. */
static bool client(struct courier *c, struct rb_err *err)
{
    struct rb_httpc *fresh = NULL;

    if (c->http != NULL && c->http_generation == c->generation) {
        return true;
    }
    if (rb_httpc_new(c->settings, &fresh, err) != RB_OK) {
        return false;
    }
    rb_httpc_free(c->http);
    c->http = fresh;
    c->http_generation = c->generation;
    return true;
}

static void post(struct courier *c)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_BYTES);
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    const struct rb_settings *s = c->settings;
    const char *headers[RB_HTTP_HEADERS_MAX];
    struct rb_err err = {.code = RB_OK};
    bool sent = false;

    rb_arena_init(&a, ARENA_BYTES);
    rb_otlp_write(s->telemetry.service_name, c->t->version, c->t->instance, &c->batch, &body);
    const char *url = rb_otlp_url(s->telemetry.otlp_endpoint, &a);
    if (rb_buf_failed(&body) || url == NULL || !make_headers(s, &a, headers) || !client(c, &err)) {
        again(c, -1, err.code == RB_OK ? "no memory for a request" : err.msg);
        return;
    }
    const struct rb_http_request req = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = body.data,
        .body_len = body.len,
        .reach = RB_REACH_GUARDED,
        .connect_timeout_ms =
            c->timeout_ms < CONNECT_TIMEOUT_MAX_MS ? c->timeout_ms : CONNECT_TIMEOUT_MAX_MS,
        .timeout_ms = c->timeout_ms,
        .max_answer_bytes = ANSWER_MAX_BYTES,
        .cancel = &c->t->cancel,
    };
    enum rb_code rc = rb_httpc_call(c->http, &req, &answer, &sent, &err);
    if (rc == RB_OK) {
        judge(c, &answer);
    } else if (rc == RB_E_BLOCKED || rc == RB_E_INVALID) {
        tell_failing(c, err.msg);
        gave_up(c, "failed");
    } else {
        again(c, -1, err.msg);
    }
}

/* take_round - settings, time limit and batch of this round; with the lock held. */
static void take_round(struct courier *c, int64_t boot_ms)
{
    struct rb_tracer *t = c->t;

    if (c->generation != t->generation) {
        rb_settings_unref(c->settings);
        c->settings = rb_settings_ref(t->settings);
        c->generation = t->generation;
    }
    if (c->batch.n == 0) {
        rb_span_queue_take(&t->queue, &c->batch);
        c->first_boot_ms = boot_ms;
    }
    int64_t left_ms = t->stopping ? t->stop_boot_ms - boot_ms : INT64_MAX;
    c->timeout_ms = c->settings->telemetry.timeout_ms;
    c->timeout_ms = c->timeout_ms < left_ms ? c->timeout_ms : left_ms;
    c->stopping = t->stopping;
}

/* next_round - wait for something to do; false: it is time to end. */
static bool next_round(struct courier *c)
{
    struct rb_tracer *t = c->t;
    bool go_on = true;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        int64_t boot_ms = rb_boot_ms(t->clock);
        bool some = c->batch.n > 0 || t->queue.n_batches > 0;
        int64_t wait_ms = rb_span_queue_wait_ms(&t->queue, boot_ms);

        if (c->batch.n > 0) {
            wait_ms = c->again_boot_ms > boot_ms ? c->again_boot_ms - boot_ms : 0;
        }
        if (t->stopping) {
            go_on = some && boot_ms < t->stop_boot_ms && !(c->stopping && c->failing);
            wait_ms = 0;
        }
        if (wait_ms == 0) {
            break;
        }
        (void)rb_cond_wait_ms(&t->changed, &t->lock, wait_ms);
    }
    if (go_on) {
        take_round(c, rb_boot_ms(t->clock));
    }
    pthread_mutex_unlock(&t->lock);
    return go_on;
}

/* leave - what is still there when the time is up is lost, and counted. */
static void leave(struct courier *c)
{
    struct rb_tracer *t = c->t;

    pthread_mutex_lock(&t->lock);
    do {
        gave_up(c, "failed");
        if (t->queue.n_batches > 0) {
            rb_span_queue_take(&t->queue, &c->batch);
        }
    } while (c->batch.n > 0);
    t->ended = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    rb_httpc_free(c->http);
    rb_settings_unref(c->settings);
    rb_buf_release(&c->batch.json);
}

void *rb_tracer_main(void *arg)
{
    struct courier c = {.t = arg};

    rb_buf_init(&c.batch.json, RB_BATCH_BYTES);
    while (next_round(&c)) {
        if (rb_str_empty(c.settings->telemetry.otlp_endpoint)) {
            gave_up(&c, "dropped"); /* switched off meanwhile */
        } else {
            post(&c);
        }
    }
    leave(&c);
    return NULL;
}
