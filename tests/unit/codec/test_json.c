/* test_json.c - the pull reader step by step, texts and whole numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

static void start(struct rb_json_reader *r, const char *text)
{
    rb_json_reader_init(r, text, strlen(text));
}

static struct rb_json_token next(struct rb_json_reader *r)
{
    struct rb_json_token t;
    struct rb_err err = {0};
    if (rb_json_next(r, &t, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    return t;
}

static void tokens_come_in_order_and_borrow_their_text(void **state)
{
    (void)state;
    const char *text = "{\"a\": [1, \"x\\n\", true, false, null], \"b\": {}}";
    struct rb_json_reader r;
    start(&r, text);
    static const enum rb_json_type types[] = {
        RB_JSON_OBJECT_BEGIN, RB_JSON_KEY,  RB_JSON_ARRAY_BEGIN,  RB_JSON_NUMBER,
        RB_JSON_STRING,       RB_JSON_TRUE, RB_JSON_FALSE,        RB_JSON_NULL,
        RB_JSON_ARRAY_END,    RB_JSON_KEY,  RB_JSON_OBJECT_BEGIN, RB_JSON_OBJECT_END,
        RB_JSON_OBJECT_END,   RB_JSON_END,  RB_JSON_END};
    for (size_t i = 0; i < RB_ARRAY_LEN(types); i++) {
        struct rb_json_token t = next(&r);
        assert_int_equal(t.type, types[i]);
        if (t.type == RB_JSON_STRING) {
            assert_true(t.escaped);
            assert_true(rb_slice_eq(t.raw, "x\\n"));
            assert_ptr_equal(t.raw.ptr, strstr(text, "x\\n"));
        }
    }
}

static void an_error_names_line_and_column(void **state)
{
    (void)state;
    struct rb_json_reader r;
    struct rb_err err = {0};
    start(&r, "{\n  \"a\": 1,\n  \"b\": x\n}");
    assert_int_equal(rb_json_finish(&r, &err), RB_E_INVALID);
    assert_string_equal(err.msg, "JSON line 3 column 8: value expected");
}

static void an_error_shows_nothing_of_the_document(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"password\":hunter2}", "[\"hunter2\n\"]",
                                        "{\"hunter2\":1,\"hunter2\":2}", "[1e999, \"hunter2\"]"};
    for (size_t i = 0; i < RB_ARRAY_LEN(texts); i++) {
        json_t *none = NULL;
        struct rb_err err = {0};
        assert_int_equal(rb_json_load(texts[i], strlen(texts[i]), &none, &err), RB_E_INVALID);
        assert_null(strstr(err.msg, "hunter2"));
        assert_null(none);
    }
}

static void skipping_passes_over_one_whole_value(void **state)
{
    (void)state;
    struct rb_json_reader r;
    start(&r, "{\"a\":{\"x\":[1,{\"y\":2}]},\"b\":7,\"c\":[3,4]}");
    (void)next(&r);
    (void)next(&r);
    assert_int_equal(rb_json_skip(&r, NULL), RB_OK);
    struct rb_json_token t = next(&r);
    assert_true(rb_json_key_is(&t, "b"));
    assert_int_equal(rb_json_skip(&r, NULL), RB_OK);
    t = next(&r);
    assert_true(rb_json_key_is(&t, "c"));
    t = next(&r);
    assert_int_equal(rb_json_skip_rest(&r, &t, NULL), RB_OK);
    assert_int_equal(next(&r).type, RB_JSON_OBJECT_END);
    assert_int_equal(rb_json_finish(&r, NULL), RB_OK);
}

static void skipping_where_no_value_stands_is_an_error(void **state)
{
    (void)state;
    struct rb_json_reader r;
    start(&r, "[]");
    (void)next(&r);
    assert_int_equal(rb_json_skip(&r, NULL), RB_E_INVALID);
}

static void a_skipped_value_is_validated_all_the_same(void **state)
{
    (void)state;
    struct rb_json_reader r;
    start(&r, "{\"a\":{\"x\":1,\"x\":2}}");
    (void)next(&r);
    (void)next(&r);
    assert_int_equal(rb_json_skip(&r, NULL), RB_E_INVALID);
    assert_int_equal(rb_json_finish(&r, NULL), RB_E_INVALID);
}

static void keys_are_compared_by_what_they_say(void **state)
{
    (void)state;
    struct rb_json_reader r;
    start(&r, "{\"d\\u0065tail\":1,\"detail-type\":\"detail\"}");
    (void)next(&r);
    struct rb_json_token t = next(&r);
    assert_true(t.escaped);
    assert_true(rb_json_key_is(&t, "detail"));
    assert_false(rb_json_key_is(&t, "detai"));
    assert_false(rb_json_key_is(&t, "details"));
    (void)next(&r);
    t = next(&r);
    assert_true(rb_json_key_is(&t, "detail-type"));
    assert_false(rb_json_key_is(&t, "detail"));
    t = next(&r);
    assert_false(rb_json_key_is(&t, "detail")); /* a string is no key */
}

static void texts_are_unescaped_into_the_arena(void **state)
{
    (void)state;
    struct rb_json_reader r;
    struct rb_arena a;
    rb_arena_init(&a, 64);
    start(&r, "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20ac\\ud83d\\ude00z\",-1.50]");
    (void)next(&r);
    struct rb_json_token t = next(&r);
    assert_string_equal(rb_json_dup(&t, &a),
                        "\"\\/\b\f\n\r\t\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z");
    t = next(&r);
    assert_string_equal(rb_json_dup(&t, &a), "-1.50");
    rb_arena_release(&a);
    rb_arena_init(&a, 3);
    assert_null(rb_json_dup(&t, &a));
    rb_arena_release(&a);
}

static bool int_of(const char *text, int64_t *ret_v)
{
    struct rb_json_reader r;
    start(&r, text);
    struct rb_json_token t = next(&r);
    return rb_json_int(&t, ret_v);
}

static void whole_numbers_may_be_written_in_any_way(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t v;
    } rows[] = {{"0", 0},
                {"-0", 0},
                {"0.000", 0},
                {"0e999999999999999999999", 0},
                {"31", 31},
                {"31.0", 31},
                {"3e1", 30},
                {"3E+1", 30},
                {"300e-2", 3},
                {"0.5e1", 5},
                {"1.25e2", 125},
                {"-12", -12},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN},
                {"9223372036854775807.000", INT64_MAX},
                {"9.223372036854775807e18", INT64_MAX},
                {"0.00000000000000000000000000000001e32", 1},
                {"100000000000000000000000000000000e-32", 1}};
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        int64_t v = 42;
        if (!int_of(rows[i].text, &v) || v != rows[i].v) {
            fail_msg("%s gave %lld", rows[i].text, (long long)v);
        }
    }
}

static void fractions_and_overflow_are_no_whole_numbers(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.5",
                                        "1e-1",
                                        "31.01",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "18446744073709551616",
                                        "1e19",
                                        "1e999999999999999999999",
                                        "1e-999999999999999999999",
                                        "123456789012345678901234567890",
                                        "\"7\"",
                                        "true"};
    for (size_t i = 0; i < RB_ARRAY_LEN(texts); i++) {
        int64_t v = 42;
        assert_false(int_of(texts[i], &v));
        assert_int_equal(v, 42);
    }
}

static void loading_refuses_numbers_it_cannot_hold(void **state)
{
    (void)state;
    json_t *none = NULL;
    struct rb_err err = {0};
    assert_int_equal(rb_json_load("[1e999]", 7, &none, &err), RB_E_INVALID);
    assert_non_null(strstr(err.msg, "out of range"));
    assert_int_equal(rb_json_load("[9223372036854775808]", 21, &none, &err), RB_E_INVALID);
    assert_null(none);
}

static void loading_reads_more_tokens_than_a_delivery_may_have(void **state)
{
    (void)state;
    const size_t n = 150000;
    RB_CLEANUP(rb_freep) char *text = malloc(2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + 2 * i, i == 0 ? "[1" : ",1", 2);
    }
    text[2 * n] = ']';
    RB_CLEANUP(rb_json_decrefp) json_t *json = NULL;
    assert_int_equal(rb_json_load(text, 2 * n + 1, &json, NULL), RB_OK);
    assert_int_equal(json_array_size(json), n);
    struct rb_json_reader r;
    rb_json_reader_init(&r, text, 2 * n + 1);
    assert_int_equal(rb_json_finish(&r, NULL), RB_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_in_order_and_borrow_their_text),
        cmocka_unit_test(an_error_names_line_and_column),
        cmocka_unit_test(an_error_shows_nothing_of_the_document),
        cmocka_unit_test(skipping_passes_over_one_whole_value),
        cmocka_unit_test(skipping_where_no_value_stands_is_an_error),
        cmocka_unit_test(a_skipped_value_is_validated_all_the_same),
        cmocka_unit_test(keys_are_compared_by_what_they_say),
        cmocka_unit_test(texts_are_unescaped_into_the_arena),
        cmocka_unit_test(whole_numbers_may_be_written_in_any_way),
        cmocka_unit_test(fractions_and_overflow_are_no_whole_numbers),
        cmocka_unit_test(loading_refuses_numbers_it_cannot_hold),
        cmocka_unit_test(loading_reads_more_tokens_than_a_delivery_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
