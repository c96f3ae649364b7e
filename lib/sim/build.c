/* build.c - builds come into being: StartBuild and RetryBuild, and what both share. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "core.h"
#include "identity.h"

struct sim_build *sim_build_find(struct rb_sim *sim, const char *id)
{
    json_t *at = json_object_get(sim->build_index, id);
    struct sim_build *b = at == NULL ? NULL : sim->builds[json_integer_value(at)];
    return b == NULL || sim_build_gone(sim, b) ? NULL : b;
}

bool sim_build_gone(struct rb_sim *sim, const struct sim_build *b)
{
    return b->complete && sim_now_locked(sim) - b->start_ms >= sim->script->history_ms;
}

const char *sim_id_of(const char *id, const char *mark)
{
    const char *there = rb_str_starts(id, "arn:") ? strstr(id, mark) : NULL;
    return there == NULL ? id : there + strlen(mark);
}

void sim_build_free(struct sim_build *b)
{
    if (b == NULL) {
        return;
    }
    free(b->id);
    free(b->arn);
    free(b->initiator);
    json_decref(b->base);
    json_decref(b->logs_config);
    free(b);
}

static char *text(const char *a, const char *b, const char *c, const char *d)
{
    struct rb_buf out = RB_BUF_INIT(4096);
    rb_buf_adds(&out, a);
    rb_buf_adds(&out, b);
    rb_buf_adds(&out, c);
    rb_buf_adds(&out, d);
    return rb_buf_detach(&out);
}

/* One character of the template, or one mark of it; returns how long it was. @arn: of an assumed
 * role, "…:assumed-role/ROLE/SESSION", or "". */
static size_t add_part(struct rb_buf *out, const char *p, const char *access_key, const char *arn)
{
    const char *role = strchr(arn, '/');
    const char *session = role == NULL ? NULL : strchr(role + 1, '/');

    if (rb_str_starts(p, "{access_key}")) {
        rb_buf_adds(out, access_key);
        return strlen("{access_key}");
    }
    if (rb_str_starts(p, "{role}") && session != NULL) {
        rb_buf_add(out, role + 1, (size_t)(session - role - 1));
        return strlen("{role}");
    }
    if (rb_str_starts(p, "{session}") && session != NULL) {
        rb_buf_adds(out, session + 1);
        return strlen("{session}");
    }
    rb_buf_addc(out, *p);
    return 1;
}

char *sim_initiator(const struct rb_sim *sim, const char *access_key)
{
    const char *caller = access_key == NULL ? "anonymous" : access_key;
    const char *named = json_string_value(json_object_get(sim->script->initiators, caller));
    if (named != NULL) {
        return strdup(named);
    }
    const struct sim_session *session = sim_session_find(sim, rb_slice_str(caller));
    struct rb_buf out = RB_BUF_INIT(4096);
    const char *p = session == NULL ? sim->script->initiator : sim->script->session_initiator;
    while (*p != '\0') {
        p += add_part(&out, p, caller, session == NULL ? "" : session->arn);
    }
    return rb_buf_detach(&out);
}

char *sim_service_initiator(json_t *base, const char *uuid)
{
    const char *role = json_string_value(json_object_get(base, "serviceRole"));
    const char *slash = role == NULL ? NULL : strrchr(role, '/');
    return text(slash == NULL ? "codebuild" : slash + 1, "/AWSCodeBuild-", uuid, NULL);
}

static bool file_build(struct rb_sim *sim, struct sim_project *p, struct sim_build *b)
{
    if (b->id == NULL || b->arn == NULL || b->initiator == NULL ||
        !sim_grow(&sim->builds, sim->n_builds, &sim->cap_builds) ||
        !sim_grow(&sim->running, sim->n_running, &sim->cap_running) ||
        !sim_grow(&p->builds, p->n_builds, &p->cap_builds)) {
        return false;
    }
    json_object_set_new(sim->build_index, b->id, json_integer((json_int_t)sim->n_builds));
    sim->builds[sim->n_builds++] = b;
    sim->running[sim->n_running++] = b;
    p->builds[p->n_builds++] = b;
    return true;
}

struct sim_build *sim_build_start(struct rb_sim *sim, const struct sim_start *s)
{
    struct sim_build *b = calloc(1, sizeof *b);
    if (b == NULL) {
        json_decref(s->take_base);
        free(s->take_initiator);
        return NULL;
    }
    struct sim_project *p = s->project;
    char uuid[SIM_UUID_BYTES];
    sim_uuid(uuid);
    RB_CLEANUP(rb_freep) char *scope = text("arn:", sim->partition, ":codebuild:", sim->region);
    RB_CLEANUP(rb_freep) char *scoped = text(scope, ":", sim->account, ":build/");
    b->id = text(p->name, ":", uuid, NULL);
    b->arn = text(scoped, b->id, NULL, NULL);
    b->initiator = s->take_initiator;
    b->base = s->take_base;
    b->logs_config = json_incref(s->logs_config);
    b->project = p;
    b->parent = s->parent;
    b->batch = s->batch;
    b->depth = s->parent == NULL ? 0 : s->parent->depth + 1;
    b->start_ms = s->now_ms;
    b->visible_ms = s->now_ms + sim->script->lag_ms;
    b->status = "IN_PROGRESS";
    b->outcome =
        s->outcome != NULL ? s->outcome : sim_script_outcome(sim->script, p->name, b->depth);
    if (!file_build(sim, p, b)) {
        sim_build_free(b);
        return NULL;
    }
    b->uuid = b->id + strlen(p->name) + 1;
    b->number = ++p->last_number;
    sim_phase_begin(sim, b, s->now_ms);
    pthread_cond_broadcast(&sim->changed);
    return b;
}

void sim_missing_project(struct sim_call *c, const char *name)
{
    sim_fail(c, "ResourceNotFoundException",
             "Project cannot be found: arn:%s:codebuild:%s:%s:project/%s", c->sim->partition,
             c->sim->region, c->sim->account, name);
}

/* The reply, the token, the ledger: once the build is there. */
static void answer(struct sim_call *c, const struct sim_build *b)
{
    if (b == NULL) {
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    sim_token_keep(c, b->id);
    sim_ledger_add(c->sim, b, c->operation,
                   json_string_value(json_object_get(c->in, "idempotencyToken")), c->access_key,
                   c->now_ms);
    c->out = json_pack("{s:o}", "build", sim_build_json(c->sim, b));
}

void sim_start_build(struct sim_call *c)
{
    const char *name = json_string_value(json_object_get(c->in, "projectName"));
    if (sim_token_replay(c)) {
        return;
    }
    struct sim_project *p = sim_project_find(c->sim, name);
    if (p == NULL) {
        sim_missing_project(c, name);
        return;
    }
    if (sim_queue_refuses(c, p)) {
        return;
    }
    json_t *logs = sim_build_logs_config(p, c->in);
    const struct sim_start start = {.project = p,
                                    .take_base = sim_build_base(c->sim, p, c->in),
                                    .logs_config = logs,
                                    .take_initiator = sim_initiator(c->sim, c->access_key),
                                    .now_ms = c->now_ms};
    struct sim_build *b = sim_build_start(c->sim, &start);
    json_decref(logs);
    if (b != NULL) {
        json_t *limit = json_object_get(c->in, "autoRetryLimitOverride");
        limit = json_is_integer(limit) ? limit : json_object_get(p->body, "autoRetryLimit");
        b->auto_limit = json_integer_value(limit);
        b->debug_session = json_is_true(json_object_get(c->in, "debugSessionEnabled"));
    }
    answer(c, b);
}

/* What keeps AWS, by the script, from retrying a build in this state; NULL: nothing. */
static const char *unfit(const struct sim_script *s, const struct sim_build *b)
{
    const char *source =
        json_string_value(json_object_get(json_object_get(b->base, "source"), "type"));
    if (!b->complete && !s->retry_running) {
        return "its status is IN_PROGRESS";
    }
    if (strcmp(b->status, "SUCCEEDED") == 0 && !s->retry_succeeded) {
        return "its status is SUCCEEDED";
    }
    if (strcmp(b->status, "STOPPED") == 0 && !s->retry_stopped) {
        return "its status is STOPPED";
    }
    if (b->batch != NULL && !s->retry_batch_member) {
        return "it belongs to a batch build";
    }
    if (rb_str_eq(source, "CODEPIPELINE") && !s->retry_codepipeline) {
        return "its source is CODEPIPELINE";
    }
    return NULL;
}

/* The build to retry, or NULL with the call's error set. */
static struct sim_build *retried(struct sim_call *c)
{
    const char *id = json_string_value(json_object_get(c->in, "id"));
    const struct sim_script *s = c->sim->script;
    id = s->retry_arn ? sim_id_of(id, ":build/") : id;
    if (rb_str_starts(id, "arn:") || strchr(id, ':') == NULL) {
        sim_fail(c, "InvalidInputException", "Invalid build ID provided");
        return NULL;
    }
    struct sim_build *b = sim_build_find(c->sim, id);
    if (b == NULL) {
        sim_fail(c, "ResourceNotFoundException", "Build %s does not exist", id);
        return NULL;
    }
    if (b->project->deleted) {
        sim_missing_project(c, b->project->name);
        return NULL;
    }
    const char *why = unfit(s, b);
    if (why != NULL) {
        sim_fail(c, "InvalidInputException", "Build %s cannot be retried: %s", id, why);
        return NULL;
    }
    return b;
}

void sim_retry_build(struct sim_call *c)
{
    if (!json_is_string(json_object_get(c->in, "id"))) {
        sim_fail(c, "InvalidInputException", "Invalid build ID provided");
        return;
    }
    if (sim_token_replay(c)) {
        return;
    }
    const struct sim_build *parent = retried(c);
    if (parent == NULL || sim_queue_refuses(c, parent->project)) {
        return;
    }
    struct sim_project *p = parent->project;
    const struct sim_script *s = c->sim->script;
    const struct sim_start start = {.project = p,
                                    .take_base = s->retry_keeps_source
                                                     ? sim_build_retry_base(parent->base)
                                                     : sim_build_base(c->sim, p, NULL),
                                    .logs_config = parent->logs_config,
                                    .parent = parent,
                                    .take_initiator = sim_initiator(c->sim, c->access_key),
                                    .now_ms = c->now_ms};
    struct sim_build *b = sim_build_start(c->sim, &start);
    if (b != NULL && s->retry_keeps_auto_retry) {
        b->auto_limit = parent->auto_limit;
    }
    answer(c, b);
}

void sim_stop_build(struct sim_call *c)
{
    const char *id = json_string_value(json_object_get(c->in, "id"));
    struct sim_build *b = sim_build_find(c->sim, id);
    if (strchr(id, ':') == NULL) {
        sim_fail(c, "InvalidInputException", "Invalid build ID provided");
        return;
    }
    if (b == NULL) {
        sim_fail(c, "ResourceNotFoundException", "Build %s does not exist", id);
        return;
    }
    if (!b->complete) {
        sim_build_stop(c->sim, b, c->now_ms);
        sim_ledger_add(c->sim, b, c->operation, NULL, c->access_key, c->now_ms);
    }
    c->out = json_pack("{s:o}", "build", sim_build_json(c->sim, b));
}
