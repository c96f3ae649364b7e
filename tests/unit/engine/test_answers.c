/* The once-only call on the real store: what every answer of RetryBuild leads to. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

static void a_failure_is_retried_once_and_recovers(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");
    char token[65];

    assert_int_equal(world_deliver(w, b, "d1", id), RB_ADMIT_NEW);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
        assert_int_equal(r->build.number, 1); /* learned by the look */
        assert_int_equal(r->intent.low_water, 1);
        assert_int_equal(r->intent.issue, 1);
        assert_string_equal(r->child.id, "web:0000-0002");
        rb_retry_token(r, token);
        assert_string_equal(w->calls[0].token, token);
        assert_int_equal(w->calls[0].date_ms, r->intent.date_ms);
        assert_int_equal(w->calls[0].date_ms % 1000, 0);
    }
    assert_false(world_round(&w->submit));
    world_end(w, world_find(w, "web:0000-0002"), "SUCCEEDED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_RECOVERED);
    assert_int_equal(w->n_effects, 1);
}

static void deliveries_of_one_failure_make_one_retry(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    assert_int_equal(world_deliver(w, b, "d1", id), RB_ADMIT_NEW);
    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    assert_int_equal(world_deliver(w, b, "d2", other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    world_work(w, &w->submit, 10000);
    assert_int_equal(w->n_effects, 1);
}

static void a_lost_answer_is_found_again(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SUBMITTING);
    world_work(w, &w->submit, 5000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_noted(w, id, "found the build that our call started"));
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 1);
}

static void a_lost_answer_whose_build_does_not_show_is_asked_for_by_the_token(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_find(w, "web:0000-0002")->hidden = true;
    world_work(w, &w->submit, 5000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 2);
    assert_string_equal(w->calls[0].token, w->calls[1].token);
    assert_int_equal(w->calls[0].date_ms, w->calls[1].date_ms);
}

static void a_lost_call_is_sent_again_with_the_same_token_and_date(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);

    (void)world_deliver(w, b, "d1", id);
    for (int i = 0; i < 4; i++) {
        world_answer_next(w, RB_E_AMBIGUOUS, false);
    }
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 5);
    for (unsigned i = 1; i < w->n_calls; i++) {
        assert_string_equal(w->calls[0].token, w->calls[i].token);
        assert_int_equal(w->calls[0].date_ms, w->calls[i].date_ms);
    }
}

static void a_throttled_call_is_made_anew_later(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id);
    world_answer_next(w, RB_E_THROTTLED, false);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SCHEDULED);
    world_work(w, &w->submit, 21000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 2);
    assert_string_not_equal(w->calls[0].token, w->calls[1].token);
}

static void a_throttle_that_names_a_time_is_obeyed(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_THROTTLED, false);
    w->answers[0].retry_after_ms = 90000;
    assert_true(world_round(&w->submit));
    world_work(w, &w->submit, 89000);
    assert_int_equal(w->n_calls, 1);
    world_work(w, &w->submit, 2000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void an_account_at_its_limit_is_asked_again_after_minutes(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_LATER, false);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_true(world_noted(w, id, "the account's limit of builds is reached"));
    assert_true(world_noted(w, id, "s: the answer was")); /* and what AWS said about it */
    world_work(w, &w->submit, 59000);
    assert_int_equal(w->n_calls, 1);
    world_work(w, &w->submit, 250000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_call_that_our_own_rate_held_back_waits_as_long_as_it_says(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    w->answers[0] =
        (struct world_answer){.rc = RB_E_THROTTLED, .unchecked = true, .retry_after_ms = 20000};
    w->n_answers = 1;
    assert_true(world_round(&w->submit));
    world_work(w, &w->submit, 19000);
    assert_int_equal(w->n_calls, 0);
    world_work(w, &w->submit, 8000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_calls, 1);
}

static void a_rule_that_starts_anew_does_so_in_every_copy(void **state)
{
    struct world *w = *state;

    w->decision.start = true;
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    assert_true(world_round(&w->submit));
    world_restart(w); /* the record says it, not the worker */
    w->decision.start = false;
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_calls, 2);
    assert_int_equal(w->n_starts, 2);
    assert_string_equal(w->calls[0].token, w->calls[1].token);
    assert_true(w->calls[0].date_ms == w->calls[1].date_ms);
}

static void stale_credentials_are_refreshed_and_asked_again_soon(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_CREDENTIALS, false);
    assert_true(world_round(&w->submit));
    assert_int_equal(w->n_refused_credentials, 1);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_refusal_of_the_only_copy_ends_it(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_REFUSED, false);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_REFUSED);
    assert_false(world_round(&w->submit));
    assert_int_equal(w->n_effects, 0);
}

static void a_refusal_of_a_resend_does_not_speak_for_the_first_copy(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_find(w, "web:0000-0002")->hidden = true;
    world_answer_next(w, RB_E_REFUSED, false);
    world_pass(w, 10000);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SUBMITTING);
    world_find(w, "web:0000-0002")->hidden = false;
    world_work(w, &w->submit, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void what_could_not_be_sent_is_sent_with_the_same_intent(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_UNAVAIL, false);
    assert_true(world_round(&w->submit));
    {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
        assert_int_equal(r->state, RB_STATE_SUBMITTING);
        assert_false(r->intent.ambiguous);
        assert_int_equal(r->intent.sends, 0);
    }
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_string_equal(w->calls[0].token, w->calls[1].token);
}

static void what_could_not_be_sent_for_long_is_begun_afresh(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_UNAVAIL, false);
    assert_true(world_round(&w->submit));
    world_pass(w, 1000000);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_string_not_equal(w->calls[0].token, w->calls[1].token);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->intent.unknowns, 0);
}

static void no_credentials_at_all_is_not_a_send(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_CREDENTIALS, false);
    w->answers[0].unchecked = true;
    assert_true(world_round(&w->submit));
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->state, RB_STATE_SUBMITTING);
    assert_false(r->intent.ambiguous);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_token_with_other_parameters_is_an_alarm(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_answer_next(w, RB_E_MISMATCH, false);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_DEAD);
}

static void certainly_none_is_tried_three_times_and_then_dead(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    for (int issue = 0; issue < 3; issue++) {
        world_answer_next(w, RB_E_AMBIGUOUS, false);
        world_work(w, &w->submit, 0); /* the first send of the issue */
        world_pass(w, 300000);        /* nobody was here for five minutes: no resend any more */
        world_work(w, &w->submit, 100000);
        world_expect(w, id, RB_STATE_SUBMITTING);
        assert_int_equal(w->n_calls, issue + 1);
        world_pass(w, 60000);
        assert_true(world_round(&w->submit));
        world_expect(w, id, issue < 2 ? RB_STATE_SCHEDULED : RB_STATE_DEAD);
    }
    assert_int_equal(w->n_effects, 0);
    assert_true(world_noted(w, id, "unknown outcome"));
}

static void never_a_new_call_while_look_ups_fail(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    w->list_rc = RB_E_UNAVAIL;
    world_pass(w, 300000);
    world_work(w, &w->submit, 3600000);
    world_expect(w, id, RB_STATE_SUBMITTING);
    assert_int_equal(w->n_calls, 1);
    w->list_rc = RB_OK;
    world_work(w, &w->submit, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void several_candidates_are_held_and_named(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    assert_true(world_round(&w->submit));
    (void)world_started(w, "web", NULL);
    (void)world_started(w, "web", NULL);
    world_pass(w, 300000);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_HELD);
    assert_true(world_noted(w, id, "web:0000-0002"));
    assert_true(world_noted(w, id, "web:0000-0003"));
    assert_false(world_round(&w->submit));
    /* Approved: none of these is ours, make a new call, but not while a copy may live. */
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_err err;
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_APPROVE, "ann", &r, &err), RB_OK);
    assert_int_equal(r->state, RB_STATE_SCHEDULED);
    assert_true(r->due_ms >= r->intent.date_ms + 420000);
    assert_false(world_round(&w->submit));
    world_work(w, &w->submit, 400000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void a_build_of_another_principal_is_not_ours(void **state)
{
    struct world *w = *state;
    char first[RB_ID_BYTES];

    (void)world_deliver(w, world_failed(w, "other", NULL), "d0", first);
    assert_true(world_round(&w->submit)); /* now it is known who we are */
    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    assert_true(world_round(&w->submit));
    struct world_build *theirs = world_started(w, "web", NULL);
    theirs->b.initiator = "bob";
    world_work(w, &w->submit, 3000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->state, RB_STATE_RUNNING);
    assert_string_not_equal(r->child.id, theirs->id);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_failure_is_retried_once_and_recovers),
        T(deliveries_of_one_failure_make_one_retry),
        T(a_lost_answer_is_found_again),
        T(a_lost_answer_whose_build_does_not_show_is_asked_for_by_the_token),
        T(a_lost_call_is_sent_again_with_the_same_token_and_date),
        T(a_throttled_call_is_made_anew_later),
        T(a_throttle_that_names_a_time_is_obeyed),
        T(an_account_at_its_limit_is_asked_again_after_minutes),
        T(a_call_that_our_own_rate_held_back_waits_as_long_as_it_says),
        T(a_rule_that_starts_anew_does_so_in_every_copy),
        T(stale_credentials_are_refreshed_and_asked_again_soon),
        T(a_refusal_of_the_only_copy_ends_it),
        T(a_refusal_of_a_resend_does_not_speak_for_the_first_copy),
        T(what_could_not_be_sent_is_sent_with_the_same_intent),
        T(what_could_not_be_sent_for_long_is_begun_afresh),
        T(no_credentials_at_all_is_not_a_send),
        T(a_token_with_other_parameters_is_an_alarm),
        T(certainly_none_is_tried_three_times_and_then_dead),
        T(never_a_new_call_while_look_ups_fail),
        T(several_candidates_are_held_and_named),
        T(a_build_of_another_principal_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
