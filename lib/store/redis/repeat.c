/* repeat.c - the second half of admissions that met a retry: the duplicate counted and listed
 * there, the child's end told to who follows it. */
#include <string.h>

#include "store_redis.h"

static size_t n_remembered(const struct ritem *it)
{
    return it->what == 'D'
               ? (ritem_has_token(it->a) ? 1u : 0u) + (ritem_has_delivery(it->a) ? 1u : 0u)
               : 0u;
}

static void put_second(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                       const struct ritem *it, int64_t now_ms)
{
    const struct rb_admission *a = it->a;
    bool duplicate = it->what == 'D';
    const uint8_t meta[2] = {(uint8_t)it->what, (uint8_t)n_remembered(it)};
    rcmd_arg(out, meta, sizeof(meta));
    rcmd_arg(out, it->found, RKEY_RAW);
    rb_buf_clear(scratch);
    if (duplicate && a->delivery != NULL) {
        rput_deliveries(scratch, a->delivery);
    }
    rcmd_arg(out, rb_buf_str(scratch), scratch->len);
    uint8_t value[RVALUE_BYTES + RKEY_RAW];
    memcpy(value, it->found, RKEY_RAW);
    if (duplicate && ritem_has_token(a)) {
        rput48(value + RKEY_RAW, now_ms + rtoken_ttl_ms(s, a));
        rkey_raw(a->token_fingerprint, value + RVALUE_BYTES);
        rcmd_arg(out, value, sizeof(value));
    }
    if (duplicate && ritem_has_delivery(a)) {
        rput48(value + RKEY_RAW, now_ms + rdelivery_ttl_ms(s));
        rcmd_arg(out, value, RVALUE_BYTES);
    }
}

void ritems_send_second(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                        struct ritem *const *items, unsigned n, int64_t now_ms)
{
    size_t keys = 1;
    size_t args = 4;
    for (unsigned i = 0; i < n; i++) {
        keys += 2 + n_remembered(items[i]);
        args += 3 + n_remembered(items[i]);
    }
    rscript_begin(out, RSCRIPT_REPEAT, keys, args);
    rcmd_key(out, 'z', "", 0);
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(out, 'r', items[i]->found, RKEY_RAW);
        rcmd_key(out, 'l', items[i]->found, RKEY_RAW);
        if (items[i]->what == 'D' && ritem_has_token(items[i]->a)) {
            rcmd_hex_key(out, 't', items[i]->a->token_key);
        }
        if (items[i]->what == 'D' && ritem_has_delivery(items[i]->a)) {
            rcmd_hex_key(out, 'd', items[i]->a->delivery_key);
        }
    }
    rcmd_int(out, now_ms);
    rcmd_str(out, RKEY_CHANNEL);
    rcmd_int(out, rdelivery_ttl_ms(s));
    rcmd_int(out, n);
    for (unsigned i = 0; i < n; i++) {
        put_second(s, out, scratch, items[i], now_ms);
    }
}

enum rb_code ritems_receive_second(const redisReply *r, struct ritem *const *items, unsigned n,
                                   struct rb_err *err)
{
    if (r->type != REDIS_REPLY_STRING || r->len != n) {
        return rses_odd(err);
    }
    for (unsigned i = 0; i < n; i++) {
        struct ritem *it = items[i];
        uint8_t state = (uint8_t)r->str[i];
        it->stage = RITEM_DONE;
        it->rc = RB_OK;
        it->result = it->what == 'D' ? RB_ADMIT_DUPLICATE : RB_ADMIT_CHILD;
        /* A key may outlive its retry by the span of the trim; then it counts as long ended. */
        it->state = state < RB_STATE_COUNT ? (enum rb_state)state : RB_STATE_DEAD;
    }
    return RB_OK;
}
