/* Which retries a destination wants, what a webhook looks like, and its signatures against vectors
 * that other programs made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include <retrybuild/cleanup.h>

#include "../../../lib/destination/internal.h"
#include "fixture.h"

#define MIN_VECTORS 20

static const char *vectors_path;

static int open_fixture(void **state)
{
    *state = fixture_new("https://hooks.example/secret-path");
    return 0;
}

static int close_fixture(void **state)
{
    fixture_free(*state);
    return 0;
}

static const char *text(const json_t *v, const char *name)
{
    const char *s = json_string_value(json_object_get(v, name));
    assert_non_null(s);
    return s;
}

static void signatures_are_those_of_other_implementations(void **state)
{
    json_t *root = json_load_file(vectors_path, 0, NULL);
    json_t *vectors = json_object_get(root, "vectors");
    size_t i;
    json_t *v;

    (void)state;
    assert_true(json_array_size(vectors) >= MIN_VECTORS);
    json_array_foreach(vectors, i, v)
    {
        RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(65536);
        RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(4096);
        const char *key = text(v, "secret");
        struct rb_secret *secret = rb_secret_new(key, strlen(key));
        rb_buf_adds(&body, text(v, "body"));
        assert_int_equal(
            rb_standard_webhooks_sign(secret, text(v, "id"),
                                      json_integer_value(json_object_get(v, "timestamp")), &body,
                                      &out, NULL),
            RB_OK);
        assert_string_equal(rb_buf_str(&out), text(v, "signature"));
        rb_secret_free(secret);
    }
    json_decref(root);
}

static const char *header(const struct rb_rendered *r, const char *name)
{
    size_t len = strlen(name);

    for (unsigned i = 0; r->headers[i] != NULL; i++) {
        if (strncmp(r->headers[i], name, len) == 0 && strncmp(r->headers[i] + len, ": ", 2) == 0) {
            return r->headers[i] + len + 2;
        }
    }
    return NULL;
}

static struct rb_rendered render(const struct fixture *f, struct rb_arena *a)
{
    struct rb_rendered r;
    struct rb_err err;

    rb_arena_init(a, (size_t)1024 * 1024);
    assert_int_equal(
        rb_destination_type_find("webhook")->render(&f->destination, &f->view, a, &r, &err), RB_OK);
    return r;
}

static void a_webhook_names_the_state_and_carries_the_retry(void **state)
{
    struct fixture *f = *state;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_rendered r = render(f, &a);

    assert_string_equal(r.method, "POST");
    assert_string_equal(r.url, "https://hooks.example/secret-path");
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    assert_string_equal(header(&r, "webhook-id"), "msg_1");
    assert_string_equal(header(&r, "webhook-timestamp"), "1795000000");
    assert_null(header(&r, "webhook-signature"));
    assert_int_equal(strlen(r.body), r.body_len);
    json_t *j = json_loadb(r.body, r.body_len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_string_equal(text(j, "type"), "retry.recovered");
    assert_string_equal(text(j, "timestamp"), "2026-11-18T11:06:35.000Z");
    const json_t *data = json_object_get(j, "data");
    assert_string_equal(text(data, "id"), f->retry->id);
    assert_string_equal(text(data, "state"), "recovered");
    assert_string_equal(text(data, "project"), "web-app");
    assert_int_equal(json_object_size(j), 3);
    json_decref(j);
}

static void every_secret_in_force_signs(void **state)
{
    struct fixture *f = *state;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;

    fixture_add_secret(f, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0);
    fixture_add_secret(f, "old", FIXTURE_NOW_MS);
    fixture_add_secret(f, "older", FIXTURE_NOW_MS - 1);
    struct rb_rendered r = render(f, &a);
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(65536);
    RB_CLEANUP(rb_buf_release) struct rb_buf expected = RB_BUF_INIT(4096);
    rb_buf_add(&body, r.body, r.body_len);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rb_standard_webhooks_sign(f->secrets[i].secret, "msg_1", 1795000000, &body,
                                                   &expected, NULL),
                         RB_OK);
    }
    assert_string_equal(header(&r, "webhook-signature"), rb_buf_str(&expected));
}

static void another_attempt_differs_in_time_and_signature_only(void **state)
{
    struct fixture *f = *state;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_arena_release) struct rb_arena b;

    fixture_add_secret(f, "secret", 0);
    struct rb_rendered first = render(f, &a);
    f->view.now_ms += 5000;
    f->view.attempts++;
    struct rb_rendered second = render(f, &b);
    assert_string_equal(first.body, second.body);
    assert_string_equal(header(&first, "webhook-id"), header(&second, "webhook-id"));
    assert_string_not_equal(header(&first, "webhook-timestamp"),
                            header(&second, "webhook-timestamp"));
    assert_string_not_equal(header(&first, "webhook-signature"),
                            header(&second, "webhook-signature"));
}

static void a_secret_that_is_no_key_is_an_error_that_does_not_show_it(void **state)
{
    struct fixture *f = *state;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_rendered r;
    struct rb_err err;

    rb_arena_init(&a, 65536);
    fixture_add_secret(f, "whsec_canary!", 0);
    assert_int_equal(rb_destination_webhook.render(&f->destination, &f->view, &a, &r, &err),
                     RB_E_INVALID);
    assert_non_null(strstr(err.msg, "'hook'"));
    assert_null(strstr(err.msg, "canary"));
}

static void types_are_found_by_name(void **state)
{
    const char *const *names = rb_destination_type_names();

    (void)state;
    for (unsigned i = 0; names[i] != NULL; i++) {
        const struct rb_destination_type *t = rb_destination_type_find(names[i]);
        assert_non_null(t);
        assert_string_equal(t->type, names[i]);
    }
    assert_non_null(names[0]);
    assert_null(rb_destination_type_find("pigeon"));
    assert_null(rb_destination_type_find(NULL));
}

static void stages_that_were_not_asked_for_are_not_wanted(void **state)
{
    struct fixture *f = *state;

    assert_true(rb_destination_wants(&f->destination, f->retry, RB_STAGE_FINISHED));
    f->destination.stages[RB_STAGE_FINISHED] = false;
    assert_false(rb_destination_wants(&f->destination, f->retry, RB_STAGE_FINISHED));
    assert_true(rb_destination_wants(&f->destination, f->retry, RB_STAGE_STARTED));
}

struct wish {
    const char *globs[3];
    bool wanted;
};

static void check_wishes(struct fixture *f, struct rb_strings *list, const struct wish *rows,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *globs[3] = {rows[i].globs[0], rows[i].globs[1], rows[i].globs[2]};
        unsigned count = 0;
        while (count < 3 && globs[count] != NULL) {
            count++;
        }
        *list = (struct rb_strings){.items = globs, .n = count};
        if (rb_destination_wants(&f->destination, f->retry, RB_STAGE_FINISHED) != rows[i].wanted) {
            fail_msg("'%s'", globs[0]);
        }
    }
    *list = (struct rb_strings){.items = NULL, .n = 0};
}

static void conditions_are_globs_and_exclusions(void **state)
{
    static const struct wish projects[] = {
        {{"web-*"}, true},
        {{"web-app"}, true},
        {{"api-*"}, false},
        {{"api-*", "web-*"}, true},
        {{"!web-*"}, false},
        {{"!api-*"}, true},
        {{"web-*", "!*-app"}, false},
        {{"!*-app", "web-*"}, false},
        {{"web-*", "!api"}, true},
        {{"api-*", "!x"}, false},
    };
    static const struct wish branches[] = {{{"main"}, true}, {{"release/*"}, false}};
    static const struct wish repositories[] = {{{"*/acme/*"}, true}, {{"*/other/*"}, false}};
    static const struct wish outcomes[] = {{{"recovered"}, true},
                                           {{"failed_again", "dead"}, false}};
    static const struct wish sources[] = {{{"git*"}, true}, {{"sns"}, false}};
    struct fixture *f = *state;
    struct rb_destination_setting *d = &f->destination;

    check_wishes(f, &d->when_project, projects, RB_ARRAY_LEN(projects));
    check_wishes(f, &d->when_branch, branches, RB_ARRAY_LEN(branches));
    check_wishes(f, &d->when_repository, repositories, RB_ARRAY_LEN(repositories));
    check_wishes(f, &d->when_outcome, outcomes, RB_ARRAY_LEN(outcomes));
    check_wishes(f, &d->when_source, sources, RB_ARRAY_LEN(sources));
}

static void a_condition_on_something_unknown_does_not_hold(void **state)
{
    struct fixture *f = *state;
    static const struct wish rows[] = {{{"*"}, false}, {{"!main"}, true}};

    f->retry->build.branch = NULL;
    check_wishes(f, &f->destination.when_branch, rows, RB_ARRAY_LEN(rows));
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_other_implementations),
        ROW(a_webhook_names_the_state_and_carries_the_retry),
        ROW(every_secret_in_force_signs),
        ROW(another_attempt_differs_in_time_and_signature_only),
        ROW(a_secret_that_is_no_key_is_an_error_that_does_not_show_it),
        cmocka_unit_test(types_are_found_by_name),
        ROW(stages_that_were_not_asked_for_are_not_wanted),
        ROW(conditions_are_globs_and_exclusions),
        ROW(a_condition_on_something_unknown_does_not_hold),
    };
    if (argc != 2) {
        return 2;
    }
    vectors_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
