/* A person cancels a retry whose child runs: the follower stops the child, then the retry ends. */
#include "world.h"

#include <string.h>

static char id[RB_ID_BYTES];

static struct world_build *run_one(struct world *w)
{
    w->limit = 2;
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    return world_child_of(w, id);
}

static void cancel(struct world *w)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_err err;

    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_CANCEL, "ann", &r, &err), RB_OK);
    assert_int_equal(r->state, RB_STATE_RUNNING);
    assert_string_equal(r->cancelled_by, "ann");
}

static void the_child_is_stopped_at_once_and_the_end_is_reported(void **state)
{
    struct world *w = *state;
    struct world_build *child = run_one(w);

    world_work(w, &w->report, 1000);
    unsigned posts = w->n_posts;
    cancel(w);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_CANCELLED);
    assert_int_equal(w->n_stops, 1);
    assert_string_equal(child->b.status, "STOPPED");
    assert_true(world_noted(w, id, "cancelled by ann: the new build is to be stopped"));
    assert_true(world_noted(w, id, "the new build was stopped for ann"));
    world_work(w, &w->report, 1000);
    assert_int_equal(w->n_posts, posts + 1);
    assert_int_equal(w->posts[posts].stage, RB_STAGE_FINISHED);
    assert_int_equal(w->posts[posts].state, RB_STATE_CANCELLED);
}

static void a_build_that_stops_slowly_is_followed_until_it_has(void **state)
{
    struct world *w = *state;
    struct world_build *child = run_one(w);

    w->slow_stop = true;
    cancel(w);
    world_work(w, &w->follow, 5000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(w->n_stops > 1);
    world_end(w, child, "STOPPED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_CANCELLED);
}

static void without_an_answer_the_stop_is_asked_for_again(void **state)
{
    struct world *w = *state;

    (void)run_one(w);
    w->stop_rc = RB_E_AMBIGUOUS;
    cancel(w);
    world_work(w, &w->follow, 5000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(w->n_stops > 1);
    w->stop_rc = RB_OK;
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_CANCELLED);
}

static void a_stop_that_is_refused_is_told_and_the_child_goes_on(void **state)
{
    struct world *w = *state;
    struct world_build *child = run_one(w);

    w->stop_rc = RB_E_REFUSED;
    cancel(w);
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_stops, 1);
    assert_true(world_noted(w, id, "the new build could not be stopped: no stop today"));
    world_end(w, child, "SUCCEEDED");
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_RECOVERED);
}

static void a_child_that_failed_first_is_the_last_of_its_chain(void **state)
{
    struct world *w = *state;
    struct world_build *child = run_one(w);
    char newest[RB_ID_BYTES];

    cancel(w);
    world_end(w, child, "FAILED");
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    assert_int_equal(w->n_stops, 0);
    world_newest(w, newest);
    assert_string_equal(newest, id); /* the rules would have allowed another */
    assert_true(world_noted(w, id, "ann has cancelled"));
}

static void a_cancel_outlives_the_process(void **state)
{
    struct world *w = *state;

    (void)run_one(w);
    cancel(w);
    world_restart(w);
    world_work(w, &w->follow, 1000);
    world_expect(w, id, RB_STATE_CANCELLED);
    assert_int_equal(w->n_stops, 1);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(the_child_is_stopped_at_once_and_the_end_is_reported),
        ROW(a_build_that_stops_slowly_is_followed_until_it_has),
        ROW(without_an_answer_the_stop_is_asked_for_again),
        ROW(a_stop_that_is_refused_is_told_and_the_child_goes_on),
        ROW(a_child_that_failed_first_is_the_last_of_its_chain),
        ROW(a_cancel_outlives_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
