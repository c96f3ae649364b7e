/* session.c - blocking round trips of one thread: connect, pipeline, wait, reload forgotten
 * scripts. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

static void drop_replies(struct redis_session *ses)
{
    for (unsigned i = 0; i < ses->n_replies; i++) {
        if (ses->replies[i] != NULL) {
            freeReplyObject(ses->replies[i]);
        }
    }
    ses->n_replies = 0;
}

void rses_next(struct redis_session *ses)
{
    drop_replies(ses);
    rb_buf_clear(&ses->cmd);
    rb_buf_clear(&ses->scratch);
}

static enum rb_code connect_session(struct redis_session *ses, struct rb_err *err)
{
    struct raddresses addresses;
    enum rb_code rc =
        rkeeper_addresses(ses->store, ses->deadline_ms, &addresses, &ses->generation, err);
    if (rc == RB_OK) {
        rc = rconn_open(&ses->conn, &addresses, err);
    }
    if (rc == RB_OK) {
        rc = rconn_wait_ready(&ses->conn, ses->deadline_ms, err);
    }
    return rc;
}

static void fail(struct redis_session *ses)
{
    rconn_close(&ses->conn);
    rkeeper_doubt(ses->store);
}

enum rb_code rses_begin(struct redis_session *ses, struct rb_err *err)
{
    ses->deadline_ms = rb_boot_ms(ses->store->clock) + RDEADLINE_MS;
    rses_next(ses);
    if (atomic_load(&ses->store->barred)) {
        return rstore_away(ses->store, err);
    }
    if (ses->conn.state == RCONN_READY && rconn_stale(&ses->conn)) {
        rconn_close(&ses->conn); /* the server went away while we were idle */
    }
    if (ses->conn.state == RCONN_READY) {
        return RB_OK;
    }
    enum rb_code rc = connect_session(ses, err);
    if (rc != RB_OK) {
        fail(ses);
    }
    return rc;
}

static enum rb_code receive_all(struct redis_session *ses, unsigned n, struct rb_err *err)
{
    if (n > ses->cap_replies) {
        redisReply **bigger = realloc(ses->replies, n * sizeof(*bigger));
        if (bigger == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for replies");
        }
        ses->replies = bigger;
        ses->cap_replies = n;
    }
    while (ses->n_replies < n) {
        redisReply *r = NULL;
        enum rb_code rc = rconn_wait_reply(&ses->conn, ses->deadline_ms, &r, err);
        if (rc != RB_OK) {
            return rc;
        }
        ses->replies[ses->n_replies++] = r;
    }
    return RB_OK;
}

static enum rb_code round_trip(struct redis_session *ses, unsigned n, struct rb_err *err)
{
    drop_replies(ses);
    if (rb_buf_failed(&ses->cmd)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the commands to Redis are too long");
    }
    rb_buf_add(&ses->conn.out, ses->cmd.data, ses->cmd.len);
    return receive_all(ses, n, err);
}

static bool forgotten(const struct redis_session *ses)
{
    for (unsigned i = 0; i < ses->n_replies; i++) {
        if (rreply_is_noscript(ses->replies[i])) {
            return true;
        }
    }
    return false;
}

static enum rb_code reload(struct redis_session *ses, struct rb_err *err)
{
    drop_replies(ses);
    rscripts_send_load(&ses->conn.out);
    return receive_all(ses, RSCRIPT_COUNT, err);
}

static enum rb_code judge(struct redis_session *ses, unsigned n, bool waited, struct rb_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        if (rreply_is(ses->replies[i], REDIS_REPLY_ERROR)) {
            return rreply_error(ses->replies[i], err);
        }
    }
    if (waited &&
        (ses->replies[n - 1]->type != REDIS_REPLY_INTEGER || ses->replies[n - 1]->integer < 1)) {
        return rb_err_set(err, RB_E_UNAVAIL, "no replica has confirmed the write in time");
    }
    return RB_OK;
}

enum rb_code rses_run(struct redis_session *ses, unsigned n, bool writes, struct rb_err *err)
{
    bool waits = writes && atomic_load(&ses->store->replicas) > 0;
    if (waits) {
        rcmd_words(&ses->cmd, "WAIT", RWAIT_REPLICAS, RWAIT_MS, (const char *)NULL);
        n++;
    }
    enum rb_code rc = round_trip(ses, n, err);
    if (rc == RB_OK && forgotten(ses)) {
        rc = reload(ses, err);
        if (rc == RB_OK) {
            rc = round_trip(ses, n, err);
        }
    }
    if (rc == RB_OK) {
        rc = judge(ses, n, waits, err);
        if (rc != RB_E_UNAVAIL && rc != RB_E_NO_SPACE) {
            return rc; /* the connection is in step */
        }
    }
    fail(ses);
    return rc;
}

bool rses_is_repeat(const struct redis_session *ses, const uint8_t id[RKEY_RAW], uint64_t mark)
{
    return ses->has_lost && ses->lost_mark == mark && memcmp(ses->lost_id, id, RKEY_RAW) == 0;
}

void rses_note_outcome(struct redis_session *ses, const uint8_t id[RKEY_RAW], uint64_t mark,
                       enum rb_code rc)
{
    ses->has_lost = rc == RB_E_UNAVAIL || rc == RB_E_TIMEOUT;
    ses->lost_mark = mark;
    memcpy(ses->lost_id, id, RKEY_RAW);
}

enum rb_code rses_odd(struct rb_err *err)
{
    return rb_err_set(err, RB_E_INTERNAL, "a script answered in an unknown form");
}

void rscript_begin(struct rb_buf *out, enum rscript script, size_t n_keys, size_t n_args)
{
    rcmd_begin(out, 3 + n_keys + n_args);
    rcmd_arg(out, "EVALSHA", 7);
    rcmd_arg(out, rscripts[script].sha1, 40);
    rcmd_int(out, (int64_t)n_keys);
}
