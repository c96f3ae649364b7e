/* phases.c - builds walk through their phases. Nothing moves by itself: whoever holds the lock
 * ticks the running builds up to now, and each phase ends at its own due time, not at that of the
 * tick. So a reader always sees the state that belongs to its moment, and an advanced clock skips
 * nothing. */
#include <string.h>

#include "batch.h"
#include "core.h"
#include "pipeline.h"

/* What follows a phase that did not succeed. Source: the user guide's order of phases. */
static const enum sim_phase after_failure[SIM_PHASE_COUNT] = {
    [SIM_SUBMITTED] = SIM_COMPLETED,
    [SIM_QUEUED] = SIM_COMPLETED,
    [SIM_PROVISIONING] = SIM_COMPLETED,
    [SIM_DOWNLOAD_SOURCE] = SIM_FINALIZING,
    [SIM_INSTALL] = SIM_FINALIZING,
    [SIM_PRE_BUILD] = SIM_FINALIZING,
    [SIM_BUILD] = SIM_POST_BUILD,
    [SIM_POST_BUILD] = SIM_UPLOAD_ARTIFACTS,
    [SIM_UPLOAD_ARTIFACTS] = SIM_FINALIZING,
    [SIM_FINALIZING] = SIM_COMPLETED,
    [SIM_COMPLETED] = SIM_COMPLETED,
};

static enum sim_phase next_phase(const struct sim_build *b, enum sim_phase ended)
{
    if (ended != b->outcome->phase) {
        return (enum sim_phase)(ended + 1);
    }
    if (strcmp(b->outcome->status, "FAILED") == 0) {
        return after_failure[ended];
    }
    /* out of time, stopped or a fault of the service: nothing of the user's runs any more */
    return ended < SIM_FINALIZING && ended > SIM_PROVISIONING ? SIM_FINALIZING : SIM_COMPLETED;
}

static void open_phase(struct rb_sim *sim, struct sim_build *b, enum sim_phase phase, int64_t at_ms)
{
    struct sim_phase_run *run = &b->phases[b->n_phases++];
    *run = (struct sim_phase_run){.phase = phase, .start_ms = at_ms};
    b->due_ms = at_ms + (int64_t)((double)b->outcome->durations_ms[phase] / sim->speed);
    if (phase == SIM_PROVISIONING) {
        sim_queue_enter(sim, b);
    }
}

/* CodeBuild's own retry of a project with autoRetryLimit, by the project's service role. */
static void auto_retry(struct rb_sim *sim, struct sim_build *b, int64_t at_ms)
{
    bool failed = strcmp(b->status, "SUCCEEDED") != 0 && strcmp(b->status, "STOPPED") != 0;
    if (!failed || !sim->script->auto_retry || b->auto_number >= b->auto_limit || b->project->deleted) {
        return;
    }
    const struct sim_start start = {.project = b->project,
                                    .take_base = sim_build_retry_base(b->base),
                                    .logs_config = b->logs_config,
                                    .parent = b,
                                    .take_initiator = sim_service_initiator(b->base, b->uuid),
                                    .now_ms = at_ms};
    struct sim_build *next = sim_build_start(sim, &start);
    if (next != NULL) {
        next->automatic = true;
        next->auto_limit = b->auto_limit;
        next->auto_number = b->auto_number + 1;
        b->auto_next = next;
        sim_ledger_add(sim, next, "AutoRetry", NULL, NULL, at_ms);
    }
}

static void complete(struct rb_sim *sim, struct sim_build *b, const char *status, int64_t at_ms)
{
    b->complete = true;
    b->status = status;
    b->end_ms = at_ms;
    sim_event_state(sim, b, at_ms);
    sim_queue_leave(sim, b, at_ms);
    auto_retry(sim, b, at_ms);
}

/* The running phase ends; the next one begins, or the build is complete. */
static void end_phase(struct rb_sim *sim, struct sim_build *b)
{
    int64_t at_ms = b->due_ms;
    struct sim_phase_run *run = &b->phases[b->n_phases - 1];
    bool fails = run->phase == b->outcome->phase;
    run->status = fails ? b->outcome->phase_status : "SUCCEEDED";
    run->end_ms = at_ms;
    open_phase(sim, b, next_phase(b, run->phase), at_ms);
    sim_event_phase(sim, b, run);
    if (b->phases[b->n_phases - 1].phase == SIM_COMPLETED) {
        complete(sim, b, b->outcome->status, at_ms);
    }
}

void sim_phase_begin(struct rb_sim *sim, struct sim_build *b, int64_t at_ms)
{
    open_phase(sim, b, SIM_SUBMITTED, at_ms);
    sim_event_state(sim, b, at_ms);
    if (b->outcome->durations_ms[SIM_SUBMITTED] == 0 && b->outcome->phase != SIM_SUBMITTED) {
        end_phase(sim, b); /* a fresh build is QUEUED when its reply is written */
    }
}

void sim_build_stop(struct rb_sim *sim, struct sim_build *b, int64_t now_ms)
{
    struct sim_phase_run *run = &b->phases[b->n_phases - 1];
    run->status = "STOPPED";
    run->end_ms = now_ms;
    open_phase(sim, b, SIM_COMPLETED, now_ms);
    sim_event_phase(sim, b, run);
    complete(sim, b, "STOPPED", now_ms);
}

/* Without a limit no build waits for another: each goes its own way up to now. */
static void tick_apart(struct rb_sim *sim, int64_t now_ms)
{
    for (size_t i = 0; i < sim->n_running;
         i++) { /* auto_retry may add builds at the end meanwhile */
        struct sim_build *b = sim->running[i];
        while (!b->complete && b->due_ms <= now_ms) {
            end_phase(sim, b);
        }
    }
}

/* With one, a slot that comes free decides when another starts: the earliest change first. */
static void tick_in_order(struct rb_sim *sim, int64_t now_ms)
{
    for (;;) {
        struct sim_build *first = NULL;
        for (size_t i = 0; i < sim->n_running; i++) {
            struct sim_build *b = sim->running[i];
            if (!b->complete && b->due_ms <= now_ms &&
                (first == NULL || b->due_ms < first->due_ms)) {
                first = b;
            }
        }
        if (first == NULL) {
            return;
        }
        if (!sim_queue_holds(sim, first)) {
            end_phase(sim, first);
        }
    }
}

void sim_tick_locked(struct rb_sim *sim, int64_t now_ms)
{
    bool moved = false;
    do {
        if (sim->script->concurrent_builds < 0) {
            tick_apart(sim, now_ms);
        } else {
            tick_in_order(sim, now_ms);
        }
        moved = sim_batches_tick(sim, now_ms); /* these may start builds in the past */
        moved = sim_pipelines_tick(sim, now_ms) || moved;
    } while (moved);
    for (size_t i = 0; i < sim->n_running;) {
        if (sim->running[i]->complete) {
            sim->running[i] = sim->running[--sim->n_running];
        } else {
            i++;
        }
    }
}

int64_t sim_next_due_locked(const struct rb_sim *sim)
{
    int64_t due_ms = sim_batches_next_due(sim);
    for (size_t i = 0; i < sim->n_running; i++) {
        int64_t one_ms = sim->running[i]->complete ? 0 : sim->running[i]->due_ms;
        due_ms = due_ms < 0 || one_ms < due_ms ? one_ms : due_ms;
    }
    return due_ms;
}
