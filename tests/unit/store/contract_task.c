/* contract_task.c - leases and fences. */
#include "harness.h"

static void a_claim_takes_the_oldest_due_first(void **state)
{
    struct fix *f = *state;
    char id[3][RB_ID_BYTES];
    admit_new(f, "web", 1, T0 + 2, id[0]);
    admit_new(f, "web", 2, T0, id[1]);
    admit_new(f, "web", 3, T0 + 1, id[2]);
    struct rb_task *t[3] = {0};
    unsigned n = 0;
    assert_int_equal(rb_store_claim(f->ses, RB_TASK_SUBMIT, 3, LEASE, T0 + 5, t, &n, NULL, NULL),
                     RB_OK);
    assert_int_equal(n, 3);
    assert_string_equal(t[0]->retry->id, id[1]);
    assert_string_equal(t[1]->retry->id, id[2]);
    assert_string_equal(t[2]->retry->id, id[0]);
    for (unsigned i = 0; i < n; i++) {
        rb_task_free(t[i]);
    }
}

static void a_task_is_not_claimed_before_it_is_due(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    e.retry->due_ms = T0 + MINUTE;
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + MINUTE - 1));
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + MINUTE);
    assert_int_equal(t->due_ms, T0 + MINUTE);
    rb_task_free(t);
    entry_release(&e);
}

static void an_empty_claim_says_when_the_next_is_due(void **state)
{
    struct fix *f = *state;
    struct rb_task *t = NULL;
    unsigned n = 9;
    int64_t next = 9;
    assert_int_equal(rb_store_claim(f->ses, RB_TASK_SUBMIT, 1, LEASE, T0, &t, &n, &next, NULL),
                     RB_OK);
    assert_int_equal(n, 0);
    assert_int_equal(next, 0);
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    e.retry->due_ms = T0 + MINUTE;
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_int_equal(rb_store_claim(f->ses, RB_TASK_SUBMIT, 1, LEASE, T0, &t, &n, &next, NULL),
                     RB_OK);
    assert_int_equal(n, 0);
    assert_true(next > T0 + MINUTE - 5000); /* when to look again, not later than it is due */
    assert_true(next <= T0 + MINUTE);
    entry_release(&e);
}

static void a_claimed_task_is_nobody_elses_until_the_lease_ends(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_int_equal(t->lease_until_ms, T0 + LEASE);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + LEASE - 1));
    struct rb_task *later = must_claim(f, RB_TASK_SUBMIT, T0 + LEASE);
    assert_true(later->fence != t->fence);
    rb_task_free(t);
    rb_task_free(later);
}

static void fences_are_never_zero_and_differ(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    uint64_t fences[20];
    for (unsigned i = 0; i < 20; i++) {
        admit_new(f, "web", i + 1, T0, id);
        struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
        fences[i] = t->fence;
        assert_true(t->fence != 0);
        for (unsigned k = 0; k < i; k++) {
            assert_true(fences[k] != fences[i]);
        }
        rb_task_free(t);
    }
}

static void a_worker_whose_lease_passed_on_cannot_settle(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *zombie = must_claim(f, RB_TASK_SUBMIT, T0);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + LEASE);
    rb_retry_enter(zombie->retry, RB_STATE_REFUSED, T0 + LEASE, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, zombie, &s, T0 + LEASE), RB_E_FENCED);
    assert_int_equal(state_of(f, id), RB_STATE_SCHEDULED);
    assert_int_equal(rb_store_renew(f->ses, zombie, LEASE, T0 + LEASE, NULL), RB_E_FENCED);
    assert_int_equal(rb_store_release(f->ses, zombie, T0 + LEASE, T0 + LEASE, NULL), RB_E_FENCED);
    assert_int_equal(rb_store_renew(f->ses, t, LEASE, T0 + LEASE, NULL), RB_OK);
    rb_task_free(zombie);
    rb_task_free(t);
}

static void a_lease_that_ran_out_is_good_until_somebody_else_claims(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    rb_retry_enter(t->retry, RB_STATE_REFUSED, T0 + DAY, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, T0 + DAY), RB_OK);
    rb_task_free(t);
}

static void a_settled_task_cannot_be_settled_again(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    struct rb_settle s = {.next = RB_TASK_SUBMIT, .next_due_ms = T0 + HOUR};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    assert_int_equal(settle(f, t, &s, T0), RB_E_FENCED);
    rb_task_free(t);
}

static void renewing_moves_the_end_of_the_lease(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_int_equal(rb_store_renew(f->ses, t, LEASE, T0 + 20 * SECOND, NULL), RB_OK);
    assert_int_equal(t->lease_until_ms, T0 + 20 * SECOND + LEASE);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + 20 * SECOND + LEASE - 1));
    struct rb_task *later = must_claim(f, RB_TASK_SUBMIT, T0 + 20 * SECOND + LEASE);
    rb_task_free(later);
    rb_task_free(t);
}

static void a_claim_after_the_lease_keeps_when_it_was_due(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0 + 5));
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + 5 + LEASE);
    assert_int_equal(t->due_ms, T0);
    rb_task_free(t);
}

static void tries_count_the_claims(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    for (int64_t i = 1; i <= 4; i++) {
        struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + i * LEASE);
        assert_int_equal(t->tries, i);
        rb_task_free(t);
    }
}

static void tries_begin_again_after_a_settle(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0));
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + LEASE);
    struct rb_settle s = {.next = RB_TASK_SUBMIT, .next_due_ms = T0 + HOUR};
    assert_int_equal(settle(f, t, &s, T0 + LEASE), RB_OK);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_SUBMIT, T0 + HOUR);
    assert_int_equal(t->tries, 1);
    rb_task_free(t);
}

static void a_released_task_is_due_again_and_the_claim_does_not_count(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_int_equal(rb_store_release(f->ses, t, T0 + 2 * SECOND, T0 + SECOND, NULL), RB_OK);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + SECOND));
    struct rb_task *again = must_claim(f, RB_TASK_SUBMIT, T0 + 2 * SECOND);
    assert_int_equal(again->tries, 1);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, T0 + 2 * SECOND), RB_E_FENCED);
    rb_task_free(t);
    rb_task_free(again);
}

static void kinds_do_not_mix(void **state)
{
    struct fix *f = *state;
    struct entry e;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 2, 2, T0);
    entry_state(&e, RB_STATE_RECEIVED, RB_TASK_INSPECT);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_null(claim(f, RB_TASK_FOLLOW, T0));
    assert_null(claim(f, RB_TASK_REPORT, T0));
    assert_int_equal(claim_all(f, RB_TASK_INSPECT, T0), 1);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 1);
    entry_release(&e);
}

static void a_claim_takes_no_more_than_asked(void **state)
{
    struct fix *f = *state;
    struct rb_task *t[10];
    char id[RB_ID_BYTES];
    unsigned n = 0;
    for (unsigned i = 0; i < 10; i++) {
        admit_new(f, "web", i + 1, T0, id);
    }
    assert_int_equal(rb_store_claim(f->ses, RB_TASK_SUBMIT, 7, LEASE, T0, t, &n, NULL, NULL),
                     RB_OK);
    assert_int_equal(n, 7);
    for (unsigned i = 0; i < n; i++) {
        rb_task_free(t[i]);
    }
    assert_int_equal(rb_store_claim(f->ses, RB_TASK_SUBMIT, 7, LEASE, T0, t, &n, NULL, NULL),
                     RB_OK);
    assert_int_equal(n, 3);
    for (unsigned i = 0; i < n; i++) {
        rb_task_free(t[i]);
    }
}

static void numbers_out_of_range_are_refused(void **state)
{
    struct fix *f = *state;
    struct rb_task *t = NULL;
    unsigned n = 0;
    struct rb_store_session *ses = f->ses;
    assert_int_equal(rb_store_claim(ses, RB_TASK_SUBMIT, 0, LEASE, T0, &t, &n, NULL, NULL),
                     RB_E_INVALID);
    assert_int_equal(rb_store_claim(ses, RB_TASK_SUBMIT, 129, LEASE, T0, &t, &n, NULL, NULL),
                     RB_E_INVALID);
    assert_int_equal(rb_store_claim(ses, RB_TASK_SUBMIT, 1, 0, T0, &t, &n, NULL, NULL),
                     RB_E_INVALID);
    assert_int_equal(rb_store_claim(ses, RB_TASK_NONE, 1, LEASE, T0, &t, &n, NULL, NULL),
                     RB_E_INVALID);
}

static void leases_survive_a_restart(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    fix_reopen(f);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + 1));
    struct rb_settle s = {.next = RB_TASK_SUBMIT, .next_due_ms = T0 + HOUR};
    assert_int_equal(settle(f, t, &s, T0 + 1), RB_OK);
    rb_task_free(t);
}

static void a_claim_shows_duplicates_and_version(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 2, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_int_equal(t->retry->version, 1);
    assert_int_equal(t->retry->duplicates, 1);
    assert_int_equal(t->retry->n_deliveries, 2);
    rb_task_free(t);
    entry_release(&e);
}

static void who_waits_hears_of_what_is_due(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    assert_true(fix_wait_due(f, RB_TASK_SUBMIT) > 0);
    assert_int_equal(f->due[RB_TASK_FOLLOW], 0);
}

const struct CMUnitTest contract_task_tests[] = {
    STORE_TEST(a_claim_takes_the_oldest_due_first),
    STORE_TEST(a_task_is_not_claimed_before_it_is_due),
    STORE_TEST(an_empty_claim_says_when_the_next_is_due),
    STORE_TEST(a_claimed_task_is_nobody_elses_until_the_lease_ends),
    STORE_TEST(fences_are_never_zero_and_differ),
    STORE_TEST(a_worker_whose_lease_passed_on_cannot_settle),
    STORE_TEST(a_lease_that_ran_out_is_good_until_somebody_else_claims),
    STORE_TEST(a_settled_task_cannot_be_settled_again),
    STORE_TEST(renewing_moves_the_end_of_the_lease),
    STORE_TEST(a_claim_after_the_lease_keeps_when_it_was_due),
    STORE_TEST(tries_count_the_claims),
    STORE_TEST(tries_begin_again_after_a_settle),
    STORE_TEST(a_released_task_is_due_again_and_the_claim_does_not_count),
    STORE_TEST(kinds_do_not_mix),
    STORE_TEST(a_claim_takes_no_more_than_asked),
    STORE_TEST(numbers_out_of_range_are_refused),
    STORE_TEST(leases_survive_a_restart),
    STORE_TEST(a_claim_shows_duplicates_and_version),
    STORE_TEST(who_waits_hears_of_what_is_due),
    {0},
};
