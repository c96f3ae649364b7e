#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "helper.h"

static int64_t frozen(void *arg)
{
    (void)arg;
    return TEST_START_MS;
}

static const struct rb_clock frozen_clock = {.unix_ms = frozen, .boot_ms = frozen, .arg = NULL};

struct rb_sim *test_sim_with(struct rb_sim_options *o, const char *script)
{
    struct rb_sim *sim = NULL;
    struct rb_err err = {.msg = ""};
    o->clock = &frozen_clock;
    o->script_text = script;
    o->has_seed = true;
    o->seed = 1;
    if (rb_sim_start(o, &sim, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    return sim;
}

struct rb_sim *test_sim(const char *script)
{
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    return test_sim_with(&o, script);
}

static const char *lookup(const struct sim_request *r, const char *name)
{
    for (const char *const *h = r->arg; h != NULL && *h != NULL; h += 2) {
        if (rb_str_ieq(h[0], name)) {
            return h[1];
        }
    }
    return NULL;
}

static struct answer exchange(struct rb_sim *sim, const char *method, const char *path,
                              const char *body, const char *const *headers)
{
    struct answer a = {.body = NULL};
    const char *list[64] = {NULL};
    size_t n = 0;
    for (; headers != NULL && headers[n] != NULL; n++) {
        list[n] = headers[n];
    }
    struct sim_request r = {.method = method,
                            .path = path,
                            .query = "",
                            .body = body,
                            .body_len = strlen(body),
                            .header = lookup,
                            .arg = list};
    sim_dispatch(sim, &r, &a.reply);
    if (a.reply.body != NULL) {
        a.body = json_loadb(a.reply.body, a.reply.body_len, 0, NULL);
    }
    return a;
}

struct answer ask_with(struct rb_sim *sim, const char *operation, const char *body,
                       const char *const *headers)
{
    char target[128];
    const char *list[64] = {"X-Amz-Target", target};
    size_t n = 2;
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
        list[n++] = headers[i];
    }
    snprintf(target, sizeof target, "CodeBuild_20161006.%s", operation);
    return exchange(sim, "POST", "/", body, list);
}

struct answer ask(struct rb_sim *sim, const char *operation, const char *body)
{
    return ask_with(sim, operation, body, NULL);
}

struct answer control(struct rb_sim *sim, const char *method, const char *path, const char *body)
{
    return exchange(sim, method, path, body, NULL);
}

void answer_release(struct answer *a)
{
    free(a->reply.body);
    json_decref(a->body);
    a->reply.body = NULL;
    a->body = NULL;
}

const char *text_at(json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));
    if (s == NULL) {
        fail_msg("no text member '%s'", key);
    }
    return s;
}

void assert_error(struct rb_sim *sim, const char *operation, const char *body, const char *error)
{
    struct answer a = ask(sim, operation, body);
    assert_string_equal(a.reply.error_type, error);
    assert_string_equal(text_at(a.body, "__type"), error);
    assert_true(a.reply.status >= 400);
    answer_release(&a);
}

static char *built(struct answer *a)
{
    if (a->reply.status != 200) {
        fail_msg("answered %d: %s", a->reply.status, a->reply.body);
    }
    char *id = strdup(text_at(json_object_get(a->body, "build"), "id"));
    answer_release(a);
    return id;
}

char *start_build(struct rb_sim *sim, const char *body)
{
    struct answer a = ask(sim, "StartBuild", body);
    return built(&a);
}

char *retry_build(struct rb_sim *sim, const char *id, const char *token)
{
    RB_CLEANUP(rb_json_decrefp)
    json_t *in = json_pack("{s:s, s:s*}", "id", id, "idempotencyToken", token);
    RB_CLEANUP(rb_freep) char *body = json_dumps(in, 0);
    struct answer a = ask(sim, "RetryBuild", body);
    return built(&a);
}

json_t *read_build(struct rb_sim *sim, const char *id)
{
    RB_CLEANUP(rb_json_decrefp) json_t *in = json_pack("{s:[s]}", "ids", id);
    RB_CLEANUP(rb_freep) char *body = json_dumps(in, 0);
    struct answer a = ask(sim, "BatchGetBuilds", body);
    json_t *build = json_incref(json_array_get(json_object_get(a.body, "builds"), 0));
    assert_non_null(build);
    answer_release(&a);
    return build;
}

json_t *phase_of(json_t *build, const char *type)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(build, "phases"), i, one)
    {
        if (strcmp(text_at(one, "phaseType"), type) == 0) {
            return one;
        }
    }
    return NULL;
}

static bool is_known(json_t *known, const char *path)
{
    size_t i;
    json_t *one;
    json_array_foreach(known, i, one)
    {
        if (strcmp(json_string_value(one), path) == 0) {
            return true;
        }
    }
    return false;
}

static size_t walk(json_t *value, const char *path, json_t *known)
{
    size_t n = 0;
    size_t i;
    const char *key;
    json_t *one;
    char deeper[512];
    json_object_foreach(value, key, one)
    {
        snprintf(deeper, sizeof deeper, "%s%s%s", path, *path == '\0' ? "" : ".", key);
        if (!is_known(known, deeper)) {
            fail_msg("member '%s' is not AWS's", deeper);
        }
        n += 1 + walk(one, deeper, known);
    }
    json_array_foreach(value, i, one)
    {
        snprintf(deeper, sizeof deeper, "%s[]", path);
        n += walk(one, deeper, known);
    }
    return n;
}

size_t assert_members_known(json_t *value, json_t *known)
{
    return walk(value, "", known);
}

bool has_member(json_t *value, const char *path)
{
    char part[128];
    size_t len = strcspn(path, ".[");
    if (*path == '\0') {
        return value != NULL;
    }
    if (path[0] == '[') {
        size_t i;
        json_t *one;
        json_array_foreach(value, i, one)
        {
            if (has_member(one, path + 2 + (path[2] == '.' ? 1 : 0))) {
                return true;
            }
        }
        return false;
    }
    snprintf(part, sizeof part, "%.*s", (int)len, path);
    json_t *inner = json_object_get(value, part);
    return inner != NULL && has_member(inner, path + len + (path[len] == '.' ? 1 : 0));
}

json_t *load_data(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", getenv("RB_SIM_DATA"), name);
    json_t *data = json_load_file(path, 0, NULL);
    if (data == NULL) {
        fail_msg("%s cannot be read", path);
    }
    return data;
}
