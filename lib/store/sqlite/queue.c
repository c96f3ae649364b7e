/* queue.c - ops and waiters: who holds what, who is woken. */
#include <stdlib.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/thread.h>

#include "writer.h"

struct rb_sq_waiter *rb_sq_waiter_new(int take_event_fd)
{
    struct rb_sq_waiter *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        rb_closep(&take_event_fd);
        return NULL;
    }
    w->refs = 1;
    w->event_fd = take_event_fd;
    rb_cond_init(&w->cond);
    return w;
}

static void waiter_free(struct rb_sq_waiter *w)
{
    (void)pthread_cond_destroy(&w->cond);
    rb_closep(&w->event_fd);
    free(w);
}

void rb_sq_waiter_drop(struct rb_sq_store *s, struct rb_sq_waiter *w)
{
    (void)pthread_mutex_lock(&s->m);
    bool last = --w->refs == 0;
    (void)pthread_mutex_unlock(&s->m);
    if (last) {
        waiter_free(w);
    }
}

struct rb_sq_op *rb_sq_op_new(enum rb_code (*run)(struct rb_sq_db *, struct rb_sq_op *,
                                                  struct rb_err *))
{
    struct rb_sq_op *op = calloc(1, sizeof(*op));
    if (op != NULL) {
        rb_arena_init(&op->arena, RB_SQ_OP_MAX_BYTES);
        op->run = run;
        op->refs = 1;
    }
    return op;
}

void rb_sq_op_drop(struct rb_sq_store *s, struct rb_sq_op *op)
{
    (void)pthread_mutex_lock(&s->m);
    bool last = --op->refs == 0;
    struct rb_sq_waiter *w = last ? op->waiter : NULL;
    (void)pthread_mutex_unlock(&s->m);
    if (!last) {
        return;
    }
    if (w != NULL) {
        rb_sq_waiter_drop(s, w);
    }
    rb_arena_release(&op->arena);
    free(op->heap);
    free(op);
}

enum rb_code rb_sq_send(struct rb_sq_store *s, struct rb_sq_op *op, struct rb_sq_waiter *w,
                        struct rb_err *err)
{
    if (atomic_load(&s->health) == RB_SQ_FAILED) {
        return rb_err_set(err, RB_E_UNAVAIL, "the disk failed to keep data: restart to check it");
    }
    (void)pthread_mutex_lock(&s->m);
    bool stop = s->stop;
    if (!stop) {
        w->refs++;
        op->waiter = w;
        op->refs++;
        op->queued = true;
        op->next = NULL;
        if (s->tail == NULL) {
            s->head = op;
        } else {
            s->tail->next = op;
        }
        s->tail = op;
    }
    (void)pthread_mutex_unlock(&s->m);
    (void)pthread_cond_signal(&s->wake); /* who wakes finds the lock free */
    return stop ? rb_err_set(err, RB_E_CLOSED, "the store is closing") : RB_OK;
}

/* With the lock held. */
static void unqueue(struct rb_sq_store *s, struct rb_sq_op *op)
{
    struct rb_sq_op *before = NULL;
    for (struct rb_sq_op *at = s->head; at != op; at = at->next) {
        before = at;
    }
    if (before == NULL) {
        s->head = op->next;
    } else {
        before->next = op->next;
    }
    if (s->tail == op) {
        s->tail = before;
    }
    op->queued = false;
}

void rb_sq_leave(struct rb_sq_store *s, struct rb_sq_op *op)
{
    (void)pthread_mutex_lock(&s->m);
    struct rb_sq_waiter *w = op->waiter;
    bool was_queued = op->queued;
    op->waiter = NULL;
    if (was_queued) {
        unqueue(s, op);
    }
    (void)pthread_mutex_unlock(&s->m);
    if (w != NULL) {
        rb_sq_waiter_drop(s, w);
    }
    if (was_queued) {
        rb_sq_op_drop(s, op); /* the reference of the queue */
    }
}

static int64_t elapsed_since(int64_t start_ms)
{
    return rb_boot_ms(rb_clock_system()) - start_ms;
}

enum rb_code rb_sq_wait(struct rb_sq_store *s, struct rb_sq_op *op, struct rb_err *err)
{
    /* a deadline is a matter of the machine's time, whatever clock the store was given */
    int64_t start_ms = rb_boot_ms(rb_clock_system());
    (void)pthread_mutex_lock(&s->m);
    while (!op->done) {
        int64_t left_ms = RB_STORE_DEADLINE_MS - elapsed_since(start_ms);
        if (left_ms <= 0 || !rb_cond_wait_ms(&op->waiter->cond, &s->m, left_ms)) {
            break;
        }
    }
    bool done = op->done;
    (void)pthread_mutex_unlock(&s->m);
    if (!done) {
        rb_sq_leave(s, op);
        return rb_err_set(err, RB_E_TIMEOUT, "the store did not answer within %d ms",
                          RB_STORE_DEADLINE_MS);
    }
    return RB_OK;
}

struct rb_sq_op *rb_sq_finished(struct rb_sq_store *s, struct rb_sq_waiter *w)
{
    (void)pthread_mutex_lock(&s->m);
    struct rb_sq_op *newest_first = RB_TAKE(w->done);
    (void)pthread_mutex_unlock(&s->m);
    struct rb_sq_op *oldest_first = NULL;
    while (newest_first != NULL) {
        struct rb_sq_op *op = newest_first;
        newest_first = op->next;
        op->next = oldest_first;
        oldest_first = op;
    }
    return oldest_first;
}
