/* Breakers, the incident hold and the flake ledger, as the submit worker and the follower meet
 * them. */
#include "gate_world.h"

#include <stdio.h>
#include <string.h>

/* ---- breaker ---- */

static void open_breaker(struct world *w)
{
    w->settings->breaker.minimum = 2;
    for (unsigned i = 0; i < 2; i++) {
        (void)gate_fail(w, "web", i);
        world_work(w, &w->submit, 1000);
        gate_end_child(w, i, "FAILED");
    }
}

static void retries_that_fail_again_open_the_breaker_of_their_project(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    (void)gate_fail(w, "web", 2);
    (void)gate_fail(w, "api", 3);
    world_work(w, &w->submit, 60000);
    world_expect(w, gate_ids[2], RB_STATE_SCHEDULED);
    assert_true(world_noted(w, gate_ids[2], "breaker:project:web"));
    world_expect(w, gate_ids[3], RB_STATE_RUNNING);
}

static void an_open_breaker_lets_only_force_go(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    for (unsigned i = 2; i < 4; i++) {
        struct world_build *b = world_failed(w, "web", "main");
        (void)world_ask(w, b, i == 2 ? "t" : "u", i == 3, gate_ids[i]);
        assert_true(world_round(&w->inspect));
    }
    world_work(w, &w->submit, 60000);
    world_expect(w, gate_ids[2], RB_STATE_SCHEDULED);
    assert_true(
        world_noted(w, gate_ids[2], "breaker:project:web: ask again with force to pass it"));
    world_expect(w, gate_ids[3], RB_STATE_RUNNING);
    assert_true(world_noted(w, gate_ids[3], "passes breaker:project:web: ops asked by force"));
}

static void a_half_open_breaker_lets_one_go_and_closes_when_it_recovers(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    for (unsigned i = 2; i < 5; i++) {
        (void)gate_fail(w, "web", i);
    }
    world_work(w, &w->submit, 15 * 60000);
    assert_int_equal(w->n_effects, 3); /* two before, and one to see */
    unsigned probe = 2;
    for (unsigned i = 2; i < 5; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[i]);
        probe = r->state == RB_STATE_RUNNING ? i : probe;
    }
    gate_end_child(w, probe, "SUCCEEDED");
    world_work(w, &w->submit, 60000);
    for (unsigned i = 2; i < 5; i++) {
        world_expect(w, gate_ids[i], i == probe ? RB_STATE_RECOVERED : RB_STATE_RUNNING);
    }
}

static void a_probe_that_fails_again_opens_the_breaker_anew(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    (void)gate_fail(w, "web", 2);
    world_work(w, &w->submit, 15 * 60000);
    world_expect(w, gate_ids[2], RB_STATE_RUNNING);
    gate_end_child(w, 2, "FAILED");
    (void)gate_fail(w, "web", 3);
    world_work(w, &w->submit, 5 * 60000);
    world_expect(w, gate_ids[3], RB_STATE_SCHEDULED);
    world_work(w, &w->submit, 15 * 60000);
    world_expect(w, gate_ids[3], RB_STATE_RUNNING);
}

static void an_account_has_a_breaker_of_twice_the_minimum(void **state)
{
    static const char *const projects[] = {"web", "api", "cli", "doc"};
    struct world *w = *state;
    w->settings->breaker.minimum = 2;
    for (unsigned i = 0; i < 4; i++) {
        (void)gate_fail(w, projects[i], i);
        world_work(w, &w->submit, 1000);
        gate_end_child(w, i, "FAILED");
    }
    (void)gate_fail(w, "new", 4);
    world_work(w, &w->submit, 60000);
    world_expect(w, gate_ids[4], RB_STATE_SCHEDULED);
    assert_true(world_noted(w, gate_ids[4], "breaker:account:" WORLD_ACCOUNT));
}

/* ---- incident ---- */

static unsigned begin_incident(struct world *w)
{
    static const char *const projects[] = {"web", "api", "cli", "doc"};
    unsigned probe = 8;
    w->settings->incident.projects = 4;
    for (unsigned i = 0; i < 4; i++) {
        (void)gate_fail(w, projects[i], i);
    }
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 1);
    for (unsigned i = 0; i < 4; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[i]);
        probe = r->state == RB_STATE_RUNNING ? i : probe;
        assert_true(r->state == RB_STATE_RUNNING ||
                    rb_str_eq(rb_work_last_note(r), "incident:PROVISIONING"));
    }
    assert_true(probe < 4);
    return probe;
}

static void projects_failing_in_one_phase_make_all_wait_but_one(void **state)
{
    struct world *w = *state;
    unsigned probe = begin_incident(w);
    gate_end_child(w, probe, "SUCCEEDED");
    world_work(w, &w->submit, 120000);
    assert_int_equal(w->n_effects, 4);
}

static void a_probe_that_fails_makes_the_hold_longer(void **state)
{
    struct world *w = *state;
    unsigned probe = begin_incident(w);
    gate_end_child(w, probe, "FAILED");
    world_work(w, &w->submit, 4 * 60000);
    assert_int_equal(w->n_effects, 1);
    world_work(w, &w->submit, 3 * 60000); /* a third of the hold later the next one goes */
    assert_int_equal(w->n_effects, 2);
}

static void a_hold_is_released_by_hand(void **state)
{
    struct world *w = *state;
    unsigned n = 0;
    (void)begin_incident(w);
    assert_int_equal(rb_engine_release_incident(w->engine, w->ses, &n, NULL), RB_OK);
    assert_int_equal(n, 1);
    world_work(w, &w->submit, 120000);
    assert_int_equal(w->n_effects, 4);
}

static void a_hold_is_told_once(void **state)
{
    struct world *w = *state;
    (void)begin_incident(w);
    assert_int_equal(gate_posted(w, RB_STAGE_HELD, RB_STATE_SCHEDULED), 1);
    (void)gate_fail(w, "new", 4);
    world_work(w, &w->submit, 60000);
    assert_int_equal(gate_posted(w, RB_STAGE_HELD, RB_STATE_SCHEDULED), 1);
}

static void what_is_ignored_makes_no_incident(void **state)
{
    struct world *w = *state;
    w->settings->incident.projects = 2;
    w->decision.action = RB_ACTION_IGNORE;
    w->decision.state = RB_STATE_IGNORED;
    (void)gate_fail(w, "web", 0);
    (void)gate_fail(w, "api", 1);
    w->decision.action = RB_ACTION_RETRY;
    w->decision.state = RB_STATE_SCHEDULED;
    (void)gate_fail(w, "cli", 2);
    world_work(w, &w->submit, 1000);
    world_expect(w, gate_ids[2], RB_STATE_RUNNING);
}

/* ---- the ledger ---- */

static void what_recovered_is_flaky_from_then_on(void **state)
{
    struct world *w = *state;
    w->flaky_wanted = true;
    (void)gate_fail(w, "web", 0);
    world_work(w, &w->submit, 1000);
    gate_end_child(w, 0, "SUCCEEDED");
    (void)gate_fail(w, "web", 1);
    world_pass(w, 20000);
    (void)world_round(&w->keep);
    (void)gate_fail(w, "web", 2);
    (void)gate_fail(w, "api", 3);
    static const char *const rules[] = {"provisioning", "provisioning", "flaky-one",
                                        "provisioning"};
    for (unsigned i = 0; i < 4; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[i]);
        assert_string_equal(r->decision.rule, rules[i]);
    }
    world_pass(w, 8 * RB_DAY_MS);
    (void)world_round(&w->keep);
    (void)gate_fail(w, "web", 4); /* long ago */
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[4]);
    assert_string_equal(r->decision.rule, "provisioning");
}

static void what_somebody_else_recovered_is_flaky_too(void **state)
{
    struct world *w = *state;
    w->decision.action = RB_ACTION_IGNORE;
    w->decision.state = RB_STATE_IGNORED;
    struct world_build *b = gate_fail(w, "web", 0);
    struct world_build *again = world_started(w, "web", b->b.source_version);
    again->b.resolved_version = b->b.resolved_version;
    world_end(w, again, "SUCCEEDED");
    assert_int_equal(world_deliver(w, again, "again", NULL), RB_ADMIT_UNKNOWN);
    struct world_build *good = world_started(w, "api", "ccccccccccbbbbbbbbbbccccccccccdddddddddd");
    world_end(w, good, "SUCCEEDED"); /* which never failed */
    assert_int_equal(world_deliver(w, good, "good", NULL), RB_ADMIT_UNKNOWN);
    (void)world_round(&w->keep);
    gate_expect_stats(w, "\"flakes\":[{\"phase\":\"PROVISIONING\",\"class\":\"other\",\"count\":1");
    gate_expect_stats(w, "\"rules\":[]");
}

static void each_rule_knows_how_many_of_its_retries_recovered(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 3; i++) {
        (void)gate_fail(w, "web", i);
        world_work(w, &w->submit, 1000);
        gate_end_child(w, i, i == 0 ? "SUCCEEDED" : "FAILED");
    }
    gate_expect_stats(w, "\"rule\":\"provisioning\",\"retries\":3,\"recovered\":1,");
    gate_expect_stats(w, "\"recovered\":1,");
    gate_expect_stats(w, "\"mode\":\"auto\"");
}

static void a_child_that_somebody_stopped_says_nothing_about_its_rule(void **state)
{
    struct world *w = *state;
    w->settings->breaker.minimum = 1;
    (void)gate_fail(w, "web", 0);
    world_work(w, &w->submit, 1000);
    gate_end_child(w, 0, "STOPPED");
    gate_expect_stats(w, "\"rules\":[]");
    gate_expect_stats(w, "\"breakers\":[]");
}

/* ---- questions, old builds ---- */

static void a_question_that_nobody_answers_ends(void **state)
{
    struct world *w = *state;
    w->decision.action = RB_ACTION_ASK;
    w->decision.state = RB_STATE_HELD;
    (void)gate_fail(w, "web", 0);
    world_pass(w, 23 * RB_HOUR_MS);
    (void)world_round(&w->keep);
    world_expect(w, gate_ids[0], RB_STATE_HELD);
    world_pass(w, 2 * RB_HOUR_MS);
    (void)world_round(&w->keep);
    world_expect(w, gate_ids[0], RB_STATE_CANCELLED);
    assert_true(world_noted(w, gate_ids[0], "expired by time"));
}

static void what_a_newer_build_made_old_is_skipped_unless_told_otherwise(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct world_build *b = world_failed(w, i == 0 ? "web" : "api", "main");
        w->settings->stale = i == 0 ? RB_STALE_SKIP : RB_STALE_RETRY;
        assert_int_equal(world_deliver(w, b, i == 0 ? "s0" : "s1", gate_ids[i]), RB_ADMIT_NEW);
        world_end(w, world_started(w, b->b.project, "main"), "SUCCEEDED");
        world_work(w, &w->submit, 1000);
    }
    world_expect(w, gate_ids[0], RB_STATE_SUPERSEDED);
    world_expect(w, gate_ids[1], RB_STATE_RUNNING);
}

#define T(test) cmocka_unit_test_setup_teardown(test, gate_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_open_breaker_lets_only_force_go),
        T(retries_that_fail_again_open_the_breaker_of_their_project),
        T(a_half_open_breaker_lets_one_go_and_closes_when_it_recovers),
        T(a_probe_that_fails_again_opens_the_breaker_anew),
        T(an_account_has_a_breaker_of_twice_the_minimum),
        T(projects_failing_in_one_phase_make_all_wait_but_one),
        T(a_probe_that_fails_makes_the_hold_longer),
        T(a_hold_is_released_by_hand),
        T(a_hold_is_told_once),
        T(what_is_ignored_makes_no_incident),
        T(a_question_that_nobody_answers_ends),
        T(what_a_newer_build_made_old_is_skipped_unless_told_otherwise),
        T(what_recovered_is_flaky_from_then_on),
        T(what_somebody_else_recovered_is_flaky_too),
        T(each_rule_knows_how_many_of_its_retries_recovered),
        T(a_child_that_somebody_stopped_says_nothing_about_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
