/* keys.c - a reference is a row id, or the negative number of a repeat. */
#include <stdio.h>
#include <string.h>

#include "keys.h"

enum key_column { EFFECT = 4, DELIVERY = 5 };

static bool same_key(sqlite3_stmt *st, int column, const uint8_t *key)
{
    const void *stored = sqlite3_column_blob(st, column);
    return stored != NULL && sqlite3_column_bytes(st, column) == RB_SQ_KEY_BYTES &&
           memcmp(stored, key, RB_SQ_KEY_BYTES) == 0;
}

static struct rb_sq_holder take_holder(sqlite3_stmt *st)
{
    const unsigned char *id = sqlite3_column_text(st, 1);
    struct rb_sq_holder h = {.rid = sqlite3_column_int64(st, 0),
                             .state = (enum rb_state)sqlite3_column_int(st, 2)};
    (void)snprintf(h.id, sizeof(h.id), "%s", id == NULL ? "" : (const char *)id);
    return h;
}

struct rb_sq_holder rb_sq_effect_get(struct rb_sq_db *db, const uint8_t *key)
{
    struct rb_sq_holder h = {0};
    size_t at = SIZE_MAX;
    for (int64_t ref = 0;
         !rb_sq_broken(db) && (ref = rb_sq_book_next(&db->book, RB_SQ_EFFECTS, key, &at)) != 0;) {
        sqlite3_stmt *st = rb_sq_query(db, SQ_KEYS_OF, "i", ref);
        if (rb_sq_row(db, st)) {
            int64_t ended = sqlite3_column_int64(st, 3);
            /* one whose time was over when another came may still have the key in its row */
            bool better = h.rid == 0 || (h.ended != 0 && (ended == 0 || ended > h.ended));
            if (better && same_key(st, EFFECT, key)) {
                h = take_holder(st);
                h.ended = ended;
            }
            rb_sq_end(st);
        }
    }
    return h;
}

struct rb_sq_holder rb_sq_delivery_get(struct rb_sq_db *db, const uint8_t *key, int64_t now_ms)
{
    struct rb_sq_holder h = {0};
    size_t at = SIZE_MAX;
    for (int64_t ref = 0; h.rid == 0 && !rb_sq_broken(db) &&
                          (ref = rb_sq_book_next(&db->book, RB_SQ_DELIVERIES, key, &at)) != 0;) {
        bool repeat = ref < 0;
        sqlite3_stmt *st = repeat ? rb_sq_query(db, SQ_REPEAT_GET, "i", -ref)
                                  : rb_sq_query(db, SQ_KEYS_OF, "i", ref);
        if (rb_sq_row(db, st)) {
            if (same_key(st, repeat ? 3 : DELIVERY, key) &&
                sqlite3_column_int64(st, repeat ? 4 : 6) > now_ms) {
                h = take_holder(st);
            }
            rb_sq_end(st);
        }
    }
    return h;
}

static void enter(struct rb_sq_db *db, enum rb_sq_domain domain, const uint8_t *key, int64_t ref)
{
    if (!rb_sq_book_enter(&db->book, domain, key, ref)) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
}

static void strike(struct rb_sq_db *db, enum rb_sq_domain domain, const uint8_t *key, int64_t ref)
{
    if (!rb_sq_book_strike(&db->book, domain, key, ref)) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
}

void rb_sq_effect_move(struct rb_sq_db *db, const uint8_t *key, int64_t rid)
{
    /* the new row is not in the book yet: whoever is found held the key before */
    struct rb_sq_holder before = rb_sq_effect_get(db, key);
    if (before.rid != 0) {
        (void)rb_sq_run(db, SQ_EFFECT_LOST, "i", before.rid);
        strike(db, RB_SQ_EFFECTS, key, before.rid);
    }
    enter(db, RB_SQ_EFFECTS, key, rid);
}

void rb_sq_effect_take(struct rb_sq_db *db, const uint8_t *key, int64_t rid)
{
    sqlite3_stmt *st = rb_sq_query(db, SQ_KEYS_OF, "i", rid);
    if (rb_sq_row(db, st)) {
        if (sqlite3_column_bytes(st, EFFECT) == RB_SQ_KEY_BYTES) {
            strike(db, RB_SQ_EFFECTS, sqlite3_column_blob(st, EFFECT), rid);
        }
        rb_sq_end(st);
    }
    rb_sq_effect_move(db, key, rid);
    (void)rb_sq_run(db, SQ_EFFECT_TAKE, "ik", rid, key);
}

void rb_sq_delivery_of_row(struct rb_sq_db *db, const uint8_t *key, int64_t rid)
{
    enter(db, RB_SQ_DELIVERIES, key, rid);
}

void rb_sq_delivery_repeat(struct rb_sq_db *db, const uint8_t *key, int64_t rid, int64_t until_ms)
{
    if (rb_sq_run(db, SQ_REPEAT_PUT, "kii", key, rid, until_ms) == 1) {
        enter(db, RB_SQ_DELIVERIES, key, -sqlite3_last_insert_rowid(db->handle));
    }
}

void rb_sq_keys_forget(struct rb_sq_db *db, int64_t rid)
{
    sqlite3_stmt *st = rb_sq_query(db, SQ_KEYS_OF, "i", rid);
    if (!rb_sq_row(db, st)) {
        return;
    }
    if (sqlite3_column_bytes(st, EFFECT) == RB_SQ_KEY_BYTES) {
        strike(db, RB_SQ_EFFECTS, sqlite3_column_blob(st, EFFECT), rid);
    }
    if (sqlite3_column_bytes(st, DELIVERY) == RB_SQ_KEY_BYTES) {
        strike(db, RB_SQ_DELIVERIES, sqlite3_column_blob(st, DELIVERY), rid);
    }
    rb_sq_end(st);
}

void rb_sq_keys_sweep(struct rb_sq_db *db, int64_t now_ms, unsigned max)
{
    if (now_ms < db->tally.sweep_ms) {
        return;
    }
    sqlite3_stmt *st = rb_sq_query(db, SQ_SWEEP, "ii", db->tally.swept_rid, (int64_t)max);
    while (rb_sq_row(db, st)) {
        int64_t rid = sqlite3_column_int64(st, 0);
        int64_t ended = sqlite3_column_int64(st, 1);
        int64_t until = sqlite3_column_int64(st, 4);
        if (until > now_ms) {
            db->tally.sweep_ms = until;
            rb_sq_end(st);
            return;
        }
        if (sqlite3_column_bytes(st, 3) == RB_SQ_KEY_BYTES) {
            strike(db, RB_SQ_DELIVERIES, sqlite3_column_blob(st, 3), rid);
        }
        if (ended != 0 && ended + db->effect_ttl_ms <= now_ms &&
            sqlite3_column_bytes(st, 2) == RB_SQ_KEY_BYTES) {
            strike(db, RB_SQ_EFFECTS, sqlite3_column_blob(st, 2), rid);
        }
        db->tally.swept_rid = rid;
    }
}

unsigned rb_sq_repeats_trim(struct rb_sq_db *db, int64_t now_ms, unsigned max)
{
    unsigned n = 0;
    bool found = true;
    while (n < max && found && !rb_sq_broken(db)) {
        int64_t seq = 0;
        sqlite3_stmt *st = rb_sq_query(db, SQ_TRIM_REPEATS_FIND, "i", now_ms);
        found = rb_sq_row(db, st);
        if (found) {
            seq = sqlite3_column_int64(st, 0);
            if (sqlite3_column_bytes(st, 1) == RB_SQ_KEY_BYTES) {
                strike(db, RB_SQ_DELIVERIES, sqlite3_column_blob(st, 1), -seq);
            }
            rb_sq_end(st);
            (void)rb_sq_run(db, SQ_REPEAT_DROP, "i", seq);
            n++;
        }
    }
    return n;
}
