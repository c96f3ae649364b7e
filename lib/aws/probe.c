/* What we may do, tried without doing it.
 *
 * IAM judges a call before CodeBuild looks for the build, so a call for one that cannot exist tells
 * "you may not" from "no such thing". Build ids end in a random UUID of version 4; one of all zeros
 * is never made. StartBuild starts a build of every project that exists: it is tried with a project
 * whose name was drawn just now, and so are pipelines: no project tells their names. Source: facts
 * on AWS, 1.7 and 8. */
#include <retrybuild/examine.h>

#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

#define BODY_MAX_BYTES ((size_t)16 * 1024)
#define NEVER_MADE "00000000-0000-0000-0000-000000000000"
#define SAID_MAX_BYTES 240

const struct rb_probe rb_probes[] = {
    {"codebuild:BatchGetBuilds", "BatchGetBuilds", RB_PROBE_OF_PROJECT},
    {"codebuild:ListBuildsForProject", "ListBuildsForProject", RB_PROBE_OF_PROJECT},
    {"codebuild:RetryBuild", "RetryBuild", RB_PROBE_OF_PROJECT},
    {"codebuild:StopBuild", "StopBuild", RB_PROBE_OF_PROJECT},
    {"codebuild:StartBuild", "StartBuild", RB_PROBE_MADE_UP},
    {"codebuild:BatchGetBuildBatches", "BatchGetBuildBatches", RB_PROBE_OF_PROJECT},
    {"codebuild:ListBuildBatchesForProject", "ListBuildBatchesForProject", RB_PROBE_OF_PROJECT},
    {"codebuild:RetryBuildBatch", "RetryBuildBatch", RB_PROBE_OF_PROJECT},
    {"codebuild:StopBuildBatch", "StopBuildBatch", RB_PROBE_OF_PROJECT},
    {"codepipeline:GetPipelineState", "GetPipelineState", RB_PROBE_MADE_UP},
    {"codepipeline:ListActionExecutions", "ListActionExecutions", RB_PROBE_MADE_UP},
    {"codepipeline:RetryStageExecution", "RetryStageExecution", RB_PROBE_MADE_UP},
    {"codebuild:BatchGetProjects", "BatchGetProjects", RB_PROBE_OF_PROJECT},
    {"logs:GetLogEvents", "GetLogEvents", RB_PROBE_OF_PROJECT},
    {NULL, NULL, RB_PROBE_MADE_UP},
};

const struct rb_probe *rb_probe_find(const char *operation)
{
    for (const struct rb_probe *p = rb_probes; p->action != NULL; p++) {
        if (rb_str_eq(p->operation, operation)) {
            return p;
        }
    }
    return NULL;
}

static void add_list(struct rb_buf *out, const char *name, const char *value)
{
    rb_buf_addf(out, "\"%s\":[", name);
    rb_buf_add_json_string(out, value, strlen(value));
    rb_buf_addc(out, ']');
}

static bool probe_body(const char *operation, const char *project, struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1024);

    rb_buf_addc(out, '{');
    if (rb_str_eq(operation, "BatchGetBuilds") || rb_str_eq(operation, "BatchGetBuildBatches")) {
        rb_buf_addf(&text, "%s:" NEVER_MADE, project);
        add_list(out, "ids", rb_buf_str(&text));
    } else if (rb_str_eq(operation, "BatchGetProjects")) {
        add_list(out, "names", project);
    } else if (rb_str_eq(operation, "GetLogEvents")) {
        rb_buf_addf(&text, "/aws/codebuild/%s", project);
        rb_aws_add_member(out, "logGroupName", rb_buf_str(&text));
        rb_aws_add_member(out, "logStreamName", NEVER_MADE);
    } else if (rb_str_eq(operation, "ListBuildsForProject") ||
               rb_str_eq(operation, "ListBuildBatchesForProject") ||
               rb_str_eq(operation, "StartBuild")) {
        rb_aws_add_member(out, "projectName", project);
    } else if (rb_str_eq(operation, "GetPipelineState")) {
        rb_aws_add_member(out, "name", project);
    } else if (rb_str_eq(operation, "ListActionExecutions")) {
        rb_aws_add_member(out, "pipelineName", project);
    } else if (rb_str_eq(operation, "RetryStageExecution")) {
        rb_aws_add_member(out, "pipelineName", project);
        rb_aws_add_member(out, "stageName", project);
        rb_aws_add_member(out, "pipelineExecutionId", NEVER_MADE);
        rb_aws_add_member(out, "retryMode", "FAILED_ACTIONS");
    } else {
        rb_buf_addf(&text, "%s:" NEVER_MADE, project);
        rb_aws_add_member(out, "id", rb_buf_str(&text));
    }
    rb_buf_addc(out, '}');
    return !rb_buf_failed(out) && !rb_buf_failed(&text);
}

/* AWS's own sentence, for people; of a success nothing. */
static const char *sentence(const struct rb_http_answer *answer, struct rb_arena *a)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *text = NULL;

    if (answer->status != 200 &&
        rb_json_load(rb_buf_str(&answer->body), answer->body.len, &j, NULL) == RB_OK) {
        text = json_string_value(json_object_get(j, "message"));
        text = text != NULL ? text : json_string_value(json_object_get(j, "Message"));
    }
    const char *kept =
        text == NULL ? NULL : rb_arena_strndup(a, text, strnlen(text, SAID_MAX_BYTES));
    return kept == NULL ? "" : kept;
}

static enum rb_probe_answer judge(const struct rb_http_answer *answer, struct rb_arena *a)
{
    static const char *const denied[] = {"AccessDenied", "NotAuthorized", "OptInRequired"};
    static const char *const judged_after[] = {"ResourceNotFound", "InvalidInput",
                                               "InvalidParameter", "PipelineNotFound"};
    const char *type = rb_aws_error_type(answer, a);

    if (answer->status == 200) {
        return RB_PROBE_ALLOWED;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(denied); i++) {
        if (rb_str_eq(type, denied[i])) {
            return RB_PROBE_DENIED;
        }
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(judged_after); i++) {
        if (rb_str_eq(type, judged_after[i])) {
            return RB_PROBE_ALLOWED;
        }
    }
    return RB_PROBE_UNSURE;
}

static const struct rb_aws_service *service_of(const struct rb_probe *p)
{
    if (rb_str_starts(p->action, "logs:")) {
        return &rb_aws_logs;
    }
    return rb_str_starts(p->action, "codepipeline:") ? &rb_aws_pipeline : NULL;
}

enum rb_code rb_codebuild_probe(struct rb_codebuild *c, const struct rb_probe *p,
                                const char *region, const char *project, struct rb_arena *a,
                                enum rb_probe_answer *ret_answer, const char **ret_said,
                                struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    char made_up[64];
    struct rb_aws_fate fate;
    enum rb_code rc = RB_E_CLOCK;

    *ret_answer = RB_PROBE_UNSURE;
    *ret_said = "";
    if (project == NULL || p->of == RB_PROBE_MADE_UP) {
        snprintf(made_up, sizeof(made_up), "retrybuild-doctor-%016llx",
                 (unsigned long long)rb_random_below(rb_random_system(), UINT64_MAX));
        project = made_up;
    }
    if (!probe_body(p->operation, project, &body)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a call");
    }
    const struct rb_aws_call call = {.service = service_of(p),
                                     .operation = p->operation,
                                     .region = region,
                                     .body = &body,
                                     .timeout_ms = c->timeout_ms,
                                     .ret_answer = &answer};
    for (int tries = 0; rc == RB_E_CLOCK && tries < 2; tries++) { /* the first tells the offset */
        rb_http_answer_release(&answer);
        answer = (struct rb_http_answer){.status = 0};
        rc = rb_aws_send(c, &call, &fate, NULL, err);
    }
    if (answer.status == 0 || rc == RB_E_CLOCK || rc == RB_E_CREDENTIALS) {
        return rc == RB_OK ? rb_err_set(err, RB_E_INTERNAL, "%s: no answer", p->operation) : rc;
    }
    *ret_answer = judge(&answer, a);
    *ret_said = sentence(&answer, a);
    return RB_OK;
}
