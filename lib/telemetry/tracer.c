/* tracer.c - the way in: from any thread, at the cost of a text and a short lock. */
#include <stdio.h>
#include <stdlib.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>
#include <retrybuild/digest.h>

#include "internal.h"

#define SPAN_MAX_BYTES ((size_t)64 * 1024)

static void make_instance(struct rb_tracer *t)
{
    uint8_t b[16];
    char hex[33];

    rb_random_bytes(t->random, b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0FU) | 0x40U); /* version 4 of RFC 9562 */
    b[8] = (uint8_t)((b[8] & 0x3FU) | 0x80U);
    rb_hex(b, sizeof(b), hex);
    (void)snprintf(t->instance, sizeof(t->instance), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
                   hex + 12, hex + 16, hex + 20);
}

/* take_settings - with the lock held. */
static enum rb_code take_settings(struct rb_tracer *t, struct rb_settings *s, struct rb_err *err)
{
    bool on = !rb_str_empty(s->telemetry.otlp_endpoint);

    rb_settings_unref(t->settings);
    t->settings = rb_settings_ref(s);
    t->generation++;
    if (on && !t->running) {
        enum rb_code rc = rb_thread_start(&t->thread, "rb-telemetry", rb_tracer_main, t, err);
        if (rc != RB_OK) {
            return rc;
        }
        t->running = true;
    }
    atomic_store(&t->on, on);
    pthread_cond_broadcast(&t->changed);
    return RB_OK;
}

enum rb_code rb_tracer_new(struct rb_settings *s, const struct rb_clock *clock,
                           const struct rb_random *random, const char *version,
                           struct rb_tracer **ret_t, struct rb_err *err)
{
    struct rb_tracer *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the telemetry");
    }
    t->clock = clock;
    t->random = random;
    t->version = version;
    make_instance(t);
    pthread_mutex_init(&t->lock, NULL);
    rb_cond_init(&t->changed);
    rb_span_queue_init(&t->queue);
    pthread_mutex_lock(&t->lock);
    enum rb_code rc = take_settings(t, s, err);
    pthread_mutex_unlock(&t->lock);
    if (rc != RB_OK) {
        rb_tracer_free(t);
        return rc;
    }
    *ret_t = t;
    return RB_OK;
}

void rb_tracer_reload(struct rb_tracer *t, struct rb_settings *s)
{
    struct rb_err ignored;

    pthread_mutex_lock(&t->lock);
    (void)take_settings(t, s, &ignored); /* without a thread: as before, off */
    pthread_mutex_unlock(&t->lock);
}

bool rb_tracer_on(const struct rb_tracer *t)
{
    return t != NULL && atomic_load_explicit(&t->on, memory_order_relaxed);
}

void rb_tracer_new_id(struct rb_tracer *t, char ret_id[RB_SPAN_ID_BYTES])
{
    uint64_t v = 0;

    while (v == 0) {
        v = t->random->next(t->random->arg);
    }
    rb_hex(&v, sizeof(v), ret_id);
}

void rb_tracer_add(struct rb_tracer *t, const struct rb_span *s)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf json = RB_BUF_INIT(SPAN_MAX_BYTES);
    int64_t boot_ms = rb_boot_ms(t->clock);
    bool kept = false;

    rb_span_write_json(s, &json);
    pthread_mutex_lock(&t->lock);
    if (!rb_buf_failed(&json) && !t->ended) {
        bool first = t->queue.n_batches == 0;
        kept = rb_span_queue_add(&t->queue, &json, boot_ms);
        if (first || rb_span_queue_wait_ms(&t->queue, boot_ms) == 0) {
            pthread_cond_signal(&t->changed);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (!kept) {
        rb_count(RB_M_SPANS, "dropped", NULL);
    }
}

void rb_tracer_stop(struct rb_tracer *t, int64_t grace_ms)
{
    int64_t until_ms = rb_boot_ms(t->clock) + grace_ms;

    pthread_mutex_lock(&t->lock);
    bool running = t->running;
    t->stopping = true;
    t->stop_boot_ms = until_ms;
    pthread_cond_broadcast(&t->changed);
    while (running && !t->ended) {
        int64_t left_ms = until_ms - rb_boot_ms(t->clock);
        if (left_ms <= 0) {
            break;
        }
        (void)rb_cond_wait_ms(&t->changed, &t->lock, left_ms);
    }
    t->running = false;
    pthread_mutex_unlock(&t->lock);
    atomic_store(&t->on, false);
    atomic_store(&t->cancel, true);
    if (running) {
        pthread_join(t->thread, NULL);
    }
}

void rb_tracer_free(struct rb_tracer *t)
{
    if (t == NULL) {
        return;
    }
    rb_span_queue_release(&t->queue);
    rb_settings_unref(t->settings);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
