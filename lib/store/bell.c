/* bell.c - see bell.h. */
#include "bell.h"

#include <retrybuild/thread.h>

void rb_bell_init(struct rb_bell *b)
{
    (void)pthread_mutex_init(&b->lock, NULL);
    rb_cond_init(&b->quiet);
    b->fn = NULL;
    b->arg = NULL;
    b->ringing = 0;
}

void rb_bell_release(struct rb_bell *b)
{
    (void)pthread_cond_destroy(&b->quiet);
    (void)pthread_mutex_destroy(&b->lock);
}

void rb_bell_set(struct rb_bell *b, void (*fn)(void *arg, enum rb_task_kind kind), void *arg)
{
    (void)pthread_mutex_lock(&b->lock);
    b->fn = fn;
    b->arg = arg;
    while (b->ringing > 0) {
        (void)rb_cond_wait_ms(&b->quiet, &b->lock, -1);
    }
    (void)pthread_mutex_unlock(&b->lock);
}

void rb_bell_ring(struct rb_bell *b, enum rb_task_kind kind)
{
    (void)pthread_mutex_lock(&b->lock);
    void (*fn)(void *arg, enum rb_task_kind kind) = b->fn;
    void *arg = b->arg;
    b->ringing += fn != NULL ? 1 : 0;
    (void)pthread_mutex_unlock(&b->lock);
    if (fn == NULL) {
        return;
    }
    fn(arg, kind);
    (void)pthread_mutex_lock(&b->lock);
    if (--b->ringing == 0) {
        (void)pthread_cond_broadcast(&b->quiet);
    }
    (void)pthread_mutex_unlock(&b->lock);
}
