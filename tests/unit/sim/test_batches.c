/* Batch builds: their walk, their builds, retries in place, tokens, lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

#define MATRIX                                                                                  \
    "projects: [{name: web, outcomes: [{status: SUCCEEDED}], settings: {autoRetryLimit: 2}, "   \
    "batch: [{identifier: unit}, {identifier: lint, ignore_failure: true, outcomes: [{status: " \
    "FAILED}]}, {identifier: late, outcomes: [{status: FAILED}, {status: SUCCEEDED}]}]}]"
#define HOUR_MS 3600000

/* One operation on a batch; the batch (new reference). */
static json_t *batch_of(struct rb_sim *sim, const char *operation, const char *body)
{
    struct answer a = ask(sim, operation, body);
    if (a.reply.status != 200) {
        fail_msg("%s answered %d: %s", operation, a.reply.status, a.reply.body);
    }
    json_t *batch = json_incref(json_object_get(a.body, "buildBatch"));
    assert_non_null(batch);
    answer_release(&a);
    return batch;
}

static char *start(struct rb_sim *sim, const char *body)
{
    RB_CLEANUP(rb_json_decrefp) json_t *batch = batch_of(sim, "StartBuildBatch", body);
    return strdup(text_at(batch, "id"));
}

static json_t *read_batch(struct rb_sim *sim, const char *id)
{
    char body[512];
    snprintf(body, sizeof body, "{\"ids\":[\"%s\"]}", id);
    struct answer a = ask(sim, "BatchGetBuildBatches", body);
    json_t *batch = json_incref(json_array_get(json_object_get(a.body, "buildBatches"), 0));
    assert_non_null(batch);
    answer_release(&a);
    return batch;
}

static json_t *on_id(struct rb_sim *sim, const char *operation, const char *id, const char *more)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"id\":\"%s\"%s}", id, more);
    return batch_of(sim, operation, body);
}

static void refused(struct rb_sim *sim, const char *operation, const char *id, const char *error)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
    assert_error(sim, operation, body, error);
}

/* "SUBMITTED:SUCCEEDED ..." */
static void assert_phases(json_t *batch, const char *want)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf got = RB_BUF_INIT(4096);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(batch, "phases"), i, one)
    {
        const char *status = json_string_value(json_object_get(one, "phaseStatus"));
        rb_buf_addf(&got, "%s%s%s%s", i == 0 ? "" : " ", text_at(one, "phaseType"),
                    status == NULL ? "" : ":", status == NULL ? "" : status);
    }
    assert_string_equal(rb_buf_str(&got), want);
}

static json_t *group(json_t *batch, size_t i)
{
    return json_array_get(json_object_get(batch, "buildGroups"), i);
}

static const char *member_status(json_t *batch, size_t i)
{
    return text_at(json_object_get(group(batch, i), "currentBuildSummary"), "buildStatus");
}

static size_t prior(json_t *batch, size_t i)
{
    return json_array_size(json_object_get(group(batch, i), "priorBuildSummaryList"));
}

static void a_batch_runs_its_builds_and_fails_with_one_of_them(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    RB_CLEANUP(rb_freep) char *id = start(sim, "{\"projectName\":\"web\"}");
    json_t *b = read_batch(sim, id);
    assert_phases(b, "SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC");
    assert_string_equal(text_at(b, "buildBatchStatus"), "IN_PROGRESS");
    assert_null(json_object_get(group(b, 0), "currentBuildSummary"));
    json_decref(b);
    rb_sim_advance(sim, 3000);
    b = read_batch(sim, id);
    assert_phases(b, "SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC:SUCCEEDED IN_PROGRESS");
    assert_string_equal(member_status(b, 0), "IN_PROGRESS");
    json_decref(b);
    rb_sim_advance(sim, HOUR_MS);
    b = read_batch(sim, id);
    assert_phases(b, "SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC:SUCCEEDED IN_PROGRESS:FAILED FAILED");
    assert_string_equal(text_at(b, "buildBatchStatus"), "FAILED");
    assert_true(json_is_true(json_object_get(b, "complete")));
    assert_string_equal(member_status(b, 0), "SUCCEEDED");
    assert_string_equal(member_status(b, 1), "FAILED");
    assert_string_equal(member_status(b, 2), "FAILED");
    /* it ended with its last build, not with the look at it */
    double took = json_real_value(json_object_get(b, "endTime")) -
                  json_real_value(json_object_get(b, "startTime"));
    assert_true(took > 43.9 && took < 44.1);
    const char *arn = text_at(json_object_get(group(b, 2), "currentBuildSummary"), "arn");
    json_t *member = read_build(sim, arn);
    assert_string_equal(text_at(member, "buildBatchArn"), text_at(b, "arn"));
    json_decref(member);
    json_decref(b);
    assert_int_equal(rb_sim_effects(sim, "StartBuildBatch", NULL), 1);
    assert_int_equal(rb_sim_effects(sim, "BatchMember", NULL), 3);
    assert_int_equal(rb_sim_effects(sim, "AutoRetry", NULL), 0);
}

static void a_retry_of_failed_builds_leaves_the_good_ones_alone(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    RB_CLEANUP(rb_freep) char *id = start(sim, "{\"projectName\":\"web\"}");
    rb_sim_advance(sim, HOUR_MS);
    json_decref(on_id(sim, "RetryBuildBatch", id, ",\"retryType\":\"RETRY_FAILED_BUILDS\""));
    rb_sim_advance(sim, HOUR_MS);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_batch(sim, id);
    assert_phases(b, "SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC:SUCCEEDED IN_PROGRESS:FAILED "
                     "FAILED:RETRY SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC:SUCCEEDED "
                     "IN_PROGRESS:SUCCEEDED SUCCEEDED");
    assert_int_equal(json_integer_value(json_object_get(b, "buildBatchNumber")), 1);
    assert_int_equal(prior(b, 0), 0);
    assert_int_equal(prior(b, 1), 1);
    assert_int_equal(prior(b, 2), 1);
    assert_string_equal(member_status(b, 1), "FAILED"); /* ignored */
    refused(sim, "RetryBuildBatch", id, "InvalidInputException");
}

static void a_retry_of_all_builds_is_what_no_type_means(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    RB_CLEANUP(rb_freep) char *id = start(sim, "{\"projectName\":\"web\"}");
    refused(sim, "RetryBuildBatch", id, "InvalidInputException"); /* it runs */
    rb_sim_advance(sim, HOUR_MS);
    json_decref(on_id(sim, "RetryBuildBatch", id, ""));
    rb_sim_advance(sim, HOUR_MS);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_batch(sim, id);
    assert_int_equal(prior(b, 0), 1);
    assert_int_equal(prior(b, 2), 1);
}

static void a_token_repeats_the_answer_and_not_the_retry(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    const char *body = "{\"projectName\":\"web\",\"idempotencyToken\":\"t\"}";
    RB_CLEANUP(rb_freep) char *id = start(sim, body);
    RB_CLEANUP(rb_freep) char *same = start(sim, body);
    assert_string_equal(id, same);
    assert_error(sim, "StartBuildBatch",
                 "{\"projectName\":\"web\",\"sourceVersion\":\"x\",\"idempotencyToken\":\"t\"}",
                 "InvalidInputException");
    rb_sim_advance(sim, 120000);
    json_decref(on_id(sim, "RetryBuildBatch", id, ",\"idempotencyToken\":\"r\""));
    json_decref(on_id(sim, "RetryBuildBatch", id, ",\"idempotencyToken\":\"r\""));
    assert_int_equal(rb_sim_effects(sim, "StartBuildBatch", NULL), 1);
    assert_int_equal(rb_sim_effects(sim, "RetryBuildBatch", NULL), 1);
}

static void a_retry_makes_another_batch_where_the_script_says_so(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("retry_new_batch: true\n" MATRIX);
    RB_CLEANUP(rb_freep) char *id = start(sim, "{\"projectName\":\"web\"}");
    rb_sim_advance(sim, HOUR_MS);
    RB_CLEANUP(rb_json_decrefp)
    json_t *made = on_id(sim, "RetryBuildBatch", id,
                         ",\"retryType\":\"RETRY_FAILED_BUILDS\",\"idempotencyToken\":\"t\"");
    RB_CLEANUP(rb_json_decrefp)
    json_t *same = on_id(sim, "RetryBuildBatch", id,
                         ",\"retryType\":\"RETRY_FAILED_BUILDS\",\"idempotencyToken\":\"t\"");
    assert_string_not_equal(text_at(made, "id"), id);
    assert_string_equal(text_at(made, "id"), text_at(same, "id"));
    assert_int_equal(json_integer_value(json_object_get(made, "buildBatchNumber")), 2);
    rb_sim_advance(sim, HOUR_MS);
    RB_CLEANUP(rb_json_decrefp) json_t *was = read_batch(sim, id);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_batch(sim, text_at(made, "id"));
    assert_string_equal(text_at(was, "buildBatchStatus"), "FAILED");
    assert_string_equal(text_at(b, "buildBatchStatus"), "SUCCEEDED"); /* late: second attempt */
    assert_string_equal(text_at(json_object_get(group(b, 0), "currentBuildSummary"), "arn"),
                        text_at(json_object_get(group(was, 0), "currentBuildSummary"), "arn"));
    assert_int_equal(prior(b, 2), 0);
    assert_int_equal(rb_sim_effects(sim, "BatchMember", NULL), 5);
}

static void a_stopped_batch_stops_its_builds_and_can_go_on(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    RB_CLEANUP(rb_freep) char *id = start(sim, "{\"projectName\":\"web\"}");
    rb_sim_advance(sim, 5000);
    json_t *b = on_id(sim, "StopBuildBatch", id, "");
    assert_phases(b,
                  "SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC:SUCCEEDED IN_PROGRESS:STOPPED STOPPED");
    assert_string_equal(member_status(b, 0), "STOPPED");
    json_decref(b);
    json_decref(on_id(sim, "StopBuildBatch", id, "")); /* stopped already: no effect */
    assert_int_equal(rb_sim_effects(sim, "StopBuildBatch", NULL), 1);
    json_decref(on_id(sim, "RetryBuildBatch", id, ""));
    rb_sim_advance(sim, HOUR_MS);
    b = read_batch(sim, id);
    assert_string_equal(text_at(b, "buildBatchStatus"), "SUCCEEDED"); /* late: second attempt */
    json_decref(b);
}

static void artifacts_are_combined_when_the_project_wants_it(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("projects: [{name: web}]");
    RB_CLEANUP(rb_freep)
    char *id = start(sim, "{\"projectName\":\"web\",\"buildTimeoutInMinutesOverride\":90,"
                          "\"buildBatchConfigOverride\":{\"combineArtifacts\":true}}");
    rb_sim_advance(sim, HOUR_MS);
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_batch(sim, id);
    assert_phases(b, "SUBMITTED:SUCCEEDED DOWNLOAD_BATCHSPEC:SUCCEEDED IN_PROGRESS:SUCCEEDED "
                     "COMBINE_ARTIFACTS:SUCCEEDED SUCCEEDED");
    assert_int_equal(json_integer_value(json_object_get(b, "buildTimeoutInMinutes")), 90);
    assert_string_equal(text_at(group(b, 0), "identifier"), "build");
}

static void batches_that_are_not_there_are_told_apart(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    assert_error(sim, "StartBuildBatch", "{\"projectName\":\"nope\"}", "ResourceNotFoundException");
    assert_error(sim, "StartBuildBatch", "{}", "InvalidInputException");
    refused(sim, "RetryBuildBatch", "web:nope", "ResourceNotFoundException");
    refused(sim, "StopBuildBatch", "nocolon", "InvalidInputException");
    assert_error(sim, "RetryBuildBatch", "{}", "InvalidInputException");
    assert_error(sim, "RetryBuildBatch", "{\"id\":\"web:x\",\"retryType\":\"SOME\"}",
                 "InvalidInputException");
    struct answer a = ask(sim, "BatchGetBuildBatches", "{\"ids\":[\"web:nope\"]}");
    json_t *missing = json_object_get(a.body, "buildBatchesNotFound");
    assert_string_equal(json_string_value(json_array_get(missing, 0)), "web:nope");
    answer_release(&a);
}

static size_t listed(struct rb_sim *sim, const char *operation, const char *body, char **ret_token)
{
    struct answer a = ask(sim, operation, body);
    assert_int_equal(a.reply.status, 200);
    const char *token = json_string_value(json_object_get(a.body, "nextToken"));
    *ret_token = token == NULL ? NULL : strdup(token);
    size_t n = json_array_size(json_object_get(a.body, "ids"));
    answer_release(&a);
    return n;
}

static void lists_have_a_filter_and_a_page_size(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(MATRIX);
    for (int i = 0; i < 5; i++) {
        free(start(sim, "{\"projectName\":\"web\"}"));
    }
    char *token = NULL;
    assert_int_equal(listed(sim, "ListBuildBatches", "{\"maxResults\":3}", &token), 3);
    assert_non_null(token);
    char body[1024];
    snprintf(body, sizeof body, "{\"maxResults\":3,\"nextToken\":\"%s\"}", token);
    free(token);
    assert_int_equal(listed(sim, "ListBuildBatches", body, &token), 2);
    assert_null(token);
    const char *failed = "{\"projectName\":\"web\",\"filter\":{\"status\":\"FAILED\"}}";
    assert_int_equal(listed(sim, "ListBuildBatchesForProject", failed, &token), 0);
    rb_sim_advance(sim, HOUR_MS);
    assert_int_equal(listed(sim, "ListBuildBatchesForProject", failed, &token), 5);
    assert_error(sim, "ListBuildBatches", "{\"maxResults\":101}", "InvalidInputException");
    assert_error(sim, "ListBuildBatchesForProject", "{}", "InvalidInputException");
    assert_error(sim, "ListBuildBatchesForProject", "{\"projectName\":\"nope\"}",
                 "ResourceNotFoundException");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_runs_its_builds_and_fails_with_one_of_them),
        cmocka_unit_test(a_retry_of_failed_builds_leaves_the_good_ones_alone),
        cmocka_unit_test(a_retry_of_all_builds_is_what_no_type_means),
        cmocka_unit_test(a_token_repeats_the_answer_and_not_the_retry),
        cmocka_unit_test(a_retry_makes_another_batch_where_the_script_says_so),
        cmocka_unit_test(a_stopped_batch_stops_its_builds_and_can_go_on),
        cmocka_unit_test(artifacts_are_combined_when_the_project_wants_it),
        cmocka_unit_test(batches_that_are_not_there_are_told_apart),
        cmocka_unit_test(lists_have_a_filter_and_a_page_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
