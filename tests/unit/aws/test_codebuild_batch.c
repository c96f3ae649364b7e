/* Batch builds against a scripted server: what is sent, and how a batch is read as a build. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "codebuild_world.h"

#define BATCH "web-app:bbbbbbbb-2222-3333-4444-555555555555"
#define ARN "arn:aws:codebuild:us-east-1:123456789012:build"
/* As the AWS CLI's example of retry-build-batch shows it. */
#define RETRIED                                                                                    \
    "{\"id\":\"" BATCH "\",\"arn\":\"" ARN "-batch/" BATCH "\",\"startTime\":1604009474.6,"        \
    "\"currentPhase\":\"SUBMITTED\",\"buildBatchStatus\":\"IN_PROGRESS\",\"projectName\":"         \
    "\"web-app\",\"buildBatchNumber\":4,\"sourceVersion\":\"refs/heads/main\",\"phases\":["        \
    "{\"phaseType\":\"SUBMITTED\",\"phaseStatus\":\"SUCCEEDED\",\"startTime\":1604009474.7},"      \
    "{\"phaseType\":\"IN_PROGRESS\",\"phaseStatus\":\"CLIENT_ERROR\",\"startTime\":1604009476.1}," \
    "{\"phaseType\":\"FAILED\",\"phaseStatus\":\"RETRY\",\"startTime\":1604009548.9},"             \
    "{\"phaseType\":\"SUBMITTED\",\"startTime\":1604010064.123}],\"source\":{\"type\":"            \
    "\"GITHUB\",\"location\":\"https://github.com/o/r.git\"},\"buildGroups\":["                    \
    "{\"identifier\":\"a\",\"ignoreFailure\":false,\"currentBuildSummary\":{\"arn\":\"" ARN        \
    "/web-app:2\",\"buildStatus\":\"IN_PROGRESS\"},\"priorBuildSummaryList\":[{\"arn\":\"" ARN     \
    "/web-app:1\",\"buildStatus\":\"FAILED\"}]},{\"identifier\":\"b\",\"ignoreFailure\":true}]}"

static struct retried retry_batch(struct world *w)
{
    struct retried r = {.rc = RB_OK};
    const struct rb_retry_call call = {.region = "us-east-1",
                                       .batch_id = BATCH,
                                       .build_id = PARENT,
                                       .token = "token-1",
                                       .date_ms = DATE_MS,
                                       .start = true}; /* not looked at */
    r.rc = rb_codebuild_retry(w->client, &call, &w->arena, &r.child, &r.access_key,
                              &r.retry_after_ms, &w->err);
    return r;
}

static void failed_builds_are_asked_for_and_the_batch_is_the_child(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", "{\"buildBatch\":" RETRIED "}");
    struct retried r = retry_batch(w);
    assert_int_equal(r.rc, RB_OK);
    assert_string_equal(script_server_body(w->server, 0),
                        "{\"id\":\"" BATCH "\",\"idempotencyToken\":\"token-1\","
                        "\"retryType\":\"RETRY_FAILED_BUILDS\"}");
    char *target = script_server_header(w->server, 0, "x-amz-target");
    assert_string_equal(target, "CodeBuild_20161006.RetryBuildBatch");
    free(target);
    assert_string_equal(r.child.id, BATCH);
    assert_string_equal(r.child.arn, ARN "-batch/" BATCH);
    assert_true(rb_build_is_batch(&r.child));
    assert_string_equal(r.child.project, "web-app");
    assert_string_equal(r.child.account, "123456789012");
    assert_string_equal(r.child.status, "IN_PROGRESS");
    assert_string_equal(r.child.branch, "main");
    assert_string_equal(r.child.repository, "https://github.com/o/r");
    assert_int_equal(r.child.number, 4);
    assert_int_equal(r.child.run_ms, 1604010064123); /* submitted last */
    assert_null(r.child.phase);
}

static void an_answer_without_a_batch_is_ambiguous(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    assert_int_equal(retry_batch(w).rc, RB_E_AMBIGUOUS);
    script_server_push_json(w->server, 200, "", "{\"buildBatch\":{\"id\":\"" BATCH "\"}}");
    assert_int_equal(retry_batch(w).rc, RB_E_AMBIGUOUS);
    script_server_push_json(w->server, 400, "", "{\"__type\":\"InvalidInputException\"}");
    assert_int_equal(retry_batch(w).rc, RB_E_REFUSED);
}

static void the_builds_of_a_batch_are_told_with_those_of_before(void **state)
{
    struct world *w = *state;
    const char *const ids[] = {BATCH};
    struct rb_batch *batches = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 200, "", "{\"buildBatches\":[" RETRIED "]}");
    assert_int_equal(
        rb_codebuild_get_batches(w->client, "us-east-1", ids, 1, &w->arena, &batches, &n, &w->err),
        RB_OK);
    assert_string_equal(script_server_body(w->server, 0), "{\"ids\":[\"" BATCH "\"]}");
    assert_int_equal(n, 1);
    assert_int_equal(batches[0].n_members, 2);
    assert_string_equal(batches[0].members[0].id, "web-app:2");
    assert_true(batches[0].members[0].newest);
    assert_string_equal(batches[0].members[1].id, "web-app:1");
    assert_string_equal(batches[0].members[1].status, "FAILED");
    assert_false(batches[0].members[1].newest);
    script_server_push_json(w->server, 200, "", "{}");
    assert_int_equal(
        rb_codebuild_get_batches(w->client, "us-east-1", ids, 1, &w->arena, &batches, &n, &w->err),
        RB_E_AMBIGUOUS);
}

static void batches_of_a_project_are_listed_and_one_is_stopped(void **state)
{
    struct world *w = *state;
    struct rb_batch batch;
    const char **ids = NULL;
    const char *next = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 200, "", "{\"ids\":[\"" BATCH "\"],\"nextToken\":\"t\"}");
    assert_int_equal(rb_codebuild_list_batches(w->client, "us-east-1", "web-app", NULL, &w->arena,
                                               &ids, &n, &next, &w->err),
                     RB_OK);
    assert_string_equal(script_server_body(w->server, 0), "{\"projectName\":\"web-app\"}");
    assert_int_equal(n, 1);
    assert_string_equal(next, "t");
    script_server_push_json(w->server, 200, "", "{\"buildBatch\":" RETRIED "}");
    assert_int_equal(
        rb_codebuild_stop_batch(w->client, "us-east-1", BATCH, &w->arena, &batch, &w->err), RB_OK);
    char *target = script_server_header(w->server, 1, "x-amz-target");
    assert_string_equal(target, "CodeBuild_20161006.StopBuildBatch");
    free(target);
    assert_string_equal(batch.b.id, BATCH);
}

static void runs_of_one_batch_have_keys_of_their_own(void **state)
{
    struct world *w = *state;
    char first[RB_KEY_BYTES], second[RB_KEY_BYTES], member[RB_KEY_BYTES];

    script_server_push_json(w->server, 200, "", "{\"buildBatch\":" RETRIED "}");
    struct retried r = retry_batch(w);
    rb_build_key(&r.child, first);
    r.child.run_ms++;
    rb_build_key(&r.child, second);
    assert_string_not_equal(first, second);
    r.child.arn = ARN "/web-app:1"; /* a build of the batch: one key, whatever the run */
    rb_build_key(&r.child, first);
    r.child.run_ms++;
    rb_build_key(&r.child, member);
    assert_string_equal(first, member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(failed_builds_are_asked_for_and_the_batch_is_the_child),
        ROW(an_answer_without_a_batch_is_ambiguous),
        ROW(the_builds_of_a_batch_are_told_with_those_of_before),
        ROW(batches_of_a_project_are_listed_and_one_is_stopped),
        ROW(runs_of_one_batch_have_keys_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
