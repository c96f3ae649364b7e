/* Failed builds of a batch: one call of RetryBuildBatch for all of them, whatever crashes or comes
 * twice; whether CodeBuild runs the batch again or makes another one. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

/* A batch of three, two of which have failed; the third succeeded. */
static struct world_batch *failed_batch(struct world *w)
{
    struct world_batch *b = world_batch(w, "web", "main", 3);

    world_pass(w, 1000);
    for (unsigned i = 0; i < 3; i++) {
        world_end(w, b->members[i], i < 2 ? "FAILED" : "SUCCEEDED");
        b->members[i]->b.phase = "PROVISIONING";
    }
    world_batch_end(w, b);
    return b;
}

static void end_all(struct world *w, struct world_batch *b, const char *status)
{
    for (unsigned i = 0; i < b->n_members; i++) {
        if (!rb_build_ended(&b->members[i]->b)) {
            world_end(w, b->members[i], status);
            b->members[i]->b.phase = "INSTALL";
            b->members[i]->b.message = "registry answered 503";
        }
    }
    world_batch_end(w, b);
}

static void failed_builds_of_a_batch_are_one_call(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    (void)world_deliver(w, b->members[1], "d2", other_id);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, other_id, id));
    assert_int_equal(w->n_calls, 1);
    assert_int_equal(w->n_batch_calls, 1);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->child.id, b->id);
    assert_string_equal(r->child.arn, b->arn);
    assert_string_equal(r->build.id, b->prior[0]->id);
    assert_int_equal(r->duplicates, 1);
    assert_int_equal(r->n_deliveries, 2);
    assert_string_equal(r->deliveries[1].key, "d2");
}

static void the_end_of_the_batch_is_the_end_of_the_retry(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    world_work(w, &w->follow, 30000);
    world_expect(w, id, RB_STATE_RUNNING);
    end_all(w, b, "SUCCEEDED");
    world_work(w, &w->follow, 30000);
    world_expect(w, id, RB_STATE_RECOVERED);
    assert_int_equal(w->n_effects, 1);
}

static void the_call_waits_until_the_batch_has_ended(void **state)
{
    struct world *w = *state;
    struct world_batch *b = world_batch(w, "web", "main", 2);

    world_end(w, b->members[0], "FAILED");
    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 120000);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_true(world_noted(w, id, "still runs"));
    world_end(w, b->members[1], "FAILED");
    (void)world_deliver(w, b->members[1], "d2", other_id);
    world_work(w, &w->submit, 20000);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_calls, 0);
    world_batch_end(w, b);
    world_work(w, &w->submit, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void a_batch_that_fails_again_is_the_next_attempt_of_one_chain(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);
    char next_id[RB_ID_BYTES];

    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    end_all(w, b, "FAILED");
    /* the events of the new builds come before the follower looks */
    (void)world_deliver(w, b->members[0], "d3", other_id);
    world_work(w, &w->submit, 1000);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    world_work(w, &w->follow, 30000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_newest(w, next_id);
    assert_string_not_equal(next_id, other_id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *first = world_get(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *next = world_get(w, next_id);
    assert_string_equal(next->chain, first->chain);
    assert_int_equal(next->attempt, 2);
    assert_string_equal(next->build.id, b->id);
    assert_string_equal(next->build.phase, "INSTALL"); /* of its first build that failed */
    assert_string_equal(next->build.message, "registry answered 503");
    world_work(w, &w->submit, 1000);
    world_expect(w, next_id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 2);
    end_all(w, b, "FAILED");
    world_work(w, &w->follow, 30000);
    world_expect(w, next_id, RB_STATE_FAILED_AGAIN); /* the limit counts for the chain: two */
    (void)world_deliver(w, b->members[1], "d4", other_id);
    world_work(w, &w->submit, 60000);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    assert_int_equal(w->n_effects, 2);
}

static void a_lost_answer_is_found_by_looking_at_the_batch(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SUBMITTING);
    world_restart(w);
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_noted(w, id, "found the build"));
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 1);
}

static void another_batch_is_found_where_codebuild_makes_one(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    w->new_batch = true;
    (void)world_deliver(w, b->members[0], "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->child.id, w->batches[1].id);
    /* the second failed build of the old batch starts nothing: its batch was dealt with */
    (void)world_deliver(w, b->members[1], "d2", other_id);
    world_work(w, &w->submit, 10000);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    end_all(w, &w->batches[1], "SUCCEEDED");
    world_work(w, &w->follow, 30000);
    world_expect(w, id, RB_STATE_RECOVERED);
    (void)world_deliver(w, b->members[1], "d2", other_id);
    world_work(w, &w->submit, 10000);
    assert_int_equal(w->n_effects, 1);
}

static void a_call_that_started_nothing_is_made_again_with_its_token(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_calls, 2);
    assert_int_equal(w->n_effects, 1);
    assert_string_equal(w->calls[0].token, w->calls[1].token);
    assert_int_equal(w->calls[0].date_ms, w->calls[1].date_ms);
}

static void a_run_that_is_not_shown_yet_is_waited_for(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    w->stale_batch = true;
    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_noted(w, id, "does not show the new run"));
    w->stale_batch = false;
    end_all(w, b, "SUCCEEDED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_RECOVERED);
}

static void a_run_that_never_shows_ends_as_dead(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    w->stale_batch = true;
    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    world_work(w, &w->follow, 40 * 15000);
    world_expect(w, id, RB_STATE_DEAD);
    assert_int_equal(w->n_effects, 1);
}

static void a_batch_that_somebody_else_ran_again_is_left_alone(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    (void)world_batch_again(w, b);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_int_equal(w->n_calls, 0);
}

static void a_newer_batch_of_the_branch_supersedes(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    (void)world_batch(w, "web", "dev", 1);
    struct world_batch *newer = world_batch(w, "web", "main", 1);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, id, newer->id));
    assert_int_equal(w->n_calls, 0);
}

static void builds_of_the_same_batch_do_not_supersede_each_other(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id); /* members 1 and 2 are newer builds of main */
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_batch_that_succeeded_without_the_build_is_left_alone(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    b->status = "SUCCEEDED"; /* its group ignores failures */
    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_REFUSED);
    assert_int_equal(w->n_calls, 0);
}

static void cancel_stops_the_batch(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_err err;

    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_CANCEL, "ann", &r, &err), RB_OK);
    world_work(w, &w->follow, 1000);
    world_expect(w, id, RB_STATE_CANCELLED);
    assert_int_equal(w->n_batch_stops, 1);
    assert_int_equal(w->n_stops, 0);
}

static void a_person_may_go_on_where_the_chain_has_ended(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    w->limit = 1;
    (void)world_deliver(w, b->members[0], "d1", id);
    world_work(w, &w->submit, 1000);
    end_all(w, b, "FAILED");
    world_work(w, &w->follow, 30000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    (void)world_ask(w, b->members[1], "token", false, other_id);
    world_work(w, &w->inspect, 1000);
    world_work(w, &w->submit, 1000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *first = world_get(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *next = world_get(w, other_id);
    assert_string_equal(next->chain, first->chain);
    assert_int_equal(w->n_effects, 2);
}

static void two_workers_who_lead_at_once_make_one_call(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    (void)world_deliver(w, b->members[1], "d2", other_id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    assert_true(world_round(&w->other_submit));
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void a_build_of_the_new_run_does_not_take_the_lead_from_who_still_looks(void **state)
{
    struct world *w = *state;
    struct world_batch *b = failed_batch(w);

    (void)world_deliver(w, b->members[0], "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit)); /* the new run is not known to be ours yet */
    world_end(w, b->members[0], "FAILED");
    (void)world_deliver(w, b->members[0], "d3", other_id);
    assert_true(world_round(&w->other_submit));
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    end_all(w, b, "FAILED");
    world_work(w, &w->submit, 20000);
    world_work(w, &w->follow, 20000);
    world_work(w, &w->submit, 40000);
    world_work(w, &w->follow, 20000);
    assert_int_equal(w->n_effects, 2); /* the chain went on, once */
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
}

static void an_ordinary_retry_does_not_adopt_a_build_of_a_batch(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);

    (void)world_deliver(w, b, "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    assert_true(world_round(&w->submit));
    (void)world_batch(w, "web", NULL, 1);
    world_work(w, &w->submit, 10000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->state, RB_STATE_RUNNING);
    assert_null(r->child.batch_arn);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        ROW(failed_builds_of_a_batch_are_one_call),
        ROW(the_end_of_the_batch_is_the_end_of_the_retry),
        ROW(the_call_waits_until_the_batch_has_ended),
        ROW(a_batch_that_fails_again_is_the_next_attempt_of_one_chain),
        ROW(a_lost_answer_is_found_by_looking_at_the_batch),
        ROW(another_batch_is_found_where_codebuild_makes_one),
        ROW(a_call_that_started_nothing_is_made_again_with_its_token),
        ROW(a_run_that_is_not_shown_yet_is_waited_for),
        ROW(a_run_that_never_shows_ends_as_dead),
        ROW(a_batch_that_somebody_else_ran_again_is_left_alone),
        ROW(a_newer_batch_of_the_branch_supersedes),
        ROW(builds_of_the_same_batch_do_not_supersede_each_other),
        ROW(a_batch_that_succeeded_without_the_build_is_left_alone),
        ROW(cancel_stops_the_batch),
        ROW(a_person_may_go_on_where_the_chain_has_ended),
        ROW(two_workers_who_lead_at_once_make_one_call),
        ROW(a_build_of_the_new_run_does_not_take_the_lead_from_who_still_looks),
        ROW(an_ordinary_retry_does_not_adopt_a_build_of_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
