/* record.c - what stands before the bytes of a record, and the small values beside it. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/record.h>

#include "store_redis.h"

#define HEAD_FORMAT 1
#define FLAG_WOKEN 2
#define FLAG_LATE 4
#define FLAG_CHILD 8
#define FLAG_FAR 16
#define AT_VERSION 4
#define AT_FENCE 8
#define AT_LEASE 16
#define AT_DUE 22
#define AT_TRIES 28
#define AT_EFFECT 30
#define AT_CREATED 46
#define WORDS_MAX 64 /* no release has more states or kinds of tasks: then it is damage */
#define DEFAULT_DELIVERY_TTL_MS (96LL * 3600 * 1000)
#define DEFAULT_EFFECT_TTL_MS (24LL * 3600 * 1000)

bool rhead_read(const char *data, size_t len, struct rhead *ret_h, size_t *ret_body_at)
{
    const uint8_t *b = (const uint8_t *)data;
    if (len < RHEAD_BYTES || b[0] != HEAD_FORMAT || b[1] >= RB_STATE_COUNT ||
        b[2] > RB_TASK_FOLLOW) {
        return false;
    }
    struct rhead h = {
        .state = (enum rb_state)b[1],
        .kind = (enum rb_task_kind)b[2],
        .woken = (b[3] & (FLAG_WOKEN | FLAG_LATE)) != 0,
        .version = rget32(b + AT_VERSION),
        .lease_ms = rget48(b + AT_LEASE),
        .due_ms = rget48(b + AT_DUE),
        .tries = rget16(b + AT_TRIES),
        .created_ms = rget48(b + AT_CREATED),
        .has_child = (b[3] & FLAG_CHILD) != 0,
    };
    memcpy(&h.fence, b + AT_FENCE, sizeof(h.fence));
    memcpy(h.effect, b + AT_EFFECT, RKEY_RAW);
    size_t body_at = RHEAD_BYTES;
    if (h.has_child) {
        if (len < RHEAD_CHILD_BYTES) {
            return false;
        }
        memcpy(h.child, b + RHEAD_BYTES, RKEY_RAW);
        body_at = RHEAD_CHILD_BYTES;
    }
    *ret_h = h;
    *ret_body_at = body_at;
    return true;
}

void rhead_new(struct rb_buf *out, const struct rb_retry *r, enum rb_task_kind kind, bool far,
               const uint8_t effect[RKEY_RAW])
{
    uint8_t b[RHEAD_BYTES] = {HEAD_FORMAT, (uint8_t)r->state, (uint8_t)kind, far ? FLAG_FAR : 0};
    b[AT_VERSION + 3] = 1;
    rput48(b + AT_DUE, r->due_ms);
    memcpy(b + AT_EFFECT, effect, RKEY_RAW);
    rput48(b + AT_CREATED, r->created_ms);
    rb_buf_add(out, b, sizeof(b));
}

enum rb_code rrecord_read(const redisReply *r, struct rhead *ret_h, struct rb_retry **ret_retry,
                          struct rb_err *err)
{
    struct rhead h;
    size_t body_at = 0;
    if (!rhead_read(r->str, r->len, &h, &body_at)) {
        const uint8_t *b = (const uint8_t *)r->str;
        if (r->len >= RHEAD_BYTES && b[0] == HEAD_FORMAT && b[1] < WORDS_MAX && b[2] < WORDS_MAX) {
            return rb_err_set(err, RB_E_UNAVAIL,
                              "the record's head has a state or task of a newer release");
        }
        return rb_err_set(err, RB_E_CORRUPT, "the record's head does not decode");
    }
    struct rb_retry *retry = NULL;
    enum rb_code rc = rb_record_decode(r->str + body_at, r->len - body_at, &retry, err);
    if (rc != RB_OK) {
        return rc;
    }
    retry->version = h.version;
    retry->deliveries[0] = retry->source;
    retry->n_deliveries = 1;
    *ret_h = h;
    *ret_retry = retry;
    return RB_OK;
}

int64_t reffect_ttl_ms(const struct redis_store *s)
{
    return s->effect_ttl_ms > 0 ? s->effect_ttl_ms : DEFAULT_EFFECT_TTL_MS;
}

void reffect_value(const struct redis_store *s, const uint8_t id[RKEY_RAW], enum rb_state state,
                   int64_t now_ms, uint8_t ret_value[RKEY_RAW + 6])
{
    memcpy(ret_value, id, RKEY_RAW);
    rput48(ret_value + RKEY_RAW, rb_state_terminal(state) ? now_ms + reffect_ttl_ms(s) : 0);
}

int64_t rdelivery_ttl_ms(const struct redis_store *s)
{
    return s->delivery_ttl_ms > 0 ? s->delivery_ttl_ms : DEFAULT_DELIVERY_TTL_MS;
}

void rentry_tail(const struct rb_retry *r, uint8_t ret_tail[RENTRY_TAIL])
{
    uint64_t project = rhash(r->build.project);
    uint64_t source = rhash(r->source.source);
    for (size_t i = 0; i < 4; i++) {
        ret_tail[i] = (uint8_t)(project >> (8 * i + 16));
    }
    ret_tail[4] = (uint8_t)(source >> 16);
    ret_tail[5] = (uint8_t)(source >> 24);
}

/* ---- further deliveries: at, then source, type and key, each ended by NUL ---- */

static void put_text(struct rb_buf *out, const char *s)
{
    rb_buf_adds(out, s);
    rb_buf_addc(out, '\0');
}

void rput_deliveries(struct rb_buf *out, const struct rb_delivery *d)
{
    uint8_t at[6];
    rput48(at, d->at_ms);
    rb_buf_add(out, at, sizeof(at));
    put_text(out, d->source);
    put_text(out, d->type);
    put_text(out, d->key);
}

/* The next NUL-terminated text of *at, copied; NULL when it is empty or there is none. */
static const char *take_text(struct rb_retry *r, const char **at, const char *end)
{
    const char *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
    if (nul == NULL) {
        *at = end;
        return NULL;
    }
    const char *text = nul == *at ? NULL : rb_arena_strdup(&r->arena, *at);
    *at = nul + 1;
    return text;
}

/* A field of the hash "1", "2", … holds the delivery of that number; "n" counts them all. */
void rread_deliveries(const redisReply *hash, struct rb_retry *r)
{
    if (hash->type != REDIS_REPLY_ARRAY) {
        return;
    }
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        const redisReply *name = hash->element[i];
        const redisReply *value = hash->element[i + 1];
        uint64_t number = 0;
        if (rb_str_eq(name->str, "n")) {
            (void)rb_parse_i64(rb_slice_str(value->str), &r->duplicates);
        } else if (rb_parse_u64(rb_slice_str(name->str), &number) && number > 0 &&
                   number < RB_DELIVERIES_MAX && value->len > 6) {
            const char *at = value->str + 6;
            const char *end = value->str + value->len;
            struct rb_delivery *d = &r->deliveries[number];
            d->at_ms = rget48(value->str);
            d->source = take_text(r, &at, end);
            d->type = take_text(r, &at, end);
            d->key = take_text(r, &at, end);
            r->n_deliveries = number + 1 > r->n_deliveries ? (unsigned)number + 1 : r->n_deliveries;
        }
    }
}

/* ---- reports; the layout of a row is in prelude.lua ---- */

#define ROW_BYTES 33
#define ROW_FIELD_BYTES 5 /* stage and version, before the destination */
#define MAX_REPORTS 512

struct row {
    uint8_t order;
    struct rb_report report;
};

static int by_order(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return x->order == y->order ? 0 : x->order < y->order ? -1 : 1;
}

void rread_reports(const redisReply *hash, struct rb_retry *r)
{
    size_t n = hash->type == REDIS_REPLY_ARRAY ? hash->elements / 2 : 0;
    if (n == 0 || n > MAX_REPORTS) {
        return;
    }
    struct row *rows = rb_arena_alloc(&r->arena, n * sizeof(*rows));
    struct rb_report *reports = rb_arena_alloc(&r->arena, n * sizeof(*reports));
    if (rows == NULL || reports == NULL) {
        return;
    }
    unsigned kept = 0;
    for (size_t i = 0; i < n; i++) {
        const redisReply *name = hash->element[2 * i];
        const redisReply *value = hash->element[2 * i + 1];
        if (name->len <= ROW_FIELD_BYTES || value->len < ROW_BYTES ||
            (uint8_t)name->str[0] >= RB_STAGE_COUNT) {
            continue;
        }
        struct row *row = &rows[kept++];
        row->order = (uint8_t)value->str[ROW_BYTES - 1];
        row->report.stage = (enum rb_stage)(uint8_t)name->str[0];
        row->report.destination =
            rb_arena_strndup(&r->arena, name->str + ROW_FIELD_BYTES, name->len - ROW_FIELD_BYTES);
        row->report.state = (enum rb_report_state)(uint8_t)value->str[0];
        row->report.attempts = rget16(value->str + 2);
        if (value->len > ROW_BYTES) {
            row->report.last_error =
                rb_arena_strndup(&r->arena, value->str + ROW_BYTES, value->len - ROW_BYTES);
        }
    }
    qsort(rows, kept, sizeof(*rows), by_order);
    for (unsigned i = 0; i < kept; i++) {
        reports[i] = rows[i].report;
    }
    r->reports = reports;
    r->n_reports = kept;
}
