/* thread.c - threads without signals, conditions on the monotonic clock. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <retrybuild/thread.h>

#define STACK_BYTES ((size_t)512 * 1024)

void rb_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0 ||
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(c, &attr) != 0) {
        abort(); /* glibc has no failure here; without the clock every deadline would be wrong */
    }
    (void)pthread_condattr_destroy(&attr);
}

bool rb_cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, int64_t timeout_ms)
{
    if (timeout_ms < 0) {
        (void)pthread_cond_wait(c, m);
        return true;
    }
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t century_ms =
        100LL * 365 * 86400 * 1000; /* beyond it the addition could overflow */
    if (timeout_ms > century_ms) {
        timeout_ms = century_ms;
    }
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(c, m, &until) != ETIMEDOUT;
}

enum rb_code rb_thread_start(pthread_t *ret_t, const char *name, void *(*fn)(void *), void *arg,
                             struct rb_err *err)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for thread '%s'", name);
    }
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* a new thread inherits the mask; the caller's own comes back at once */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    /* a fault of the thread's own must reach whoever reports it */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        (void)sigdelset(&all, own[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t t;
    int failed = pthread_create(&t, &attr, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (failed != 0) {
        return rb_err_errno(err, RB_E_UNAVAIL, failed, "start thread '%s'", name);
    }
    (void)pthread_setname_np(t,
                             name); /* too long a name is refused; the thread runs all the same */
    *ret_t = t;
    return RB_OK;
}
