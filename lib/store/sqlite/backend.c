/* backend.c - the SQLite row of the table of stores: "sqlite:PATH". */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/thread.h>

#include "file.h"
#include "session.h"

static const char *const schemes[] = {"sqlite", NULL};

static enum rb_code path_of(const char *url, const char **ret_path, struct rb_err *err)
{
    const char *path = url + strlen("sqlite:");

    if (strncmp(path, "//", 2) == 0) {
        path += 2; /* sqlite:///var/lib/x is /var/lib/x */
    }
    if (path[0] == '\0' || path[0] == ':') {
        return rb_err_set(err, RB_E_INVALID, "store.url: 'sqlite:' needs the path of a file");
    }
    *ret_path = path;
    return RB_OK;
}

static enum rb_code examine_store(const char *url, struct rb_settings *settings,
                                  const struct rb_clock *clock, struct rb_arena *a,
                                  struct rb_store_health *ret_h, struct rb_err *err)
{
    const char *path = NULL;

    (void)settings;
    (void)clock;
    ret_h->kind = "sqlite";
    enum rb_code rc = path_of(url, &path, err);
    if (rc == RB_OK) {
        ret_h->place = rb_arena_strdup(a, path);
        rc = rb_sq_examine(path, a, ret_h, err);
    }
    return rc;
}

static enum rb_code open_store(const char *url, struct rb_settings *settings,
                               const struct rb_clock *clock, struct rb_store **ret_store,
                               struct rb_err *err)
{
    const char *path = NULL;
    (void)clock;
    enum rb_code rc = path_of(url, &path, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_sq_store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    rc = rb_sq_db_open(path, settings, &s->db, err);
    if (rc != RB_OK) {
        free(s);
        return rc;
    }
    rb_bell_init(&s->base.due);
    (void)pthread_mutex_init(&s->m, NULL);
    rb_cond_init(&s->wake);
    atomic_init(&s->health, RB_SQ_UP);
    rc = rb_sq_writer_start(s, err);
    if (rc != RB_OK) {
        rb_sq_db_close(s->db);
        (void)pthread_cond_destroy(&s->wake);
        (void)pthread_mutex_destroy(&s->m);
        rb_bell_release(&s->base.due);
        free(s);
        return rc;
    }
    *ret_store = &s->base;
    return RB_OK;
}

static void close_store(struct rb_store *base)
{
    struct rb_sq_store *s = (struct rb_sq_store *)base;
    rb_sq_writer_stop(s);
    rb_sq_db_close(s->db);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->m);
    rb_bell_release(&s->base.due);
    free(s);
}

static bool store_up(const struct rb_store *base)
{
    const struct rb_sq_store *s = (const struct rb_sq_store *)base;
    return atomic_load(&s->health) == RB_SQ_UP;
}

static const struct rb_store_ops ops = {
    .open = open_store,
    .examine = examine_store,
    .close = close_store,
    .up = store_up,
    .session_open = rb_sq_session_open,
    .session_close = rb_sq_session_close,
    .admit = rb_sq_session_admit,
    .admitter_open = rb_sq_admitter_open,
    .admitter_close = rb_sq_admitter_close,
    .admitter_add = rb_sq_admitter_add,
    .admitter_pump = rb_sq_admitter_pump,
    .admitter_timeout_ms = rb_sq_admitter_timeout_ms,
    .admitter_in_flight = rb_sq_admitter_in_flight,
    .claim = rb_sq_session_claim,
    .renew = rb_sq_session_renew,
    .release = rb_sq_session_release,
    .settle = rb_sq_session_settle,
    .report_settle = rb_sq_session_report_settle,
    .report_requeue = rb_sq_session_report_requeue,
    .get = rb_sq_session_get,
    .child_of = rb_sq_session_child_of,
    .list = rb_sq_session_list,
    .counts = rb_sq_session_counts,
    .pause = rb_sq_session_pause,
    .paused = rb_sq_session_paused,
    .projects = rb_sq_session_projects,
    .sheets_get = rb_sq_session_sheets_get,
    .sheets_put = rb_sq_session_sheets_put,
    .epoch = rb_sq_session_epoch,
    .trim = rb_sq_session_trim,
};

const struct rb_store_backend rb_store_backend_sqlite = {.schemes = schemes, .ops = &ops};
