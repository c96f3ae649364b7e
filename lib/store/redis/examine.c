/* examine.c - the server looked at from outside: one connection, no keeper, no script, no write.
 *
 * Opening the store would raise a beat and judge the age of the last one; who only looks must not.
 */
#include <stdlib.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

#define EPOCH_KEY "rb:{0}:E"
#define VERSION_BYTES 32

static int64_t now_us(void)
{
    struct timespec t = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static enum rb_code ping(struct rconn *c, int64_t deadline_ms, struct rb_store_health *ret_h,
                         struct rb_err *err)
{
    RB_CLEANUP(rreply_freep) redisReply *r = NULL;
    int64_t began_us = now_us();

    rcmd_words(&c->out, "PING", (const char *)NULL);
    enum rb_code rc = rconn_wait_reply(c, deadline_ms, &r, err);
    if (rc == RB_OK && rreply_is(r, REDIS_REPLY_ERROR)) {
        rc = rreply_error(r, err);
    }
    ret_h->round_trip_us = rc == RB_OK ? now_us() - began_us : -1;
    return rc;
}

static enum rb_code epoch(struct rconn *c, int64_t deadline_ms, struct rb_store_health *ret_h,
                          struct rb_err *err)
{
    RB_CLEANUP(rreply_freep) redisReply *r = NULL;

    rcmd_words(&c->out, "HGET", EPOCH_KEY, "birth", (const char *)NULL);
    enum rb_code rc = rconn_wait_reply(c, deadline_ms, &r, err);
    if (rc == RB_OK && rreply_is(r, REDIS_REPLY_ERROR)) {
        rc = rreply_error(r, err);
    }
    if (rc == RB_OK) {
        ret_h->birth_ms = rreply_number(r);
    }
    return rc;
}

/* Servers that close INFO to us tell nothing; what is not told stays absent. */
static enum rb_code about(struct rconn *c, int64_t deadline_ms, struct rb_arena *a,
                          struct rb_store_health *ret_h, struct rb_err *err)
{
    RB_CLEANUP(rreply_freep) redisReply *r = NULL;
    char value[VERSION_BYTES];

    rcmd_words(&c->out, "INFO", (const char *)NULL);
    enum rb_code rc = rconn_wait_reply(c, deadline_ms, &r, err);
    if (rc != RB_OK || !rreply_is(r, REDIS_REPLY_STRING)) {
        return rc;
    }
    if (rinfo_field(r->str, "redis_version", value, sizeof(value))) {
        ret_h->version = rb_arena_printf(a, "Redis %s", value);
    }
    if (rinfo_field(r->str, "maxmemory_policy", value, sizeof(value))) {
        ret_h->policy = rb_arena_strdup(a, value);
    }
    ret_h->replicas = c->info.replicas;
    return RB_OK;
}

static enum rb_code look(struct redis_store *s, const struct rb_settings *settings,
                         struct rb_arena *a, struct rb_store_health *ret_h, struct rb_err *err)
{
    struct raddresses addresses;
    enum rb_code rc = rstore_tls(s, settings, err);

    if (rc == RB_OK) {
        rc = rkeeper_find(s, &addresses, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    ret_h->place = rb_arena_strdup(a, addresses.label); /* sentinels name the server */
    RB_CLEANUP(rconn_release) struct rconn c;
    rconn_init(&c, RCONN_LISTEN, &s->target, s->tls, s->clock);
    int64_t deadline_ms = rb_boot_ms(s->clock) + RDEADLINE_MS;
    rc = rconn_open(&c, &addresses, err);
    if (rc == RB_OK) {
        rc = rconn_wait_ready(&c, deadline_ms, err);
    }
    if (rc == RB_OK) {
        rc = about(&c, deadline_ms, a, ret_h, err);
    }
    if (rc == RB_OK) {
        rc = ping(&c, deadline_ms, ret_h, err);
    }
    return rc == RB_OK ? epoch(&c, deadline_ms, ret_h, err) : rc;
}

enum rb_code redis_examine(const char *url, struct rb_settings *settings,
                           const struct rb_clock *clock, struct rb_arena *a,
                           struct rb_store_health *ret_h, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) struct redis_store *s = calloc(1, sizeof(*s));

    ret_h->kind = "redis";
    if (s == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory to look at the store");
    }
    s->clock = clock;
    enum rb_code rc = rtarget_parse(url, settings->store.password, &s->target, err);
    if (rc != RB_OK) {
        return rc;
    }
    ret_h->place = s->target.kind == RTARGET_UNIX
                       ? rb_arena_strdup(a, s->target.path)
                       : rb_arena_printf(a, "%s:%u", s->target.hosts[0].name,
                                         (unsigned)s->target.hosts[0].port);
    rc = look(s, settings, a, ret_h, err);
    SSL_CTX_free(s->tls);
    rtarget_release(&s->target);
    return rc;
}
