/* read.c - single records, the child index, numbers, switches, projects, the epoch. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

#define SLOT_SAMPLE 1024

enum rb_code redis_get(struct rb_store_session *base, const char *retry_id, struct rb_retry **ret_r,
                       struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    uint8_t id[RKEY_RAW];
    if (!rid_raw(retry_id, id)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%.40s'", retry_id);
    }
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_begin(&ses->cmd, 2);
    rcmd_str(&ses->cmd, "GET");
    rcmd_key(&ses->cmd, 'r', id, RKEY_RAW);
    for (const char *letter = "lq"; *letter != '\0'; letter++) {
        rcmd_begin(&ses->cmd, 2);
        rcmd_str(&ses->cmd, "HGETALL");
        rcmd_key(&ses->cmd, *letter, id, RKEY_RAW);
    }
    rc = rses_run(ses, 3, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (ses->replies[0]->type != REDIS_REPLY_STRING) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", retry_id);
    }
    struct rhead h;
    struct rb_retry *r = NULL;
    rc = rrecord_read(ses->replies[0], &h, &r, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "read '%s'", retry_id);
    }
    rread_deliveries(ses->replies[1], r);
    rread_reports(ses->replies[2], r);
    *ret_r = r;
    return RB_OK;
}

enum rb_code redis_child_of(struct rb_store_session *base, const char *build_key,
                            char ret_retry_id[RB_ID_BYTES], struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_begin(&ses->cmd, 2);
    rcmd_str(&ses->cmd, "GET");
    rcmd_hex_key(&ses->cmd, 'c', build_key);
    rc = rses_run(ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    ret_retry_id[0] = '\0';
    if (ses->replies[0]->type == REDIS_REPLY_STRING && ses->replies[0]->len == RKEY_RAW) {
        rid_text(ses->replies[0]->str, ret_retry_id);
    }
    return RB_OK;
}

/* ---- numbers ---- */

static void put_count(struct rb_buf *out, char letter, int64_t from, int64_t to)
{
    rcmd_begin(out, 4);
    rcmd_str(out, "ZCOUNT");
    rcmd_key(out, letter, "", 0);
    rcmd_int(out, from);
    rcmd_int(out, to);
}

static void put_oldest(struct rb_buf *out, char letter, int64_t from, int64_t to)
{
    rcmd_begin(out, 8);
    rcmd_str(out, "ZRANGEBYSCORE");
    rcmd_key(out, letter, "", 0);
    rcmd_int(out, from);
    rcmd_int(out, to);
    rcmd_str(out, "WITHSCORES");
    rcmd_str(out, "LIMIT");
    rcmd_int(out, 0);
    rcmd_int(out, 1);
}

static int64_t oldest(const redisReply *r, int64_t base)
{
    int64_t score = base;
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
        (void)rb_parse_i64(rb_slice_str(r->element[1]->str), &score);
    }
    return score - base;
}

/* The earliest time in the calendar's first slot, when it is earlier than @ret_ms or that is 0. */
static enum rb_code oldest_of_calendar(struct redis_session *ses, int64_t *ret_ms,
                                       struct rb_err *err)
{
    rses_next(ses);
    rcalendar_put_first(&ses->cmd);
    enum rb_code rc = rses_run(ses, 1, false, err);
    int64_t slot_ms = rc == RB_OK ? rcalendar_first(ses->replies[0]) : 0;
    if (slot_ms == 0) {
        return rc;
    }
    rses_next(ses);
    rcalendar_put_entries(&ses->cmd, slot_ms, SLOT_SAMPLE);
    rc = rses_run(ses, 1, false, err);
    const redisReply *r = rc == RB_OK ? ses->replies[0] : NULL;
    for (size_t i = 0; r != NULL && r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        int64_t due_ms = r->element[i]->len == RSLOT_ENTRY_BYTES ? rget48(r->element[i]->str) : 0;
        if (due_ms > 0 && (*ret_ms == 0 || due_ms < *ret_ms)) {
            *ret_ms = due_ms;
        }
    }
    return rc;
}

enum rb_code redis_counts(struct rb_store_session *base, struct rb_counts *ret_c,
                          struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    unsigned n = 0;
    for (const char *letter = "kf"; *letter != '\0'; letter++, n++) {
        rcmd_begin(&ses->cmd, 2);
        rcmd_str(&ses->cmd, "GET");
        rcmd_key(&ses->cmd, *letter, "", 0);
    }
    for (int state = 0; state < RB_STATE_COUNT; state++, n++) {
        put_count(&ses->cmd, 's', state * RSPAN, (state + 1) * RSPAN - 1);
    }
    for (int kind = RB_TASK_INSPECT; kind <= RB_TASK_FOLLOW; kind++, n += 2) {
        put_count(&ses->cmd, 'z', kind * RSPAN, (kind + 1) * RSPAN - 1);
        put_oldest(&ses->cmd, 'z', kind * RSPAN, (kind + 1) * RSPAN - 1);
    }
    put_count(&ses->cmd, 'o', 0, RSPAN);
    put_oldest(&ses->cmd, 'o', 0, RSPAN);
    n += 2;
    rc = rses_run(ses, n, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    for (int state = 0; state < RB_STATE_COUNT; state++) {
        ret_c->by_state[state] = ses->replies[2 + state]->integer;
    }
    int64_t far = rreply_number(ses->replies[1]);
    ret_c->by_state[RB_STATE_SCHEDULED] = rreply_number(ses->replies[0]) + far;
    unsigned at = 2 + RB_STATE_COUNT;
    for (int kind = RB_TASK_INSPECT; kind <= RB_TASK_REPORT; kind++, at += 2) {
        ret_c->tasks[kind] = ses->replies[at]->integer;
        ret_c->oldest_due_ms[kind] =
            oldest(ses->replies[at + 1], kind == RB_TASK_REPORT ? 0 : kind * RSPAN);
    }
    ret_c->tasks[RB_TASK_SUBMIT] += far;
    return far > 0 ? oldest_of_calendar(ses, &ret_c->oldest_due_ms[RB_TASK_SUBMIT], err) : RB_OK;
}

/* ---- switches, projects ---- */

enum rb_code redis_pause(struct rb_store_session *base, const char *project, bool on,
                         struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_begin(&ses->cmd, 3);
    rcmd_str(&ses->cmd, on ? "SADD" : "SREM");
    rcmd_key(&ses->cmd, 'x', "", 0);
    rcmd_str(&ses->cmd, project);
    return rses_run(ses, 1, true, err);
}

enum rb_code redis_paused(struct rb_store_session *base, struct rb_arena *a,
                          const char ***ret_names, unsigned *ret_n, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_begin(&ses->cmd, 2);
    rcmd_str(&ses->cmd, "SMEMBERS");
    rcmd_key(&ses->cmd, 'x', "", 0);
    rc = rses_run(ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = ses->replies[0];
    size_t n = r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
    const char **names = rb_arena_alloc(a, (n + 1) * sizeof(*names));
    for (size_t i = 0; names != NULL && i < n; i++) {
        names[i] = rb_arena_strndup(a, r->element[i]->str, r->element[i]->len);
        if (names[i] == NULL) {
            names = NULL;
        }
    }
    if (names == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "too many paused projects");
    }
    *ret_names = names;
    *ret_n = (unsigned)n;
    return RB_OK;
}

/* A member is account, region and project with a NUL between them; "" stands for absent. */
static bool read_project(const redisReply *member, const redisReply *score, struct rb_arena *a,
                         struct rb_project_seen *ret_p)
{
    const char *text = rb_arena_strndup(a, member->str, member->len);
    size_t account = text == NULL ? 0 : strlen(text);
    if (text == NULL || account + 1 >= member->len) {
        return false;
    }
    size_t region = strlen(text + account + 1);
    if (account + region + 2 > member->len) {
        return false;
    }
    ret_p->account = account == 0 ? NULL : text;
    ret_p->region = region == 0 ? NULL : text + account + 1;
    ret_p->project = text + account + region + 2;
    return rb_parse_i64(rb_slice_str(score->str), &ret_p->last_ms);
}

enum rb_code redis_projects(struct rb_store_session *base, int64_t since_ms, struct rb_arena *a,
                            unsigned max, struct rb_project_seen **ret_items, unsigned *ret_n,
                            struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_begin(&ses->cmd, 8);
    rcmd_str(&ses->cmd, "ZREVRANGEBYSCORE");
    rcmd_key(&ses->cmd, 'j', "", 0);
    rcmd_str(&ses->cmd, "+inf");
    rcmd_int(&ses->cmd, since_ms);
    rcmd_str(&ses->cmd, "WITHSCORES");
    rcmd_str(&ses->cmd, "LIMIT");
    rcmd_int(&ses->cmd, 0);
    rcmd_int(&ses->cmd, max);
    rc = rses_run(ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = ses->replies[0];
    size_t n = r->type == REDIS_REPLY_ARRAY ? r->elements / 2 : 0;
    struct rb_project_seen *items = rb_arena_alloc(a, (n + 1) * sizeof(*items));
    if (items == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "too many projects");
    }
    unsigned kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (read_project(r->element[2 * i], r->element[2 * i + 1], a, &items[kept])) {
            kept++;
        }
    }
    *ret_items = items;
    *ret_n = kept;
    return RB_OK;
}

/* ---- the epoch ---- */

enum rb_code redis_epoch(struct rb_store_session *base, int64_t now_ms, int64_t *ret_birth_ms,
                         struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    struct rinfo info = {.replicas = 0};
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_words(&ses->cmd, "INFO", (const char *)NULL);
    rc = rses_run(ses, 1, false, err);
    if (rc == RB_OK) {
        rc = rinfo_read(ses->replies[0], &info, err);
    }
    if (rc == RB_OK) {
        rc = rinfo_check(&info, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    rses_next(ses);
    rbeat_put(ses->store, &ses->cmd, RBEAT_OF_SESSION, now_ms);
    rscript_begin(&ses->cmd, RSCRIPT_EPOCH, 1, 3);
    rcmd_key(&ses->cmd, 'E', "", 0);
    rcmd_int(&ses->cmd, now_ms);
    rcmd_str(&ses->cmd, info.id);
    rcmd_str(&ses->cmd, info.from);
    rc = rses_run(ses, 2, true, err);
    if (rc == RB_OK) {
        rc = rbeat_take(ses->store, RBEAT_OF_SESSION, ses->replies[0], err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = ses->replies[1];
    return r->type == REDIS_REPLY_STRING && rb_parse_i64(rb_slice_str(r->str), ret_birth_ms)
               ? RB_OK
               : rses_odd(err);
}
