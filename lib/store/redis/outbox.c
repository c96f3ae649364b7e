/* outbox.c - report tasks: claim, outcome, requeue. A report is known by its member: retry, stage,
 * version of the record that made it, destination. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/random.h>
#include <retrybuild/record.h>

#include "store_redis.h"

#define ROUNDS 4
#define FIELD_AT RKEY_RAW
#define DESTINATION_AT (RKEY_RAW + 5)
#define ROW_BYTES 33

struct member {
    char bytes[128];
    size_t len;
    uint64_t fence;
};

static enum rb_code candidates(struct redis_session *ses, unsigned max, int64_t now_ms,
                               struct rb_err *err)
{
    rses_next(ses);
    rcmd_begin(&ses->cmd, 7);
    rcmd_str(&ses->cmd, "ZRANGEBYSCORE");
    rcmd_key(&ses->cmd, 'o', "", 0);
    rcmd_str(&ses->cmd, "-inf");
    rcmd_int(&ses->cmd, now_ms);
    rcmd_str(&ses->cmd, "LIMIT");
    rcmd_int(&ses->cmd, 0);
    rcmd_int(&ses->cmd, max);
    enum rb_code rc = rses_run(ses, 1, false, err);
    return rc == RB_OK && ses->replies[0]->type != REDIS_REPLY_ARRAY ? rses_odd(err) : rc;
}

static unsigned read_members(const redisReply *list, struct member *ret_m)
{
    unsigned n = 0;
    for (size_t i = 0; i < list->elements && n < RB_CLAIM_MAX; i++) {
        const redisReply *e = list->element[i];
        if (e->len > DESTINATION_AT && e->len <= sizeof(ret_m[n].bytes)) {
            memcpy(ret_m[n].bytes, e->str, e->len);
            ret_m[n].len = e->len;
            do {
                ret_m[n].fence = rb_random_system()->next(rb_random_system()->arg);
            } while (ret_m[n].fence == 0);
            n++;
        }
    }
    return n;
}

static enum rb_code lease(struct redis_session *ses, const struct member *m, unsigned n,
                          int64_t lease_ms, int64_t now_ms, struct rb_err *err)
{
    rses_next(ses);
    rscript_begin(&ses->cmd, RSCRIPT_OUTBOX_CLAIM, 1 + 2 * (size_t)n, 2 + 2 * (size_t)n);
    rcmd_key(&ses->cmd, 'o', "", 0);
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(&ses->cmd, 'q', m[i].bytes, RKEY_RAW);
        rcmd_key(&ses->cmd, 'y', m[i].bytes, RKEY_RAW);
    }
    rcmd_int(&ses->cmd, now_ms);
    rcmd_int(&ses->cmd, now_ms + lease_ms);
    for (unsigned i = 0; i < n; i++) {
        rcmd_arg(&ses->cmd, m[i].bytes, m[i].len);
        rcmd_arg(&ses->cmd, &m[i].fence, sizeof(m[i].fence));
    }
    enum rb_code rc = rses_run(ses, 1, true, err);
    if (rc == RB_OK &&
        (ses->replies[0]->type != REDIS_REPLY_ARRAY || ses->replies[0]->elements != 2 * n)) {
        return rses_odd(err);
    }
    return rc;
}

static enum rb_code make_task(const struct member *m, const redisReply *row,
                              const redisReply *record, int64_t lease_until_ms,
                              struct rb_task **ret_t, struct rb_err *err)
{
    RB_CLEANUP(rb_task_freep) struct rb_task *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a task");
    }
    if (row->len < ROW_BYTES || record->type != REDIS_REPLY_STRING) {
        return rb_err_set(err, RB_E_CORRUPT, "a report's row does not decode");
    }
    enum rb_code rc = rb_record_decode(record->str, record->len, &t->retry, err);
    if (rc != RB_OK) {
        return rc;
    }
    t->kind = RB_TASK_REPORT;
    t->fence = m->fence;
    t->attempts = rget16(row->str + 2);
    t->tries = rget16(row->str + 4);
    t->lease_until_ms = lease_until_ms;
    t->due_ms = rget48(row->str + 20);
    t->first_due_ms = rget48(row->str + 26);
    t->stage = (enum rb_stage)(uint8_t)m->bytes[FIELD_AT];
    t->retry->version = rget32(m->bytes + FIELD_AT + 1);
    t->retry->deliveries[0] = t->retry->source;
    t->retry->n_deliveries = 1;
    size_t len = m->len - DESTINATION_AT;
    len = len < sizeof(t->destination) ? len : sizeof(t->destination) - 1;
    memcpy(t->destination, m->bytes + DESTINATION_AT, len);
    rb_message_id(t->retry->id, t->destination, t->stage, t->retry->version, t->message_id);
    *ret_t = RB_TAKE(t);
    return RB_OK;
}

static enum rb_code change(struct redis_session *ses, const struct member *m, const char *chain_id,
                           const char *what, int64_t at_ms, const char *last_error,
                           const char *receipt, int64_t now_ms, int64_t *ret_answer,
                           struct rb_err *err)
{
    uint8_t chain[RKEY_RAW] = {0};
    (void)rid_raw(chain_id, chain);
    rses_next(ses);
    rscript_begin(&ses->cmd, RSCRIPT_OUTBOX_SETTLE, 4, 11);
    rcmd_key(&ses->cmd, 'o', "", 0);
    rcmd_key(&ses->cmd, 'q', m->bytes, RKEY_RAW);
    rcmd_key(&ses->cmd, 'y', m->bytes, RKEY_RAW);
    rcmd_key(&ses->cmd, 'h', chain, RKEY_RAW);
    rcmd_str(&ses->cmd, what);
    rcmd_arg(&ses->cmd, m->bytes, RKEY_RAW);
    rcmd_arg(&ses->cmd, m->bytes + FIELD_AT, DESTINATION_AT - FIELD_AT);
    rcmd_arg(&ses->cmd, m->bytes + DESTINATION_AT, m->len - DESTINATION_AT);
    rcmd_arg(&ses->cmd, &m->fence, sizeof(m->fence));
    rcmd_int(&ses->cmd, at_ms);
    size_t len = last_error == NULL ? 0 : strnlen(last_error, RB_LAST_ERROR_MAX_BYTES);
    rcmd_arg(&ses->cmd, last_error == NULL ? "" : last_error, len);
    rcmd_int(&ses->cmd, now_ms);
    rcmd_str(&ses->cmd, RKEY_CHANNEL);
    uint8_t id[RKEY_RAW];
    memcpy(id, m->bytes, RKEY_RAW);
    rcmd_str(&ses->cmd, rses_is_repeat(ses, id, m->fence) ? "1" : "0");
    rcmd_str(&ses->cmd, receipt);
    enum rb_code rc = rses_run(ses, 1, true, err);
    rses_note_outcome(ses, id, m->fence, rc);
    if (rc == RB_OK) {
        *ret_answer = ses->replies[0]->integer;
    }
    return rc;
}

/* A snapshot that does not decode: its report is given up, the line behind it goes on. */
static enum rb_code give_up_bad(struct redis_session *ses, const struct member *bad, unsigned n,
                                int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        int64_t answer = 0;
        char id[RB_ID_BYTES];
        rid_text(bad[i].bytes, id);
        struct rb_retry *r = NULL;
        char chain[RB_ID_BYTES] = "";
        if (redis_get(&ses->base, id, &r, NULL) == RB_OK) {
            memcpy(chain, r->chain, sizeof(chain));
            rb_retry_free(r);
        }
        rc = change(ses, &bad[i], chain, "give_up", now_ms, "the stored record does not decode", "",
                    now_ms, &answer, err);
    }
    return rc;
}

/* The receipts of these reports' lines: none of them changes while its report is leased. */
static enum rb_code read_receipts(struct redis_session *ses, struct rb_task **tasks, unsigned n,
                                  struct rb_err *err)
{
    char field[1 + sizeof(tasks[0]->destination)];
    if (n == 0) {
        return RB_OK;
    }
    rses_next(ses);
    for (unsigned i = 0; i < n; i++) {
        uint8_t chain[RKEY_RAW] = {0};
        size_t len = strlen(tasks[i]->destination);
        (void)rid_raw(tasks[i]->retry->chain, chain);
        field[0] = '\0';
        memcpy(field + 1, tasks[i]->destination, len);
        rcmd_begin(&ses->cmd, 3);
        rcmd_str(&ses->cmd, "HGET");
        rcmd_key(&ses->cmd, 'h', chain, RKEY_RAW);
        rcmd_arg(&ses->cmd, field, 1 + len);
    }
    enum rb_code rc = rses_run(ses, n, false, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        const redisReply *r = ses->replies[i];
        if (r->type == REDIS_REPLY_STRING && r->len > RKEY_RAW &&
            r->len - RKEY_RAW < sizeof(tasks[i]->receipt)) {
            memcpy(tasks[i]->receipt, r->str + RKEY_RAW, r->len - RKEY_RAW);
        }
    }
    return rc;
}

static enum rb_code claim_round(struct redis_session *ses, unsigned max, int64_t lease_ms,
                                int64_t now_ms, struct rb_task **ret_tasks, unsigned *ret_n,
                                size_t *ret_seen, struct rb_err *err)
{
    struct member m[RB_CLAIM_MAX];
    struct member bad[RB_CLAIM_MAX];
    unsigned n_bad = 0;
    unsigned made = 0;
    enum rb_code rc = candidates(ses, max, now_ms, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_seen = ses->replies[0]->elements;
    unsigned n = read_members(ses->replies[0], m);
    if (n == 0) {
        return RB_OK;
    }
    rc = lease(ses, m, n, lease_ms, now_ms, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        const redisReply *row = ses->replies[0]->element[2 * i];
        if (row->type != REDIS_REPLY_STRING) {
            continue;
        }
        struct rb_err why = {.code = RB_OK};
        rc = make_task(&m[i], row, ses->replies[0]->element[2 * i + 1], now_ms + lease_ms,
                       &ret_tasks[made], &why);
        if (rc == RB_OK) {
            made++;
        } else if (rc == RB_E_CORRUPT) {
            bad[n_bad++] = m[i];
            rc = RB_OK;
        } else if (rc == RB_E_UNAVAIL) {
            char id[RB_ID_BYTES];
            rid_text(m[i].bytes, id);
            rb_store_left_alone(id, &why);
            rc = RB_OK;
        } else {
            rc = rb_err_set(err, rc, "%s", why.msg);
        }
    }
    if (rc == RB_OK) {
        rc = give_up_bad(ses, bad, n_bad, now_ms, err);
    }
    if (rc == RB_OK) {
        rc = read_receipts(ses, ret_tasks, made, err);
    }
    if (rc == RB_OK) {
        *ret_n = made;
        return RB_OK;
    }
    for (unsigned i = 0; i < made; i++) {
        rb_task_free(ret_tasks[i]);
        ret_tasks[i] = NULL;
    }
    return rc;
}

static enum rb_code read_next(struct redis_session *ses, int64_t *ret_next_ms, struct rb_err *err)
{
    rses_next(ses);
    rcmd_begin(&ses->cmd, 5);
    rcmd_str(&ses->cmd, "ZRANGE");
    rcmd_key(&ses->cmd, 'o', "", 0);
    rcmd_int(&ses->cmd, 0);
    rcmd_int(&ses->cmd, 0);
    rcmd_str(&ses->cmd, "WITHSCORES");
    enum rb_code rc = rses_run(ses, 1, false, err);
    if (rc == RB_OK) {
        const redisReply *r = ses->replies[0];
        *ret_next_ms = 0;
        if (r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
            (void)rb_parse_i64(rb_slice_str(r->element[1]->str), ret_next_ms);
        }
    }
    return rc;
}

enum rb_code routbox_claim(struct redis_session *ses, unsigned max, int64_t lease_ms,
                           int64_t now_ms, struct rb_task **ret_tasks, unsigned *ret_n,
                           int64_t *ret_next_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    unsigned n = 0;
    size_t seen = 1;
    for (int round = 0; round < ROUNDS && rc == RB_OK && n == 0 && seen > 0; round++) {
        rc = claim_round(ses, max, lease_ms, now_ms, ret_tasks, &n, &seen, err);
    }
    if (rc == RB_OK && n == 0) {
        rc = read_next(ses, ret_next_ms, err);
    }
    if (rc == RB_OK) {
        *ret_n = n;
    }
    return rc;
}

static bool member_of(const struct rb_task *t, struct member *ret_m)
{
    size_t len = strlen(t->destination);
    uint8_t id[RKEY_RAW];
    if (!rid_raw(t->retry->id, id)) {
        return false;
    }
    uint32_t version = (uint32_t)t->retry->version;
    const uint8_t field[5] = {(uint8_t)t->stage, (uint8_t)(version >> 24), (uint8_t)(version >> 16),
                              (uint8_t)(version >> 8), (uint8_t)version};
    memcpy(ret_m->bytes, id, RKEY_RAW);
    memcpy(ret_m->bytes + FIELD_AT, field, sizeof(field));
    memcpy(ret_m->bytes + DESTINATION_AT, t->destination, len);
    ret_m->len = DESTINATION_AT + len;
    ret_m->fence = t->fence;
    return true;
}

enum rb_code routbox_change(struct redis_session *ses, const struct rb_task *t, const char *what,
                            int64_t at_ms, const char *last_error, int64_t now_ms,
                            struct rb_err *err)
{
    struct member m;
    int64_t answer = 0;
    if (!member_of(t, &m)) {
        return rb_err_set(err, RB_E_INVALID, "'%.40s' is no id", t->retry->id);
    }
    enum rb_code rc = rses_begin(ses, err);
    if (rc == RB_OK) {
        rc = change(ses, &m, t->retry->chain, what, at_ms, last_error, t->receipt, now_ms, &answer,
                    err);
    }
    if (rc != RB_OK || answer == 1) {
        return rc;
    }
    return answer == 0 ? rb_err_set(err, RB_E_FENCED, "the lease of a report of '%s' has passed on",
                                    t->retry->id)
                       : rb_err_set(err, RB_E_NOT_FOUND, "no such report of '%s'", t->retry->id);
}

enum rb_code redis_report_settle(struct rb_store_session *base, const struct rb_task *t,
                                 enum rb_report_outcome outcome, int64_t again_ms,
                                 const char *last_error, int64_t now_ms, struct rb_err *err)
{
    static const char *const words[] = {
        [RB_REPORT_DONE] = "done", [RB_REPORT_AGAIN] = "again", [RB_REPORT_GIVE_UP] = "give_up"};
    return routbox_change(rses(base), t, words[outcome], again_ms, last_error, now_ms, err);
}

enum rb_code redis_report_requeue(struct rb_store_session *base, const char *retry_id,
                                  int64_t now_ms, unsigned *ret_n, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    struct rb_retry *r = NULL;
    enum rb_code rc = redis_get(base, retry_id, &r, err); /* for its chain, which never changes */
    if (rc != RB_OK) {
        return rc;
    }
    uint8_t id[RKEY_RAW] = {0};
    uint8_t chain[RKEY_RAW] = {0};
    (void)rid_raw(r->id, id);
    (void)rid_raw(r->chain, chain);
    rb_retry_free(r);
    rses_next(ses);
    rscript_begin(&ses->cmd, RSCRIPT_OUTBOX_REQUEUE, 5, 3);
    rcmd_key(&ses->cmd, 'r', id, RKEY_RAW);
    rcmd_key(&ses->cmd, 'o', "", 0);
    rcmd_key(&ses->cmd, 'q', id, RKEY_RAW);
    rcmd_key(&ses->cmd, 'y', id, RKEY_RAW);
    rcmd_key(&ses->cmd, 'h', chain, RKEY_RAW);
    rcmd_arg(&ses->cmd, id, RKEY_RAW);
    rcmd_int(&ses->cmd, now_ms);
    rcmd_str(&ses->cmd, RKEY_CHANNEL);
    rc = rses_run(ses, 1, true, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (ses->replies[0]->integer < 0) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", retry_id);
    }
    *ret_n = (unsigned)ses->replies[0]->integer;
    return RB_OK;
}
