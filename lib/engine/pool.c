/* pool.c - the threads: each claims, works, and waits for a signal, the next due time or a second.
 *
 * A worker never ends because the store or AWS is away: it waits with growing, jittered pauses. The
 * second is what bounds the delay of tasks that other processes made. One signal wakes one worker;
 * whoever claims something wakes the next one, so that a burst spreads without a stampede.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#define RB_IDLE_MOST_MS 1000
#define RB_BACKOFF_FIRST_MS 50
#define RB_BACKOFF_MOST_MS 2000

int64_t rb_engine_now_ms(const struct rb_engine *e)
{
    return rb_now_ms(e->clock);
}

uint64_t rb_engine_random(struct rb_engine *e)
{
    return e->random->next(e->random->arg);
}

int64_t rb_engine_jitter_ms(struct rb_engine *e, int64_t from_ms, int64_t to_ms)
{
    uint64_t span = to_ms > from_ms ? (uint64_t)(to_ms - from_ms) + 1 : 1;
    return from_ms + (int64_t)rb_random_below(e->random, span);
}

void rb_engine_wake(struct rb_engine *e, enum rb_task_kind kind)
{
    pthread_mutex_lock(&e->lock);
    e->wake[kind].generation++;
    pthread_cond_signal(&e->wake[kind].cond);
    pthread_mutex_unlock(&e->lock);
}

bool rb_engine_pause(struct rb_engine *e, int64_t ms)
{
    int64_t until_ms = rb_boot_ms(e->clock) + ms;

    pthread_mutex_lock(&e->lock);
    while (!atomic_load(&e->stopping)) {
        int64_t left_ms = until_ms - rb_boot_ms(e->clock);
        if (left_ms <= 0) {
            break;
        }
        if (!rb_cond_wait_ms(&e->wake[RB_TASK_NONE].cond, &e->lock, left_ms)) {
            break;
        }
    }
    bool stopping = atomic_load(&e->stopping);
    pthread_mutex_unlock(&e->lock);
    return !stopping;
}

void rb_engine_store_state(struct rb_engine *e, enum rb_code rc, const struct rb_err *err)
{
    bool away = rb_store_gone(rc);

    if (atomic_load_explicit(&e->store_away, memory_order_relaxed) == away ||
        atomic_exchange(&e->store_away, away) == away) {
        return;
    }
    if (away) {
        rb_log(RB_LOG_ERROR, "store.away", RB_F("error", err == NULL ? NULL : err->msg));
    } else {
        rb_log(RB_LOG_INFO, "store.back", RB_F("store", "answers again"));
    }
}

/* Clients follow the settings: new ones after a reload, the old ones if those cannot be made. */
static enum rb_code make_clients(struct rb_worker *w, struct rb_err *err)
{
    struct rb_codebuild *codebuild = NULL;
    struct rb_httpc *http = NULL;
    enum rb_code rc = RB_OK;

    if (w->clients_generation == w->rt->generation) {
        return RB_OK;
    }
    if (w->role->needs_codebuild) {
        rc = rb_codebuild_new(w->e->aws, w->rt->settings, &codebuild, err);
    }
    if (rc == RB_OK && w->role->needs_http) {
        rc = rb_httpc_new(w->rt->settings, &http, err);
    }
    if (rc != RB_OK) {
        rb_codebuild_free(codebuild);
        return rc;
    }
    if (codebuild != NULL) {
        rb_codebuild_cancel_on(codebuild,
                               w->role->may_call ? &w->e->cancel_calls : &w->e->cancel_reads);
        rb_codebuild_free(w->codebuild);
        w->codebuild = codebuild;
    }
    if (http != NULL) {
        rb_httpc_free(w->http);
        w->http = http;
    }
    w->clients_generation = w->rt->generation;
    return RB_OK;
}

static void worker_wait(struct rb_worker *w, const struct rb_round *round, uint64_t generation)
{
    struct rb_engine *e = w->e;
    enum rb_task_kind kind = w->role->kind;
    int64_t wait_ms = RB_IDLE_MOST_MS;

    if (round->next_ms > 0) {
        int64_t due_in_ms = round->next_ms - rb_engine_now_ms(e);
        wait_ms = due_in_ms < wait_ms ? due_in_ms : wait_ms;
        wait_ms = wait_ms < 1 ? 1 : wait_ms;
    }
    pthread_mutex_lock(&e->lock);
    if (!atomic_load(&e->stopping) && e->wake[kind].generation == generation) {
        (void)rb_cond_wait_ms(&e->wake[kind].cond, &e->lock, wait_ms);
    }
    pthread_mutex_unlock(&e->lock);
}

static void store_backoff(struct rb_worker *w)
{
    w->backoff_ms = w->backoff_ms == 0 ? RB_BACKOFF_FIRST_MS : w->backoff_ms * 2;
    if (w->backoff_ms > RB_BACKOFF_MOST_MS) {
        w->backoff_ms = RB_BACKOFF_MOST_MS;
    }
    (void)rb_engine_pause(w->e, rb_engine_jitter_ms(w->e, w->backoff_ms / 2, w->backoff_ms));
}

static void worker_step(struct rb_worker *w)
{
    struct rb_engine *e = w->e;
    struct rb_round round = {.worked = false};
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc;

    pthread_mutex_lock(&e->lock);
    uint64_t generation = e->wake[w->role->kind].generation;
    pthread_mutex_unlock(&e->lock);
    rb_runtime_unref(w->rt);
    w->rt = rb_runtime_get(e);
    rc = make_clients(w, &err);
    if (rc != RB_OK && w->clients_generation == 0) {
        rb_log(RB_LOG_ERROR, "worker.failed", RB_F("worker", w->name), RB_F("error", err.msg));
        (void)rb_engine_pause(e, RB_BACKOFF_MOST_MS);
        return;
    }
    rc = w->role->round(w, &round, &err);
    rb_engine_store_state(e, rc, &err);
    if (rc != RB_OK) {
        if (!rb_store_gone(rc) && rc != RB_E_CLOSED) {
            rb_log(RB_LOG_ERROR, "worker.failed", RB_F("worker", w->name),
                   RB_F("code", rb_code_name(rc)), RB_F("error", err.msg));
        }
        store_backoff(w);
        return;
    }
    w->backoff_ms = 0;
    if (round.pause_ms > 0) {
        (void)rb_engine_pause(e, round.pause_ms);
    } else if (!round.worked) {
        worker_wait(w, &round, generation);
    }
}

void *rb_worker_main(void *arg)
{
    struct rb_worker *w = arg;
    struct rb_engine *e = w->e;

    while (!atomic_load(&e->stopping)) {
        worker_step(w);
    }
    pthread_mutex_lock(&e->lock);
    w->ended = true;
    pthread_cond_broadcast(&e->ended);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}
