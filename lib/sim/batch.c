/* batch.c - batch builds come into being and walk through their steps. */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#define DOWNLOAD_MS 3000
#define COMBINE_MS 1000

struct sim_batch *sim_batch_find(struct rb_sim *sim, const char *id)
{
    json_t *at = json_object_get(sim->batch_index, id);
    struct sim_batch *b = at == NULL ? NULL : sim->batches[json_integer_value(at)];
    bool gone =
        b != NULL && b->complete && sim_now_locked(sim) - b->start_ms >= sim->script->history_ms;
    return gone ? NULL : b;
}

void sim_batch_free(struct sim_batch *b)
{
    if (b == NULL) {
        return;
    }
    for (size_t i = 0; i < b->n_groups; i++) {
        free(b->groups[i].runs);
    }
    free(b->groups);
    free(b->id);
    free(b->arn);
    free(b->initiator);
    json_decref(b->base);
    json_decref(b->logs_config);
    json_decref(b->config);
    json_decref(b->phases);
    free(b);
}

static void open_phase(struct sim_batch *b, const char *type, int64_t at_ms)
{
    json_array_append_new(
        b->phases, json_pack("{s:s, s:f}", "phaseType", type, "startTime", sim_time_s(at_ms)));
}

static void close_phase(struct sim_batch *b, const char *status, const char *message, int64_t at_ms)
{
    json_t *phase = json_array_get(b->phases, json_array_size(b->phases) - 1);
    double took = sim_time_s(at_ms) - json_real_value(json_object_get(phase, "startTime"));
    json_object_set_new(phase, "phaseStatus", json_string(status));
    json_object_set_new(phase, "endTime", json_real(sim_time_s(at_ms)));
    json_object_set_new(phase, "durationInSeconds", json_integer((json_int_t)took));
    if (message != NULL) {
        json_object_set_new(phase, "contexts",
                            json_pack("[{s:s, s:s}]", "statusCode",
                                      *message == '\0' ? "" : "BATCH_FAILED", "message", message));
    }
}

/* The first two phases of a walk. */
static void begin(struct rb_sim *sim, struct sim_batch *b, int64_t at_ms)
{
    b->status = "IN_PROGRESS";
    b->complete = false;
    b->step = SIM_BATCH_DOWNLOAD;
    b->due_ms = at_ms + (int64_t)(DOWNLOAD_MS / sim->speed);
    open_phase(b, "SUBMITTED", at_ms);
    close_phase(b, "SUCCEEDED", NULL, at_ms);
    open_phase(b, "DOWNLOAD_BATCHSPEC", at_ms);
    sim->open_batches[sim->n_open_batches++] = b; /* room was made before */
    pthread_cond_broadcast(&sim->changed);
}

static void end(struct sim_batch *b, const char *status, int64_t at_ms)
{
    open_phase(b, status, at_ms);
    b->status = status;
    b->end_ms = at_ms;
    b->complete = true;
    b->step = SIM_BATCH_OVER;
}

static char *printed(const char *a, const char *b, const char *c)
{
    struct rb_buf out = RB_BUF_INIT(4096);
    rb_buf_addf(&out, "%s%s%s", a, b, c);
    return rb_buf_detach(&out);
}

/* StartBuildBatch names one override otherwise than StartBuild. */
static json_t *base_of(struct rb_sim *sim, const struct sim_project *p, json_t *in)
{
    json_t *overrides = json_copy(in);
    json_t *timeout = json_object_get(in, "buildTimeoutInMinutesOverride");
    json_t *report = json_object_get(in, "reportBuildBatchStatusOverride");
    if (json_is_integer(timeout)) {
        json_object_set(overrides, "timeoutInMinutesOverride", timeout);
    }
    if (json_is_boolean(report)) {
        json_object_set(overrides, "reportBuildStatusOverride", report);
    }
    json_t *base = sim_build_base(sim, p, overrides);
    json_decref(overrides);
    return base;
}

static bool make_groups(struct rb_sim *sim, struct sim_batch *b)
{
    const struct sim_rule *rule = sim_script_rule(sim->script, b->project->name);
    b->groups = calloc(rule->n_batch, sizeof *b->groups);
    for (size_t i = 0; b->groups != NULL && i < rule->n_batch; i++) {
        b->groups[b->n_groups++] = (struct sim_batch_group){.rule = &rule->batch[i], .again = true};
    }
    return b->groups != NULL;
}

/* What every new batch has: names, a walk, a place in the lists. */
static struct sim_batch *enter(struct rb_sim *sim, struct sim_batch *b, int64_t now_ms)
{
    char uuid[SIM_UUID_BYTES];
    sim_uuid(uuid);
    RB_CLEANUP(rb_buf_release) struct rb_buf scope = RB_BUF_INIT(4096);
    rb_buf_addf(&scope, "arn:%s:codebuild:%s:%s:build-batch/", sim->partition, sim->region,
                sim->account);
    b->id = printed(b->project->name, ":", uuid);
    b->arn = printed(rb_buf_str(&scope), b->id == NULL ? "" : b->id, "");
    b->phases = json_array();
    b->start_ms = now_ms;
    b->visible_ms = now_ms + sim->script->lag_ms;
    if (b->id == NULL || b->arn == NULL || b->initiator == NULL || b->base == NULL ||
        b->config == NULL || b->phases == NULL || !make_groups(sim, b) ||
        !sim_grow(&sim->batches, sim->n_batches, &sim->cap_batches) ||
        !sim_grow(&sim->open_batches, sim->n_open_batches, &sim->cap_open_batches)) {
        sim_batch_free(b);
        return NULL;
    }
    b->uuid = b->id + strlen(b->project->name) + 1;
    b->number = ++b->project->last_batch_number;
    json_object_set_new(sim->batch_index, b->id, json_integer((json_int_t)sim->n_batches));
    sim->batches[sim->n_batches++] = b;
    begin(sim, b, now_ms);
    return b;
}

struct sim_batch *sim_batch_start(struct rb_sim *sim, struct sim_project *p, json_t *in,
                                  char *take_initiator, int64_t now_ms)
{
    struct sim_batch *b = calloc(1, sizeof *b);
    if (b == NULL) {
        free(take_initiator);
        return NULL;
    }
    json_t *config = json_object_get(in, "buildBatchConfigOverride");
    config = json_is_object(config) ? config : json_object_get(p->body, "buildBatchConfig");
    b->initiator = take_initiator;
    b->project = p;
    b->base = base_of(sim, p, in);
    b->logs_config = sim_build_logs_config(p, in);
    b->config = json_is_object(config) ? json_deep_copy(config) : json_object();
    b->debug_session = json_is_true(json_object_get(in, "debugSessionEnabled"));
    return enter(sim, b, now_ms);
}

static bool succeeded(const struct sim_batch_group *g)
{
    return g->n_runs > 0 && strcmp(g->runs[g->n_runs - 1]->status, "SUCCEEDED") == 0;
}

bool sim_batch_again(struct rb_sim *sim, struct sim_batch *b, bool all, int64_t now_ms)
{
    if (!sim_grow(&sim->open_batches, sim->n_open_batches, &sim->cap_open_batches)) {
        return false;
    }
    for (size_t i = 0; i < b->n_groups; i++) {
        b->groups[i].again = all || !succeeded(&b->groups[i]);
    }
    close_phase(b, "RETRY", NULL,
                now_ms); /* what the finished walk's last phase shows from now on */
    begin(sim, b, now_ms);
    return true;
}

struct sim_batch *sim_batch_anew(struct rb_sim *sim, const struct sim_batch *was, bool all,
                                 char *take_initiator, int64_t now_ms)
{
    struct sim_batch *b = calloc(1, sizeof *b);
    if (b == NULL) {
        free(take_initiator);
        return NULL;
    }
    b->initiator = take_initiator;
    b->project = was->project;
    b->base = json_incref(was->base);
    b->logs_config = json_incref(was->logs_config);
    b->config = json_incref(was->config);
    b->debug_session = was->debug_session;
    b = enter(sim, b, now_ms);
    for (size_t i = 0; b != NULL && i < b->n_groups; i++) {
        const struct sim_batch_group *from = &was->groups[i];
        struct sim_batch_group *g = &b->groups[i];
        g->again = all || !succeeded(from);
        g->before = from->n_runs + from->before;
        if (!g->again && sim_grow(&g->runs, 0, &g->cap_runs)) {
            g->runs[g->n_runs++] = from->runs[from->n_runs - 1];
        }
    }
    return b;
}

static void start_member(struct rb_sim *sim, struct sim_batch *b, struct sim_batch_group *g,
                         int64_t at_ms)
{
    if (!sim_grow(&g->runs, g->n_runs, &g->cap_runs)) {
        return;
    }
    const struct sim_member_rule *rule = g->rule;
    size_t last = rule->n_outcomes == 0 ? 0 : rule->n_outcomes - 1;
    size_t nth = g->before + g->n_runs;
    const struct sim_start start = {
        .project = b->project,
        .take_base = json_incref(b->base),
        .logs_config = b->logs_config,
        .parent = g->n_runs == 0 ? NULL : g->runs[g->n_runs - 1],
        .take_initiator = sim_service_initiator(b->base, b->uuid),
        .batch = b,
        .outcome = rule->n_outcomes == 0 ? NULL : &rule->outcomes[nth < last ? nth : last],
        .now_ms = at_ms};
    struct sim_build *run = sim_build_start(sim, &start);
    if (run != NULL) {
        g->runs[g->n_runs++] = run;
        sim_ledger_add(sim, run, "BatchMember", NULL, NULL, at_ms);
    }
}

/* Its builds are over: with success, but for those whose failure the batch ignores. */
static void gather(struct rb_sim *sim, struct sim_batch *b)
{
    json_t *phase = json_array_get(b->phases, json_array_size(b->phases) - 1);
    int64_t at_ms = (int64_t)(json_real_value(json_object_get(phase, "startTime")) * 1000.0 + 0.5);
    bool good = true;
    for (size_t i = 0; i < b->n_groups; i++) {
        const struct sim_batch_group *g = &b->groups[i];
        const struct sim_build *run = g->n_runs == 0 ? NULL : g->runs[g->n_runs - 1];
        at_ms = run != NULL && run->end_ms > at_ms ? run->end_ms : at_ms;
        good = good && (succeeded(g) || g->rule->ignore_failure);
    }
    close_phase(b, good ? "SUCCEEDED" : "FAILED",
                good ? "" : "One or more builds of the batch did not succeed", at_ms);
    if (good && json_is_true(json_object_get(b->config, "combineArtifacts"))) {
        open_phase(b, "COMBINE_ARTIFACTS", at_ms);
        b->step = SIM_BATCH_COMBINE;
        b->due_ms = at_ms + (int64_t)(COMBINE_MS / sim->speed);
        return;
    }
    end(b, good ? "SUCCEEDED" : "FAILED", at_ms);
}

static bool runs(const struct sim_batch *b)
{
    for (size_t i = 0; i < b->n_groups; i++) {
        const struct sim_batch_group *g = &b->groups[i];
        if (g->n_runs > 0 && !g->runs[g->n_runs - 1]->complete) {
            return true;
        }
    }
    return false;
}

static bool step(struct rb_sim *sim, struct sim_batch *b, int64_t now_ms)
{
    switch (b->step) {
    case SIM_BATCH_DOWNLOAD:
        if (b->due_ms > now_ms) {
            return false;
        }
        close_phase(b, "SUCCEEDED", "", b->due_ms);
        open_phase(b, "IN_PROGRESS", b->due_ms);
        b->step = SIM_BATCH_RUN;
        for (size_t i = 0; i < b->n_groups; i++) {
            if (b->groups[i].again) {
                start_member(sim, b, &b->groups[i], b->due_ms);
            }
        }
        return true;
    case SIM_BATCH_RUN:
        if (runs(b)) {
            return false;
        }
        gather(sim, b);
        return true;
    case SIM_BATCH_COMBINE:
        if (b->due_ms > now_ms) {
            return false;
        }
        close_phase(b, "SUCCEEDED", "", b->due_ms);
        end(b, "SUCCEEDED", b->due_ms);
        return true;
    case SIM_BATCH_OVER:
        break;
    }
    return false;
}

bool sim_batches_tick(struct rb_sim *sim, int64_t now_ms)
{
    bool moved = false;
    for (size_t i = 0; i < sim->n_open_batches;) {
        struct sim_batch *b = sim->open_batches[i];
        moved = step(sim, b, now_ms) || moved;
        if (b->complete) {
            sim->open_batches[i] = sim->open_batches[--sim->n_open_batches];
        } else {
            i++;
        }
    }
    return moved;
}

int64_t sim_batches_next_due(const struct rb_sim *sim)
{
    int64_t due_ms = -1;
    for (size_t i = 0; i < sim->n_open_batches; i++) {
        const struct sim_batch *b = sim->open_batches[i];
        bool by_itself = b->step == SIM_BATCH_DOWNLOAD || b->step == SIM_BATCH_COMBINE;
        if (by_itself && (due_ms < 0 || b->due_ms < due_ms)) {
            due_ms = b->due_ms;
        }
    }
    return due_ms;
}

void sim_batch_stop(struct rb_sim *sim, struct sim_batch *b, int64_t now_ms)
{
    for (size_t i = 0; i < b->n_groups; i++) {
        struct sim_batch_group *g = &b->groups[i];
        if (g->n_runs > 0 && !g->runs[g->n_runs - 1]->complete) {
            sim_build_stop(sim, g->runs[g->n_runs - 1], now_ms);
        }
    }
    close_phase(b, "STOPPED", "", now_ms);
    end(b, "STOPPED", now_ms);
    for (size_t i = 0; i < sim->n_open_batches; i++) {
        if (sim->open_batches[i] == b) { /* a retry may follow before the next tick */
            sim->open_batches[i] = sim->open_batches[--sim->n_open_batches];
            break;
        }
    }
}
