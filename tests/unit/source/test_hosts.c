/* Deliveries of git hosts: tests/data/source/TYPE/NAME.json is what arrives and what it means.
 *
 * A case is {"headers", "json" or "body", "form"?, "secrets"?, "console_hosts"?, "app"?, "verify"?,
 * "expect"}. "form": the payload goes as a form. An expectation names only what is present:
 * {"code", "delivery_id", "ignored", "events", "commands"}; whatever else stood in the result fails
 * it.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/command.h>
#include <retrybuild/json.h>
#include <retrybuild/source.h>
#include <retrybuild/timefmt.h>
#include <retrybuild/url.h>

#define SUFFIX ".json"

static const struct {
    const char *type;
    unsigned minimum;
} folders[] = {
    {"bitbucket", 8}, {"bitbucket-server", 6}, {"forgejo", 5},
    {"gitea", 10},    {"github", 30},          {"gitlab", 15},
};

static void closedirp(DIR **d)
{
    if (*d != NULL) {
        (void)closedir(*d);
    }
}

struct headers {
    json_t *all;
};

static const char *header_of(const void *arg, const char *name, unsigned *ret_n)
{
    const struct headers *h = arg;
    const char *key = NULL;
    json_t *value = NULL;
    unsigned n = 0;
    const char *found = NULL;
    json_object_foreach(h->all, key, value)
    {
        if (strcasecmp(key, name) == 0) {
            n = json_is_array(value) ? (unsigned)json_array_size(value) : 1;
            found = json_string_value(json_is_array(value) ? json_array_get(value, 0) : value);
        }
    }
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return found;
}

static void put_text(json_t *o, const char *name, const char *value)
{
    if (value != NULL) {
        assert_int_equal(json_object_set_new(o, name, json_string(value)), 0);
    }
}

static void put_true(json_t *o, const char *name, bool value)
{
    if (value) {
        assert_int_equal(json_object_set_new(o, name, json_true()), 0);
    }
}

static void put_object(json_t *o, const char *name, json_t *value)
{
    if (json_object_size(value) > 0) {
        assert_int_equal(json_object_set_new(o, name, value), 0);
    } else {
        json_decref(value);
    }
}

static json_t *build_json(const struct rb_build *b)
{
    json_t *o = json_object();
    put_text(o, "account", b->account);
    put_text(o, "region", b->region);
    put_text(o, "project", b->project);
    put_text(o, "id", b->id);
    put_text(o, "status", b->status);
    put_text(o, "resolved_version", b->resolved_version);
    put_text(o, "author", b->author);
    put_text(o, "repository", b->repository);
    put_text(o, "branch", b->branch);
    return o;
}

static json_t *event_json(const struct rb_event *ev)
{
    static const char *const kinds[] = {
        [RB_EVENT_FAILURE] = "failure", [RB_EVENT_ENDED] = "ended", [RB_EVENT_NONE] = "none"};
    static const char *const finds[] = {[RB_FIND_NOTHING] = NULL,
                                        [RB_FIND_COMMIT] = "commit",
                                        [RB_FIND_STATUSES] = "statuses",
                                        [RB_FIND_BATCH] = "batch"};
    char iso[RB_TIME_ISO_BYTES];
    json_t *o = json_object();
    put_text(o, "kind", kinds[ev->kind]);
    put_text(o, "why", ev->why);
    put_text(o, "find", finds[ev->find]);
    put_text(o, "find_in", ev->find_in);
    put_true(o, "unproved", ev->needs_inspection);
    if (ev->at_ms != 0) {
        rb_time_iso(ev->at_ms, iso);
        put_text(o, "at", iso);
    }
    put_object(o, "build", build_json(&ev->build));
    return o;
}

static json_t *command_json(const struct rb_command *c)
{
    static const char *const targets[] = {
        [RB_TARGET_NONE] = NULL,         [RB_TARGET_BUILD] = "build",
        [RB_TARGET_UUID] = "uuid",       [RB_TARGET_RETRY] = "retry",
        [RB_TARGET_PROJECT] = "project", [RB_TARGET_LAST] = "last",
        [RB_TARGET_PULL] = "pull",       [RB_TARGET_COMMIT] = "commit",
        [RB_TARGET_FAILED] = "failed"};
    json_t *o = json_object();
    put_text(o, "verb", rb_command_verb_name(c->verb));
    put_text(o, "target", targets[c->target]);
    put_text(o, "target_text", c->target_text);
    put_object(o, "build", build_json(&c->build));
    put_text(o, "actor", c->actor.id);
    put_text(o, "name", c->actor.name);
    put_text(o, "repository", c->place.repository);
    put_text(o, "repository_url", c->place.repository_url);
    put_text(o, "commit", c->place.commit);
    put_text(o, "comment", c->place.comment);
    put_text(o, "kind", c->place.comment_kind);
    put_text(o, "reply", c->reply);
    put_true(o, "closed", c->place.closed);
    if (c->place.pull_request != 0) {
        assert_int_equal(
            json_object_set_new(o, "pull_request", json_integer(c->place.pull_request)), 0);
    }
    return o;
}

static json_t *meaning(enum rb_code rc, const struct rb_events *events)
{
    json_t *o = json_object();
    put_text(o, "code", rb_code_name(rc));
    if (rc != RB_OK) {
        return o;
    }
    put_text(o, "delivery_id", events->delivery_id);
    put_text(o, "ignored", events->ignored);
    json_t *list = json_array();
    for (unsigned i = 0; i < events->n; i++) {
        assert_int_equal(json_array_append_new(list, event_json(&events->items[i])), 0);
    }
    if (events->n > 0) {
        assert_int_equal(json_object_set(o, "events", list), 0);
    }
    json_decref(list);
    list = json_array();
    for (unsigned i = 0; i < events->n_commands; i++) {
        assert_int_equal(json_array_append_new(list, command_json(&events->commands[i])), 0);
    }
    if (events->n_commands > 0) {
        assert_int_equal(json_object_set(o, "commands", list), 0);
    }
    json_decref(list);
    return o;
}

static char *body_of(const json_t *c)
{
    const json_t *j = json_object_get(c, "json");
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY)
                           : strdup(json_string_value(json_object_get(c, "body")));
    assert_non_null(text);
    if (!json_is_true(json_object_get(c, "form"))) {
        return text;
    }
    struct rb_buf form = RB_BUF_INIT(1024 * 1024);
    rb_buf_adds(&form, "payload=");
    rb_url_encode(&form, text, strlen(text));
    free(text);
    return rb_buf_detach(&form);
}

static unsigned strings_of(const json_t *list, const char **ret_items, unsigned max)
{
    unsigned n = 0;
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(list, i, v)
    {
        assert_true(n < max);
        ret_items[n++] = json_string_value(v);
    }
    return n;
}

struct secrets {
    struct rb_secret_entry items[4];
    unsigned n;
};

static void make_secrets(const json_t *list, struct secrets *ret)
{
    const char *texts[4];
    ret->n = strings_of(list, texts, 4);
    for (unsigned i = 0; i < ret->n; i++) {
        ret->items[i] =
            (struct rb_secret_entry){.secret = rb_secret_new(texts[i], strlen(texts[i]))};
    }
}

static void drop_secrets(struct secrets *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        rb_secret_freep(&s->items[i].secret);
    }
}

static json_t *run(const char *type_name, const json_t *c)
{
    const struct rb_source_type *type = rb_source_type_find(type_name);
    struct secrets plain = {.n = 0};
    struct secrets signing = {.n = 0};
    const char *hosts[4];
    struct rb_arena a;
    struct rb_events events = {.n = 0};
    struct rb_err err = {.code = RB_OK};
    assert_non_null(type);
    make_secrets(json_object_get(c, "secrets"), &plain);
    make_secrets(json_object_get(c, "signing_secrets"), &signing);
    const struct rb_source_setting s = {
        .name = "host",
        .type = type_name,
        .secrets = {plain.items, plain.n},
        .signing_secrets = {signing.items, signing.n},
        .api = {.app_id = json_string_value(json_object_get(c, "app"))},
        .console_hosts = {hosts, strings_of(json_object_get(c, "console_hosts"), hosts, 4)},
    };
    RB_CLEANUP(rb_freep) char *body = body_of(c);
    size_t len = strlen(body);
    RB_CLEANUP(rb_freep) char *exact = malloc(len + 1);
    memcpy(exact, body, len); /* no NUL behind it for sanitizers to miss */
    const json_t *now = json_object_get(c, "now");
    const struct headers headers = {json_object_get(c, "headers")};
    const struct rb_request req = {
        .method = "POST",
        .path = "/v1/hooks/host",
        .body = {exact, len},
        .header = header_of,
        .arg = &headers,
        .now_ms = now == NULL ? 1793714828000 : json_integer_value(now) * 1000,
    };
    rb_arena_init(&a, 256 * 1024);
    enum rb_code rc = RB_OK;
    if (plain.n + signing.n > 0) {
        rc = type->verify(&s, &req, &err);
    }
    if (rc == RB_OK && !json_is_false(json_object_get(c, "parse"))) {
        rc = type->parse(&s, &req, &a, &events, &err);
    }
    json_t *got = meaning(rc, &events);
    rb_arena_release(&a);
    drop_secrets(&plain);
    drop_secrets(&signing);
    return got;
}

static bool run_case(const char *type, const char *folder, const char *name)
{
    char path[1024];
    json_error_t why;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    RB_CLEANUP(rb_json_decrefp) json_t *c = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (c == NULL) {
        fail_msg("%s:%d: %s", path, why.line, why.text);
    }
    RB_CLEANUP(rb_json_decrefp) json_t *got = run(type, c);
    const json_t *expected = json_object_get(c, "expect");
    if (json_equal(got, expected) == 1) {
        return true;
    }
    RB_CLEANUP(rb_freep) char *got_text = json_dumps(got, JSON_INDENT(1));
    RB_CLEANUP(rb_freep)
    char *expected_text = expected == NULL ? NULL : json_dumps(expected, JSON_INDENT(1));
    (void)fprintf(stderr, "%s: expected %s\ngot %s\n", path,
                  expected_text == NULL ? "nothing" : expected_text, got_text);
    return false;
}

static void every_delivery_means_what_its_case_says(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < RB_ARRAY_LEN(folders); i++) {
        char folder[512];
        unsigned n = 0;
        (void)snprintf(folder, sizeof(folder), "%s/%s", RB_CASES, folders[i].type);
        RB_CLEANUP(closedirp) DIR *dir = opendir(folder);
        assert_non_null(dir);
        for (struct dirent *e = NULL; (e = readdir(dir)) != NULL;) {
            if (rb_str_ends(e->d_name, SUFFIX)) {
                n++;
                wrong += run_case(folders[i].type, folder, e->d_name) ? 0 : 1;
            }
        }
        if (n < folders[i].minimum) {
            fail_msg("%s: %u cases, at least %u are wanted", folder, n, folders[i].minimum);
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_delivery_means_what_its_case_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
