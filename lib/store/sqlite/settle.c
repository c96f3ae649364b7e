/* settle.c - the one atomic step of a worker or a person: every reason to refuse is looked at
 * before the first write.
 */
#include <stdio.h>
#include <string.h>

#include "entry.h"
#include "keys.h"

/* The row as it stands. */
struct row {
    int64_t rid, version, ended;
    uint64_t fence;
    enum rb_task_kind kind;
    enum rb_state state;
    int woken;
    uint8_t child[RB_SQ_KEY_BYTES], intent[RB_SQ_KEY_BYTES];
    bool has_child, has_intent;
};

static bool take_key(sqlite3_stmt *st, int column, uint8_t key[RB_SQ_KEY_BYTES])
{
    const void *blob = sqlite3_column_blob(st, column);
    if (blob == NULL || sqlite3_column_bytes(st, column) != RB_SQ_KEY_BYTES) {
        return false;
    }
    memcpy(key, blob, RB_SQ_KEY_BYTES);
    return true;
}

static bool find(struct rb_sq_db *db, const char *id, struct row *r)
{
    sqlite3_stmt *st = rb_sq_query(db, SQ_RETRY_FIND, "t", id);
    if (!rb_sq_row(db, st)) {
        return false;
    }
    r->rid = sqlite3_column_int64(st, 0);
    r->version = sqlite3_column_int64(st, 1);
    r->fence = (uint64_t)sqlite3_column_int64(st, 2);
    r->kind = (enum rb_task_kind)sqlite3_column_int(st, 3);
    r->state = (enum rb_state)sqlite3_column_int(st, 4);
    r->woken = sqlite3_column_int(st, 5);
    r->ended = sqlite3_column_int64(st, 6);
    r->has_child = take_key(st, 7, r->child);
    r->has_intent = take_key(st, 8, r->intent);
    rb_sq_end(st);
    return true;
}

/* The id that a key of an index leads to; "" = nobody. */
static void owner(struct rb_sq_db *db, enum rb_sq_stmt which, const uint8_t *key,
                  char ret_id[RB_ID_BYTES])
{
    ret_id[0] = '\0';
    sqlite3_stmt *st = rb_sq_query(db, which, "k", key);
    if (rb_sq_row(db, st)) {
        const unsigned char *id = sqlite3_column_text(st, 1);
        (void)snprintf(ret_id, RB_ID_BYTES, "%s", id == NULL ? "" : (const char *)id);
        rb_sq_end(st);
    }
}

static enum rb_code conflict(struct rb_sq_settle *s, enum rb_settle_conflict what,
                             const char *other, struct rb_err *err)
{
    static const char *const text[] = {
        [RB_CONFLICT_NONE] = "no conflict",
        [RB_CONFLICT_INTENT] = "another retry has an open intent for the project and version:",
        [RB_CONFLICT_CHILD] = "the build is the child of another retry:",
        [RB_CONFLICT_VERSION] = "it was changed meanwhile",
        [RB_CONFLICT_EFFECT] = "its build is being retried by another one:",
    };
    s->conflict = what;
    (void)snprintf(s->other_id, sizeof(s->other_id), "%s", other);
    return rb_err_set(err, RB_E_CONFLICT, "retry '%s': %s %s", s->record.id, text[what], other);
}

/* An ended retry is to live again. */
static bool is_revived(const struct rb_sq_settle *s, const struct row *r)
{
    return s->build_key != NULL && rb_state_terminal(r->state) &&
           !rb_state_terminal(s->record.state);
}

/* Who holds the effect key that this write wants; rid 0 = nobody, or nobody who matters. */
static struct rb_sq_holder effect_rival(struct rb_sq_db *db, const struct rb_sq_settle *s,
                                        const struct row *r)
{
    struct rb_sq_holder holder = {0};
    bool takes = s->take_effect == RB_EFFECT_TAKE;
    if (takes || is_revived(s, r)) {
        holder = rb_sq_effect_get(db, s->build_key);
    }
    bool counts = holder.ended == 0 || (takes && holder.ended > s->ended_after_ms);
    return holder.rid == r->rid || !counts ? (struct rb_sq_holder){0} : holder;
}

static enum rb_code refuse(struct rb_sq_db *db, struct rb_sq_settle *s, const struct row *r,
                           struct rb_err *err)
{
    char other[RB_ID_BYTES];
    if (s->by_fence && (r->fence == 0 || r->fence != s->fence)) {
        return rb_err_set(err, RB_E_FENCED, "retry '%s': the lease has passed on", s->record.id);
    }
    if (!s->by_fence && (uint64_t)r->version != s->record.version) {
        return conflict(s, RB_CONFLICT_VERSION, "", err);
    }
    const struct rb_sq_holder rival = effect_rival(db, s, r);
    if (rival.rid != 0) {
        return conflict(s, RB_CONFLICT_EFFECT, rival.id, err);
    }
    if (s->open_intent != NULL) {
        owner(db, SQ_INTENT_GET, s->open_intent, other);
        if (other[0] != '\0' && strcmp(other, s->record.id) != 0) {
            return conflict(s, RB_CONFLICT_INTENT, other, err);
        }
    }
    if (s->not_a_child != NULL) {
        owner(db, SQ_CHILD_GET, s->not_a_child, other);
        if (other[0] != '\0' && strcmp(other, s->record.previous) != 0) {
            return conflict(s, RB_CONFLICT_CHILD, other, err);
        }
    }
    if (s->child_key != NULL) {
        owner(db, SQ_CHILD_GET, s->child_key, other);
        if (other[0] != '\0' && strcmp(other, s->record.id) != 0) {
            return conflict(s, RB_CONFLICT_CHILD, other, err);
        }
    }
    return RB_OK;
}

/* A retry's row remembers one key of each index, so that the entry goes when the retry does: a new
 * key replaces the old one, here and there. */
static void move_keys(struct rb_sq_db *db, const struct rb_sq_settle *s, struct row *r)
{
    if (s->close_intent != NULL) {
        (void)rb_sq_run(db, SQ_INTENT_DROP, "ki", s->close_intent, r->rid);
        r->has_intent = r->has_intent && memcmp(r->intent, s->close_intent, RB_SQ_KEY_BYTES) != 0;
    }
    if (s->open_intent != NULL) {
        if (r->has_intent && memcmp(r->intent, s->open_intent, RB_SQ_KEY_BYTES) != 0) {
            (void)rb_sq_run(db, SQ_INTENT_DROP, "ki", (const uint8_t *)r->intent, r->rid);
        }
        (void)rb_sq_run(db, SQ_INTENT_PUT, "ki", s->open_intent, r->rid);
        memcpy(r->intent, s->open_intent, RB_SQ_KEY_BYTES);
        r->has_intent = true;
    }
    if (s->child_key != NULL) {
        if (r->has_child && memcmp(r->child, s->child_key, RB_SQ_KEY_BYTES) != 0) {
            (void)rb_sq_run(db, SQ_CHILD_DROP, "ki", (const uint8_t *)r->child, r->rid);
        }
        (void)rb_sq_run(db, SQ_CHILD_PUT, "ki", s->child_key, r->rid);
        memcpy(r->child, s->child_key, RB_SQ_KEY_BYTES);
        r->has_child = true;
    }
}

static void write_row(struct rb_sq_db *db, const struct rb_sq_settle *s, const struct row *r,
                      int64_t now_ms)
{
    const uint8_t *child = r->has_child ? r->child : NULL;
    const uint8_t *intent = r->has_intent ? r->intent : NULL;
    const struct rb_sq_record *record = &s->record;
    int64_t ended = 0;
    if (rb_state_terminal(record->state)) {
        int64_t just_now = s->give_effect ? now_ms - db->effect_ttl_ms : now_ms;
        ended = r->ended != 0 ? r->ended : just_now;
    }
    rb_sq_tally_state(db, r->state, record->state);
    (void)rb_sq_run(db, SQ_RECORD_SET, "ib", r->rid, record->bytes.data, record->bytes.len);
    if (s->keep_lease) {
        (void)rb_sq_run(db, SQ_RETRY_KEEP, "iiikk", r->rid, (int64_t)record->state, ended, child,
                        intent);
        return;
    }
    bool woken = s->next == RB_TASK_FOLLOW && (r->woken & 2) != 0;
    int64_t due = s->next == RB_TASK_NONE ? 0 : s->next_due_ms;
    if (woken && due > now_ms) {
        due = now_ms;
    }
    (void)rb_sq_run(db, SQ_RETRY_SETTLE, "iiiiiikk", r->rid, (int64_t)s->next, due, (int64_t)woken,
                    (int64_t)record->state, ended, child, intent);
    rb_sq_schedule(db, s->next, due, r->rid);
    rb_sq_tally_task(db, r->kind, s->next);
    rb_sq_note_due(db, s->next, due, now_ms);
}

enum rb_code rb_sq_settle(struct rb_sq_db *db, struct rb_sq_settle *s, int64_t now_ms,
                          struct rb_err *err)
{
    struct row r = {0};
    if (!find(db, s->record.id, &r)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", s->record.id);
    }
    enum rb_code rc = refuse(db, s, &r, err);
    if (rc != RB_OK || rb_sq_broken(db)) {
        return rc;
    }
    if (s->take_effect != RB_EFFECT_KEEP || is_revived(s, &r)) {
        rb_sq_effect_take(db, s->build_key, r.rid);
    }
    move_keys(db, s, &r);
    write_row(db, s, &r, now_ms);
    rb_sq_reports_add(db, r.rid, &s->record, (uint64_t)r.version + 1, &s->reports, now_ms);
    if (s->follow_on != NULL) {
        rb_sq_admit(db, s->follow_on, true, now_ms);
    }
    return RB_OK;
}
