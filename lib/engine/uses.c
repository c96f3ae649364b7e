/* uses.c - how often rules matched, sources delivered and destinations were told, and when last:
 * counted in memory, written to the ledger by the keeper. What was not written when a process died
 * is not counted; nothing is decided by it.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/destination.h>

#include "visit.h"

#define TRIES 20
#define ARENA_BYTES ((size_t)1024 * 1024)

struct rb_uses {
    pthread_mutex_t lock;
    struct rb_uses_sheet now[RB_USE_COUNT]; /* lock; not written yet */
};

static const char *const sheet_names[RB_USE_COUNT] = {
    [RB_USE_RULE] = "u:rule", [RB_USE_SOURCE] = "u:source", [RB_USE_DESTINATION] = "u:destination"};

struct rb_uses *rb_uses_new(void)
{
    struct rb_uses *u = calloc(1, sizeof(*u));
    if (u != NULL) {
        pthread_mutex_init(&u->lock, NULL);
    }
    return u;
}

void rb_uses_free(struct rb_uses *u)
{
    if (u != NULL) {
        pthread_mutex_destroy(&u->lock);
        free(u);
    }
}

void rb_engine_used(struct rb_engine *e, enum rb_use use, const char *name, const char *error)
{
    int64_t now_ms = rb_engine_now_ms(e);
    struct rb_use_row row = {.good = error == NULL ? 1 : 0,
                             .bad = error == NULL ? 0 : 1,
                             .last_ms = error == NULL ? now_ms : 0,
                             .last_bad_ms = error == NULL ? 0 : now_ms};
    if (name == NULL) {
        return;
    }
    (void)snprintf(row.name, sizeof(row.name), "%.63s", name);
    if (error != NULL) {
        (void)snprintf(row.error, sizeof(row.error), "%.159s", error);
    }
    pthread_mutex_lock(&e->uses->lock);
    rb_use_add(&e->uses->now[use], &row);
    pthread_mutex_unlock(&e->uses->lock);
}

static void merge(struct rb_uses_sheet *into, const struct rb_uses_sheet *from)
{
    for (unsigned i = 0; i < from->n; i++) {
        rb_use_add(into, &from->rows[i]);
    }
}

static enum rb_code flush_one(struct rb_worker *w, enum rb_use use,
                              const struct rb_uses_sheet *counted, struct rb_uses_sheet *sheet,
                              struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    enum rb_code rc = RB_E_CONFLICT;
    rb_arena_init(&a, ARENA_BYTES);
    for (unsigned tries = 0; tries < TRIES && rc == RB_E_CONFLICT; tries++) {
        struct rb_set set;
        int64_t now_ms = rb_engine_now_ms(w->e);
        rb_arena_reset(&a);
        rb_set_init(&set, &a);
        unsigned at = rb_set_add(&set, RB_SHEET_USES, sheet, "%s", sheet_names[use]);
        rc = rb_set_read(&set, w->ses, now_ms, err);
        if (rc == RB_OK) {
            merge(sheet, counted);
            set.slots[at].changed = true;
            rc = rb_set_write(&set, w->ses, w->e->random, now_ms, err);
        }
    }
    return rc;
}

enum rb_code rb_uses_flush(struct rb_worker *w, struct rb_err *err)
{
    struct rb_uses *u = w->e->uses;
    RB_CLEANUP(rb_freep) struct rb_uses_sheet *counted = malloc(sizeof(*counted));
    RB_CLEANUP(rb_freep) struct rb_uses_sheet *sheet = malloc(sizeof(*sheet));
    enum rb_code rc = RB_OK;

    if (counted == NULL || sheet == NULL) {
        return RB_OK; /* they stay where they are */
    }
    for (int use = 0; use < RB_USE_COUNT && rc == RB_OK; use++) {
        pthread_mutex_lock(&u->lock);
        *counted = u->now[use];
        u->now[use].n = 0;
        pthread_mutex_unlock(&u->lock);
        if (counted->n == 0) {
            continue;
        }
        rc = flush_one(w, (enum rb_use)use, counted, sheet, err);
        if (rc != RB_OK) {
            pthread_mutex_lock(&u->lock);
            merge(&u->now[use], counted);
            pthread_mutex_unlock(&u->lock);
        }
    }
    return rc == RB_E_CONFLICT ? RB_OK : rc; /* the next one will come through */
}

/* ---- for the API ---- */

enum rb_code rb_engine_uses_read(struct rb_engine *e, struct rb_store_session *ses, enum rb_use use,
                                 struct rb_uses_sheet **ret_set, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_freep) struct rb_uses_sheet *sheet = malloc(sizeof(*sheet));
    struct rb_set set;

    rb_arena_init(&a, ARENA_BYTES);
    if (sheet == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the counts of uses");
    }
    rb_set_init(&set, &a);
    (void)rb_set_add(&set, RB_SHEET_USES, sheet, "%s", sheet_names[use]);
    enum rb_code rc = rb_set_read(&set, ses, rb_engine_now_ms(e), err);
    if (rc == RB_OK) {
        pthread_mutex_lock(&e->uses->lock);
        merge(sheet, &e->uses->now[use]);
        pthread_mutex_unlock(&e->uses->lock);
        *ret_set = RB_TAKE(sheet);
    }
    return rc;
}

void rb_engine_uses_free(struct rb_uses_sheet *set)
{
    free(set);
}

const char *rb_engine_uses_name(const struct rb_uses_sheet *set, unsigned i)
{
    return i < set->n ? set->rows[i].name : NULL;
}

void rb_engine_uses_json(const struct rb_uses_sheet *set, const char *name, struct rb_buf *out)
{
    static const struct rb_use_row never = {.name = ""};
    const struct rb_use_row *row = &never;
    for (unsigned i = 0; i < set->n; i++) {
        row = strcmp(set->rows[i].name, name) == 0 ? &set->rows[i] : row;
    }
    rb_buf_addf(out, ",\"used\":%lld,\"failed\":%lld,", (long long)row->good, (long long)row->bad);
    rb_add_json_time(out, "last_at", row->last_ms);
    rb_buf_addc(out, ',');
    rb_add_json_time(out, "last_failed_at", row->last_bad_ms);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "last_error", row->error[0] == '\0' ? NULL : row->error);
}

const char *rb_engine_destination_standing(struct rb_engine *e, const char *name)
{
    pthread_mutex_lock(&e->lock);
    enum rb_pace_change standing = rb_pace_standing(&e->pace, name);
    pthread_mutex_unlock(&e->lock);
    return standing == RB_PACE_OFF ? "off" : standing == RB_PACE_OPENED ? "failing" : "ok";
}

/* ---- a test of a destination ---- */

enum rb_code rb_engine_test_send(struct rb_engine *e, const char *name, struct rb_httpc *http,
                                 struct rb_codebuild *codebuild, struct rb_post_result *ret,
                                 struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    int64_t now_ms = rb_engine_now_ms(e);
    RB_CLEANUP(rb_retry_freep)
    struct rb_retry *test = rb_destination_test_retry("the dashboard", now_ms);
    const struct rb_destination_setting *d = NULL;

    for (unsigned i = 0; i < rt->settings->n_destinations; i++) {
        d = rb_str_eq(rt->settings->destinations[i].name, name) ? &rt->settings->destinations[i]
                                                                : d;
    }
    if (d == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "there is no destination of this name");
    }
    if (test == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a test message");
    }
    const struct rb_report_view view = {.retry = test,
                                        .stage = RB_STAGE_FINISHED,
                                        .message_id = test->id,
                                        .now_ms = now_ms,
                                        .forge_tokens = e->forge_tokens};
    const struct rb_destination_type *type = rb_destination_type_find(d->type);
    if (type != NULL && type->by_aws && codebuild == NULL) {
        return rb_err_set(err, RB_E_UNAVAIL, "no client for AWS; ask again");
    }
    if (!rb_report_by_aws(codebuild, rt->settings, d, &view, now_ms, ret)) {
        rb_destination_post(d, &view, now_ms, rt->settings, http, e->random, ret);
    }
    rb_engine_used(e, RB_USE_DESTINATION, name,
                   ret->verdict == RB_POST_DELIVERED ? NULL : ret->error);
    return RB_OK;
}
