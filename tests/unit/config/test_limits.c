/* test_limits.c - what a document can cost: depth, entries, problems, long words, cut ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>

#define MAX_TEXT ((size_t)1 << 20)

/* problem - the first problem of @text, which must have one; the caller frees. */
static char *problem(const char *text, size_t len)
{
    struct rb_settings *s = NULL;
    struct rb_problems problems;
    struct rb_err err = {0};
    enum rb_code rc = rb_config_parse(text, len, "a.yaml", "/nowhere", &s, &problems, &err);
    assert_int_equal(rc, RB_E_INVALID);
    assert_null(s);
    assert_true(problems.n > 0);
    char *first = strdup(problems.items[0].text);
    rb_problems_release(&problems);
    return first;
}

static void nesting_without_end_is_refused(void **state)
{
    (void)state;
    static const char *const openings[] = {"[", "{a: ", "- "};
    for (unsigned i = 0; i < RB_ARRAY_LEN(openings); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
        while (text.len < 100000) {
            rb_buf_adds(&text, openings[i]);
        }
        RB_CLEANUP(rb_freep) char *first = problem(rb_buf_str(&text), text.len);
        assert_non_null(strstr(first, "deep"));
    }
}

static void very_many_entries_are_refused(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    rb_buf_adds(&text, "projects: {deny: [");
    for (unsigned i = 0; i < 20000; i++) {
        rb_buf_addf(&text, "p%u, ", i);
    }
    rb_buf_adds(&text, "x]}\n");
    RB_CLEANUP(rb_freep) char *first = problem(rb_buf_str(&text), text.len);
    assert_non_null(strstr(first, "too large"));
}

static void problems_beyond_a_hundred_are_only_announced(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    for (unsigned i = 0; i < 500; i++) {
        rb_buf_addf(&text, "wrong-%u: 1\n", i);
    }
    struct rb_settings *s = NULL;
    struct rb_problems problems;
    assert_int_equal(
        rb_config_parse(rb_buf_str(&text), text.len, "a", "/nowhere", &s, &problems, NULL),
        RB_E_INVALID);
    assert_int_equal(problems.n, 101);
    assert_non_null(strstr(problems.items[100].text, "more"));
    rb_problems_release(&problems);
}

static void a_very_long_key_makes_a_short_message(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    for (unsigned i = 0; i < 1000; i++) {
        rb_buf_adds(&text, "k");
    }
    rb_buf_adds(&text, ": 1\n");
    RB_CLEANUP(rb_freep) char *first = problem(rb_buf_str(&text), text.len);
    assert_true(strlen(first) < 400);
    assert_non_null(strstr(first, "there is no such key"));
}

static void a_document_cut_anywhere_is_answered(void **state)
{
    (void)state;
    static const char whole[] =
        "listen: {address: \"[::1]:1\", max_body: 64KiB}\n"
        "rules:\n  - name: a\n    when: {project: [\"a*\", !x], message: '(?i)x'}\n"
        "    delay: {list: [1s, 2s]}\n"
        "sources:\n  - {name: a, type: eventbridge, secrets: [{value: \"a\\u00e4\"}]}\n";
    for (size_t len = 0; len < sizeof whole; len++) {
        struct rb_settings *s = NULL;
        struct rb_problems problems;
        enum rb_code rc = rb_config_parse(whole, len, "a", "/nowhere", &s, &problems, NULL);
        assert_int_equal(rc == RB_OK, s != NULL && problems.n == 0);
        assert_int_equal(rc == RB_E_INVALID, problems.n > 0);
        rb_problems_release(&problems);
        rb_settings_unref(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_without_end_is_refused),
        cmocka_unit_test(very_many_entries_are_refused),
        cmocka_unit_test(problems_beyond_a_hundred_are_only_announced),
        cmocka_unit_test(a_very_long_key_makes_a_short_message),
        cmocka_unit_test(a_document_cut_anywhere_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
