/* db.c - statements of the one connection, each prepared once, and the transaction around them. */
#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "db.h"

#define SET_TASK "kind = ?2, due = ?3, first_due = ?3, lease = 0, fence = 0, tries = 0, woken = ?4"

#define LISTED                                                      \
    "SELECT r.rid, r.version, c.record, d.n, d.list FROM retries r" \
    " JOIN records c ON c.rid = r.rid"                              \
    " LEFT JOIN duplicates d ON d.rid = r.rid WHERE r.rid < ?1 AND r.rid >= ?2"
#define ANY_STATE " AND (?3 < 0 OR +r.state = ?3)"
#define ANY_PROJECT " AND (?4 < 0 OR +r.project = ?4)"
#define ANY_SOURCE " AND (?5 < 0 OR +r.source = ?5)"
#define LISTED_END " ORDER BY r.rid DESC LIMIT ?6"

static const char *const sql[SQ_STMT_COUNT] = {
    [SQ_BEGIN] = "BEGIN",
    [SQ_COMMIT] = "COMMIT",
    [SQ_ROLLBACK] = "ROLLBACK",
    /* keys; the joins make an entry whose retry is gone absent */
    [SQ_TOKEN_GET] = "SELECT r.rid, r.id, r.state, t.fingerprint FROM tokens t"
                     " JOIN retries r ON r.rid = t.rid WHERE t.k = ?1 AND t.until > ?2",
    [SQ_TOKEN_PUT] = "INSERT OR REPLACE INTO tokens(k, fingerprint, rid, until)"
                     " VALUES(?1, ?2, ?3, ?4)",
    [SQ_KEYS_OF] = "SELECT rid, id, state, ended, effect, delivery, until FROM retries"
                   " WHERE rid = ?1",
    [SQ_EFFECT_LOST] = "UPDATE retries SET effect = NULL WHERE rid = ?1",
    [SQ_EFFECT_TAKE] = "UPDATE retries SET effect = ?2 WHERE rid = ?1",
    [SQ_REPEAT_GET] = "SELECT r.rid, r.id, r.state, p.k, p.until FROM repeats p"
                      " JOIN retries r ON r.rid = p.rid WHERE p.seq = ?1",
    [SQ_REPEAT_PUT] = "INSERT INTO repeats(k, rid, until) VALUES(?1, ?2, ?3)",
    [SQ_CHILD_GET] = "SELECT r.rid, r.id, r.state, r.kind, r.due, r.lease, r.fence"
                     " FROM children c JOIN retries r ON r.rid = c.rid WHERE c.k = ?1",
    [SQ_CHILD_PUT] = "INSERT OR REPLACE INTO children(k, rid) VALUES(?1, ?2)",
    [SQ_CHILD_DROP] = "DELETE FROM children WHERE k = ?1 AND rid = ?2",
    [SQ_INTENT_GET] = "SELECT r.rid, r.id FROM intents i"
                      " JOIN retries r ON r.rid = i.rid WHERE i.k = ?1",
    [SQ_INTENT_PUT] = "INSERT OR REPLACE INTO intents(k, rid) VALUES(?1, ?2)",
    [SQ_INTENT_DROP] = "DELETE FROM intents WHERE k = ?1 AND rid = ?2",
    /* retries */
    [SQ_RETRY_FIND] = "SELECT rid, version, fence, kind, state, woken, ended, child, intent"
                      " FROM retries WHERE id = ?1",
    [SQ_RETRY_LAST] = "SELECT max(rid) FROM retries WHERE rid >= ?1 AND rid < ?2",
    [SQ_RETRY_PUT] = "INSERT OR IGNORE INTO retries(rid, id, state, project, source, ended, kind,"
                     " due, bucket, effect, delivery, until, version, first_due, lease, fence,"
                     " tries, woken)"
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, ?8, 0, 0, 0,"
                     " 0)",
    [SQ_RECORD_PUT] = "INSERT INTO records(rid, record) VALUES(?1, ?2)",
    [SQ_RECORD_SET] = "UPDATE records SET record = ?2 WHERE rid = ?1",
    [SQ_RETRY_SETTLE] = "UPDATE retries SET version = version + 1, " SET_TASK
                        ", state = ?5, ended = ?6, child = ?7, intent = ?8 WHERE rid = ?1",
    [SQ_RETRY_KEEP] = "UPDATE retries SET version = version + 1, state = ?2, ended = ?3,"
                      " child = ?4, intent = ?5 WHERE rid = ?1",
    [SQ_RETRY_WAKE] = "UPDATE retries SET due = ?2, woken = woken | ?3,"
                      " first_due = CASE ?3 & 1 WHEN 1 THEN min(first_due, ?4) ELSE first_due END"
                      " WHERE rid = ?1",
    [SQ_RETRY_POISON] = "UPDATE retries SET version = version + 1, " SET_TASK
                        ", state = ?5, ended = ?6 WHERE rid = ?1",
    [SQ_RETRY_ROW] = "SELECT r.rid, r.version, c.record, d.n, d.list FROM retries r"
                     " JOIN records c ON c.rid = r.rid"
                     " LEFT JOIN duplicates d ON d.rid = r.rid WHERE r.id = ?1",
    [SQ_RECORD_DROP] = "DELETE FROM records WHERE rid = ?1",
    [SQ_RETRY_DROP] = "DELETE FROM retries WHERE rid = ?1",
    /* a list by the index that the statement is named for; '+' keeps SQLite from another one */
    [SQ_LIST] = LISTED ANY_STATE ANY_PROJECT ANY_SOURCE LISTED_END,
    [SQ_LIST_STATE] = LISTED " AND r.state = ?3" ANY_PROJECT ANY_SOURCE LISTED_END,
    [SQ_LIST_PROJECT] =
        LISTED ANY_STATE " AND r.bucket = ?7 AND r.project = ?4" ANY_SOURCE LISTED_END,
    [SQ_LIST_SOURCE] = LISTED ANY_STATE ANY_PROJECT " AND r.source = ?5" LISTED_END,
    [SQ_DUP_GET] = "SELECT n, list FROM duplicates WHERE rid = ?1",
    [SQ_DUP_PUT] = "INSERT OR REPLACE INTO duplicates(rid, n, list) VALUES(?1, ?2, ?3)",
    [SQ_DUP_COUNT] = "UPDATE duplicates SET n = n + 1 WHERE rid = ?1",
    [SQ_DUP_DROP] = "DELETE FROM duplicates WHERE rid = ?1",
    /* main tasks */
    [SQ_TASK] = "SELECT kind, due, first_due, tries, woken, id FROM retries WHERE rid = ?1",
    [SQ_LEASE] = "UPDATE retries SET due = ?2, lease = ?2, fence = ?3, tries = tries + 1,"
                 " woken = woken <> 0 WHERE rid = ?1",
    [SQ_RENEW] = "UPDATE retries SET due = ?2, lease = ?2 WHERE rid = ?1",
    [SQ_RELEASE] = "UPDATE retries SET due = ?2, first_due = ?2, lease = 0, fence = 0,"
                   " tries = tries - 1, woken = woken <> 0 WHERE rid = ?1",
    /* reports */
    [SQ_REPORT_PUT] = "INSERT INTO reports(rid, chain, destination, stage, state, head, due,"
                      " first_due, lease, fence, tries, attempts, message, version, record)"
                      " VALUES(?1, ?2, ?3, ?4, 0, 0, ?5, ?5, 0, 0, 0, 0, ?6, ?7, ?8)",
    [SQ_REPORT_LINE_FIRST] = "SELECT min(seq), due, head FROM reports"
                             " WHERE destination = ?1 AND chain = ?2 AND state = 0",
    [SQ_REPORT_LINE_LEASED] = "SELECT 1 FROM reports WHERE destination = ?1 AND chain = ?2"
                              " AND state = 0 AND head = 1 AND fence <> 0 AND lease > ?3",
    [SQ_REPORT_LINE_CLEAR] = "UPDATE reports SET head = 0 WHERE destination = ?1 AND chain = ?2"
                             " AND state = 0 AND head = 1",
    [SQ_REPORT_HEAD] = "UPDATE reports SET head = 1 WHERE seq = ?1",
    [SQ_REPORT_SUPERSEDE] = "UPDATE reports SET state = 2, head = 0, fence = 0, record = NULL"
                            " WHERE destination = ?1 AND chain = ?2 AND state = 0 AND rid = ?3"
                            " AND stage < ?4 AND NOT (fence <> 0 AND lease > ?5)",
    [SQ_REPORT_DUE] = "SELECT p.seq, p.due, p.first_due, p.tries, p.attempts, p.message, p.stage,"
                      " n.name, p.version, p.record, d.n, d.list, p.rid, r.id, c.receipt"
                      " FROM reports p"
                      " JOIN names n ON n.nid = p.destination"
                      " JOIN retries r ON r.rid = p.rid"
                      " LEFT JOIN receipts c ON c.destination = p.destination AND c.chain = p.chain"
                      " LEFT JOIN duplicates d ON d.rid = p.rid"
                      " WHERE p.state = 0 AND p.head = 1 AND p.due <= ?1 ORDER BY p.due LIMIT ?2",
    [SQ_REPORT_DUE_NEXT] = "SELECT min(due) FROM reports WHERE state = 0 AND head = 1",
    [SQ_REPORT_LEASE] = "UPDATE reports SET due = ?2, lease = ?2, fence = ?3, tries = tries + 1"
                        " WHERE seq = ?1",
    [SQ_REPORT_FENCED] = "SELECT p.seq, p.destination, p.chain, p.due FROM reports p"
                         " WHERE p.message = ?2 AND p.state = 0 AND p.fence = ?3"
                         " AND p.rid = (SELECT rid FROM retries WHERE id = ?1)",
    [SQ_REPORT_RENEW] = "UPDATE reports SET due = ?2, lease = ?2 WHERE seq = ?1",
    [SQ_REPORT_RELEASE] = "UPDATE reports SET due = ?2, lease = 0, fence = 0, tries = tries - 1"
                          " WHERE seq = ?1",
    [SQ_REPORT_AGAIN] = "UPDATE reports SET due = ?2, lease = 0, fence = 0, tries = 0,"
                        " attempts = attempts + 1, last_error = ?3 WHERE seq = ?1",
    [SQ_REPORT_END] = "UPDATE reports SET state = ?2, head = 0, lease = 0, fence = 0, tries = 0,"
                      " attempts = attempts + 1, last_error = ?3,"
                      " record = CASE ?2 WHEN 3 THEN record END WHERE seq = ?1",
    [SQ_REPORT_DEAD_OF] = "SELECT p.seq, p.destination, p.chain FROM reports p"
                          " WHERE p.rid = (SELECT rid FROM retries WHERE id = ?1) AND p.state = 3"
                          " AND p.seq > ?2 ORDER BY p.seq LIMIT 1",
    [SQ_REPORT_REVIVE] = "UPDATE reports SET state = 0, due = ?2, first_due = ?2 WHERE seq = ?1",
    [SQ_REPORTS_OF] = "SELECT n.name, p.stage, p.state, p.attempts, p.last_error FROM reports p"
                      " JOIN names n ON n.nid = p.destination WHERE p.rid = ?1"
                      " ORDER BY p.seq LIMIT 100",
    [SQ_REPORTS_DROP] = "DELETE FROM reports WHERE rid = ?1",
    [SQ_RECEIPT_PUT] = "INSERT OR REPLACE INTO receipts(destination, chain, rid, receipt)"
                       " SELECT destination, chain, rid, ?2 FROM reports WHERE seq = ?1",
    [SQ_RECEIPTS_DROP] = "DELETE FROM receipts WHERE rid = ?1",
    /* the rest */
    [SQ_COUNT_RETRIES] = "SELECT count(*) FROM retries",
    [SQ_COUNT_REPORTS] = "SELECT count(*) FROM reports WHERE state = 0",
    [SQ_NAME_GET] = "SELECT nid FROM names WHERE name = ?1",
    [SQ_NAME_PUT] = "INSERT INTO names(name) VALUES(?1)",
    [SQ_PROJECT_PUT] = "INSERT INTO projects(account, region, project, last) VALUES(?1, ?2, ?3, ?4)"
                       " ON CONFLICT DO UPDATE SET last = max(last, ?4)",
    [SQ_PROJECTS] = "SELECT account, region, project, last FROM projects WHERE last >= ?1"
                    " ORDER BY last DESC LIMIT ?2",
    [SQ_PAUSE] = "INSERT OR IGNORE INTO paused(name) VALUES(?1)",
    [SQ_RESUME] = "DELETE FROM paused WHERE name = ?1",
    [SQ_PAUSED] = "SELECT name FROM paused ORDER BY name",
    [SQ_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [SQ_META_PUT] = "INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)",
    [SQ_TRIM_FIND] = "SELECT r.rid FROM retries r WHERE r.state = ?1 AND r.rid < ?2"
                     " AND r.ended <= ?3 AND NOT EXISTS"
                     " (SELECT 1 FROM reports p WHERE p.rid = r.rid AND p.state = 0)"
                     " ORDER BY r.rid LIMIT ?4",
    [SQ_TRIM_CHILD] = "DELETE FROM children WHERE rid = ?1 AND k ="
                      " (SELECT child FROM retries WHERE rid = ?1)",
    [SQ_TRIM_INTENT] = "DELETE FROM intents WHERE rid = ?1 AND k ="
                       " (SELECT intent FROM retries WHERE rid = ?1)",
    /* they are in the order of time: when the oldest is not forgotten, none is */
    [SQ_TRIM_REPEATS_FIND] = "SELECT seq, k FROM repeats WHERE until <= ?1 AND seq ="
                             " (SELECT min(seq) FROM repeats)",
    [SQ_REPEAT_DROP] = "DELETE FROM repeats WHERE seq = ?1",
    [SQ_TRIM_TOKENS] = "DELETE FROM tokens WHERE k IN"
                       " (SELECT k FROM tokens WHERE until <= ?1 ORDER BY until LIMIT ?2)",
    [SQ_TRIM_SHEETS] = "DELETE FROM sheets WHERE name IN"
                       " (SELECT name FROM sheets WHERE until <= ?1 ORDER BY until LIMIT ?2)",
    [SQ_SHEET_GET] = "SELECT version, data FROM sheets WHERE name = ?1 AND until > ?2",
    [SQ_SHEET_PUT] = "INSERT OR REPLACE INTO sheets(name, version, until, data)"
                     " VALUES(?1, ?2, ?3, ?4)",
    [SQ_BUCKETS] = "SELECT first FROM buckets ORDER BY first",
    [SQ_BUCKET_PUT] = "INSERT INTO buckets(first) VALUES(?1)",
    [SQ_BUCKET_SIZE] = "SELECT count(*) FROM retries WHERE bucket = ?1",
    [SQ_LOAD] = "SELECT rid, state, kind, due, effect, delivery FROM retries",
    [SQ_LOAD_REPEATS] = "SELECT seq, k FROM repeats",
};

void rb_sq_fail(struct rb_sq_db *db, int sql_rc)
{
    if (db->sql_rc == SQLITE_OK) {
        db->sql_rc = sql_rc;
    }
}

bool rb_sq_broken(const struct rb_sq_db *db)
{
    return db->sql_rc != SQLITE_OK;
}

static sqlite3_stmt *prepared(struct rb_sq_db *db, enum rb_sq_stmt which)
{
    if (db->stmts[which] == NULL) {
        int rc = sqlite3_prepare_v3(db->handle, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->stmts[which], NULL);
        if (rc != SQLITE_OK) {
            rb_sq_fail(db, rc);
        }
    }
    return db->stmts[which];
}

static int bind_one(sqlite3_stmt *st, int at, char type, va_list *ap)
{
    if (type == 'i') {
        return sqlite3_bind_int64(st, at, va_arg(*ap, int64_t));
    }
    const void *p = va_arg(*ap, const void *);
    switch (type) {
    case 'k':
        return sqlite3_bind_blob(st, at, p, RB_SQ_KEY_BYTES, SQLITE_STATIC);
    case 't':
        return sqlite3_bind_text(st, at, p, -1, SQLITE_STATIC);
    default:
        assert(type == 'b');
        /* a NULL pointer would make it NULL, and an empty blob is none */
        size_t len = va_arg(*ap, size_t);
        return sqlite3_bind_blob64(st, at, len == 0 ? "" : p, len, SQLITE_STATIC);
    }
}

static sqlite3_stmt *bind_all(struct rb_sq_db *db, enum rb_sq_stmt which, const char *types,
                              va_list *ap)
{
    sqlite3_stmt *st = rb_sq_broken(db) ? NULL : prepared(db, which);
    for (int i = 0; st != NULL && types[i] != '\0'; i++) {
        int rc = bind_one(st, i + 1, types[i], ap);
        if (rc != SQLITE_OK) {
            rb_sq_fail(db, rc);
            return NULL;
        }
    }
    return st;
}

sqlite3_stmt *rb_sq_query(struct rb_sq_db *db, enum rb_sq_stmt which, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *st = bind_all(db, which, types, &ap);
    va_end(ap);
    return st;
}

bool rb_sq_row(struct rb_sq_db *db, sqlite3_stmt *st)
{
    if (st == NULL) {
        return false;
    }
    if (rb_sq_broken(db)) {
        rb_sq_end(st);
        return false;
    }
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        return true;
    }
    if (rc != SQLITE_DONE) {
        rb_sq_fail(db, rc);
    }
    rb_sq_end(st);
    return false;
}

void rb_sq_end(sqlite3_stmt *st)
{
    if (st != NULL) {
        (void)sqlite3_reset(st); /* repeats the error of the step, which is known */
    }
}

int rb_sq_run(struct rb_sq_db *db, enum rb_sq_stmt which, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *st = bind_all(db, which, types, &ap);
    va_end(ap);
    if (st == NULL) {
        return 0;
    }
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) {
        rb_sq_fail(db, rc == SQLITE_ROW ? SQLITE_INTERNAL : rc);
    }
    rb_sq_end(st);
    return rc == SQLITE_DONE ? sqlite3_changes(db->handle) : 0;
}

char *rb_sq_text(struct rb_sq_db *db, struct rb_arena *a, sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);
    if (text == NULL) {
        return NULL;
    }
    char *copy = rb_arena_strndup(a, (const char *)text, (size_t)sqlite3_column_bytes(st, column));
    if (copy == NULL) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
    return copy;
}

void *rb_sq_blob(struct rb_sq_db *db, struct rb_arena *a, sqlite3_stmt *st, int column,
                 size_t *ret_len)
{
    const void *blob = sqlite3_column_blob(st, column);
    size_t len = (size_t)sqlite3_column_bytes(st, column);
    *ret_len = 0;
    if (blob == NULL || len == 0) {
        return NULL;
    }
    void *copy = rb_arena_alloc(a, len);
    if (copy == NULL) {
        rb_sq_fail(db, SQLITE_NOMEM);
        return NULL;
    }
    memcpy(copy, blob, len);
    *ret_len = len;
    return copy;
}

/* Whoever sleeps until what the last empty claim said must hear of anything earlier. */
void rb_sq_note_due(struct rb_sq_db *db, enum rb_task_kind kind, int64_t due_ms, int64_t now_ms)
{
    if (kind == RB_TASK_NONE) {
        return;
    }
    if (due_ms <= now_ms || db->tally.awaited_ms[kind] == 0 ||
        due_ms < db->tally.awaited_ms[kind]) {
        db->due[kind] = true;
        db->tally.awaited_ms[kind] = due_ms;
    }
}

void rb_sq_schedule(struct rb_sq_db *db, enum rb_task_kind kind, int64_t due_ms, int64_t rid)
{
    if (kind != RB_TASK_NONE && !rb_sq_agenda_add(&db->agenda, kind, due_ms, rid)) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
}

void rb_sq_tally_state(struct rb_sq_db *db, enum rb_state from, enum rb_state to)
{
    if (from < RB_STATE_COUNT) {
        db->tally.by_state[from]--;
    }
    if (to < RB_STATE_COUNT) {
        db->tally.by_state[to]++;
    }
}

void rb_sq_tally_task(struct rb_sq_db *db, enum rb_task_kind from, enum rb_task_kind to)
{
    db->tally.tasks[from] -= from != RB_TASK_NONE;
    db->tally.tasks[to] += to != RB_TASK_NONE;
}

/* to_disk - what is committed from here on is on the disk, or only in the WAL. */
static void to_disk(struct rb_sq_db *db, bool on)
{
    if (db->is_lazy == !on) {
        return;
    }
    const char *pragma = on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
    db->sql_rc = sqlite3_exec(db->handle, pragma, NULL, NULL, NULL);
    db->is_lazy = db->sql_rc == SQLITE_OK ? !on : db->is_lazy;
}

void rb_sq_begin(struct rb_sq_db *db, bool durable)
{
    db->sql_rc = SQLITE_OK;
    to_disk(db, durable);
    db->tally_before = db->tally;
    memset(db->due, 0, sizeof(db->due));
    (void)rb_sq_run(db, SQ_BEGIN, "");
}

void rb_sq_commit(struct rb_sq_db *db)
{
    (void)rb_sq_run(db, SQ_COMMIT, "");
    if (!rb_sq_broken(db)) {
        rb_sq_book_keep(&db->book);
        rb_sq_agenda_keep(&db->agenda);
    }
}

void rb_sq_rollback(struct rb_sq_db *db)
{
    for (int i = 0; i < SQ_STMT_COUNT; i++) {
        rb_sq_end(db->stmts[i]);
    }
    /* SQLite has rolled back by itself after some errors; then this says so, and nothing else */
    sqlite3_stmt *st = prepared(db, SQ_ROLLBACK);
    if (st != NULL && sqlite3_get_autocommit(db->handle) == 0) {
        (void)sqlite3_step(st);
    }
    rb_sq_end(st);
    db->tally = db->tally_before;
    db->beat_judged = false; /* whatever was written about it is undone */
    rb_sq_book_undo(&db->book);
    rb_sq_agenda_undo(&db->agenda);
    memset(db->due, 0, sizeof(db->due));
    rb_sq_names_undo(&db->names);
}
