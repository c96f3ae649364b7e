/* codepipeline.h - what CodePipeline is asked about a build that it started, and
 * RetryStageExecution.
 *
 * The client is CodeBuild's (codebuild.h), with its account, credentials, rates and clock. Errors
 * are as there; a pipeline, stage or execution that is not retryable is RB_E_REFUSED, a pipeline
 * that is busy RB_E_THROTTLED. RetryStageExecution has no idempotency token: what protects against
 * a second effect is that CodePipeline refuses it where no action of the stage has failed. Threads:
 * the client's. Blocks: at most its timeout. Source: AWS's CodePipeline API, 2015-07-09.
 */
#ifndef RETRYBUILD_CODEPIPELINE_H
#define RETRYBUILD_CODEPIPELINE_H

#include <retrybuild/codebuild.h>

/* Where a build stands in its pipeline now. Strings in the caller's arena. */
struct rb_pipeline_place {
    const char *stage, *action;
    const char *execution;     /* of the pipeline, that is in the stage */
    const char *stage_status;  /* InProgress, Failed, …; open set */
    const char *action_status; /* of the action that ran the build */
    const char *failed; /* names this failure of the stage: the executions of its failed actions */
    bool busy;          /* an action of the stage runs */
};
/* rb_codepipeline_find - by GetPipelineState: the action whose newest execution is @build_id.
 * Without one: RB_OK and *ret_p with stage NULL. */
enum rb_code rb_codepipeline_find(struct rb_codebuild *c, const char *region, const char *pipeline,
                                  const char *build_id, struct rb_arena *a,
                                  struct rb_pipeline_place *ret_p, struct rb_err *err);

struct rb_pipeline_run { /* one execution of an action */
    const char *stage, *action;
    const char *build_id; /* NULL: not started yet, or no build */
    int64_t started_ms;
};
/* rb_codepipeline_runs - by ListActionExecutions: those of @execution, newest first. *ret_cut:
 * there are more than are listed. */
enum rb_code rb_codepipeline_runs(struct rb_codebuild *c, const char *region, const char *pipeline,
                                  const char *execution, struct rb_arena *a,
                                  struct rb_pipeline_run **ret_runs, unsigned *ret_n, bool *ret_cut,
                                  struct rb_err *err);

struct rb_stage_call {
    const char *region, *pipeline, *stage, *execution;
    int64_t date_ms; /* the one signature date of this issue */
    enum rb_code (*last_check)(void *arg, struct rb_err *err);
    void *arg;
};
/* rb_codepipeline_retry - RetryStageExecution of the failed actions, sent once. RB_OK: it is being
 * done; which builds it starts is not told. *ret_access_key in @a; *ret_retry_after_ms always set.
 */
enum rb_code rb_codepipeline_retry(struct rb_codebuild *c, const struct rb_stage_call *call,
                                   struct rb_arena *a, const char **ret_access_key,
                                   int64_t *ret_retry_after_ms, struct rb_err *err);

#endif
