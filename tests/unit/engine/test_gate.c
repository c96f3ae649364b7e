/* Budgets, breakers and the incident hold, as the submit worker and the follower meet them. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static char ids[8][RB_ID_BYTES];

static int setup(void **state)
{
    int rc = world_setup(state);
    struct world *w = *state;
    w->limit = 1;
    return rc;
}

/* fail_in - a failure of @project on a commit of its own, delivered. */
static struct world_build *fail_in(struct world *w, const char *project, unsigned at)
{
    static char commits[64][41];
    static unsigned n;
    char key[16];
    char *commit = commits[n++ % 64];
    (void)snprintf(commit, 41, "%040x", n);
    (void)snprintf(key, sizeof(key), "d%u", n);
    struct world_build *b = world_failed(w, project, commit);
    b->b.resolved_version = commit;
    assert_int_equal(world_deliver(w, b, key, ids[at]), RB_ADMIT_NEW);
    return b;
}

static void end_child(struct world *w, unsigned at, const char *status)
{
    world_end(w, world_child_of(w, ids[at]), status);
    world_work(w, &w->follow, 20000);
}

static void expect_refused(struct world *w, unsigned at, const char *reason)
{
    world_expect(w, ids[at], RB_STATE_REFUSED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[at]);
    assert_string_equal(r->decision.reason, reason);
    assert_string_equal(rb_work_last_note(r), reason);
}

static void expect_stats(struct world *w, const char *part)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1 << 20);
    struct rb_err err = {.code = RB_OK};
    if (rb_engine_stats(w->engine, w->ses, &out, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    if (strstr(rb_buf_str(&out), part) == NULL) {
        fail_msg("no %s in %s", part, rb_buf_str(&out));
    }
}

/* ---- budgets ---- */

static void a_project_is_retried_as_often_as_its_budget_says(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 2;
    for (unsigned i = 0; i < 3; i++) {
        (void)fail_in(w, "web", i);
    }
    (void)fail_in(w, "api", 3);
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[0], RB_STATE_RUNNING);
    world_expect(w, ids[1], RB_STATE_RUNNING);
    expect_refused(w, 2, "budget:project");
    world_expect(w, ids[3], RB_STATE_RUNNING);
    world_pass(w, 62 * 60000);
    (void)fail_in(w, "web", 4);
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[4], RB_STATE_RUNNING);
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
        (void)fail_in(w, "web", i);
    }
    (void)world_round(&w->keep); /* six builds */
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[2], RB_STATE_RUNNING);
    (void)fail_in(w, "web", 3);
    (void)world_round(&w->keep); /* seven: half of them is three */
    world_work(w, &w->submit, 1000);
    expect_refused(w, 3, "budget:project");
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
        (void)fail_in(w, "web", i);
    }
    w->list_rc = RB_E_THROTTLED;
    world_work(w, &w->submit, 60000); /* the first goes where the look is not needed: none does */
    for (unsigned i = 0; i < 8; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[i]);
        assert_int_equal(r->state, RB_STATE_SCHEDULED);
    }
    w->list_rc = RB_OK;
    world_work(w, &w->submit, 120000);
    unsigned running = 0, refused = 0;
    for (unsigned i = 0; i < 8; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[i]);
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
        (void)fail_in(w, "web", i);
    }
    world_work(w, &w->submit, 1000);
    assert_int_equal(w->n_effects, 0);
    assert_int_equal(w->n_lists, 1);
}

static void the_sweep_counts_builds_on_its_way(void **state)
{
    struct world *w = *state;
    w->settings->budgets.ratio = 0.5;
    (void)fail_in(w, "web", 0);
    for (unsigned i = 0; i < 5; i++) {
        world_end(w, world_started(w, "web", "main"), "SUCCEEDED");
    }
    (void)world_round(&w->sweep);
    expect_stats(w, "\"hour\":{\"used\":0,\"limit\":3,");
    expect_stats(w, "\"swept\":0}");
    (void)world_failed(w, "web", "main"); /* nobody tells */
    world_pass(w, 10 * 60000);
    (void)world_round(&w->sweep);
    expect_stats(w, "\"swept\":1}");
}

static void a_commit_is_retried_as_often_as_its_budget_says(void **state)
{
    static const char *const commit = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd";
    struct world *w = *state;
    w->settings->budgets.per_commit = 1;
    for (unsigned i = 0; i < 2; i++) {
        struct world_build *b = world_failed(w, i == 0 ? "web" : "api", commit);
        assert_int_equal(world_deliver(w, b, i == 0 ? "c0" : "c1", ids[i]), RB_ADMIT_NEW);
    }
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[0], RB_STATE_RUNNING);
    expect_refused(w, 1, "budget:commit");
}

static void an_account_and_a_day_have_budgets_too(void **state)
{
    struct world *w = *state;
    w->settings->budgets.per_account = 1;
    (void)fail_in(w, "web", 0);
    (void)fail_in(w, "api", 1);
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[0], RB_STATE_RUNNING);
    expect_refused(w, 1, "budget:account");
    w->settings->budgets.per_account = 0;
    w->settings->budgets.minutes_per_day = 3;
    for (unsigned i = 2; i < 6; i++) { /* of a minute each, as the failed ones ran */
        (void)fail_in(w, "web", i);
    }
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[4], RB_STATE_RUNNING);
    expect_refused(w, 5, "budget:minutes");
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
        fail_in(w, "web", i)->b.compute_type =
            i < 2 ? "BUILD_GENERAL1_SMALL" : "BUILD_GENERAL1_LARGE";
        world_work(w, &w->submit, 1000);
    }
    world_expect(w, ids[3], RB_STATE_RUNNING); /* half and half, four and four: nine */
    expect_refused(w, 4, "budget:minutes");
    expect_stats(w, "\"minutes\":{\"used\":9,\"limit\":8,\"left\":0}");
}

static void a_retry_that_is_sent_again_counts_once(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    w->settings->budgets.per_commit = 1;
    world_answer_next(w, RB_E_THROTTLED, false);
    world_answer_next(w, RB_E_LATER, false);
    (void)fail_in(w, "web", 0);
    world_work(w, &w->submit, 10 * 60000);
    world_expect(w, ids[0], RB_STATE_RUNNING);
}

static void a_restart_forgets_no_budget(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    (void)fail_in(w, "web", 0);
    world_work(w, &w->submit, 1000);
    world_restart(w);
    (void)fail_in(w, "web", 1);
    world_work(w, &w->submit, 1000);
    expect_refused(w, 1, "budget:project");
}

static void a_person_passes_a_spent_budget_and_that_is_noted(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    (void)fail_in(w, "web", 0);
    world_work(w, &w->submit, 1000);
    struct world_build *b = world_failed(w, "web", "main");
    (void)world_ask(w, b, "t", true, ids[1]);
    assert_true(world_round(&w->inspect));
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[1], RB_STATE_RUNNING);
    assert_true(world_noted(w, ids[1], "passes budget:project: ops asked by force"));
}

static void a_person_without_force_is_told_how_to_pass(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    (void)fail_in(w, "web", 0);
    world_work(w, &w->submit, 1000);
    struct world_build *b = world_failed(w, "web", "main");
    (void)world_ask(w, b, "t", false, ids[1]);
    assert_true(world_round(&w->inspect));
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[1], RB_STATE_REFUSED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[1]);
    assert_string_equal(r->decision.reason, "budget:project");
    assert_string_equal(rb_work_last_note(r), "budget:project: ask again with force to pass it");
    assert_int_equal(w->n_effects, 1);
}

/* ---- breaker ---- */

static void open_breaker(struct world *w)
{
    w->settings->breaker.minimum = 2;
    for (unsigned i = 0; i < 2; i++) {
        (void)fail_in(w, "web", i);
        world_work(w, &w->submit, 1000);
        end_child(w, i, "FAILED");
    }
}

static void retries_that_fail_again_open_the_breaker_of_their_project(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    (void)fail_in(w, "web", 2);
    (void)fail_in(w, "api", 3);
    world_work(w, &w->submit, 60000);
    world_expect(w, ids[2], RB_STATE_SCHEDULED);
    assert_true(world_noted(w, ids[2], "breaker:project:web"));
    world_expect(w, ids[3], RB_STATE_RUNNING);
}

static void an_open_breaker_lets_only_force_go(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    for (unsigned i = 2; i < 4; i++) {
        struct world_build *b = world_failed(w, "web", "main");
        (void)world_ask(w, b, i == 2 ? "t" : "u", i == 3, ids[i]);
        assert_true(world_round(&w->inspect));
    }
    world_work(w, &w->submit, 60000);
    world_expect(w, ids[2], RB_STATE_SCHEDULED);
    assert_true(world_noted(w, ids[2], "breaker:project:web: ask again with force to pass it"));
    world_expect(w, ids[3], RB_STATE_RUNNING);
    assert_true(world_noted(w, ids[3], "passes breaker:project:web: ops asked by force"));
}

static void a_half_open_breaker_lets_one_go_and_closes_when_it_recovers(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    for (unsigned i = 2; i < 5; i++) {
        (void)fail_in(w, "web", i);
    }
    world_work(w, &w->submit, 15 * 60000);
    assert_int_equal(w->n_effects, 3); /* two before, and one to see */
    unsigned probe = 2;
    for (unsigned i = 2; i < 5; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[i]);
        probe = r->state == RB_STATE_RUNNING ? i : probe;
    }
    end_child(w, probe, "SUCCEEDED");
    world_work(w, &w->submit, 60000);
    for (unsigned i = 2; i < 5; i++) {
        world_expect(w, ids[i], i == probe ? RB_STATE_RECOVERED : RB_STATE_RUNNING);
    }
}

static void a_probe_that_fails_again_opens_the_breaker_anew(void **state)
{
    struct world *w = *state;
    open_breaker(w);
    (void)fail_in(w, "web", 2);
    world_work(w, &w->submit, 15 * 60000);
    world_expect(w, ids[2], RB_STATE_RUNNING);
    end_child(w, 2, "FAILED");
    (void)fail_in(w, "web", 3);
    world_work(w, &w->submit, 5 * 60000);
    world_expect(w, ids[3], RB_STATE_SCHEDULED);
    world_work(w, &w->submit, 15 * 60000);
    world_expect(w, ids[3], RB_STATE_RUNNING);
}

static void an_account_has_a_breaker_of_twice_the_minimum(void **state)
{
    static const char *const projects[] = {"web", "api", "cli", "doc"};
    struct world *w = *state;
    w->settings->breaker.minimum = 2;
    for (unsigned i = 0; i < 4; i++) {
        (void)fail_in(w, projects[i], i);
        world_work(w, &w->submit, 1000);
        end_child(w, i, "FAILED");
    }
    (void)fail_in(w, "new", 4);
    world_work(w, &w->submit, 60000);
    world_expect(w, ids[4], RB_STATE_SCHEDULED);
    assert_true(world_noted(w, ids[4], "breaker:account:" WORLD_ACCOUNT));
}

/* ---- incident ---- */

static unsigned begin_incident(struct world *w)
{
    static const char *const projects[] = {"web", "api", "cli", "doc"};
    unsigned probe = 8;
    w->settings->incident.projects = 4;
    for (unsigned i = 0; i < 4; i++) {
        (void)fail_in(w, projects[i], i);
    }
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 1);
    for (unsigned i = 0; i < 4; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[i]);
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
    end_child(w, probe, "SUCCEEDED");
    world_work(w, &w->submit, 120000);
    assert_int_equal(w->n_effects, 4);
}

static void a_probe_that_fails_makes_the_hold_longer(void **state)
{
    struct world *w = *state;
    unsigned probe = begin_incident(w);
    end_child(w, probe, "FAILED");
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

static unsigned posted(struct world *w, enum rb_stage stage, enum rb_state state)
{
    unsigned n = 0;
    world_work(w, &w->report, 1000);
    for (unsigned i = 0; i < w->n_posts; i++) {
        n += w->posts[i].stage == stage && w->posts[i].state == state ? 1 : 0;
    }
    return n;
}

static void a_hold_is_told_once(void **state)
{
    struct world *w = *state;
    (void)begin_incident(w);
    assert_int_equal(posted(w, RB_STAGE_HELD, RB_STATE_SCHEDULED), 1);
    (void)fail_in(w, "new", 4);
    world_work(w, &w->submit, 60000);
    assert_int_equal(posted(w, RB_STAGE_HELD, RB_STATE_SCHEDULED), 1);
}

static void a_chat_is_told_once_that_a_budget_is_spent(void **state)
{
    struct world *w = *state;
    w->settings->budgets.floor_per_hour = 1;
    for (unsigned i = 0; i < 4; i++) {
        (void)fail_in(w, "web", i);
    }
    world_work(w, &w->submit, 1000);
    assert_int_equal(posted(w, RB_STAGE_REFUSED, RB_STATE_REFUSED), 3); /* a machine: each */
    w->settings->destinations[0].type = "slack";
    for (unsigned i = 0; i < 4; i++) {
        (void)fail_in(w, "api", i);
    }
    world_work(w, &w->submit, 1000);
    assert_int_equal(posted(w, RB_STAGE_REFUSED, RB_STATE_REFUSED), 3 + 1);
    world_pass(w, 2 * RB_HOUR_MS);
    (void)fail_in(w, "api", 4);
    (void)fail_in(w, "api", 5);
    world_work(w, &w->submit, 1000);
    assert_int_equal(posted(w, RB_STAGE_REFUSED, RB_STATE_REFUSED), 3 + 2);
}

static void what_is_ignored_makes_no_incident(void **state)
{
    struct world *w = *state;
    w->settings->incident.projects = 2;
    w->decision.action = RB_ACTION_IGNORE;
    w->decision.state = RB_STATE_IGNORED;
    (void)fail_in(w, "web", 0);
    (void)fail_in(w, "api", 1);
    w->decision.action = RB_ACTION_RETRY;
    w->decision.state = RB_STATE_SCHEDULED;
    (void)fail_in(w, "cli", 2);
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[2], RB_STATE_RUNNING);
}

/* ---- the ledger ---- */

static void what_recovered_is_flaky_from_then_on(void **state)
{
    struct world *w = *state;
    w->flaky_wanted = true;
    (void)fail_in(w, "web", 0);
    world_work(w, &w->submit, 1000);
    end_child(w, 0, "SUCCEEDED");
    (void)fail_in(w, "web", 1);
    world_pass(w, 20000);
    (void)world_round(&w->keep);
    (void)fail_in(w, "web", 2);
    (void)fail_in(w, "api", 3);
    static const char *const rules[] = {"provisioning", "provisioning", "flaky-one",
                                        "provisioning"};
    for (unsigned i = 0; i < 4; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[i]);
        assert_string_equal(r->decision.rule, rules[i]);
    }
    world_pass(w, 8 * RB_DAY_MS);
    (void)world_round(&w->keep);
    (void)fail_in(w, "web", 4); /* long ago */
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[4]);
    assert_string_equal(r->decision.rule, "provisioning");
}

static void each_rule_knows_how_many_of_its_retries_recovered(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 3; i++) {
        (void)fail_in(w, "web", i);
        world_work(w, &w->submit, 1000);
        end_child(w, i, i == 0 ? "SUCCEEDED" : "FAILED");
    }
    expect_stats(w, "\"rule\":\"provisioning\",\"retries\":3,\"recovered\":1,");
    expect_stats(w, "\"recovered\":1,");
    expect_stats(w, "\"mode\":\"auto\"");
}

static void a_child_that_somebody_stopped_says_nothing_about_its_rule(void **state)
{
    struct world *w = *state;
    w->settings->breaker.minimum = 1;
    (void)fail_in(w, "web", 0);
    world_work(w, &w->submit, 1000);
    end_child(w, 0, "STOPPED");
    expect_stats(w, "\"rules\":[]");
    expect_stats(w, "\"breakers\":[]");
}

/* ---- questions, old builds ---- */

static void a_question_that_nobody_answers_ends(void **state)
{
    struct world *w = *state;
    w->decision.action = RB_ACTION_ASK;
    w->decision.state = RB_STATE_HELD;
    (void)fail_in(w, "web", 0);
    world_pass(w, 23 * RB_HOUR_MS);
    (void)world_round(&w->keep);
    world_expect(w, ids[0], RB_STATE_HELD);
    world_pass(w, 2 * RB_HOUR_MS);
    (void)world_round(&w->keep);
    world_expect(w, ids[0], RB_STATE_CANCELLED);
    assert_true(world_noted(w, ids[0], "expired by time"));
}

static void what_a_newer_build_made_old_is_skipped_unless_told_otherwise(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct world_build *b = world_failed(w, i == 0 ? "web" : "api", "main");
        w->settings->stale = i == 0 ? RB_STALE_SKIP : RB_STALE_RETRY;
        assert_int_equal(world_deliver(w, b, i == 0 ? "s0" : "s1", ids[i]), RB_ADMIT_NEW);
        world_end(w, world_started(w, b->b.project, "main"), "SUCCEEDED");
        world_work(w, &w->submit, 1000);
    }
    world_expect(w, ids[0], RB_STATE_SUPERSEDED);
    world_expect(w, ids[1], RB_STATE_RUNNING);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, world_teardown)

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
        T(an_open_breaker_lets_only_force_go),
        T(retries_that_fail_again_open_the_breaker_of_their_project),
        T(a_half_open_breaker_lets_one_go_and_closes_when_it_recovers),
        T(a_probe_that_fails_again_opens_the_breaker_anew),
        T(an_account_has_a_breaker_of_twice_the_minimum),
        T(projects_failing_in_one_phase_make_all_wait_but_one),
        T(a_probe_that_fails_makes_the_hold_longer),
        T(a_hold_is_released_by_hand),
        T(a_hold_is_told_once),
        T(a_chat_is_told_once_that_a_budget_is_spent),
        T(what_is_ignored_makes_no_incident),
        T(a_question_that_nobody_answers_ends),
        T(what_a_newer_build_made_old_is_skipped_unless_told_otherwise),
        T(what_recovered_is_flaky_from_then_on),
        T(each_rule_knows_how_many_of_its_retries_recovered),
        T(a_child_that_somebody_stopped_says_nothing_about_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
