/* bell.h - who is told that a task may be due, and when that one may go: a setter returns only when
 * no call of the function before is under way, so that its argument can be freed.
 */
#ifndef RB_STORE_BELL_H
#define RB_STORE_BELL_H

#include <pthread.h>

#include <retrybuild/store.h>

struct rb_bell {
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    void (*fn)(void *arg, enum rb_task_kind kind); /* lock; NULL = nobody listens */
    void *arg;                                     /* lock */
    unsigned ringing;                              /* lock: calls under way */
};

void rb_bell_init(struct rb_bell *b);
void rb_bell_release(struct rb_bell *b);
/* rb_bell_set - waits for calls under way; not from within one. */
void rb_bell_set(struct rb_bell *b, void (*fn)(void *arg, enum rb_task_kind kind), void *arg);
/* rb_bell_ring - calls the function, if any, with no lock held. Threads: any. */
void rb_bell_ring(struct rb_bell *b, enum rb_task_kind kind);

#endif
