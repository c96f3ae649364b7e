/* Batch builds, told as builds: the engine follows a batch as it follows a build.
 *
 * A retry runs the same batch again: its id and number stay, phases are appended, and the builds of
 * before move into the lists of prior builds. So a run is known by when it was submitted last.
 * Source: facts on AWS, 2.
 */
#include <math.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

static const char BATCH[] = ":build-batch/";
static const char BUILD[] = ":build/";

/* The names of a BuildBatch as those of a Build. */
static const struct {
    const char *from, *to;
} MEMBERS[] = {
    {"id", "id"},
    {"buildBatchNumber", "buildNumber"},
    {"buildBatchStatus", "buildStatus"},
    {"startTime", "startTime"},
    {"endTime", "endTime"},
    {"initiator", "initiator"},
    {"source", "source"},
    {"sourceVersion", "sourceVersion"},
    {"resolvedSourceVersion", "resolvedSourceVersion"},
    {"arn", "buildBatchArn"},
};

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a batch build");
}

static int64_t started_ms(const json_t *phase)
{
    double s = json_number_value(json_object_get(phase, "startTime"));
    return s > 0 && s < 253402300799.0 ? (int64_t)llround(s * 1000.0) : 0;
}

static int64_t run_of(const json_t *batch)
{
    const json_t *phase = NULL;
    int64_t run_ms = 0;
    size_t i = 0;

    json_array_foreach(json_object_get(batch, "phases"), i, phase)
    {
        const char *type = json_string_value(json_object_get(phase, "phaseType"));
        int64_t at_ms = rb_str_eq(type, "SUBMITTED") ? started_ms(phase) : 0;
        run_ms = at_ms > run_ms ? at_ms : run_ms;
    }
    return run_ms != 0 ? run_ms : started_ms(batch);
}

/* "arn:…:build-batch/P:U" is read as the ARN of a build would be. */
static const char *as_build_arn(const char *arn, struct rb_arena *a)
{
    const char *mark = arn == NULL ? NULL : strstr(arn, BATCH);

    return mark == NULL ? NULL
                        : rb_arena_printf(a, "%.*s%s%s", (int)(mark - arn), arn, BUILD,
                                          mark + sizeof(BATCH) - 1);
}

static const char *member_id(const json_t *summary, struct rb_arena *a)
{
    const char *arn = json_string_value(json_object_get(summary, "arn"));
    const char *mark = arn == NULL ? NULL : strstr(arn, BUILD);

    return mark == NULL ? NULL : rb_arena_strdup(a, mark + sizeof(BUILD) - 1);
}

static void add_member(struct rb_batch *b, const json_t *summary, bool newest, bool ignored,
                       struct rb_arena *a)
{
    const char *id = member_id(summary, a);
    const char *status = json_string_value(json_object_get(summary, "buildStatus"));

    if (id != NULL) {
        b->members[b->n_members++] = (struct rb_batch_member){
            .id = id, .status = rb_arena_strdup(a, status), .newest = newest, .ignored = ignored};
    }
}

static size_t count_members(const json_t *groups)
{
    const json_t *group = NULL;
    size_t n = 1, i = 0;

    json_array_foreach(groups, i, group)
    {
        n += 1 + json_array_size(json_object_get(group, "priorBuildSummaryList"));
    }
    return n;
}

static bool read_members(const json_t *groups, struct rb_arena *a, struct rb_batch *b)
{
    const json_t *group = NULL, *prior = NULL;
    size_t i = 0, k = 0;

    b->n_members = 0;
    b->members = rb_arena_alloc(a, count_members(groups) * sizeof(*b->members));
    if (b->members == NULL) {
        return false;
    }
    json_array_foreach(groups, i, group)
    {
        bool ignored = json_is_true(json_object_get(group, "ignoreFailure"));
        add_member(b, json_object_get(group, "currentBuildSummary"), true, ignored, a);
        json_array_foreach(json_object_get(group, "priorBuildSummaryList"), k, prior)
        {
            add_member(b, prior, false, ignored, a);
        }
    }
    return true;
}

enum rb_code rb_codebuild_batch_from_json(const json_t *j, const char *region, struct rb_arena *a,
                                          struct rb_batch *ret_b, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *build = json_object();
    const char *arn = json_string_value(json_object_get(j, "arn"));
    const char *plain = as_build_arn(arn, a);
    struct rb_batch b = {.n_members = 0};

    for (size_t i = 0; build != NULL && i < RB_ARRAY_LEN(MEMBERS); i++) {
        json_t *v = json_object_get(j, MEMBERS[i].from);
        if (v != NULL) {
            json_object_set(build, MEMBERS[i].to, v);
        }
    }
    if (build == NULL) {
        return no_memory(err);
    }
    if (plain == NULL) {
        return rb_err_set(err, RB_E_INVALID, "a batch build has no ARN of a batch build");
    }
    json_object_set_new(build, "arn", json_string(plain));
    enum rb_code rc = rb_codebuild_build_from_json(build, region, a, &b.b, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "a batch build");
    }
    b.b.arn = b.b.batch_arn;
    b.b.run_ms = run_of(j);
    if (!read_members(json_object_get(j, "buildGroups"), a, &b)) {
        return no_memory(err);
    }
    *ret_b = b;
    return RB_OK;
}

enum rb_code rb_codebuild_get_batches(struct rb_codebuild *c, const char *region,
                                      const char *const *ids, unsigned n, struct rb_arena *a,
                                      struct rb_batch **ret_batches, unsigned *ret_n,
                                      struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const json_t *one = NULL;
    size_t i = 0;

    enum rb_code rc = rb_aws_batch_get(c, "BatchGetBuildBatches", region, ids, n, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const json_t *list = json_object_get(j, "buildBatches");
    if (!json_is_array(list)) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "BatchGetBuildBatches: the answer has no batches");
    }
    struct rb_batch *batches = rb_arena_alloc(a, (json_array_size(list) + 1) * sizeof(*batches));
    if (batches == NULL) {
        return no_memory(err);
    }
    json_array_foreach(list, i, one)
    {
        rc = rb_codebuild_batch_from_json(one, region, a, &batches[i], err);
        if (rc != RB_OK) {
            return rb_err_wrap(err, rc == RB_E_NOMEM ? rc : RB_E_AMBIGUOUS, "BatchGetBuildBatches");
        }
    }
    *ret_batches = batches;
    *ret_n = (unsigned)json_array_size(list);
    return RB_OK;
}

enum rb_code rb_codebuild_list_batches(struct rb_codebuild *c, const char *region,
                                       const char *project, const char *next, struct rb_arena *a,
                                       const char ***ret_ids, unsigned *ret_n,
                                       const char **ret_next, struct rb_err *err)
{
    return rb_aws_list(c, "ListBuildBatchesForProject", region, project, next, a, ret_ids, ret_n,
                       ret_next, err);
}

enum rb_code rb_codebuild_stop_batch(struct rb_codebuild *c, const char *region, const char *id,
                                     struct rb_arena *a, struct rb_batch *ret_batch,
                                     struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(4096);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "id", id);
    rb_buf_addc(&body, '}');
    if (rb_buf_failed(&body)) {
        return no_memory(err);
    }
    const struct rb_aws_call call = {
        .operation = "StopBuildBatch", .region = region, .body = &body};
    enum rb_code rc = rb_aws_look_up(c, &call, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    rc = rb_codebuild_batch_from_json(json_object_get(j, "buildBatch"), region, a, ret_batch, err);
    return rc == RB_OK || rc == RB_E_NOMEM ? rc
                                           : rb_err_wrap(err, RB_E_AMBIGUOUS, "StopBuildBatch");
}
