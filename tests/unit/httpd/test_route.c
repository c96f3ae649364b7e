/* test_route.c - the route table, and what becomes of %XX. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <retrybuild/cleanup.h>

#include "private.h"

static void each_path_has_its_role_and_parameter(void **state)
{
    static const struct {
        const char *method, *path, *param;
        enum rb_role role;
    } cases[] = {
        {"POST", "/v1/hooks/eventbridge", "eventbridge", RB_ROLE_NONE},
        {"POST", "/v1/retries", "", RB_ROLE_OPERATOR},
        {"GET", "/v1/retries", "", RB_ROLE_VIEWER},
        {"HEAD", "/v1/retries", "", RB_ROLE_VIEWER},
        {"GET", "/v1/retries/rty_1", "rty_1", RB_ROLE_VIEWER},
        {"POST", "/v1/retries/rty_1/cancel", "rty_1", RB_ROLE_OPERATOR},
        {"POST", "/v1/retries/rty_1/approve", "rty_1", RB_ROLE_OPERATOR},
        {"POST", "/v1/retries/rty_1/deny", "rty_1", RB_ROLE_OPERATOR},
        {"POST", "/v1/retries/rty_1/requeue", "rty_1", RB_ROLE_OPERATOR},
        {"POST", "/v1/explain", "", RB_ROLE_VIEWER},
        {"GET", "/v1/stats", "", RB_ROLE_VIEWER},
        {"GET", "/v1/events", "", RB_ROLE_VIEWER},
        {"POST", "/v1/pause", "", RB_ROLE_OPERATOR},
        {"POST", "/v1/resume", "", RB_ROLE_OPERATOR},
        {"GET", "/livez", "", RB_ROLE_NONE},
        {"GET", "/readyz", "", RB_ROLE_NONE},
        {"GET", "/metrics", "", RB_ROLE_NONE},
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        struct rb_slice param = {NULL, 0};
        const char *allow = NULL;
        const struct rb_route *r = rb_route_find(cases[i].method, cases[i].path, &param, &allow);
        if (r == NULL || r->role != cases[i].role || param.len != strlen(cases[i].param) ||
            (param.len > 0 && memcmp(param.ptr, cases[i].param, param.len) != 0)) {
            fail_msg("%s %s", cases[i].method, cases[i].path);
        }
    }
}

static void a_known_path_says_what_it_answers_to(void **state)
{
    static const struct {
        const char *method, *path, *allow;
    } cases[] = {
        {"DELETE", "/livez", "GET, HEAD"},
        {"GET", "/v1/hooks/x", "POST"},
        {"PUT", "/v1/retries", "GET, HEAD, POST"},
        {"GET", "/v1/retries/a/cancel", "POST"},
        {"get", "/livez", "GET, HEAD"},
        {"GET", "/v1/retries/a/b", NULL},
        {"GET", "/v1/retries/", NULL},
        {"GET", "/v1/retries/a/", NULL},
        {"POST", "/v1/retries//cancel", NULL},
        {"GET", "/livez/", NULL},
        {"GET", "", NULL},
        {"GET", "/v1/retriesx", NULL},
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        struct rb_slice param = {NULL, 0};
        const char *allow = "unset";
        assert_null(rb_route_find(cases[i].method, cases[i].path, &param, &allow));
        if (!rb_str_eq(allow, cases[i].allow)) {
            fail_msg("%s %s: %s", cases[i].method, cases[i].path, allow);
        }
    }
}

static void escapes_are_undone_but_for_nul_and_nonsense(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"", ""},           {"/a%2Fb", "/a/b"}, {"%41%62", "Ab"}, {"%c3%a4", "\xc3\xa4"},
        {"a%00b", "a%00b"}, {"%00", "%00"},     {"%", "%"},       {"%4", "%4"},
        {"%zz", "%zz"},     {"%%41", "%A"},     {"%2541", "%41"}, {"%4g", "%4g"},
        {"%0", "%0"},       {"a%0ab", "a\nb"},  {"%f", "%f"},     {"%fF", "\xff"},
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        RB_CLEANUP(rb_freep) char *s = strdup(cases[i].from);
        assert_int_equal(rb_route_unescape(NULL, NULL, s), strlen(cases[i].to));
        assert_string_equal(s, cases[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_its_role_and_parameter),
        cmocka_unit_test(a_known_path_says_what_it_answers_to),
        cmocka_unit_test(escapes_are_undone_but_for_nul_and_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
