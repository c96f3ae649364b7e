/* thread.h - threads, locks, and waits with a deadline of the monotonic clock.
 *
 * No lock is held over I/O or a callback. Signals are blocked before the first thread is made. A
 * stop is: refuse new, drain, join, free.
 */
#ifndef RETRYBUILD_THREAD_H
#define RETRYBUILD_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/err.h>

/* rb_cond_init - a condition on CLOCK_MONOTONIC. Destroy with pthread_cond_destroy. */
void rb_cond_init(pthread_cond_t *c);
/* rb_cond_wait_ms - wait at most @timeout_ms (< 0: no limit) with @m held; false when the time ran
 * out. Spurious wake-ups return true. */
bool rb_cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, int64_t timeout_ms);
/* rb_thread_start - @name up to 15 bytes, shown by ps -L; every signal blocked in it. Stack 512
 * KiB. */
enum rb_code rb_thread_start(pthread_t *ret_t, const char *name, void *(*fn)(void *), void *arg,
                             struct rb_err *err);

#endif
