/* test_log.c - log lines, read back from a pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include <retrybuild/log.h>
#include <retrybuild/str.h>

static int ends[2];
static char line[16384];

static int open_pipe(void **state)
{
    (void)state;
    return pipe(ends);
}

static int close_pipe(void **state)
{
    (void)state;
    rb_log_setup(RB_LOG_INFO, RB_LOG_JSON, STDERR_FILENO);
    return close(ends[0]) + close(ends[1]);
}

/* read_line - what was logged; one write is one read here. */
static const char *read_line(void)
{
    ssize_t n = read(ends[0], line, sizeof(line) - 1);
    assert_true(n > 0);
    line[n] = '\0';
    return line;
}

static void a_json_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    rb_log_setup(RB_LOG_DEBUG, RB_LOG_JSON, ends[1]);
    rb_log(RB_LOG_WARN, "retry.submitted", RB_F("retry", "rty_1"), RB_F("none", NULL),
           RB_FI("attempt", -2));
    const char *text = read_line();
    assert_true(rb_str_starts(text, "{\"time\":\"20"));
    assert_true(rb_str_ends(text, "\",\"level\":\"warn\",\"event\":\"retry.submitted\","
                                  "\"retry\":\"rty_1\",\"attempt\":-2}\n"));
    assert_int_equal(strcspn(text, "Z"), strlen("{\"time\":\"2026-11-03T14:07:08.123"));
}

static void logfmt_quotes_only_what_needs_it(void **state)
{
    (void)state;
    rb_log_setup(RB_LOG_INFO, RB_LOG_LOGFMT, ends[1]);
    rb_log(RB_LOG_INFO, "x.y", RB_F("a", "bare"), RB_F("b", "two words"), RB_F("c", "k=v"),
           RB_F("d", ""), RB_F("e", "\x1b[31m"), RB_FI("n", 5));
    assert_true(rb_str_ends(read_line(), " level=info event=x.y a=bare b=\"two words\" c=\"k=v\" "
                                         "d=\"\" e=\"\\u001b[31m\" n=5\n"));
}

static void what_could_forge_a_line_is_escaped(void **state)
{
    (void)state;
    rb_log_setup(RB_LOG_INFO, RB_LOG_JSON, ends[1]);
    rb_log(RB_LOG_INFO, "e", RB_F("v", "a\nb\xFF\xE2\x80\xA8"));
    const char *text = read_line();
    assert_true(rb_str_ends(text, "\"v\":\"a\\nb\xEF\xBF\xBD\\u2028\"}\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void a_level_below_the_threshold_writes_nothing(void **state)
{
    (void)state;
    rb_log_setup(RB_LOG_WARN, RB_LOG_JSON, ends[1]);
    assert_false(rb_log_enabled(RB_LOG_INFO));
    rb_log(RB_LOG_INFO, "silent", RB_FI("n", 1));
    rb_log_fields(RB_LOG_DEBUG, "silent", (const struct rb_log_field[]){{.key = NULL}});
    rb_log(RB_LOG_ERROR, "loud", RB_FI("n", 1));
    const char *text = read_line();
    assert_non_null(strstr(text, "loud"));
    assert_null(strstr(text, "silent"));
}

static void a_long_field_is_cut_at_a_character(void **state)
{
    (void)state;
    char value[2000] = "x";
    for (size_t at = 1; at + 3 < sizeof(value); at += 3) {
        memcpy(value + at, "\xE2\x82\xAC", 4);
    }
    rb_log_setup(RB_LOG_INFO, RB_LOG_JSON, ends[1]);
    rb_log(RB_LOG_INFO, "e", RB_F("v", value), RB_FI("after", 1));
    const char *text = read_line();
    const char *v = strstr(text, "\"v\":\"") + 5;
    size_t len = (size_t)(strstr(v, "\",\"after\":1}\n") - v);
    assert_int_equal(len, 1024); /* 1 + 341 * 3 */
    assert_true(rb_utf8_valid(v, len));
}

static void a_line_too_long_loses_its_last_fields_and_says_so(void **state)
{
    (void)state;
    char value[1025];
    memset(value, 1, sizeof(value) - 1); /* each byte becomes six */
    value[1024] = '\0';
    rb_log_setup(RB_LOG_INFO, RB_LOG_JSON, ends[1]);
    rb_log(RB_LOG_INFO, "e", RB_F("a", value), RB_F("b", value), RB_F("c", "end"));
    const char *text = read_line();
    assert_true(strlen(text) <= 8192);
    assert_true(rb_str_ends(text, "\",\"cut\":true}\n"));
    assert_null(strstr(text, "\"b\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_json_line_has_time_level_event_and_fields, open_pipe,
                                        close_pipe),
        cmocka_unit_test_setup_teardown(logfmt_quotes_only_what_needs_it, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(what_could_forge_a_line_is_escaped, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_level_below_the_threshold_writes_nothing, open_pipe,
                                        close_pipe),
        cmocka_unit_test_setup_teardown(a_long_field_is_cut_at_a_character, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_line_too_long_loses_its_last_fields_and_says_so,
                                        open_pipe, close_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
