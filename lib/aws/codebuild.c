/* The CodeBuild calls of the product. RetryBuild, or StartBuild, is sent once and never repeated
 * here: what follows an unclear answer is the engine's decision. Look-ups have no effect and are
 * repeated. */
#include <retrybuild/codebuild.h>

#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/secret.h>

#include "internal.h"

#define BODY_MAX_BYTES ((size_t)256 * 1024)
#define LOOKUP_TRIES 3
#define TRANSIENT_BASE_MS 100
#define THROTTLE_BASE_MS 1000
#define BACKOFF_CAP_MS 5000
#define IDS_MAX 100
#define DEFAULT_TIMEOUT_MS 10000
#define QUOTA_WAIT_MS 5000

enum rb_code rb_codebuild_new(struct rb_aws *aws, const struct rb_settings *s,
                              struct rb_codebuild **ret_c, struct rb_err *err)
{
    struct rb_codebuild *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a CodeBuild client");
    }
    c->aws = aws;
    c->random = rb_random_system();
    c->usual_timeout_ms =
        s->timing.call_timeout_ms > 0 ? s->timing.call_timeout_ms : DEFAULT_TIMEOUT_MS;
    c->timeout_ms = c->usual_timeout_ms;
    enum rb_code rc = rb_httpc_new(s, &c->http, err);
    if (rc != RB_OK) {
        free(c);
        return rb_err_wrap(err, rc, "CodeBuild client");
    }
    *ret_c = c;
    return RB_OK;
}

void rb_codebuild_free(struct rb_codebuild *c)
{
    if (c != NULL) {
        rb_httpc_free(c->http);
        free(c);
    }
}

void rb_codebuild_cancel_on(struct rb_codebuild *c, const atomic_bool *flag)
{
    c->cancel = flag;
}

void rb_codebuild_within(struct rb_codebuild *c, int64_t timeout_ms)
{
    bool shorter = timeout_ms > 0 && timeout_ms < c->usual_timeout_ms;
    c->timeout_ms = shorter ? timeout_ms : c->usual_timeout_ms;
}

void rb_codebuild_of_account(struct rb_codebuild *c, const char *account)
{
    size_t len = account == NULL ? 0 : strlen(account);

    len = len < sizeof(c->account) ? len : 0;
    memcpy(c->account, account == NULL ? "" : account, len);
    c->account[len] = '\0';
}

void rb_aws_add_member(struct rb_buf *out, const char *name, const char *value)
{
    rb_buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    rb_buf_add_json_string(out, value, strlen(value));
}

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a CodeBuild call");
}

/* ---- RetryBuild, or StartBuild in its place ---- */

static const char *operation_of(const struct rb_retry_call *call)
{
    if (call->batch_id != NULL) {
        return "RetryBuildBatch";
    }
    return call->start ? "StartBuild" : "RetryBuild";
}

static enum rb_code read_batch(const json_t *j, const struct rb_retry_call *call,
                               struct rb_arena *a, struct rb_build *ret_child, struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};
    struct rb_batch batch;

    enum rb_code rc = rb_codebuild_batch_from_json(json_object_get(j, "buildBatch"), call->region,
                                                   a, &batch, &why);
    if (rc != RB_OK) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "RetryBuildBatch: the answer names no batch: %s",
                          why.msg);
    }
    *ret_child = batch.b;
    return RB_OK;
}

static enum rb_code read_child(const json_t *j, const struct rb_retry_call *call,
                               struct rb_arena *a, struct rb_build *ret_child, struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};
    struct rb_build child;

    if (call->batch_id != NULL) {
        return read_batch(j, call, a, ret_child, err);
    }

    enum rb_code rc =
        rb_codebuild_build_from_json(json_object_get(j, "build"), call->region, a, &child, &why);
    if (rc != RB_OK) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "%s: the answer names no build: %s",
                          operation_of(call), why.msg);
    }
    if (rb_str_eq(child.id, call->build_id)) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "%s: the answer names the failed build",
                          operation_of(call));
    }
    *ret_child = child;
    return RB_OK;
}

static enum rb_code call_body(struct rb_codebuild *c, const struct rb_retry_call *call,
                              struct rb_buf *body, struct rb_err *err)
{
    if (call->start && call->batch_id == NULL) {
        return rb_start_read(c, call, body, err);
    }
    rb_buf_addc(body, '{');
    rb_aws_add_member(body, "id", call->batch_id != NULL ? call->batch_id : call->build_id);
    rb_aws_add_member(body, "idempotencyToken", call->token);
    if (call->batch_id != NULL) {
        rb_aws_add_member(body, "retryType", "RETRY_FAILED_BUILDS");
    }
    rb_buf_addc(body, '}');
    return rb_buf_failed(body) ? no_memory(err) : RB_OK;
}

/* It may hold variables of a build. */
static void wipe_body(struct rb_buf *body)
{
    if (body->data != NULL) {
        rb_wipe(body->data, body->cap);
    }
    rb_buf_release(body);
}

enum rb_code rb_codebuild_retry(struct rb_codebuild *c, const struct rb_retry_call *call,
                                struct rb_arena *a, struct rb_build *ret_child,
                                const char **ret_access_key, int64_t *ret_retry_after_ms,
                                struct rb_err *err)
{
    RB_CLEANUP(wipe_body) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const struct rb_aws_scope scope = rb_codebuild_scope(c, call->region, operation_of(call));
    struct rb_aws_fate fate;

    *ret_retry_after_ms = -1;
    enum rb_code rc = call_body(c, call, &body, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (call->repeats && !rb_aws_may_repeat(c->aws, &scope, RB_QUOTA_COST_SILENT)) {
        *ret_retry_after_ms = QUOTA_WAIT_MS;
        return rb_err_set(err, RB_E_THROTTLED,
                          "too many calls had no clear answer: this one is repeated later");
    }
    const struct rb_aws_call send = {.operation = scope.operation,
                                     .region = call->region,
                                     .body = &body,
                                     .date_ms = call->date_ms,
                                     .session = call->session,
                                     .timeout_ms = c->timeout_ms,
                                     .changes = true,
                                     .last_check = call->last_check,
                                     .arg = call->arg};
    rc = rb_aws_send(c, &send, &fate, &j, err);
    *ret_retry_after_ms = fate.retry_after_ms;
    if (rc == RB_OK && call->repeats) {
        rb_aws_repeated_well(c->aws, &scope, RB_QUOTA_COST_SILENT);
    }
    if (rc == RB_OK) {
        rc = read_child(j, call, a, ret_child, err);
    }
    if (rc == RB_OK && ret_access_key != NULL) {
        *ret_access_key = rb_arena_strdup(a, fate.access_key);
    }
    return rc;
}

/* ---- look-ups ---- */

static bool again_after_pause(enum rb_code rc)
{
    return rc == RB_E_UNAVAIL || rc == RB_E_AMBIGUOUS || rc == RB_E_THROTTLED;
}

static int64_t pause_ms(struct rb_codebuild *c, enum rb_code rc, unsigned tries,
                        int64_t retry_after_ms)
{
    int64_t base_ms = rc == RB_E_THROTTLED ? THROTTLE_BASE_MS : TRANSIENT_BASE_MS;
    int64_t cap_ms = base_ms << tries;

    cap_ms = cap_ms < BACKOFF_CAP_MS ? cap_ms : BACKOFF_CAP_MS;
    int64_t ms = (int64_t)rb_random_below(c->random, (uint64_t)cap_ms + 1);
    return retry_after_ms > ms ? retry_after_ms : ms;
}

/* Up to three tries, as long as there is quota for them, within the call's time. A refused date is
 * repeated once, with the offset that the refusal itself has told; refused credentials once,
 * freshly fetched. */
enum rb_code rb_aws_look_up(struct rb_codebuild *c, const struct rb_aws_call *what,
                            json_t **ret_json, struct rb_err *err)
{
    const struct rb_clock *clock = rb_aws_clock(c->aws);
    int64_t deadline_boot_ms = rb_boot_ms(clock) + c->timeout_ms;
    bool clock_mended = false, credentials_renewed = false;
    struct rb_aws_call call = *what;
    const struct rb_aws_scope scope = rb_codebuild_scope(c, what->region, what->operation);
    int64_t paid = 0;

    for (unsigned tries = 0;;) {
        struct rb_aws_fate fate;
        int64_t wait_ms = 0;
        call.timeout_ms = deadline_boot_ms - rb_boot_ms(clock);
        enum rb_code rc = rb_aws_send(c, &call, &fate, ret_json, err);
        if (rc == RB_E_CLOCK && !clock_mended) {
            clock_mended = true;
        } else if (rc == RB_E_CREDENTIALS && !credentials_renewed && fate.access_key[0] != '\0') {
            credentials_renewed = true;
            rb_aws_credentials_refused(c->aws);
        } else if (again_after_pause(rc) && fate.access_key[0] != '\0' &&
                   tries + 1 < LOOKUP_TRIES) {
            wait_ms = pause_ms(c, rc, tries++, fate.retry_after_ms);
            paid = fate.answered ? RB_QUOTA_COST : RB_QUOTA_COST_SILENT;
            if (!rb_aws_may_repeat(c->aws, &scope, paid)) {
                return rc;
            }
        } else {
            if (rc == RB_OK && paid > 0) {
                rb_aws_repeated_well(c->aws, &scope, paid);
            }
            return rc;
        }
        if (rb_boot_ms(clock) + wait_ms >= deadline_boot_ms ||
            !rb_aws_pause(c->aws, wait_ms, c->cancel)) {
            return rc;
        }
    }
}

static enum rb_code read_builds(const json_t *list, const char *region, struct rb_arena *a,
                                struct rb_build **ret_builds, unsigned *ret_n, struct rb_err *err)
{
    size_t n = json_array_size(list), i = 0;
    const json_t *j = NULL;

    struct rb_build *builds = rb_arena_alloc(a, (n == 0 ? 1 : n) * sizeof(*builds));
    if (builds == NULL) {
        return no_memory(err);
    }
    json_array_foreach(list, i, j)
    {
        enum rb_code rc = rb_codebuild_build_from_json(j, region, a, &builds[i], err);
        if (rc != RB_OK) {
            return rb_err_wrap(err, rc == RB_E_NOMEM ? rc : RB_E_AMBIGUOUS, "BatchGetBuilds");
        }
    }
    *ret_builds = builds;
    *ret_n = (unsigned)n;
    return RB_OK;
}

enum rb_code rb_aws_batch_get(struct rb_codebuild *c, const char *operation, const char *region,
                              const char *const *ids, unsigned n, json_t **ret_json,
                              struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);

    if (n == 0 || n > IDS_MAX) {
        return rb_err_set(err, RB_E_INVALID, "%s takes 1 to %d ids, not %u", operation, IDS_MAX, n);
    }
    rb_buf_adds(&body, "{\"ids\":[");
    for (unsigned i = 0; i < n; i++) {
        rb_buf_adds(&body, i == 0 ? "" : ",");
        rb_buf_add_json_string(&body, ids[i], strlen(ids[i]));
    }
    rb_buf_adds(&body, "]}");
    if (rb_buf_failed(&body)) {
        return no_memory(err);
    }
    const struct rb_aws_call call = {.operation = operation, .region = region, .body = &body};
    return rb_aws_look_up(c, &call, ret_json, err);
}

enum rb_code rb_codebuild_get(struct rb_codebuild *c, const char *region, const char *const *ids,
                              unsigned n, struct rb_arena *a, struct rb_build **ret_builds,
                              unsigned *ret_n, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    enum rb_code rc = rb_aws_batch_get(c, "BatchGetBuilds", region, ids, n, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const json_t *builds = json_object_get(j, "builds");
    if (!json_is_array(builds)) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "BatchGetBuilds: the answer has no list of builds");
    }
    return read_builds(builds, region, a, ret_builds, ret_n, err);
}

static enum rb_code read_ids(const json_t *j, const char *operation, struct rb_arena *a,
                             const char ***ret_ids, unsigned *ret_n, const char **ret_next,
                             struct rb_err *err)
{
    const json_t *list = json_object_get(j, "ids");
    const char *next = json_string_value(json_object_get(j, "nextToken"));
    size_t n = json_array_size(list), i = 0;
    const json_t *item = NULL;

    const char **ids = rb_arena_alloc(a, (n + 1) * sizeof(*ids));
    if (ids == NULL) {
        return no_memory(err);
    }
    json_array_foreach(list, i, item)
    {
        const char *id = json_string_value(item);
        if (id == NULL) {
            return rb_err_set(err, RB_E_AMBIGUOUS, "%s: an id is no string", operation);
        }
        ids[i] = rb_arena_strdup(a, id);
        if (ids[i] == NULL) {
            return no_memory(err);
        }
    }
    const char *kept = rb_str_empty(next) ? NULL : rb_arena_strdup(a, next);
    if (!rb_str_empty(next) && kept == NULL) {
        return no_memory(err);
    }
    *ret_ids = ids;
    *ret_n = (unsigned)n;
    *ret_next = kept;
    return RB_OK;
}

enum rb_code rb_codebuild_stop(struct rb_codebuild *c, const char *region, const char *id,
                               struct rb_arena *a, struct rb_build *ret_build, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "id", id);
    rb_buf_addc(&body, '}');
    if (rb_buf_failed(&body)) {
        return no_memory(err);
    }
    const struct rb_aws_call call = {.operation = "StopBuild", .region = region, .body = &body};
    enum rb_code rc = rb_aws_look_up(c, &call, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    rc = rb_codebuild_build_from_json(json_object_get(j, "build"), region, a, ret_build, err);
    return rc == RB_OK || rc == RB_E_NOMEM ? rc : rb_err_wrap(err, RB_E_AMBIGUOUS, "StopBuild");
}

enum rb_code rb_aws_list(struct rb_codebuild *c, const char *operation, const char *region,
                         const char *project, const char *next, struct rb_arena *a,
                         const char ***ret_ids, unsigned *ret_n, const char **ret_next,
                         struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "projectName", project);
    if (!rb_str_empty(next)) {
        rb_aws_add_member(&body, "nextToken", next);
    }
    rb_buf_addc(&body, '}');
    if (rb_buf_failed(&body)) {
        return no_memory(err);
    }
    const struct rb_aws_call call = {.operation = operation, .region = region, .body = &body};
    enum rb_code rc = rb_aws_look_up(c, &call, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (!json_is_array(json_object_get(j, "ids"))) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "%s: the answer has no ids", operation);
    }
    return read_ids(j, operation, a, ret_ids, ret_n, ret_next, err);
}

enum rb_code rb_codebuild_list(struct rb_codebuild *c, const char *region, const char *project,
                               const char *next, struct rb_arena *a, const char ***ret_ids,
                               unsigned *ret_n, const char **ret_next, struct rb_err *err)
{
    return rb_aws_list(c, "ListBuildsForProject", region, project, next, a, ret_ids, ret_n,
                       ret_next, err);
}
