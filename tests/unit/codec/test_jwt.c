/* The token of an app: tests/data/jwt/app.json, which an official library signs to the same byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/jwt.h>

static const char *vectors;

static json_t *load(void)
{
    json_error_t why;
    json_t *j = json_load_file(vectors, 0, &why);
    if (j == NULL) {
        fail_msg("%s:%d: %s", vectors, why.line, why.text);
    }
    return j;
}

static void need_token(const json_t *v, const char *pem)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(8192);
    struct rb_err err = {.code = RB_OK};
    const json_t *claims = json_object_get(v, "claims");
    enum rb_code rc =
        rb_jwt_app(pem, strlen(pem), json_string_value(json_object_get(claims, "iss")),
                   json_integer_value(json_object_get(v, "now")), &out, &err);
    assert_int_equal(rc, RB_OK);
    assert_string_equal(rb_buf_str(&out), json_string_value(json_object_get(v, "jwt")));
}

static void the_token_is_that_of_the_official_library(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *v = load();
    need_token(v, json_string_value(json_object_get(v, "private_key_pem")));
}

static void line_ends_of_the_key_may_be_written_out(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *v = load();
    RB_CLEANUP(rb_buf_release) struct rb_buf pem = RB_BUF_INIT(8192);
    for (const char *p = json_string_value(json_object_get(v, "private_key_pem")); *p != '\0';
         p++) {
        rb_buf_add(&pem, *p == '\n' ? "\\n" : p, *p == '\n' ? 2 : 1);
    }
    need_token(v, rb_buf_str(&pem));
}

static void what_is_no_key_is_said_without_being_shown(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *v = load();
    const char *good = json_string_value(json_object_get(v, "private_key_pem"));
    static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIC\n"
                                    "-----END ENCRYPTED PRIVATE KEY-----\n";
    const struct {
        const char *pem;
        size_t len;
    } cases[] = {{"", 0}, {"canary", 6}, {good, strlen(good) / 2}, {encrypted, strlen(encrypted)}};
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(8192);
        struct rb_err err = {.code = RB_OK};
        assert_int_equal(rb_jwt_app(cases[i].pem, cases[i].len, "1", 0, &out, &err), RB_E_INVALID);
        assert_null(strstr(err.msg, "canary"));
        assert_int_equal(out.len, 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_is_that_of_the_official_library),
        cmocka_unit_test(line_ends_of_the_key_may_be_written_out),
        cmocka_unit_test(what_is_no_key_is_said_without_being_shown),
    };
    vectors = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
