/* columns.c - arguments of admit.lua that every item has, of each item in turn: so the script hands
 * them on by ranges, without a look at each. */
#include <string.h>

#include <retrybuild/record.h>

#include "store_redis.h"

/* The value of the effect key that a new retry sets, or only an id. */
static void put_effect(const struct redis_store *s, struct rb_buf *out, const struct ritem *it,
                       int64_t now_ms)
{
    const struct rb_admission *a = it->a;
    uint8_t value[RVALUE_BYTES];
    if (a->mode == RB_ADMIT_ENDED) {
        rcmd_arg(out, it->id, RKEY_RAW);
        return;
    }
    reffect_value(s, it->id, a->retry->state, now_ms, value);
    rcmd_arg(out, value, sizeof(value));
}

static enum rb_code put_record(struct rb_buf *out, struct rb_buf *scratch, const struct ritem *it,
                               bool far, struct rb_err *err)
{
    const struct rb_admission *a = it->a;
    uint8_t build[RKEY_RAW];
    rb_buf_clear(scratch);
    if (a->mode != RB_ADMIT_ENDED) {
        rkey_raw(a->build_key, build);
        rhead_new(scratch, a->retry, a->task, far, build);
        enum rb_code rc = rb_record_encode(a->retry, scratch, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    rcmd_arg(out, scratch->data, scratch->len);
    return RB_OK;
}

static void put_entry(struct rb_buf *out, const struct ritem *it)
{
    uint8_t entry[RENTRY_BYTES] = {0};
    size_t len = 0;
    if (it->a->mode != RB_ADMIT_ENDED) {
        rput48(entry, it->a->retry->created_ms);
        memcpy(entry + 6, it->id, RKEY_RAW);
        rentry_tail(it->a->retry, entry + 6 + RKEY_RAW);
        len = sizeof(entry);
    }
    rcmd_arg(out, entry, len);
}

static void put_place(struct rb_buf *out, const struct ritem *it, bool far)
{
    const struct rb_admission *a = it->a;
    uint8_t entry[RSLOT_ENTRY_BYTES];
    if (far) {
        rput48(entry, a->retry->due_ms);
        memcpy(entry + 6, it->id, RKEY_RAW);
        rcmd_arg(out, entry, sizeof(entry));
    } else {
        rcmd_int(out, a->mode == RB_ADMIT_ENDED ? 0 : a->task * RSPAN + a->retry->due_ms);
    }
}

enum rb_code rcolumns_put(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                          struct ritem *const *items, unsigned n, const uint8_t *slot_of,
                          int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    for (unsigned i = 0; i < n; i++) {
        put_effect(s, out, items[i], now_ms);
    }
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        rc = put_record(out, scratch, items[i], slot_of[i] > 0, err);
    }
    for (unsigned i = 0; i < n; i++) {
        put_entry(out, items[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        put_place(out, items[i], slot_of[i] > 0);
    }
    return rc;
}
