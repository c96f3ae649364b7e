/* admitter.c - the way in of an event loop: one batch under way, the next one gathers meanwhile.
 *
 * A batch is a pipeline of script calls (second halves of the batch before, then first halves), and
 * WAIT when replicas are attached. Its outcome is told only when the whole batch has been answered.
 * What breaks (deadline, connection, garbage) completes everything with its code and closes the
 * connection: a late answer can never be read as the next one's. While the server is away
 * rb_admitter_add refuses at once.
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

struct redis_admitter {
    struct rb_admitter base;
    struct redis_store *store;
    struct rconn conn;
    uint64_t generation;
    int epoll_fd;
    void *tag;
    int known_fd; /* registered with epoll; -1 = none */
    uint32_t known_events;
    bool has_failed; /* since the last time it was ready */
    unsigned failures;
    int64_t open_at_ms;  /* boot clock: when to try again */
    int64_t deadline_ms; /* boot clock: of the batch, or of the attempt to connect */
    struct ritem waiting[RB_ADMITTER_MAX_ITEMS]; /* a ring */
    unsigned first_waiting, n_waiting;
    struct ritem batch[RB_ADMIT_BATCH_MAX]; /* under way; else what waits for its second half */
    unsigned n_batch;
    struct ritem *order[RB_ADMIT_BATCH_MAX];
    struct call calls[MAX_CALLS];
    unsigned n_calls, n_answered;
    bool under_way, waits, forgotten, reloading;
    unsigned reload_left;
    bool confirmed;
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

/* Everything that is here completes with @rc. What done adds meanwhile is refused or waits. */
static void complete_all(struct redis_admitter *m, enum rb_code rc)
{
    unsigned n_batch = m->n_batch;
    unsigned n_waiting = m->n_waiting;
    m->n_batch = 0;
    m->under_way = false;
    for (unsigned i = 0; i < n_batch; i++) {
        complete_with(m, &m->batch[i], rc);
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
    m->open_at_ms = rb_boot_ms(m->store->clock) + rbackoff_ms(m->failures);
    m->failures++;
    rkeeper_doubt(m->store);
    complete_all(m, rc == RB_E_TIMEOUT || rc == RB_E_FULL ? rc : RB_E_UNAVAIL);
}

/* ---- a batch ---- */

static void gather(struct redis_admitter *m)
{
    while (m->n_batch < RB_ADMIT_BATCH_MAX && m->n_waiting > 0) {
        m->batch[m->n_batch++] = take_waiting(m);
    }
}

/* Put the items in order of sending, and cut them into calls. */
static void plan(struct redis_admitter *m)
{
    unsigned at = 0;
    m->n_calls = 0;
    m->n_answered = 0;
    for (int stage = RITEM_SECOND; stage >= RITEM_FIRST; stage--) {
        unsigned from = at;
        for (unsigned i = 0; i < m->n_batch; i++) {
            if (m->batch[i].stage == (enum ritem_stage)stage) {
                m->order[at++] = &m->batch[i];
            }
        }
        for (; from < at; from += m->calls[m->n_calls - 1].n) {
            m->calls[m->n_calls++] =
                (struct call){.first = from, .n = at - from < RCHUNK ? at - from : RCHUNK};
        }
    }
}

/* Items that cannot be encoded would fail everybody's batch: they complete alone. */
static void drop_bad(struct redis_admitter *m)
{
    unsigned n = m->n_batch;
    m->n_batch = 0;
    for (unsigned i = 0; i < n; i++) {
        struct ritem it = m->batch[i];
        enum rb_code rc = ritem_check(&it, &m->scratch, NULL);
        if (rc == RB_OK) {
            m->batch[m->n_batch++] = it;
        } else {
            complete_with(m, &it, rc);
        }
    }
}

static enum rb_code send_batch(struct redis_admitter *m, int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    plan(m);
    for (unsigned i = 0; i < m->n_calls && rc == RB_OK; i++) {
        rc = ritems_send(m->store, &m->conn.out, &m->scratch, m->order + m->calls[i].first,
                         m->calls[i].n, now_ms, err);
    }
    if (rc != RB_OK) {
        rb_buf_clear(&m->conn.out); /* nothing of it has been sent */
        return rc;
    }
    m->waits = atomic_load(&m->store->replicas) > 0;
    m->confirmed = !m->waits;
    if (m->waits) {
        rcmd_words(&m->conn.out, "WAIT", RWAIT_REPLICAS, RWAIT_MS, (const char *)NULL);
    }
    m->under_way = true;
    m->forgotten = false;
    return RB_OK;
}

static void start_batch(struct redis_admitter *m, int64_t now_ms)
{
    gather(m);
    if (m->n_batch == 0) {
        return;
    }
    rb_metric_observe(m->batch_size, m->n_batch);
    struct rb_err err;
    if (send_batch(m, now_ms, &err) != RB_OK) {
        drop_bad(m);
        if (m->n_batch > 0 && send_batch(m, now_ms, &err) != RB_OK) {
            broken(m, RB_E_UNAVAIL);
            return;
        }
    }
    m->reloading = false;
    m->deadline_ms = rb_boot_ms(m->store->clock) + RDEADLINE_MS;
}

/* The last answer has come: tell the outcomes, keep what needs its second half. */
static enum rb_code end_batch(struct redis_admitter *m, struct rb_err *err)
{
    if (m->forgotten && !m->reloading) {
        m->reloading = true;
        m->reload_left = RSCRIPT_COUNT;
        rscripts_send_load(&m->conn.out);
        return RB_OK;
    }
    if (m->forgotten) {
        return rb_err_set(err, RB_E_UNAVAIL, "the server forgets our scripts");
    }
    if (!m->confirmed) {
        return rb_err_set(err, RB_E_UNAVAIL, "no replica has confirmed the batch in time");
    }
    m->under_way = false;
    unsigned n = m->n_batch;
    struct ritem finished[RB_ADMIT_BATCH_MAX];
    unsigned n_finished = 0;
    m->n_batch = 0;
    for (unsigned i = 0; i < n; i++) {
        if (m->batch[i].stage == RITEM_DONE) {
            finished[n_finished++] = m->batch[i];
        } else {
            m->batch[m->n_batch++] = m->batch[i];
        }
    }
    for (unsigned i = 0; i < n_finished; i++) {
        complete(m, &finished[i]);
    }
    return RB_OK;
}

static enum rb_code take_answer(struct redis_admitter *m, const redisReply *r, int64_t now_ms,
                                struct rb_err *err)
{
    if (m->reloading && m->reload_left > 0) {
        if (rreply_is(r, REDIS_REPLY_ERROR)) {
            return rreply_error(r, err);
        }
        return --m->reload_left == 0 ? send_batch(m, now_ms, err) : RB_OK;
    }
    unsigned at = m->n_answered++;
    if (at < m->n_calls) {
        const struct call *c = &m->calls[at];
        if (rreply_is_noscript(r)) {
            m->forgotten = true;
        } else {
            enum rb_code rc = ritems_receive(r, m->order + c->first, c->n, err);
            if (rc != RB_OK) {
                return rc;
            }
        }
    } else {
        m->confirmed = r->type == REDIS_REPLY_INTEGER && r->integer >= 1;
    }
    return m->n_answered == m->n_calls + (m->waits ? 1 : 0) ? end_batch(m, err) : RB_OK;
}

static enum rb_code take_answers(struct redis_admitter *m, int64_t now_ms, struct rb_err *err)
{
    while (true) {
        RB_CLEANUP(rreply_freep) redisReply *r = NULL;
        enum rb_code rc = rconn_reply(&m->conn, &r, err);
        if (rc != RB_OK || r == NULL) {
            return rc;
        }
        if (!m->under_way) {
            return rb_err_set(err, RB_E_UNAVAIL, "Redis said something that nobody asked");
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

static bool timed(const struct redis_admitter *m)
{
    return m->under_way || (m->conn.state != RCONN_CLOSED && m->conn.state != RCONN_READY);
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
    bool only_send = m->conn.state == RCONN_READY && !m->under_way && m->n_waiting > 0;
    enum rb_code rc = only_send ? RB_OK : advance(m, now_ms, &err);
    if (rc == RB_OK && timed(m) && rb_boot_ms(m->store->clock) >= m->deadline_ms) {
        rc = RB_E_TIMEOUT;
    }
    if (rc == RB_OK && m->conn.state == RCONN_READY && !m->under_way) {
        start_batch(m, now_ms);
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
    int64_t at = 0;
    if (m->conn.state == RCONN_CLOSED) {
        at = m->open_at_ms;
    } else if (m->under_way || (timed(m) && m->n_waiting > 0)) {
        at = m->deadline_ms;
    } else {
        return timed(m) || m->n_waiting + m->n_batch == 0 ? -1 : 0;
    }
    int64_t left = at - rb_boot_ms(m->store->clock);
    return left < 0 ? 0 : (int)left;
}

unsigned redis_admitter_in_flight(const struct rb_admitter *adm)
{
    const struct redis_admitter *m = (const struct redis_admitter *)adm;
    return m->n_batch + m->n_waiting;
}

enum rb_code redis_admitter_add(struct rb_admitter *adm, struct rb_admission *a, struct rb_err *err)
{
    struct redis_admitter *m = self(adm);
    struct ritem it;
    if (m->has_failed) {
        return rb_err_set(err, RB_E_UNAVAIL, "Redis is away");
    }
    if (!ritem_init(&it, a)) {
        return rb_err_set(err, RB_E_INVALID, "admission: '%.40s' is no id", a->retry->id);
    }
    if (m->n_waiting + m->n_batch >= RB_ADMITTER_MAX_ITEMS) {
        return rb_err_set(err, RB_E_FULL, "too many admissions are under way");
    }
    m->waiting[(m->first_waiting + m->n_waiting++) % RB_ADMITTER_MAX_ITEMS] = it;
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
