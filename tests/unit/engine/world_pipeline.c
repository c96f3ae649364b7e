/* The world's CodePipeline: pipeline "release", one stage; topics and buses, which it has none of.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/codepipeline.h>
#include <retrybuild/publish.h>

#define EXECUTION "11111111-2222-3333-4444-555555555555"

static struct world_build *run(struct world *w, struct world_action *a, const char *project)
{
    struct world_build *b = world_started(w, project, NULL);

    assert_true(a->n_runs < RB_ARRAY_LEN(a->runs));
    b->b.initiator = "codepipeline/release";
    b->b.source_type = "CODEPIPELINE";
    a->runs[a->n_runs++] = b;
    return b;
}

struct world_build *world_action(struct world *w, const char *name, const char *project)
{
    assert_true(w->stage.n_actions < RB_ARRAY_LEN(w->stage.actions));
    struct world_action *a = &w->stage.actions[w->stage.n_actions++];
    a->name = name;
    return run(w, a, project);
}

static const char *status_of(const struct world_action *a)
{
    const struct rb_build *b = &a->runs[a->n_runs - 1]->b;

    return !rb_build_ended(b) ? "InProgress" : rb_build_failed(b) ? "Failed" : "Succeeded";
}

enum rb_code rb_codepipeline_find(struct rb_codebuild *c, const char *region, const char *pipeline,
                                  const char *build_id, struct rb_arena *a,
                                  struct rb_pipeline_place *ret_p, struct rb_err *err)
{
    struct world *w = the_world;

    (void)c;
    (void)region;
    assert_string_equal(pipeline, "release");
    if (w->get_rc != RB_OK) {
        return rb_err_set(err, w->get_rc, "look-ups fail");
    }
    *ret_p = (struct rb_pipeline_place){.stage = NULL};
    bool failed = false;
    const char *ids = "";
    for (unsigned i = 0; i < w->stage.n_actions; i++) {
        const struct world_action *one = &w->stage.actions[i];
        const char *newest = one->runs[one->n_runs - 1]->id;
        ret_p->busy = ret_p->busy || strcmp(status_of(one), "InProgress") == 0;
        failed = failed || strcmp(status_of(one), "Failed") == 0;
        ids = rb_arena_printf(a, "%s %s", ids, newest);
        if (strcmp(newest, build_id) == 0) {
            ret_p->stage = "Build";
            ret_p->action = one->name;
            ret_p->action_status = status_of(one);
        }
    }
    ret_p->failed = ids;
    ret_p->execution = EXECUTION;
    ret_p->stage_status = ret_p->busy ? "InProgress" : failed ? "Failed" : "Succeeded";
    if (w->stage.newer) {
        *ret_p = (struct rb_pipeline_place){.stage = NULL};
    }
    return RB_OK;
}

enum rb_code rb_codepipeline_runs(struct rb_codebuild *c, const char *region, const char *pipeline,
                                  const char *execution, struct rb_arena *a,
                                  struct rb_pipeline_run **ret_runs, unsigned *ret_n, bool *ret_cut,
                                  struct rb_err *err)
{
    struct world *w = the_world;

    (void)c;
    (void)region;
    (void)pipeline;
    assert_string_equal(execution, EXECUTION);
    if (w->list_rc != RB_OK) {
        return rb_err_set(err, w->list_rc, "look-ups fail");
    }
    *ret_runs = rb_arena_alloc(a, 32 * sizeof(**ret_runs));
    *ret_n = 0;
    *ret_cut = false;
    for (unsigned i = 0; i < w->stage.n_actions; i++) {
        const struct world_action *one = &w->stage.actions[i];
        for (unsigned r = one->n_runs; r-- > 0;) {
            (*ret_runs)[(*ret_n)++] = (struct rb_pipeline_run){
                .stage = "Build",
                .action = one->name,
                .build_id = w->stage.unnamed && r > 0 ? NULL : one->runs[r]->id,
                .started_ms = one->runs[r]->b.started_ms,
            };
        }
    }
    return RB_OK;
}

enum rb_code rb_codepipeline_retry(struct rb_codebuild *c, const struct rb_stage_call *call,
                                   struct rb_arena *a, const char **ret_access_key,
                                   int64_t *ret_retry_after_ms, struct rb_err *err)
{
    struct world *w = the_world;
    struct world_answer answer = world_take_answer(w);
    bool failed = false;

    (void)c;
    (void)a;
    *ret_retry_after_ms = answer.retry_after_ms;
    assert_string_equal(call->stage, "Build");
    assert_string_equal(call->execution, EXECUTION);
    enum rb_code rc = call->last_check(call->arg, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct world_effect *e = &w->calls[w->n_calls++];
    e->date_ms = call->date_ms;
    w->stage.n_calls++;
    for (unsigned i = 0; answer.effect && i < w->stage.n_actions; i++) {
        struct world_action *one = &w->stage.actions[i];
        if (strcmp(status_of(one), "Failed") == 0) {
            failed = true;
            if (!w->stage.never) {
                (void)run(w, one, one->runs[0]->b.project);
            }
        }
    }
    if (answer.effect && !failed) {
        return rb_err_set(err, RB_E_REFUSED, "StageNotRetryable: the stage has no failed actions");
    }
    w->n_effects += answer.effect ? 1 : 0;
    *ret_access_key = "AKIDEXAMPLE";
    return answer.rc == RB_OK
               ? RB_OK
               : rb_err_set(err, answer.rc, "the answer was %s", rb_code_name(answer.rc));
}

enum rb_code rb_sns_publish(struct rb_codebuild *c, const struct rb_sns_message *m,
                            struct rb_arena *a, const char **ret_id, int64_t *ret_retry_after_ms,
                            struct rb_err *err)
{
    (void)c;
    (void)a;
    (void)ret_id;
    *ret_retry_after_ms = -1;
    return rb_err_set(err, RB_E_NOT_FOUND, "there is no topic %s", m->topic_arn);
}

enum rb_code rb_events_put(struct rb_codebuild *c, const struct rb_bus_event *e, struct rb_arena *a,
                           const char **ret_id, int64_t *ret_retry_after_ms, struct rb_err *err)
{
    (void)c;
    (void)a;
    (void)ret_id;
    *ret_retry_after_ms = -1;
    return rb_err_set(err, RB_E_NOT_FOUND, "there is no bus %s", e->bus);
}
