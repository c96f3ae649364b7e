/* task.c - main tasks: a claim moves the due time to the end of the lease and names a new fence. */
#include "keys.h"
#include "shelf.h"

#define SWEEP_MORE 16 /* rows whose keys are looked at by an admission, besides two each */

enum rb_code rb_sq_op_admit(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    for (unsigned i = 0; i < op->n_admissions && !rb_sq_broken(db); i++) {
        rb_sq_admit(db, &op->admissions[i], false, op->now_ms);
    }
    rb_sq_keys_sweep(db, op->now_ms, 2 * op->n_admissions + SWEEP_MORE);
    return RB_OK;
}

enum rb_code rb_sq_op_settle(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    return rb_sq_settle(db, &op->settle, op->now_ms, err);
}

/* The first main task that its row still wants at that time, into @t; false: none. Notes that are
 * out of date are thrown away on the way. */
static bool first_task(struct rb_sq_db *db, enum rb_task_kind kind, struct rb_arena *a,
                       struct rb_sq_task *t)
{
    struct rb_sq_note note;
    while (!rb_sq_broken(db) && rb_sq_agenda_first(&db->agenda, kind, &note)) {
        sqlite3_stmt *st = rb_sq_query(db, SQ_TASK, "i", note.rid);
        if (rb_sq_row(db, st)) {
            bool good = sqlite3_column_int(st, 0) == (int)kind &&
                        sqlite3_column_int64(st, 1) == note.due_ms;
            if (good) {
                *t = (struct rb_sq_task){
                    .row = note.rid,
                    .kind = kind,
                    .lease_until_ms = note.due_ms, /* the time that stands in the row */
                    .due_ms = sqlite3_column_int64(st, 2),
                    .tries = sqlite3_column_int64(st, 3) + 1,
                    .woken = sqlite3_column_int(st, 4) != 0,
                    .id = a == NULL ? NULL : rb_sq_text(db, a, st, 5),
                };
            }
            rb_sq_end(st);
            if (good) {
                return true;
            }
        }
        if (!rb_sq_broken(db) && !rb_sq_agenda_take(&db->agenda, kind)) {
            rb_sq_fail(db, SQLITE_NOMEM);
        }
    }
    return false;
}

int64_t rb_sq_next_due(struct rb_sq_db *db, enum rb_task_kind kind)
{
    struct rb_sq_task t;
    int64_t due_ms = 0;
    if (kind != RB_TASK_REPORT) {
        return first_task(db, kind, NULL, &t) ? t.lease_until_ms : 0;
    }
    sqlite3_stmt *st = rb_sq_query(db, SQ_REPORT_DUE_NEXT, "");
    if (rb_sq_row(db, st)) {
        due_ms = sqlite3_column_int64(st, 0); /* NULL reads as 0 */
        rb_sq_end(st);
    }
    return due_ms;
}

void rb_sq_claim_next(struct rb_sq_db *db, struct rb_sq_op *op)
{
    op->number = op->n_tasks > 0 ? 0 : rb_sq_next_due(db, op->kind);
    if (op->n_tasks == 0) {
        db->tally.awaited_ms[op->kind] = op->number;
    }
}

static void lease(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_sq_task *t)
{
    t->fence = rb_sq_fence();
    t->lease_until_ms = op->now_ms + op->lease_ms;
    (void)rb_sq_run(db, SQ_LEASE, "iii", t->row, t->lease_until_ms, (int64_t)t->fence);
    if (!rb_sq_agenda_take(&db->agenda, op->kind)) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
    rb_sq_schedule(db, op->kind, t->lease_until_ms, t->row);
    sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_ROW, "t", t->id);
    if (rb_sq_row(db, st)) {
        rb_sq_shelf_take(db, &op->arena, st, &t->shelf);
        rb_sq_end(st);
    }
    rb_sq_shelf_reports(db, &op->arena, &t->shelf);
}

enum rb_code rb_sq_op_claim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->n_tasks = 0;
    struct rb_sq_note note;
    while (op->n_tasks < op->limit && rb_sq_agenda_first(&db->agenda, op->kind, &note) &&
           note.due_ms <= op->now_ms) {
        struct rb_sq_task *t = &op->tasks[op->n_tasks];
        if (!first_task(db, op->kind, &op->arena, t) || t->lease_until_ms > op->now_ms) {
            break;
        }
        lease(db, op, t);
        op->n_tasks++;
    }
    rb_sq_claim_next(db, op);
    return RB_OK;
}

static enum rb_code fenced(const struct rb_sq_op *op, struct rb_err *err)
{
    return rb_err_set(err, RB_E_FENCED, "retry '%s': the lease has passed on", op->id);
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

enum rb_code rb_sq_op_renew(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct own o = {0};
    if (!find_own(db, op, &o)) {
        return fenced(op, err);
    }
    int64_t until_ms = op->now_ms + op->lease_ms;
    (void)rb_sq_run(db, SQ_RENEW, "ii", o.rid, until_ms);
    rb_sq_schedule(db, o.kind, until_ms, o.rid);
    return RB_OK;
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
    rb_sq_schedule(db, o.kind, due, o.rid);
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
