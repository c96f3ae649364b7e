/* operations.c - the table of operations: name, input, handler. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "core.h"
#include "model.h"

static const struct {
    const char *name;
    const struct sim_shape *input; /* NULL: the handler checks */
    void (*handler)(struct sim_call *c);
    enum { CODEBUILD, LOGS, PIPELINE } service;
} operations[] = {
    {"BatchGetBuildBatches", &sim_batch_get_build_batches_input, sim_batch_get_build_batches},
    {"BatchGetBuilds", &sim_batch_get_builds_input, sim_batch_get_builds},
    {"BatchGetProjects", &sim_batch_get_projects_input, sim_batch_get_projects},
    {"CreateProject", &sim_create_project_input, sim_create_project},
    {"DeleteProject", &sim_delete_project_input, sim_delete_project},
    {"GetLogEvents", NULL, sim_get_log_events, LOGS},
    {"GetPipelineState", NULL, sim_get_pipeline_state, PIPELINE},
    {"ListActionExecutions", NULL, sim_list_action_executions, PIPELINE},
    {"ListBuildBatches", &sim_list_build_batches_input, sim_list_build_batches},
    {"ListBuildBatchesForProject", &sim_list_build_batches_for_project_input,
     sim_list_build_batches_for_project},
    {"ListBuilds", &sim_list_builds_input, sim_list_builds},
    {"ListBuildsForProject", &sim_list_builds_for_project_input, sim_list_builds_for_project},
    {"ListProjects", &sim_list_projects_input, sim_list_projects},
    {"RetryBuild", &sim_retry_build_input, sim_retry_build},
    {"RetryBuildBatch", &sim_retry_build_batch_input, sim_retry_build_batch},
    {"RetryStageExecution", NULL, sim_retry_stage_execution, PIPELINE},
    {"StartBuild", &sim_start_build_input, sim_start_build},
    {"StartBuildBatch", &sim_start_build_batch_input, sim_start_build_batch},
    {"StartPipelineExecution", NULL, sim_start_pipeline_execution, PIPELINE},
    {"StopBuild", &sim_stop_build_input, sim_stop_build},
    {"StopBuildBatch", &sim_stop_build_batch_input, sim_stop_build_batch},
};

const char *sim_operation_name(const char *target)
{
    static const char *const prefixes[] = {[CODEBUILD] = "CodeBuild_20161006.",
                                           [LOGS] = "Logs_20140328.",
                                           [PIPELINE] = "CodePipeline_20150709."};
    for (size_t i = 0; target != NULL && i < RB_ARRAY_LEN(prefixes); i++) {
        if (!rb_str_starts(target, prefixes[i])) {
            continue;
        }
        for (size_t k = 0; k < RB_ARRAY_LEN(operations); k++) {
            if ((size_t)operations[k].service == i &&
                strcmp(operations[k].name, target + strlen(prefixes[i])) == 0) {
                return operations[k].name;
            }
        }
    }
    return NULL;
}

void sim_operation(struct sim_call *c)
{
    size_t k = 0;
    while (strcmp(operations[k].name, c->operation) != 0) {
        k++;
    }
    struct rb_err err;
    enum rb_code rc = RB_OK;
    if (operations[k].input != NULL) {
        rc = sim_model_check(operations[k].input, c->in, &err);
    }
    if (rc == RB_OK) {
        operations[k].handler(c);
    } else {
        bool constraint = rc == RB_E_INVALID;
        sim_fail(c, constraint ? "InvalidInputException" : "SerializationException", "%s", err.msg);
    }
}
