/* test_buf.c - the growable buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>

static void an_empty_buffer_is_an_empty_string(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(10);
    assert_string_equal(rb_buf_str(&b), "");
    rb_buf_adds(&b, NULL);
    rb_buf_add(&b, "", 0);
    assert_int_equal(b.len, 0);
    assert_false(rb_buf_failed(&b));
    rb_buf_release(&b);
    rb_buf_release(NULL);
}

static void appended_pieces_stand_in_order(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(100000);
    rb_buf_adds(&b, "a");
    rb_buf_addc(&b, '-');
    rb_buf_addf(&b, "%s=%d", "n", 5);
    rb_buf_addc(&b, ' ');
    rb_buf_addu(&b, 0);
    rb_buf_addc(&b, ' ');
    rb_buf_addu(&b, UINT64_MAX);
    assert_string_equal(rb_buf_str(&b), "a-n=5 0 18446744073709551615");
    rb_buf_clear(&b);
    for (int i = 0; i < 5000; i++) {
        rb_buf_addf(&b, "%04d,", i);
    }
    assert_int_equal(b.len, 25000);
    assert_memory_equal(rb_buf_str(&b) + 24995, "4999,", 6);
    rb_buf_release(&b);
}

static void the_maximum_is_reached_exactly_and_never_passed(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(5);
    rb_buf_adds(&b, "abcde");
    assert_false(rb_buf_failed(&b));
    rb_buf_addc(&b, 'f');
    assert_true(rb_buf_failed(&b));
    assert_string_equal(rb_buf_str(&b), "abcde");
    rb_buf_clear(&b);
    assert_false(rb_buf_failed(&b));
    rb_buf_addf(&b, "%s", "123456");
    assert_true(rb_buf_failed(&b));
    assert_string_equal(rb_buf_str(&b), "");
    rb_buf_release(&b);
}

static void formatting_beyond_the_maximum_leaves_no_trace(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(200);
    rb_buf_adds(&b, "keep");
    rb_buf_addf(&b, "%0*d", 300, 1);
    assert_true(rb_buf_failed(&b));
    assert_int_equal(b.len, 4);
    assert_string_equal(rb_buf_str(&b), "keep");
    rb_buf_adds(&b, "x");
    assert_string_equal(rb_buf_str(&b), "keep");
    rb_buf_release(&b);
}

static void reserved_room_is_committed_in_part(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(1000);
    char *p = rb_buf_reserve(&b, 500);
    assert_non_null(p);
    memcpy(p, "hello", 5);
    rb_buf_commit(&b, 5);
    assert_string_equal(rb_buf_str(&b), "hello");
    assert_null(rb_buf_reserve(&b, 996));
    assert_true(rb_buf_failed(&b));
    rb_buf_release(&b);
}

static void detached_content_belongs_to_the_caller(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(1000);
    RB_CLEANUP(rb_freep) char *empty = rb_buf_detach(&b);
    assert_string_equal(empty, "");
    rb_buf_adds(&b, "text");
    RB_CLEANUP(rb_freep) char *text = rb_buf_detach(&b);
    assert_string_equal(text, "text");
    assert_int_equal(b.len, 0);
    rb_buf_addf(&b, "%0*d", 2000, 1);
    assert_null(rb_buf_detach(&b));
    rb_buf_release(&b);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"plain", 5, "\"plain\""},
        {"", 0, "\"\""},
        {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
        {"\n\r\t\b\x01\x1f", 6, "\"\\n\\r\\t\\u0008\\u0001\\u001f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x7f", 1, "\"\\u007f\""},
        {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"\xC2\x9B", 2, "\"\\u009b\""},
        {"\xE2\x80\xA8\xE2\x80\xA9", 6, "\"\\u2028\\u2029\""},
        {"x\xFFy", 3, "\"x\xEF\xBF\xBDy\""},
        {"\xC3", 1, "\"\xEF\xBF\xBD\""},
        {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {NULL, 0, "null"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_buf b = RB_BUF_INIT(1000);
        rb_buf_add_json_string(&b, rows[i].in, rows[i].len);
        assert_string_equal(rb_buf_str(&b), rows[i].out);
        rb_buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_string),
        cmocka_unit_test(appended_pieces_stand_in_order),
        cmocka_unit_test(the_maximum_is_reached_exactly_and_never_passed),
        cmocka_unit_test(formatting_beyond_the_maximum_leaves_no_trace),
        cmocka_unit_test(reserved_room_is_committed_in_part),
        cmocka_unit_test(detached_content_belongs_to_the_caller),
        cmocka_unit_test(json_strings_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
