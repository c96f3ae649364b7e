/* test_err.c - error codes and sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <retrybuild/err.h>
#include <retrybuild/str.h>

static void setting_an_error_returns_its_code_and_keeps_the_sentence(void **state)
{
    (void)state;
    struct rb_err err = {0};
    assert_int_equal(rb_err_set(&err, RB_E_THROTTLED, "answered %d", 429), RB_E_THROTTLED);
    assert_int_equal(err.code, RB_E_THROTTLED);
    assert_string_equal(err.msg, "answered 429");
}

static void a_null_error_is_accepted_everywhere(void **state)
{
    (void)state;
    assert_int_equal(rb_err_set(NULL, RB_E_IO, "x"), RB_E_IO);
    assert_int_equal(rb_err_errno(NULL, RB_E_IO, EIO, "x"), RB_E_IO);
    assert_int_equal(rb_err_wrap(NULL, RB_E_IO, "x"), RB_E_IO);
}

static void wrapping_puts_the_context_before_the_cause(void **state)
{
    (void)state;
    struct rb_err err = {0};
    rb_err_set(&err, RB_E_TIMEOUT, "no answer");
    assert_int_equal(rb_err_wrap(&err, RB_E_UNAVAIL, "load '%s'", "rty_1"), RB_E_UNAVAIL);
    assert_int_equal(err.code, RB_E_UNAVAIL);
    assert_string_equal(err.msg, "load 'rty_1': no answer");
}

static void a_message_may_be_an_argument_of_its_successor(void **state)
{
    (void)state;
    struct rb_err err = {0};
    rb_err_set(&err, RB_E_IO, "disk");
    rb_err_set(&err, RB_E_IO, "again %s", err.msg);
    assert_string_equal(err.msg, "again disk");
}

static void a_system_error_appends_its_text(void **state)
{
    (void)state;
    struct rb_err err = {0};
    rb_err_errno(&err, RB_E_NOT_FOUND, ENOENT, "open '%s'", "a");
    assert_string_equal(err.msg, "open 'a': No such file or directory");
    rb_err_errno(&err, RB_E_IO, 987654, "open");
    assert_string_equal(err.msg, "open: system error 987654");
}

static void a_sentence_too_long_is_cut_at_a_character(void **state)
{
    (void)state;
    char text[3 * RB_ERR_MESSAGE_BYTES];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t at = shift; at + 4 < sizeof(text); at += 4) {
            memcpy(text + at, "\xF0\x9F\x98\x80", 5);
        }
        struct rb_err err = {0};
        rb_err_set(&err, RB_E_INVALID, "%s", text);
        size_t len = strlen(err.msg);
        assert_in_range(len, RB_ERR_MESSAGE_BYTES - 5, RB_ERR_MESSAGE_BYTES - 1);
        assert_true(rb_utf8_valid(err.msg, len));
    }
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < RB_CODE_COUNT; a++) {
        assert_non_null(rb_code_name((enum rb_code)a));
        assert_true(strlen(rb_code_name((enum rb_code)a)) > 0);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(rb_code_name((enum rb_code)a), rb_code_name((enum rb_code)b));
        }
    }
    assert_string_equal(rb_code_name(RB_E_UNAVAIL), "unavailable");
    assert_string_equal(rb_code_name((enum rb_code)9999), "unknown");
    assert_string_equal(rb_code_name((enum rb_code) - 1), "unknown");
}

static void only_what_passes_by_itself_is_transient(void **state)
{
    (void)state;
    assert_true(rb_code_transient(RB_E_UNAVAIL));
    assert_true(rb_code_transient(RB_E_THROTTLED));
    assert_true(rb_code_transient(RB_E_LATER));
    assert_false(rb_code_transient(RB_OK));
    assert_false(rb_code_transient(RB_E_REFUSED));
    assert_false(rb_code_transient(RB_E_AMBIGUOUS));
    assert_false(rb_code_transient((enum rb_code)9999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_an_error_returns_its_code_and_keeps_the_sentence),
        cmocka_unit_test(a_null_error_is_accepted_everywhere),
        cmocka_unit_test(wrapping_puts_the_context_before_the_cause),
        cmocka_unit_test(a_message_may_be_an_argument_of_its_successor),
        cmocka_unit_test(a_system_error_appends_its_text),
        cmocka_unit_test(a_sentence_too_long_is_cut_at_a_character),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(only_what_passes_by_itself_is_transient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
