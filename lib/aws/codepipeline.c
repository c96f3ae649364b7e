/* CodePipeline, as far as a failed build of it is concerned: where it stands, what came after it,
 * and the retry of its stage. */
#include <retrybuild/codepipeline.h>

#include <math.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

#define BODY_MAX_BYTES 4096
#define PAGES_MAX 10
#define RUNS_MAX 1000
#define FAILED_MAX_BYTES 8192

const struct rb_aws_service rb_aws_pipeline = {.name = "codepipeline",
                                               .target = "CodePipeline_20150709"};

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a CodePipeline call");
}

static const char *text(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));
    return s == NULL || s[0] == '\0' ? NULL : s;
}

static const char *copied(struct rb_arena *a, const json_t *j, const char *name)
{
    return rb_arena_strdup(a, text(j, name));
}

static enum rb_code look_up(struct rb_codebuild *c, const char *operation, const char *region,
                            const struct rb_buf *body, json_t **ret_json, struct rb_err *err)
{
    const struct rb_aws_call call = {
        .service = &rb_aws_pipeline, .operation = operation, .region = region, .body = body};

    return rb_buf_failed(body) ? no_memory(err) : rb_aws_look_up(c, &call, ret_json, err);
}

/* ---- where a build stands ---- */

static const json_t *action_of(const json_t *stage, const char *build_id)
{
    const json_t *action = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(stage, "actionStates"), i, action)
    {
        const json_t *latest = json_object_get(action, "latestExecution");
        if (rb_str_eq(text(latest, "externalExecutionId"), build_id)) {
            return action;
        }
    }
    return NULL;
}

static bool read_place(const json_t *stage, const json_t *action, struct rb_arena *a,
                       struct rb_pipeline_place *p)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf failed = RB_BUF_INIT(FAILED_MAX_BYTES);
    const json_t *in_stage = json_object_get(stage, "latestExecution");
    const json_t *one = NULL;
    size_t i = 0;

    p->stage = copied(a, stage, "stageName");
    p->action = copied(a, action, "actionName");
    p->execution = copied(a, in_stage, "pipelineExecutionId");
    p->stage_status = copied(a, in_stage, "status");
    p->action_status = copied(a, json_object_get(action, "latestExecution"), "status");
    json_array_foreach(json_object_get(stage, "actionStates"), i, one)
    {
        const json_t *latest = json_object_get(one, "latestExecution");
        const char *status = text(latest, "status");
        p->busy = p->busy || rb_str_eq(status, "InProgress");
        if (rb_str_eq(status, "Failed")) {
            const char *id = text(latest, "actionExecutionId");
            id = id == NULL ? text(latest, "externalExecutionId") : id;
            rb_buf_addf(&failed, "%s %s ", text(one, "actionName"), id == NULL ? "" : id);
        }
    }
    p->failed = rb_buf_failed(&failed) ? NULL : rb_arena_strdup(a, rb_buf_str(&failed));
    return p->stage != NULL && p->action != NULL && p->failed != NULL;
}

enum rb_code rb_codepipeline_find(struct rb_codebuild *c, const char *region, const char *pipeline,
                                  const char *build_id, struct rb_arena *a,
                                  struct rb_pipeline_place *ret_p, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    struct rb_pipeline_place place = {.stage = NULL};
    const json_t *stage = NULL;
    size_t i = 0;

    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "name", pipeline);
    rb_buf_addc(&body, '}');
    enum rb_code rc = look_up(c, "GetPipelineState", region, &body, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (!json_is_array(json_object_get(j, "stageStates"))) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "GetPipelineState: the answer has no stages");
    }
    json_array_foreach(json_object_get(j, "stageStates"), i, stage)
    {
        const json_t *action = action_of(stage, build_id);
        if (action != NULL && !read_place(stage, action, a, &place)) {
            return rb_err_set(err, RB_E_AMBIGUOUS,
                              "GetPipelineState: a stage or action has no name, or no memory");
        }
        if (action != NULL) {
            break;
        }
    }
    *ret_p = place;
    return RB_OK;
}

/* ---- what came after it ---- */

static int64_t time_ms(const json_t *j, const char *name)
{
    double s = json_number_value(json_object_get(j, name));
    return s > 0 && s < 253402300799.0 ? (int64_t)llround(s * 1000.0) : 0;
}

static bool add_run(const json_t *j, struct rb_arena *a, struct rb_pipeline_run *run)
{
    const json_t *result = json_object_get(json_object_get(j, "output"), "executionResult");

    run->stage = copied(a, j, "stageName");
    run->action = copied(a, j, "actionName");
    run->build_id = copied(a, result, "externalExecutionId");
    run->started_ms = time_ms(j, "startTime");
    return run->stage != NULL && run->action != NULL;
}

static enum rb_code ask_page(struct rb_codebuild *c, const char *region, const char *pipeline,
                             const char *execution, const char *next, json_t **ret_page,
                             struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);

    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "pipelineName", pipeline);
    rb_buf_adds(&body, ",\"filter\":{\"pipelineExecutionId\":");
    rb_buf_add_json_string(&body, execution, strlen(execution));
    rb_buf_adds(&body, "},\"maxResults\":100");
    if (next != NULL) {
        rb_aws_add_member(&body, "nextToken", next);
    }
    rb_buf_addc(&body, '}');
    return look_up(c, "ListActionExecutions", region, &body, ret_page, err);
}

enum rb_code rb_codepipeline_runs(struct rb_codebuild *c, const char *region, const char *pipeline,
                                  const char *execution, struct rb_arena *a,
                                  struct rb_pipeline_run **ret_runs, unsigned *ret_n, bool *ret_cut,
                                  struct rb_err *err)
{
    struct rb_pipeline_run *runs = rb_arena_alloc(a, RUNS_MAX * sizeof(*runs));
    const char *next = NULL;
    unsigned n = 0;

    if (runs == NULL) {
        return no_memory(err);
    }
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
        const json_t *one = NULL;
        size_t i = 0;
        enum rb_code rc = ask_page(c, region, pipeline, execution, next, &j, err);
        if (rc != RB_OK) {
            return rc;
        }
        const json_t *list = json_object_get(j, "actionExecutionDetails");
        if (!json_is_array(list)) {
            return rb_err_set(err, RB_E_AMBIGUOUS, "ListActionExecutions: the answer has no list");
        }
        json_array_foreach(list, i, one)
        {
            if (n < RUNS_MAX && add_run(one, a, &runs[n])) {
                n++;
            }
        }
        next = copied(a, j, "nextToken");
        if (next == NULL) {
            break;
        }
    }
    *ret_runs = runs;
    *ret_n = n;
    *ret_cut = next != NULL;
    return RB_OK;
}

/* ---- the retry ---- */

enum rb_code rb_codepipeline_retry(struct rb_codebuild *c, const struct rb_stage_call *call,
                                   struct rb_arena *a, const char **ret_access_key,
                                   int64_t *ret_retry_after_ms, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    struct rb_aws_fate fate;

    *ret_retry_after_ms = -1;
    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "pipelineName", call->pipeline);
    rb_aws_add_member(&body, "stageName", call->stage);
    rb_aws_add_member(&body, "pipelineExecutionId", call->execution);
    rb_aws_add_member(&body, "retryMode", "FAILED_ACTIONS");
    rb_buf_addc(&body, '}');
    if (rb_buf_failed(&body)) {
        return no_memory(err);
    }
    const struct rb_aws_call send = {.service = &rb_aws_pipeline,
                                     .operation = "RetryStageExecution",
                                     .region = call->region,
                                     .body = &body,
                                     .date_ms = call->date_ms,
                                     .timeout_ms = c->timeout_ms,
                                     .changes = true,
                                     .last_check = call->last_check,
                                     .arg = call->arg};
    enum rb_code rc = rb_aws_send(c, &send, &fate, &j, err);
    *ret_retry_after_ms = fate.retry_after_ms;
    if (rc == RB_OK) {
        *ret_access_key = rb_arena_strdup(a, fate.access_key);
    }
    return rc;
}
