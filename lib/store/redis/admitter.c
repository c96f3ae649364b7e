/* admitter.c - the way in of an event loop: batches under way, the next one gathers meanwhile.
 *
 * A batch is a pipeline of script calls (second halves of what went before, then first halves), and
 * WAIT when replicas are attached. Its outcome is told only when the whole batch has been answered.
 * Up to three are under way, so that the server has the next one at hand when it has done with one:
 * the first goes out as soon as there is anything (or, in the middle of a turn of the loop, as soon
 * as enough wait), the others when enough wait. What breaks (deadline, connection,
 * garbage) completes everything with its code and closes the connection: a late answer can never be
 * read as the next one's. While the server is away rb_admitter_add refuses at once.
 */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>

#include "batch.h"

#define MAX_BATCHES 3
#define REPEATS_MAX 8 /* somebody may empty the server's script cache again and again */
#define EARLY_LEAST \
    16 /* items of an early batch: a quarter of what is usually here, within these */
#define EARLY_MOST RCHUNK

struct redis_admitter {
    struct rb_admitter base;
    struct redis_store *store;
    struct rconn conn;
    uint64_t generation;
    struct rwatch watch;
    bool has_failed;    /* since the last time it was ready */
    enum rb_code early; /* why an early sending failed; the next pump deals with it */
    unsigned failures;
    int64_t open_at_ms;  /* boot clock: when to try again */
    int64_t deadline_ms; /* boot clock: of the attempt to connect, or to load the scripts */
    struct ritem waiting[RB_ADMITTER_MAX_ITEMS]; /* a ring */
    unsigned first_waiting, n_waiting;
    struct ritem second[MAX_BATCHES * RB_ADMIT_BATCH_MAX]; /* wait for their second half */
    unsigned n_second;
    struct rbatch batches[MAX_BATCHES];
    struct rbatch *sent[MAX_BATCHES]; /* in the order of their answers */
    unsigned n_sent;
    unsigned usual; /* how many items are here at busy moments; falls slowly */
    unsigned reload_left;
    struct rb_buf scratch;
    struct rb_metric_cell *batch_size;
};

static struct redis_admitter *self(struct rb_admitter *adm)
{
    return (struct redis_admitter *)adm;
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

static void complete_batch(struct redis_admitter *m, struct rbatch *b, enum rb_code rc)
{
    unsigned n = b->state == RBATCH_FREE ? 0 : b->n;
    b->state = RBATCH_FREE;
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
    rwatch_end(&m->watch);
    rconn_close(&m->conn);
    m->has_failed = true;
    m->early = RB_OK;
    m->open_at_ms = rb_boot_ms(m->store->clock) + rbackoff_ms(m->failures);
    m->failures++;
    rkeeper_doubt(m->store);
    complete_all(m, rc == RB_E_TIMEOUT || rc == RB_E_NO_SPACE ? rc : RB_E_UNAVAIL);
}

/* ---- a batch ---- */

static void gather(struct redis_admitter *m, struct rbatch *b)
{
    b->n = 0;
    while (b->n < RB_ADMIT_BATCH_MAX && m->n_second > 0) {
        b->items[b->n++] = m->second[--m->n_second];
    }
    while (b->n < RB_ADMIT_BATCH_MAX && m->n_waiting > 0) {
        b->items[b->n++] = take_waiting(m);
    }
}

static enum rb_code send_batch(struct redis_admitter *m, struct rbatch *b, int64_t now_ms,
                               struct rb_err *err)
{
    enum rb_code rc = rbatch_send(b, m->store, &m->conn.out, &m->scratch, now_ms, err);
    if (rc == RB_OK) {
        m->sent[m->n_sent++] = b;
    }
    return rc;
}

static struct rbatch *find_batch(struct redis_admitter *m, enum rbatch_state state)
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
           find_batch(m, RBATCH_FORGOTTEN) == NULL && m->n_sent < MAX_BATCHES;
}

static enum rb_code start_batch(struct redis_admitter *m, int64_t now_ms, unsigned at_least)
{
    if (!may_start(m) || m->n_waiting + m->n_second < at_least) {
        return RB_OK;
    }
    struct rbatch *b = find_batch(m, RBATCH_FREE);
    struct rb_err err;
    gather(m, b);
    rb_metric_observe(m->batch_size, b->n);
    unsigned here = redis_admitter_in_flight(&m->base) + b->n;
    m->usual = here > m->usual ? here : m->usual - m->usual / 16;
    b->repeats = 0;
    b->deadline_ms = rb_boot_ms(m->store->clock) + RDEADLINE_MS;
    b->state = RBATCH_FORGOTTEN; /* until it is sent, so that its items are never lost */
    return send_batch(m, b, now_ms, &err) == RB_OK ? RB_OK : RB_E_UNAVAIL;
}

static unsigned enough(const struct redis_admitter *m)
{
    unsigned quarter = m->usual / 4;
    return quarter < EARLY_LEAST ? EARLY_LEAST : quarter > EARLY_MOST ? EARLY_MOST : quarter;
}

/* The last answer of @b has come: tell the outcomes, keep what needs its second half. */
static enum rb_code end_batch(struct redis_admitter *m, struct rbatch *b, struct rb_err *err)
{
    if (b->forgotten && b->repeats >= REPEATS_MAX) {
        return rb_err_set(err, RB_E_UNAVAIL, "the server forgets our scripts");
    }
    if (b->forgotten) {
        b->repeats++;
        b->state = RBATCH_FORGOTTEN;
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
    if (b->state == RBATCH_SENT) {
        for (unsigned i = 0; i < b->n; i++) {
            complete(m, &b->items[i]);
        }
        b->state = RBATCH_FREE;
    }
    if (m->n_sent == 0 && find_batch(m, RBATCH_FORGOTTEN) != NULL) {
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
    struct rbatch *b = find_batch(m, RBATCH_FORGOTTEN);
    for (; b != NULL && rc == RB_OK; b = find_batch(m, RBATCH_FORGOTTEN)) {
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
    struct rbatch *b = m->sent[0];
    bool last = false;
    enum rb_code rc = rbatch_answer(b, r, &last, err);
    return rc == RB_OK && last ? end_batch(m, b, err) : rc;
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
    /* With work at hand and nothing to be answered there is nothing to read: save the call. */
    bool only_send =
        m->conn.state == RCONN_READY && m->n_sent == 0 && m->reload_left == 0 && m->n_waiting > 0;
    enum rb_code rc = atomic_load(&m->store->barred) ? RB_E_UNAVAIL : m->early;
    if (rc == RB_OK && !only_send) {
        rc = advance(m, now_ms, &err);
    }
    if (rc == RB_OK && is_late(m)) {
        rc = RB_E_TIMEOUT;
    }
    if (rc == RB_OK) {
        rc = start_batch(m, now_ms, m->n_sent == 0 ? 1 : enough(m));
    }
    if (rc == RB_OK && m->conn.state == RCONN_READY && m->conn.sent < m->conn.out.len) {
        rc = rconn_flush(&m->conn, &err);
    }
    if (rc != RB_OK) {
        broken(m, rc);
        return;
    }
    rwatch_update(&m->watch, &m->conn);
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
        n += m->batches[i].state == RBATCH_FREE ? 0 : m->batches[i].n;
    }
    return n;
}

/* In the middle of a turn of the loop the server may be idle: with enough at hand it gets a batch
 * now. Nothing is completed here; a failure waits for the pump. */
static void send_early(struct redis_admitter *m)
{
    if (m->n_waiting < enough(m) || m->early != RB_OK || !may_start(m)) {
        return;
    }
    struct rb_err err;
    m->early = start_batch(m, rb_now_ms(m->store->clock), EARLY_LEAST);
    if (m->early == RB_OK) {
        m->early = rconn_flush(&m->conn, &err);
    }
    rwatch_update(&m->watch, &m->conn);
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
    m->watch = (struct rwatch){.epoll_fd = epoll_fd, .tag = tag, .fd = -1};
    rconn_init(&m->conn, RCONN_COMMANDS, &m->store->target, m->store->tls, m->store->clock);
    rb_buf_init(&m->scratch, RCMD_MAX_BYTES);
    m->batch_size = rb_metric_cell(RB_M_STORE_BATCH_SIZE, NULL, NULL);
    struct raddresses a;
    if (rkeeper_addresses(m->store, 0, &a, &m->generation, NULL) == RB_OK &&
        rconn_open(&m->conn, &a, NULL) == RB_OK) {
        m->deadline_ms = rb_boot_ms(m->store->clock) + RDEADLINE_MS;
        rwatch_update(&m->watch, &m->conn);
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
    rwatch_end(&m->watch);
    rconn_release(&m->conn);
    complete_all(m, RB_E_CLOSED);
    rb_buf_release(&m->scratch);
    free(m);
}
