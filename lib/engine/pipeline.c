/* pipeline.c - a failed build that CodePipeline started, for rules with `how: pipeline`.
 *
 * A retry of the build alone would not move the pipeline, so its stage is retried: all failed
 * actions of it run again, each as one retry of ours that leads (lead.c). RetryStageExecution has
 * no token. What keeps the four rules of the once-only call (ARCHITECTURE.md) all the same:
 * - the look before the call: the build is still what its action ran last, nothing of the stage
 * runs;
 * - CodePipeline itself refuses where no action of the stage has failed, so that a second copy does
 *   nothing while what the first one started runs;
 * - a copy is sent once and never again while its outcome is unknown; it dies with its signature's
 *   date;
 * - "it happened" is seen by a newer execution of the same action in the same execution of the
 *   pipeline. Who asked for that is not told; whoever it was, what the intent wants has begun.
 * What remains: a copy that is late by more than the new builds take to fail, and still inside the
 * signature's window, retries the stage once more. It is looked at before any new call is made.
 *
 * The answer names no build. The retry stays `submitting` until the action's new build shows.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/codepipeline.h>
#include <retrybuild/log.h>

#define RB_PIPELINE_NOTE_BYTES 600
#define RB_PIPELINE_WHAT_BYTES 10240
#define RB_PIPELINE_SOON_MS 500
#define RB_PIPELINE_PATIENCE_MS (60 * 60 * 1000)

static const char together[] = "the failed actions of the stage are retried together by";

static bool by_person(const struct rb_retry *r)
{
    return r->requested_by != NULL;
}

static const char *pipeline_of(const struct rb_build *b)
{
    static const char prefix[] = "codepipeline/";
    bool named = b->initiator != NULL && rb_str_starts(b->initiator, prefix);

    return named && b->initiator[sizeof(prefix) - 1] != '\0' ? b->initiator + sizeof(prefix) - 1
                                                             : NULL;
}

static enum rb_code refused(struct rb_work *k, const char *what, const struct rb_err *why,
                            struct rb_err *err)
{
    char note[RB_PIPELINE_NOTE_BYTES];

    snprintf(note, sizeof(note), "%s: %s", what, why->msg);
    return rb_work_finish(k, RB_STATE_REFUSED, note, err);
}

/* The build as CodeBuild shows it now; *ret_ended when that ends the retry. */
static enum rb_code look_at_build(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    struct rb_fetch f = {.account = r->build.account, .region = r->build.region, .id = r->build.id};
    char note[RB_PIPELINE_NOTE_BYTES];

    *ret_ended = true;
    rb_fetch_builds(k->w, &f, 1, &k->arena);
    if (f.rc != RB_OK && !rb_look_definite_no(f.rc)) {
        const struct rb_look look = {.status = RB_LOOK_FAILED, .rc = f.rc};
        return rb_fresh_look_failed(k, &look, &f.err, err);
    }
    if (f.rc != RB_OK) {
        return refused(k, "CodeBuild does not show the build", &f.err, err);
    }
    if (f.build == NULL) {
        return rb_fresh_not_shown(k, "CodeBuild does not show the build",
                                  "CodeBuild does not know this build", err);
    }
    if (!rb_facts_merge(&r->build, f.build, &r->arena)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the facts of '%s'", r->id);
    }
    rb_intent_key(&r->build, k->intent_key);
    if (!rb_build_ended(&r->build)) {
        return rb_fresh_not_shown(k, "CodeBuild shows the build as still running",
                                  "the build is still running", err);
    }
    if (rb_str_eq(r->build.status, "SUCCEEDED") || (!rb_build_failed(&r->build) && !by_person(r))) {
        snprintf(note, sizeof(note), "the build ended as %s: there is nothing to retry",
                 r->build.status);
        return rb_work_finish(k, RB_STATE_REFUSED, note, err);
    }
    if (pipeline_of(&r->build) == NULL) {
        return rb_work_finish(k, RB_STATE_REFUSED,
                              "CodeBuild does not name the pipeline that started the build", err);
    }
    *ret_ended = false;
    return RB_OK;
}

static enum rb_code find(struct rb_work *k, struct rb_pipeline_place *p, struct rb_err *err)
{
    const struct rb_build *b = &k->r->build;
    enum rb_code rc;
    unsigned tries = 0;

    rb_codebuild_of_account(k->w->codebuild, b->account);
    do {
        rc = rb_codepipeline_find(k->w->codebuild, b->region, pipeline_of(b), b->id, &k->arena, p,
                                  err);
    } while (rb_look_worth_another(k->e, rc, tries++));
    return rc;
}

static enum rb_code judge_place(struct rb_work *k, const struct rb_pipeline_place *p,
                                bool *ret_ended, struct rb_err *err)
{
    char note[RB_PIPELINE_NOTE_BYTES];

    *ret_ended = true;
    if (p->stage == NULL) {
        return rb_work_finish(k, RB_STATE_SUPERSEDED,
                              "this build is no longer what its action of the pipeline ran last",
                              err);
    }
    if (p->execution == NULL) {
        return rb_work_finish(k, RB_STATE_REFUSED,
                              "CodePipeline does not name the execution that is in the stage", err);
    }
    if (p->busy || rb_str_eq(p->stage_status, "InProgress")) {
        snprintf(note, sizeof(note),
                 "stage %s still runs: its failed actions are retried together "
                 "when it has ended",
                 p->stage);
        return rb_work_later(k, k->rt->settings->timing.follow_poll_ms, note, err);
    }
    if (!rb_str_eq(p->stage_status, "Failed") || !rb_str_eq(p->action_status, "Failed")) {
        snprintf(note, sizeof(note), "stage %s is %s and the action %s: there is nothing to retry",
                 p->stage, p->stage_status == NULL ? "unknown" : p->stage_status,
                 p->action_status == NULL ? "unknown" : p->action_status);
        return rb_work_finish(k, RB_STATE_REFUSED, note, err);
    }
    *ret_ended = false;
    return RB_OK;
}

/* All failed builds of the stage see the same failed actions now, and so name the same effect. */
static enum rb_code lead(struct rb_work *k, const struct rb_pipeline_place *p, bool *ret_leads,
                         struct rb_err *err)
{
    const struct rb_build *b = &k->r->build;
    const char *what =
        rb_arena_printf(&k->arena, "stage of a pipeline %s %s %s %s %s %s", b->account, b->region,
                        pipeline_of(b), p->execution, p->stage, p->failed);

    return what == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for the stage of '%s'", k->r->id)
                        : rb_lead_take(k, what, together, ret_leads, err);
}

enum rb_code rb_pipeline_fresh(struct rb_work *k, struct rb_err *err)
{
    struct rb_pipeline_place p = {.stage = NULL};
    struct rb_err why = {.code = RB_OK};
    struct rb_retry *r = k->r;
    bool ended = false, leads = false;

    enum rb_code rc = look_at_build(k, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    rc = find(k, &p, &why);
    if (rc != RB_OK && rb_look_definite_no(rc)) {
        return refused(k, "CodePipeline does not show the pipeline of the build", &why, err);
    }
    if (rc != RB_OK) {
        const struct rb_look look = {.status = RB_LOOK_FAILED, .rc = rc};
        return rb_fresh_look_failed(k, &look, &why, err);
    }
    rc = judge_place(k, &p, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    rc = lead(k, &p, &leads, err);
    if (rc != RB_OK || !leads) {
        return rc;
    }
    if (!rb_aws_offset_known(k->e->aws)) {
        return rb_work_later(k, RB_PIPELINE_SOON_MS, NULL, err);
    }
    r->intent.execution = rb_arena_strdup(&r->arena, p.execution);
    r->intent.stage = rb_arena_strdup(&r->arena, p.stage);
    r->intent.action = rb_arena_strdup(&r->arena, p.action);
    r->intent.taken = false;
    if (r->intent.execution == NULL || r->intent.stage == NULL || r->intent.action == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the stage of '%s'", r->id);
    }
    return rb_fresh_intent_and_send(k, 0, err);
}

enum rb_code rb_pipeline_call(struct rb_work *k,
                              enum rb_code (*last_check)(void *, struct rb_err *), void *arg,
                              const char **ret_access_key, int64_t *ret_retry_after_ms,
                              struct rb_err *err)
{
    const struct rb_retry *r = k->r;
    const struct rb_stage_call call = {
        .region = r->build.region,
        .pipeline = pipeline_of(&r->build),
        .stage = r->intent.stage,
        .execution = r->intent.execution,
        .date_ms = r->intent.date_ms,
        .last_check = last_check,
        .arg = arg,
    };

    *ret_retry_after_ms = -1;
    if (call.pipeline == NULL || call.stage == NULL || call.execution == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the record does not name the stage to retry");
    }
    return rb_codepipeline_retry(k->w->codebuild, &call, &k->arena, ret_access_key,
                                 ret_retry_after_ms, err);
}

enum rb_code rb_pipeline_taken(struct rb_work *k, struct rb_err *err)
{
    char note[RB_PIPELINE_NOTE_BYTES];

    k->r->intent.taken =
        true; /* and still ambiguous: nothing is sent again before the build shows */
    snprintf(note, sizeof(note),
             "CodePipeline retries stage %s of pipeline %s: waiting for the new build",
             k->r->intent.stage, pipeline_of(&k->r->build));
    return rb_work_later(k, RB_PIPELINE_SOON_MS, note, err);
}

/* The first build of our action since the intent: of several, the later ones answer its failure. */
static const char *first_since(const struct rb_retry *r, const struct rb_pipeline_run *runs,
                               unsigned n)
{
    const struct rb_pipeline_run *first = NULL;

    for (unsigned i = 0; i < n; i++) {
        bool ours = rb_str_eq(runs[i].stage, r->intent.stage) &&
                    rb_str_eq(runs[i].action, r->intent.action) && runs[i].build_id != NULL &&
                    !rb_str_eq(runs[i].build_id, r->build.id) &&
                    runs[i].started_ms >= r->intent.date_ms - RB_PLAN_EARLY_START_MS;
        if (ours && (first == NULL || runs[i].started_ms < first->started_ms)) {
            first = &runs[i];
        }
    }
    return first == NULL ? NULL : first->build_id;
}

static enum rb_code look(struct rb_work *k, struct rb_look *l, struct rb_err *err)
{
    const struct rb_retry *r = k->r;
    struct rb_pipeline_run *runs = NULL;
    unsigned n = 0, tries = 0;
    bool cut = false;
    enum rb_code rc;

    rb_codebuild_of_account(k->w->codebuild, r->build.account);
    do {
        rc = rb_codepipeline_runs(k->w->codebuild, r->build.region, pipeline_of(&r->build),
                                  r->intent.execution, &k->arena, &runs, &n, &cut, err);
    } while (rb_look_worth_another(k->e, rc, tries++));
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_fetch f = {
        .account = r->build.account, .region = r->build.region, .id = first_since(r, runs, n)};
    l->builds = rb_arena_alloc(&k->arena, sizeof(*l->builds));
    if (l->builds == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory to look at a pipeline");
    }
    l->status = cut && f.id == NULL ? RB_LOOK_CUT : RB_LOOK_OK;
    if (f.id == NULL) {
        return RB_OK;
    }
    rb_fetch_builds(k->w, &f, 1, &k->arena);
    if (f.rc != RB_OK) {
        return rb_err_set(err, f.rc, "%s", f.err.msg);
    }
    if (f.build == NULL) { /* named by CodePipeline, not shown by CodeBuild yet */
        return rb_err_set(err, RB_E_UNAVAIL, "CodeBuild does not show build '%s' yet", f.id);
    }
    l->builds[l->n_builds++] = f.build;
    return RB_OK;
}

void rb_pipeline_look_since(struct rb_work *k, struct rb_look *ret, struct rb_err *err)
{
    int64_t began_boot_ms = rb_boot_ms(k->e->clock);

    *ret = (struct rb_look){.status = RB_LOOK_OK};
    if (pipeline_of(&k->r->build) == NULL || k->r->intent.execution == NULL) {
        ret->rc = rb_err_set(err, RB_E_INVALID, "the record does not name the pipeline");
    } else {
        ret->rc = look(k, ret, err);
    }
    if (ret->rc != RB_OK) {
        ret->status = rb_look_definite_no(ret->rc) ? RB_LOOK_DENIED : RB_LOOK_FAILED;
    }
    ret->began_ms = rb_aws_now_ms(k->e->aws) - (rb_boot_ms(k->e->clock) - began_boot_ms);
}

enum rb_code rb_pipeline_wait(struct rb_work *k, struct rb_err *err)
{
    int64_t age_ms = rb_engine_now_ms(k->e) - k->r->intent.written_ms;

    if (age_ms > RB_PIPELINE_PATIENCE_MS) {
        rb_log(RB_LOG_WARN, "submit.no_build", RB_F("retry", k->r->id),
               RB_F("stage", k->r->intent.stage));
        return rb_work_finish(k, RB_STATE_DEAD,
                              "CodePipeline took the retry of the stage, and no new build of the "
                              "action showed for an hour",
                              err);
    }
    return rb_work_later(k, rb_plan_ambiguous_wait_ms(age_ms), NULL, err);
}
