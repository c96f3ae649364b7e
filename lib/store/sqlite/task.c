/* task.c - main tasks: a claim moves the due time to the end of the lease and names a new fence. */
#include "shelf.h"

enum rb_code rb_sq_op_admit(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    for (unsigned i = 0; i < op->n_admissions && !rb_sq_broken(db); i++) {
        rb_sq_admit(db, &op->admissions[i], false, op->now_ms);
    }
    return RB_OK;
}

enum rb_code rb_sq_op_settle(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    return rb_sq_settle(db, &op->settle, op->now_ms, err);
}

void rb_sq_claim_next(struct rb_sq_db *db, struct rb_sq_op *op, enum rb_sq_stmt query)
{
    op->number = 0;
    if (op->n_tasks > 0) {
        return;
    }
    sqlite3_stmt *st = query == SQ_DUE_NEXT ? rb_sq_query(db, query, "i", (int64_t)op->kind)
                                            : rb_sq_query(db, query, "");
    if (rb_sq_row(db, st)) {
        op->number = sqlite3_column_int64(st, 0); /* NULL reads as 0 */
        rb_sq_end(st);
    }
    db->tally.awaited_ms[op->kind] = op->number;
}

enum rb_code rb_sq_op_claim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->n_tasks = 0;
    sqlite3_stmt *st =
        rb_sq_query(db, SQ_DUE, "iii", (int64_t)op->kind, op->now_ms, (int64_t)op->limit);
    while (rb_sq_row(db, st)) {
        op->tasks[op->n_tasks++] = (struct rb_sq_task){
            .row = sqlite3_column_int64(st, 0),
            .kind = op->kind,
            .due_ms = sqlite3_column_int64(st, 2),
            .tries = sqlite3_column_int64(st, 3) + 1,
            .woken = sqlite3_column_int(st, 4) != 0,
            .id = rb_sq_text(db, &op->arena, st, 5),
        };
    }
    for (unsigned i = 0; i < op->n_tasks; i++) {
        struct rb_sq_task *t = &op->tasks[i];
        t->fence = rb_sq_fence();
        t->lease_until_ms = op->now_ms + op->lease_ms;
        (void)rb_sq_run(db, SQ_LEASE, "iii", t->row, t->lease_until_ms, (int64_t)t->fence);
        st = rb_sq_query(db, SQ_RETRY_ROW, "t", t->id);
        if (rb_sq_row(db, st)) {
            rb_sq_shelf_take(db, &op->arena, st, &t->shelf);
            rb_sq_end(st);
        }
        rb_sq_shelf_reports(db, &op->arena, &t->shelf);
    }
    rb_sq_claim_next(db, op, SQ_DUE_NEXT);
    return RB_OK;
}

static enum rb_code fenced(const struct rb_sq_op *op, struct rb_err *err)
{
    return rb_err_set(err, RB_E_FENCED, "retry '%s': the lease has passed on", op->id);
}

enum rb_code rb_sq_op_renew(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    int rows = op->fence == 0 ? 0
                              : rb_sq_run(db, SQ_RENEW, "tii", op->id, (int64_t)op->fence,
                                          op->now_ms + op->lease_ms);
    return rows == 1 ? RB_OK : fenced(op, err);
}

/* The row whose fence is still ours. */
struct own {
    int64_t rid;
    enum rb_task_kind kind;
    enum rb_state state;
    int woken;
};

static bool find_own(struct rb_sq_db *db, const struct rb_sq_op *op, struct own *o)
{
    sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_FIND, "t", op->id);
    if (op->fence == 0 || !rb_sq_row(db, st)) {
        return false;
    }
    uint64_t fence = (uint64_t)sqlite3_column_int64(st, 2);
    o->rid = sqlite3_column_int64(st, 0);
    o->kind = (enum rb_task_kind)sqlite3_column_int(st, 3);
    o->state = (enum rb_state)sqlite3_column_int(st, 4);
    o->woken = sqlite3_column_int(st, 5);
    rb_sq_end(st);
    return fence == op->fence;
}

enum rb_code rb_sq_op_release(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct own o = {0};
    if (!find_own(db, op, &o)) {
        return fenced(op, err);
    }
    bool wake = o.kind == RB_TASK_FOLLOW && (o.woken & 2) != 0 && op->due_ms > op->now_ms;
    int64_t due = wake ? op->now_ms : op->due_ms;
    (void)rb_sq_run(db, SQ_RELEASE, "ii", o.rid, due);
    rb_sq_note_due(db, o.kind, due, op->now_ms);
    return RB_OK;
}

/* The record does not decode: it is set aside, its bytes stay as they are. */
enum rb_code rb_sq_op_poison(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct own o = {0};
    if (!find_own(db, op, &o)) {
        return fenced(op, err);
    }
    (void)rb_sq_run(db, SQ_RETRY_POISON, "iiiiii", o.rid, (int64_t)RB_TASK_NONE, (int64_t)0,
                    (int64_t)0, (int64_t)RB_STATE_DEAD, op->now_ms);
    rb_sq_tally_state(db, o.state, RB_STATE_DEAD);
    rb_sq_tally_task(db, o.kind, RB_TASK_NONE);
    return RB_OK;
}
