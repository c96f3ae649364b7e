/* tasks.c - claims, leases. The candidates are read first; the script looks at each once more. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/random.h>

#include "store_redis.h"

#define CLAIM_ROUNDS 4 /* how often others may be faster before we say that nothing is due */

static uint64_t new_fence(void)
{
    uint64_t fence = 0;
    while (fence == 0) {
        fence = rb_random_system()->next(rb_random_system()->arg);
    }
    return fence;
}

static enum rb_code read_candidates(struct redis_session *ses, enum rb_task_kind kind, unsigned max,
                                    int64_t now_ms, struct rb_err *err)
{
    rses_next(ses);
    rcmd_begin(&ses->cmd, 7);
    rcmd_str(&ses->cmd, "ZRANGEBYSCORE");
    rcmd_key(&ses->cmd, 'z', "", 0);
    rcmd_int(&ses->cmd, kind * RSPAN);
    rcmd_int(&ses->cmd, kind * RSPAN + now_ms);
    rcmd_str(&ses->cmd, "LIMIT");
    rcmd_int(&ses->cmd, 0);
    rcmd_int(&ses->cmd, max);
    rcalendar_put_first(&ses->cmd);
    enum rb_code rc = rses_run(ses, 2, false, err);
    if (rc == RB_OK && ses->replies[0]->type != REDIS_REPLY_ARRAY) {
        return rses_odd(err);
    }
    return rc;
}

/* What of the calendar is due comes first: it may be older than what the index has. */
static enum rb_code find_candidates(struct redis_session *ses, enum rb_task_kind kind, unsigned max,
                                    int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = read_candidates(ses, kind, max, now_ms, err);
    int64_t slot_ms = rc == RB_OK ? rcalendar_first(ses->replies[1]) : 0;
    if (kind != RB_TASK_SUBMIT || slot_ms == 0 || slot_ms > now_ms) {
        return rc;
    }
    rc = rcalendar_turn(ses, slot_ms, now_ms, err);
    return rc == RB_OK ? read_candidates(ses, kind, max, now_ms, err) : rc;
}

static enum rb_code read_next(struct redis_session *ses, enum rb_task_kind kind, int64_t *ret_ms,
                              struct rb_err *err)
{
    rses_next(ses);
    rcmd_begin(&ses->cmd, 8);
    rcmd_str(&ses->cmd, "ZRANGEBYSCORE");
    rcmd_key(&ses->cmd, 'z', "", 0);
    rcmd_int(&ses->cmd, kind * RSPAN);
    rcmd_int(&ses->cmd, (kind + 1) * RSPAN - 1);
    rcmd_str(&ses->cmd, "WITHSCORES");
    rcmd_str(&ses->cmd, "LIMIT");
    rcmd_int(&ses->cmd, 0);
    rcmd_int(&ses->cmd, 1);
    rcalendar_put_first(&ses->cmd);
    enum rb_code rc = rses_run(ses, 2, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = ses->replies[0];
    int64_t score = 0;
    *ret_ms = 0;
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
        rb_parse_i64(rb_slice_str(r->element[1]->str), &score)) {
        *ret_ms = score - kind * RSPAN;
    }
    int64_t slot_ms = kind == RB_TASK_SUBMIT ? rcalendar_first(ses->replies[1]) : 0;
    if (slot_ms > 0 && (*ret_ms == 0 || slot_ms < *ret_ms)) {
        *ret_ms = slot_ms;
    }
    return RB_OK;
}

/* The script call for what the first reply names; its ids are kept in @ids. */
static enum rb_code lease_candidates(struct redis_session *ses, enum rb_task_kind kind,
                                     int64_t lease_ms, int64_t now_ms, uint8_t (*ids)[RKEY_RAW],
                                     uint64_t *fences, unsigned *ret_n, struct rb_err *err)
{
    const redisReply *list = ses->replies[0];
    unsigned n = 0;
    for (size_t i = 0; i < list->elements && n < RB_CLAIM_MAX; i++) {
        if (list->element[i]->len == RKEY_RAW) {
            memcpy(ids[n], list->element[i]->str, RKEY_RAW);
            fences[n++] = new_fence();
        }
    }
    rses_next(ses);
    rscript_begin(&ses->cmd, RSCRIPT_CLAIM, 1 + n, 3 + 2 * n);
    rcmd_key(&ses->cmd, 'z', "", 0);
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(&ses->cmd, 'r', ids[i], RKEY_RAW);
    }
    rcmd_int(&ses->cmd, now_ms);
    rcmd_int(&ses->cmd, now_ms + lease_ms);
    rcmd_int(&ses->cmd, kind);
    for (unsigned i = 0; i < n; i++) {
        rcmd_arg(&ses->cmd, ids[i], RKEY_RAW);
        rcmd_arg(&ses->cmd, &fences[i], sizeof(fences[i]));
    }
    for (unsigned i = 0; i < n; i++) {
        for (const char *letter = "lq"; *letter != '\0'; letter++) {
            rcmd_begin(&ses->cmd, 2);
            rcmd_str(&ses->cmd, "HGETALL");
            rcmd_key(&ses->cmd, *letter, ids[i], RKEY_RAW);
        }
    }
    enum rb_code rc = rses_run(ses, 1 + 2 * n, true, err);
    if (rc == RB_OK &&
        (ses->replies[0]->type != REDIS_REPLY_ARRAY || ses->replies[0]->elements != n)) {
        return rses_odd(err);
    }
    *ret_n = n;
    return rc;
}

static enum rb_code make_task(const redisReply *r, struct rb_task **ret_t, struct rb_err *err)
{
    struct rhead h;
    RB_CLEANUP(rb_task_freep) struct rb_task *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a task");
    }
    enum rb_code rc = rrecord_read(r, &h, &t->retry, err);
    if (rc != RB_OK) {
        return rc;
    }
    t->kind = h.kind;
    t->fence = h.fence;
    t->tries = h.tries;
    t->due_ms = h.due_ms;
    t->lease_until_ms = h.lease_ms;
    t->woken = h.woken;
    *ret_t = RB_TAKE(t);
    return RB_OK;
}

static enum rb_code set_aside(struct redis_session *ses, uint8_t (*ids)[RKEY_RAW], unsigned n,
                              struct rb_err *err)
{
    if (n == 0) {
        return RB_OK;
    }
    rses_next(ses);
    for (unsigned i = 0; i < n; i++) {
        rscript_begin(&ses->cmd, RSCRIPT_SET_ASIDE, 4, 3);
        rcmd_key(&ses->cmd, 'r', ids[i], RKEY_RAW);
        rcmd_key(&ses->cmd, 'z', "", 0);
        rcmd_key(&ses->cmd, 's', "", 0);
        rcmd_key(&ses->cmd, 'k', "", 0);
        rcmd_arg(&ses->cmd, ids[i], RKEY_RAW);
        rcmd_int(&ses->cmd, RB_STATE_DEAD * RSPAN);
        rcmd_int(&ses->cmd, RB_STATE_DEAD);
    }
    return rses_run(ses, n, true, err);
}

/* One round: candidates, leases, records. *ret_seen: how many candidates there were. */
static enum rb_code claim_round(struct redis_session *ses, enum rb_task_kind kind, unsigned max,
                                int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                                unsigned *ret_n, size_t *ret_seen, struct rb_err *err)
{
    uint8_t ids[RB_CLAIM_MAX][RKEY_RAW];
    uint8_t bad[RB_CLAIM_MAX][RKEY_RAW];
    uint64_t fences[RB_CLAIM_MAX];
    unsigned n = 0;
    unsigned n_bad = 0;
    unsigned made = 0;
    enum rb_code rc = find_candidates(ses, kind, max, now_ms, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_seen = ses->replies[0]->elements;
    if (*ret_seen == 0) {
        return RB_OK;
    }
    rc = lease_candidates(ses, kind, lease_ms, now_ms, ids, fences, &n, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        const redisReply *record = ses->replies[0]->element[i];
        if (record->type != REDIS_REPLY_STRING) {
            continue; /* another worker was faster */
        }
        struct rb_err why = {.code = RB_OK};
        rc = make_task(record, &ret_tasks[made], &why);
        if (rc == RB_OK) {
            rread_deliveries(ses->replies[1 + 2 * i], ret_tasks[made]->retry);
            rread_reports(ses->replies[2 + 2 * i], ret_tasks[made]->retry);
            made++;
        } else if (rc == RB_E_CORRUPT) {
            memcpy(bad[n_bad++], ids[i], RKEY_RAW);
            rc = RB_OK;
        } else if (rc == RB_E_UNAVAIL) {
            char id[RB_ID_BYTES];
            rid_text(ids[i], id);
            rb_store_left_alone(id, &why);
            rc = RB_OK;
        } else {
            rc = rb_err_set(err, rc, "%s", why.msg);
        }
    }
    if (rc == RB_OK) {
        rc = set_aside(ses, bad, n_bad, err);
    }
    if (rc != RB_OK) {
        for (unsigned i = 0; i < made; i++) {
            rb_task_free(ret_tasks[i]);
            ret_tasks[i] = NULL;
        }
        return rc;
    }
    *ret_n = made;
    return RB_OK;
}

enum rb_code redis_claim(struct rb_store_session *base, enum rb_task_kind kind, unsigned max,
                         int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                         unsigned *ret_n, int64_t *ret_next_ms, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc == RB_OK && kind == RB_TASK_REPORT) {
        return routbox_claim(ses, max, lease_ms, now_ms, ret_tasks, ret_n, ret_next_ms, err);
    }
    unsigned n = 0;
    size_t seen = 1;
    for (int round = 0; round < CLAIM_ROUNDS && rc == RB_OK && n == 0 && seen > 0; round++) {
        rc = claim_round(ses, kind, max, lease_ms, now_ms, ret_tasks, &n, &seen, err);
    }
    if (rc == RB_OK && n == 0) {
        rc = read_next(ses, kind, ret_next_ms, err);
    }
    if (rc == RB_OK) {
        *ret_n = n;
    }
    return rc;
}

static enum rb_code change_lease(struct redis_session *ses, const struct rb_task *t,
                                 const char *what, int64_t at_ms, int64_t now_ms,
                                 struct rb_err *err)
{
    uint8_t id[RKEY_RAW];
    if (!rid_raw(t->retry->id, id)) {
        return rb_err_set(err, RB_E_INVALID, "'%.40s' is no id", t->retry->id);
    }
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rscript_begin(&ses->cmd, RSCRIPT_LEASE, 2, 7);
    rcmd_key(&ses->cmd, 'r', id, RKEY_RAW);
    rcmd_key(&ses->cmd, 'z', "", 0);
    rcmd_str(&ses->cmd, what);
    rcmd_arg(&ses->cmd, id, RKEY_RAW);
    rcmd_arg(&ses->cmd, &t->fence, sizeof(t->fence));
    rcmd_int(&ses->cmd, at_ms);
    rcmd_int(&ses->cmd, now_ms);
    rcmd_str(&ses->cmd, RKEY_CHANNEL);
    rcmd_str(&ses->cmd, rses_is_repeat(ses, id, t->fence) ? "1" : "0");
    rc = rses_run(ses, 1, true, err);
    rses_note_outcome(ses, id, t->fence, rc);
    if (rc != RB_OK) {
        return rc;
    }
    switch (ses->replies[0]->integer) {
    case 1:
        return RB_OK;
    case 0:
        return rb_err_set(err, RB_E_FENCED, "the lease of '%s' has passed to another",
                          t->retry->id);
    default:
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", t->retry->id);
    }
}

enum rb_code redis_renew(struct rb_store_session *base, struct rb_task *t, int64_t lease_ms,
                         int64_t now_ms, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = t->kind == RB_TASK_REPORT
                          ? routbox_change(ses, t, "renew", now_ms + lease_ms, NULL, now_ms, err)
                          : change_lease(ses, t, "renew", now_ms + lease_ms, now_ms, err);
    if (rc == RB_OK) {
        t->lease_until_ms = now_ms + lease_ms;
    }
    return rc;
}

enum rb_code redis_release(struct rb_store_session *base, const struct rb_task *t, int64_t due_ms,
                           int64_t now_ms, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    return t->kind == RB_TASK_REPORT ? routbox_change(ses, t, "release", due_ms, NULL, now_ms, err)
                                     : change_lease(ses, t, "release", due_ms, now_ms, err);
}
