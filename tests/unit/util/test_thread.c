/* test_thread.c - threads without signals, waits with a deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include <retrybuild/thread.h>

struct shared {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready;       /* guarded by lock */
    bool all_blocked; /* guarded by lock */
};

static void *report_itself(void *arg)
{
    struct shared *s = arg;
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    (void)pthread_mutex_lock(&s->lock);
    s->all_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1 &&
                     sigismember(&mask, SIGPIPE) == 1;
    s->ready = true;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    return arg;
}

static void a_thread_blocks_signals_and_wakes_its_waiter(void **state)
{
    (void)state;
    struct shared s = {.ready = false};
    pthread_t t;
    sigset_t before;
    sigset_t after;
    assert_int_equal(pthread_mutex_init(&s.lock, NULL), 0);
    rb_cond_init(&s.changed);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(rb_thread_start(&t, "worker", report_itself, &s, NULL), RB_OK);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    (void)pthread_mutex_lock(&s.lock);
    while (!s.ready) {
        assert_true(rb_cond_wait_ms(&s.changed, &s.lock, 600000));
    }
    (void)pthread_mutex_unlock(&s.lock);
    void *result = NULL;
    assert_int_equal(pthread_join(t, &result), 0);
    assert_ptr_equal(result, &s);
    assert_true(s.all_blocked);
    (void)pthread_cond_destroy(&s.changed);
    (void)pthread_mutex_destroy(&s.lock);
}

static void a_wait_ends_when_its_time_is_over(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never;
    rb_cond_init(&never);
    (void)pthread_mutex_lock(&lock);
    while (rb_cond_wait_ms(&never, &lock, 1)) {
        /* a spurious wake-up: wait again */
    }
    assert_false(rb_cond_wait_ms(&never, &lock, 0));
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_cond_destroy(&never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_blocks_signals_and_wakes_its_waiter),
        cmocka_unit_test(a_wait_ends_when_its_time_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
