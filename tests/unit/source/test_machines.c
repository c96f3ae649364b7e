/* Requests of tests/data/source/TYPE/NAME.json through verify and parse of that type.
 *
 * {"setting": {secrets: [{value, not_after}], header, topics, …, pinned}, "now": ms, "headers":
 * [[name, value]], "body", "signer": file of the certificate that was fetched, "proof": "good" |
 * "bad" | the URL that a certificate is wanted from, and of what is proved "code", "delivery",
 * "says" (one line an event), "ignored", "notice", "confirm"}. What a case does not name must not
 * be there.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/certificate.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/source.h>

#define SECRETS_MAX 4
#define STRINGS_MAX 8

struct world {
    json_t *c; /* the case */
    struct rb_arena arena;
    struct rb_source_setting setting;
    struct rb_secret_entry secrets[SECRETS_MAX];
    const char *topics[STRINGS_MAX], *versions[STRINGS_MAX];
    struct rb_certificate *certificate;
    struct rb_request req;
};

static const char *get_header(const void *arg, const char *name, unsigned *ret_n)
{
    const json_t *headers = arg;
    const char *found = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(headers); i++) {
        const json_t *pair = json_array_get(headers, i);
        if (rb_str_ieq(json_string_value(json_array_get(pair, 0)), name)) {
            found = n++ == 0 ? json_string_value(json_array_get(pair, 1)) : found;
        }
    }
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return found;
}

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static void take_strings(const json_t *list, const char **items, struct rb_strings *ret)
{
    ret->items = items;
    for (size_t i = 0; i < json_array_size(list); i++) {
        assert_true(ret->n < STRINGS_MAX);
        items[ret->n++] = json_string_value(json_array_get(list, i));
    }
}

static void take_setting(struct world *w, const char *type)
{
    static const char *const algorithms[] = {"sha256", "sha1", "sha512"};
    const json_t *s = json_object_get(w->c, "setting");
    const json_t *paths = json_object_get(s, "paths");
    const json_t *secrets = json_object_get(s, "secrets");
    struct rb_source_setting *x = &w->setting;
    x->name = "one";
    x->type = type;
    x->header = text(s, "header");
    x->prefix = text(s, "prefix");
    x->certificate_file = json_is_true(json_object_get(s, "pinned")) ? "signer.pem" : NULL;
    x->confirm = json_is_true(json_object_get(s, "confirm"));
    x->encoding = rb_str_eq(text(s, "encoding"), "base64") ? RB_HMAC_BASE64 : RB_HMAC_HEX;
    for (unsigned i = 0; i < 3; i++) {
        if (rb_str_eq(text(s, "algorithm"), algorithms[i])) {
            x->algorithm = (enum rb_hmac_algorithm)i;
        }
    }
    x->paths.build = text(paths, "build");
    x->paths.project = text(paths, "project");
    x->paths.region = text(paths, "region");
    x->paths.account = text(paths, "account");
    x->paths.status = text(paths, "status");
    x->paths.token = text(paths, "token");
    take_strings(json_object_get(s, "topics"), w->topics, &x->topics);
    take_strings(json_object_get(s, "signature_versions"), w->versions, &x->signature_versions);
    x->secrets.items = w->secrets;
    for (size_t i = 0; i < json_array_size(secrets); i++) {
        const json_t *one = json_array_get(secrets, i);
        const char *value = text(one, "value");
        assert_true(x->secrets.n < SECRETS_MAX);
        w->secrets[x->secrets.n++] =
            (struct rb_secret_entry){rb_secret_new(value, strlen(value)),
                                     json_integer_value(json_object_get(one, "not_after"))};
    }
}

static void take_request(struct world *w)
{
    const json_t *body = json_object_get(w->c, "body");
    const char *signer = text(w->c, "signer");
    struct rb_err err = {.code = RB_OK};
    w->req = (struct rb_request){
        .method = "POST",
        .path = "/v1/hooks/one",
        .body = {json_string_value(body), json_string_length(body)},
        .header = get_header,
        .arg = json_object_get(w->c, "headers"),
        .now_ms = json_integer_value(json_object_get(w->c, "now")),
    };
    if (signer != NULL) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/sns/%s", RB_CASES, signer);
        if (rb_certificate_load_file(path, &w->certificate, &err) != RB_OK) {
            fail_msg("%s", err.msg);
        }
        w->req.certificate = w->certificate;
    }
}

static const char *line_of(struct rb_arena *a, const struct rb_event *ev)
{
    static const char *const kinds[] = {
        [RB_EVENT_FAILURE] = "failure", [RB_EVENT_ENDED] = "ended", [RB_EVENT_NONE] = "none"};
    if (ev->kind == RB_EVENT_NONE) {
        return rb_arena_printf(a, "%s: %s", ev->bad ? "bad" : "none", ev->why);
    }
    const struct rb_build *b = &ev->build;
    return rb_arena_printf(
        a, "%s %s%s%s%s%s%s%s%s%s%s", kinds[ev->kind], b->arn != NULL ? b->arn : b->id,
        b->status == NULL ? "" : " ", b->status == NULL ? "" : b->status,
        ev->needs_inspection ? " inspect" : "",
        ev->token == NULL ? "" : " token=", ev->token == NULL ? "" : ev->token,
        ev->traceparent == NULL ? "" : " trace=", ev->traceparent == NULL ? "" : ev->traceparent,
        ev->tracestate == NULL ? "" : " state=", ev->tracestate == NULL ? "" : ev->tracestate);
}

static void put(json_t *o, const char *name, const char *value)
{
    if (value != NULL) {
        assert_int_equal(json_object_set_new(o, name, json_string(value)), 0);
    }
}

static void put_events(json_t *got, struct rb_arena *a, const struct rb_events *e)
{
    json_t *says = json_array();
    json_t *ids = json_array();
    for (unsigned i = 0; i < e->n; i++) {
        assert_int_equal(json_array_append_new(says, json_string(line_of(a, &e->items[i]))), 0);
        if (e->delivery_ids != NULL) {
            const char *id = e->delivery_ids[i];
            assert_int_equal(json_array_append_new(ids, id == NULL ? json_null() : json_string(id)),
                             0);
        }
    }
    assert_int_equal(json_object_set_new(got, "says", says), 0);
    if (e->delivery_ids != NULL) {
        assert_int_equal(json_object_set(got, "delivery", ids), 0);
    } else {
        put(got, "delivery", e->delivery_id);
    }
    json_decref(ids);
    put(got, "ignored", e->n == 0 ? e->ignored : NULL);
    put(got, "notice", e->notice);
    if (e->confirm_query != NULL) {
        put(got, "confirm", rb_arena_printf(a, "%s %s", e->confirm_region, e->confirm_query));
    }
}

static json_t *outcome(struct world *w, const struct rb_source_type *type)
{
    json_t *got = json_object();
    struct rb_err err = {.code = RB_OK};
    struct rb_events events = {.n = 0};
    const char *url = type->certificate_url == NULL || w->req.certificate != NULL
                          ? NULL
                          : type->certificate_url(&w->setting, &w->req, &w->arena);
    if (url != NULL) {
        put(got, "proof", url);
        return got;
    }
    if (type->verify(&w->setting, &w->req, &err) != RB_OK) {
        assert_int_equal(err.code, RB_E_DENIED);
        assert_string_equal(err.msg, "the proof of the sender is missing or wrong");
        put(got, "proof", "bad");
        return got;
    }
    put(got, "proof", "good");
    enum rb_code rc = type->parse(&w->setting, &w->req, &w->arena, &events, &err);
    if (rc == RB_OK) {
        put_events(got, &w->arena, &events);
    } else {
        put(got, "code", rb_code_name(rc));
        put(got, "why", err.msg);
    }
    return got;
}

static json_t *expected_of(const json_t *c)
{
    static const char *const names[] = {"proof", "code",    "why",    "delivery",
                                        "says",  "ignored", "notice", "confirm"};
    json_t *o = json_object();
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        json_t *v = json_object_get(c, names[i]);
        if (v != NULL) {
            assert_int_equal(json_object_set(o, names[i], v), 0);
        }
    }
    return o;
}

static void world_release(struct world *w)
{
    for (unsigned i = 0; i < w->setting.secrets.n; i++) {
        rb_secret_freep(&w->secrets[i].secret);
    }
    rb_certificate_free(w->certificate);
    rb_arena_release(&w->arena);
    json_decref(w->c);
}

static bool run_case(const struct rb_source_type *type, const char *name)
{
    char path[512];
    json_error_t why;
    RB_CLEANUP(world_release) struct world w = {.c = NULL};
    rb_arena_init(&w.arena, (size_t)4 * 1024 * 1024);
    (void)snprintf(path, sizeof(path), "%s/%s/%s", RB_CASES, type->type, name);
    w.c = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (w.c == NULL) {
        fail_msg("%s: %s", path, why.text);
    }
    take_setting(&w, type->type);
    take_request(&w);
    RB_CLEANUP(rb_json_decrefp) json_t *got = outcome(&w, type);
    RB_CLEANUP(rb_json_decrefp) json_t *expected = expected_of(w.c);
    bool good = json_equal(got, expected) == 1;
    if (!good) {
        RB_CLEANUP(rb_freep) char *a = json_dumps(expected, JSON_INDENT(1));
        RB_CLEANUP(rb_freep) char *b = json_dumps(got, JSON_INDENT(1));
        (void)fprintf(stderr, "%s: expected %s\ngot %s\n", path, a, b);
    }
    return good;
}

static void run_folder(const char *name, unsigned minimum)
{
    const struct rb_source_type *type = rb_source_type_find(name);
    char path[512];
    unsigned n = 0;
    unsigned wrong = 0;
    assert_non_null(type);
    (void)snprintf(path, sizeof(path), "%s/%s", RB_CASES, name);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = NULL; (e = readdir(dir)) != NULL;) {
        if (rb_str_ends(e->d_name, ".json")) {
            n++;
            wrong += run_case(type, e->d_name) ? 0 : 1;
        }
    }
    (void)closedir(dir);
    assert_int_equal(wrong, 0);
    assert_true(n >= minimum);
}

static void eventbridge_is_proved_in_three_ways(void **state)
{
    (void)state;
    run_folder("eventbridge", 12);
}

static void cloudevents_come_in_three_modes(void **state)
{
    (void)state;
    run_folder("cloudevents", 30);
}

static void messages_of_sns_are_signed(void **state)
{
    (void)state;
    run_folder("sns", 45);
}

static void standard_webhooks_are_signed_within_a_window(void **state)
{
    (void)state;
    run_folder("standard-webhooks", 25);
}

static void any_system_is_described_by_paths(void **state)
{
    (void)state;
    run_folder("generic", 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eventbridge_is_proved_in_three_ways),
        cmocka_unit_test(cloudevents_come_in_three_modes),
        cmocka_unit_test(messages_of_sns_are_signed),
        cmocka_unit_test(standard_webhooks_are_signed_within_a_window),
        cmocka_unit_test(any_system_is_described_by_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
