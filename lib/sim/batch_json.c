/* batch_json.c - a batch as the API shows it. Source: the BuildBatch shape. */
#include <retrybuild/cleanup.h>

#include "batch.h"

static json_t *summary(const struct sim_build *run)
{
    json_t *artifacts = json_object_get(run->project->body, "artifacts");
    return json_pack("{s:s, s:f, s:s, s:{s:O*, s:O*}, s:[]}", "arn", run->arn, "requestedOn",
                     sim_time_s(run->start_ms), "buildStatus", run->status, "primaryArtifact",
                     "type", json_object_get(artifacts, "type"), "location",
                     json_object_get(artifacts, "location"), "secondaryArtifacts");
}

static json_t *group_json(const struct sim_batch_group *g)
{
    json_t *prior = json_array();
    for (size_t i = 0; i + 1 < g->n_runs; i++) {
        json_array_append_new(prior, summary(g->runs[i]));
    }
    json_t *out =
        json_pack("{s:s, s:[], s:b, s:o}", "identifier", g->rule->identifier, "dependsOn",
                  "ignoreFailure", g->rule->ignore_failure, "priorBuildSummaryList", prior);
    if (g->n_runs > 0) {
        json_object_set_new(out, "currentBuildSummary", summary(g->runs[g->n_runs - 1]));
    }
    return out;
}

json_t *sim_batch_json(const struct rb_sim *sim, const struct sim_batch *b)
{
    (void)sim;
    static const char *const not_here[] = {"networkInterface", "exportedEnvironmentVariables",
                                           "timeoutInMinutes"};
    json_t *out = json_copy(b->base);
    json_t *groups = json_array();
    json_t *last = json_array_get(b->phases, json_array_size(b->phases) - 1);
    for (size_t i = 0; i < b->n_groups; i++) {
        json_array_append_new(groups, group_json(&b->groups[i]));
    }
    json_object_set(out, "buildTimeoutInMinutes", json_object_get(out, "timeoutInMinutes"));
    for (size_t i = 0; i < RB_ARRAY_LEN(not_here); i++) {
        json_object_del(out, not_here[i]);
    }
    json_object_set_new(out, "id", json_string(b->id));
    json_object_set_new(out, "arn", json_string(b->arn));
    json_object_set_new(out, "buildBatchNumber", json_integer(b->number));
    json_object_set_new(out, "startTime", json_real(sim_time_s(b->start_ms)));
    json_object_set(out, "currentPhase", json_object_get(last, "phaseType"));
    json_object_set_new(out, "buildBatchStatus", json_string(b->status));
    json_object_set_new(out, "complete", json_boolean(b->complete));
    json_object_set_new(out, "initiator", json_string(b->initiator));
    json_object_set_new(out, "phases", json_deep_copy(b->phases));
    json_object_set(out, "logConfig", b->logs_config);
    json_object_set(out, "buildBatchConfig", b->config);
    json_object_set_new(out, "buildGroups", groups);
    json_object_set_new(out, "debugSessionEnabled", json_boolean(b->debug_session));
    if (b->complete) {
        json_object_set_new(out, "endTime", json_real(sim_time_s(b->end_ms)));
    }
    return out;
}
