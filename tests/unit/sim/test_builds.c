/* Builds: their phases in time, their place in a chain, their members. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

static void a_fresh_build_is_queued_and_walks_phase_by_phase(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("projects: [{name: web}]");
    RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
    static const struct {
        int64_t advance_ms;
        const char *phase;
    } steps[] = {{0, "QUEUED"},          {999, "QUEUED"},
                 {1, "PROVISIONING"},    {7999, "PROVISIONING"},
                 {1, "DOWNLOAD_SOURCE"}, {3000, "INSTALL"},
                 {4000, "PRE_BUILD"},    {1000, "BUILD"},
                 {20000, "POST_BUILD"},  {1000, "UPLOAD_ARTIFACTS"},
                 {1000, "FINALIZING"},   {1999, "FINALIZING"}};
    for (size_t i = 0; i < RB_ARRAY_LEN(steps); i++) {
        rb_sim_advance(sim, steps[i].advance_ms);
        json_t *b = read_build(sim, id);
        assert_string_equal(text_at(b, "currentPhase"), steps[i].phase);
        assert_string_equal(text_at(b, "buildStatus"), "IN_PROGRESS");
        assert_false(json_is_true(json_object_get(b, "buildComplete")));
        assert_null(json_object_get(b, "endTime"));
        json_decref(b);
    }
    rb_sim_advance(sim, 1);
    json_t *b = read_build(sim, id);
    assert_string_equal(text_at(b, "currentPhase"), "COMPLETED");
    assert_string_equal(text_at(b, "buildStatus"), "SUCCEEDED");
    assert_int_equal(json_array_size(json_object_get(b, "phases")), 11);
    double took = json_real_value(json_object_get(b, "endTime")) -
                  json_real_value(json_object_get(b, "startTime"));
    assert_true(took > 40.999 && took < 41.001);
    assert_int_equal(json_integer_value(json_object_get(phase_of(b, "BUILD"), "durationInSeconds")),
                     20);
    assert_null(json_object_get(phase_of(b, "QUEUED"), "contexts"));
    assert_null(json_object_get(phase_of(b, "COMPLETED"), "phaseStatus"));
    json_decref(b);
}

static void phases_after_a_failure_follow_its_kind(void **state)
{
    (void)state;
    static const struct {
        const char *outcome;
        const char *phases; /* with the first letter of their status */
        const char *status;
    } cases[] = {
        {"{status: FAILED, phase: QUEUED}", "SUBMITTED:S QUEUED:F COMPLETED", "FAILED"},
        {"{status: FAILED, phase: PROVISIONING, phase_status: CLIENT_ERROR}",
         "SUBMITTED:S QUEUED:S PROVISIONING:C COMPLETED", "FAILED"},
        {"{status: FAILED, phase: DOWNLOAD_SOURCE}",
         "SUBMITTED:S QUEUED:S PROVISIONING:S DOWNLOAD_SOURCE:F FINALIZING:S COMPLETED", "FAILED"},
        {"{status: FAILED}",
         "SUBMITTED:S QUEUED:S PROVISIONING:S DOWNLOAD_SOURCE:S INSTALL:S PRE_BUILD:S BUILD:F "
         "POST_BUILD:S UPLOAD_ARTIFACTS:S FINALIZING:S COMPLETED",
         "FAILED"},
        {"{status: TIMED_OUT, phase: INSTALL}",
         "SUBMITTED:S QUEUED:S PROVISIONING:S DOWNLOAD_SOURCE:S INSTALL:T FINALIZING:S COMPLETED",
         "TIMED_OUT"},
        {"{status: FAULT, phase: SUBMITTED}", "SUBMITTED:F COMPLETED", "FAULT"},
        {"{status: STOPPED, phase: BUILD}",
         "SUBMITTED:S QUEUED:S PROVISIONING:S DOWNLOAD_SOURCE:S INSTALL:S PRE_BUILD:S BUILD:S "
         "FINALIZING:S COMPLETED",
         "STOPPED"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf script = RB_BUF_INIT(4096);
        RB_CLEANUP(rb_buf_release) struct rb_buf got = RB_BUF_INIT(4096);
        rb_buf_addf(&script, "projects: [{name: web, outcomes: [%s]}]", cases[i].outcome);
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(rb_buf_str(&script));
        RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
        rb_sim_advance(sim, 3600000);
        RB_CLEANUP(rb_json_decrefp) json_t *b = read_build(sim, id);
        size_t k;
        json_t *one;
        json_array_foreach(json_object_get(b, "phases"), k, one)
        {
            const char *status = json_string_value(json_object_get(one, "phaseStatus"));
            rb_buf_addf(&got, "%s%s%s%.1s", k == 0 ? "" : " ", text_at(one, "phaseType"),
                        status == NULL ? "" : ":", status == NULL ? "" : status);
        }
        assert_string_equal(rb_buf_str(&got), cases[i].phases);
        assert_string_equal(text_at(b, "buildStatus"), cases[i].status);
    }
}

static void position_in_the_chain_chooses_the_outcome_and_the_last_repeats(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim =
        test_sim("projects: [{name: web, outcomes: [{status: FAILED, exit_code: 75},"
                 " {status: FAULT, phase: QUEUED}, {status: SUCCEEDED}]}]");
    static const char *const want[] = {"FAILED", "FAULT", "SUCCEEDED", "SUCCEEDED"};
    RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
    for (size_t i = 0; i < RB_ARRAY_LEN(want); i++) {
        rb_sim_advance(sim, 3600000);
        json_t *b = read_build(sim, id);
        assert_string_equal(text_at(b, "buildStatus"), want[i]);
        assert_int_equal(json_integer_value(json_object_get(b, "buildNumber")), (int)i + 1);
        if (i == 0) {
            json_t *context = json_array_get(json_object_get(phase_of(b, "BUILD"), "contexts"), 0);
            assert_string_equal(text_at(context, "statusCode"), "COMMAND_EXECUTION_ERROR");
            assert_non_null(strstr(text_at(context, "message"), "exit status 75"));
        }
        json_decref(b);
        char *next = retry_build(sim, id, NULL);
        free(id);
        id = next;
    }
    /* another first build starts at the first outcome again */
    RB_CLEANUP(rb_freep) char *other = start_build(sim, "{\"projectName\":\"web\"}");
    rb_sim_advance(sim, 3600000);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_build(sim, other);
    assert_string_equal(text_at(b, "buildStatus"), "FAILED");
}

static const char rich[] =
    "{\"projectName\":\"web\",\"sourceVersion\":\"pr/7\",\"debugSessionEnabled\":true,"
    "\"environmentVariablesOverride\":[{\"name\":\"STAGE\",\"value\":\"ci\"},"
    "{\"name\":\"CODEBUILD_WEBHOOK_EVENT\",\"value\":\"PUSH\"}],"
    "\"artifactsOverride\":{\"type\":\"S3\",\"location\":\"bucket\",\"name\":\"a.zip\"},"
    "\"logsConfigOverride\":{\"s3Logs\":{\"status\":\"ENABLED\",\"location\":\"bucket/logs\"}},"
    "\"imageOverride\":\"custom:1\",\"timeoutInMinutesOverride\":15,\"gitCloneDepthOverride\":3,"
    "\"buildspecOverride\":\"ci.yml\",\"autoRetryLimitOverride\":1}";
static const char rich_script[] =
    "projects:\n"
    "  - name: web\n"
    "    outcomes: [{status: FAILED, phase: FINALIZING}, {status: SUCCEEDED}]\n"
    "    settings:\n"
    "      vpcConfig: {vpcId: vpc-1, subnets: [subnet-1], securityGroupIds: [sg-1]}\n"
    "      secondarySources: [{type: S3, location: bucket/x, sourceIdentifier: extra}]\n";

static void a_build_has_the_members_of_the_api_and_no_others(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *data = load_data("build-members.json");
    json_t *known = json_object_get(data, "build");
    assert_true(json_array_size(known) >= 100);
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(rich_script);
    RB_CLEANUP(rb_freep) char *id = start_build(sim, rich);
    rb_sim_advance(sim, 3600000);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_build(sim, id);
    assert_true(assert_members_known(b, known) > 80);
    size_t i;
    json_t *one;
    json_array_foreach(known, i, one)
    {
        const char *path = json_string_value(one);
        /* what a build outside a batch has at its own level */
        if (strpbrk(path, ".[") == NULL && strcmp(path, "buildBatchArn") != 0 &&
            json_object_get(b, path) == NULL) {
            fail_msg("member '%s' is missing", path);
        }
    }
    assert_string_equal(text_at(json_object_get(b, "environment"), "image"), "custom:1");
    assert_string_equal(text_at(json_object_get(b, "source"), "buildspec"), "ci.yml");
    assert_int_equal(json_integer_value(json_object_get(b, "timeoutInMinutes")), 15);
    assert_string_equal(text_at(json_object_get(b, "artifacts"), "location"),
                        "arn:aws:s3:::bucket/a.zip");
    assert_true(has_member(b, "artifacts.sha256sum"));
    assert_true(has_member(b, "logs.s3LogsArn"));
    assert_true(has_member(b, "autoRetryConfig.nextAutoRetry"));
}

static void a_retry_keeps_source_and_overrides_but_not_webhook_variables(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(rich_script);
    RB_CLEANUP(rb_freep) char *id = start_build(sim, rich);
    rb_sim_advance(sim, 3600000);
    RB_CLEANUP(rb_freep) char *child = retry_build(sim, id, NULL);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_build(sim, child);
    json_t *environment = json_object_get(b, "environment");
    json_t *variables = json_object_get(environment, "environmentVariables");
    assert_string_equal(text_at(b, "sourceVersion"), "pr/7");
    assert_string_equal(text_at(environment, "image"), "custom:1");
    assert_int_equal(json_array_size(variables), 1);
    assert_string_equal(text_at(json_array_get(variables, 0), "name"), "STAGE");
    assert_string_equal(text_at(json_array_get(variables, 0), "type"), "PLAINTEXT");
}

static void a_project_with_an_auto_retry_limit_is_retried_by_itself(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web, outcomes: [{status: FAILED}],"
                                  " settings: {autoRetryLimit: 2}}]");
    free(start_build(sim, "{\"projectName\":\"web\"}"));
    rb_sim_advance(sim, 3600000);
    rb_sim_advance(sim, 3600000);
    struct answer a = ask(sim, "ListBuildsForProject", "{\"projectName\":\"web\"}");
    json_t *ids = json_object_get(a.body, "ids");
    assert_int_equal(json_array_size(ids), 3);
    RB_CLEANUP(rb_json_decrefp)
    json_t *last = read_build(sim, json_string_value(json_array_get(ids, 0)));
    json_t *config = json_object_get(last, "autoRetryConfig");
    assert_int_equal(json_integer_value(json_object_get(config, "autoRetryNumber")), 2);
    assert_true(has_member(config, "previousAutoRetry"));
    assert_false(has_member(config, "nextAutoRetry"));
    assert_int_equal(rb_sim_effects(sim, "AutoRetry", NULL), 2);
    answer_release(&a);
}

static void a_stopped_build_stays_stopped(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("projects: [{name: web}]");
    RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
    rb_sim_advance(sim, 2000);
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(256);
    rb_buf_addf(&body, "{\"id\":\"%s\"}", id);
    for (int i = 0; i < 2; i++) {
        struct answer a = ask(sim, "StopBuild", rb_buf_str(&body));
        assert_int_equal(a.reply.status, 200);
        answer_release(&a);
        rb_sim_advance(sim, 3600000);
    }
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_build(sim, id);
    assert_string_equal(text_at(b, "buildStatus"), "STOPPED");
    assert_string_equal(text_at(phase_of(b, "PROVISIONING"), "phaseStatus"), "STOPPED");
    assert_int_equal(rb_sim_effects(sim, "StopBuild", NULL), 1);
}

static void what_cannot_be_retried_is_refused(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("{projects: [{name: web}], retry_succeeded: false,"
                                  " account_limit: 1}");
    RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(256);
    rb_buf_addf(&body, "{\"id\":\"%s\"}", id);
    assert_error(sim, "RetryBuild", rb_buf_str(&body), "InvalidInputException");
    assert_error(sim, "StartBuild", "{\"projectName\":\"web\"}", "AccountLimitExceededException");
    rb_sim_advance(sim, 3600000);
    assert_error(sim, "RetryBuild", rb_buf_str(&body), "InvalidInputException");
    assert_error(sim, "RetryBuild", "{\"id\":\"web:none\"}", "ResourceNotFoundException");
    assert_error(sim, "RetryBuild", "{}", "InvalidInputException");
    assert_error(sim, "StartBuild", "{\"projectName\":\"nope\"}", "ResourceNotFoundException");
    assert_int_equal(rb_sim_effects(sim, NULL, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_build_is_queued_and_walks_phase_by_phase),
        cmocka_unit_test(phases_after_a_failure_follow_its_kind),
        cmocka_unit_test(position_in_the_chain_chooses_the_outcome_and_the_last_repeats),
        cmocka_unit_test(a_build_has_the_members_of_the_api_and_no_others),
        cmocka_unit_test(a_retry_keeps_source_and_overrides_but_not_webhook_variables),
        cmocka_unit_test(a_project_with_an_auto_retry_limit_is_retried_by_itself),
        cmocka_unit_test(a_stopped_build_stays_stopped),
        cmocka_unit_test(what_cannot_be_retried_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
