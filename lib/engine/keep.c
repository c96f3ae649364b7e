/* keep.c - the keeper: gauges, the store's epoch, retention. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#define RB_KEEP_EVERY_MS 5000
#define RB_TRIM_EVERY_MS 60000
#define RB_STATS_EVERY_MS 15000
#define RB_EXPIRE_PAGE 100
#define RB_EXPIRE_PAGES 50
#define RB_TRIM_AT_ONCE 200
#define RB_TRIM_ROUNDS 50

static void show_counts(const struct rb_counts *c, int64_t now_ms)
{
    for (int s = 0; s < RB_STATE_COUNT; s++) {
        rb_gauge(RB_M_RETRIES, rb_state_name((enum rb_state)s), (double)c->by_state[s]);
    }
    for (int k = RB_TASK_INSPECT; k < RB_TASK_KIND_COUNT; k++) {
        const char *name = rb_task_kind_name((enum rb_task_kind)k);
        int64_t age_ms = c->oldest_due_ms[k] == 0 ? 0 : now_ms - c->oldest_due_ms[k];
        rb_gauge(RB_M_TASKS, name, (double)c->tasks[k]);
        rb_gauge(RB_M_OLDEST_TASK_AGE, name, age_ms < 0 ? 0.0 : (double)age_ms / 1000.0);
    }
}

/* When the keeper did what it does less often. */
struct last {
    int64_t trim_ms, stats_ms;
};

static struct last *last_of(struct rb_worker *w, int64_t now_ms)
{
    struct last *last = w->memory;
    if (last == NULL) {
        last = calloc(1, sizeof(*last));
        if (last != NULL) {
            w->memory = last;
            w->memory_free = free;
            last->trim_ms = now_ms;
        }
    }
    return last;
}

static enum rb_code trim(struct rb_worker *w, struct last *last, int64_t now_ms, struct rb_err *err)
{
    int64_t retention_ms = w->rt->settings->store.retention_ms;

    if (now_ms - last->trim_ms < RB_TRIM_EVERY_MS || retention_ms <= 0) {
        return RB_OK;
    }
    last->trim_ms = now_ms;
    for (unsigned i = 0; i < RB_TRIM_ROUNDS && !atomic_load(&w->e->stopping); i++) {
        unsigned n = 0;
        enum rb_code rc =
            rb_store_trim(w->ses, now_ms - retention_ms, RB_TRIM_AT_ONCE, now_ms, &n, err);
        if (rc != RB_OK || n < RB_TRIM_AT_ONCE) {
            return rc;
        }
    }
    return RB_OK;
}

/* A birth that moves while we run: the store lost writes, or everything. */
static void watch_birth(struct rb_engine *e, int64_t birth_ms, int64_t now_ms)
{
    int64_t known_ms = atomic_exchange(&e->birth_ms, birth_ms);

    if (known_ms == 0 && birth_ms == now_ms) {
        rb_log(RB_LOG_INFO, "store.epoch",
               RB_F("what", "the store's memory begins now: it is new, or was silent for long"));
    } else if (known_ms != 0 && birth_ms != known_ms) {
        rb_log(RB_LOG_WARN, "store.set_back",
               RB_F("what", "the store lost writes: failures older than now wait out the "
                            "quarantine before a build is started"));
    }
}

/* expire_page - questions that nobody answered in time; one whose call may be under way stays. */
static enum rb_code expire_page(struct rb_worker *w, struct rb_filter *f, int64_t before_ms,
                                char next[RB_CURSOR_BYTES], struct rb_err *err)
{
    struct rb_retry *items[RB_EXPIRE_PAGE] = {NULL};
    unsigned n = 0;

    enum rb_code rc = rb_store_list(w->ses, f, items, &n, next, err);
    for (unsigned i = 0; i < n; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *after = NULL;
        const struct rb_retry *r = items[i];
        int64_t asked_ms = r->n_history == 0 ? r->created_ms : r->history[r->n_history - 1].at_ms;
        if (rc == RB_OK && asked_ms < before_ms && !r->intent.ambiguous) {
            struct rb_err ignored = {.code = RB_OK}; /* somebody answered just now */
            (void)rb_engine_act(w->e, w->ses, r->id, RB_VERB_EXPIRE, "time", &after, &ignored);
        }
        rb_retry_free(items[i]);
    }
    return rc;
}

static enum rb_code expire(struct rb_worker *w, int64_t now_ms, struct rb_err *err)
{
    int64_t ttl_ms = w->rt->settings->timing.held_ttl_ms;
    char cursor[RB_CURSOR_BYTES] = "";
    enum rb_code rc = RB_OK;

    for (unsigned page = 0; page < RB_EXPIRE_PAGES && ttl_ms > 0 && rc == RB_OK; page++) {
        char next[RB_CURSOR_BYTES] = "";
        struct rb_filter f = {.by_state = true,
                              .state = RB_STATE_HELD,
                              .limit = RB_EXPIRE_PAGE,
                              .cursor = page == 0 ? NULL : cursor};
        rc = expire_page(w, &f, now_ms - ttl_ms, next, err);
        memcpy(cursor, next, sizeof(cursor));
        if (next[0] == '\0') {
            break;
        }
    }
    return rc;
}

static enum rb_code now_and_then(struct rb_worker *w, int64_t now_ms, struct rb_err *err)
{
    struct last *last = last_of(w, now_ms);
    if (last == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the keeper");
    }
    enum rb_code rc = trim(w, last, now_ms, err);
    if (rc == RB_OK && now_ms - last->stats_ms >= RB_STATS_EVERY_MS) {
        rc = rb_stats_show(w, err);
        if (rc == RB_OK) {
            rc = expire(w, now_ms, err);
        }
        last->stats_ms = rc == RB_OK ? now_ms : last->stats_ms;
    }
    return rc;
}

static enum rb_code keep_round(struct rb_worker *w, struct rb_round *ret, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(w->e);
    struct rb_counts counts;
    int64_t birth_ms = 0;

    /* Born as early as may be: what fails after this never waits for a quarantine. */
    enum rb_code rc = rb_store_epoch(w->ses, now_ms, &birth_ms, err);
    if (rc == RB_OK) {
        watch_birth(w->e, birth_ms, now_ms);
        rc = rb_store_counts(w->ses, &counts, err);
    }
    if (rc == RB_OK) {
        show_counts(&counts, now_ms);
        rc = rb_tally_flush(w, true, err);
    }
    if (rc == RB_OK) {
        rc = rb_uses_flush(w, err);
    }
    if (rc == RB_OK) {
        rc = now_and_then(w, now_ms, err);
    }
    rb_gauge(RB_M_STORE_UP, NULL, rb_store_up(w->e->store) ? 1.0 : 0.0);
    if (rc == RB_OK) {
        ret->pause_ms = RB_KEEP_EVERY_MS;
    }
    return rc;
}

const struct rb_worker_role rb_role_keep = {
    .name = "keep",
    .kind = RB_TASK_NONE,
    .round = keep_round,
};
