/* list.c - pages of retries, newest first, from the smallest index that fits the filter.
 *
 * Indexes: the state index (every state but SCHEDULED, in exact order); the list of all records (in
 * order of admission, an entry has creation time, id, and hashes of project and source); for
 * SCHEDULED the task index and the calendar while they are small. A list of up to RLIST_WHOLE
 * entries is read whole and sorted; a longer one in windows counted from its head, the oldest, so
 * that admissions meanwhile shift nothing; windows overlap the cursor by MARGIN, for clocks differ
 * a little. A search that takes long ends between two windows, with a cursor there.
 */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "cursor.h"
#include "list.h"

#define WINDOW 2048
#define MARGIN 256
#define RECORDS_AT_ONCE 128
#define ENTRIES_PER_RECORD 16 /* of a list read in the time of one record */
#define SKEW_MS 60000         /* clocks of replicas, at most */

enum source { FROM_STATE, FROM_LIST, FROM_TASKS };

struct listing {
    struct redis_session *ses;
    const struct rb_filter *f;
    enum source source;
    bool has_after;
    struct rlist_entry after;
    struct rlist_entry *entries; /* RLIST_WHOLE + WINDOW of them */
    size_t n, at;
    bool last_window;
    int64_t
        position; /* FROM_STATE: offset; lists: how many entries are older than the window's end */
    struct rlist_entry border; /* the last entry of the window that was read, whatever fits */
    int64_t until_ms;          /* boot clock; then the search ends at the next border */
    struct rb_retry **items;
    unsigned n_items;
    bool more;
    char next[RB_CURSOR_BYTES];
};

int rlist_newest_first(const void *a, const void *b)
{
    return memcmp(b, a, sizeof(struct rlist_entry));
}

void rlist_make_entry(struct rlist_entry *e, int64_t created_ms, const void *id)
{
    rput48(e->key, created_ms);
    memcpy(e->key + 6, id, RKEY_RAW);
}

/* The entries of the reply whose hashes fit the filter. */
static void take_entries(struct listing *l, const redisReply *r)
{
    const struct rb_retry like = {.build = {.project = l->f->project},
                                  .source = {.source = l->f->source}};
    uint8_t tail[RENTRY_TAIL];
    rentry_tail(&like, tail);
    l->n = 0;
    l->at = 0;
    for (size_t i = 0;
         r->type == REDIS_REPLY_ARRAY && i < r->elements && l->n < RLIST_WHOLE + WINDOW; i++) {
        const redisReply *e = r->element[i];
        if (e->len == RENTRY_BYTES &&
            (l->f->project == NULL || memcmp(e->str + RLIST_KEY_BYTES, tail, 4) == 0) &&
            (l->f->source == NULL || memcmp(e->str + RLIST_KEY_BYTES + 4, tail + 4, 2) == 0)) {
            memcpy(l->entries[l->n++].key, e->str, RLIST_KEY_BYTES);
        }
    }
    qsort(l->entries, l->n, sizeof(*l->entries), rlist_newest_first);
}

static enum rb_code read_range(struct listing *l, int64_t from, int64_t to, struct rb_err *err)
{
    rses_next(l->ses);
    rcmd_begin(&l->ses->cmd, 4);
    rcmd_str(&l->ses->cmd, "LRANGE");
    rcmd_key(&l->ses->cmd, 'a', "", 0);
    rcmd_int(&l->ses->cmd, from);
    rcmd_int(&l->ses->cmd, to);
    return rses_run(l->ses, 1, false, err);
}

static enum rb_code length(struct listing *l, int64_t *ret_n, struct rb_err *err)
{
    rses_next(l->ses);
    rcmd_begin(&l->ses->cmd, 2);
    rcmd_str(&l->ses->cmd, "LLEN");
    rcmd_key(&l->ses->cmd, 'a', "", 0);
    enum rb_code rc = rses_run(l->ses, 1, false, err);
    if (rc == RB_OK) {
        *ret_n = l->ses->replies[0]->integer;
    }
    return rc;
}

/* How many entries are older than the cursor: bisection on a list that is nearly in order. */
static enum rb_code find_cursor(struct listing *l, int64_t len, int64_t *ret_older,
                                struct rb_err *err)
{
    int64_t low = 0; /* the first low entries are older than the cursor */
    int64_t high = len;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        rses_next(l->ses);
        rcmd_begin(&l->ses->cmd, 3);
        rcmd_str(&l->ses->cmd, "LINDEX");
        rcmd_key(&l->ses->cmd, 'a', "", 0);
        rcmd_int(&l->ses->cmd, middle - 1);
        enum rb_code rc = rses_run(l->ses, 1, false, err);
        if (rc != RB_OK) {
            return rc;
        }
        const redisReply *r = l->ses->replies[0];
        bool older = r->type == REDIS_REPLY_STRING && r->len == RENTRY_BYTES &&
                     memcmp(r->str, l->after.key, RLIST_KEY_BYTES) < 0;
        if (older) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    *ret_older = low + MARGIN < len ? low + MARGIN : len;
    return RB_OK;
}

static enum rb_code first_of_list(struct listing *l, struct rb_err *err)
{
    int64_t len = 0;
    enum rb_code rc = length(l, &len, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (len <= RLIST_WHOLE) {
        rc = read_range(l, 0, -1, err);
        if (rc == RB_OK) {
            take_entries(l, l->ses->replies[0]);
        }
        l->last_window = true;
        return rc;
    }
    l->position = len;
    return l->has_after ? find_cursor(l, len, &l->position, err) : RB_OK;
}

static enum rb_code window_of_list(struct listing *l, struct rb_err *err)
{
    int64_t from = l->position - WINDOW;
    enum rb_code rc = read_range(l, from < 0 ? 0 : from, l->position - 1, err);
    if (rc == RB_OK) {
        const redisReply *r = l->ses->replies[0];
        take_entries(l, r);
        if (r->type == REDIS_REPLY_ARRAY && r->elements > 0 && r->element[0]->len == RENTRY_BYTES) {
            memcpy(l->border.key, r->element[0]->str, RLIST_KEY_BYTES);
        }
        l->position -= WINDOW;
        l->last_window = l->position <= 0;
    }
    return rc;
}

static enum rb_code window_of_state(struct listing *l, struct rb_err *err)
{
    int64_t base = l->f->state * RSPAN;
    int64_t top = base + (l->has_after ? rget48(l->after.key) : RSPAN - 1);
    rses_next(l->ses);
    rcmd_begin(&l->ses->cmd, 8);
    rcmd_str(&l->ses->cmd, "ZREVRANGEBYSCORE");
    rcmd_key(&l->ses->cmd, 's', "", 0);
    rcmd_int(&l->ses->cmd, top);
    rcmd_int(&l->ses->cmd, base + (l->f->since_ms > 0 ? l->f->since_ms : 0));
    rcmd_str(&l->ses->cmd, "WITHSCORES");
    rcmd_str(&l->ses->cmd, "LIMIT");
    rcmd_int(&l->ses->cmd, l->position);
    rcmd_int(&l->ses->cmd, WINDOW);
    enum rb_code rc = rses_run(l->ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = l->ses->replies[0];
    l->n = 0;
    l->at = 0;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        int64_t score = 0;
        if (r->element[i]->len == RKEY_RAW &&
            rb_parse_i64(rb_slice_str(r->element[i + 1]->str), &score)) {
            rlist_make_entry(&l->entries[l->n++], score - base, r->element[i]->str);
        }
    }
    l->position += WINDOW;
    l->last_window = l->n < WINDOW;
    if (l->n > 0) {
        l->border = l->entries[l->n - 1];
    }
    return RB_OK;
}

static void put_zcount(struct rb_buf *out, int64_t from, int64_t to)
{
    rcmd_begin(out, 4);
    rcmd_str(out, "ZCOUNT");
    rcmd_key(out, 's', "", 0);
    rcmd_int(out, from);
    rcmd_int(out, to);
}

/* Choose the source by size, then read its first window. */
static enum rb_code first_window(struct listing *l, struct rb_err *err)
{
    struct rb_buf *cmd = &l->ses->cmd;
    int64_t base = l->f->by_state ? l->f->state * RSPAN : 0;
    rses_next(l->ses);
    put_zcount(cmd, base, base + RSPAN - 1);
    rcmd_begin(cmd, 2);
    rcmd_str(cmd, "ZCARD");
    rcmd_key(cmd, 'z', "", 0);
    rcmd_begin(cmd, 2);
    rcmd_str(cmd, "GET");
    rcmd_key(cmd, 'k', "", 0);
    rcmd_begin(cmd, 2);
    rcmd_str(cmd, "LLEN");
    rcmd_key(cmd, 'a', "", 0);
    rcmd_begin(cmd, 2);
    rcmd_str(cmd, "GET");
    rcmd_key(cmd, 'f', "", 0);
    enum rb_code rc = rses_run(l->ses, 5, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    redisReply **r = l->ses->replies;
    bool scheduled = l->f->by_state && l->f->state == RB_STATE_SCHEDULED;
    int64_t far = rreply_number(r[4]);
    int64_t tasks = r[1]->integer + far;
    int64_t waiting = rreply_number(r[2]) + far;
    /* A hash in an entry rules out nearly all of what another project has; a state index does not
     * know projects. */
    bool narrow = l->f->project != NULL || l->f->source != NULL;
    if (l->f->by_state && !scheduled &&
        (!narrow || r[0]->integer <= r[3]->integer / ENTRIES_PER_RECORD)) {
        l->source = FROM_STATE;
        return window_of_state(l, err);
    }
    if (scheduled && tasks <= RLIST_WHOLE && waiting <= tasks) {
        l->source = FROM_TASKS;
        rc = rlist_of_tasks(l->ses, l->entries, &l->n, err);
        l->last_window = true;
        if (rc != RB_OK || (int64_t)l->n >= waiting) {
            return rc;
        }
        l->last_window = false; /* some wait without a task: only the list knows them */
    }
    l->source = FROM_LIST;
    rc = first_of_list(l, err);
    return rc == RB_OK && !l->last_window ? window_of_list(l, err) : rc;
}

static enum rb_code next_window(struct listing *l, struct rb_err *err)
{
    return l->source == FROM_STATE ? window_of_state(l, err) : window_of_list(l, err);
}

static bool wanted(const struct listing *l, const struct rhead *h, const struct rb_retry *r)
{
    const struct rb_filter *f = l->f;
    return (!f->by_state || h->state == f->state) &&
           (f->project == NULL || rb_str_eq(r->build.project, f->project)) &&
           (f->source == NULL || rb_str_eq(r->source.source, f->source)) &&
           r->created_ms >= f->since_ms;
}

/* Entries of the window that come after the cursor, up to RECORDS_AT_ONCE of them. */
static unsigned pick(struct listing *l, const struct rlist_entry *ret_e[RECORDS_AT_ONCE])
{
    unsigned n = 0;
    for (; l->at < l->n && n < RECORDS_AT_ONCE; l->at++) {
        const struct rlist_entry *e = &l->entries[l->at];
        if ((!l->has_after || memcmp(e, &l->after, sizeof(*e)) < 0) &&
            rget48(e->key) >= l->f->since_ms) {
            ret_e[n++] = e;
        }
    }
    return n;
}

static enum rb_code read_records(struct listing *l, struct rb_err *err)
{
    const struct rlist_entry *picked[RECORDS_AT_ONCE];
    unsigned n = pick(l, picked);
    if (n == 0) {
        return RB_OK;
    }
    rses_next(l->ses);
    rcmd_begin(&l->ses->cmd, 1 + n);
    rcmd_str(&l->ses->cmd, "MGET");
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(&l->ses->cmd, 'r', picked[i]->key + 6, RKEY_RAW);
    }
    enum rb_code rc = rses_run(l->ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *list = l->ses->replies[0];
    for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i < list->elements && !l->more; i++) {
        struct rhead h;
        struct rb_retry *r = NULL;
        if (list->element[i]->type != REDIS_REPLY_STRING ||
            rrecord_read(list->element[i], &h, &r, NULL) != RB_OK) {
            continue; /* trimmed meanwhile, or not readable */
        }
        if (!wanted(l, &h, r)) {
            rb_retry_free(r);
        } else if (l->n_items == l->f->limit) {
            l->more = true;
            rb_store_cursor(l->items[l->n_items - 1], l->next);
            rb_retry_free(r);
        } else {
            l->items[l->n_items++] = r;
        }
    }
    return RB_OK;
}

/* What is of the border's millisecond is in no order with what the next window has of it, so all of
 * that millisecond is left to the next page. False: nothing was gained yet, so the search goes on.
 */
static bool stop_at_border(struct listing *l)
{
    int64_t border_ms = rget48(l->border.key);
    if (l->has_after && rget48(l->after.key) <= border_ms + 1) {
        return false;
    }
    while (l->n_items > 0 && l->items[l->n_items - 1]->created_ms <= border_ms) {
        rb_retry_free(l->items[--l->n_items]);
        l->items[l->n_items] = NULL;
    }
    rb_cursor_write(border_ms + 1, RB_FIRST_ID, l->next);
    l->more = true;
    return true;
}

/* Nothing of what is left was created since then. */
static bool all_older(const struct listing *l)
{
    int64_t newest_ms = l->n > 0 ? rget48(l->entries[0].key) : rget48(l->border.key) + SKEW_MS;
    return l->source != FROM_STATE && l->f->since_ms > 0 && newest_ms < l->f->since_ms;
}

static enum rb_code search(struct listing *l, struct rb_err *err)
{
    l->until_ms = rb_boot_ms(l->ses->store->clock) + RB_LIST_MS;
    enum rb_code rc = first_window(l, err);
    while (rc == RB_OK && !l->more) {
        if (l->at < l->n) {
            rc = read_records(l, err);
        } else if (l->last_window || all_older(l)) {
            break;
        } else if (rb_boot_ms(l->ses->store->clock) < l->until_ms || !stop_at_border(l)) {
            rc = next_window(l, err);
        }
    }
    return rc;
}

static enum rb_code add_details(struct listing *l, struct rb_err *err)
{
    if (l->n_items == 0) {
        return RB_OK;
    }
    rses_next(l->ses);
    for (unsigned i = 0; i < l->n_items; i++) {
        uint8_t id[RKEY_RAW] = {0};
        (void)rid_raw(l->items[i]->id, id);
        for (const char *letter = "lq"; *letter != '\0'; letter++) {
            rcmd_begin(&l->ses->cmd, 2);
            rcmd_str(&l->ses->cmd, "HGETALL");
            rcmd_key(&l->ses->cmd, *letter, id, RKEY_RAW);
        }
    }
    enum rb_code rc = rses_run(l->ses, 2 * l->n_items, false, err);
    for (unsigned i = 0; i < l->n_items && rc == RB_OK; i++) {
        rread_deliveries(l->ses->replies[2 * i], l->items[i]);
        rread_reports(l->ses->replies[2 * i + 1], l->items[i]);
    }
    return rc;
}

enum rb_code redis_list(struct rb_store_session *base, const struct rb_filter *f,
                        int64_t after_created_ms, const char *after_id, struct rb_retry **ret_items,
                        unsigned *ret_n, char ret_next[RB_CURSOR_BYTES], struct rb_err *err)
{
    struct listing l = {.ses = rses(base), .f = f, .items = ret_items};
    uint8_t id[RKEY_RAW];
    if (after_id[0] != '\0') {
        if (!rid_raw(after_id, id)) {
            return rb_err_set(err, RB_E_INVALID, "the cursor is not one of ours");
        }
        rlist_make_entry(&l.after, after_created_ms, id);
        l.has_after = true;
    }
    l.entries = calloc(RLIST_WHOLE + WINDOW, sizeof(*l.entries));
    RB_CLEANUP(rb_freep) void *owned = l.entries;
    if (owned == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a list");
    }
    enum rb_code rc = rses_begin(l.ses, err);
    if (rc == RB_OK) {
        rc = search(&l, err);
    }
    if (rc == RB_OK) {
        rc = add_details(&l, err);
    }
    if (rc != RB_OK) {
        for (unsigned i = 0; i < l.n_items; i++) {
            rb_retry_free(ret_items[i]);
            ret_items[i] = NULL;
        }
        return rc;
    }
    *ret_n = l.n_items;
    (void)memcpy(ret_next, l.next, RB_CURSOR_BYTES);
    return RB_OK;
}
