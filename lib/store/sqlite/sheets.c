/* sheets.c - the ledger's sheets: a row each; what is written together is one transaction anyway.
 */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "session.h"

/* ---- on the writer's thread ---- */

/* look - the sheet's present version, 0 = none; its data where @ret is given. */
static uint64_t look(struct rb_sq_db *db, struct rb_sq_op *op, const char *name,
                     struct rb_sheet *ret)
{
    uint64_t version = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_SHEET_GET, "ti", name, op->now_ms);
    if (rb_sq_row(db, st)) {
        version = (uint64_t)sqlite3_column_int64(st, 0);
        if (ret != NULL) {
            ret->data = rb_sq_blob(db, &op->arena, st, 1, &ret->len);
        }
        rb_sq_end(st);
    }
    return version;
}

static enum rb_code op_get(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    for (unsigned i = 0; i < op->n_items; i++) {
        op->sheets[i].data = NULL;
        op->sheets[i].len = 0;
        op->sheets[i].version = look(db, op, op->sheets[i].name, &op->sheets[i]);
    }
    return RB_OK;
}

static enum rb_code op_put(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    bool fresh = true;
    bool repeated = true;
    for (unsigned i = 0; i < op->n_items; i++) {
        const struct rb_sheet *s = &op->sheets[i];
        uint64_t version = look(db, op, s->name, NULL);
        fresh = fresh && version == s->version;
        repeated = repeated && s->next != 0 && version == s->next;
    }
    if (repeated) {
        return RB_OK;
    }
    if (!fresh && !rb_sq_broken(db)) {
        return rb_err_set(err, RB_E_CONFLICT, "the ledger changed meanwhile");
    }
    for (unsigned i = 0; i < op->n_items; i++) {
        const struct rb_sheet *s = &op->sheets[i];
        if (s->next != 0) {
            (void)rb_sq_run(db, SQ_SHEET_PUT, "tiib", s->name, (int64_t)s->next,
                            op->now_ms + s->ttl_ms, (const void *)s->data, s->len);
        }
    }
    return RB_OK;
}

/* ---- on the asker's ---- */

static struct rb_sq_op *make_op(enum rb_code (*run)(struct rb_sq_db *, struct rb_sq_op *,
                                                    struct rb_err *),
                                const struct rb_sheet *sheets, unsigned n, int64_t now_ms)
{
    struct rb_sq_op *op = rb_sq_op_new(run);
    if (op == NULL) {
        return NULL;
    }
    op->now_ms = now_ms;
    op->sheets = rb_arena_alloc(&op->arena, n * sizeof(*op->sheets));
    for (unsigned i = 0; op->sheets != NULL && i < n; i++) {
        struct rb_sheet *s = &op->sheets[i];
        uint8_t *data = rb_arena_alloc(&op->arena, sheets[i].len + 1);
        *s = sheets[i];
        s->name = rb_arena_strdup(&op->arena, sheets[i].name);
        if (s->name == NULL || data == NULL) {
            return op; /* n_items says that it is not whole */
        }
        if (sheets[i].len > 0) {
            memcpy(data, sheets[i].data, sheets[i].len);
        }
        s->data = data;
        op->n_items = i + 1;
    }
    return op;
}

static enum rb_code no_memory(struct rb_sq_session *ses, struct rb_sq_op *op, struct rb_err *err)
{
    if (op != NULL) {
        rb_sq_op_drop(ses->store, op);
    }
    return rb_err_set(err, RB_E_NOMEM, "no memory for the ledger");
}

enum rb_code rb_sq_session_sheets_get(struct rb_store_session *base, struct rb_sheet *sheets,
                                      unsigned n, int64_t now_ms, struct rb_arena *a,
                                      struct rb_err *err)
{
    struct rb_sq_session *ses = (struct rb_sq_session *)base;
    for (unsigned i = 0; i < n; i++) {
        sheets[i].len = 0;
    }
    struct rb_sq_op *op = make_op(op_get, sheets, n, now_ms);
    if (op == NULL || op->n_items < n) {
        return no_memory(ses, op, err);
    }
    enum rb_code rc = rb_sq_ask(ses, op, err);
    if (rc != RB_OK) {
        return rc;
    }
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        const struct rb_sheet *from = &op->sheets[i];
        uint8_t *data = from->version == 0 ? NULL : rb_arena_alloc(a, from->len + 1);
        if (from->version != 0 && data == NULL) {
            rc = rb_err_set(err, RB_E_NOMEM, "no memory for the ledger");
            break;
        }
        if (from->version != 0 && from->len > 0) {
            memcpy(data, from->data, from->len);
        }
        sheets[i].version = from->version;
        sheets[i].data = data;
        sheets[i].len = from->version == 0 ? 0 : from->len;
    }
    rb_sq_op_drop(ses->store, op);
    return rc;
}

enum rb_code rb_sq_session_sheets_put(struct rb_store_session *base, const struct rb_sheet *sheets,
                                      unsigned n, int64_t now_ms, struct rb_err *err)
{
    struct rb_sq_session *ses = (struct rb_sq_session *)base;
    struct rb_sq_op *op = make_op(op_put, sheets, n, now_ms);
    if (op == NULL || op->n_items < n) {
        return no_memory(ses, op, err);
    }
    enum rb_code rc = rb_sq_ask(ses, op, err);
    if (rc == RB_OK) {
        rb_sq_op_drop(ses->store, op);
    }
    return rc;
}
