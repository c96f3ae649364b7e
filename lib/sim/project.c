/* project.c - projects: created by a call or by the script, read, listed, deleted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "core.h"
#include "model.h"
#include "page.h"

struct sim_project *sim_project_find(struct rb_sim *sim, const char *name_or_arn)
{
    const char *name = name_or_arn;
    if (rb_str_starts(name, "arn:")) {
        const char *mark = strstr(name, ":project/");
        name = mark == NULL ? name : mark + strlen(":project/");
    }
    json_t *at = json_object_get(sim->project_index, name);
    if (at == NULL) {
        return NULL;
    }
    struct sim_project *p = sim->projects[json_integer_value(at)];
    return p->deleted ? NULL : p;
}

void sim_project_free(struct sim_project *p)
{
    if (p == NULL) {
        return;
    }
    free(p->name);
    json_decref(p->body);
    free(p->builds);
    free(p);
}

static void set_default(json_t *obj, const char *key, json_t *take_value)
{
    json_object_set_new(obj, key, take_value); /* absent members alone are added */
}

/* The members that CreateProject fills in; source: AWS CLI's own examples. */
static json_t *make_body(const struct rb_sim *sim, json_t *in)
{
    const char *name = json_string_value(json_object_get(in, "name"));
    json_t *body = json_object();
    set_default(body, "arn",
                json_sprintf("arn:%s:codebuild:%s:%s:project/%s", sim->partition, sim->region,
                             sim->account, name));
    set_default(
        body, "encryptionKey",
        json_sprintf("arn:%s:kms:%s:%s:alias/aws/s3", sim->partition, sim->region, sim->account));
    set_default(body, "timeoutInMinutes", json_integer(60));
    set_default(body, "queuedTimeoutInMinutes", json_integer(480));
    set_default(body, "cache", json_pack("{s:s}", "type", "NO_CACHE"));
    set_default(body, "secondarySources", json_array());
    set_default(body, "secondarySourceVersions", json_array());
    set_default(body, "secondaryArtifacts", json_array());
    set_default(body, "tags", json_array());
    set_default(
        body, "badge",
        json_pack("{s:b}", "badgeEnabled", json_is_true(json_object_get(in, "badgeEnabled"))));
    set_default(body, "projectVisibility", json_string("PRIVATE"));
    json_t *given = json_deep_copy(in);
    json_object_del(given, "badgeEnabled");
    const char *key;
    json_t *value;
    json_object_foreach(given, key, value)
    {
        if (!json_is_null(value)) {
            json_object_set(body, key, value);
        }
    }
    json_t *environment =
        json_pack("{s:b, s:s, s:[]}", "privilegedMode", 0, "imagePullCredentialsType", "CODEBUILD",
                  "environmentVariables");
    json_object_update(environment, json_object_get(given, "environment"));
    json_object_set_new(body, "environment", environment);
    json_t *artifacts = json_object_get(body, "artifacts");
    if (rb_str_eq(json_string_value(json_object_get(artifacts, "type")), "S3")) {
        json_t *full = json_pack("{s:s, s:s, s:s, s:b}", "namespaceType", "NONE", "packaging",
                                 "NONE", "name", name, "encryptionDisabled", 0);
        json_object_update(full, artifacts);
        json_object_set_new(body, "artifacts", full);
    }
    json_decref(given);
    return body;
}

static json_t *project_json(const struct sim_project *p)
{
    json_t *out = json_copy(p->body);
    json_object_set_new(out, "created", json_real(sim_time_s(p->created_ms)));
    json_object_set_new(out, "lastModified", json_real(sim_time_s(p->modified_ms)));
    return out;
}

static struct sim_project *add_project(struct rb_sim *sim, json_t *in, int64_t now_ms)
{
    const char *name = json_string_value(json_object_get(in, "name"));
    json_t *at = json_object_get(sim->project_index, name);
    struct sim_project *p = at == NULL ? NULL : sim->projects[json_integer_value(at)];
    if (p == NULL) {
        p = calloc(1, sizeof *p);
        if (p == NULL || !sim_grow(&sim->projects, sim->n_projects, &sim->cap_projects) ||
            (p->name = strdup(name)) == NULL) {
            free(p);
            return NULL;
        }
        json_object_set_new(sim->project_index, name, json_integer((json_int_t)sim->n_projects));
        sim->projects[sim->n_projects++] = p;
    }
    json_decref(p->body);
    p->body = make_body(sim, in);
    p->created_ms = p->modified_ms = now_ms;
    p->deleted = false;
    return p;
}

static bool sensible(struct sim_call *c)
{
    json_t *source = json_object_get(c->in, "source");
    const char *type = json_string_value(json_object_get(source, "type"));
    bool needs_location = !rb_str_eq(type, "NO_SOURCE") && !rb_str_eq(type, "CODEPIPELINE");
    if (needs_location && rb_str_empty(json_string_value(json_object_get(source, "location")))) {
        sim_fail(c, "InvalidInputException", "Project source location is required");
        return false;
    }
    json_t *artifacts = json_object_get(c->in, "artifacts");
    if (rb_str_eq(json_string_value(json_object_get(artifacts, "type")), "NO_ARTIFACTS") &&
        !rb_str_empty(json_string_value(json_object_get(artifacts, "location")))) {
        sim_fail(c, "InvalidInputException",
                 "Invalid artifacts: artifact type NO_ARTIFACTS should have null location");
        return false;
    }
    int64_t slots = c->sim->script->concurrent_builds;
    if (slots >= 0 && json_integer_value(json_object_get(c->in, "concurrentBuildLimit")) > slots) {
        sim_fail(c, "InvalidInputException",
                 "Project-level concurrent build limit cannot exceed the account-level concurrent "
                 "build limit of %lld.",
                 (long long)slots);
        return false;
    }
    return true;
}

void sim_create_project(struct sim_call *c)
{
    const char *name = json_string_value(json_object_get(c->in, "name"));
    if (!sensible(c)) {
        return;
    }
    if (sim_project_find(c->sim, name) != NULL) {
        sim_fail(c, "ResourceAlreadyExistsException",
                 "Project already exists: arn:%s:codebuild:%s:%s:project/%s", c->sim->partition,
                 c->sim->region, c->sim->account, name);
        return;
    }
    const struct sim_project *p = add_project(c->sim, c->in, c->now_ms);
    if (p == NULL) {
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    c->out = json_pack("{s:o}", "project", project_json(p));
}

void sim_batch_get_projects(struct sim_call *c)
{
    json_t *found = json_array();
    json_t *missing = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(c->in, "names"), i, one)
    {
        const struct sim_project *p = sim_project_find(c->sim, json_string_value(one));
        if (p != NULL) {
            json_array_append_new(found, project_json(p));
        } else {
            json_array_append(missing, one);
        }
    }
    c->out = json_pack("{s:o, s:o}", "projects", found, "projectsNotFound", missing);
}

void sim_delete_project(struct sim_call *c)
{
    struct sim_project *p =
        sim_project_find(c->sim, json_string_value(json_object_get(c->in, "name")));
    if (p != NULL) {
        p->deleted = true; /* its builds stay readable, as AWS's do */
    }
    c->out = json_object();
}

static int by_name(const void *a, const void *b)
{
    const struct sim_project *const *x = a;
    const struct sim_project *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_created(const void *a, const void *b)
{
    const struct sim_project *const *x = a;
    const struct sim_project *const *y = b;
    return (*x)->created_ms == (*y)->created_ms  ? by_name(a, b)
           : (*x)->created_ms < (*y)->created_ms ? -1
                                                 : 1;
}

void sim_list_projects(struct sim_call *c)
{
    const char *sort_by = json_string_value(json_object_get(c->in, "sortBy"));
    bool by_time = sort_by != NULL && strcmp(sort_by, "NAME") != 0;
    size_t n = 0;
    RB_CLEANUP(rb_freep) struct sim_project **list = calloc(c->sim->n_projects + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < c->sim->n_projects; i++) {
        list[n++] = c->sim->projects[i];
    }
    if (n > 1) {
        qsort(list, n, sizeof *list, by_time ? by_created : by_name);
    }
    struct sim_page page;
    if (!sim_page_open(c, by_time ? "projects-time" : "projects", false, &page)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct sim_project *p = list[page.descending ? n - 1 - i : i];
        if (p->deleted) { /* may be where the page before ended */
            page.skipping = page.skipping && strcmp(p->name, page.after) != 0;
        } else if (!sim_page_add(&page, p->name)) {
            break;
        }
    }
    sim_page_close(c, &page, "projects");
}

enum rb_code sim_projects_from_script(struct rb_sim *sim, struct rb_err *err)
{
    int64_t now_ms = sim_now_locked(sim);
    for (size_t i = 0; i < sim->script->n_rules; i++) {
        const struct sim_rule *r = &sim->script->rules[i];
        if (!sim_project_name_ok(r->name) || sim_project_find(sim, r->name) != NULL) {
            continue; /* a glob, or there already */
        }
        RB_CLEANUP(rb_json_decrefp)
        json_t *in = json_pack("{s:s, s:{s:s, s:o, s:i, s:b}, s:{s:s}, s:{s:s, s:s, s:s}, s:o}",
                               "name", r->name, "source", "type", "GITHUB", "location",
                               json_sprintf("https://github.com/example-org/%s.git", r->name),
                               "gitCloneDepth", 1, "reportBuildStatus", 1, "artifacts", "type",
                               "NO_ARTIFACTS", "environment", "type", "LINUX_CONTAINER", "image",
                               "aws/codebuild/standard:7.0", "computeType", "BUILD_GENERAL1_SMALL",
                               "serviceRole",
                               json_sprintf("arn:%s:iam::%s:role/codebuild-%s", sim->partition,
                                            sim->account, r->name));
        if (r->settings != NULL) {
            json_object_update(in, r->settings);
            json_object_set_new(in, "name", json_string(r->name));
        }
        enum rb_code rc = sim_model_check(&sim_create_project_input, in, err);
        if (rc != RB_OK) {
            return rb_err_wrap(err, RB_E_INVALID, "projects[%zu].settings", i);
        }
        if (add_project(sim, in, now_ms) == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for project '%s'", r->name);
        }
    }
    return RB_OK;
}
