/* sheets.c - the ledger's sheets: one key each, written together by a script. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

#define SHEET_HEAD 14 /* version (8), until (6) */

static void put_version(uint8_t at[8], uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

static uint64_t get_version(const uint8_t *at)
{
    return (uint64_t)rget32(at) << 32 | rget32(at + 4);
}

enum rb_code redis_sheets_get(struct rb_store_session *base, struct rb_sheet *sheets, unsigned n,
                              int64_t now_ms, struct rb_arena *a, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_begin(&ses->cmd, 1 + n);
    rcmd_str(&ses->cmd, "MGET");
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(&ses->cmd, 'n', sheets[i].name, strlen(sheets[i].name));
    }
    rc = rses_run(ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = ses->replies[0];
    if (r->type != REDIS_REPLY_ARRAY || r->elements != n) {
        return rses_odd(err);
    }
    for (unsigned i = 0; i < n; i++) {
        const redisReply *v = r->element[i];
        sheets[i].version = 0;
        sheets[i].data = NULL;
        sheets[i].len = 0;
        if (v->type != REDIS_REPLY_STRING || v->len < SHEET_HEAD || rget48(v->str + 8) <= now_ms) {
            continue;
        }
        sheets[i].len = v->len - SHEET_HEAD;
        uint8_t *data = rb_arena_alloc(a, sheets[i].len + 1);
        if (data == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for the ledger");
        }
        memcpy(data, v->str + SHEET_HEAD, sheets[i].len);
        sheets[i].data = data;
        sheets[i].version = get_version((const uint8_t *)v->str);
    }
    return RB_OK;
}

static void put_sheet(struct redis_session *ses, const struct rb_sheet *s, int64_t now_ms)
{
    uint8_t head[SHEET_HEAD];
    put_version(head, s->version);
    rcmd_arg(&ses->cmd, head, s->version == 0 ? 0 : 8);
    rb_buf_clear(&ses->scratch);
    if (s->next != 0) {
        put_version(head, s->next);
        rput48(head + 8, now_ms + s->ttl_ms);
        rb_buf_add(&ses->scratch, head, sizeof(head));
        rb_buf_add(&ses->scratch, s->data, s->len);
    }
    rcmd_arg(&ses->cmd, rb_buf_str(&ses->scratch), ses->scratch.len);
    rcmd_int(&ses->cmd, s->ttl_ms);
}

enum rb_code redis_sheets_put(struct rb_store_session *base, const struct rb_sheet *sheets,
                              unsigned n, int64_t now_ms, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    enum rb_code rc = rses_begin(ses, err);
    if (rc != RB_OK) {
        return rc;
    }
    rscript_begin(&ses->cmd, RSCRIPT_SHEETS_PUT, n, 1 + 3 * (size_t)n);
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(&ses->cmd, 'n', sheets[i].name, strlen(sheets[i].name));
    }
    rcmd_int(&ses->cmd, now_ms);
    for (unsigned i = 0; i < n; i++) {
        put_sheet(ses, &sheets[i], now_ms);
    }
    rc = rses_run(ses, 1, true, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (ses->replies[0]->type != REDIS_REPLY_INTEGER) {
        return rses_odd(err);
    }
    return ses->replies[0]->integer == 1
               ? RB_OK
               : rb_err_set(err, RB_E_CONFLICT, "the ledger changed meanwhile");
}
