/* state.c - everything that a reset throws away and a start creates. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "batch.h"
#include "core.h"
#include "pipeline.h"

void sim_state_release(struct rb_sim *sim)
{
    for (size_t i = 0; i < sim->n_projects; i++) {
        sim_project_free(sim->projects[i]);
    }
    for (size_t i = 0; i < sim->n_builds; i++) {
        sim_build_free(sim->builds[i]);
    }
    for (size_t i = 0; i < sim->n_batches; i++) {
        sim_batch_free(sim->batches[i]);
    }
    sim_pipelines_free(sim);
    free(sim->batches);
    free(sim->open_batches);
    sim->batches = sim->open_batches = NULL;
    sim->n_batches = sim->cap_batches = 0;
    sim->n_open_batches = sim->cap_open_batches = 0;
    sim->n_active = 0;
    json_decref(sim->batch_index);
    sim->batch_index = NULL;
    free(sim->projects);
    free(sim->builds);
    free(sim->running);
    free(sim->faults);
    sim->projects = NULL;
    sim->builds = NULL;
    sim->running = NULL;
    sim->faults = NULL;
    sim->n_projects = sim->cap_projects = 0;
    sim->n_builds = sim->cap_builds = 0;
    sim->n_running = sim->cap_running = 0;
    sim->n_faults = 0;
    json_decref(sim->project_index);
    json_decref(sim->build_index);
    json_decref(sim->tokens);
    json_decref(sim->effects);
    json_decref(sim->fault_rows);
    sim->project_index = sim->build_index = sim->tokens = NULL;
    sim->effects = sim->fault_rows = NULL;
}

enum rb_code sim_state_init(struct rb_sim *sim, struct rb_err *err)
{
    sim->project_index = json_object();
    sim->build_index = json_object();
    sim->batch_index = json_object();
    sim->tokens = json_object();
    sim->effects = json_array();
    sim->fault_rows = json_array();
    sim->advance_ms = 0;
    sim->random_state = sim->seed;
    size_t bytes = sim->script->n_faults * sizeof *sim->faults;
    sim->faults = malloc(bytes + 1);
    if (sim->project_index == NULL || sim->build_index == NULL || sim->batch_index == NULL ||
        sim->tokens == NULL || sim->effects == NULL || sim->fault_rows == NULL ||
        sim->faults == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the simulator's state");
    }
    if (bytes > 0) {
        memcpy(sim->faults, sim->script->faults, bytes);
    }
    sim->n_faults = sim->script->n_faults;
    enum rb_code rc = sim_pipelines_from_script(sim, err);
    return rc == RB_OK ? sim_projects_from_script(sim, err) : rc;
}
