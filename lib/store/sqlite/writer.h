/* writer.h - the thread that owns the connection, and the queue in front of it.
 *
 * Whatever is queued when the writer comes back is one transaction (group commit). The lock guards
 * the queue, the counts of references and what waiters look at; it is never held over I/O.
 */
#ifndef RB_STORE_SQLITE_WRITER_H
#define RB_STORE_SQLITE_WRITER_H

#include <pthread.h>
#include <stdatomic.h>

#include <retrybuild/counters.h>

#include "ops.h"
#include "shelf.h"

enum rb_sq_health {
    RB_SQ_UP,
    RB_SQ_DOWN,   /* the last write failed; tried again every now and then */
    RB_SQ_FULL,   /* the same, for want of room */
    RB_SQ_FAILED, /* an fsync failed: what is on the disk is unknown until the file is opened again
                   */
};

/* Who waits: a session on its condition, an admitter on its descriptor. */
struct rb_sq_waiter {
    int refs;              /* guarded by the store's lock */
    pthread_cond_t cond;   /* with the store's lock */
    int event_fd;          /* -1: a session */
    struct rb_sq_op *done; /* admitter: finished ops, newest first; guarded by the store's lock */
};

struct rb_sq_store {
    struct rb_store base;
    struct rb_sq_db *db; /* the writer's, once it runs */
    pthread_t thread;
    pthread_mutex_t m;
    pthread_cond_t wake;
    struct rb_sq_op *head, *tail; /* guarded by m */
    bool stop;                    /* guarded by m */
    _Atomic(enum rb_sq_health) health;
    struct rb_metric_cell *batch_size;
};

enum rb_code rb_sq_writer_start(struct rb_sq_store *s, struct rb_err *err);
void rb_sq_writer_stop(struct rb_sq_store *s); /* finishes what is queued */

struct rb_sq_waiter *rb_sq_waiter_new(int take_event_fd); /* NULL without memory (fd closed) */
/* rb_sq_waiter_drop, rb_sq_op_drop - one reference less. */
void rb_sq_waiter_drop(struct rb_sq_store *s, struct rb_sq_waiter *w);
struct rb_sq_op *rb_sq_op_new(enum rb_code (*run)(struct rb_sq_db *, struct rb_sq_op *,
                                                  struct rb_err *));
void rb_sq_op_drop(struct rb_sq_store *s, struct rb_sq_op *op);

/* rb_sq_send - queue @op for @w. The caller keeps its reference. RB_E_CLOSED, RB_E_UNAVAIL. */
enum rb_code rb_sq_send(struct rb_sq_store *s, struct rb_sq_op *op, struct rb_sq_waiter *w,
                        struct rb_err *err);
/* rb_sq_wait - until @op is done, or RB_E_TIMEOUT after the deadline; then it is left alone. */
enum rb_code rb_sq_wait(struct rb_sq_store *s, struct rb_sq_op *op, struct rb_err *err);
/* rb_sq_leave - nobody waits for @op any more; an op that is still queued is taken out. */
void rb_sq_leave(struct rb_sq_store *s, struct rb_sq_op *op);
/* rb_sq_finished - the finished ops of an admitter, oldest first, linked by next. */
struct rb_sq_op *rb_sq_finished(struct rb_sq_store *s, struct rb_sq_waiter *w);

#endif
