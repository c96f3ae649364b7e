/* test_openapi.c - the document of the API tells of every route, and of no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "openapi/openapi.h"
#include "private.h"

static json_t *document(void)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1024 * 1024);
    struct rb_err err = {.code = RB_OK};
    assert_int_equal(rb_openapi_write("1.2.3", &out, &err), RB_OK);
    assert_false(rb_buf_failed(&out));
    json_t *doc = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(doc);
    return doc;
}

static bool same_method(const char *method, const char *lower)
{
    return strcasecmp(method, lower) == 0;
}

/* operation_of - what @paths says of the route; NULL = nothing. */
static json_t *operation_of(json_t *paths, const struct rb_route *r)
{
    const char *path = NULL;
    json_t *item = NULL;
    json_object_foreach(paths, path, item)
    {
        const char *method = NULL;
        json_t *operation = NULL;
        json_object_foreach(item, method, operation)
        {
            if (same_method(r->method, method) && rb_openapi_template_fits(path, r->pattern)) {
                return operation;
            }
        }
    }
    return NULL;
}

static void every_route_is_described(void **state)
{
    RB_CLEANUP(rb_json_decrefp) json_t *doc = document();
    json_t *paths = json_object_get(doc, "paths");
    size_t n = 0;
    const struct rb_route *routes = rb_routes(&n);
    (void)state;
    assert_true(n >= 18);
    for (size_t i = 0; i < n; i++) {
        json_t *operation = operation_of(paths, &routes[i]);
        if (operation == NULL) {
            fail_msg("%s %s stands in no row of lib/httpd/openapi/paths.json", routes[i].method,
                     routes[i].pattern);
        }
        if (json_string_length(json_object_get(operation, "summary")) < 10 ||
            json_string_length(json_object_get(operation, "operationId")) == 0) {
            fail_msg("%s %s: a summary and an operationId are missing", routes[i].method,
                     routes[i].pattern);
        }
        bool param = strchr(routes[i].pattern, '*') != NULL;
        if (param && json_array_size(json_object_get(operation, "parameters")) == 0) {
            fail_msg("%s %s: its parameter is missing", routes[i].method, routes[i].pattern);
        }
    }
}

static void nothing_is_described_that_is_no_route(void **state)
{
    RB_CLEANUP(rb_json_decrefp)
    json_t *written = json_loadb((const char *)rb_openapi_paths, rb_openapi_paths_len, 0, NULL);
    RB_CLEANUP(rb_json_decrefp) json_t *doc = document();
    const char *path = NULL;
    json_t *item = NULL;
    (void)state;
    json_object_foreach(written, path, item)
    {
        const char *method = NULL;
        json_t *operation = NULL;
        json_object_foreach(item, method, operation)
        {
            const json_t *kept = json_object_get(json_object_get(doc, "paths"), path);
            if (json_object_get(kept, method) == NULL) {
                fail_msg("paths.json describes %s %s, which is no route", method, path);
            }
        }
    }
}

static void roles_are_those_of_the_route_table(void **state)
{
    static const char *const words[] = {
        [RB_ROLE_NONE] = NULL, [RB_ROLE_VIEWER] = "viewer", [RB_ROLE_OPERATOR] = "operator"};
    RB_CLEANUP(rb_json_decrefp) json_t *doc = document();
    size_t n = 0;
    const struct rb_route *routes = rb_routes(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        json_t *operation = operation_of(json_object_get(doc, "paths"), &routes[i]);
        const json_t *answers = json_object_get(operation, "responses");
        const char *role = json_string_value(json_object_get(operation, "x-role"));
        bool asks = routes[i].role != RB_ROLE_NONE;
        if (!rb_str_eq(role, words[routes[i].role]) ||
            (asks && json_object_get(answers, "401") == NULL) ||
            (routes[i].role == RB_ROLE_OPERATOR) != (json_object_get(answers, "403") != NULL) ||
            !json_is_array(json_object_get(operation, "security"))) {
            fail_msg("%s %s", routes[i].method, routes[i].pattern);
        }
    }
}

static void the_document_has_the_version_of_the_product(void **state)
{
    RB_CLEANUP(rb_json_decrefp) json_t *doc = document();
    const json_t *info = json_object_get(doc, "info");
    (void)state;
    assert_string_equal(json_string_value(json_object_get(info, "version")), "1.2.3");
    assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.1.0");
}

static void a_template_fits_the_pattern_it_names(void **state)
{
    (void)state;
    assert_true(rb_openapi_template_fits("/livez", "/livez"));
    assert_true(rb_openapi_template_fits("/a/{id}", "/a/*"));
    assert_true(rb_openapi_template_fits("/a/{id}/b", "/a/*/b"));
    assert_false(rb_openapi_template_fits("/a/{id}/b", "/a/*/c"));
    assert_false(rb_openapi_template_fits("/a/{id}", "/a/*/b"));
    assert_false(rb_openapi_template_fits("/b/{id}", "/a/*"));
    assert_false(rb_openapi_template_fits("/a", "/a/*"));
    assert_false(rb_openapi_template_fits("/a/{id}", "/a"));
    assert_false(rb_openapi_template_fits("/a/{id", "/a/*"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(nothing_is_described_that_is_no_route),
        cmocka_unit_test(roles_are_those_of_the_route_table),
        cmocka_unit_test(the_document_has_the_version_of_the_product),
        cmocka_unit_test(a_template_fits_the_pattern_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
