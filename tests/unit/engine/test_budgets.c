/* Budgets, as the submit worker and the follower meet them, on any number of replicas and days. */
#include "gate_world.h"

#include <stdio.h>
#include <string.h>

/* ---- budgets ---- */

static void a_project_is_retried_as_often_as_its_budget_says(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 2;
    for (unsigned i = 0; i < 3; i++) {
        (void)gate_fail(w, "web", i);
    }
    (void)gate_fail(w, "api", 3);
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[0], RB_STATE_RUNNING);
    world_expect(w, gate_ids[1], RB_STATE_RUNNING);
    gate_expect_refused(w, 2, "budget:project");
    world_expect(w, gate_ids[3], RB_STATE_RUNNING);
    world_pass(w, 62 * 60000);
    (void)gate_fail(w, "web", 4);
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[4], RB_STATE_RUNNING);
}

static void builds_of_the_last_hour_make_the_budget_larger(void **state)
{
    struct world *w = *state;
    w->settings->budgets.ratio = 0.5;
    for (unsigned i = 0; i < 3; i++) {
        struct world_build *b = world_started(w, "web", "main");
        char key[16];
        (void)snprintf(key, sizeof(key), "ok%u", i);
        world_end(w, b, "SUCCEEDED");
        assert_int_equal(world_deliver(w, b, key, NULL), RB_ADMIT_UNKNOWN);
        key[0] = 'x'; /* told once more, by somebody else: still one build */
        assert_int_equal(world_deliver(w, b, key, NULL), RB_ADMIT_UNKNOWN);
    }
    for (unsigned i = 0; i < 3; i++) {
        (void)gate_fail(w, "web", i);
    }
    (void)world_round(&w->keep); /* six builds */
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[2], RB_STATE_RUNNING);
    (void)gate_fail(w, "web", 3);
    (void)world_round(&w->keep); /* seven: half of them is three */
    world_work(w, &w->submit, 1000);
    gate_expect_refused(w, 3, "budget:project");
}

static void a_fresh_store_refuses_nothing_before_the_builds_were_counted(void **state)
{
    struct world *w = *state;
    w->settings->budgets.ratio = 0.2;
    w->settings->budgets.floor_per_hour = 1;
    for (unsigned i = 0; i < 20; i++) { /* of which nobody was told */
        world_end(w, world_started(w, "web", "main"), "SUCCEEDED");
    }
    for (unsigned i = 0; i < 8; i++) {
        (void)gate_fail(w, "web", i);
    }
    w->list_rc = RB_E_THROTTLED;
    world_work(w, &w->submit, 60000); /* the first goes where the look is not needed: none does */
    for (unsigned i = 0; i < 8; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[i]);
        assert_int_equal(r->state, RB_STATE_SCHEDULED);
    }
    w->list_rc = RB_OK;
    world_work(w, &w->submit, 120000);
    unsigned running = 0, refused = 0;
    for (unsigned i = 0; i < 8; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[i]);
        running += r->state == RB_STATE_RUNNING ? 1 : 0;
        refused += r->state == RB_STATE_REFUSED ? 1 : 0;
    }
    assert_int_equal(running, 6); /* one, and a fifth of 28 builds */
    assert_int_equal(refused, 2);
}

static void builds_are_counted_once_in_a_while(void **state)
{
    struct world *w = *state;
    w->settings->budgets.ratio = 0.01;
    for (unsigned i = 0; i < 6; i++) {
        (void)gate_fail(w, "web", i);
    }
    world_work(w, &w->submit, 1000);
    assert_int_equal(w->n_effects, 0);
    assert_int_equal(w->n_lists, 1);
}

static void the_sweep_counts_builds_on_its_way(void **state)
{
    struct world *w = *state;
    w->settings->budgets.ratio = 0.5;
    (void)gate_fail(w, "web", 0);
    for (unsigned i = 0; i < 5; i++) {
        world_end(w, world_started(w, "web", "main"), "SUCCEEDED");
    }
    (void)world_round(&w->sweep);
    gate_expect_stats(w, "\"hour\":{\"used\":0,\"limit\":3,");
    gate_expect_stats(w, "\"swept\":0}");
    (void)world_failed(w, "web", "main"); /* nobody tells */
    world_pass(w, 10 * 60000);
    (void)world_round(&w->sweep);
    gate_expect_stats(w, "\"swept\":1}");
}

static void a_commit_is_retried_as_often_as_its_budget_says(void **state)
{
    static const char *const commit = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd";
    struct world *w = *state;
    w->settings->budgets.per_commit = 1;
    for (unsigned i = 0; i < 2; i++) {
        struct world_build *b = world_failed(w, i == 0 ? "web" : "api", commit);
        assert_int_equal(world_deliver(w, b, i == 0 ? "c0" : "c1", gate_ids[i]), RB_ADMIT_NEW);
    }
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[0], RB_STATE_RUNNING);
    gate_expect_refused(w, 1, "budget:commit");
}

static void an_account_and_a_day_have_budgets_too(void **state)
{
    struct world *w = *state;
    w->settings->budgets.per_account = 1;
    (void)gate_fail(w, "web", 0);
    (void)gate_fail(w, "api", 1);
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[0], RB_STATE_RUNNING);
    gate_expect_refused(w, 1, "budget:account");
    w->settings->budgets.per_account = 0;
    w->settings->budgets.minutes_per_day = 3;
    for (unsigned i = 2; i < 6; i++) { /* of a minute each, as the failed ones ran */
        (void)gate_fail(w, "web", i);
    }
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[4], RB_STATE_RUNNING);
    gate_expect_refused(w, 5, "budget:minutes");
}

static void a_minute_counts_what_its_compute_type_costs(void **state)
{
    static struct rb_price_setting prices[] = {
        {.compute_type = "*_LARGE", .per_minute = 4},
        {.compute_type = "*", .per_minute = 0.5},
    };
    struct world *w = *state;
    w->settings->budgets.minutes_per_day = 8;
    w->settings->budgets.prices = prices;
    w->settings->budgets.n_prices = 2;
    for (unsigned i = 0; i < 5; i++) { /* of a minute each */
        gate_fail(w, "web", i)->b.compute_type =
            i < 2 ? "BUILD_GENERAL1_SMALL" : "BUILD_GENERAL1_LARGE";
        world_work(w, &w->submit, 1000);
    }
    world_expect(w, gate_ids[3], RB_STATE_RUNNING); /* half and half, four and four: nine */
    gate_expect_refused(w, 4, "budget:minutes");
    gate_expect_stats(w, "\"minutes\":{\"used\":9,\"limit\":8,\"left\":0}");
}

static void a_retry_that_is_sent_again_counts_once(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    w->settings->budgets.per_commit = 1;
    world_answer_next(w, RB_E_THROTTLED, false);
    world_answer_next(w, RB_E_LATER, false);
    (void)gate_fail(w, "web", 0);
    world_work(w, &w->submit, 10 * 60000);
    world_expect(w, gate_ids[0], RB_STATE_RUNNING);
}

static void a_restart_forgets_no_budget(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    (void)gate_fail(w, "web", 0);
    world_work(w, &w->submit, 1000);
    world_restart(w);
    (void)gate_fail(w, "web", 1);
    world_work(w, &w->submit, 1000);
    gate_expect_refused(w, 1, "budget:project");
}

static void a_person_passes_a_spent_budget_and_that_is_noted(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    (void)gate_fail(w, "web", 0);
    world_work(w, &w->submit, 1000);
    struct world_build *b = world_failed(w, "web", "main");
    (void)world_ask(w, b, "t", true, gate_ids[1]);
    assert_true(world_round(&w->inspect));
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[1], RB_STATE_RUNNING);
    assert_true(world_noted(w, gate_ids[1], "passes budget:project: ops asked by force"));
}

static void a_person_without_force_is_told_how_to_pass(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    (void)gate_fail(w, "web", 0);
    world_work(w, &w->submit, 1000);
    struct world_build *b = world_failed(w, "web", "main");
    (void)world_ask(w, b, "t", false, gate_ids[1]);
    assert_true(world_round(&w->inspect));
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[1], RB_STATE_REFUSED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[1]);
    assert_string_equal(r->decision.reason, "budget:project");
    assert_string_equal(rb_work_last_note(r), "budget:project: ask again with force to pass it");
    assert_int_equal(w->n_effects, 1);
}

static void a_chat_is_told_once_that_a_budget_is_spent(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    for (unsigned i = 0; i < 4; i++) {
        (void)gate_fail(w, "web", i);
    }
    world_work(w, &w->submit, 1000);
    assert_int_equal(gate_posted(w, RB_STAGE_REFUSED, RB_STATE_REFUSED), 3); /* a machine: each */
    w->settings->destinations[0].type = "slack";
    for (unsigned i = 0; i < 4; i++) {
        (void)gate_fail(w, "api", i);
    }
    world_work(w, &w->submit, 1000);
    assert_int_equal(gate_posted(w, RB_STAGE_REFUSED, RB_STATE_REFUSED), 3 + 1);
    world_pass(w, 2 * RB_HOUR_MS);
    (void)gate_fail(w, "api", 4);
    (void)gate_fail(w, "api", 5);
    world_work(w, &w->submit, 1000);
    assert_int_equal(gate_posted(w, RB_STAGE_REFUSED, RB_STATE_REFUSED), 3 + 2);
}

#define T(test) cmocka_unit_test_setup_teardown(test, gate_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_project_is_retried_as_often_as_its_budget_says),
        T(builds_of_the_last_hour_make_the_budget_larger),
        T(a_fresh_store_refuses_nothing_before_the_builds_were_counted),
        T(builds_are_counted_once_in_a_while),
        T(the_sweep_counts_builds_on_its_way),
        T(a_commit_is_retried_as_often_as_its_budget_says),
        T(an_account_and_a_day_have_budgets_too),
        T(a_minute_counts_what_its_compute_type_costs),
        T(a_retry_that_is_sent_again_counts_once),
        T(a_restart_forgets_no_budget),
        T(a_person_passes_a_spent_budget_and_that_is_noted),
        T(a_person_without_force_is_told_how_to_pass),
        T(a_chat_is_told_once_that_a_budget_is_spent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
