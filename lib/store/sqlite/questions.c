/* questions.c - the asker's side of reading, switches, projects, epoch and retention. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "cursor.h"
#include "session.h"

#define PAUSED_MAX 4096
#define PLACE "at:" /* before the number within its millisecond */

static struct rb_sq_session *mine(struct rb_store_session *base)
{
    return (struct rb_sq_session *)base;
}

static enum rb_code no_memory(struct rb_store_session *base, struct rb_sq_op *op,
                              struct rb_err *err)
{
    if (op != NULL) {
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rb_err_set(err, RB_E_NOMEM, "no memory for a store request");
}

enum rb_code rb_sq_session_get(struct rb_store_session *base, const char *retry_id,
                               struct rb_retry **ret_r, struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_get);
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->id = rb_arena_strdup(&op->arena, retry_id);
    op->shelves = rb_arena_alloc(&op->arena, sizeof(*op->shelves));
    if (op->id == NULL || op->shelves == NULL) {
        return no_memory(base, op, err);
    }
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc == RB_OK) {
        rc = rb_sq_shelf_open(&op->shelves[0], ret_r, err);
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rc;
}

enum rb_code rb_sq_session_child_of(struct rb_store_session *base, const char *build_key,
                                    char ret_retry_id[RB_ID_BYTES], struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_child_of);
    bool ok = true;
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->key = rb_sq_pack_key(&op->arena, build_key, &ok);
    if (!ok) {
        return no_memory(base, op, err);
    }
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc == RB_OK) {
        memcpy(ret_retry_id, op->other_id, RB_ID_BYTES);
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rc;
}

static bool fill_list(struct rb_sq_op *op, const struct rb_filter *f, const char *after_id,
                      unsigned limit)
{
    op->by_state = f->by_state;
    op->state = f->state;
    op->since_ms = f->since_ms;
    op->limit = limit;
    op->project = rb_arena_strdup(&op->arena, f->project);
    op->source = rb_arena_strdup(&op->arena, f->source);
    op->id = rb_arena_strdup(&op->arena, after_id);
    op->shelves = rb_arena_alloc(&op->arena, ((size_t)limit + 1) * sizeof(*op->shelves));
    return op->id != NULL && op->shelves != NULL && (op->project != NULL || f->project == NULL) &&
           (op->source != NULL || f->source == NULL);
}

/* A record that does not decode, or is a newer release's, is left out: one row must not hide the
 * others. */
static enum rb_code open_list(const struct rb_sq_op *op, struct rb_retry **items, unsigned *ret_n,
                              struct rb_err *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < op->n_shelves; i++) {
        enum rb_code rc = rb_sq_shelf_open(&op->shelves[i], &items[n], err);
        if (rc != RB_OK && rc != RB_E_CORRUPT && rc != RB_E_UNAVAIL) {
            while (n > 0) {
                rb_retry_free(items[--n]);
            }
            return rc;
        }
        n += rc == RB_OK;
    }
    *ret_n = n;
    return RB_OK;
}

/* A cursor of ours is a place among the rows, which stays when its retry goes. */
static void write_place(int64_t place, char ret_next[RB_CURSOR_BYTES])
{
    char text[RB_ID_BYTES];
    (void)snprintf(text, sizeof(text), PLACE "%05x",
                   (unsigned)(place & (((int64_t)1 << RB_SQ_RID_SHIFT) - 1)));
    rb_cursor_write(place >> RB_SQ_RID_SHIFT, text, ret_next);
}

/* 0: @text is no place, but an id. */
static int64_t read_place(int64_t created_ms, const char *text)
{
    uint8_t number[3];
    if (strncmp(text, PLACE, strlen(PLACE)) != 0) {
        return 0;
    }
    char digits[7] = "0";
    (void)snprintf(digits + 1, sizeof(digits) - 1, "%s", text + strlen(PLACE));
    if (!rb_unhex(digits, strlen(digits), number, sizeof(number))) {
        return 0;
    }
    return created_ms * ((int64_t)1 << RB_SQ_RID_SHIFT) +
           (number[0] << 16 | number[1] << 8 | number[2]);
}

/* One step of the writer; adds to the page. @place: where to begin, and where to go on. */
static enum rb_code list_step(struct rb_store_session *base, const struct rb_filter *f,
                              int64_t after_created_ms, const char *after_id, int64_t *place,
                              struct rb_retry **items, unsigned *n, bool *ret_full,
                              struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_list);
    unsigned added = 0;
    if (op == NULL || !fill_list(op, f, after_id, f->limit - *n)) {
        return no_memory(base, op, err);
    }
    op->after_ms = after_created_ms;
    op->below = *place;
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc != RB_OK) {
        return rc;
    }
    rc = open_list(op, items + *n, &added, err);
    *n += added;
    *place = op->place;
    *ret_full = op->full;
    rb_sq_op_drop(mine(base)->store, op);
    return rc;
}

enum rb_code rb_sq_session_list(struct rb_store_session *base, const struct rb_filter *f,
                                int64_t after_created_ms, const char *after_id,
                                struct rb_retry **ret_items, unsigned *ret_n,
                                char ret_next[RB_CURSOR_BYTES], struct rb_err *err)
{
    int64_t until_ms = rb_boot_ms(rb_clock_system()) + RB_LIST_MS;
    int64_t place = read_place(after_created_ms, after_id);
    enum rb_code rc = RB_OK;
    unsigned n = 0;
    bool full = false;
    do {
        rc = list_step(base, f, after_created_ms, after_id, &place, ret_items, &n, &full, err);
    } while (rc == RB_OK && !full && place != 0 && rb_boot_ms(rb_clock_system()) < until_ms);
    if (rc != RB_OK) {
        while (n > 0) {
            rb_retry_free(ret_items[--n]);
            ret_items[n] = NULL;
        }
        return rc;
    }
    if (place != 0) {
        write_place(place, ret_next);
    }
    *ret_n = n;
    return RB_OK;
}

enum rb_code rb_sq_session_counts(struct rb_store_session *base, struct rb_counts *ret_c,
                                  struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_counts);
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc == RB_OK) {
        *ret_c = op->counts;
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rc;
}

enum rb_code rb_sq_session_pause(struct rb_store_session *base, const char *project, bool on,
                                 struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_pause);
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->on = on;
    op->project = rb_arena_strdup(&op->arena, project);
    if (op->project == NULL) {
        return no_memory(base, op, err);
    }
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc == RB_OK) {
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rc;
}

enum rb_code rb_sq_session_paused(struct rb_store_session *base, struct rb_arena *a,
                                  const char ***ret_names, unsigned *ret_n, struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_paused);
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->limit = PAUSED_MAX;
    op->names = rb_arena_alloc(&op->arena, PAUSED_MAX * sizeof(*op->names));
    if (op->names == NULL) {
        return no_memory(base, op, err);
    }
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc != RB_OK) {
        return rc;
    }
    const char **names = rb_arena_alloc(a, (op->n_items + 1) * sizeof(*names));
    bool ok = names != NULL;
    for (unsigned i = 0; ok && i < op->n_items; i++) {
        names[i] = rb_arena_strdup(a, op->names[i]);
        ok = names[i] != NULL;
    }
    if (ok) {
        *ret_names = names;
        *ret_n = op->n_items;
    }
    rb_sq_op_drop(mine(base)->store, op);
    return ok ? RB_OK : rb_err_set(err, RB_E_NOMEM, "no room for the names");
}

enum rb_code rb_sq_session_projects(struct rb_store_session *base, int64_t since_ms,
                                    struct rb_arena *a, unsigned max,
                                    struct rb_project_seen **ret_items, unsigned *ret_n,
                                    struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_projects);
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->since_ms = since_ms;
    op->limit = max;
    op->projects = rb_arena_alloc(&op->arena, ((size_t)max + 1) * sizeof(*op->projects));
    if (op->projects == NULL) {
        return no_memory(base, op, err);
    }
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_project_seen *items = rb_arena_alloc(a, (op->n_items + 1) * sizeof(*items));
    bool ok = items != NULL;
    for (unsigned i = 0; ok && i < op->n_items; i++) {
        items[i] = (struct rb_project_seen){
            .account = rb_arena_strdup(a, op->projects[i].account),
            .region = rb_arena_strdup(a, op->projects[i].region),
            .project = rb_arena_strdup(a, op->projects[i].project),
            .last_ms = op->projects[i].last_ms,
        };
        ok = items[i].account != NULL && items[i].region != NULL && items[i].project != NULL;
    }
    if (ok) {
        *ret_items = items;
        *ret_n = op->n_items;
    }
    rb_sq_op_drop(mine(base)->store, op);
    return ok ? RB_OK : rb_err_set(err, RB_E_NOMEM, "no room for the projects");
}

enum rb_code rb_sq_session_epoch(struct rb_store_session *base, int64_t now_ms,
                                 int64_t *ret_birth_ms, struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_epoch);
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->now_ms = now_ms;
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc == RB_OK) {
        *ret_birth_ms = op->number;
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rc;
}

enum rb_code rb_sq_session_trim(struct rb_store_session *base, int64_t before_ms, unsigned max,
                                int64_t now_ms, unsigned *ret_n, struct rb_err *err)
{
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_trim);
    if (op == NULL) {
        return no_memory(base, op, err);
    }
    op->since_ms = before_ms;
    op->limit = max;
    op->now_ms = now_ms;
    enum rb_code rc = rb_sq_ask(mine(base), op, err);
    if (rc == RB_OK) {
        *ret_n = (unsigned)op->number;
        rb_sq_op_drop(mine(base)->store, op);
    }
    return rc;
}
