/* follow.c - the child's end: by the event that woke the task, or by asking, up to a hundred builds
 * a call. A child that fails again is the next attempt of its chain, decided here and created in
 * the same step. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#include "fault.h"
#include "spans.h"

#define RB_FOLLOW_AT_ONCE 100
#define RB_FOLLOW_NOTE_BYTES 600
#define RB_FOLLOW_ARENA_BYTES (16u * 1024 * 1024)
#define RB_FOLLOW_GONE_POLLS 20
#define RB_WOKEN_AGAIN_MS 1000
#define RB_WOKEN_TIMES 4
#define RB_WOKEN_MAX 256

/* Children that an event called ended while AWS still shows them running: asked again soon, a few
 * times. Forgetting one costs one poll interval. */
struct woken {
    struct {
        char id[RB_ID_BYTES];
        unsigned left;
    } items[RB_WOKEN_MAX];
    unsigned next;
};

static bool ask_soon(struct rb_worker *w, const struct rb_task *t)
{
    struct woken *m = w->memory;
    unsigned at;

    if (m == NULL) {
        m = calloc(1, sizeof(*m));
        if (m == NULL) {
            return false;
        }
        w->memory = m;
        w->memory_free = free;
    }
    for (at = 0; at < RB_WOKEN_MAX; at++) {
        if (strcmp(m->items[at].id, t->retry->id) == 0) {
            break;
        }
    }
    if (at == RB_WOKEN_MAX) {
        if (!t->woken) {
            return false;
        }
        at = m->next++ % RB_WOKEN_MAX;
        snprintf(m->items[at].id, sizeof(m->items[at].id), "%s", t->retry->id);
        m->items[at].left = RB_WOKEN_TIMES;
    }
    if (m->items[at].left == 0) {
        m->items[at].id[0] = '\0';
        return false;
    }
    m->items[at].left--;
    return true;
}

/* The failure of our child had come in before the child was known to be ours, and ended as
 * superseded: it never made a call, so its key is ours to take. */
static enum rb_code take_over(struct rb_work *k, struct rb_admission *next, struct rb_err *err)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *holder = NULL;

    if (next->rc != RB_OK || next->result != RB_ADMIT_DUPLICATE) {
        return RB_OK;
    }
    enum rb_code rc = rb_store_get(k->w->ses, next->retry_id, &holder, err);
    if (rc != RB_OK || holder->state != RB_STATE_SUPERSEDED) {
        return rc == RB_E_NOT_FOUND ? RB_OK : rc;
    }
    next->mode = RB_ADMIT_PERSON;
    return rb_store_admit(k->w->ses, &next, 1, rb_engine_now_ms(k->e), err);
}

static enum rb_ending outcome_of(const struct rb_retry *r, enum rb_state state)
{
    if (state == RB_STATE_RECOVERED) {
        return RB_ENDING_RECOVERED;
    }
    return state == RB_STATE_FAILED_AGAIN && rb_build_failed(&r->child) ? RB_ENDING_FAILED
                                                                        : RB_ENDING_NONE;
}

static enum rb_code finish(struct rb_work *k, enum rb_state state, const char *note,
                           struct rb_admission *follow_on, struct rb_err *err)
{
    struct rb_settle s = {.next = RB_TASK_NONE, .follow_on = follow_on};
    enum rb_code rc = rb_gate_outcome(k, outcome_of(k->r, state), err);

    if (rc != RB_OK) {
        return rc;
    }
    rb_retry_enter(k->r, state, rb_engine_now_ms(k->e), note);
    rc = rb_work_settle(k, &s, true, err);
    if (rc == RB_OK) {
        rb_spans_built(k);
    }
    if (rc == RB_OK && follow_on != NULL) {
        rc = take_over(k, follow_on, err);
        rb_engine_wake(k->e, follow_on->task);
    }
    RB_FAULT_POINT("follow.after_settle");
    return rc;
}

static enum rb_code failed_again(struct rb_work *k, struct rb_err *err)
{
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *next = NULL;
    struct rb_decision d = {.action = RB_ACTION_NONE};
    struct rb_retry *r = k->r;
    char note[RB_FOLLOW_NOTE_BYTES];
    struct rb_policy_input in;

    rb_chain_input(r, &r->child, rb_engine_now_ms(k->e), &in);
    in.attempt = r->attempt;
    in.person = in.force = false; /* a person asked for this retry, the policy for the next */
    enum rb_code rc = rb_decide(k, &in, false, &k->arena, &d, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (d.state == RB_STATE_SCHEDULED || d.state == RB_STATE_HELD || d.state == RB_STATE_DEFERRED) {
        rc = rb_engine_follow_on(k->e, k->rt, r, &r->child, &d, in.now_ms, &next, err);
        if (rc != RB_OK) {
            return rc;
        }
        snprintf(note, sizeof(note), "the new build ended as %s; %s by rule '%s': %s",
                 r->child.status, next->retry->id, d.rule, d.reason);
    } else {
        snprintf(note, sizeof(note),
                 "the new build ended as %s; no further attempt by rule '%s': %s", r->child.status,
                 d.rule, d.reason);
    }
    return finish(k, RB_STATE_FAILED_AGAIN, note, next, err);
}

static enum rb_code child_gone(struct rb_work *k, struct rb_err *err)
{
    static const char *const note = "CodeBuild does not show the new build";
    int64_t poll_ms = k->rt->settings->timing.follow_poll_ms;
    const struct rb_retry *r = k->r;

    for (unsigned i = 0; i < r->n_history; i++) {
        if (rb_str_eq(r->history[i].note, note) &&
            rb_engine_now_ms(k->e) - r->history[i].at_ms > RB_FOLLOW_GONE_POLLS * poll_ms) {
            return rb_work_finish(k, RB_STATE_DEAD,
                                  "CodeBuild does not know the new build any more", err);
        }
    }
    return rb_work_later(k, poll_ms, note, err);
}

/* What the next attempt starts from; where the new build does not say, it is as its parent. */
static bool take_child(struct rb_retry *r, const struct rb_build *seen)
{
    if (!rb_facts_merge(&r->child, seen, &r->arena)) {
        return false;
    }
    struct rb_build *c = &r->child;
    const struct rb_build *b = &r->build;
    c->source_version = c->source_version == NULL ? b->source_version : c->source_version;
    c->repository = c->repository == NULL ? b->repository : c->repository;
    c->branch = c->branch == NULL ? b->branch : c->branch;
    c->pull_request = c->pull_request == NULL ? b->pull_request : c->pull_request;
    return true;
}

/* A person wants the child stopped. Asked again at every look until it has ended: a repetition does
 * no harm, and a worker that dies in between leaves nothing undone. */
static enum rb_code stop_child(struct rb_work *k, struct rb_build *ret_seen, struct rb_err *err)
{
    const struct rb_build *child = &k->r->child;
    struct rb_err why = {.code = RB_OK};
    char note[RB_FOLLOW_NOTE_BYTES];

    enum rb_code rc =
        rb_work_keep(k, k->rt->settings->timing.call_timeout_ms + k->lease_ms / 6, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_codebuild_of_account(k->w->codebuild,
                            child->account == NULL ? k->r->build.account : child->account);
    if (rb_build_is_batch(child)) {
        struct rb_batch batch;
        rc = rb_codebuild_stop_batch(k->w->codebuild, child->region, child->id, &k->arena, &batch,
                                     &why);
        *ret_seen = rc == RB_OK ? batch.b : *ret_seen;
    } else {
        rc =
            rb_codebuild_stop(k->w->codebuild, child->region, child->id, &k->arena, ret_seen, &why);
    }
    RB_FAULT_POINT("follow.after_stop");
    if (rc == RB_OK || rc == RB_E_CLOSED) {
        return rc == RB_OK ? RB_OK : rb_err_set(err, rc, "stopping");
    }
    rb_log(RB_LOG_WARN, "follow.stop_failed", RB_F("retry", k->r->id), RB_F("child", child->id),
           RB_F("error", why.msg));
    snprintf(note, sizeof(note), "the new build could not be stopped: %s", why.msg);
    if (rc == RB_E_REFUSED || rc == RB_E_NOT_FOUND || rc == RB_E_INVALID) {
        k->r->cancelled_by = NULL; /* a definite no: who asked reads it, and may ask again */
    }
    if (strcmp(note, rb_work_last_note(k->r) == NULL ? "" : rb_work_last_note(k->r)) != 0) {
        rb_retry_note(k->r, rb_engine_now_ms(k->e), note);
    }
    return RB_OK;
}

static enum rb_code still_running(struct rb_work *k, struct rb_err *err)
{
    const struct rb_timing *t = &k->rt->settings->timing;
    bool soon = ask_soon(k->w, k->task) || k->r->cancelled_by != NULL;
    int64_t wait_ms =
        soon && RB_WOKEN_AGAIN_MS < t->follow_poll_ms ? RB_WOKEN_AGAIN_MS : t->follow_poll_ms;

    k->r->due_ms = rb_engine_now_ms(k->e) + wait_ms;
    struct rb_settle s = {.next = RB_TASK_FOLLOW, .next_due_ms = k->r->due_ms};
    return rb_work_settle(k, &s, true, err);
}

/* The child has ended, and somebody had asked for that: whatever it ended as, it was the last. */
static enum rb_code judge_cancelled(struct rb_work *k, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    char note[RB_FOLLOW_NOTE_BYTES];

    if (rb_str_eq(r->child.status, "STOPPED")) {
        snprintf(note, sizeof(note), "the new build was stopped for %s", r->cancelled_by);
        return finish(k, RB_STATE_CANCELLED, note, NULL, err);
    }
    snprintf(note, sizeof(note),
             "the new build ended as %s before it could be stopped; no further attempt, %s has "
             "cancelled",
             r->child.status, r->cancelled_by);
    return finish(k, rb_build_failed(&r->child) ? RB_STATE_FAILED_AGAIN : RB_STATE_RECOVERED, note,
                  NULL, err);
}

static enum rb_code judge(struct rb_work *k, const struct rb_build *seen, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    struct rb_build stopped = RB_BUILD_INIT;
    char note[RB_FOLLOW_NOTE_BYTES];

    if (seen == NULL) {
        return child_gone(k, err);
    }
    if (!rb_build_ended(seen) && r->cancelled_by != NULL) {
        enum rb_code rc = stop_child(k, &stopped, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (!rb_build_ended(&stopped)) {
            return still_running(k, err);
        }
        seen = &stopped;
    }
    if (!rb_build_ended(seen)) {
        bool soon = ask_soon(k->w, k->task);
        return rb_work_later(k, soon ? RB_WOKEN_AGAIN_MS : k->rt->settings->timing.follow_poll_ms,
                             NULL, err);
    }
    if (!take_child(r, seen)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the end of '%s'", r->id);
    }
    if (r->cancelled_by != NULL) {
        return judge_cancelled(k, err);
    }
    if (rb_build_failed(&r->child)) {
        return failed_again(k, err);
    }
    if (rb_str_eq(r->child.status, "SUCCEEDED")) {
        return finish(k, RB_STATE_RECOVERED, "the new build succeeded", NULL, err);
    }
    snprintf(note, sizeof(note), "the new build ended as %s", r->child.status);
    return finish(k, RB_STATE_FAILED_AGAIN, note, NULL, err);
}

static void follow_one(struct rb_work *k, const struct rb_fetch *f)
{
    int64_t poll_ms = k->rt->settings->timing.follow_poll_ms;
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc;

    if (!k->r->has_child || k->task->tries > RB_MAX_TRIES) {
        rc = rb_work_finish(k, RB_STATE_DEAD, "following the new build failed again and again",
                            &err);
    } else if (f->rc == RB_OK && f->batch != NULL) {
        const struct rb_build *seen = NULL;
        rc = rb_batch_followed(k, f->batch, &seen, &err);
        rc = rc == RB_OK && seen != NULL ? judge(k, seen, &err) : rc;
    } else if (f->rc == RB_OK) {
        rc = judge(k, f->build, &err);
    } else if (f->rc == RB_E_CLOSED) {
        rc = rb_err_set(&err, RB_E_CLOSED, "stopping");
    } else {
        /* The build goes on whether we can see it or not: ask again, for ever. */
        rb_log(RB_LOG_WARN, "follow.failed", RB_F("retry", k->r->id), RB_F("error", f->err.msg));
        rc = rb_work_later(k, rb_engine_jitter_ms(k->e, poll_ms / 2, poll_ms + poll_ms / 2), NULL,
                           &err);
    }
    rb_work_done(k, rc, &err);
}

static void follow_batch(struct rb_worker *w, struct rb_task **tasks, unsigned n, int64_t boot_ms,
                         int64_t lease_ms)
{
    struct rb_fetch fetch[RB_FOLLOW_AT_ONCE];
    struct rb_arena arena;

    rb_arena_init(&arena, RB_FOLLOW_ARENA_BYTES);
    for (unsigned i = 0; i < n; i++) {
        const struct rb_retry *r = tasks[i]->retry;
        fetch[i] = (struct rb_fetch){
            .account = r->child.account == NULL ? r->build.account : r->child.account,
            .region = r->child.region == NULL ? r->build.region : r->child.region,
            .id = r->has_child ? r->child.id : r->build.id,
            .of_batch = r->has_child && rb_build_is_batch(&r->child),
        };
    }
    rb_fetch_builds(w, fetch, n, &arena);
    RB_FAULT_POINT("follow.after_get");
    for (unsigned i = 0; i < n; i++) {
        struct rb_work k;
        rb_work_begin(&k, w, tasks[i], boot_ms, lease_ms);
        follow_one(&k, &fetch[i]);
        rb_work_end(&k);
    }
    rb_arena_release(&arena);
}

static enum rb_code follow_round(struct rb_worker *w, struct rb_round *ret, struct rb_err *err)
{
    struct rb_task *tasks[RB_FOLLOW_AT_ONCE] = {NULL};
    int64_t boot_ms = rb_boot_ms(w->e->clock);
    int64_t lease_ms = rb_lease_ms(&w->rt->settings->timing);
    unsigned n = 0;

    enum rb_code rc = rb_store_claim(w->ses, RB_TASK_FOLLOW, RB_FOLLOW_AT_ONCE, lease_ms,
                                     rb_engine_now_ms(w->e), tasks, &n, &ret->next_ms, err);
    if (rc != RB_OK || n == 0) {
        return rc;
    }
    ret->worked = true;
    follow_batch(w, tasks, n, boot_ms, lease_ms);
    for (unsigned i = 0; i < n; i++) {
        rb_task_free(tasks[i]);
    }
    return RB_OK;
}

const struct rb_worker_role rb_role_follow = {
    .name = "follow",
    .kind = RB_TASK_FOLLOW,
    .needs_codebuild = true,
    .round = follow_round,
};
