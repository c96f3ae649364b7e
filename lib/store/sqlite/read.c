/* read.c - what changes nothing, or next to nothing: get, list, counts, switches, projects, epoch.
 */
#include <stdio.h>

#include "shelf.h"

#define LAST_RID INT64_MAX

enum rb_code rb_sq_op_get(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    op->n_shelves = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_ROW, "t", op->id);
    if (!rb_sq_row(db, st)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", op->id);
    }
    rb_sq_shelf_take(db, &op->arena, st, &op->shelves[0]);
    rb_sq_end(st);
    rb_sq_shelf_reports(db, &op->arena, &op->shelves[0]);
    op->n_shelves = 1;
    return RB_OK;
}

enum rb_code rb_sq_op_child_of(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->other_id[0] = '\0';
    sqlite3_stmt *st = rb_sq_query(db, SQ_CHILD_GET, "k", op->key);
    if (rb_sq_row(db, st)) {
        const unsigned char *id = sqlite3_column_text(st, 1);
        (void)snprintf(op->other_id, sizeof(op->other_id), "%s",
                       id == NULL ? "" : (const char *)id);
        rb_sq_end(st);
    }
    return RB_OK;
}

/* Row ids below this come after the cursor. When the cursor's retry is gone, those of its
 * millisecond are skipped with it: a page must never repeat. */
static int64_t below(struct rb_sq_db *db, const struct rb_sq_op *op)
{
    if (op->id[0] == '\0') {
        return LAST_RID;
    }
    int64_t rid = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_FIND, "t", op->id);
    if (rb_sq_row(db, st)) {
        rid = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
    }
    if (rid == 0 && op->after_ms > 0 && op->after_ms < LAST_RID >> RB_SQ_RID_SHIFT) {
        rid = op->after_ms * ((int64_t)1 << RB_SQ_RID_SHIFT);
    }
    return rid;
}

/* The narrowest index first. A state that is rare beats a project, a common one does not. */
static enum rb_sq_stmt list_by(const struct rb_sq_db *db, const struct rb_sq_op *op)
{
    const int64_t few = 10000;
    if (op->by_state && (op->project == NULL || db->tally.by_state[op->state] <= few)) {
        return SQ_LIST_STATE;
    }
    if (op->project != NULL) {
        return SQ_LIST_PROJECT;
    }
    return op->source != NULL ? SQ_LIST_SOURCE : SQ_LIST;
}

enum rb_code rb_sq_op_list(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->n_shelves = 0;
    op->more = false;
    const int64_t any = -1;
    int64_t project = op->project == NULL ? any : rb_sq_name_find(db, op->project);
    int64_t source = op->source == NULL ? any : rb_sq_name_find(db, op->source);
    int64_t since = op->since_ms <= 0 ? 0 : op->since_ms;
    if (project == 0 || source == 0 || since > LAST_RID >> RB_SQ_RID_SHIFT) {
        return RB_OK; /* a name that no retry has, or a time that none can have */
    }
    sqlite3_stmt *st = rb_sq_query(
        db, list_by(db, op), "iiiiii", below(db, op), since * ((int64_t)1 << RB_SQ_RID_SHIFT),
        op->by_state ? (int64_t)op->state : any, project, source, (int64_t)op->limit + 1);
    while (rb_sq_row(db, st)) {
        if (op->n_shelves == op->limit) {
            op->more = true;
            rb_sq_end(st);
            break;
        }
        struct rb_sq_shelf *shelf = &op->shelves[op->n_shelves++];
        rb_sq_shelf_take(db, &op->arena, st, shelf);
        rb_sq_shelf_reports(db, &op->arena, shelf);
    }
    return RB_OK;
}

enum rb_code rb_sq_op_counts(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    for (int s = 0; s < RB_STATE_COUNT; s++) {
        op->counts.by_state[s] = db->tally.by_state[s];
    }
    for (int k = RB_TASK_NONE + 1; k < RB_TASK_KIND_COUNT; k++) {
        sqlite3_stmt *st = k == RB_TASK_REPORT ? rb_sq_query(db, SQ_REPORT_DUE_NEXT, "")
                                               : rb_sq_query(db, SQ_DUE_NEXT, "i", (int64_t)k);
        op->counts.tasks[k] = db->tally.tasks[k];
        op->counts.oldest_due_ms[k] = 0;
        if (rb_sq_row(db, st)) {
            op->counts.oldest_due_ms[k] = sqlite3_column_int64(st, 0);
            rb_sq_end(st);
        }
    }
    return RB_OK;
}

enum rb_code rb_sq_op_pause(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    (void)rb_sq_run(db, op->on ? SQ_PAUSE : SQ_RESUME, "t", op->project);
    return RB_OK;
}

enum rb_code rb_sq_op_paused(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->n_items = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_PAUSED, "");
    while (rb_sq_row(db, st)) {
        if (op->n_items == op->limit) {
            rb_sq_end(st);
            break;
        }
        op->names[op->n_items++] = rb_sq_text(db, &op->arena, st, 0);
    }
    return RB_OK;
}

enum rb_code rb_sq_op_projects(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->n_items = 0;
    rb_sq_projects_flush(db);
    sqlite3_stmt *st = rb_sq_query(db, SQ_PROJECTS, "ii", op->since_ms, (int64_t)op->limit);
    while (op->n_items < op->limit && rb_sq_row(db, st)) {
        op->projects[op->n_items++] = (struct rb_project_seen){
            .account = rb_sq_text(db, &op->arena, st, 0),
            .region = rb_sq_text(db, &op->arena, st, 1),
            .project = rb_sq_text(db, &op->arena, st, 2),
            .last_ms = sqlite3_column_int64(st, 3),
        };
    }
    rb_sq_end(st);
    return RB_OK;
}

enum rb_code rb_sq_op_epoch(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    sqlite3_stmt *st = rb_sq_query(db, SQ_META_GET, "t", "epoch");
    if (rb_sq_row(db, st)) {
        op->number = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
        return RB_OK;
    }
    op->number = op->now_ms;
    (void)rb_sq_run(db, SQ_META_PUT, "ti", "epoch", op->now_ms);
    return RB_OK;
}
