/* pipeline.h - as much of CodePipeline as a failed build of it is concerned with: pipelines of the
 * script, whose actions run builds; executions; the retry of a failed stage.
 *
 * The actions of a stage run at once; a stage that succeeded is followed by the next. Source: AWS's
 * CodePipeline API, 2015-07-09.
 */
#ifndef RB_SIM_PIPELINE_H
#define RB_SIM_PIPELINE_H

#include "core.h"

struct sim_action_run {
    size_t stage, action;
    char id[SIM_UUID_BYTES];
    const struct sim_build *build; /* borrowed from the core */
    int64_t start_ms;
};

struct sim_execution {
    char id[SIM_UUID_BYTES];
    size_t stage; /* where it is */
    bool over;
    struct sim_action_run *runs; /* oldest first */
    size_t n_runs, cap_runs;
};

/* Guarded by the core's lock, as all state. */
struct sim_pipeline {
    const char *name;
    json_t *stages;               /* of the script: {name, actions: [{name, project}]}; borrowed */
    struct sim_execution **execs; /* oldest first */
    size_t n_execs, cap_execs;
};

/* sim_pipelines_tick - stages that follow on those that succeeded; true: builds were started. */
bool sim_pipelines_tick(struct rb_sim *sim, int64_t now_ms);
void sim_pipelines_free(struct rb_sim *sim);

#endif
