/* shelf.c - rows into bytes on the writer's thread, bytes into retries on the asker's. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/random.h>
#include <retrybuild/record.h>

#include "shelf.h"

#define REPORTS_MAX 100 /* as the query's limit */

uint64_t rb_sq_fence(void)
{
    const struct rb_random *random = rb_random_system();
    uint64_t fence = random->next(random->arg);
    return fence == 0 ? 1 : fence;
}

void rb_sq_shelf_reports(struct rb_sq_db *db, struct rb_arena *a, struct rb_sq_shelf *shelf)
{
    struct rb_sq_report_line lines[REPORTS_MAX];
    unsigned n = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_REPORTS_OF, "i", shelf->rid);
    while (n < REPORTS_MAX && rb_sq_row(db, st)) {
        lines[n++] = (struct rb_sq_report_line){
            .destination = rb_sq_text(db, a, st, 0),
            .stage = (enum rb_stage)sqlite3_column_int(st, 1),
            .state = (enum rb_report_state)sqlite3_column_int(st, 2),
            .attempts = sqlite3_column_int64(st, 3),
            .last_error = rb_sq_text(db, a, st, 4),
        };
    }
    rb_sq_end(st);
    shelf->n_reports = 0;
    shelf->reports = n == 0 ? NULL : rb_arena_alloc(a, n * sizeof(lines[0]));
    if (shelf->reports != NULL) {
        memcpy(shelf->reports, lines, n * sizeof(lines[0]));
        shelf->n_reports = n;
    } else if (n > 0) {
        rb_sq_fail(db, SQLITE_NOMEM);
    }
}

void rb_sq_shelf_take(struct rb_sq_db *db, struct rb_arena *a, sqlite3_stmt *st,
                      struct rb_sq_shelf *shelf)
{
    *shelf = (struct rb_sq_shelf){
        .rid = sqlite3_column_int64(st, 0),
        .version = (uint64_t)sqlite3_column_int64(st, 1),
        .duplicates = sqlite3_column_int64(st, 3),
    };
    shelf->record.data = rb_sq_blob(db, a, st, 2, &shelf->record.len);
    shelf->deliveries.data = rb_sq_blob(db, a, st, 4, &shelf->deliveries.len);
}

/* What does not fit into the retry's arena is left out: it is shown, never decided upon. */
static void open_reports(const struct rb_sq_shelf *shelf, struct rb_retry *r)
{
    r->reports = rb_arena_alloc(&r->arena, shelf->n_reports * sizeof(*r->reports));
    for (unsigned i = 0; r->reports != NULL && i < shelf->n_reports; i++) {
        const struct rb_sq_report_line *from = &shelf->reports[i];
        struct rb_report *to = &r->reports[r->n_reports];
        *to = (struct rb_report){
            .destination = rb_arena_strdup(&r->arena, from->destination),
            .stage = from->stage,
            .state = from->state,
            .attempts = from->attempts,
            .last_error = rb_arena_strdup(&r->arena, from->last_error),
        };
        r->n_reports += to->destination != NULL;
    }
}

enum rb_code rb_sq_shelf_open(const struct rb_sq_shelf *shelf, struct rb_retry **ret_r,
                              struct rb_err *err)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    enum rb_code rc = rb_record_decode(shelf->record.data == NULL ? "" : shelf->record.data,
                                       shelf->record.len, &r, err);
    if (rc != RB_OK) {
        return rc;
    }
    r->version = shelf->version;
    r->duplicates = shelf->duplicates;
    r->deliveries[0] = r->source;
    r->n_deliveries = 1;
    struct rb_sq_blob list = shelf->deliveries;
    while (r->n_deliveries < RB_DELIVERIES_MAX &&
           rb_sq_unpack_delivery(&list, &r->arena, &r->deliveries[r->n_deliveries])) {
        r->n_deliveries++;
    }
    if (shelf->n_reports > 0) {
        open_reports(shelf, r);
    }
    *ret_r = RB_TAKE(r);
    return RB_OK;
}
