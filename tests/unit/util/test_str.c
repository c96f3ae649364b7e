/* test_str.c - numbers, globs, UTF-8 and the nearest word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

static void comparisons_know_null(void **state)
{
    (void)state;
    assert_true(rb_str_eq(NULL, NULL));
    assert_false(rb_str_eq(NULL, ""));
    assert_true(rb_str_eq("a", "a"));
    assert_true(rb_str_empty(NULL) && rb_str_empty(""));
    assert_false(rb_str_empty("x"));
    assert_true(rb_str_starts("retry", "re"));
    assert_false(rb_str_starts("r", "re"));
    assert_false(rb_str_starts(NULL, ""));
    assert_true(rb_str_ends("build.git", ".git"));
    assert_false(rb_str_ends("git", ".git"));
    assert_false(rb_str_ends(NULL, ""));
    assert_true(rb_str_ieq("AbC-1", "aBc-1"));
    assert_false(rb_str_ieq("abc", "abcd"));
    assert_false(rb_str_ieq("[", "{"));
    assert_false(rb_slice_eq(rb_slice_str(NULL), ""));
    assert_true(rb_slice_eq(rb_slice_str(""), ""));
}

static void unsigned_numbers_are_digits_without_overflow(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(rb_parse_u64(rb_slice_str("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    assert_true(rb_parse_u64(rb_slice_str("0007"), &v));
    assert_int_equal(v, 7);
    static const char *const bad[] = {"",    "18446744073709551616",    "+1", "-1", " 1", "1 ",
                                      "0x1", "99999999999999999999999", NULL};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        assert_false(rb_parse_u64(rb_slice_str(bad[i]), &v));
        assert_int_equal(v, 7);
    }
}

static void signed_numbers_reach_both_ends(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(rb_parse_i64(rb_slice_str("-9223372036854775808"), &v));
    assert_true(v == INT64_MIN);
    assert_true(rb_parse_i64(rb_slice_str("9223372036854775807"), &v));
    assert_true(v == INT64_MAX);
    assert_true(rb_parse_i64(rb_slice_str("-0"), &v));
    assert_int_equal(v, 0);
    static const char *const bad[] = {
        "9223372036854775808", "-9223372036854775809", "-", "--1", "", NULL};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        assert_false(rb_parse_i64(rb_slice_str(bad[i]), &v));
    }
    assert_int_equal(v, 0);
}

static void durations_have_one_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"500ms", 500},    {"30s", 30000},        {"15m", 900000},
                {"24h", 86400000}, {"30d", 2592000000LL}, {"0s", 0}};
    int64_t v = 1;
    for (size_t i = 0; i < RB_ARRAY_LEN(good); i++) {
        assert_true(rb_parse_duration_ms(rb_slice_str(good[i].text), &v));
        assert_int_equal(v, good[i].ms);
    }
    static const char *const bad[] = {
        "",  "5", "s", "-1s", "1 s", "1h30m", "1S", "1.5s", "106751991168d", "9223372036854775807s",
        NULL};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        assert_false(rb_parse_duration_ms(rb_slice_str(bad[i]), &v));
    }
}

static void sizes_are_bytes_or_binary_multiples(void **state)
{
    (void)state;
    uint64_t v = 0;
    assert_true(rb_parse_size(rb_slice_str("4096"), &v) && v == 4096);
    assert_true(rb_parse_size(rb_slice_str("64KiB"), &v) && v == 65536);
    assert_true(rb_parse_size(rb_slice_str("1MiB"), &v) && v == 1048576);
    assert_true(rb_parse_size(rb_slice_str("3GiB"), &v) && v == 3221225472);
    assert_false(rb_parse_size(rb_slice_str("1MB"), &v));
    assert_false(rb_parse_size(rb_slice_str("1K"), &v));
    assert_false(rb_parse_size(rb_slice_str("KiB"), &v));
    assert_false(rb_parse_size(rb_slice_str("8589934592GiB"), &v));
}

static void globs_match_whole_strings(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"*", "", true},
        {"*", "anything", true},
        {"", "", true},
        {"", "a", false},
        {"web-*", "web-shop", true},
        {"web-*", "my-web-shop", false},
        {"*-deploy", "shop-deploy", true},
        {"*-deploy", "shop-deploy2", false},
        {"a*b*c", "aXXbYYc", true},
        {"a*b*c", "abcb", false},
        {"*ab*ab*", "xxabyyabzz", true},
        {"?", "a", true},
        {"?", "", false},
        {"a?c", "abc", true},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[!a-c]x", "ax", false},
        {"[]a]", "]", true},
        {"[!]a]", "]", false},
        {"[a-]", "-", true},
        {"[\\]]", "]", true},
        {"[ab", "[ab", true},
        {"[ab", "a", false},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"a\\", "a\\", true},
        {"**a", "bba", true},
        {"refs/heads/*", "refs/heads/a/b", true},
        {"a", NULL, false},
        {"*", NULL, false},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        if (rb_glob_match(rows[i].pattern, rows[i].text) != rows[i].matches) {
            fail_msg("'%s' against '%s'", rows[i].pattern,
                     rows[i].text == NULL ? "(null)" : rows[i].text);
        }
    }
}

static void many_stars_do_not_explode(void **state)
{
    (void)state;
    char text[4001];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(rb_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

static void what_is_no_utf8_is_left_out(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"\xC3\xA4", "\xC3\xA4"},
        {"cut \xE2\x82", "cut "},
        {"\xF0\x9F\x98' is cut", "' is cut"},
        {"a\xFF\xE2\x82\xAC\x80z", "a\xE2\x82\xACz"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%s", rows[i][0]);
        rb_utf8_mend(text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void a_sentence_holds_whole_characters(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 4096);
    assert_string_equal(rb_arena_sentence(&a, "'%.2s' is cut", "a\xC3\xA4"), "'a' is cut");
    assert_string_equal(rb_arena_sentence(&a, "'%.3s' is not", "a\xC3\xA4"), "'a\xC3\xA4' is not");
    rb_arena_release(&a);
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "abc",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xC2",         "\xE2\x82",         "\xF0\x9F\x98",     "a\xFF",
        "\xC2\x41"};
    for (size_t i = 0; i < RB_ARRAY_LEN(good); i++) {
        assert_true(rb_utf8_valid(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        assert_false(rb_utf8_valid(bad[i], strlen(bad[i])));
    }
    assert_true(rb_utf8_valid("a\0b", 3));
    assert_int_equal(rb_utf8_seq("\xE2\x82\xAC", 3), 3);
    assert_int_equal(rb_utf8_seq("\xE2\x82\xAC", 2), 0);
    assert_int_equal(rb_utf8_seq("", 0), 0);
}

static void the_nearest_word_is_suggested_when_it_is_near(void **state)
{
    (void)state;
    static const char *const words[] = {"listen", "store", "sources", "destinations", "mode"};
    assert_string_equal(rb_nearest("stroe", words, 5), "store");
    assert_string_equal(rb_nearest("source", words, 5), "sources");
    assert_string_equal(rb_nearest("LISTEN", words, 5), "listen");
    assert_string_equal(rb_nearest("destnatons", words, 5), "destinations");
    assert_null(rb_nearest("completely", words, 5));
    assert_null(rb_nearest("", words, 5));
    assert_null(rb_nearest(NULL, words, 5));
    assert_null(rb_nearest("xy", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons_know_null),
        cmocka_unit_test(unsigned_numbers_are_digits_without_overflow),
        cmocka_unit_test(signed_numbers_reach_both_ends),
        cmocka_unit_test(durations_have_one_unit),
        cmocka_unit_test(sizes_are_bytes_or_binary_multiples),
        cmocka_unit_test(globs_match_whole_strings),
        cmocka_unit_test(many_stars_do_not_explode),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(what_is_no_utf8_is_left_out),
        cmocka_unit_test(a_sentence_holds_whole_characters),
        cmocka_unit_test(the_nearest_word_is_suggested_when_it_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
