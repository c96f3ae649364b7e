/* contract_child.c - deliveries about builds that a retry of ours started. */
#include <string.h>

#include "harness.h"

static void failure_of_our_own_child_is_no_first_failure(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    to_running(f, "web", 1, 2, T0 + HOUR, id);
    entry_init(&e, "web", 2, 2, T0 + MINUTE);
    assert_int_equal(admit(f, &e, T0 + MINUTE), RB_ADMIT_CHILD);
    assert_string_equal(e.a.retry_id, id);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + MINUTE));
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0 + MINUTE);
    assert_string_equal(t->retry->id, id);
    assert_true(t->woken);
    rb_task_free(t);
    entry_release(&e);
}

static void end_of_a_child_wakes_its_follow_task(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char told[RB_ID_BYTES];
    to_running(f, "web", 1, 2, T0 + HOUR, id);
    assert_null(claim(f, RB_TASK_FOLLOW, T0 + MINUTE));
    assert_int_equal(admit_ended(f, "web", 2, T0 + MINUTE, told), RB_ADMIT_CHILD);
    assert_string_equal(told, id);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0 + MINUTE);
    assert_true(t->woken);
    rb_task_free(t);
}

static void end_of_a_build_that_is_nobodys_child_is_unknown(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    assert_int_equal(admit_ended(f, "web", 1, T0, NULL), RB_ADMIT_UNKNOWN);
    assert_int_equal(admit_ended(f, "web", 2, T0, NULL), RB_ADMIT_UNKNOWN);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 1);
}

static void a_wake_during_the_lease_comes_after_it(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    to_running(f, "web", 1, 2, T0 + SECOND, id);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0 + SECOND);
    assert_false(t->woken);
    assert_int_equal(admit_ended(f, "web", 2, T0 + 2 * SECOND, NULL), RB_ADMIT_CHILD);
    assert_null(claim(f, RB_TASK_FOLLOW, T0 + 2 * SECOND)); /* the lease stands */
    struct rb_settle s = {.next = RB_TASK_FOLLOW, .next_due_ms = T0 + HOUR};
    assert_int_equal(settle(f, t, &s, T0 + 3 * SECOND), RB_OK);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_FOLLOW, T0 + 3 * SECOND);
    assert_true(t->woken);
    rb_task_free(t);
}

static void a_wake_is_told_once(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    to_running(f, "web", 1, 2, T0 + HOUR, id);
    assert_int_equal(admit_ended(f, "web", 2, T0, NULL), RB_ADMIT_CHILD);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    struct rb_settle s = {.next = RB_TASK_FOLLOW, .next_due_ms = T0 + MINUTE};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_FOLLOW, T0 + SECOND));
    t = must_claim(f, RB_TASK_FOLLOW, T0 + MINUTE);
    assert_false(t->woken);
    rb_task_free(t);
}

static void end_of_the_child_of_an_ended_retry_wakes_nothing(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    to_running(f, "web", 1, 2, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    rb_retry_enter(t->retry, RB_STATE_RECOVERED, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    assert_int_equal(admit_ended(f, "web", 2, T0, NULL), RB_ADMIT_CHILD);
    assert_null(claim(f, RB_TASK_FOLLOW, T0 + DAY));
}

static void a_person_may_continue_the_chain_of_a_child(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    to_running(f, "web", 1, 2, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    rb_retry_enter(t->retry, RB_STATE_FAILED_AGAIN, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    entry_init(&e, "web", 2, 0, T0 + 1);
    e.a.mode = RB_ADMIT_PERSON;
    memcpy(e.retry->previous, id, sizeof(e.retry->previous));
    assert_int_equal(admit(f, &e, T0 + 1), RB_ADMIT_NEW);
    entry_release(&e);
}

const struct CMUnitTest contract_child_tests[] = {
    STORE_TEST(failure_of_our_own_child_is_no_first_failure),
    STORE_TEST(end_of_a_child_wakes_its_follow_task),
    STORE_TEST(end_of_a_build_that_is_nobodys_child_is_unknown),
    STORE_TEST(a_wake_during_the_lease_comes_after_it),
    STORE_TEST(a_wake_is_told_once),
    STORE_TEST(end_of_the_child_of_an_ended_retry_wakes_nothing),
    STORE_TEST(a_person_may_continue_the_chain_of_a_child),
    {0},
};
