/* StartBuild as a replay: what the original was started with, read from CodeBuild at the time of
 * the call and kept nowhere. An ended build does not change, so every copy of one issue says the
 * same.
 *
 * What a Build tells is laid over the project: source version, source and environment with all
 * variables, those that a webhook had set among them. What needs rights of its own, or is told in
 * another form than StartBuild takes (service role, network, cache, artifacts, logs), is left to
 * the project. Source: facts on AWS, 1.2, 1.4 and 2.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

static const struct {
    const char *group; /* NULL: the build itself */
    const char *member, *to;
} CARRIED[] = {
    {NULL, "sourceVersion", "sourceVersion"},
    {NULL, "secondarySourceVersions", "secondarySourcesVersionOverride"},
    {NULL, "timeoutInMinutes", "timeoutInMinutesOverride"},
    {NULL, "queuedTimeoutInMinutes", "queuedTimeoutInMinutesOverride"},
    {"source", "type", "sourceTypeOverride"},
    {"source", "location", "sourceLocationOverride"},
    {"source", "auth", "sourceAuthOverride"},
    {"source", "gitCloneDepth", "gitCloneDepthOverride"},
    {"source", "gitSubmodulesConfig", "gitSubmodulesConfigOverride"},
    {"source", "buildspec", "buildspecOverride"},
    {"source", "insecureSsl", "insecureSslOverride"},
    {"source", "reportBuildStatus", "reportBuildStatusOverride"},
    {"source", "buildStatusConfig", "buildStatusConfigOverride"},
    {"environment", "type", "environmentTypeOverride"},
    {"environment", "image", "imageOverride"},
    {"environment", "computeType", "computeTypeOverride"},
    {"environment", "fleet", "fleetOverride"},
    {"environment", "certificate", "certificateOverride"},
    {"environment", "privilegedMode", "privilegedModeOverride"},
    {"environment", "registryCredential", "registryCredentialOverride"},
    {"environment", "imagePullCredentialsType", "imagePullCredentialsTypeOverride"},
    {"environment", "environmentVariables", "environmentVariablesOverride"},
};

static bool says_something(const json_t *v)
{
    return v != NULL && !json_is_null(v) && !(json_is_array(v) && json_array_size(v) == 0) &&
           !(json_is_string(v) && json_string_length(v) == 0);
}

static int add_text(const char *text, size_t len, void *arg)
{
    struct rb_buf *out = arg;

    rb_buf_add(out, text, len);
    return rb_buf_failed(out) ? -1 : 0;
}

enum rb_code rb_start_body(const json_t *build, const char *token, struct rb_buf *out,
                           struct rb_err *err)
{
    const char *project = json_string_value(json_object_get(build, "projectName"));

    if (project == NULL) {
        return rb_err_set(err, RB_E_INVALID, "CodeBuild does not tell the project of the build");
    }
    rb_buf_addc(out, '{');
    rb_aws_add_member(out, "projectName", project);
    rb_aws_add_member(out, "idempotencyToken", token);
    for (size_t i = 0; i < RB_ARRAY_LEN(CARRIED); i++) {
        const json_t *from =
            CARRIED[i].group == NULL ? build : json_object_get(build, CARRIED[i].group);
        const json_t *v = json_object_get(from, CARRIED[i].member);
        if (!says_something(v)) {
            continue;
        }
        rb_buf_addf(out, ",\"%s\":", CARRIED[i].to);
        if (json_dump_callback(v, add_text, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
            break;
        }
    }
    rb_buf_addc(out, '}');
    return rb_buf_failed(out)
               ? rb_err_set(err, RB_E_INVALID, "the settings of the build are too large to repeat")
               : RB_OK;
}

static json_t *find(const json_t *answer, const char *id)
{
    json_t *b = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(answer, "builds"), i, b)
    {
        if (rb_str_eq(json_string_value(json_object_get(b, "id")), id)) {
            return b;
        }
    }
    return NULL;
}

enum rb_code rb_codebuild_read(struct rb_codebuild *c, const char *region, const char *id,
                               json_t **ret_build, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(4096);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    rb_buf_adds(&body, "{\"ids\":[");
    rb_buf_add_json_string(&body, id, strlen(id));
    rb_buf_adds(&body, "]}");
    if (rb_buf_failed(&body)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a CodeBuild call");
    }
    const struct rb_aws_call ask = {.operation = "BatchGetBuilds", .region = region, .body = &body};
    enum rb_code rc = rb_aws_look_up(c, &ask, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    json_t *build = find(j, id);
    if (build == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "CodeBuild does not show build '%s'", id);
    }
    *ret_build = json_incref(build);
    return RB_OK;
}

enum rb_code rb_start_read(struct rb_codebuild *c, const struct rb_retry_call *call,
                           struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *build = NULL;

    enum rb_code rc = rb_codebuild_read(c, call->region, call->build_id, &build, err);
    if (rc == RB_E_REFUSED || rc == RB_E_NOT_FOUND) {
        return rb_err_wrap(err, RB_E_INVALID, "reading the build to start anew");
    }
    if (rc == RB_E_AMBIGUOUS) { /* of a look-up: nothing was started */
        return rb_err_wrap(err, RB_E_UNAVAIL, "reading the build to start anew");
    }
    return rc == RB_OK ? rb_start_body(build, call->token, out, err) : rc;
}
