/* contract_receipt.c - what a receiver gave for a report, kept for the next one of its chain. */
#include <string.h>

#include "harness.h"

static enum rb_code done(struct fix *f, struct rb_task *t, int64_t now)
{
    return rb_store_report_settle(f->ses, t, RB_REPORT_DONE, 0, NULL, now, NULL);
}

static void a_receipt_is_handed_to_the_chains_next_report(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    char chain[RB_ID_BYTES];
    held(f, 1, "ci", id[0], chain);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    assert_string_equal(t->receipt, "");
    memcpy(t->receipt, "C1 17.5", sizeof("C1 17.5"));
    assert_int_equal(done(f, t, T0), RB_OK);
    rb_task_free(t);
    fix_reopen(f);
    held_next(f, 2, chain, id[1]);
    t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_string_equal(t->retry->id, id[1]);
    assert_string_equal(t->receipt, "C1 17.5");
    /* it is kept with every outcome, and an empty one leaves what there is */
    memcpy(t->receipt, "C1 18.0", sizeof("C1 18.0"));
    assert_int_equal(
        rb_store_report_settle(f->ses, t, RB_REPORT_AGAIN, T0 + 2, "half done", T0 + 1, NULL),
        RB_OK);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_REPORT, T0 + 2);
    assert_string_equal(t->receipt, "C1 18.0");
    t->receipt[0] = '\0';
    assert_int_equal(rb_store_report_settle(f->ses, t, RB_REPORT_GIVE_UP, 0, "no", T0 + 2, NULL),
                     RB_OK);
    rb_task_free(t);
    move(f, id[1], RB_STATE_CANCELLED, RB_TASK_NONE, "ci", RB_STAGE_FINISHED, T0 + 3);
    t = must_claim(f, RB_TASK_REPORT, T0 + 3);
    assert_string_equal(t->receipt, "C1 18.0");
    rb_task_free(t);
}

static void a_receipt_is_of_one_destination_and_chain(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    held(f, 1, "ci", id[0], NULL);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    memcpy(t->receipt, "one", sizeof("one"));
    assert_int_equal(done(f, t, T0), RB_OK);
    rb_task_free(t);
    move(f, id[0], RB_STATE_CANCELLED, RB_TASK_NONE, "else", RB_STAGE_FINISHED, T0 + 1);
    t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_string_equal(t->receipt, "");
    rb_task_free(t);
    held(f, 2, "ci", id[1], NULL);
    t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_string_equal(t->receipt, "");
    rb_task_free(t);
}

static void a_receipt_of_a_lost_lease_is_not_kept(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *zombie = must_claim(f, RB_TASK_REPORT, T0);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + LEASE);
    memcpy(zombie->receipt, "late", sizeof("late"));
    assert_int_equal(done(f, zombie, T0 + LEASE), RB_E_FENCED);
    assert_int_equal(done(f, t, T0 + LEASE), RB_OK);
    rb_task_free(zombie);
    rb_task_free(t);
    move(f, id, RB_STATE_CANCELLED, RB_TASK_NONE, "ci", RB_STAGE_FINISHED, T0 + DAY);
    t = must_claim(f, RB_TASK_REPORT, T0 + DAY);
    assert_string_equal(t->receipt, "");
    rb_task_free(t);
}

static void a_receipt_goes_with_the_retry_that_it_is_of(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    char chain[RB_ID_BYTES];
    unsigned n = 0;
    held(f, 1, "ci", id[0], chain);
    move(f, id[0], RB_STATE_CANCELLED, RB_TASK_NONE, "ci", RB_STAGE_FINISHED, T0);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    memcpy(t->receipt, "old", sizeof("old"));
    assert_int_equal(done(f, t, T0), RB_OK);
    rb_task_free(t);
    assert_int_equal(rb_store_trim(f->ses, T0 + DAY, 10, T0 + 60 * DAY, &n, NULL), RB_OK);
    assert_int_equal(n, 1);
    held_next(f, 2, chain, id[1]);
    t = must_claim(f, RB_TASK_REPORT, T0 + 60 * DAY);
    assert_string_equal(t->receipt, "");
    rb_task_free(t);
}

const struct CMUnitTest contract_receipt_tests[] = {
    STORE_TEST(a_receipt_is_handed_to_the_chains_next_report),
    STORE_TEST(a_receipt_is_of_one_destination_and_chain),
    STORE_TEST(a_receipt_of_a_lost_lease_is_not_kept),
    STORE_TEST(a_receipt_goes_with_the_retry_that_it_is_of),
    {0},
};
