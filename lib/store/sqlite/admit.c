/* admit.c - one admission in the running transaction: token, delivery key, effect key, child index,
 * create. Everything is looked up before anything is written.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "entry.h"
#include "keys.h"

#define LISTED_MAX (RB_DELIVERIES_MAX - 1) /* the first delivery is in the record */
#define ROW_NUMBERS ((int64_t)1 << RB_SQ_RID_SHIFT)
#define CREATED_MAX_MS ((int64_t)1 << 42)

static void copy_id(char to[RB_ID_BYTES], const unsigned char *from)
{
    (void)snprintf(to, RB_ID_BYTES, "%s", from == NULL ? "" : (const char *)from);
}

static void answer(struct rb_sq_admission *a, enum rb_admit_result result,
                   const struct rb_sq_holder *h)
{
    a->result = result;
    memcpy(a->retry_id, h->id, sizeof(a->retry_id));
    a->retry_state = h->state;
}

/* One that is known stays as it is: a repeat does not prolong it. */
static void put_token(struct rb_sq_db *db, const struct rb_sq_admission *a, int64_t rid,
                      int64_t now_ms)
{
    int64_t until = now_ms + (a->token_ttl_ms > 0 ? a->token_ttl_ms : db->delivery_ttl_ms);
    if (a->token_key == NULL) {
        return;
    }
    sqlite3_stmt *st = rb_sq_query(db, SQ_TOKEN_GET, "ki", a->token_key, now_ms);
    if (rb_sq_row(db, st)) {
        rb_sq_end(st);
    } else {
        (void)rb_sq_run(db, SQ_TOKEN_PUT, "kkii", a->token_key, a->fingerprint, rid, until);
    }
}

static bool full_list(struct rb_sq_blob list)
{
    struct rb_delivery d;
    struct rb_arena scratch;
    int n = 0;
    rb_arena_init(&scratch, (size_t)64 * 1024);
    while (rb_sq_unpack_delivery(&list, &scratch, &d)) {
        n++;
    }
    rb_arena_release(&scratch);
    return n >= LISTED_MAX;
}

/* Counted and, up to a number, listed with the retry. */
static void count_duplicate(struct rb_sq_db *db, const struct rb_sq_admission *a, int64_t rid)
{
    if (a->delivery.len == 0) {
        return; /* no delivery: a sweep */
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf list = RB_BUF_INIT((size_t)64 * 1024);
    int64_t n = 1;
    bool full = false;
    sqlite3_stmt *st = rb_sq_query(db, SQ_DUP_GET, "i", rid);
    if (rb_sq_row(db, st)) {
        n = sqlite3_column_int64(st, 0) + 1;
        struct rb_sq_blob old = {.data = sqlite3_column_blob(st, 1),
                                 .len = (size_t)sqlite3_column_bytes(st, 1)};
        full = n > LISTED_MAX && full_list(old);
        if (!full) {
            rb_buf_add(&list, old.data, old.len);
        }
        rb_sq_end(st);
    }
    if (full) {
        (void)rb_sq_run(db, SQ_DUP_COUNT, "i", rid);
        return;
    }
    rb_buf_add(&list, a->delivery.data, a->delivery.len);
    if (rb_buf_failed(&list)) {
        rb_sq_fail(db, SQLITE_NOMEM);
        return;
    }
    (void)rb_sq_run(db, SQ_DUP_PUT, "iib", rid, n, (const void *)list.data, list.len);
}

static void duplicate(struct rb_sq_db *db, struct rb_sq_admission *a, const struct rb_sq_holder *h,
                      bool is_follow_on, int64_t now_ms)
{
    if (strcmp(h->id, a->record.id) == 0) { /* this very admission again: its answer was lost */
        answer(a, RB_ADMIT_NEW, h);
        return;
    }
    answer(a, RB_ADMIT_DUPLICATE, h);
    if (!is_follow_on) {
        put_token(db, a, h->rid, now_ms);
        if (a->delivery_key != NULL && rb_sq_delivery_get(db, a->delivery_key, now_ms).rid == 0) {
            rb_sq_delivery_repeat(db, a->delivery_key, h->rid, now_ms + db->delivery_ttl_ms);
        }
        count_duplicate(db, a, h->rid);
    }
}

/* The follow task of the retry whose child this build is becomes due now; a leased one will at its
 * settle. False: nobody's child, or of the one that the record continues. */
static bool wake_parent(struct rb_sq_db *db, struct rb_sq_admission *a, const char *previous,
                        int64_t now_ms)
{
    struct rb_sq_holder h = {0};
    enum rb_task_kind kind = RB_TASK_NONE;
    int64_t due = 0;
    int64_t fence = 0;
    bool leased = false;
    sqlite3_stmt *st = rb_sq_query(db, SQ_CHILD_GET, "k", a->build_key);
    if (!rb_sq_row(db, st)) {
        return false;
    }
    h.rid = sqlite3_column_int64(st, 0);
    copy_id(h.id, sqlite3_column_text(st, 1));
    h.state = (enum rb_state)sqlite3_column_int(st, 2);
    kind = (enum rb_task_kind)sqlite3_column_int(st, 3);
    due = sqlite3_column_int64(st, 4);
    fence = sqlite3_column_int64(st, 6);
    leased = fence != 0 && sqlite3_column_int64(st, 5) > now_ms;
    rb_sq_end(st);
    if (previous != NULL && strcmp(previous, h.id) == 0) {
        return false;
    }
    if (kind != RB_TASK_NONE) {
        /* 1: told at the claim; 2: for whoever holds a lease, even one that ran out, to pass on */
        bool now = kind == RB_TASK_FOLLOW && !leased;
        int64_t wake_due = now && due > now_ms ? now_ms : due;
        (void)rb_sq_run(db, SQ_RETRY_WAKE, "iiii", h.rid, wake_due,
                        (int64_t)((now ? 1 : 0) | (fence != 0 ? 2 : 0)), now_ms);
        if (now && due > now_ms) {
            rb_sq_schedule(db, kind, wake_due, h.rid);
        }
        if (now) {
            rb_sq_note_due(db, kind, wake_due, now_ms);
        }
    }
    answer(a, RB_ADMIT_CHILD, &h);
    return true;
}

static int64_t next_rid(struct rb_sq_db *db, int64_t created_ms, int64_t now_ms)
{
    int64_t ms = created_ms > 0 && created_ms < CREATED_MAX_MS ? created_ms : now_ms;
    ms = ms > 0 && ms < CREATED_MAX_MS ? ms : 1;
    if (db->tally.rid_ms != ms) {
        int64_t first = ms * ROW_NUMBERS;
        int64_t next = first;
        sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_LAST, "ii", first, first + ROW_NUMBERS);
        if (rb_sq_row(db, st)) {
            if (sqlite3_column_type(st, 0) == SQLITE_INTEGER) {
                next = sqlite3_column_int64(st, 0) + 1;
            }
            rb_sq_end(st);
        }
        db->tally.rid_ms = ms;
        db->tally.rid_next = next;
    }
    if (db->tally.rid_next >= (ms + 1) * ROW_NUMBERS) {
        rb_sq_fail(db, SQLITE_FULL); /* a million of one millisecond */
    }
    return db->tally.rid_next++;
}

static void create(struct rb_sq_db *db, struct rb_sq_admission *a, int64_t now_ms)
{
    const struct rb_sq_record *r = &a->record;
    struct rb_sq_holder self = {.state = r->state};
    int64_t project = rb_sq_name_id(db, r->project);
    int64_t source = rb_sq_name_id(db, r->source);
    int64_t due = a->task == RB_TASK_NONE ? 0 : r->due_ms;
    int64_t ended = rb_state_terminal(r->state) ? now_ms : 0;
    copy_id(self.id, (const unsigned char *)r->id);
    self.rid = next_rid(db, r->created_ms, now_ms);
    answer(a, RB_ADMIT_NEW, &self);
    int rows =
        rb_sq_run(db, SQ_RETRY_PUT, "itiiiiiiikki", self.rid, r->id, (int64_t)r->state, project,
                  source, ended, (int64_t)a->task, due, (int64_t)rb_sq_bucket_for(db, self.rid),
                  a->build_key, a->delivery_key, now_ms + db->delivery_ttl_ms);
    if (rows != 1) {
        return; /* it was there: this admission again, or the transaction is broken */
    }
    (void)rb_sq_run(db, SQ_RECORD_PUT, "ib", self.rid, r->bytes.data, r->bytes.len);
    rb_sq_effect_move(db, a->build_key, self.rid);
    if (a->delivery_key != NULL) {
        rb_sq_delivery_of_row(db, a->delivery_key, self.rid);
    }
    put_token(db, a, self.rid, now_ms);
    rb_sq_schedule(db, a->task, due, self.rid);
    rb_sq_reports_add(db, self.rid, r, 1, &a->reports, now_ms);
    rb_sq_project_seen(db, r->account, r->region, r->project, now_ms);
    rb_sq_tally_state(db, RB_STATE_COUNT, r->state);
    rb_sq_tally_task(db, RB_TASK_NONE, a->task);
    rb_sq_note_due(db, a->task, due, now_ms);
}

static bool known_token(struct rb_sq_db *db, struct rb_sq_admission *a, struct rb_sq_holder *h,
                        int64_t now_ms)
{
    if (a->token_key == NULL) {
        return false;
    }
    sqlite3_stmt *st = rb_sq_query(db, SQ_TOKEN_GET, "ki", a->token_key, now_ms);
    if (!rb_sq_row(db, st)) {
        return false;
    }
    h->rid = sqlite3_column_int64(st, 0);
    copy_id(h->id, sqlite3_column_text(st, 1));
    h->state = (enum rb_state)sqlite3_column_int(st, 2);
    const void *fingerprint = sqlite3_column_blob(st, 3);
    bool same = fingerprint != NULL && sqlite3_column_bytes(st, 3) == RB_SQ_KEY_BYTES &&
                memcmp(fingerprint, a->fingerprint, RB_SQ_KEY_BYTES) == 0;
    rb_sq_end(st);
    answer(a, same ? RB_ADMIT_DUPLICATE : RB_ADMIT_MISMATCH, h);
    return true;
}

static bool effect_held(const struct rb_sq_db *db, const struct rb_sq_admission *a,
                        const struct rb_sq_holder *h, int64_t now_ms)
{
    bool lives = h->ended == 0;
    if (h->rid == 0) {
        return false;
    }
    if (strcmp(h->id, a->record.id) == 0) {
        return true;
    }
    switch (a->mode) {
    case RB_ADMIT_EVENT:
        return lives || h->ended + db->effect_ttl_ms > now_ms;
    case RB_ADMIT_PERSON:
        return lives;
    case RB_ADMIT_FORCE:
    case RB_ADMIT_ENDED:
        break;
    }
    return false;
}

static bool waiting_full(const struct rb_sq_db *db, const struct rb_sq_admission *a)
{
    const int64_t *tasks = db->tally.tasks;
    return a->task != RB_TASK_NONE && db->max_waiting > 0 &&
           tasks[RB_TASK_INSPECT] + tasks[RB_TASK_SUBMIT] + tasks[RB_TASK_FOLLOW] >=
               db->max_waiting;
}

void rb_sq_admit(struct rb_sq_db *db, struct rb_sq_admission *a, bool is_follow_on, int64_t now_ms)
{
    struct rb_sq_holder h = {0};
    a->rc = RB_OK;
    a->result = RB_ADMIT_UNKNOWN;
    a->retry_id[0] = '\0';
    if (a->mode == RB_ADMIT_ENDED) {
        (void)wake_parent(db, a, NULL, now_ms);
        return;
    }
    if (known_token(db, a, &h, now_ms)) {
        if (a->result == RB_ADMIT_DUPLICATE) {
            duplicate(db, a, &h, is_follow_on, now_ms);
        }
        return;
    }
    if (a->delivery_key != NULL) {
        h = rb_sq_delivery_get(db, a->delivery_key, now_ms);
        if (h.rid != 0) {
            duplicate(db, a, &h, is_follow_on, now_ms);
            return;
        }
    }
    h = rb_sq_effect_get(db, a->build_key);
    if (effect_held(db, a, &h, now_ms)) {
        duplicate(db, a, &h, is_follow_on, now_ms);
        return;
    }
    if (a->mode != RB_ADMIT_FORCE && wake_parent(db, a, a->record.previous, now_ms)) {
        return;
    }
    if (!is_follow_on && waiting_full(db, a)) {
        a->rc = RB_E_FULL;
        return;
    }
    create(db, a, now_ms);
}
