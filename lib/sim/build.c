/* build.c - builds come into being: StartBuild and RetryBuild, and what both share. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "core.h"

struct sim_build *sim_build_find(struct rb_sim *sim, const char *id)
{
    json_t *at = json_object_get(sim->build_index, id);
    return at == NULL ? NULL : sim->builds[json_integer_value(at)];
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

static char *initiator_of(const struct rb_sim *sim, const char *access_key)
{
    const char *caller = access_key == NULL ? "anonymous" : access_key;
    const char *named = json_string_value(json_object_get(sim->script->initiators, caller));
    if (named != NULL) {
        return strdup(named);
    }
    const char *mark = strstr(sim->script->initiator, "{access_key}");
    if (mark == NULL) {
        return strdup(sim->script->initiator);
    }
    char *head = strndup(sim->script->initiator, (size_t)(mark - sim->script->initiator));
    char *all = text(head, caller, mark + strlen("{access_key}"), NULL);
    free(head);
    return all;
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

struct sim_build *sim_build_start(struct rb_sim *sim, struct sim_project *p, json_t *take_base,
                                  json_t *logs_config, const struct sim_build *parent,
                                  char *take_initiator, int64_t now_ms)
{
    struct sim_build *b = calloc(1, sizeof *b);
    if (b == NULL) {
        json_decref(take_base);
        free(take_initiator);
        return NULL;
    }
    char uuid[SIM_UUID_BYTES];
    sim_uuid(uuid);
    RB_CLEANUP(rb_freep) char *scope = text("arn:", sim->partition, ":codebuild:", sim->region);
    RB_CLEANUP(rb_freep) char *scoped = text(scope, ":", sim->account, ":build/");
    b->id = text(p->name, ":", uuid, NULL);
    b->arn = text(scoped, b->id, NULL, NULL);
    b->initiator = take_initiator;
    b->base = take_base;
    b->logs_config = json_incref(logs_config);
    b->project = p;
    b->parent = parent;
    b->depth = parent == NULL ? 0 : parent->depth + 1;
    b->start_ms = now_ms;
    b->visible_ms = now_ms + sim->script->lag_ms;
    b->status = "IN_PROGRESS";
    b->outcome = sim_script_outcome(sim->script, p->name, b->depth);
    if (!file_build(sim, p, b)) {
        sim_build_free(b);
        return NULL;
    }
    b->uuid = b->id + strlen(p->name) + 1;
    b->number = ++p->last_number;
    sim_phase_begin(sim, b, now_ms);
    pthread_cond_broadcast(&sim->changed);
    return b;
}

static bool over_limit(struct sim_call *c)
{
    int64_t limit = c->sim->script->account_limit;
    if (limit == 0 || c->sim->n_running < (size_t)limit) {
        return false;
    }
    sim_fail(c, "AccountLimitExceededException",
             "Cannot have more than %lld builds in queue for the account", (long long)limit);
    return true;
}

/* The reply, the token, the ledger: once the build is there. */
static void answer(struct sim_call *c, const struct sim_build *b)
{
    if (b == NULL) {
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    sim_token_keep(c, b);
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
        sim_fail(c, "ResourceNotFoundException",
                 "Project cannot be found: arn:%s:codebuild:%s:%s:project/%s", c->sim->partition,
                 c->sim->region, c->sim->account, name);
        return;
    }
    if (over_limit(c)) {
        return;
    }
    json_t *logs = sim_build_logs_config(p, c->in);
    struct sim_build *b = sim_build_start(c->sim, p, sim_build_base(c->sim, p, c->in), logs, NULL,
                                          initiator_of(c->sim, c->access_key), c->now_ms);
    json_decref(logs);
    if (b != NULL) {
        json_t *limit = json_object_get(c->in, "autoRetryLimitOverride");
        limit = json_is_integer(limit) ? limit : json_object_get(p->body, "autoRetryLimit");
        b->auto_limit = json_integer_value(limit);
        b->debug_session = json_is_true(json_object_get(c->in, "debugSessionEnabled"));
    }
    answer(c, b);
}

/* The build to retry, or NULL with the call's error set. */
static struct sim_build *retried(struct sim_call *c)
{
    const char *id = json_string_value(json_object_get(c->in, "id"));
    const struct sim_script *s = c->sim->script;
    if (rb_str_starts(id, "arn:") && s->retry_arn) {
        const char *mark = strstr(id, ":build/");
        id = mark == NULL ? id : mark + strlen(":build/");
    }
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
        sim_fail(c, "ResourceNotFoundException",
                 "Project cannot be found: arn:%s:codebuild:%s:%s:project/%s", c->sim->partition,
                 c->sim->region, c->sim->account, b->project->name);
        return NULL;
    }
    if ((!b->complete && !s->retry_running) ||
        (strcmp(b->status, "SUCCEEDED") == 0 && !s->retry_succeeded)) {
        sim_fail(c, "InvalidInputException", "Build %s cannot be retried: its status is %s", id,
                 b->status);
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
    if (parent == NULL || over_limit(c)) {
        return;
    }
    struct sim_project *p = parent->project;
    json_t *base = c->sim->script->retry_keeps_source ? sim_build_retry_base(parent->base)
                                                      : sim_build_base(c->sim, p, NULL);
    struct sim_build *b = sim_build_start(c->sim, p, base, parent->logs_config, parent,
                                          initiator_of(c->sim, c->access_key), c->now_ms);
    if (b != NULL) {
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
