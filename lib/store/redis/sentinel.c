/* sentinel.c - ask the sentinels, one after the other, who is the primary. Whether it says so
 * itself is checked by the greeting of the connection that is then made. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "store_redis.h"

#define SENTINEL_DEADLINE_MS 1000

static enum rb_code read_answer(const redisReply *r, const char *master, struct rhost *ret_h,
                                struct rb_err *err)
{
    if (rreply_is(r, REDIS_REPLY_ERROR)) {
        return rreply_error(r, err);
    }
    if (rreply_is(r, REDIS_REPLY_NIL)) {
        return rb_err_set(err, RB_E_UNAVAIL, "the sentinel knows no master '%s'", master);
    }
    uint64_t port = 0;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_STRING ||
        r->element[0]->len >= sizeof(ret_h->name) ||
        !rb_parse_u64(rb_slice_str(r->element[1]->str), &port) || port == 0 || port > UINT16_MAX) {
        return rb_err_set(err, RB_E_UNAVAIL, "the sentinel gave no address");
    }
    memcpy(ret_h->name, r->element[0]->str, r->element[0]->len + 1);
    ret_h->port = (uint16_t)port;
    return RB_OK;
}

static enum rb_code ask_one(struct redis_store *s, const struct rhost *sentinel,
                            struct rhost *ret_master, struct rb_err *err)
{
    struct raddresses a;
    enum rb_code rc = rtarget_resolve(sentinel, &a, err);
    if (rc != RB_OK) {
        return rc;
    }
    RB_CLEANUP(rconn_release) struct rconn c;
    rconn_init(&c, RCONN_PLAIN, &s->target, s->tls, s->clock);
    int64_t deadline_ms = rb_boot_ms(s->clock) + SENTINEL_DEADLINE_MS;
    rc = rconn_open(&c, &a, err);
    if (rc == RB_OK) {
        rc = rconn_wait_ready(&c, deadline_ms, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_words(&c.out, "SENTINEL", "get-master-addr-by-name", s->target.master, (const char *)NULL);
    RB_CLEANUP(rreply_freep) redisReply *r = NULL;
    rc = rconn_wait_reply(&c, deadline_ms, &r, err);
    return rc == RB_OK ? read_answer(r, s->target.master, ret_master, err) : rc;
}

enum rb_code rsentinel_find(struct redis_store *s, struct raddresses *ret_a, struct rb_err *err)
{
    enum rb_code rc = RB_E_UNAVAIL;
    for (unsigned i = 0; i < s->target.n_hosts && !atomic_load(&s->stopping); i++) {
        struct rhost master;
        rc = ask_one(s, &s->target.hosts[i], &master, err);
        if (rc == RB_OK) {
            return rtarget_resolve(&master, ret_a, err);
        }
    }
    return rb_err_wrap(err, rc, "ask the sentinels for '%s'", s->target.master);
}
