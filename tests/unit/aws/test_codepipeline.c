/* CodePipeline against a scripted server: where a build stands, what came after it, the one call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/codepipeline.h>

#include "codebuild_world.h"

#define EXECUTION "11111111-2222-3333-4444-555555555555"
#define ACTION(name, id, status, build)                                             \
    "{\"actionName\":\"" name "\",\"latestExecution\":{\"actionExecutionId\":\"" id \
    "\",\"status\":\"" status "\",\"externalExecutionId\":\"" build "\"}}"
#define STATE(actions)                                                                          \
    "{\"pipelineName\":\"release\",\"stageStates\":[{\"stageName\":\"Source\"},{\"stageName\":" \
    "\"Build\",\"actionStates\":[" actions                                                      \
    "],\"latestExecution\":{\"pipelineExecutionId\":\"" EXECUTION "\",\"status\":\"Failed\"}}]}"

static enum rb_code find(struct world *w, struct rb_pipeline_place *p)
{
    return rb_codepipeline_find(w->client, "us-east-1", "release", PARENT, &w->arena, p, &w->err);
}

static void the_action_that_ran_a_build_is_found(void **state)
{
    struct world *w = *state;
    struct rb_pipeline_place p;

    script_server_push_json(
        w->server, 200, "",
        STATE(ACTION("Lint", "a1", "Succeeded", "x:1") "," ACTION(
            "Test", "a2", "Failed", "x:2") "," ACTION("Compile", "a3", "Failed", PARENT)));
    assert_int_equal(find(w, &p), RB_OK);
    assert_string_equal(p.stage, "Build");
    assert_string_equal(p.action, "Compile");
    assert_string_equal(p.execution, EXECUTION);
    assert_string_equal(p.stage_status, "Failed");
    assert_string_equal(p.action_status, "Failed");
    assert_string_equal(p.failed, "Test a2 Compile a3 ");
    assert_false(p.busy);
    assert_string_equal(script_server_body(w->server, 0), "{\"name\":\"release\"}");
    char *target = script_server_header(w->server, 0, "x-amz-target");
    assert_string_equal(target, "CodePipeline_20150709.GetPipelineState");
    free(target);
    char *authorization = script_server_header(w->server, 0, "authorization");
    assert_non_null(strstr(authorization, "/us-east-1/codepipeline/aws4_request"));
    free(authorization);
}

static void a_build_that_is_not_the_newest_has_no_place(void **state)
{
    struct world *w = *state;
    struct rb_pipeline_place p;

    script_server_push_json(w->server, 200, "", STATE(ACTION("Compile", "a4", "Failed", CHILD)));
    assert_int_equal(find(w, &p), RB_OK);
    assert_null(p.stage);
    script_server_push_json(w->server, 200, "",
                            STATE(ACTION("Test", "a2", "InProgress",
                                         "x:2") "," ACTION("Compile", "a3", "Failed", PARENT)));
    assert_int_equal(find(w, &p), RB_OK);
    assert_true(p.busy);
    script_server_push_json(w->server, 200, "", "{}");
    assert_int_equal(find(w, &p), RB_E_AMBIGUOUS);
    script_server_push_json(w->server, 400, "", "{\"__type\":\"PipelineNotFoundException\"}");
    assert_int_equal(find(w, &p), RB_E_REFUSED);
}

static void executions_of_actions_come_page_by_page(void **state)
{
    struct world *w = *state;
    struct rb_pipeline_run *runs = NULL;
    unsigned n = 0;
    bool cut = true;

    script_server_push_json(
        w->server, 200, "",
        "{\"actionExecutionDetails\":[{\"stageName\":\"Build\",\"actionName\":\"Compile\","
        "\"startTime\":1795000000.25,\"status\":\"InProgress\"}],\"nextToken\":\"next\"}");
    script_server_push_json(
        w->server, 200, "",
        "{\"actionExecutionDetails\":[{\"stageName\":\"Build\",\"actionName\":\"Compile\","
        "\"startTime\":1794000000,\"output\":{\"executionResult\":{\"externalExecutionId\":"
        "\"" PARENT "\"}}}]}");
    assert_int_equal(rb_codepipeline_runs(w->client, "us-east-1", "release", EXECUTION, &w->arena,
                                          &runs, &n, &cut, &w->err),
                     RB_OK);
    assert_int_equal(n, 2);
    assert_false(cut);
    assert_null(runs[0].build_id);
    assert_int_equal(runs[0].started_ms, 1795000000250);
    assert_string_equal(runs[1].build_id, PARENT);
    assert_string_equal(script_server_body(w->server, 1),
                        "{\"pipelineName\":\"release\",\"filter\":{\"pipelineExecutionId\":"
                        "\"" EXECUTION "\"},\"maxResults\":100,\"nextToken\":\"next\"}");
}

static enum rb_code last_check(void *arg, struct rb_err *err)
{
    struct world *w = arg;

    w->checks++;
    return w->check_says == RB_OK ? RB_OK : rb_err_set(err, w->check_says, "the check said no");
}

static enum rb_code retry(struct world *w)
{
    const struct rb_stage_call call = {.region = "us-east-1",
                                       .pipeline = "release",
                                       .stage = "Build",
                                       .execution = EXECUTION,
                                       .date_ms = DATE_MS - 60000,
                                       .last_check = last_check,
                                       .arg = w};
    const char *key = NULL;
    int64_t after_ms = 0;

    return rb_codepipeline_retry(w->client, &call, &w->arena, &key, &after_ms, &w->err);
}

static void the_failed_actions_are_asked_for_with_the_date_of_the_call(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", "{\"pipelineExecutionId\":\"" EXECUTION "\"}");
    assert_int_equal(retry(w), RB_OK);
    assert_string_equal(script_server_body(w->server, 0),
                        "{\"pipelineName\":\"release\",\"stageName\":\"Build\","
                        "\"pipelineExecutionId\":\"" EXECUTION
                        "\",\"retryMode\":\"FAILED_ACTIONS\"}");
    char *date = script_server_header(w->server, 0, "x-amz-date");
    assert_string_equal(date, "20261118T110540Z");
    free(date);
    assert_int_equal(w->checks, 1);
}

static void answers_are_told_apart(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *type;
        enum rb_code rc;
    } rows[] = {
        {"StageNotRetryableException", RB_E_REFUSED},
        {"NotLatestPipelineExecutionException", RB_E_REFUSED},
        {"StageNotFoundException", RB_E_REFUSED},
        {"ValidationException", RB_E_REFUSED},
        {"ConflictException", RB_E_THROTTLED},
        {"ConcurrentPipelineExecutionsLimitExceededException", RB_E_LATER},
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        char *body = rb_arena_printf(&w->arena, "{\"__type\":\"%s\"}", rows[i].type);
        script_server_push_json(w->server, 400, "", body);
        assert_int_equal(retry(w), rows[i].rc);
    }
    script_server_push_json(w->server, 503, "", "");
    assert_int_equal(retry(w), RB_E_AMBIGUOUS);
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(rows) + 1); /* each once */
    w->check_says = RB_E_TIMEOUT;
    assert_int_equal(retry(w), RB_E_TIMEOUT);
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(rows) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(the_action_that_ran_a_build_is_found),
        ROW(a_build_that_is_not_the_newest_has_no_place),
        ROW(executions_of_actions_come_page_by_page),
        ROW(the_failed_actions_are_asked_for_with_the_date_of_the_call),
        ROW(answers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
