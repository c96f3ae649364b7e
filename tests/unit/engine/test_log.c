/* Rules that want to read the build's log. */
#include "world.h"

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

static void a_log_that_a_rule_asks_for_is_read_before_the_decision(void **state)
{
    struct world *w = *state;

    w->log_wanted = "disk on fire";
    w->log = "so far so good\ndisk on fire\n";
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_expect(w, id, RB_STATE_RECEIVED);
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_logs, 1);
    assert_false(world_noted(w, id, "on fire")); /* matched, not kept */
    w->log = "so far so good\n";
    (void)world_deliver(w, world_failed(w, "api", "main"), "d2", id);
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_IGNORED);
}

static void a_build_without_a_log_is_decided_at_once(void **state)
{
    struct world *w = *state;

    w->log_wanted = "disk on fire";
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_IGNORED);
}

static void a_log_that_cannot_be_read_is_asked_for_a_few_times(void **state)
{
    struct world *w = *state;

    w->log_wanted = "disk on fire";
    w->log_rc = RB_E_THROTTLED;
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_work(w, &w->inspect, 60000);
    world_expect(w, id, RB_STATE_IGNORED);
    assert_int_equal(w->n_logs, 4);
    assert_true(world_noted(w, id, "the build's log could not be read, asking again (3 of 3)"));
}

static void the_log_of_a_child_is_read_where_its_failure_is_decided(void **state)
{
    struct world *w = *state;

    w->log_wanted = "disk on fire";
    w->log = "disk on fire";
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->inspect));
    world_work(w, &w->submit, 1000);
    world_end(w, world_child_of(w, id), "FAILED");
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    assert_int_equal(w->n_logs, 2);
    world_newest(w, other_id);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_that_a_rule_asks_for_is_read_before_the_decision,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_build_without_a_log_is_decided_at_once, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_read_is_asked_for_a_few_times,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_log_of_a_child_is_read_where_its_failure_is_decided,
                                        world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
