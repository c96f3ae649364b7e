/* load.c - what is kept in memory, read from the tables at the start: one pass over the rows. */
#include "db.h"
#include "keys.h"

static void load_buckets(struct rb_sq_db *db)
{
    (void)rb_sq_bucket_add(db, 0);
    sqlite3_stmt *st = rb_sq_query(db, SQ_BUCKETS, "");
    while (rb_sq_row(db, st)) {
        (void)rb_sq_bucket_add(db, sqlite3_column_int64(st, 0));
    }
    st = rb_sq_query(db, SQ_BUCKET_SIZE, "i", (int64_t)db->tally.n_buckets - 1);
    if (rb_sq_row(db, st)) {
        db->tally.in_bucket = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
    }
}

static void enter(struct rb_sq_db *db, enum rb_sq_domain domain, sqlite3_stmt *st, int column,
                  int64_t ref)
{
    const void *key = sqlite3_column_blob(st, column);
    if (key == NULL || sqlite3_column_bytes(st, column) != RB_SQ_KEY_BYTES) {
        return;
    }
    if (!rb_sq_book_enter(&db->book, domain, key, ref)) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
    rb_sq_book_keep(&db->book); /* nothing of this will be undone */
}

/* @beat_ms: the last sign of life. What had run out by then is left out: the time now is not known
 * here, for it comes with the requests. */
static void load_row(struct rb_sq_db *db, sqlite3_stmt *st, int64_t beat_ms)
{
    int64_t rid = sqlite3_column_int64(st, 0);
    int64_t state = sqlite3_column_int64(st, 1);
    int64_t kind = sqlite3_column_int64(st, 2);
    if (state >= 0 && state < RB_STATE_COUNT) {
        db->tally.by_state[state]++;
    }
    if (kind > RB_TASK_NONE && kind < RB_TASK_REPORT) {
        db->tally.tasks[kind]++;
        rb_sq_schedule(db, (enum rb_task_kind)kind, sqlite3_column_int64(st, 3), rid);
    }
    int64_t ended = sqlite3_column_int64(st, 6);
    int64_t until = sqlite3_column_int64(st, 7);
    if (ended == 0 || ended + db->effect_ttl_ms > beat_ms) {
        enter(db, RB_SQ_EFFECTS, st, 4, rid);
    }
    if (until > beat_ms) {
        enter(db, RB_SQ_DELIVERIES, st, 5, rid);
    } else if (db->tally.swept_rid == db->tally.highest_rid) {
        db->tally.swept_rid = rid; /* as were all before it */
    }
    db->tally.highest_rid = rid > db->tally.highest_rid ? rid : db->tally.highest_rid;
}

static int64_t last_beat(struct rb_sq_db *db)
{
    int64_t beat_ms = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_META_GET, "t", "beat");
    if (rb_sq_row(db, st)) {
        beat_ms = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
    }
    return beat_ms;
}

void rb_sq_load(struct rb_sq_db *db)
{
    int64_t beat_ms = last_beat(db);
    load_buckets(db);
    sqlite3_stmt *st = rb_sq_query(db, SQ_LOAD, "");
    while (rb_sq_row(db, st)) {
        load_row(db, st, beat_ms);
    }
    st = rb_sq_query(db, SQ_LOAD_REPEATS, "");
    while (rb_sq_row(db, st)) {
        enter(db, RB_SQ_DELIVERIES, st, 1, -sqlite3_column_int64(st, 0));
    }
    st = rb_sq_query(db, SQ_COUNT_REPORTS, "");
    if (rb_sq_row(db, st)) {
        db->tally.tasks[RB_TASK_REPORT] = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
    }
}
