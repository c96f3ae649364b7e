/* keeper.c - the store's own thread: finds the server, watches it, hears the wake channel.
 *
 * It holds two connections: one asks INFO and runs the beat script once a second and whenever a
 * session doubts the server; the other is subscribed. When either breaks, both are made anew, with
 * jittered backoff, the address looked up again (sentinels, resolver).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>
#include <retrybuild/random.h>
#include <retrybuild/thread.h>

#include "store_redis.h"

#define CHECK_EVERY_MS 1000

struct keeper {
    struct redis_store *store;
    struct rconn control, listen;
    struct raddresses addresses; /* where control is connected to */
    bool subscribed;
    bool asked;       /* a check is under way */
    unsigned answers; /* of that check */
    int64_t asked_ms; /* when it was sent, boot clock */
};

int64_t rbackoff_ms(unsigned failures)
{
    if (failures == 0) {
        return 0;
    }
    int64_t cap = RBACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failures && cap < RBACKOFF_CAP_MS; i++) {
        cap *= 2;
    }
    cap = cap < RBACKOFF_CAP_MS ? cap : RBACKOFF_CAP_MS;
    return cap / 2 + (int64_t)rb_random_below(rb_random_system(), (uint64_t)cap / 2 + 1);
}

static void set_up(struct redis_store *s, bool up)
{
    atomic_store(&s->up, up);
    rb_gauge(RB_M_STORE_UP, NULL, up ? 1 : 0);
}

void rkeeper_poke(struct redis_store *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->poke_fd, &one, sizeof(one));
    (void)n; /* a full counter wakes as well */
}

void rkeeper_doubt(struct redis_store *s)
{
    set_up(s, false);
    rkeeper_poke(s);
}

static bool same_addresses(const struct raddresses *a, const struct raddresses *b)
{
    return a->n == b->n && strcmp(a->label, b->label) == 0 &&
           memcmp(a->items, b->items, a->n * sizeof(a->items[0])) == 0;
}

static void publish(struct redis_store *s, const struct raddresses *a)
{
    pthread_mutex_lock(&s->lock);
    if (!same_addresses(&s->addresses, a)) {
        s->addresses = *a;
        s->generation++;
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void attempt_ended(struct redis_store *s, const struct rb_err *why)
{
    pthread_mutex_lock(&s->lock);
    s->attempts++;
    if (why != NULL) {
        s->why = *why;
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

enum rb_code rkeeper_addresses(struct redis_store *s, int64_t deadline_ms, struct raddresses *ret_a,
                               uint64_t *ret_generation, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    pthread_mutex_lock(&s->lock);
    while (s->addresses.n == 0 && s->attempts == 0 && deadline_ms > 0) {
        int64_t left = deadline_ms - rb_boot_ms(s->clock);
        if (left <= 0 || !rb_cond_wait_ms(&s->changed, &s->lock, left)) {
            break;
        }
    }
    if (s->addresses.n == 0) {
        rc = rb_err_set(err, RB_E_UNAVAIL, "%s",
                        s->attempts > 0 ? s->why.msg : "the address of Redis is not known yet");
    } else {
        *ret_a = s->addresses;
        *ret_generation = s->generation;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

enum rb_code rkeeper_find(struct redis_store *s, struct raddresses *ret_a, struct rb_err *err)
{
    switch (s->target.kind) {
    case RTARGET_UNIX:
        rtarget_unix(&s->target, ret_a);
        return RB_OK;
    case RTARGET_SENTINEL:
        return rsentinel_find(s, ret_a, err);
    case RTARGET_TCP:
    default:
        return rtarget_resolve(&s->target.hosts[0], ret_a, err);
    }
}

static void tell_all(struct redis_store *s)
{
    for (int kind = RB_TASK_NONE + 1; kind < RB_TASK_KIND_COUNT; kind++) {
        rb_bell_ring(&s->base.due, (enum rb_task_kind)kind);
    }
}

/* Whoever set the function may be waiting for this (rkeeper_listen): then nothing was missed. */
static void heard_from_now_on(struct redis_store *s)
{
    pthread_mutex_lock(&s->lock);
    bool missed = s->missed;
    s->missed = true;
    s->hears = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (missed) {
        tell_all(s);
    }
}

static enum rb_code subscribe(struct keeper *k, struct rb_err *err)
{
    int64_t deadline_ms = rb_boot_ms(k->store->clock) + RDEADLINE_MS;
    enum rb_code rc = rconn_open(&k->listen, &k->addresses, err);
    if (rc == RB_OK) {
        rc = rconn_wait_ready(&k->listen, deadline_ms, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_words(&k->listen.out, "SUBSCRIBE", RKEY_CHANNEL, (const char *)NULL);
    RB_CLEANUP(rreply_freep) redisReply *r = NULL;
    rc = rconn_wait_reply(&k->listen, deadline_ms, &r, err);
    if (rc == RB_OK && rreply_is(r, REDIS_REPLY_ERROR)) {
        rc = rreply_error(r, err);
    }
    if (rc == RB_OK) {
        k->subscribed = true;
        heard_from_now_on(k->store);
    }
    return rc;
}

static enum rb_code keeper_connect(struct keeper *k, struct rb_err *err)
{
    struct redis_store *s = k->store;
    enum rb_code rc = rkeeper_find(s, &k->addresses, err);
    if (rc != RB_OK) {
        return rc;
    }
    publish(s, &k->addresses);
    k->control.info = (struct rinfo){.replicas = 0};
    rc = rconn_open(&k->control, &k->addresses, err);
    return rc == RB_OK ? rconn_wait_ready(&k->control, rb_boot_ms(s->clock) + RDEADLINE_MS, err)
                       : rc;
}

static void ask(struct keeper *k)
{
    if (!k->asked) {
        rcmd_words(&k->control.out, "INFO", (const char *)NULL);
        rbeat_put(k->store, &k->control.out, RBEAT_OF_KEEPER, rb_now_ms(k->store->clock));
        k->asked = true;
        k->answers = 0;
        k->asked_ms = rb_boot_ms(k->store->clock);
    }
}

static enum rb_code control_answers(struct keeper *k, struct rb_err *err)
{
    while (k->asked) {
        RB_CLEANUP(rreply_freep) redisReply *r = NULL;
        enum rb_code rc = rconn_reply(&k->control, &r, err);
        if (rc != RB_OK || r == NULL) {
            return rc;
        }
        if (k->answers++ == 0) {
            rc = rinfo_read(r, &k->control.info, err);
            if (rc == RB_OK) {
                rc = rinfo_check(&k->control.info, err);
            }
            if (rc != RB_OK) {
                return rc;
            }
            atomic_store(&k->store->replicas, k->control.info.replicas);
            continue;
        }
        k->asked = false;
        rc = rreply_is(r, REDIS_REPLY_ERROR) ? rreply_error(r, err)
                                             : rbeat_take(k->store, RBEAT_OF_KEEPER, r, err);
        atomic_store(&k->store->full, rc == RB_E_NO_SPACE);
        if (rc != RB_OK) {
            return rc;
        }
        set_up(k->store, true);
    }
    return RB_OK;
}

static enum rb_code hear(struct keeper *k, struct rb_err *err)
{
    while (true) {
        RB_CLEANUP(rreply_freep) redisReply *r = NULL;
        enum rb_code rc = rconn_reply(&k->listen, &r, err);
        if (rc != RB_OK || r == NULL) {
            return rc;
        }
        if (r->type != REDIS_REPLY_ARRAY || r->elements != 3 ||
            r->element[2]->type != REDIS_REPLY_STRING) {
            continue;
        }
        for (const char *p = r->element[2]->str; *p != '\0'; p++) {
            if (*p > '0' && *p < '0' + RB_TASK_KIND_COUNT) {
                rb_bell_ring(&k->store->base.due, (enum rb_task_kind)(*p - '0'));
            }
        }
    }
}

/* One wait and what it brought. */
static enum rb_code watch(struct keeper *k, struct rb_err *err)
{
    struct redis_store *s = k->store;
    struct pollfd p[3] = {
        {.fd = s->poke_fd, .events = POLLIN},
        {.fd = k->control.fd, .events = rconn_events(&k->control)},
        {.fd = k->subscribed ? k->listen.fd : -1, .events = rconn_events(&k->listen)},
    };
    int64_t waited = rb_boot_ms(s->clock) - k->asked_ms;
    int64_t limit = k->asked ? RDEADLINE_MS : CHECK_EVERY_MS;
    int n = poll(p, RB_ARRAY_LEN(p), waited >= limit ? 0 : (int)(limit - waited));
    if (n < 0 && errno != EINTR) {
        return rb_err_errno(err, RB_E_IO, errno, "poll");
    }
    enum rb_code rc = RB_OK;
    if (p[0].revents != 0) {
        uint64_t count = 0;
        ssize_t got = read(s->poke_fd, &count, sizeof(count));
        (void)got;
        ask(k);
    }
    if (p[1].revents != 0) {
        rc = rconn_step(&k->control, err);
    }
    if (rc == RB_OK) {
        rc = control_answers(k, err);
    }
    if (rc == RB_OK && p[2].revents != 0) {
        rc = rconn_step(&k->listen, err);
        if (rc == RB_OK) {
            rc = hear(k, err);
        }
    }
    if (rc == RB_OK && rb_boot_ms(s->clock) - k->asked_ms >= limit) {
        if (k->asked) {
            return rb_err_set(err, RB_E_TIMEOUT, "Redis does not answer");
        }
        ask(k);
    }
    return rc;
}

static void pause_ms(struct redis_store *s, int64_t ms)
{
    int64_t end = rb_boot_ms(s->clock) + ms;
    for (int64_t left = ms; left > 0 && !atomic_load(&s->stopping);
         left = end - rb_boot_ms(s->clock)) {
        struct pollfd p = {.fd = s->poke_fd, .events = POLLIN};
        if (poll(&p, 1, (int)left) > 0) {
            uint64_t count = 0;
            ssize_t got = read(s->poke_fd, &count, sizeof(count));
            (void)got;
        }
    }
}

static void deaf(struct keeper *k)
{
    k->subscribed = false;
    pthread_mutex_lock(&k->store->lock);
    k->store->hears = false;
    pthread_mutex_unlock(&k->store->lock);
}

/* Barred from what INFO showed it until INFO shows otherwise: a server that went away meanwhile may
 * come back as it was. */
static void note_policy(struct keeper *k, enum rb_code rc)
{
    if (k->control.info.policy[0] != '\0') {
        atomic_store(&k->store->barred, true);
    } else if (rc == RB_OK) {
        atomic_store(&k->store->barred, false);
    }
}

static void *keeper_main(void *arg)
{
    struct redis_store *s = arg;
    struct keeper k = {.store = s};
    rconn_init(&k.control, RCONN_COMMANDS, &s->target, s->tls, s->clock);
    rconn_init(&k.listen, RCONN_LISTEN, &s->target, s->tls, s->clock);
    unsigned failures = 0;
    while (!atomic_load(&s->stopping)) {
        struct rb_err err = {.code = RB_OK};
        enum rb_code rc = keeper_connect(&k, &err);
        if (rc == RB_OK) {
            atomic_store(&s->replicas, k.control.info.replicas);
            k.asked = false;
            ask(&k);
        }
        while (rc == RB_OK && k.asked && !atomic_load(&s->stopping)) {
            rc = watch(&k, &err); /* the first check decides whether this attempt went well */
        }
        note_policy(&k, rc);
        attempt_ended(s, rc == RB_OK ? NULL : &err);
        failures = rc == RB_OK ? 0 : failures;
        while (rc == RB_OK && !atomic_load(&s->stopping)) {
            if (atomic_load(&s->listens) && !k.subscribed) {
                rc = subscribe(&k, &err);
            } else {
                rc = watch(&k, &err);
            }
        }
        if (rc != RB_OK) {
            note_policy(&k, rc);
            set_up(s, false);
        }
        rconn_close(&k.control);
        rconn_close(&k.listen);
        deaf(&k);
        if (rc != RB_OK) {
            pause_ms(s, rbackoff_ms(failures++));
        }
    }
    rconn_release(&k.control);
    rconn_release(&k.listen);
    return NULL;
}

enum rb_code rkeeper_start(struct redis_store *s, struct rb_err *err)
{
    s->poke_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->poke_fd < 0) {
        return rb_err_errno(err, RB_E_IO, errno, "eventfd");
    }
    enum rb_code rc = rb_thread_start(&s->keeper, "rb-redis", keeper_main, s, err);
    if (rc != RB_OK) {
        return rc;
    }
    s->keeper_runs = true;
    /* A server that is there is usually found before the first session wants it. */
    int64_t end = rb_boot_ms(s->clock) + RDEADLINE_MS / 2;
    pthread_mutex_lock(&s->lock);
    while (s->attempts == 0) {
        int64_t left = end - rb_boot_ms(s->clock);
        if (left <= 0 || !rb_cond_wait_ms(&s->changed, &s->lock, left)) {
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return RB_OK;
}

void rkeeper_listen(struct redis_store *s)
{
    atomic_store(&s->listens, true);
    rkeeper_poke(s);
    int64_t end = rb_boot_ms(s->clock) + RDEADLINE_MS / 2;
    pthread_mutex_lock(&s->lock);
    while (!s->hears && atomic_load(&s->up)) {
        int64_t left = end - rb_boot_ms(s->clock);
        if (left <= 0 || !rb_cond_wait_ms(&s->changed, &s->lock, left)) {
            break;
        }
    }
    s->missed = s->missed || !s->hears;
    pthread_mutex_unlock(&s->lock);
}

void rkeeper_stop(struct redis_store *s)
{
    if (s->keeper_runs) {
        atomic_store(&s->stopping, true);
        rkeeper_poke(s);
        pthread_join(s->keeper, NULL);
        s->keeper_runs = false;
    }
    rb_closep(&s->poke_fd);
}
