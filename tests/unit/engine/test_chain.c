/* Children are followed to their end; those that fail again are the next attempt of their chain. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

/* ---- follow and chains ---- */

static void a_child_that_fails_is_the_next_attempt(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_end(w, world_child_of(w, id), "FAILED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_newest(w, other_id);
    assert_string_not_equal(id, other_id);
    {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *a = world_get(w, id);
        RB_CLEANUP(rb_retry_freep) struct rb_retry *b = world_get(w, other_id);
        assert_string_equal(a->chain, b->chain);
        assert_string_equal(b->previous, a->id);
        assert_int_equal(b->attempt, 2);
        assert_string_equal(b->build.id, a->child.id);
        assert_int_equal(b->n_rule_uses, 1);
        assert_int_equal(b->rule_uses[0].count, 2);
    }
    assert_true(world_round(&w->submit));
    world_end(w, world_child_of(w, other_id), "FAULT");
    world_work(w, &w->follow, 20000);
    world_expect(w, other_id, RB_STATE_FAILED_AGAIN);
    assert_true(world_noted(w, other_id, "the limit of the chain is reached"));
    world_work(w, &w->submit, 600000);
    assert_int_equal(w->n_effects, 2);
}

static void the_event_of_a_childs_failure_starts_no_chain(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_child_of(w, id);
    world_end(w, child, "FAILED");
    assert_int_equal(world_deliver(w, child, "d2", other_id), RB_ADMIT_CHILD);
    assert_string_equal(id, other_id);
    assert_true(world_round(&w->follow)); /* woken at once */
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    assert_true(world_round(&w->submit));
    assert_int_equal(w->n_effects, 2);
    assert_int_equal(world_deliver(w, child, "d3", NULL), RB_ADMIT_DUPLICATE);
}

static void the_event_of_a_childs_success_wakes_the_follower(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_child_of(w, id);
    assert_false(world_round(&w->follow)); /* not due */
    world_end(w, child, "SUCCEEDED");
    assert_int_equal(world_deliver(w, child, "d2", NULL), RB_ADMIT_CHILD);
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_RECOVERED);
}

static void a_woken_follower_asks_again_soon(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_child_of(w, id);
    child->b.status = "SUCCEEDED";
    assert_int_equal(world_deliver(w, child, "d2", NULL), RB_ADMIT_CHILD);
    child->b.status = "IN_PROGRESS"; /* look-ups lag */
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_RUNNING);
    world_pass(w, 1000);
    assert_true(world_round(&w->follow));
    child->b.status = "SUCCEEDED";
    world_pass(w, 1000);
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_RECOVERED);
}

static void a_stopped_child_ends_the_chain(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_end(w, world_child_of(w, id), "STOPPED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    assert_true(world_noted(w, id, "STOPPED"));
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 1);
}

static void a_child_that_vanished_is_dead_in_the_end(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_child_of(w, id)->hidden = true;
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_work(w, &w->follow, 600000);
    world_expect(w, id, RB_STATE_DEAD);
}

static void many_children_are_asked_for_in_one_call(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "d%d", i);
        (void)world_deliver(w, world_failed(w, "web", NULL), key, id);
        world_work(w, &w->submit, 0);
    }
    assert_int_equal(w->n_effects, 20);
    unsigned gets = w->n_gets;
    world_pass(w, 20000);
    assert_true(world_round(&w->follow));
    assert_int_equal(w->n_gets, gets + 1);
}

static void a_child_that_may_not_be_seen_keeps_no_other_waiting(void **state)
{
    struct world *w = *state;
    char ids[7][RB_ID_BYTES];

    for (int i = 0; i < 7; i++) {
        char key[16];
        snprintf(key, sizeof(key), "d%d", i);
        (void)world_deliver(w, world_failed(w, "web", NULL), key, ids[i]);
        world_work(w, &w->submit, 0);
        world_end(w, world_child_of(w, ids[i]), "SUCCEEDED");
    }
    world_child_of(w, ids[2])->denied = true;
    world_pass(w, 20000);
    assert_true(world_round(&w->follow));
    for (int i = 0; i < 7; i++) {
        world_expect(w, ids[i], i == 2 ? RB_STATE_RUNNING : RB_STATE_RECOVERED);
    }
    world_child_of(w, ids[2])->denied = false;
    world_work(w, &w->follow, 60000);
    world_expect(w, ids[2], RB_STATE_RECOVERED);
}

/* The child fails before its parent knows that it is its own: its event makes a retry of its own,
 * which must neither double nor end the chain. */
static void a_child_that_fails_before_it_is_known_stays_in_its_chain(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_find(w, "web:0000-0002");
    world_end(w, child, "FAILED");
    assert_int_equal(world_deliver(w, child, "d2", other_id), RB_ADMIT_NEW);
    assert_true(world_round(&w->submit)); /* must wait: the parent has the intent */
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_effects, 1);
    world_work(w, &w->submit, 10000); /* the parent adopts, the other sees whose child it is */
    world_expect(w, id, RB_STATE_RUNNING);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    assert_true(world_noted(w, other_id, "has seen the end"));
    assert_int_equal(w->n_effects, 1);
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_work(w, &w->submit, 10000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_int_equal(r->attempt, 2);
    assert_string_equal(r->previous, id);
    assert_int_equal(w->n_effects, 2);
}

static void the_retry_of_an_early_failure_takes_the_chain_over(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_find(w, "web:0000-0002");
    world_end(w, child, "FAILED");
    w->decision.delay.list_ms[0] = 120000; /* the other is not due while the parent ends */
    (void)world_deliver(w, child, "d2", other_id);
    w->decision.delay.list_ms[0] = 0;
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    world_work(w, &w->submit, 120000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_int_equal(r->attempt, 2);
    assert_string_equal(r->previous, id);
    assert_int_equal(w->n_effects, 2);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_child_that_fails_is_the_next_attempt),
        T(the_event_of_a_childs_failure_starts_no_chain),
        T(the_event_of_a_childs_success_wakes_the_follower),
        T(a_woken_follower_asks_again_soon),
        T(a_stopped_child_ends_the_chain),
        T(a_child_that_vanished_is_dead_in_the_end),
        T(many_children_are_asked_for_in_one_call),
        T(a_child_that_may_not_be_seen_keeps_no_other_waiting),
        T(a_child_that_fails_before_it_is_known_stays_in_its_chain),
        T(the_retry_of_an_early_failure_takes_the_chain_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
