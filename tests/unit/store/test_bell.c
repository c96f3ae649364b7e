/* test_bell.c - who is told that a task may be due, while that one goes away. */
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bell.h"

struct scene {
    struct rb_bell bell;
    sem_t inside, leave;
    atomic_bool left;
    bool set_too_early;
    unsigned calls;
    enum rb_task_kind kind;
};

static void stay(void *arg, enum rb_task_kind kind)
{
    struct scene *s = arg;
    s->calls++;
    s->kind = kind;
    (void)sem_post(&s->inside);
    (void)sem_wait(&s->leave);
    atomic_store(&s->left, true);
}

static void *ring(void *arg)
{
    struct scene *s = arg;
    rb_bell_ring(&s->bell, RB_TASK_SUBMIT);
    return NULL;
}

static void *unset(void *arg)
{
    struct scene *s = arg;
    rb_bell_set(&s->bell, NULL, NULL);
    s->set_too_early = !atomic_load(&s->left);
    return NULL;
}

static bool nobody_listens(struct scene *s)
{
    (void)pthread_mutex_lock(&s->bell.lock);
    bool none = s->bell.fn == NULL;
    (void)pthread_mutex_unlock(&s->bell.lock);
    return none;
}

static void who_listens_no_more_is_not_being_called(void **state)
{
    struct scene s = {.calls = 0};
    pthread_t ringer, setter;
    (void)state;
    rb_bell_init(&s.bell);
    (void)sem_init(&s.inside, 0, 0);
    (void)sem_init(&s.leave, 0, 0);
    rb_bell_set(&s.bell, stay, &s);
    assert_int_equal(pthread_create(&ringer, NULL, ring, &s), 0);
    (void)sem_wait(&s.inside);
    assert_int_equal(pthread_create(&setter, NULL, unset, &s), 0);
    while (!nobody_listens(&s)) {
        (void)sched_yield();
    }
    rb_bell_ring(&s.bell, RB_TASK_REPORT); /* nobody hears it */
    (void)sem_post(&s.leave);
    (void)pthread_join(setter, NULL);
    (void)pthread_join(ringer, NULL);
    assert_false(s.set_too_early);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.kind, RB_TASK_SUBMIT);
    (void)sem_destroy(&s.leave);
    (void)sem_destroy(&s.inside);
    rb_bell_release(&s.bell);
}

static void count(void *arg, enum rb_task_kind kind)
{
    ((unsigned *)arg)[kind]++;
}

static void each_ring_is_one_call_with_its_kind(void **state)
{
    struct rb_bell bell;
    unsigned calls[RB_TASK_KIND_COUNT] = {0};
    (void)state;
    rb_bell_init(&bell);
    rb_bell_ring(&bell, RB_TASK_SUBMIT);
    rb_bell_set(&bell, count, calls);
    rb_bell_ring(&bell, RB_TASK_SUBMIT);
    rb_bell_ring(&bell, RB_TASK_SUBMIT);
    rb_bell_ring(&bell, RB_TASK_REPORT);
    assert_int_equal(calls[RB_TASK_SUBMIT], 2);
    assert_int_equal(calls[RB_TASK_REPORT], 1);
    rb_bell_set(&bell, NULL, NULL);
    rb_bell_release(&bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_listens_no_more_is_not_being_called),
        cmocka_unit_test(each_ring_is_one_call_with_its_kind),
    };
    return cmocka_run_group_tests_name("store/bell", tests, NULL, NULL);
}
