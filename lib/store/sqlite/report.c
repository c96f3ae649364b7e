/* report.c - the outbox: lines of reports, one line for a destination and chain, of which only the
 * oldest pending one, the head, can be claimed.
 */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "ops.h"
#include "shelf.h"

/* Put the mark on the oldest pending report of the line, unless the marked one is under way. */
static void mark_head(struct rb_sq_db *db, int64_t destination, const char *chain, int64_t now_ms)
{
    sqlite3_stmt *st = rb_sq_query(db, SQ_REPORT_LINE_LEASED, "iti", destination, chain, now_ms);
    if (rb_sq_row(db, st)) {
        rb_sq_end(st);
        return;
    }
    st = rb_sq_query(db, SQ_REPORT_LINE_FIRST, "it", destination, chain);
    if (!rb_sq_row(db, st)) {
        return;
    }
    int64_t first = sqlite3_column_int64(st, 0); /* 0 = the line is empty */
    int64_t due = sqlite3_column_int64(st, 1);
    bool marked = sqlite3_column_int(st, 2) == 1;
    rb_sq_end(st);
    if (first == 0 || marked) {
        return;
    }
    (void)rb_sq_run(db, SQ_REPORT_LINE_CLEAR, "it", destination, chain);
    (void)rb_sq_run(db, SQ_REPORT_HEAD, "i", first);
    rb_sq_note_due(db, RB_TASK_REPORT, due, now_ms);
}

void rb_sq_reports_add(struct rb_sq_db *db, int64_t rid, const struct rb_sq_record *record,
                       uint64_t version, const struct rb_sq_reports *reports, int64_t now_ms)
{
    for (unsigned i = 0; i < reports->n; i++) {
        const struct rb_report_task *t = &reports->items[i];
        char message[64];
        rb_message_id(record->id, t->destination, t->stage, version, message);
        int64_t destination = rb_sq_name_id(db, t->destination);
        int gone = rb_sq_run(db, SQ_REPORT_SUPERSEDE, "itiii", destination, record->chain, rid,
                             (int64_t)t->stage, now_ms);
        (void)rb_sq_run(db, SQ_REPORT_PUT, "itiiitib", rid, record->chain, destination,
                        (int64_t)t->stage, t->due_ms, (const char *)message, (int64_t)version,
                        record->bytes.data, record->bytes.len);
        db->tally.tasks[RB_TASK_REPORT] += 1 - gone;
        mark_head(db, destination, record->chain, now_ms);
    }
}

/* The report that @t's fence still holds. */
struct held {
    int64_t seq, destination;
    char *chain;
};

static bool find_held(struct rb_sq_db *db, struct rb_sq_op *op, struct held *h)
{
    sqlite3_stmt *st =
        rb_sq_query(db, SQ_REPORT_FENCED, "tti", op->id, op->message, (int64_t)op->fence);
    if (op->fence == 0 || !rb_sq_row(db, st)) {
        return false;
    }
    h->seq = sqlite3_column_int64(st, 0);
    h->destination = sqlite3_column_int64(st, 1);
    h->chain = rb_sq_text(db, &op->arena, st, 2);
    rb_sq_end(st);
    return true;
}

static enum rb_code fenced(const struct rb_sq_op *op, struct rb_err *err)
{
    return rb_err_set(err, RB_E_FENCED, "report of retry '%s': the lease has passed on", op->id);
}

enum rb_code rb_sq_op_report_settle(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct held h = {0};
    if (!find_held(db, op, &h)) {
        return fenced(op, err);
    }
    if (op->receipt != NULL) {
        (void)rb_sq_run(db, SQ_RECEIPT_PUT, "it", h.seq, op->receipt);
    }
    switch (op->outcome) {
    case RB_REPORT_AGAIN:
        (void)rb_sq_run(db, SQ_REPORT_AGAIN, "iit", h.seq, op->due_ms, op->text);
        rb_sq_note_due(db, RB_TASK_REPORT, op->due_ms, op->now_ms);
        /* an older one may have been revived meanwhile */
        mark_head(db, h.destination, h.chain, op->now_ms);
        return RB_OK;
    case RB_REPORT_DONE:
        (void)rb_sq_run(db, SQ_REPORT_END, "iit", h.seq, (int64_t)RB_REPORT_DELIVERED,
                        (const char *)NULL);
        break;
    case RB_REPORT_GIVE_UP:
        (void)rb_sq_run(db, SQ_REPORT_END, "iit", h.seq, (int64_t)RB_REPORT_DEAD, op->text);
        break;
    }
    db->tally.tasks[RB_TASK_REPORT]--;
    mark_head(db, h.destination, h.chain, op->now_ms);
    return RB_OK;
}

enum rb_code rb_sq_op_report_renew(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct held h = {0};
    if (!find_held(db, op, &h)) {
        return fenced(op, err);
    }
    (void)rb_sq_run(db, SQ_REPORT_RENEW, "ii", h.seq, op->now_ms + op->lease_ms);
    return RB_OK;
}

enum rb_code rb_sq_op_report_release(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct held h = {0};
    if (!find_held(db, op, &h)) {
        return fenced(op, err);
    }
    (void)rb_sq_run(db, SQ_REPORT_RELEASE, "ii", h.seq, op->due_ms);
    rb_sq_note_due(db, RB_TASK_REPORT, op->due_ms, op->now_ms);
    mark_head(db, h.destination, h.chain, op->now_ms);
    return RB_OK;
}

enum rb_code rb_sq_op_report_requeue(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    struct held h = {0};
    op->number = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_FIND, "t", op->id);
    if (!rb_sq_row(db, st)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", op->id);
    }
    rb_sq_end(st);
    while (rb_sq_row(db, st = rb_sq_query(db, SQ_REPORT_DEAD_OF, "ti", op->id, h.seq))) {
        h.seq = sqlite3_column_int64(st, 0);
        h.destination = sqlite3_column_int64(st, 1);
        h.chain = rb_sq_text(db, &op->arena, st, 2);
        rb_sq_end(st);
        (void)rb_sq_run(db, SQ_REPORT_REVIVE, "ii", h.seq, op->now_ms);
        db->tally.tasks[RB_TASK_REPORT]++;
        op->number++;
        mark_head(db, h.destination, h.chain, op->now_ms);
    }
    return RB_OK;
}

/* ---- claiming ---- */

static void take_due(struct rb_sq_db *db, struct rb_sq_op *op, sqlite3_stmt *st,
                     struct rb_sq_task *t)
{
    *t = (struct rb_sq_task){
        .row = sqlite3_column_int64(st, 0),
        .kind = RB_TASK_REPORT,
        .due_ms = sqlite3_column_int64(st, 1),
        .first_due_ms = sqlite3_column_int64(st, 2),
        .tries = sqlite3_column_int64(st, 3) + 1,
        .attempts = sqlite3_column_int64(st, 4),
        .message = rb_sq_text(db, &op->arena, st, 5),
        .stage = (enum rb_stage)sqlite3_column_int(st, 6),
        .destination = rb_sq_text(db, &op->arena, st, 7),
        .id = rb_sq_text(db, &op->arena, st, 13),
        .receipt = rb_sq_text(db, &op->arena, st, 14),
        .shelf = {.rid = sqlite3_column_int64(st, 12),
                  .version = (uint64_t)sqlite3_column_int64(st, 8),
                  .duplicates = sqlite3_column_int64(st, 10)},
    };
    t->shelf.record.data = rb_sq_blob(db, &op->arena, st, 9, &t->shelf.record.len);
    t->shelf.deliveries.data = rb_sq_blob(db, &op->arena, st, 11, &t->shelf.deliveries.len);
}

enum rb_code rb_sq_op_report_claim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    op->n_tasks = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_REPORT_DUE, "ii", op->now_ms, (int64_t)op->limit);
    while (rb_sq_row(db, st)) {
        take_due(db, op, st, &op->tasks[op->n_tasks++]);
    }
    for (unsigned i = 0; i < op->n_tasks; i++) {
        struct rb_sq_task *t = &op->tasks[i];
        t->fence = rb_sq_fence();
        t->lease_until_ms = op->now_ms + op->lease_ms;
        (void)rb_sq_run(db, SQ_REPORT_LEASE, "iii", t->row, t->lease_until_ms, (int64_t)t->fence);
        rb_sq_shelf_reports(db, &op->arena, &t->shelf);
    }
    rb_sq_claim_next(db, op);
    return RB_OK;
}

/* The snapshot does not decode: the report can never be sent. */
enum rb_code rb_sq_op_report_poison(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    op->outcome = RB_REPORT_GIVE_UP;
    return rb_sq_op_report_settle(db, op, err);
}
