/* db.h - the one connection: statements, caches and the running transaction. Everything here
 * happens on the writer's thread, inside the transaction that the writer opened.
 *
 * Errors of SQLite are sticky: the first one stays in sql_rc, every later statement of the
 * transaction does nothing, and the writer rolls all of it back. So an operation reads, decides,
 * then writes, and asks rb_sq_broken where a wrong answer would matter. Refusals (fenced, conflict)
 * are decided before the first write and need no rollback.
 */
#ifndef RB_STORE_SQLITE_DB_H
#define RB_STORE_SQLITE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>
#include <sys/types.h>

#include <retrybuild/mem.h>
#include <retrybuild/store.h>

#include "agenda.h"
#include "book.h"
#include "names.h"

#define RB_SQ_KEY_BYTES 16 /* a key of the model as bytes */
#define RB_SQ_RID_SHIFT 20 /* row id of a retry: created_ms << 20 | number within that ms */

enum rb_sq_stmt {
    SQ_BEGIN,
    SQ_COMMIT,
    SQ_ROLLBACK,
    SQ_TOKEN_GET,
    SQ_TOKEN_PUT,
    SQ_KEYS_OF,
    SQ_EFFECT_LOST,
    SQ_EFFECT_TAKE,
    SQ_REPEAT_GET,
    SQ_REPEAT_PUT,
    SQ_CHILD_GET,
    SQ_CHILD_PUT,
    SQ_CHILD_DROP,
    SQ_INTENT_GET,
    SQ_INTENT_PUT,
    SQ_INTENT_DROP,
    SQ_RETRY_FIND,
    SQ_RETRY_LAST,
    SQ_RETRY_PUT,
    SQ_RECORD_PUT,
    SQ_RECORD_SET,
    SQ_RETRY_SETTLE,
    SQ_RETRY_KEEP,
    SQ_RETRY_WAKE,
    SQ_RETRY_POISON,
    SQ_RETRY_ROW,
    SQ_RETRY_DROP,
    SQ_RECORD_DROP,
    SQ_LIST,
    SQ_LIST_STATE,
    SQ_LIST_PROJECT,
    SQ_LIST_SOURCE,
    SQ_DUP_GET,
    SQ_DUP_PUT,
    SQ_DUP_COUNT,
    SQ_DUP_DROP,
    SQ_TASK,
    SQ_LEASE,
    SQ_RENEW,
    SQ_RELEASE,
    SQ_REPORT_PUT,
    SQ_REPORT_LINE_FIRST,
    SQ_REPORT_LINE_LEASED,
    SQ_REPORT_LINE_CLEAR,
    SQ_REPORT_HEAD,
    SQ_REPORT_SUPERSEDE,
    SQ_REPORT_DUE,
    SQ_REPORT_DUE_NEXT,
    SQ_REPORT_LEASE,
    SQ_REPORT_FENCED,
    SQ_REPORT_RENEW,
    SQ_REPORT_RELEASE,
    SQ_REPORT_AGAIN,
    SQ_REPORT_END,
    SQ_REPORT_DEAD_OF,
    SQ_REPORT_REVIVE,
    SQ_REPORTS_OF,
    SQ_REPORTS_DROP,
    SQ_RECEIPT_PUT,
    SQ_RECEIPTS_DROP,
    SQ_COUNT_RETRIES,
    SQ_COUNT_REPORTS,
    SQ_NAME_GET,
    SQ_NAME_PUT,
    SQ_PROJECT_PUT,
    SQ_PROJECTS,
    SQ_PAUSE,
    SQ_RESUME,
    SQ_PAUSED,
    SQ_META_GET,
    SQ_META_PUT,
    SQ_TRIM_FIND,
    SQ_TRIM_CHILD,
    SQ_TRIM_INTENT,
    SQ_TRIM_REPEATS_FIND,
    SQ_REPEAT_DROP,
    SQ_TRIM_TOKENS,
    SQ_TRIM_SHEETS,
    SQ_SHEET_GET,
    SQ_SHEET_PUT,
    SQ_BUCKETS,
    SQ_BUCKET_PUT,
    SQ_BUCKET_SIZE,
    SQ_LOAD,
    SQ_LOAD_REPEATS,
    SQ_STMT_COUNT
};

/* Numbers that a rollback puts back. */
struct rb_sq_tally {
    int64_t by_state[RB_STATE_COUNT];
    int64_t tasks[RB_TASK_KIND_COUNT];
    int64_t rid_ms; /* the last row id given out, to number retries of one millisecond */
    int64_t rid_next;
    int64_t awaited_ms[RB_TASK_KIND_COUNT]; /* what the last empty claim said; 0 = nothing */
    size_t n_buckets;
    int64_t in_bucket;   /* rows of the newest bucket */
    int64_t highest_rid; /* of all rows ever seen */
};

struct rb_sq_db {
    sqlite3 *handle;
    sqlite3_stmt *stmts[SQ_STMT_COUNT]; /* prepared at first use */
    int sql_rc;                         /* first error of this transaction, extended; 0 = none */
    struct rb_sq_tally tally, tally_before;
    bool beat_judged; /* the age of the last beat was looked at since the file was opened */
    struct rb_sq_names names;
    struct rb_sq_book book;
    struct rb_sq_agenda agenda;
    int64_t *buckets; /* tally.n_buckets row ids, ascending; the first is 0 */
    size_t max_buckets;
    bool due[RB_TASK_KIND_COUNT]; /* may have become due in this transaction */
    int wal_pages;                /* not copied back yet */
    bool is_lazy;                 /* a commit does not wait for the disk now */
    /* settings */
    int64_t delivery_ttl_ms, effect_ttl_ms, max_waiting;
    /* the file */
    char *path;
    int lock_fd; /* holds the lock on "<path>.lock" */
    dev_t dev;
    ino_t ino;
};

/* buckets.c */
/* rb_sq_bucket_of - the bucket that the row id lies in. */
size_t rb_sq_bucket_of(const struct rb_sq_db *db, int64_t rid);
/* rb_sq_bucket_add - one more, in memory; false: the transaction is broken. */
bool rb_sq_bucket_add(struct rb_sq_db *db, int64_t first);
/* rb_sq_bucket_for - the same for a row about to be written; the newest may begin with it. */
size_t rb_sq_bucket_for(struct rb_sq_db *db, int64_t rid);
/* load.c - book, agenda, buckets and tally from the tables */
void rb_sq_load(struct rb_sq_db *db);

/* open.c */
enum rb_code rb_sq_db_open(const char *path, const struct rb_settings *settings,
                           struct rb_sq_db **ret_db, struct rb_err *err);
void rb_sq_db_close(struct rb_sq_db *db); /* NULL accepted */
void rb_sq_db_closep(struct rb_sq_db **db);
/* rb_sq_db_present - the path still leads to the file that is open. */
bool rb_sq_db_present(const struct rb_sq_db *db);

/* schema.c - scripts[i] leads from version i to i + 1 */
extern const char *const rb_sq_schema[];
extern const int rb_sq_schema_version;
extern const int rb_sq_application_id;

/* db.c */
/* rb_sq_query - the statement bound by @types: i int64_t, k key (const uint8_t *, NULL = NULL),
 * t text (NULL = NULL), b const void * and size_t. Borrowed until the next step of the same
 * statement. NULL when the transaction is broken. */
sqlite3_stmt *rb_sq_query(struct rb_sq_db *db, enum rb_sq_stmt which, const char *types, ...);
/* rb_sq_row - the next row; false at the end or when broken; then @st is reset. */
bool rb_sq_row(struct rb_sq_db *db, sqlite3_stmt *st);
void rb_sq_end(sqlite3_stmt *st); /* reset before the last row; NULL accepted */
/* rb_sq_run - bind, run, reset; *the number of changed rows*. */
int rb_sq_run(struct rb_sq_db *db, enum rb_sq_stmt which, const char *types, ...);
bool rb_sq_broken(const struct rb_sq_db *db);
void rb_sq_fail(struct rb_sq_db *db, int sql_rc); /* break the transaction ourselves */
/* columns, copied into @a; exhaustion breaks the transaction */
char *rb_sq_text(struct rb_sq_db *db, struct rb_arena *a, sqlite3_stmt *st, int column);
void *rb_sq_blob(struct rb_sq_db *db, struct rb_arena *a, sqlite3_stmt *st, int column,
                 size_t *ret_len);
/* rb_sq_note_due - a task will be due then: who waits hears of it. */
void rb_sq_note_due(struct rb_sq_db *db, enum rb_task_kind kind, int64_t due_ms, int64_t now_ms);
/* rb_sq_schedule - the row of a main task was given this due time. */
void rb_sq_schedule(struct rb_sq_db *db, enum rb_task_kind kind, int64_t due_ms, int64_t rid);
/* rb_sq_tally_move - a retry goes from one state to another; RB_STATE_COUNT = from or to nowhere */
void rb_sq_tally_state(struct rb_sq_db *db, enum rb_state from, enum rb_state to);
void rb_sq_tally_task(struct rb_sq_db *db, enum rb_task_kind from, enum rb_task_kind to);
/* begin, commit, roll back: sql_rc tells. Durable: the commit waits for the disk. */
void rb_sq_begin(struct rb_sq_db *db, bool durable);
void rb_sq_commit(struct rb_sq_db *db);
void rb_sq_rollback(struct rb_sq_db *db);

#endif
