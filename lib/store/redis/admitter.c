/* admitter.c - the way in of an event loop: batches under way, the next one gathers meanwhile.
 *
 * A batch is a pipeline of script calls (second halves of what went before, then first halves), and
 * WAIT when replicas are attached. Its outcome is told only when the whole batch has been answered.
 * Up to three are under way, so that the server has the next one at hand when it has done with one:
 * the first goes out as soon as there is anything (or, in the middle of a turn of the loop, as soon
 * as SEND_EARLY items wait), the second when SEND_EARLY wait. What breaks (deadline, connection,
 * garbage) completes everything with its code and closes the connection: a late answer can never be
 * read as the next one's. While the server is away rb_admitter_add refuses at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>

#include "store_redis.h"

struct call { /* one EVALSHA of the batch */
    unsigned first, n;
};
#define MAX_CALLS (RB_ADMIT_BATCH_MAX / RCHUNK + 3)
#define MAX_BATCHES 3
#define SEND_EARLY 16

enum batch_state {
    BATCH_FREE,
    BATCH_SENT,
    BATCH_FORGOTTEN /* the server lacked our scripts: to be sent again */
};

struct batch {
    enum batch_state state;
    struct ritem items[RB_ADMIT_BATCH_MAX];
    unsigned n;
    struct ritem *order[RB_ADMIT_BATCH_MAX];
    struct call calls[MAX_CALLS];
    unsigned n_calls, n_answered;
    bool waits, forgotten, repeated, confirmed;
    int64_t deadline_ms; /* boot clock */
};

struct redis_admitter {
    struct rb_admitter base;
    struct redis_store *store;
    struct rconn conn;
    uint64_t generation;
    int epoll_fd;
    void *tag;
    int known_fd; /* registered with epoll; -1 = none */
    uint32_t known_events;
    bool has_failed;    /* since the last time it was ready */
    enum rb_code early; /* why an early sending failed; the next pump deals with it */
    unsigned failures;
    int64_t open_at_ms;  /* boot clock: when to try again */
    int64_t deadline_ms; /* boot clock: of the attempt to connect, or to load the scripts */
    struct ritem waiting[RB_ADMITTER_MAX_ITEMS]; /* a ring */
    unsigned first_waiting, n_waiting;
    struct ritem second[MAX_BATCHES * RB_ADMIT_BATCH_MAX]; /* wait for their second half */
    unsigned n_second;
    struct batch batches[MAX_BATCHES];
    struct batch *sent[MAX_BATCHES]; /* in the order of their answers */
    unsigned n_sent;
    unsigned reload_left;
    struct rb_buf scratch;
    struct rb_metric_cell *batch_size;
};

static struct redis_admitter *self(struct rb_admitter *adm)
{
    return (struct redis_admitter *)adm;
}

/* ---- epoll ---- */

static void forget_fd(struct redis_admitter *m)
{
    if (m->known_fd >= 0) {
        (void)epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, m->known_fd, NULL);
        m->known_fd = -1;
    }
}

static void register_fd(struct redis_admitter *m)
{
    if (m->conn.state == RCONN_CLOSED) {
        return;
    }
    short wanted = rconn_events(&m->conn);
    uint32_t events = ((wanted & POLLIN) != 0 ? (uint32_t)EPOLLIN : 0u) |
                      ((wanted & POLLOUT) != 0 ? (uint32_t)EPOLLOUT : 0u);
    struct epoll_event e = {.events = events, .data = {.ptr = m->tag}};
    if (m->known_fd != m->conn.fd) {
        /* The connection went on to another address; the old descriptor left epoll by closing. */
        if (epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, m->conn.fd, &e) == 0 || errno == EEXIST) {
            m->known_fd = m->conn.fd;
            m->known_events = events;
        }
    } else if (m->known_events != events &&
               epoll_ctl(m->epoll_fd, EPOLL_CTL_MOD, m->conn.fd, &e) == 0) {
        m->known_events = events;
    }
}

/* ---- completion and failure ---- */

static void complete(struct redis_admitter *m, const struct ritem *it)
{
    ritem_finish(it);
    m->base.done(m->base.arg, it->a);
}

static void complete_with(struct redis_admitter *m, struct ritem *it, enum rb_code rc)
{
    it->rc = rc;
    complete(m, it);
}

static struct ritem take_waiting(struct redis_admitter *m)
{
    struct ritem it = m->waiting[m->first_waiting];
    m->first_waiting = (m->first_waiting + 1) % RB_ADMITTER_MAX_ITEMS;
    m->n_waiting--;
    return it;
}

static void complete_batch(struct redis_admitter *m, struct batch *b, enum rb_code rc)
{
    unsigned n = b->state == BATCH_FREE ? 0 : b->n;
    b->state = BATCH_FREE;
    for (unsigned i = 0; i < n; i++) {
        complete_with(m, &b->items[i], rc);
    }
}

/* Everything that is here completes with @rc. What done adds meanwhile is refused or waits. */
static void complete_all(struct redis_admitter *m, enum rb_code rc)
{
    unsigned n_waiting = m->n_waiting;
    unsigned n_second = m->n_second;
    unsigned n_sent = m->n_sent;
    m->n_second = 0;
    m->n_sent = 0;
    m->reload_left = 0;
    for (unsigned i = 0; i < n_sent; i++) {
        complete_batch(m, m->sent[i], rc);
    }
    for (unsigned i = 0; i < MAX_BATCHES; i++) {
        complete_batch(m, &m->batches[i], rc);
    }
    for (unsigned i = 0; i < n_second; i++) {
        complete_with(m, &m->second[i], rc);
    }
    for (unsigned i = 0; i < n_waiting; i++) {
        struct ritem it = take_waiting(m);
        complete_with(m, &it, rc);
    }
}

static void broken(struct redis_admitter *m, enum rb_code rc)
{
    forget_fd(m);
    rconn_close(&m->conn);
    m->has_failed = true;
    m->early = RB_OK;
    m->open_at_ms = rb_boot_ms(m->store->clock) + rbackoff_ms(m->failures);
    m->failures++;
    rkeeper_doubt(m->store);
    complete_all(m, rc == RB_E_TIMEOUT || rc == RB_E_NO_SPACE ? rc : RB_E_UNAVAIL);
}

/* ---- a batch ---- */

static void gather(struct redis_admitter *m, struct batch *b)
{
    b->n = 0;
    while (b->n < RB_ADMIT_BATCH_MAX && m->n_second > 0) {
        b->items[b->n++] = m->second[--m->n_second];
    }
    while (b->n < RB_ADMIT_BATCH_MAX && m->n_waiting > 0) {
        b->items[b->n++] = take_waiting(m);
    }
}

/* Put the items in order of sending, and cut them into calls. */
static void plan(struct batch *b)
{
    unsigned at = 0;
    b->n_calls = 0;
    b->n_answered = 0;
    for (int stage = RITEM_SECOND; stage >= RITEM_FIRST; stage--) {
        unsigned from = at;
        for (unsigned i = 0; i < b->n; i++) {
            if (b->items[i].stage == (enum ritem_stage)stage) {
                b->order[at++] = &b->items[i];
            }
        }
        for (; from < at; from += b->calls[b->n_calls - 1].n) {
            b->calls[b->n_calls++] =
                (struct call){.first = from, .n = at - from < RCHUNK ? at - from : RCHUNK};
        }
    }
}

/* An item that cannot be encoded would fail everybody's batch: it becomes one that is done. */
static void drop_bad(struct redis_admitter *m, struct batch *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        enum rb_code rc = ritem_check(&b->items[i], &m->scratch, NULL);
        if (rc != RB_OK) {
            b->items[i].rc = rc;
            b->items[i].stage = RITEM_DONE;
        }
    }
}

static enum rb_code put_calls(struct redis_admitter *m, struct batch *b, int64_t now_ms,
                              struct rb_err *err)
{
    size_t before = m->conn.out.len;
    enum rb_code rc = RB_OK;
    plan(b);
    for (unsigned i = 0; i < b->n_calls && rc == RB_OK; i++) {
        rc = ritems_send(m->store, &m->conn.out, &m->scratch, b->order + b->calls[i].first,
                         b->calls[i].n, now_ms, err);
    }
    if (rc != RB_OK) {
        rb_buf_truncate(&m->conn.out, before); /* nothing of it has been sent */
    }
    return rc;
}

static enum rb_code send_batch(struct redis_admitter *m, struct batch *b, int64_t now_ms,
                               struct rb_err *err)
{
    enum rb_code rc = put_calls(m, b, now_ms, err);
    if (rc != RB_OK) {
        drop_bad(m, b);
        rc = put_calls(m, b, now_ms, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    /* A batch of which nothing is left to send is answered too, so that its items end in turn. */
    b->waits = atomic_load(&m->store->replicas) > 0 || b->n_calls == 0;
    b->confirmed = !b->waits;
    if (b->waits) {
        rcmd_words(&m->conn.out, "WAIT", b->n_calls == 0 ? "0" : RWAIT_REPLICAS, RWAIT_MS,
                   (const char *)NULL);
    }
    b->state = BATCH_SENT;
    b->forgotten = false;
    m->sent[m->n_sent++] = b;
    return RB_OK;
}

static struct batch *find_batch(struct redis_admitter *m, enum batch_state state)
{
    for (unsigned i = 0; i < MAX_BATCHES; i++) {
        if (m->batches[i].state == state) {
            return &m->batches[i];
        }
    }
    return NULL;
}

static bool may_start(struct redis_admitter *m)
{
    return m->conn.state == RCONN_READY && m->reload_left == 0 &&
           find_batch(m, BATCH_FORGOTTEN) == NULL && m->n_sent < MAX_BATCHES;
}

static enum rb_code start_batch(struct redis_admitter *m, int64_t now_ms, unsigned at_least)
{
    if (!may_start(m) || m->n_waiting + m->n_second < at_least) {
        return RB_OK;
    }
    struct batch *b = find_batch(m, BATCH_FREE);
    struct rb_err err;
    gather(m, b);
    rb_metric_observe(m->batch_size, b->n);
    b->repeated = false;
    b->deadline_ms = rb_boot_ms(m->store->clock) + RDEADLINE_MS;
    b->state = BATCH_FORGOTTEN; /* until it is sent, so that its items are never lost */
    return send_batch(m, b, now_ms, &err) == RB_OK ? RB_OK : RB_E_UNAVAIL;
}

/* The last answer of @b has come: tell the outcomes, keep what needs its second half. */
static enum rb_code end_batch(struct redis_admitter *m, struct batch *b, struct rb_err *err)
{
    if (b->forgotten && b->repeated) {
        return rb_err_set(err, RB_E_UNAVAIL, "the server forgets our scripts");
    }
    if (b->forgotten) {
        b->repeated = true;
        b->state = BATCH_FORGOTTEN;
    } else if (!b->confirmed) {
        return rb_err_set(err, RB_E_UNAVAIL, "no replica has confirmed the batch in time");
    } else {
        unsigned n_done = 0;
        for (unsigned i = 0; i < b->n; i++) {
            if (b->items[i].stage == RITEM_DONE) {
                b->items[n_done++] = b->items[i];
            } else {
                m->second[m->n_second++] = b->items[i];
            }
        }
        b->n = n_done;
    }
    memmove(m->sent, m->sent + 1, --m->n_sent * sizeof(m->sent[0]));
    if (b->state == BATCH_SENT) {
        for (unsigned i = 0; i < b->n; i++) {
            complete(m, &b->items[i]);
        }
        b->state = BATCH_FREE;
    }
    if (m->n_sent == 0 && find_batch(m, BATCH_FORGOTTEN) != NULL) {
        m->reload_left = RSCRIPT_COUNT;
        m->deadline_ms = rb_boot_ms(m->store->clock) + RDEADLINE_MS;
        rscripts_send_load(&m->conn.out);
    }
    return RB_OK;
}

/* One of the scripts has been loaded; after the last one what was forgotten goes out again. */
static enum rb_code take_loaded(struct redis_admitter *m, const redisReply *r, int64_t now_ms,
                                struct rb_err *err)
{
    enum rb_code rc = rreply_is(r, REDIS_REPLY_ERROR) ? rreply_error(r, err) : RB_OK;
    if (rc != RB_OK || --m->reload_left > 0) {
        return rc;
    }
    struct batch *b = find_batch(m, BATCH_FORGOTTEN);
    for (; b != NULL && rc == RB_OK; b = find_batch(m, BATCH_FORGOTTEN)) {
        rc = send_batch(m, b, now_ms, err);
    }
    return rc;
}

static enum rb_code take_answer(struct redis_admitter *m, const redisReply *r, int64_t now_ms,
                                struct rb_err *err)
{
    if (m->reload_left > 0) {
        return take_loaded(m, r, now_ms, err);
    }
    if (m->n_sent == 0) {
        return rb_err_set(err, RB_E_UNAVAIL, "Redis said something that nobody asked");
    }
    struct batch *b = m->sent[0];
    unsigned at = b->n_answered++;
    if (at < b->n_calls) {
        const struct call *c = &b->calls[at];
        if (rreply_is_noscript(r)) {
            b->forgotten = true;
        } else {
            enum rb_code rc = ritems_receive(r, b->order + c->first, c->n, err);
            if (rc != RB_OK) {
                return rc;
            }
        }
    } else {
        b->confirmed = r->type == REDIS_REPLY_INTEGER && (r->integer >= 1 || b->n_calls == 0);
    }
    return b->n_answered == b->n_calls + (b->waits ? 1 : 0) ? end_batch(m, b, err) : RB_OK;
}

static enum rb_code take_answers(struct redis_admitter *m, int64_t now_ms, struct rb_err *err)
{
    while (true) {
        RB_CLEANUP(rreply_freep) redisReply *r = NULL;
        enum rb_code rc = rconn_reply(&m->conn, &r, err);
        if (rc != RB_OK || r == NULL) {
            return rc;
        }
        rc = take_answer(m, r, now_ms, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
}

/* ---- the loop's calls ---- */

static void try_open(struct redis_admitter *m)
{
    struct raddresses a;
    struct rb_err err;
    int64_t boot_ms = rb_boot_ms(m->store->clock);
    enum rb_code rc = rkeeper_addresses(m->store, 0, &a, &m->generation, &err);
    if (rc == RB_OK) {
        rc = rconn_open(&m->conn, &a, &err);
    }
    if (rc != RB_OK) {
        broken(m, rc);
        return;
    }
    m->deadline_ms = boot_ms + RDEADLINE_MS;
}

static enum rb_code advance(struct redis_admitter *m, int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = rconn_step(&m->conn, err);
    if (rc == RB_OK && m->conn.state == RCONN_READY) {
        m->has_failed = false;
        m->failures = 0;
        rc = take_answers(m, now_ms, err);
    }
    return rc;
}

static bool connecting(const struct redis_admitter *m)
{
    return m->conn.state != RCONN_CLOSED && m->conn.state != RCONN_READY;
}

/* When what is under way must have ended, by the boot clock; 0 = nothing is. */
static int64_t next_deadline(const struct redis_admitter *m)
{
    if (connecting(m) || m->reload_left > 0) {
        return m->deadline_ms;
    }
    return m->n_sent > 0 ? m->sent[0]->deadline_ms : 0;
}

static bool is_late(const struct redis_admitter *m)
{
    int64_t deadline_ms = next_deadline(m);
    return deadline_ms > 0 && rb_boot_ms(m->store->clock) >= deadline_ms;
}

void redis_admitter_pump(struct rb_admitter *adm, int64_t now_ms)
{
    struct redis_admitter *m = self(adm);
    struct rb_err err = {.code = RB_OK};
    if (m->conn.state == RCONN_CLOSED && rb_boot_ms(m->store->clock) >= m->open_at_ms) {
        try_open(m);
    }
    if (m->conn.state == RCONN_CLOSED) {
        return;
    }
    /* With work at hand and nothing under way there is nothing to read: save the call. */
    bool only_send = m->conn.state == RCONN_READY && m->n_sent == 0 && m->n_waiting > 0;
    enum rb_code rc = atomic_load(&m->store->barred) ? RB_E_UNAVAIL : m->early;
    if (rc == RB_OK && !only_send) {
        rc = advance(m, now_ms, &err);
    }
    if (rc == RB_OK && is_late(m)) {
        rc = RB_E_TIMEOUT;
    }
    if (rc == RB_OK) {
        rc = start_batch(m, now_ms, m->n_sent == 0 ? 1 : SEND_EARLY);
    }
    if (rc == RB_OK && m->conn.state == RCONN_READY && m->conn.sent < m->conn.out.len) {
        rc = rconn_flush(&m->conn, &err);
    }
    if (rc != RB_OK) {
        broken(m, rc);
        return;
    }
    register_fd(m);
}

int redis_admitter_timeout_ms(const struct rb_admitter *adm)
{
    const struct redis_admitter *m = (const struct redis_admitter *)adm;
    int64_t at = m->conn.state == RCONN_CLOSED ? m->open_at_ms : next_deadline(m);
    if (m->early != RB_OK) {
        return 0;
    }
    if (at == 0) {
        return m->n_waiting + m->n_second == 0 ? -1 : 0;
    }
    if (connecting(m) && m->n_waiting == 0) {
        return -1;
    }
    int64_t left = at - rb_boot_ms(m->store->clock);
    return left < 0 ? 0 : (int)left;
}

unsigned redis_admitter_in_flight(const struct rb_admitter *adm)
{
    const struct redis_admitter *m = (const struct redis_admitter *)adm;
    unsigned n = m->n_waiting + m->n_second;
    for (unsigned i = 0; i < MAX_BATCHES; i++) {
        n += m->batches[i].state == BATCH_FREE ? 0 : m->batches[i].n;
    }
    return n;
}

/* In the middle of a turn of the loop the server may be idle: with enough at hand it gets a batch
 * now. Nothing is completed here; a failure waits for the pump. */
static void send_early(struct redis_admitter *m)
{
    if (m->n_waiting < SEND_EARLY || m->early != RB_OK || !may_start(m)) {
        return;
    }
    struct rb_err err;
    m->early = start_batch(m, rb_now_ms(m->store->clock), SEND_EARLY);
    if (m->early == RB_OK) {
        m->early = rconn_flush(&m->conn, &err);
    }
    register_fd(m);
}

enum rb_code redis_admitter_add(struct rb_admitter *adm, struct rb_admission *a, struct rb_err *err)
{
    struct redis_admitter *m = self(adm);
    struct ritem it;
    if (m->has_failed || atomic_load(&m->store->barred)) {
        return rstore_away(m->store, err);
    }
    if (!ritem_init(&it, a)) {
        return rb_err_set(err, RB_E_INVALID, "admission: '%.40s' is no id", a->retry->id);
    }
    if (redis_admitter_in_flight(adm) >= RB_ADMITTER_MAX_ITEMS) {
        return rb_err_set(err, RB_E_FULL, "too many admissions are under way");
    }
    m->waiting[(m->first_waiting + m->n_waiting++) % RB_ADMITTER_MAX_ITEMS] = it;
    send_early(m);
    return RB_OK;
}

enum rb_code redis_admitter_open(struct rb_store *s, int epoll_fd, void *tag,
                                 struct rb_admitter **ret_adm, struct rb_err *err)
{
    struct redis_admitter *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an admitter");
    }
    m->store = rstore(s);
    m->epoll_fd = epoll_fd;
    m->tag = tag;
    m->known_fd = -1;
    rconn_init(&m->conn, RCONN_COMMANDS, &m->store->target, m->store->tls, m->store->clock);
    rb_buf_init(&m->scratch, RCMD_MAX_BYTES);
    m->batch_size = rb_metric_cell(RB_M_STORE_BATCH_SIZE, NULL, NULL);
    struct raddresses a;
    if (rkeeper_addresses(m->store, 0, &a, &m->generation, NULL) == RB_OK &&
        rconn_open(&m->conn, &a, NULL) == RB_OK) {
        m->deadline_ms = rb_boot_ms(m->store->clock) + RDEADLINE_MS;
        register_fd(m);
    } else {
        m->has_failed = true;
    }
    *ret_adm = &m->base;
    return RB_OK;
}

void redis_admitter_close(struct rb_admitter *adm)
{
    struct redis_admitter *m = self(adm);
    m->has_failed = true; /* nothing is taken any more */
    forget_fd(m);
    rconn_release(&m->conn);
    complete_all(m, RB_E_CLOSED);
    rb_buf_release(&m->scratch);
    free(m);
}
