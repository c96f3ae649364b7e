/* redis.c - the Redis backend's row: opening, closing, and the table of its functions. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/thread.h>

#include "store_redis.h"

static void free_store(struct redis_store *s)
{
    rkeeper_stop(s);
    rtarget_release(&s->target);
    SSL_CTX_free(s->tls);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    rb_bell_release(&s->base.due);
    free(s);
}

enum rb_code rstore_tls(struct redis_store *s, const struct rb_settings *settings,
                        struct rb_err *err)
{
    /* Sentinels and what they name speak TLS when an authority is configured for them. */
    bool wants = s->target.tls ||
                 (s->target.kind == RTARGET_SENTINEL && settings->store.tls_ca_file != NULL);
    return wants ? rtls_context(settings->store.tls_ca_file, settings->store.tls_certificate_file,
                                settings->store.tls_key_file, &s->tls, err)
                 : RB_OK;
}

static enum rb_code redis_open(const char *url, struct rb_settings *settings,
                               const struct rb_clock *clock, struct rb_store **ret_store,
                               struct rb_err *err)
{
    struct redis_store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the store");
    }
    s->clock = clock;
    s->poke_fd = -1;
    rbeat_init(s);
    s->delivery_ttl_ms = settings->timing.delivery_ttl_ms;
    s->effect_ttl_ms = settings->timing.effect_ttl_ms;
    s->max_waiting = settings->store.max_waiting;
    rb_bell_init(&s->base.due);
    pthread_mutex_init(&s->lock, NULL);
    rb_cond_init(&s->changed);
    enum rb_code rc = rtarget_parse(url, settings->store.password, &s->target, err);
    if (rc == RB_OK) {
        rc = rstore_tls(s, settings, err);
    }
    if (rc == RB_OK) {
        rc = rkeeper_start(s, err);
    }
    if (rc == RB_OK && atomic_load(&s->barred)) {
        pthread_mutex_lock(&s->lock);
        rc = rb_err_set(err, RB_E_REFUSED, "Redis at store.url cannot be used: %s", s->why.msg);
        pthread_mutex_unlock(&s->lock);
    }
    if (rc != RB_OK) {
        free_store(s);
        return rc;
    }
    *ret_store = &s->base;
    return RB_OK;
}

static void redis_close(struct rb_store *s)
{
    free_store(rstore(s));
}

static bool redis_up(const struct rb_store *s)
{
    return atomic_load(&((const struct redis_store *)s)->up);
}

static void redis_listen(struct rb_store *s)
{
    rkeeper_listen(rstore(s));
}

static enum rb_code redis_session_open(struct rb_store *s, struct rb_store_session **ret_ses,
                                       struct rb_err *err)
{
    struct redis_session *ses = calloc(1, sizeof(*ses));
    if (ses == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a session");
    }
    ses->store = rstore(s);
    rconn_init(&ses->conn, RCONN_COMMANDS, &ses->store->target, ses->store->tls, ses->store->clock);
    rb_buf_init(&ses->cmd, RCMD_MAX_BYTES);
    rb_buf_init(&ses->scratch, RCMD_MAX_BYTES);
    *ret_ses = &ses->base;
    return RB_OK;
}

static void redis_session_close(struct rb_store_session *base)
{
    struct redis_session *ses = rses(base);
    rses_next(ses);
    free(ses->replies);
    rconn_release(&ses->conn);
    rb_buf_release(&ses->cmd);
    rb_buf_release(&ses->scratch);
    free(ses);
}

static const struct rb_store_ops ops = {
    .open = redis_open,
    .examine = redis_examine,
    .close = redis_close,
    .up = redis_up,
    .listen = redis_listen,
    .session_open = redis_session_open,
    .session_close = redis_session_close,
    .admit = redis_admit,
    .admitter_open = redis_admitter_open,
    .admitter_close = redis_admitter_close,
    .admitter_add = redis_admitter_add,
    .admitter_pump = redis_admitter_pump,
    .admitter_timeout_ms = redis_admitter_timeout_ms,
    .admitter_in_flight = redis_admitter_in_flight,
    .claim = redis_claim,
    .renew = redis_renew,
    .release = redis_release,
    .settle = redis_settle,
    .report_settle = redis_report_settle,
    .report_requeue = redis_report_requeue,
    .get = redis_get,
    .child_of = redis_child_of,
    .list = redis_list,
    .counts = redis_counts,
    .pause = redis_pause,
    .paused = redis_paused,
    .projects = redis_projects,
    .sheets_get = redis_sheets_get,
    .sheets_put = redis_sheets_put,
    .epoch = redis_epoch,
    .trim = redis_trim,
};

static const char *const schemes[] = {"redis",          "rediss",        "redis+unix",
                                      "redis+sentinel", "redis+cluster", NULL};

const struct rb_store_backend rb_store_backend_redis = {.schemes = schemes, .ops = &ops};
