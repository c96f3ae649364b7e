/* trim.c - retention: terminal retries of long ago, found by the state index, deleted one script
 * call each. Keys that live for a time are expired by the server itself. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

#define AT_ONCE 64
#define MAX_ROUNDS 16 /* of one state in one call */

struct trimming {
    struct redis_session *ses;
    int64_t before_ms, now_ms;
    unsigned max, deleted;
};

struct doomed {
    uint8_t id[RKEY_RAW];
    struct rhead h;
    bool has_head;
    uint8_t tail[RENTRY_TAIL];
    uint8_t intent[RKEY_RAW], delivery[RKEY_RAW], chain[RKEY_RAW];
};

static enum rb_code candidates(struct trimming *t, int state, unsigned offset, struct doomed *ret_d,
                               unsigned *ret_n, struct rb_err *err)
{
    rses_next(t->ses);
    rcmd_begin(&t->ses->cmd, 7);
    rcmd_str(&t->ses->cmd, "ZRANGEBYSCORE");
    rcmd_key(&t->ses->cmd, 's', "", 0);
    rcmd_int(&t->ses->cmd, state * RSPAN);
    rcmd_int(&t->ses->cmd, state * RSPAN + t->before_ms - 1);
    rcmd_str(&t->ses->cmd, "LIMIT");
    rcmd_int(&t->ses->cmd, offset);
    rcmd_int(&t->ses->cmd, t->max - t->deleted < AT_ONCE ? t->max - t->deleted : AT_ONCE);
    enum rb_code rc = rses_run(t->ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = t->ses->replies[0];
    unsigned n = 0;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements && n < AT_ONCE; i++) {
        if (r->element[i]->len == RKEY_RAW) {
            ret_d[n] = (struct doomed){.has_head = false};
            memcpy(ret_d[n++].id, r->element[i]->str, RKEY_RAW);
        }
    }
    *ret_n = n;
    return RB_OK;
}

/* What the keys of each are: from its head and its record. */
static enum rb_code look(struct trimming *t, struct doomed *d, unsigned n, struct rb_err *err)
{
    rses_next(t->ses);
    for (unsigned i = 0; i < n; i++) {
        rcmd_begin(&t->ses->cmd, 2);
        rcmd_str(&t->ses->cmd, "GET");
        rcmd_key(&t->ses->cmd, 'r', d[i].id, RKEY_RAW);
    }
    enum rb_code rc = rses_run(t->ses, n, false, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        const redisReply *r = t->ses->replies[i];
        struct rb_retry *retry = NULL;
        size_t body_at = 0;
        if (r->type != REDIS_REPLY_STRING) {
            continue;
        }
        d[i].has_head = rhead_read(r->str, r->len, &d[i].h, &body_at);
        if (rrecord_read(r, &d[i].h, &retry, NULL) == RB_OK) {
            char key[RB_KEY_BYTES];
            rb_intent_key(&retry->build, key);
            rkey_raw(key, d[i].intent);
            rentry_tail(retry, d[i].tail);
            (void)rid_raw(retry->chain, d[i].chain);
            const struct rb_delivery *from = &retry->source;
            rb_scoped_key(from->source == NULL ? "" : from->source,
                          from->key == NULL ? "" : from->key,
                          from->key == NULL ? 0 : strlen(from->key), key);
            rkey_raw(key, d[i].delivery);
            rb_retry_free(retry);
        }
    }
    return rc;
}

static enum rb_code delete_them(struct trimming *t, int state, const struct doomed *d, unsigned n,
                                unsigned *ret_kept, struct rb_err *err)
{
    struct rb_buf *cmd = &t->ses->cmd;
    rses_next(t->ses);
    for (unsigned i = 0; i < n; i++) {
        uint8_t entry[RENTRY_BYTES];
        rput48(entry, d[i].h.created_ms);
        memcpy(entry + 6, d[i].id, RKEY_RAW);
        memcpy(entry + 6 + RKEY_RAW, d[i].tail, RENTRY_TAIL);
        rscript_begin(cmd, RSCRIPT_TRIM, 11, 5);
        rcmd_key(cmd, 'r', d[i].id, RKEY_RAW);
        rcmd_key(cmd, 's', "", 0);
        rcmd_key(cmd, 'a', "", 0);
        rcmd_key(cmd, 'e', d[i].h.effect, RKEY_RAW);
        rcmd_key(cmd, 'c', d[i].h.child, RKEY_RAW);
        rcmd_key(cmd, 'i', d[i].intent, RKEY_RAW);
        for (const char *letter = "lqy"; *letter != '\0'; letter++) {
            rcmd_key(cmd, *letter, d[i].id, RKEY_RAW);
        }
        rcmd_key(cmd, 'd', d[i].delivery, RKEY_RAW);
        rcmd_key(cmd, 'h', d[i].chain, RKEY_RAW);
        rcmd_arg(cmd, d[i].id, RKEY_RAW);
        rcmd_arg(cmd, entry, sizeof(entry));
        rcmd_int(cmd, state * RSPAN);
        rcmd_int(cmd, state * RSPAN + t->before_ms - 1);
        rcmd_int(cmd, t->now_ms);
    }
    enum rb_code rc = rses_run(t->ses, n, true, err);
    unsigned kept = 0;
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        bool gone = t->ses->replies[i]->integer == 1;
        t->deleted += gone ? 1 : 0;
        kept += gone ? 0 : 1;
    }
    *ret_kept = kept;
    return rc;
}

static enum rb_code trim_state(struct trimming *t, int state, struct rb_err *err)
{
    struct doomed d[AT_ONCE];
    unsigned offset = 0;
    enum rb_code rc = RB_OK;
    for (int round = 0; round < MAX_ROUNDS && t->deleted < t->max && rc == RB_OK; round++) {
        unsigned n = 0;
        unsigned kept = 0;
        rc = candidates(t, state, offset, d, &n, err);
        if (rc != RB_OK || n == 0) {
            return rc;
        }
        rc = look(t, d, n, err);
        if (rc == RB_OK) {
            rc = delete_them(t, state, d, n, &kept, err);
        }
        offset += kept; /* those stand in front of the rest */
    }
    return rc;
}

enum rb_code redis_trim(struct rb_store_session *base, int64_t before_ms, unsigned max,
                        int64_t now_ms, unsigned *ret_n, struct rb_err *err)
{
    struct trimming t = {.ses = rses(base), .before_ms = before_ms, .now_ms = now_ms, .max = max};
    enum rb_code rc = rses_begin(t.ses, err);
    for (int state = 0; state < RB_STATE_COUNT && rc == RB_OK && t.deleted < max; state++) {
        if (rb_state_terminal((enum rb_state)state)) {
            rc = trim_state(&t, state, err);
        }
    }
    if (rc == RB_OK) {
        *ret_n = t.deleted;
    }
    return rc;
}
