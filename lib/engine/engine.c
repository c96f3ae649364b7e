/* engine.c - making, starting, reloading and stopping the whole. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/log.h>

static void on_due(void *arg, enum rb_task_kind kind)
{
    struct rb_engine *e = arg;
    if ((unsigned)kind < RB_TASK_KIND_COUNT) {
        rb_engine_wake(e, kind);
    }
}

static enum rb_code runtime_new(struct rb_settings *s, uint64_t generation,
                                struct rb_runtime **ret_rt, struct rb_err *err)
{
    struct rb_runtime *rt = calloc(1, sizeof(*rt));
    if (rt == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the settings");
    }
    enum rb_code rc = rb_policy_new(s, &rt->policy, err);
    if (rc != RB_OK) {
        free(rt);
        return rc;
    }
    rt->settings = rb_settings_ref(s);
    rb_plan_windows_from(&s->timing, &rt->windows);
    rt->generation = generation;
    atomic_init(&rt->refs, 1);
    *ret_rt = rt;
    return RB_OK;
}

enum rb_code rb_engine_new(const struct rb_engine_deps *deps, struct rb_engine **ret_e,
                           struct rb_err *err)
{
    struct rb_engine *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the engine");
    }
    enum rb_code rc = runtime_new(deps->settings, 1, &e->runtime, err);
    if (rc != RB_OK) {
        free(e);
        return rc;
    }
    e->forge_tokens = rb_forge_tokens_new();
    e->tally = rb_tally_new();
    e->uses = rb_uses_new();
    if (e->forge_tokens == NULL || e->tally == NULL || e->uses == NULL) {
        rb_forge_tokens_free(e->forge_tokens);
        rb_tally_free(e->tally);
        rb_uses_free(e->uses);
        rb_runtime_unref(e->runtime);
        free(e);
        return rb_err_set(err, RB_E_NOMEM, "no memory for the engine");
    }
    e->store = deps->store;
    e->aws = deps->aws;
    e->clock = deps->clock;
    e->random = deps->random;
    e->tracer = deps->tracer;
    pthread_mutex_init(&e->lock, NULL);
    for (int i = 0; i < RB_TASK_KIND_COUNT; i++) {
        rb_cond_init(&e->wake[i].cond);
    }
    rb_cond_init(&e->ended);
    rb_arena_init(&e->paused_arena, 1);
    if (e->store != NULL) {
        rb_store_on_due(e->store, on_due, e);
    }
    *ret_e = e;
    return RB_OK;
}

static void worker_release(struct rb_worker *w)
{
    rb_store_session_close(w->ses);
    rb_codebuild_free(w->codebuild);
    rb_httpc_free(w->http);
    rb_runtime_unref(w->rt);
    if (w->memory_free != NULL) {
        w->memory_free(w->memory);
    }
    *w = (struct rb_worker){.e = NULL};
}

void rb_engine_free(struct rb_engine *e)
{
    if (e == NULL || e->cut) {
        return; /* a thread that was left behind may still look at it */
    }
    for (unsigned i = 0; i < e->n_workers; i++) {
        worker_release(&e->workers[i]);
    }
    free(e->workers);
    rb_runtime_unref(e->runtime);
    rb_forge_tokens_free(e->forge_tokens);
    rb_arena_release(&e->paused_arena);
    rb_tally_free(e->tally);
    rb_uses_free(e->uses);
    free(e->flaky);
    rb_pace_release(&e->pace);
    for (int i = 0; i < RB_TASK_KIND_COUNT; i++) {
        pthread_cond_destroy(&e->wake[i].cond);
    }
    pthread_cond_destroy(&e->ended);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static enum rb_code add_worker(struct rb_engine *e, const struct rb_worker_role *role,
                               unsigned number, struct rb_err *err)
{
    struct rb_worker *w = &e->workers[e->n_workers];

    *w = (struct rb_worker){.e = e, .role = role};
    if (number > 0) {
        snprintf(w->name, sizeof(w->name), "%.8s-%u", role->name, number % 10000);
    } else {
        snprintf(w->name, sizeof(w->name), "%.15s", role->name);
    }
    enum rb_code rc = rb_store_session_open(e->store, &w->ses, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "worker '%s'", w->name);
    }
    e->n_workers++;
    rc = rb_thread_start(&w->thread, w->name, rb_worker_main, w, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "worker '%s'", w->name);
    }
    w->started = true;
    return RB_OK;
}

enum rb_code rb_engine_start(struct rb_engine *e, struct rb_err *err)
{
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = rb_engine_settings(e);
    unsigned submitters = (unsigned)s->submit_workers, reporters = (unsigned)s->report_workers;
    const struct rb_worker_role *single[] = {&rb_role_inspect, &rb_role_follow, &rb_role_sweep};
    enum rb_code rc = RB_OK;

    e->workers = calloc(submitters + reporters + RB_ARRAY_LEN(single) + 1, sizeof(*e->workers));
    if (e->workers == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the workers");
    }
    rc = add_worker(e, &rb_role_keep, 0, err);
    for (unsigned i = 0; i < reporters && rc == RB_OK; i++) {
        rc = add_worker(e, &rb_role_report, i + 1, err);
    }
    for (unsigned i = 0; i < submitters && rc == RB_OK; i++) {
        rc = add_worker(e, &rb_role_submit, i + 1, err);
    }
    for (unsigned i = 0; i < RB_ARRAY_LEN(single) && submitters > 0 && rc == RB_OK; i++) {
        rc = add_worker(e, single[i], 0, err);
    }
    if (rc != RB_OK) {
        (void)rb_engine_stop(e, s->timing.shutdown_ms);
    }
    return rc;
}

/* Wait until all have ended or @until_ms (boot clock). */
static bool wait_ended(struct rb_engine *e, int64_t until_ms)
{
    bool all = false;

    pthread_mutex_lock(&e->lock);
    for (;;) {
        all = true;
        for (unsigned i = 0; i < e->n_workers; i++) {
            all = all && (e->workers[i].ended || !e->workers[i].started);
        }
        int64_t left_ms = until_ms - rb_boot_ms(e->clock);
        if (all || left_ms <= 0) {
            break;
        }
        (void)rb_cond_wait_ms(&e->ended, &e->lock, left_ms);
    }
    pthread_mutex_unlock(&e->lock);
    return all;
}

bool rb_engine_stop(struct rb_engine *e, int64_t grace_ms)
{
    int64_t boot_ms = rb_boot_ms(e->clock);
    int64_t cut_ms = grace_ms > 4000 ? grace_ms - 2000 : grace_ms / 2;

    atomic_store(&e->stopping, true);
    atomic_store(&e->cancel_reads, true);
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < RB_TASK_KIND_COUNT; i++) {
        pthread_cond_broadcast(&e->wake[i].cond);
    }
    pthread_mutex_unlock(&e->lock);
    bool all = wait_ended(e, boot_ms + cut_ms);
    atomic_store(&e->cancel_calls, true);
    if (!all) {
        all = wait_ended(e, boot_ms + grace_ms);
    }
    for (unsigned i = 0; i < e->n_workers; i++) {
        struct rb_worker *w = &e->workers[i];
        if (!w->started) {
            continue;
        }
        pthread_mutex_lock(&e->lock);
        bool ended = w->ended;
        pthread_mutex_unlock(&e->lock);
        if (ended) {
            pthread_join(w->thread, NULL);
            worker_release(w); /* its session: the store may be closed now */
        } else {
            rb_log(RB_LOG_WARN, "worker.cut", RB_F("worker", w->name));
            pthread_detach(w->thread);
            e->cut = true;
        }
    }
    if (e->store != NULL) {
        rb_store_on_due(e->store, NULL, NULL); /* no thread of the store wakes us any more */
    }
    return all;
}

enum rb_code rb_engine_reload(struct rb_engine *e, struct rb_settings *s, struct rb_err *err)
{
    struct rb_runtime *fresh = NULL;
    uint64_t generation;

    pthread_mutex_lock(&e->lock);
    generation = e->runtime->generation + 1;
    pthread_mutex_unlock(&e->lock);
    enum rb_code rc = runtime_new(s, generation, &fresh, err);
    if (rc != RB_OK) {
        return rc;
    }
    pthread_mutex_lock(&e->lock);
    struct rb_runtime *old = e->runtime;
    e->runtime = fresh;
    pthread_mutex_unlock(&e->lock);
    rb_runtime_unref(old);
    return RB_OK;
}

struct rb_settings *rb_engine_settings(struct rb_engine *e)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    return rb_settings_ref(rt->settings);
}
