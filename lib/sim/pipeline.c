/* pipeline.c - executions of pipelines, and the four operations on them. */
#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

static const char *name_of(json_t *row)
{
    return json_string_value(json_object_get(row, "name"));
}

static json_t *actions_of(const struct sim_pipeline *p, size_t stage)
{
    return json_object_get(json_array_get(p->stages, stage), "actions");
}

void sim_pipelines_free(struct rb_sim *sim)
{
    for (size_t i = 0; i < sim->n_pipelines; i++) {
        for (size_t k = 0; k < sim->pipelines[i].n_execs; k++) {
            free(sim->pipelines[i].execs[k]->runs);
            free(sim->pipelines[i].execs[k]);
        }
        free(sim->pipelines[i].execs);
    }
    free(sim->pipelines);
    sim->pipelines = NULL;
    sim->n_pipelines = 0;
}

enum rb_code sim_pipelines_from_script(struct rb_sim *sim, struct rb_err *err)
{
    json_t *rows = json_object_get(sim->script->doc, "pipelines");
    size_t i;
    json_t *row;
    sim->pipelines = calloc(json_array_size(rows) + 1, sizeof *sim->pipelines);
    if (sim->pipelines == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for pipelines");
    }
    json_array_foreach(rows, i, row)
    {
        sim->pipelines[sim->n_pipelines++] =
            (struct sim_pipeline){.name = name_of(row), .stages = json_object_get(row, "stages")};
    }
    return RB_OK;
}

/* ---- executions ---- */

static const struct sim_action_run *newest(const struct sim_execution *e, size_t stage,
                                           size_t action)
{
    for (size_t i = e->n_runs; i-- > 0;) {
        if (e->runs[i].stage == stage && e->runs[i].action == action) {
            return &e->runs[i];
        }
    }
    return NULL;
}

static const char *run_status(const struct sim_action_run *run)
{
    if (!run->build->complete) {
        return "InProgress";
    }
    return strcmp(run->build->status, "SUCCEEDED") == 0 ? "Succeeded" : "Failed";
}

/* NULL: the execution has not come to the stage. */
static const char *stage_status(const struct sim_pipeline *p, const struct sim_execution *e,
                                size_t stage)
{
    const char *status = NULL;
    for (size_t i = 0; i < json_array_size(actions_of(p, stage)); i++) {
        const struct sim_action_run *run = newest(e, stage, i);
        const char *one = run == NULL ? NULL : run_status(run);
        if (rb_str_eq(one, "InProgress")) {
            return one;
        }
        status = status == NULL || rb_str_eq(one, "Failed") ? one : status;
    }
    return status;
}

static bool start_action(struct rb_sim *sim, const struct sim_pipeline *p, struct sim_execution *e,
                         size_t stage, size_t action, int64_t at_ms)
{
    json_t *row = json_array_get(actions_of(p, stage), action);
    struct sim_project *project =
        sim_project_find(sim, json_string_value(json_object_get(row, "project")));
    const struct sim_action_run *before = newest(e, stage, action);
    if (project == NULL) {
        return false;
    }
    if (e->n_runs == e->cap_runs) {
        size_t cap = e->cap_runs == 0 ? 8 : 2 * e->cap_runs;
        struct sim_action_run *runs = realloc(e->runs, cap * sizeof *runs);
        if (runs == NULL) {
            return false;
        }
        before = before == NULL ? NULL : runs + (before - e->runs);
        e->runs = runs;
        e->cap_runs = cap;
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf initiator = RB_BUF_INIT(256);
    rb_buf_addf(&initiator, "codepipeline/%s", p->name);
    json_t *overrides = json_pack("{s:s}", "sourceTypeOverride", "CODEPIPELINE");
    json_t *logs = sim_build_logs_config(project, overrides);
    const struct sim_start start = {.project = project,
                                    .take_base = sim_build_base(sim, project, overrides),
                                    .logs_config = logs,
                                    .parent = before == NULL ? NULL : before->build,
                                    .take_initiator = rb_buf_detach(&initiator),
                                    .now_ms = at_ms};
    struct sim_build *b = sim_build_start(sim, &start);
    json_decref(logs);
    json_decref(overrides);
    if (b == NULL) {
        return false;
    }
    struct sim_action_run *run = &e->runs[e->n_runs++];
    *run = (struct sim_action_run){.stage = stage, .action = action, .build = b, .start_ms = at_ms};
    sim_uuid(run->id);
    sim_ledger_add(sim, b, "PipelineAction", NULL, NULL, at_ms);
    return true;
}

static void enter_stage(struct rb_sim *sim, const struct sim_pipeline *p, struct sim_execution *e,
                        size_t stage, int64_t at_ms)
{
    e->stage = stage;
    for (size_t i = 0; i < json_array_size(actions_of(p, stage)); i++) {
        (void)start_action(sim, p, e, stage, i, at_ms);
    }
    pthread_cond_broadcast(&sim->changed);
}

static bool step(struct rb_sim *sim, const struct sim_pipeline *p, struct sim_execution *e)
{
    int64_t at_ms = 0;
    if (e->over || !rb_str_eq(stage_status(p, e, e->stage), "Succeeded")) {
        return false;
    }
    for (size_t i = 0; i < e->n_runs; i++) {
        const struct sim_build *b = e->runs[i].build;
        at_ms = b->complete && b->end_ms > at_ms ? b->end_ms : at_ms;
    }
    e->over = e->stage + 1 == json_array_size(p->stages);
    if (!e->over) {
        enter_stage(sim, p, e, e->stage + 1, at_ms);
    }
    return !e->over;
}

bool sim_pipelines_tick(struct rb_sim *sim, int64_t now_ms)
{
    bool moved = false;
    (void)now_ms;
    for (size_t i = 0; i < sim->n_pipelines; i++) {
        for (size_t k = 0; k < sim->pipelines[i].n_execs; k++) {
            moved = step(sim, &sim->pipelines[i], sim->pipelines[i].execs[k]) || moved;
        }
    }
    return moved;
}

/* ---- operations ---- */

static struct sim_pipeline *named(struct sim_call *c, const char *member)
{
    const char *name = json_string_value(json_object_get(c->in, member));
    if (rb_str_empty(name)) {
        sim_fail(c, "ValidationException",
                 "1 validation error detected: Value null at '%s' failed to satisfy constraint: "
                 "Member must not be null",
                 member);
        return NULL;
    }
    for (size_t i = 0; i < c->sim->n_pipelines; i++) {
        if (strcmp(c->sim->pipelines[i].name, name) == 0) {
            return &c->sim->pipelines[i];
        }
    }
    sim_fail(c, "PipelineNotFoundException", "Account '%s' does not have a pipeline with name '%s'",
             c->sim->account, name);
    return NULL;
}

void sim_start_pipeline_execution(struct sim_call *c)
{
    struct sim_pipeline *p = named(c, "name");
    struct sim_execution *e = p == NULL ? NULL : calloc(1, sizeof *e);
    if (p == NULL) {
        return;
    }
    if (e == NULL || !sim_grow(&p->execs, p->n_execs, &p->cap_execs)) {
        free(e);
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    sim_uuid(e->id);
    p->execs[p->n_execs++] = e;
    enter_stage(c->sim, p, e, 0, c->now_ms);
    sim_ledger_row(c->sim, e->id, NULL, c->operation, NULL, c->access_key, c->now_ms);
    c->out = json_pack("{s:s}", "pipelineExecutionId", e->id);
}

static const struct sim_execution *in_stage(const struct sim_pipeline *p, size_t stage)
{
    for (size_t k = p->n_execs; k-- > 0;) {
        if (stage_status(p, p->execs[k], stage) != NULL) {
            return p->execs[k];
        }
    }
    return NULL;
}

static json_t *action_state(const struct sim_pipeline *p, const struct sim_execution *e,
                            size_t stage, size_t action)
{
    json_t *out =
        json_pack("{s:s}", "actionName", name_of(json_array_get(actions_of(p, stage), action)));
    const struct sim_action_run *run = e == NULL ? NULL : newest(e, stage, action);
    if (run != NULL) {
        int64_t changed_ms = run->build->complete ? run->build->end_ms : run->start_ms;
        json_object_set_new(out, "latestExecution",
                            json_pack("{s:s, s:s, s:f, s:s}", "actionExecutionId", run->id,
                                      "status", run_status(run), "lastStatusChange",
                                      sim_time_s(changed_ms), "externalExecutionId",
                                      run->build->id));
    }
    return out;
}

void sim_get_pipeline_state(struct sim_call *c)
{
    const struct sim_pipeline *p = named(c, "name");
    if (p == NULL) {
        return;
    }
    json_t *stages = json_array();
    for (size_t s = 0; s < json_array_size(p->stages); s++) {
        const struct sim_execution *e = in_stage(p, s);
        json_t *actions = json_array();
        for (size_t i = 0; i < json_array_size(actions_of(p, s)); i++) {
            json_array_append_new(actions, action_state(p, e, s, i));
        }
        json_t *stage =
            json_pack("{s:s, s:{s:b}, s:o}", "stageName", name_of(json_array_get(p->stages, s)),
                      "inboundTransitionState", "enabled", 1, "actionStates", actions);
        if (e != NULL) {
            json_object_set_new(stage, "latestExecution",
                                json_pack("{s:s, s:s}", "pipelineExecutionId", e->id, "status",
                                          stage_status(p, e, s)));
        }
        json_array_append_new(stages, stage);
    }
    c->out = json_pack("{s:s, s:i, s:o}", "pipelineName", p->name, "pipelineVersion", 1,
                       "stageStates", stages);
}

static json_t *run_json(const struct rb_sim *sim, const struct sim_pipeline *p,
                        const struct sim_execution *e, const struct sim_action_run *run)
{
    json_t *action = json_array_get(actions_of(p, run->stage), run->action);
    int64_t updated_ms = run->build->complete ? run->build->end_ms : run->start_ms;
    return json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:f, s:f, s:s, s:{s:{s:s, s:s, s:s, s:s}, s:{s:O}, s:s}, "
        "s:{s:{s:s}}}",
        "pipelineExecutionId", e->id, "actionExecutionId", run->id, "pipelineVersion", 1,
        "stageName", name_of(json_array_get(p->stages, run->stage)), "actionName", name_of(action),
        "startTime", sim_time_s(run->start_ms), "lastUpdateTime", sim_time_s(updated_ms), "status",
        run_status(run), "input", "actionTypeId", "category", "Build", "owner", "AWS", "provider",
        "CodeBuild", "version", "1", "configuration", "ProjectName",
        json_object_get(action, "project"), "region", sim->region, "output", "executionResult",
        "externalExecutionId", run->build->id);
}

static bool known_run(const struct sim_pipeline *p, const char *id)
{
    for (size_t k = 0; k < p->n_execs; k++) {
        for (size_t i = 0; i < p->execs[k]->n_runs; i++) {
            if (strcmp(p->execs[k]->runs[i].id, id) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Newest first; the token names the last that was given, so that new ones shift nothing. */
void sim_list_action_executions(struct sim_call *c)
{
    const struct sim_pipeline *p = named(c, "pipelineName");
    json_t *filter = json_object_get(c->in, "filter");
    const char *only = json_string_value(json_object_get(filter, "pipelineExecutionId"));
    const char *after = json_string_value(json_object_get(c->in, "nextToken"));
    json_t *max = json_object_get(c->in, "maxResults");
    size_t most = json_is_integer(max) ? (size_t)json_integer_value(max) : SIM_PAGE;
    const char *last = NULL;
    bool more = false;
    if (p == NULL) {
        return;
    }
    if (after != NULL && !known_run(p, after)) {
        sim_fail(c, "InvalidNextTokenException",
                 "The next token was specified in an invalid format");
        return;
    }
    json_t *list = json_array();
    for (size_t k = p->n_execs; k-- > 0;) {
        const struct sim_execution *e = p->execs[k];
        for (size_t i = e->n_runs; i-- > 0;) {
            bool fits = after == NULL && (only == NULL || strcmp(only, e->id) == 0);
            after = rb_str_eq(after, e->runs[i].id) ? NULL : after;
            more = more || (fits && json_array_size(list) == most);
            if (fits && json_array_size(list) < most) {
                json_array_append_new(list, run_json(c->sim, p, e, &e->runs[i]));
                last = e->runs[i].id;
            }
        }
    }
    c->out =
        json_pack("{s:o, s:s*}", "actionExecutionDetails", list, "nextToken", more ? last : NULL);
}

static bool find_stage(struct sim_call *c, const struct sim_pipeline *p, size_t *ret_stage)
{
    const char *name = json_string_value(json_object_get(c->in, "stageName"));
    for (size_t s = 0; s < json_array_size(p->stages); s++) {
        if (rb_str_eq(name_of(json_array_get(p->stages, s)), name)) {
            *ret_stage = s;
            return true;
        }
    }
    sim_fail(c, "StageNotFoundException", "Pipeline '%s' does not have a stage with name '%s'",
             p->name, name == NULL ? "" : name);
    return false;
}

void sim_retry_stage_execution(struct sim_call *c)
{
    const struct sim_pipeline *p = named(c, "pipelineName");
    const char *id = json_string_value(json_object_get(c->in, "pipelineExecutionId"));
    const char *mode = json_string_value(json_object_get(c->in, "retryMode"));
    size_t stage = 0, failed = 0;
    if (p == NULL || !find_stage(c, p, &stage)) {
        return;
    }
    if (id == NULL || !rb_str_eq(mode, "FAILED_ACTIONS")) {
        sim_fail(c, "ValidationException",
                 "pipelineExecutionId and retryMode FAILED_ACTIONS are required");
        return;
    }
    struct sim_execution *e = NULL;
    for (size_t k = 0; k < p->n_execs; k++) {
        e = strcmp(p->execs[k]->id, id) == 0 ? p->execs[k] : e;
    }
    if (e == NULL || in_stage(p, stage) != e) {
        sim_fail(c, "NotLatestPipelineExecutionException",
                 "The execution '%s' is not the latest in stage '%s'", id,
                 name_of(json_array_get(p->stages, stage)));
        return;
    }
    bool busy = rb_str_eq(stage_status(p, e, stage), "InProgress");
    for (size_t i = 0; i < json_array_size(actions_of(p, stage)); i++) {
        const struct sim_action_run *run = newest(e, stage, i);
        bool again = run != NULL && rb_str_eq(run_status(run), "Failed") &&
                     (!busy || c->sim->script->retry_busy_stage);
        if (again && start_action(c->sim, p, e, stage, i, c->now_ms)) {
            failed++;
        }
    }
    if (failed == 0) {
        sim_fail(c, "StageNotRetryableException",
                 "Stage '%s' of execution '%s' has no failed actions that can be retried",
                 name_of(json_array_get(p->stages, stage)), id);
        return;
    }
    pthread_cond_broadcast(&c->sim->changed);
    sim_ledger_row(c->sim, e->id, NULL, c->operation, NULL, c->access_key, c->now_ms);
    c->out = json_pack("{s:s}", "pipelineExecutionId", e->id);
}
