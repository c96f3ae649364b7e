/* Failed builds of a pipeline: their stage is retried, by one call that is never sent twice. */
#include "world.h"

#include <string.h>

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

static struct world_build *failed_action(struct world *w, const char *name, const char *project)
{
    struct world_build *b = world_action(w, name, project);

    w->decision.pipeline = true;
    world_pass(w, 1000);
    world_end(w, b, "FAILED");
    return b;
}

static struct world_build *newest(struct world *w, unsigned action)
{
    return w->stage.actions[action].runs[w->stage.actions[action].n_runs - 1];
}

static void a_failed_stage_is_retried_and_its_new_build_followed(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SUBMITTING);
    assert_true(world_noted(w, id, "CodePipeline retries stage Build of pipeline release"));
    world_work(w, &w->submit, 2000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_string_equal(world_child_of(w, id)->id, newest(w, 0)->id);
    world_end(w, newest(w, 0), "SUCCEEDED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_RECOVERED);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->stage.n_calls, 1);
}

static void a_build_that_is_not_named_yet_is_waited_for(void **state)
{
    struct world *w = *state;

    w->stage.unnamed = true;
    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_work(w, &w->submit, 20 * 60000); /* longer than any copy lives */
    world_expect(w, id, RB_STATE_SUBMITTING);
    w->stage.unnamed = false;
    world_work(w, &w->submit, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->stage.n_calls, 1);
}

static void a_stage_whose_build_never_starts_ends_as_dead(void **state)
{
    struct world *w = *state;

    w->stage.never = true;
    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_work(w, &w->submit, 59 * 60000);
    world_expect(w, id, RB_STATE_SUBMITTING);
    world_work(w, &w->submit, 2 * 60000);
    world_expect(w, id, RB_STATE_DEAD);
    assert_int_equal(w->stage.n_calls, 1);
}

static void a_lost_answer_is_found_by_looking_and_never_sent_again(void **state)
{
    struct world *w = *state;

    w->stage.unnamed = true;
    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_restart(w);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_SUBMITTING);
    assert_int_equal(w->stage.n_calls, 1);
    w->stage.unnamed = false;
    world_work(w, &w->submit, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->stage.n_calls, 1);
}

static void a_call_that_started_nothing_is_made_anew_when_every_copy_is_dead(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    assert_true(world_round(&w->submit));
    world_work(w, &w->submit, 4 * 60000);
    assert_int_equal(w->stage.n_calls, 1);
    world_work(w, &w->submit, 5 * 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->stage.n_calls, 2);
    assert_int_equal(w->n_effects, 1);
    assert_true(w->calls[1].date_ms - w->calls[0].date_ms > 5 * 60000);
}

static void the_call_waits_for_the_end_of_the_stage(void **state)
{
    struct world *w = *state;
    struct world_build *running = world_action(w, "Test", "api");

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_true(world_noted(w, id, "stage Build still runs"));
    world_end(w, running, "SUCCEEDED");
    world_work(w, &w->submit, 20000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->stage.n_calls, 1);
}

static void failed_actions_of_one_stage_are_one_call(void **state)
{
    struct world *w = *state;
    struct world_build *a = failed_action(w, "Compile", "web");
    struct world_build *b = failed_action(w, "Test", "api");

    (void)world_deliver(w, a, "d1", id);
    (void)world_deliver(w, b, "d2", other_id);
    world_answer_next(w, RB_E_AMBIGUOUS, false); /* so that the other one still sees the failure */
    assert_true(world_round(&w->submit));
    assert_true(world_round(&w->other_submit));
    world_expect(w, id, RB_STATE_SUBMITTING);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, other_id, id));
    world_work(w, &w->submit, 20 * 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->duplicates, 1);
}

static void what_the_pipeline_ran_again_itself_is_left_alone(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    w->stage.newer = true;
    world_work(w, &w->submit, 2000);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_int_equal(w->stage.n_calls, 0);
}

static void what_codepipeline_refuses_is_refused(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_answer_next(w, RB_E_REFUSED, false);
    world_work(w, &w->submit, 2000);
    world_expect(w, id, RB_STATE_REFUSED);
    assert_true(world_noted(w, id, "CodePipeline refused the call"));
    assert_int_equal(w->n_effects, 0);
}

static void a_busy_pipeline_is_asked_later(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_answer_next(w, RB_E_THROTTLED, false);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_true(world_noted(w, id, "CodePipeline asked to slow down"));
    world_work(w, &w->submit, 30000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void a_build_that_fails_again_is_the_next_attempt(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, failed_action(w, "Compile", "web"), "d1", id);
    world_work(w, &w->submit, 2000);
    world_end(w, newest(w, 0), "FAILED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_newest(w, other_id);
    world_work(w, &w->submit, 2000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 2);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        ROW(a_failed_stage_is_retried_and_its_new_build_followed),
        ROW(a_build_that_is_not_named_yet_is_waited_for),
        ROW(a_stage_whose_build_never_starts_ends_as_dead),
        ROW(a_lost_answer_is_found_by_looking_and_never_sent_again),
        ROW(a_call_that_started_nothing_is_made_anew_when_every_copy_is_dead),
        ROW(the_call_waits_for_the_end_of_the_stage),
        ROW(failed_actions_of_one_stage_are_one_call),
        ROW(what_the_pipeline_ran_again_itself_is_left_alone),
        ROW(what_codepipeline_refuses_is_refused),
        ROW(a_busy_pipeline_is_asked_later),
        ROW(a_build_that_fails_again_is_the_next_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
