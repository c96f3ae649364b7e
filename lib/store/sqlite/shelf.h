/* shelf.h - one request to the writer, and what it brings back.
 *
 * An op is made and filled by a thread that asks, run by the writer inside a transaction (perhaps
 * twice: a batch that failed is repeated one by one), and read by the asker when it is done. All
 * its memory is its arena. Whoever comes last frees it, so that an asker whose deadline passed may
 * go away. Rows come back as bytes ("shelves") and are decoded by the asker.
 */
#ifndef RB_STORE_SQLITE_SHELF_H
#define RB_STORE_SQLITE_SHELF_H

#include "entry.h"

#define RB_SQ_OP_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct rb_sq_report_line {
    const char *destination;
    enum rb_stage stage;
    enum rb_report_state state;
    int64_t attempts;
    const char *last_error;
};
struct rb_sq_shelf {
    int64_t rid;
    uint64_t version;
    int64_t duplicates;
    struct rb_sq_blob record, deliveries;
    struct rb_sq_report_line *reports;
    unsigned n_reports;
};
struct rb_sq_task {
    int64_t row; /* rid or seq */
    enum rb_task_kind kind;
    uint64_t fence;
    int64_t tries, due_ms, lease_until_ms;
    bool woken;
    const char *id;
    struct rb_sq_shelf shelf;
    /* reports */
    const char *destination, *message;
    const char *receipt; /* NULL = none */
    enum rb_stage stage;
    int64_t attempts, first_due_ms;
};

struct rb_sq_waiter; /* writer.h */

struct rb_sq_op {
    enum rb_code (*run)(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
    struct rb_arena arena;
    enum rb_code rc; /* of run, or why the transaction failed */
    struct rb_err err;

    /* the writer's queue; guarded by its lock */
    struct rb_sq_op *next;
    struct rb_sq_waiter *waiter; /* NULL = the asker went away */
    bool queued;                 /* not taken yet */
    bool done;
    int refs;

    bool is_lease; /* changes nothing but leases, which a machine that lost power has lost anyway */

    /* in */
    int64_t now_ms, lease_ms, due_ms, since_ms, after_ms;
    enum rb_task_kind kind;
    uint64_t fence;
    unsigned limit;
    const char *id, *text, *message, *receipt, *project, *source;
    bool on, by_state;
    enum rb_state state;
    enum rb_report_outcome outcome;
    const uint8_t *key;
    /* in and out */
    void *heap; /* freed with the op: the admissions of an admitter, which grow */
    struct rb_sq_admission *admissions;
    unsigned n_admissions;
    struct rb_sq_settle settle;
    /* out */
    struct rb_sq_task *tasks; /* room for limit */
    unsigned n_tasks;
    struct rb_sq_shelf *shelves; /* room for limit */
    unsigned n_shelves;
    bool more;
    int64_t number; /* next due time, count, birth: what the op is about */
    char other_id[RB_ID_BYTES];
    struct rb_counts counts;
    const char **names;
    struct rb_project_seen *projects;
    struct rb_sheet *sheets; /* n_items of them */
    unsigned n_items;
};

/* shelf.c */
uint64_t rb_sq_fence(void); /* random, never 0 */
void rb_sq_shelf_reports(struct rb_sq_db *db, struct rb_arena *a, struct rb_sq_shelf *shelf);
/* rb_sq_shelf_take - columns rid, version, record, n, list of @st. */
void rb_sq_shelf_take(struct rb_sq_db *db, struct rb_arena *a, sqlite3_stmt *st,
                      struct rb_sq_shelf *shelf);
/* rb_sq_shelf_open - the retry with everything beside the record; on the asker's thread.
 * RB_E_CORRUPT when the record does not decode. */
enum rb_code rb_sq_shelf_open(const struct rb_sq_shelf *shelf, struct rb_retry **ret_r,
                              struct rb_err *err);

/* ---- run functions ---- */
enum rb_code rb_sq_op_admit(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
/* task.c */
enum rb_code rb_sq_op_settle(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_claim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_renew(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_release(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_poison(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
/* rb_sq_claim_next - when nothing was due: when the next will be, into op->number. */
void rb_sq_claim_next(struct rb_sq_db *db, struct rb_sq_op *op);
/* rb_sq_next_due - when the first task of @kind is due, 0 = there is none. */
int64_t rb_sq_next_due(struct rb_sq_db *db, enum rb_task_kind kind);
/* report.c */
enum rb_code rb_sq_op_report_settle(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_report_renew(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_report_release(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_report_requeue(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_report_claim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_report_poison(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
/* read.c */
enum rb_code rb_sq_op_get(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_child_of(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_list(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_counts(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_pause(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_paused(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_projects(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
enum rb_code rb_sq_op_epoch(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);
/* trim.c */
enum rb_code rb_sq_op_trim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err);

#endif
