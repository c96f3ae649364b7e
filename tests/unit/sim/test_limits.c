/* Limits: slots, the queue, projects, history, and what may be retried. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

#define START "{\"projectName\":\"web\"}"
#define BUILD_MS 41000 /* from the start to COMPLETED */
#define DAY_MS INT64_C(86400000)

static void assert_phase(struct rb_sim *sim, const char *id, const char *phase)
{
    json_t *b = read_build(sim, id);
    assert_string_equal(text_at(b, "currentPhase"), phase);
    json_decref(b);
}

static void builds_beyond_the_slots_wait_for_the_one_before(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web}]\nconcurrent_builds: 1");
    RB_CLEANUP(rb_freep) char *first = start_build(sim, START);
    RB_CLEANUP(rb_freep) char *second = start_build(sim, START);
    RB_CLEANUP(rb_freep) char *third = start_build(sim, START);
    rb_sim_advance(sim, 20000);
    assert_phase(sim, first, "BUILD");
    assert_phase(sim, second, "QUEUED");
    rb_sim_advance(sim, BUILD_MS - 20000);
    assert_phase(sim, first, "COMPLETED");
    assert_phase(sim, second, "PROVISIONING");
    assert_phase(sim, third, "QUEUED");
    rb_sim_advance(sim, 10 * BUILD_MS); /* one look sees what many would have */
    json_t *b = read_build(sim, third);
    json_t *queued = phase_of(b, "QUEUED");
    /* 41 s of the first, then 40 s of the second, which was past QUEUED's own second long before */
    assert_int_equal(json_integer_value(json_object_get(queued, "durationInSeconds")), 81);
    assert_string_equal(text_at(b, "buildStatus"), "SUCCEEDED");
    json_decref(b);
}

static void a_stopped_build_gives_its_slot_away(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web}]\nconcurrent_builds: 1");
    RB_CLEANUP(rb_freep) char *first = start_build(sim, START);
    RB_CLEANUP(rb_freep) char *second = start_build(sim, START);
    rb_sim_advance(sim, 5000);
    char body[512];
    snprintf(body, sizeof body, "{\"id\":\"%s\"}", first);
    struct answer a = ask(sim, "StopBuild", body);
    assert_int_equal(a.reply.status, 200);
    answer_release(&a);
    assert_phase(sim, second, "PROVISIONING");
}

static void the_queue_holds_five_times_the_slots(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web}]\nconcurrent_builds: 2");
    for (int i = 0; i < 12; i++) {
        free(start_build(sim, START));
    }
    struct answer a = ask(sim, "StartBuild", START);
    assert_string_equal(a.reply.error_type, "AccountLimitExceededException");
    assert_string_equal(text_at(a.body, "message"),
                        "Cannot have more than 10 builds in queue for the account");
    answer_release(&a);
    rb_sim_advance(sim, BUILD_MS);
    free(start_build(sim, START));
}

static void an_account_without_slots_takes_no_build(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web}]\nconcurrent_builds: 0");
    assert_error(sim, "StartBuild", START, "AccountLimitExceededException");
}

static void a_build_that_waits_too_long_times_out_in_the_queue(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web, outcomes: [{durations: {BUILD: 1d}}]}]\n"
                                  "concurrent_builds: 1");
    free(start_build(sim, START));
    RB_CLEANUP(rb_freep)
    char *second =
        start_build(sim, "{\"projectName\":\"web\",\"queuedTimeoutInMinutesOverride\":5}");
    rb_sim_advance(sim, 5 * 60000 - 1);
    assert_phase(sim, second, "QUEUED");
    rb_sim_advance(sim, 1);
    json_t *b = read_build(sim, second);
    assert_string_equal(text_at(b, "buildStatus"), "TIMED_OUT");
    assert_string_equal(text_at(phase_of(b, "QUEUED"), "phaseStatus"), "TIMED_OUT");
    assert_null(phase_of(b, "PROVISIONING"));
    json_decref(b);
}

static void a_projects_own_limit_refuses_and_does_not_queue(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web, settings: {concurrentBuildLimit: 1}},"
                                  " {name: other}]\nconcurrent_builds: 10");
    RB_CLEANUP(rb_freep) char *id = start_build(sim, START);
    assert_error(sim, "StartBuild", START, "AccountLimitExceededException");
    free(start_build(sim, "{\"projectName\":\"other\"}"));
    rb_sim_advance(sim, BUILD_MS);
    free(retry_build(sim, id, NULL));
    struct answer a =
        ask(sim, "CreateProject",
            "{\"name\":\"wide\",\"source\":{\"type\":\"NO_SOURCE\",\"buildspec\":\"x\"},"
            "\"artifacts\":{\"type\":\"NO_ARTIFACTS\"},\"serviceRole\":\"r\",\"environment\":{"
            "\"type\":\"LINUX_CONTAINER\",\"image\":\"i\",\"computeType\":"
            "\"BUILD_GENERAL1_SMALL\"},\"concurrentBuildLimit\":11}");
    assert_string_equal(a.reply.error_type, "InvalidInputException");
    assert_non_null(
        strstr(text_at(a.body, "message"), "account-level concurrent build limit of 10"));
    answer_release(&a);
}

static void a_build_of_last_year_is_gone(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("projects: [{name: web}]");
    RB_CLEANUP(rb_freep) char *id = start_build(sim, START);
    char body[512];
    snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
    rb_sim_advance(sim, 365 * DAY_MS - 1);
    json_decref(read_build(sim, id));
    rb_sim_advance(sim, 1);
    assert_error(sim, "RetryBuild", body, "ResourceNotFoundException");
    struct answer a = ask(sim, "ListBuilds", "{}");
    assert_int_equal(json_array_size(json_object_get(a.body, "ids")), 0);
    answer_release(&a);
}

static void knobs_say_which_builds_may_be_retried(void **state)
{
    (void)state;
    static const struct {
        const char *knob, *settings;
        bool stop;
    } cases[] = {{"retry_stopped", "{}", true},
                 {"retry_succeeded", "{}", false},
                 {"retry_codepipeline",
                  "{source: {type: CODEPIPELINE}, artifacts: {type: CODEPIPELINE}}", false}};
    for (size_t i = 0; i < RB_ARRAY_LEN(cases) * 2; i++) {
        char script[512];
        char body[512];
        bool allowed = i % 2 == 0;
        snprintf(script, sizeof script, "projects: [{name: web, settings: %s}]\n%s: %s",
                 cases[i / 2].settings, cases[i / 2].knob, allowed ? "true" : "false");
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(script);
        RB_CLEANUP(rb_freep) char *id = start_build(sim, START);
        snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
        if (cases[i / 2].stop) {
            struct answer a = ask(sim, "StopBuild", body);
            answer_release(&a);
        }
        rb_sim_advance(sim, BUILD_MS);
        if (allowed) {
            free(retry_build(sim, id, NULL));
        } else {
            assert_error(sim, "RetryBuild", body, "InvalidInputException");
        }
    }
}

/* The build that RetryBuild makes of one with an autoRetryLimit has that limit again, or none. */
static void a_knob_says_whether_a_retry_retries_by_itself(void **state)
{
    (void)state;
    static const char *const knobs[] = {"true", "false"};
    for (size_t i = 0; i < RB_ARRAY_LEN(knobs); i++) {
        char script[256];
        snprintf(script, sizeof script,
                 "projects: [{name: web, outcomes: [{status: FAILED}]}]\n"
                 "retry_keeps_auto_retry: %s",
                 knobs[i]);
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(script);
        RB_CLEANUP(rb_freep)
        char *id = start_build(sim, "{\"projectName\":\"web\",\"autoRetryLimitOverride\":2}");
        rb_sim_advance(sim, 10 * BUILD_MS);
        assert_int_equal(rb_sim_effects(sim, "AutoRetry", NULL), 2);
        free(retry_build(sim, id, NULL));
        rb_sim_advance(sim, 10 * BUILD_MS);
        assert_int_equal(rb_sim_effects(sim, "AutoRetry", NULL), i == 0 ? 4 : 2);
    }
}

static void a_mismatch_says_what_the_script_wants(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web}]\nmismatch_error: "
                                  "ValidationException\nmismatch_message: other words");
    free(start_build(sim, "{\"projectName\":\"web\",\"idempotencyToken\":\"t\"}"));
    struct answer a =
        ask(sim, "StartBuild",
            "{\"projectName\":\"web\",\"idempotencyToken\":\"t\",\"sourceVersion\":\"v\"}");
    assert_string_equal(a.reply.error_type, "ValidationException");
    assert_string_equal(text_at(a.body, "message"), "other words");
    answer_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_beyond_the_slots_wait_for_the_one_before),
        cmocka_unit_test(a_stopped_build_gives_its_slot_away),
        cmocka_unit_test(the_queue_holds_five_times_the_slots),
        cmocka_unit_test(an_account_without_slots_takes_no_build),
        cmocka_unit_test(a_build_that_waits_too_long_times_out_in_the_queue),
        cmocka_unit_test(a_projects_own_limit_refuses_and_does_not_queue),
        cmocka_unit_test(a_build_of_last_year_is_gone),
        cmocka_unit_test(knobs_say_which_builds_may_be_retried),
        cmocka_unit_test(a_knob_says_whether_a_retry_retries_by_itself),
        cmocka_unit_test(a_mismatch_says_what_the_script_wants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
