/* list_tasks.c - the scheduled retries, from the task index and the calendar while those are small.
 */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "list.h"

/* The last RKEY_RAW bytes of each of the reply's elements of @len bytes, up to RLIST_WHOLE in all.
 */
static unsigned add_ids(const redisReply *r, size_t len, uint8_t (*ids)[RKEY_RAW], unsigned n)
{
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements && n < RLIST_WHOLE; i++) {
        if (r->element[i]->len == len) {
            memcpy(ids[n++], r->element[i]->str + len - RKEY_RAW, RKEY_RAW);
        }
    }
    return n;
}

/* The ids of the main tasks: those of the task index, then those of the calendar. */
static enum rb_code ids_of_tasks(struct redis_session *ses, uint8_t (*ids)[RKEY_RAW],
                                 unsigned *ret_n, struct rb_err *err)
{
    struct rb_buf *cmd = &ses->cmd;
    rses_next(ses);
    for (const char *letter = "zg"; *letter != '\0'; letter++) {
        rcmd_begin(cmd, 4);
        rcmd_str(cmd, "ZRANGE");
        rcmd_key(cmd, *letter, "", 0);
        rcmd_int(cmd, 0);
        rcmd_int(cmd, RLIST_WHOLE - 1);
    }
    enum rb_code rc = rses_run(ses, 2, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    unsigned n = add_ids(ses->replies[0], RKEY_RAW, ids, 0);
    const redisReply *slots = ses->replies[1];
    RB_CLEANUP(rb_buf_release) struct rb_buf next = RB_BUF_INIT(RCMD_MAX_BYTES);
    unsigned n_slots = 0;
    for (size_t i = 0; slots->type == REDIS_REPLY_ARRAY && i < slots->elements; i++) {
        int64_t slot_ms = 0;
        if (rb_parse_i64(rb_slice_str(slots->element[i]->str), &slot_ms)) {
            rcalendar_put_entries(&next, slot_ms, RLIST_WHOLE);
            n_slots++;
        }
    }
    rses_next(ses);
    rb_buf_add(cmd, next.data, next.len);
    if (n_slots > 0) {
        rc = rses_run(ses, n_slots, false, err);
    }
    for (unsigned i = 0; i < n_slots && rc == RB_OK; i++) {
        n = add_ids(ses->replies[i], RSLOT_ENTRY_BYTES, ids, n);
    }
    *ret_n = n;
    return rc;
}

/* An entry of the calendar may be of a task that is in the index by now. */
static size_t drop_twins(struct rlist_entry *entries, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || rlist_newest_first(&entries[kept - 1], &entries[i]) != 0) {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}

enum rb_code rlist_of_tasks(struct redis_session *ses, struct rlist_entry *entries, size_t *ret_n,
                            struct rb_err *err)
{
    uint8_t(*ids)[RKEY_RAW] = calloc(RLIST_WHOLE, RKEY_RAW);
    RB_CLEANUP(rb_freep) void *owned = ids;
    if (owned == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a list");
    }
    unsigned n = 0;
    size_t kept = 0;
    *ret_n = 0;
    enum rb_code rc = ids_of_tasks(ses, ids, &n, err);
    if (rc != RB_OK || n == 0) {
        return rc;
    }
    rses_next(ses);
    for (unsigned i = 0; i < n; i++) {
        rcmd_begin(&ses->cmd, 4);
        rcmd_str(&ses->cmd, "GETRANGE");
        rcmd_key(&ses->cmd, 'r', ids[i], RKEY_RAW);
        rcmd_int(&ses->cmd, 0);
        rcmd_int(&ses->cmd, RHEAD_CHILD_BYTES - 1);
    }
    rc = rses_run(ses, n, false, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        struct rhead h;
        size_t body_at = 0;
        if (rhead_read(ses->replies[i]->str, ses->replies[i]->len, &h, &body_at) &&
            h.state == RB_STATE_SCHEDULED) {
            rlist_make_entry(&entries[kept++], h.created_ms, ids[i]);
        }
    }
    qsort(entries, kept, sizeof(*entries), rlist_newest_first);
    *ret_n = drop_twins(entries, kept);
    return rc;
}
