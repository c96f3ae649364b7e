/* read.c - what changes nothing, or next to nothing: get, list, counts, switches, projects, epoch.
 */
#include <stdio.h>

#include <retrybuild/counters.h>

#include "ops.h"
#include "shelf.h"

#define LAST_RID INT64_MAX
#define BEAT_EVERY_MS 30000
#define LIST_STEP_MS 15 /* of the writer, for one step of a list */

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

/* Row ids below this come after the cursor, which names a place, or a retry. When the retry is
 * gone, those of its millisecond are skipped with it: a page must never repeat. */
static int64_t below(struct rb_sq_db *db, const struct rb_sq_op *op)
{
    int64_t rid = 0;
    if (op->below > 0) {
        return op->below;
    }
    if (op->id[0] == '\0') {
        return LAST_RID;
    }
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

/* What a list looks for, by row id and number. */
struct search {
    enum rb_sq_stmt by;
    int64_t below, from; /* row ids: below is not, from is part of it */
    int64_t state, project, source;
};

/* Adds what @s finds in @bucket; false: the page is full. */
static bool search_bucket(struct rb_sq_db *db, struct rb_sq_op *op, const struct search *s,
                          size_t bucket)
{
    sqlite3_stmt *st = rb_sq_query(db, s->by, s->by == SQ_LIST_PROJECT ? "iiiiiii" : "iiiiii",
                                   s->below, s->from, s->state, s->project, s->source,
                                   (int64_t)(op->limit - op->n_shelves) + 1, (int64_t)bucket);
    while (rb_sq_row(db, st)) {
        if (op->n_shelves == op->limit) {
            op->place = op->n_shelves == 0 ? s->below : op->shelves[op->n_shelves - 1].rid;
            op->full = true;
            rb_sq_end(st);
            return false;
        }
        struct rb_sq_shelf *shelf = &op->shelves[op->n_shelves++];
        rb_sq_shelf_take(db, &op->arena, st, shelf);
        rb_sq_shelf_reports(db, &op->arena, shelf);
    }
    return true;
}

/* Whether every row of the index that is chosen fits. */
static bool exact(const struct search *s)
{
    const int64_t any = -1;
    int n = (s->state != any) + (s->project != any) + (s->source != any);
    return s->by != SQ_LIST_PROJECT && n == (s->by == SQ_LIST ? 0 : 1);
}

/* Bucket by bucket, the newest first. Admissions wait meanwhile, so it is for a moment only: then
 * op->place says where to go on. */
static void search_buckets(struct rb_sq_db *db, struct rb_sq_op *op, struct search *s)
{
    const int64_t from = s->from;
    int64_t until_ms = rb_boot_ms(rb_clock_system()) + LIST_STEP_MS;
    size_t oldest = rb_sq_bucket_of(db, from);
    for (size_t b = rb_sq_bucket_of(db, s->below) + 1; b > oldest; b--) {
        s->from = db->buckets[b - 1] > from ? db->buckets[b - 1] : from;
        if (!search_bucket(db, op, s, b - 1) || rb_sq_broken(db)) {
            return;
        }
        if (b - 1 > oldest && rb_boot_ms(rb_clock_system()) >= until_ms) {
            op->place = s->from;
            return;
        }
        s->below = s->from;
    }
}

enum rb_code rb_sq_op_list(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    const int64_t any = -1;
    int64_t since = op->since_ms <= 0 ? 0 : op->since_ms;
    struct search s = {
        .by = list_by(db, op),
        .below = below(db, op),
        .from = since > LAST_RID >> RB_SQ_RID_SHIFT ? LAST_RID
                                                    : since * ((int64_t)1 << RB_SQ_RID_SHIFT),
        .state = op->by_state ? (int64_t)op->state : any,
        .project = op->project == NULL ? any : rb_sq_name_find(db, op->project),
        .source = op->source == NULL ? any : rb_sq_name_find(db, op->source),
    };
    op->n_shelves = 0;
    op->place = 0;
    op->full = false;
    if (s.project == 0 || s.source == 0) {
        return RB_OK; /* a name that no retry has */
    }
    if (exact(&s)) {
        (void)search_bucket(db, op, &s, 0);
    } else {
        search_buckets(db, op, &s);
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
        op->counts.tasks[k] = db->tally.tasks[k];
        op->counts.oldest_due_ms[k] = rb_sq_next_due(db, (enum rb_task_kind)k);
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

/* 0: there is none. */
static int64_t meta(struct rb_sq_db *db, const char *name)
{
    int64_t value = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_META_GET, "t", name);
    if (rb_sq_row(db, st)) {
        value = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
    }
    return value;
}

/* The beat says that the file was in use: asked for every few seconds, written twice a minute. When
 * it is old at the first question, an old backup may have been put back. */
enum rb_code rb_sq_op_epoch(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    int64_t beat_ms = meta(db, "beat");
    op->number = meta(db, "epoch");
    bool old = op->number > 0 && !db->beat_judged && beat_ms > 0 &&
               op->now_ms - beat_ms > RB_STORE_SILENCE_MS;
    if (op->number == 0 || old) {
        op->number = op->now_ms;
        (void)rb_sq_run(db, SQ_META_PUT, "ti", "epoch", op->now_ms);
    }
    if (old) {
        rb_count(RB_M_STORE_SET_BACK, NULL, NULL);
    }
    if (op->now_ms < beat_ms || op->now_ms - beat_ms >= BEAT_EVERY_MS) {
        (void)rb_sq_run(db, SQ_META_PUT, "ti", "beat", op->now_ms);
    }
    db->beat_judged = true;
    return RB_OK;
}
