/* contract_report.c - the outbox: order, superseding, giving up and beginning again. */
#include <string.h>

#include "harness.h"

static enum rb_code done(struct fix *f, struct rb_task *t, int64_t now)
{
    return rb_store_report_settle(f->ses, t, RB_REPORT_DONE, 0, NULL, now, NULL);
}

static void a_report_carries_the_record_as_it_was(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    assert_int_equal(t->kind, RB_TASK_REPORT);
    assert_string_equal(t->destination, "ci");
    assert_int_equal(t->stage, RB_STAGE_HELD);
    assert_string_equal(t->retry->id, id);
    assert_int_equal(t->attempts, 0);
    assert_int_equal(t->first_due_ms, T0);
    rb_task_free(t);
    /* the retry moves on, to another destination; the snapshot does not */
    move(f, id, RB_STATE_CANCELLED, RB_TASK_NONE, "else", RB_STAGE_FINISHED, T0);
    t = must_claim(f, RB_TASK_REPORT, T0);
    assert_string_equal(t->destination, "else");
    assert_int_equal(t->retry->state, RB_STATE_CANCELLED);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_REPORT, T0 + LEASE - 1 + 1);
    assert_string_equal(t->destination, "ci");
    assert_int_equal(t->retry->state, RB_STATE_HELD);
    rb_task_free(t);
}

static void a_delivered_report_is_shown_and_never_comes_again(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    assert_int_equal(done(f, t, T0), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_REPORT, T0 + 100 * DAY));
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->n_reports, 1);
    assert_string_equal(r->reports[0].destination, "ci");
    assert_int_equal(r->reports[0].stage, RB_STAGE_HELD);
    assert_int_equal(r->reports[0].state, RB_REPORT_DELIVERED);
    assert_int_equal(r->reports[0].attempts, 1);
    rb_retry_free(r);
}

static void a_failed_post_comes_again_with_the_same_message_id(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char message[64];
    held(f, 1, "ci", id, NULL);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    memcpy(message, t->message_id, sizeof(message));
    assert_true(message[0] != '\0');
    assert_int_equal(
        rb_store_report_settle(f->ses, t, RB_REPORT_AGAIN, T0 + MINUTE, "answered 503", T0, NULL),
        RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_REPORT, T0 + MINUTE - 1));
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->reports[0].state, RB_REPORT_PENDING);
    assert_string_equal(r->reports[0].last_error, "answered 503");
    rb_retry_free(r);
    t = must_claim(f, RB_TASK_REPORT, T0 + MINUTE);
    assert_string_equal(t->message_id, message);
    assert_int_equal(t->attempts, 1);
    assert_int_equal(t->first_due_ms, T0);
    assert_int_equal(t->tries, 1);
    rb_task_free(t);
}

static void messages_of_different_reports_differ(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    held(f, 1, "ci", id[0], NULL);
    held(f, 2, "ci", id[1], NULL);
    struct rb_task *a = must_claim(f, RB_TASK_REPORT, T0);
    struct rb_task *b = must_claim(f, RB_TASK_REPORT, T0);
    assert_string_not_equal(a->message_id, b->message_id);
    rb_task_free(a);
    rb_task_free(b);
}

static void a_report_is_leased_and_fenced_like_any_task(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *zombie = must_claim(f, RB_TASK_REPORT, T0);
    assert_null(claim(f, RB_TASK_REPORT, T0 + LEASE - 1));
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + LEASE);
    assert_int_equal(t->tries, 2);
    assert_int_equal(done(f, zombie, T0 + LEASE), RB_E_FENCED);
    assert_int_equal(rb_store_renew(f->ses, zombie, LEASE, T0 + LEASE, NULL), RB_E_FENCED);
    assert_int_equal(rb_store_renew(f->ses, t, LEASE, T0 + LEASE + SECOND, NULL), RB_OK);
    assert_null(claim(f, RB_TASK_REPORT, T0 + 2 * LEASE));
    assert_int_equal(done(f, t, T0 + 2 * LEASE), RB_OK);
    assert_int_equal(done(f, t, T0 + 2 * LEASE), RB_E_FENCED);
    rb_task_free(zombie);
    rb_task_free(t);
}

static void a_released_report_is_due_again_and_does_not_count(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    assert_int_equal(rb_store_release(f->ses, t, T0 + SECOND, T0, NULL), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_REPORT, T0));
    t = must_claim(f, RB_TASK_REPORT, T0 + SECOND);
    assert_int_equal(t->tries, 1);
    assert_int_equal(t->attempts, 0);
    rb_task_free(t);
}

static void a_later_stage_waits_for_the_one_under_way(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *first = must_claim(f, RB_TASK_REPORT, T0);
    move(f, id, RB_STATE_CANCELLED, RB_TASK_NONE, "ci", RB_STAGE_FINISHED, T0 + 1);
    assert_null(claim(f, RB_TASK_REPORT, T0 + 1)); /* not beside it */
    assert_int_equal(done(f, first, T0 + 2), RB_OK);
    rb_task_free(first);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 2);
    assert_int_equal(t->stage, RB_STAGE_FINISHED);
    rb_task_free(t);
}

static void a_later_stage_supersedes_one_that_waits(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    move(f, id, RB_STATE_CANCELLED, RB_TASK_NONE, "ci", RB_STAGE_FINISHED, T0 + 1);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_int_equal(t->stage, RB_STAGE_FINISHED);
    assert_int_equal(done(f, t, T0 + 1), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_REPORT, T0 + DAY));
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->n_reports, 2);
    assert_int_equal(r->reports[0].state, RB_REPORT_SUPERSEDED);
    assert_int_equal(r->reports[1].state, RB_REPORT_DELIVERED);
    rb_retry_free(r);
}

static void a_later_stage_supersedes_one_that_waits_to_be_repeated(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    assert_int_equal(rb_store_report_settle(f->ses, t, RB_REPORT_AGAIN, T0 + DAY, "down", T0, NULL),
                     RB_OK);
    rb_task_free(t);
    move(f, id, RB_STATE_CANCELLED, RB_TASK_NONE, "ci", RB_STAGE_FINISHED, T0 + 1);
    t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_int_equal(t->stage, RB_STAGE_FINISHED);
    rb_task_free(t);
}

static void destinations_do_not_wait_for_each_other(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_state(&e, RB_STATE_HELD, RB_TASK_NONE);
    entry_report(&e, "ci", RB_STAGE_HELD, T0);
    entry_report(&e, "chat", RB_STAGE_HELD, T0);
    entry_report(&e, "status", RB_STAGE_HELD, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_int_equal(claim_all(f, RB_TASK_REPORT, T0), 3);
    entry_release(&e);
}

static void chains_do_not_wait_for_each_other(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    held(f, 1, "ci", id[0], NULL);
    held(f, 2, "ci", id[1], NULL);
    assert_int_equal(claim_all(f, RB_TASK_REPORT, T0), 2);
}

/* Another retry of the same chain with a report to the same destination. */
static void reports_of_one_chain_go_in_order(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    char chain[RB_ID_BYTES];
    held(f, 1, "ci", id[0], chain);
    held_next(f, 2, chain, id[1]);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_string_equal(t->retry->id, id[0]);
    assert_null(claim(f, RB_TASK_REPORT, T0 + 1));
    /* the first must be repeated in an hour: the second waits with it */
    assert_int_equal(
        rb_store_report_settle(f->ses, t, RB_REPORT_AGAIN, T0 + HOUR, "down", T0 + 1, NULL), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_REPORT, T0 + MINUTE));
    t = must_claim(f, RB_TASK_REPORT, T0 + HOUR);
    assert_string_equal(t->retry->id, id[0]);
    assert_int_equal(done(f, t, T0 + HOUR), RB_OK);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_REPORT, T0 + HOUR);
    assert_string_equal(t->retry->id, id[1]);
    rb_task_free(t);
}

static void a_dead_report_does_not_block_its_line(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    char chain[RB_ID_BYTES];
    held(f, 1, "ci", id[0], chain);
    held_next(f, 2, chain, id[1]);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_int_equal(
        rb_store_report_settle(f->ses, t, RB_REPORT_GIVE_UP, 0, "answered 410", T0 + 1, NULL),
        RB_OK);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_REPORT, T0 + 1);
    assert_string_equal(t->retry->id, id[1]);
    rb_task_free(t);
    struct rb_retry *r = get(f, id[0]);
    assert_int_equal(r->reports[0].state, RB_REPORT_DEAD);
    assert_string_equal(r->reports[0].last_error, "answered 410");
    rb_retry_free(r);
}

static void dead_reports_can_be_requeued(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char message[64];
    unsigned n = 99;
    held(f, 1, "ci", id, NULL);
    assert_int_equal(rb_store_report_requeue(f->ses, id, T0, &n, NULL), RB_OK);
    assert_int_equal(n, 0); /* none is dead yet */
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    memcpy(message, t->message_id, sizeof(message));
    assert_int_equal(rb_store_report_settle(f->ses, t, RB_REPORT_GIVE_UP, 0, "gone", T0, NULL),
                     RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_REPORT, T0 + DAY));
    assert_int_equal(rb_store_report_requeue(f->ses, id, T0 + DAY, &n, NULL), RB_OK);
    assert_int_equal(n, 1);
    t = must_claim(f, RB_TASK_REPORT, T0 + DAY);
    assert_string_equal(t->message_id, message);
    assert_int_equal(t->retry->state, RB_STATE_HELD); /* the snapshot is still there */
    assert_int_equal(t->first_due_ms, T0 + DAY);      /* a new span before giving up */
    assert_int_equal(done(f, t, T0 + DAY), RB_OK);
    rb_task_free(t);
}

static void requeueing_the_reports_of_nobody_is_not_found(void **state)
{
    struct fix *f = *state;
    struct entry e;
    unsigned n = 0;
    entry_init(&e, "web", 1, 1, T0);
    assert_int_equal(rb_store_report_requeue(f->ses, e.retry->id, T0, &n, NULL), RB_E_NOT_FOUND);
    entry_release(&e);
}

static void a_worker_can_make_several_reports_in_one_settle(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    const struct rb_report_task reports[] = {
        {.destination = "ci", .stage = RB_STAGE_REFUSED, .due_ms = T0},
        {.destination = "chat", .stage = RB_STAGE_REFUSED, .due_ms = T0 + HOUR},
    };
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    rb_retry_enter(t->retry, RB_STATE_REFUSED, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE, .reports = reports, .n_reports = 2};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    assert_int_equal(claim_all(f, RB_TASK_REPORT, T0), 1);
    t = must_claim(f, RB_TASK_REPORT, T0 + HOUR);
    rb_task_free(t);
}

static void reports_survive_a_restart(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    held(f, 1, "ci", id, NULL);
    fix_reopen(f);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0);
    assert_int_equal(done(f, t, T0), RB_OK);
    rb_task_free(t);
}

const struct CMUnitTest contract_report_tests[] = {
    STORE_TEST(a_report_carries_the_record_as_it_was),
    STORE_TEST(a_delivered_report_is_shown_and_never_comes_again),
    STORE_TEST(a_failed_post_comes_again_with_the_same_message_id),
    STORE_TEST(messages_of_different_reports_differ),
    STORE_TEST(a_report_is_leased_and_fenced_like_any_task),
    STORE_TEST(a_released_report_is_due_again_and_does_not_count),
    STORE_TEST(a_later_stage_waits_for_the_one_under_way),
    STORE_TEST(a_later_stage_supersedes_one_that_waits),
    STORE_TEST(a_later_stage_supersedes_one_that_waits_to_be_repeated),
    STORE_TEST(destinations_do_not_wait_for_each_other),
    STORE_TEST(chains_do_not_wait_for_each_other),
    STORE_TEST(reports_of_one_chain_go_in_order),
    STORE_TEST(a_dead_report_does_not_block_its_line),
    STORE_TEST(dead_reports_can_be_requeued),
    STORE_TEST(requeueing_the_reports_of_nobody_is_not_found),
    STORE_TEST(a_worker_can_make_several_reports_in_one_settle),
    STORE_TEST(reports_survive_a_restart),
    {0},
};
