/* The headers of W3C Trace Context: what is read, what is refused, what leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/tracecontext.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static bool parse(const char *s, struct rb_trace *ret_t)
{
    return rb_traceparent_parse(s, strlen(s), ret_t);
}

static void version_00_is_read_whole(void **state)
{
    struct rb_trace t = {.sampled = false};
    (void)state;
    assert_true(parse("00-" TRACE "-" SPAN "-01", &t));
    assert_string_equal(t.trace_id, TRACE);
    assert_string_equal(t.span_id, SPAN);
    assert_true(t.sampled);
    assert_false(t.random);
    assert_true(parse("00-" TRACE "-" SPAN "-00", &t));
    assert_false(t.sampled);
    assert_true(parse("00-" TRACE "-" SPAN "-fe", &t)); /* unknown flags mean nothing */
    assert_false(t.sampled);
    assert_true(t.random);
}

static void what_the_rules_forbid_is_no_traceparent(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01-extra",
        "00-" TRACE "-" SPAN "-011",
        "00-" TRACE "-" SPAN "-0g",
        "00-" TRACE "-" SPAN "-0A",
        "ff-" TRACE "-" SPAN "-01",
        "FF-" TRACE "-" SPAN "-01",
        "0g-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-01-",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "-00f067aa0ba902bg-01",
        "01-" TRACE "-" SPAN "-01.extra",
        "01-" TRACE "-" SPAN "-01extra",
        " 00-" TRACE "-" SPAN "-01",
        "00-" TRACE "-" SPAN "-01 ",
    };
    struct rb_trace t = {.span_id = "left alone"};
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        if (parse(bad[i], &t)) {
            fail_msg("read as a traceparent: '%s'", bad[i]);
        }
    }
    assert_false(rb_traceparent_parse(NULL, 0, &t));
    assert_string_equal(t.span_id, "left alone");
}

static void of_a_higher_version_the_known_beginning_is_read(void **state)
{
    static const char *const good[] = {"01-" TRACE "-" SPAN "-09-extra", "cc-" TRACE "-" SPAN "-01",
                                       "fe-" TRACE "-" SPAN "-01-"};
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(good); i++) {
        struct rb_trace t;
        char text[RB_TRACEPARENT_BYTES];
        assert_true(parse(good[i], &t));
        rb_traceparent_write(&t, text);
        assert_string_equal(text, "00-" TRACE "-" SPAN "-01");
    }
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    for (int flags = 0; flags < 4; flags++) {
        struct rb_trace t = {.trace_id = TRACE, .span_id = SPAN};
        struct rb_trace back;
        char text[RB_TRACEPARENT_BYTES];
        t.sampled = (flags & 1) != 0;
        t.random = (flags & 2) != 0;
        rb_traceparent_write(&t, text);
        assert_true(parse(text, &back));
        assert_string_equal(back.trace_id, TRACE);
        assert_string_equal(back.span_id, SPAN);
        assert_int_equal(back.sampled, t.sampled);
        assert_int_equal(back.random, t.random);
    }
}

static void a_tracestate_leaves_without_blanks_and_empty_members(void **state)
{
    char text[RB_TRACESTATE_MAX_BYTES + 1] = "left alone";
    static const char in[] = " rojo=00f067aa0ba902b7 ,\t,congo=t61rcWkgMzE, t*1/_-@a-b=a b:c ";
    (void)state;
    assert_true(rb_tracestate_parse(in, sizeof(in) - 1, text));
    assert_string_equal(text, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,t*1/_-@a-b=a b:c");
    assert_true(rb_tracestate_parse("", 0, text));
    assert_string_equal(text, "");
}

static void what_is_no_tracestate_is_told(void **state)
{
    static const char *const bad[] = {
        "a",       "=b",      "a=",      "A=b",        "1a=b",
        "a=b,a=c", "a=b=c",   "a b=c",   "a@=c",       "@a=c",
        "a@1=c",   "a@b@c=d", "a=b\x01", "a=\xc3\xa4", "a@abcdefghijklmno=c"};
    char text[RB_TRACESTATE_MAX_BYTES + 1] = "left alone";
    char many[400] = "";
    size_t len = 0;
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        if (rb_tracestate_parse(bad[i], strlen(bad[i]), text)) {
            fail_msg("read as a tracestate: '%s'", bad[i]);
        }
    }
    for (int i = 0; i <= RB_TRACESTATE_MAX_MEMBERS; i++) {
        len += (size_t)snprintf(many + len, sizeof(many) - len, "k%d=v,", i);
    }
    assert_false(rb_tracestate_parse(many, len, text));
    assert_string_equal(text, "left alone");
}

static void a_long_tracestate_loses_long_members_first_then_its_end(void **state)
{
    char text[RB_TRACESTATE_MAX_BYTES + 1];
    char in[1200];
    int n = snprintf(in, sizeof(in), "a=%0100d,long=%0200d,b=%0100d,c=%0100d,d=%0100d,e=%0100d", 1,
                     2, 3, 4, 5, 6);
    (void)state;
    assert_true(rb_tracestate_parse(in, (size_t)n, text));
    assert_null(strstr(text, "long="));
    assert_non_null(strstr(text, "a=0"));
    assert_non_null(strstr(text, ",d=0"));
    assert_null(strstr(text, "e="));
    assert_true(strlen(text) <= RB_TRACESTATE_MAX_BYTES);
}

static void a_ratio_samples_by_the_id_alone(void **state)
{
    (void)state;
    assert_true(rb_trace_ratio_samples(TRACE, 1.0));
    assert_false(rb_trace_ratio_samples(TRACE, 0.0));
    assert_true(rb_trace_ratio_samples("ffffffffffffffff3fffffffffffffff", 0.25));
    assert_false(rb_trace_ratio_samples("00000000000000004000000000000000", 0.25));
    assert_true(rb_trace_ratio_samples("00000000000000000000000000000001", 1e-9));
    assert_false(rb_trace_ratio_samples("ffffffffffffffffffffffffffffffff", 0.999));
    assert_false(rb_trace_ratio_samples("short", 0.5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_00_is_read_whole),
        cmocka_unit_test(what_the_rules_forbid_is_no_traceparent),
        cmocka_unit_test(of_a_higher_version_the_known_beginning_is_read),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_tracestate_leaves_without_blanks_and_empty_members),
        cmocka_unit_test(what_is_no_tracestate_is_told),
        cmocka_unit_test(a_long_tracestate_loses_long_members_first_then_its_end),
        cmocka_unit_test(a_ratio_samples_by_the_id_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
