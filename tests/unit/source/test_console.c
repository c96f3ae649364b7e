/* Links and names that mean a build: tests/data/source/links.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/console.h>
#include <retrybuild/json.h>

#define MINIMUM_LINKS 40
#define MINIMUM_CONTEXTS 12

static const char *const kinds[] = {"none", "build", "batch", "public"};

static const json_t *load(json_t **ret_all, const char *name)
{
    json_error_t why;
    *ret_all = json_load_file(RB_CASES "/links.json", 0, &why);
    if (*ret_all == NULL) {
        fail_msg("links.json:%d: %s", why.line, why.text);
    }
    return json_object_get(*ret_all, name);
}

static void need(const char *of, const char *what, const char *got, const json_t *expected)
{
    const char *wanted = json_string_value(expected);
    if (!rb_str_eq(got, wanted)) {
        fail_msg("%s: %s is %s, not %s", of, what, got == NULL ? "absent" : got,
                 wanted == NULL ? "absent" : wanted);
    }
}

static void a_link_names_the_build_it_leads_to(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *all = NULL;
    const json_t *list = load(&all, "links");
    static const char *hosts[] = {"ci.example.net", "*.proxy.example.net"};
    const struct rb_strings listed = {hosts, 2};
    size_t i = 0;
    json_t *c = NULL;
    assert_true(json_array_size(list) >= MINIMUM_LINKS);
    json_array_foreach(list, i, c)
    {
        const char *text = json_string_value(json_object_get(c, "text"));
        struct rb_link l = {.kind = RB_LINK_NONE};
        struct rb_arena a;
        rb_arena_init(&a, 65536);
        bool found = rb_link_parse(
            text, json_is_true(json_object_get(c, "listed")) ? &listed : NULL, &a, &l);
        need(text, "the kind", kinds[l.kind], json_object_get(c, "kind"));
        assert_int_equal(found, l.kind != RB_LINK_NONE);
        need(text, "the region", l.region, json_object_get(c, "region"));
        need(text, "the account", l.account, json_object_get(c, "account"));
        need(text, "the id", l.id, json_object_get(c, "id"));
        need(text, "the uuid", l.kind == RB_LINK_PUBLIC ? l.uuid : NULL,
             json_object_get(c, "uuid"));
        rb_arena_release(&a);
    }
}

static void the_name_of_a_status_says_region_and_project(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *all = NULL;
    const json_t *list = load(&all, "contexts");
    size_t i = 0;
    json_t *c = NULL;
    assert_true(json_array_size(list) >= MINIMUM_CONTEXTS);
    json_array_foreach(list, i, c)
    {
        const char *text = json_string_value(json_object_get(c, "text"));
        struct rb_context got = {.region = NULL};
        struct rb_arena a;
        rb_arena_init(&a, 65536);
        (void)rb_context_parse(text, &a, &got);
        need(text, "the region", got.region, json_object_get(c, "region"));
        need(text, "the project", got.project, json_object_get(c, "project"));
        assert_int_equal(got.batch, json_is_true(json_object_get(c, "batch")));
        rb_arena_release(&a);
    }
}

static void what_an_arena_cannot_hold_is_no_link(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (size_t max = 8; max < 1024; max += 8) {
        struct rb_link l = {.kind = RB_LINK_NONE};
        struct rb_arena a;
        rb_arena_init(&a, max);
        bool found = rb_link_parse("arn:aws:codebuild:us-east-1:123456789012:build/"
                                   "app:12345678-1234-1234-1234-123456789012",
                                   NULL, &a, &l);
        refused += found ? 0 : 1;
        assert_true(found == (l.id != NULL));
        rb_arena_release(&a);
    }
    assert_true(refused > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_names_the_build_it_leads_to),
        cmocka_unit_test(the_name_of_a_status_says_region_and_project),
        cmocka_unit_test(what_an_arena_cannot_hold_is_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
