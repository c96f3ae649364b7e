/* writer.c - one transaction after the other: take what is queued, run it, commit once, tell all.
 *
 * When the transaction fails for a reason that concerns everybody (disk full, read error), nobody's
 * part of it happened and all are told so. When only one request can be to blame, each is run again
 * alone. Requests are done before the WAL is copied back, so that nobody waits for that.
 */
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/thread.h>

#include "writer.h"

#define PROBE_MS 500
#define CHECKPOINT_PAGES 4096
#define ADMITTERS_MAX 16 /* woken in one go */

struct verdict {
    enum rb_code code;
    enum rb_sq_health health;
    const char *text;
    bool alone; /* may be the fault of one request */
};

static struct verdict judge(int sql_rc)
{
    switch (sql_rc) {
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
        return (struct verdict){RB_E_UNAVAIL, RB_SQ_FAILED, "the disk failed to keep data", false};
    case SQLITE_IOERR_NOMEM:
        return (struct verdict){RB_E_NOMEM, RB_SQ_UP, "no memory", true};
    default:
        break;
    }
    switch (sql_rc & 0xff) {
    case SQLITE_FULL:
        return (struct verdict){RB_E_NO_SPACE, RB_SQ_FULL, "the disk is full", false};
    case SQLITE_NOMEM:
        return (struct verdict){RB_E_NOMEM, RB_SQ_UP, "no memory", true};
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return (struct verdict){RB_E_UNAVAIL, RB_SQ_DOWN, "the file cannot be used", false};
    default:
        return (struct verdict){RB_E_INTERNAL, RB_SQ_UP, "a statement was refused", true};
    }
}

/* Leases alone need not outlive a loss of power: who held one is gone, too. They stand in the WAL,
 * where they outlive the process, and the next transaction that needs the disk takes them along. */
static bool needs_disk(const struct rb_sq_op *ops, const struct rb_sq_op *end)
{
    const struct rb_sq_op *op = ops;
    while (op != end && op->is_lease) {
        op = op->next;
    }
    return op != end;
}

static struct verdict transact(struct rb_sq_store *s, struct rb_sq_op *ops,
                               const struct rb_sq_op *end)
{
    struct rb_sq_db *db = s->db;
    if (!rb_sq_db_present(db)) {
        return (struct verdict){RB_E_UNAVAIL, RB_SQ_DOWN, "the file is gone or replaced", false};
    }
    int changes = sqlite3_total_changes(db->handle);
    rb_sq_begin(db, needs_disk(ops, end));
    for (struct rb_sq_op *op = ops; op != end && !rb_sq_broken(db); op = op->next) {
        op->err = (struct rb_err){0};
        op->rc = op->run(db, op, &op->err);
    }
    rb_sq_commit(db);
    if (rb_sq_broken(db)) {
        struct verdict v = judge(db->sql_rc);
        rb_sq_rollback(db);
        return v;
    }
    bool wrote = sqlite3_total_changes(db->handle) != changes;
    return (struct verdict){RB_OK, wrote ? RB_SQ_UP : atomic_load(&s->health), "", false};
}

static void settle_health(struct rb_sq_store *s, const struct verdict *v)
{
    if (atomic_load(&s->health) != RB_SQ_FAILED && (v->code == RB_OK || !v->alone)) {
        atomic_store(&s->health, v->health);
    }
}

static void tell_due(struct rb_sq_store *s)
{
    for (int kind = RB_TASK_NONE + 1; kind < RB_TASK_KIND_COUNT; kind++) {
        if (s->db->due[kind]) {
            rb_bell_ring(&s->base.due, (enum rb_task_kind)kind);
        }
    }
}

static void fail_ops(struct rb_sq_store *s, struct rb_sq_op *ops, const struct rb_sq_op *end,
                     const struct verdict *v)
{
    for (struct rb_sq_op *op = ops; op != end; op = op->next) {
        op->rc = rb_err_set(&op->err, v->code, "store '%s': %s", s->db->path, v->text);
    }
}

static bool note_admitter(struct rb_sq_waiter **list, unsigned *n, struct rb_sq_waiter *w)
{
    for (unsigned i = 0; i < *n; i++) {
        if (list[i] == w) {
            return true;
        }
    }
    if (*n == ADMITTERS_MAX) {
        return false;
    }
    w->refs++;
    list[(*n)++] = w;
    return true;
}

/* An admitter's ops go to its list, together with the reference of the queue; the others are let
 * go. The lock makes what run wrote visible to the asker. Returns what it had no room for. */
static struct rb_sq_op *complete_some(struct rb_sq_store *s, struct rb_sq_op *ops)
{
    struct rb_sq_waiter *admitters[ADMITTERS_MAX];
    struct rb_sq_op *let_go = NULL;
    unsigned n = 0;
    (void)pthread_mutex_lock(&s->m);
    while (ops != NULL) {
        struct rb_sq_op *op = ops;
        struct rb_sq_waiter *w = op->waiter;
        bool admitter = w != NULL && w->event_fd >= 0;
        if (admitter && !note_admitter(admitters, &n, w)) {
            break;
        }
        struct rb_sq_op **list = admitter ? &w->done : &let_go;
        ops = op->next;
        op->next = *list;
        *list = op;
        op->done = true;
        if (w != NULL && !admitter) {
            (void)pthread_cond_signal(&w->cond);
        }
    }
    (void)pthread_mutex_unlock(&s->m);
    for (unsigned i = 0; i < n; i++) {
        const uint64_t one = 1;
        (void)!write(admitters[i]->event_fd, &one, sizeof(one)); /* full means: awake already */
        rb_sq_waiter_drop(s, admitters[i]);
    }
    while (let_go != NULL) {
        struct rb_sq_op *op = let_go;
        let_go = op->next;
        rb_sq_op_drop(s, op);
    }
    return ops;
}

static void complete(struct rb_sq_store *s, struct rb_sq_op *ops)
{
    while (ops != NULL) {
        ops = complete_some(s, ops);
    }
}

static void observe(struct rb_sq_store *s, const struct rb_sq_op *ops)
{
    unsigned n = 0;
    for (const struct rb_sq_op *op = ops; op != NULL; op = op->next) {
        n += op->n_admissions;
    }
    if (n > 0) {
        rb_metric_observe(s->batch_size, n);
    }
}

static void run_alone(struct rb_sq_store *s, struct rb_sq_op *ops)
{
    for (struct rb_sq_op *op = ops; op != NULL; op = op->next) {
        struct verdict v = transact(s, op, op->next);
        settle_health(s, &v);
        if (v.code != RB_OK) {
            fail_ops(s, op, op->next, &v);
        } else {
            tell_due(s);
        }
    }
}

static void run_all(struct rb_sq_store *s, struct rb_sq_op *ops)
{
    struct verdict v = transact(s, ops, NULL);
    settle_health(s, &v);
    if (v.code != RB_OK && v.alone && ops->next != NULL) {
        run_alone(s, ops);
        complete(s, ops);
        return;
    }
    if (v.code != RB_OK) {
        fail_ops(s, ops, NULL, &v);
    } else {
        observe(s, ops);
    }
    complete(s, ops);
    if (v.code == RB_OK) {
        tell_due(s);
    }
}

/* A write that changes nothing: is the disk back? */
static enum rb_code probe_run(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)op;
    (void)err;
    (void)rb_sq_run(db, SQ_META_PUT, "ti", "probe", (int64_t)0);
    return RB_OK;
}

static void probe(struct rb_sq_store *s)
{
    struct rb_sq_op op = {.run = probe_run};
    enum rb_sq_health health = atomic_load(&s->health);
    if (health == RB_SQ_DOWN || health == RB_SQ_FULL) {
        struct verdict v = transact(s, &op, NULL);
        settle_health(s, &v);
    }
}

static void checkpoint(struct rb_sq_store *s)
{
    if (s->db->wal_pages < CHECKPOINT_PAGES || atomic_load(&s->health) != RB_SQ_UP) {
        return;
    }
    int rc = sqlite3_wal_checkpoint_v2(s->db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->db->wal_pages = 0;
    if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC) {
        struct verdict v = judge(rc);
        settle_health(s, &v);
    }
}

/* False: stopped, and nothing is left. *ret_ops NULL: nothing to do but look after the disk. */
static bool next_ops(struct rb_sq_store *s, struct rb_sq_op **ret_ops)
{
    (void)pthread_mutex_lock(&s->m);
    bool up = atomic_load(&s->health) == RB_SQ_UP;
    bool waited = true;
    while (s->head == NULL && !s->stop && waited) {
        waited = rb_cond_wait_ms(&s->wake, &s->m, up ? -1 : PROBE_MS);
    }
    bool over = s->head == NULL && s->stop;
    *ret_ops = RB_TAKE(s->head);
    s->tail = NULL;
    for (struct rb_sq_op *op = *ret_ops; op != NULL; op = op->next) {
        op->queued = false;
    }
    (void)pthread_mutex_unlock(&s->m);
    return !over;
}

static void *work(void *arg)
{
    struct rb_sq_store *s = arg;
    struct rb_sq_op *ops = NULL;
    while (next_ops(s, &ops)) {
        if (ops != NULL) {
            run_all(s, ops);
        } else {
            probe(s);
        }
        checkpoint(s);
    }
    return NULL;
}

enum rb_code rb_sq_writer_start(struct rb_sq_store *s, struct rb_err *err)
{
    s->batch_size = rb_metric_cell(RB_M_STORE_BATCH_SIZE, NULL, NULL);
    return rb_thread_start(&s->thread, "rb-store", work, s, err);
}

void rb_sq_writer_stop(struct rb_sq_store *s)
{
    (void)pthread_mutex_lock(&s->m);
    s->stop = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->m);
    (void)pthread_join(s->thread, NULL);
}
