/* queue.c - who may run, who waits, who is refused. An account runs so many builds at once; more
 * wait in QUEUED, five times as many, and the next is refused. A project's own limit refuses at
 * once. Source: the user guide's pages on builds and concurrency. */
#include "core.h"

#define QUEUE_PER_SLOT 5
#define MINUTE_MS INT64_C(60000)

static const struct sim_outcome gave_up = {.status = "TIMED_OUT",
                                           .phase = SIM_QUEUED,
                                           .phase_status = "TIMED_OUT",
                                           .status_code = "BUILD_TIMED_OUT",
                                           .message = "Build has timed out.",
                                           .exit_code = -1};

static size_t unfinished(const struct rb_sim *sim, const struct sim_project *p)
{
    size_t n = 0;
    for (size_t i = 0; i < sim->n_running; i++) {
        const struct sim_build *b = sim->running[i];
        n += !b->complete && (p == NULL || b->project == p) ? 1 : 0;
    }
    return n;
}

static bool refuse(struct sim_call *c, int64_t limit, const char *what)
{
    sim_fail(c, "AccountLimitExceededException", "Cannot have more than %lld %s", (long long)limit,
             what);
    return true;
}

bool sim_queue_refuses(struct sim_call *c, const struct sim_project *p)
{
    const struct sim_script *s = c->sim->script;
    json_t *own = json_object_get(p->body, "concurrentBuildLimit");
    int64_t own_limit = json_integer_value(own);
    if (own_limit > 0 && unfinished(c->sim, p) >= (size_t)own_limit) {
        return refuse(c, own_limit, "active builds for the project");
    }
    size_t there = unfinished(c->sim, NULL);
    if (s->account_limit > 0 && there >= (size_t)s->account_limit) {
        return refuse(c, s->account_limit, "builds in queue for the account");
    }
    if (s->concurrent_builds < 0) {
        return false;
    }
    int64_t queue = s->queue_limit >= 0 ? s->queue_limit : QUEUE_PER_SLOT * s->concurrent_builds;
    return there >= (size_t)(s->concurrent_builds + queue) &&
           refuse(c, queue, "builds in queue for the account");
}

bool sim_queue_holds(struct rb_sim *sim, struct sim_build *b)
{
    bool leaves_queue =
        b->phases[b->n_phases - 1].phase == SIM_QUEUED && b->outcome->phase != SIM_QUEUED;
    if (!leaves_queue || sim->n_active < (size_t)sim->script->concurrent_builds) {
        return false;
    }
    int64_t minutes = json_integer_value(json_object_get(b->base, "queuedTimeoutInMinutes"));
    int64_t until_ms = b->start_ms + minutes * MINUTE_MS;
    if (b->due_ms >= until_ms) {
        b->outcome = &gave_up;
        return false;
    }
    b->held = true;
    b->due_ms = until_ms;
    return true;
}

void sim_queue_enter(struct rb_sim *sim, struct sim_build *b)
{
    b->held = false;
    b->active = true;
    sim->n_active++;
}

void sim_queue_leave(struct rb_sim *sim, struct sim_build *b, int64_t at_ms)
{
    b->held = false;
    if (!b->active) {
        return;
    }
    b->active = false;
    sim->n_active--;
    struct sim_build *next = NULL;
    for (size_t i = 0; i < sim->n_running; i++) {
        struct sim_build *one = sim->running[i];
        if (one->held && (next == NULL || one->start_ms < next->start_ms ||
                          (one->start_ms == next->start_ms && one->number < next->number))) {
            next = one;
        }
    }
    if (next != NULL) {
        next->held = false;
        next->due_ms = at_ms;
    }
}
