/* test_timefmt.c - times as text, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#define MOMENT 1793714828123 /* 2026-11-03T14:07:08.123Z, a Tuesday */

static void moments_have_four_forms(void **state)
{
    (void)state;
    char s[40];
    rb_time_iso(MOMENT, s);
    assert_string_equal(s, "2026-11-03T14:07:08.123Z");
    rb_time_iso(0, s);
    assert_string_equal(s, "1970-01-01T00:00:00.000Z");
    rb_time_amz(MOMENT, s);
    assert_string_equal(s, "20261103T140708Z");
    rb_time_http(MOMENT, s);
    assert_string_equal(s, "Tue, 03 Nov 2026 14:07:08 GMT");
    rb_time_format_aws_us(MOMENT, s);
    assert_string_equal(s, "Nov 3, 2026 2:07:08 PM");
    rb_time_format_aws_us(0, s);
    assert_string_equal(s, "Jan 1, 1970 12:00:00 AM");
    rb_time_format_aws_us(43200000, s);
    assert_string_equal(s, "Jan 1, 1970 12:00:00 PM");
}

static void moments_beyond_four_digits_of_a_year_are_clamped(void **state)
{
    (void)state;
    char s[RB_TIME_ISO_BYTES];
    rb_time_iso(INT64_MAX, s);
    assert_string_equal(s, "9999-12-31T23:59:59.999Z");
    rb_time_iso(INT64_MIN, s);
    assert_string_equal(s, "0000-01-01T00:00:00.000Z");
}

struct row {
    const char *text;
    int64_t ms;
};

typedef bool (*parse_fn)(struct rb_slice s, int64_t *ret_ms);

static void accepts(parse_fn parse, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t ms = 1;
        if (!parse(rb_slice_str(rows[i].text), &ms) || ms != rows[i].ms) {
            fail_msg("'%s' gave %lld instead of %lld", rows[i].text, (long long)ms,
                     (long long)rows[i].ms);
        }
    }
}

static void refuses(parse_fn parse, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t ms = 1;
        if (parse(rb_slice_str(texts[i]), &ms)) {
            fail_msg("'%s' was accepted", texts[i]);
        }
        assert_int_equal(ms, 1);
    }
    int64_t ms = 1;
    assert_false(parse(rb_slice_str(NULL), &ms));
    assert_false(parse(rb_slice_str(""), &ms));
}

static void iso_times_are_read_with_zone_and_fraction(void **state)
{
    (void)state;
    static const struct row good[] = {
        {"2026-11-03T14:07:08.123Z", MOMENT},       {"2026-11-03T14:07:08Z", MOMENT - 123},
        {"2026-11-03t14:07:08z", MOMENT - 123},     {"2026-11-03T15:07:08.123+01:00", MOMENT},
        {"2026-11-03T08:37:08.123-05:30", MOMENT},  {"2026-11-03T14:07:08.1Z", MOMENT - 23},
        {"2026-11-03T14:07:08.123999999Z", MOMENT}, {"2026-11-03", 1793664000000},
        {"2024-02-29T00:00:00Z", 1709164800000},    {"1969-12-31T23:59:59.999Z", -1},
    };
    accepts(rb_time_parse_iso, good, RB_ARRAY_LEN(good));
    static const char *const bad[] = {"2026-11-03T14:07:08",
                                      "2026-11-03T14:07:08.Z",
                                      "2026-11-03 14:07:08Z",
                                      "2026-11-03T14:07Z",
                                      "2026-11-03T24:00:00Z",
                                      "2026-11-03T14:60:00Z",
                                      "2026-11-03T14:07:60Z",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-02-29",
                                      "1900-02-29",
                                      "2026-04-31",
                                      "2026-1-03",
                                      "26-11-03",
                                      "2026-11-03T14:07:08Zx",
                                      "2026-11-03T14:07:08+0100",
                                      "2026-11-03T14:07:08+24:00",
                                      "2026-11-03T14:07:08+01",
                                      " 2026-11-03",
                                      "2026-11-03 ",
                                      "+2026-11-03",
                                      "2026-11-03T14:07:08.12a3Z",
                                      "2026-11-03T",
                                      "2026-11-00"};
    refuses(rb_time_parse_iso, bad, RB_ARRAY_LEN(bad));
}

static void signature_times_have_sixteen_characters(void **state)
{
    (void)state;
    static const struct row good[] = {{"20261103T140708Z", MOMENT - 123}, {"19700101T000000Z", 0}};
    accepts(rb_time_parse_amz, good, RB_ARRAY_LEN(good));
    static const char *const bad[] = {"20261103T140708",  "20261103t140708Z", "20261103T1407Z",
                                      "20260230T000000Z", "20261103T240000Z", "20261103T140708Zz"};
    refuses(rb_time_parse_amz, bad, RB_ARRAY_LEN(bad));
}

static void http_dates_have_one_form(void **state)
{
    (void)state;
    static const struct row good[] = {{"Tue, 03 Nov 2026 14:07:08 GMT", MOMENT - 123},
                                      {"Thu, 01 Jan 1970 00:00:00 GMT", 0}};
    accepts(rb_time_parse_http, good, RB_ARRAY_LEN(good));
    static const char *const bad[] = {
        "Tue, 3 Nov 2026 14:07:08 GMT",    "Tue, 03 Nov 2026 14:07:08 UTC",
        "Tuesday, 03-Nov-26 14:07:08 GMT", "Tue Nov  3 14:07:08 2026",
        "Xyz, 03 Nov 2026 14:07:08 GMT",   "Tue, 31 Nov 2026 14:07:08 GMT",
        "Tue, 03 Nov 2026 14:07:08 GM",    "Tu"};
    refuses(rb_time_parse_http, bad, RB_ARRAY_LEN(bad));
}

static void us_times_of_events_allow_any_blank(void **state)
{
    (void)state;
    static const struct row good[] = {
        {"Nov 3, 2026 2:07:08 PM", MOMENT - 123},
        {"Nov 3, 2026, 2:07:08 PM", MOMENT - 123},
        {"Nov 03, 2026 02:07:08 PM", MOMENT - 123},
        {"Nov 3, 2026 2:07:08\xE2\x80\xAFPM", MOMENT - 123},
        {"Nov 3, 2026, 2:07:08\xC2\xA0pm", MOMENT - 123},
        {"Nov 3, 2026 2:07:08   PM", MOMENT - 123},
        {"Nov 3, 2026 2:07:08\xE2\x80\x89\xE3\x80\x80 PM", MOMENT - 123},
        {"Nov\t3,  2026 2:07:08 PM", MOMENT - 123},
        {"Jan 1, 1970 12:00:00 AM", 0},
        {"Jan 1, 1970 12:00:00 PM", 43200000},
        {"Jan 1, 1970 11:59:59 PM", 86399000},
        {"Dec 31, 1969 11:59:59 PM", -1000},
    };
    accepts(rb_time_parse_aws_us, good, RB_ARRAY_LEN(good));
    static const char *const bad[] = {"Nov 3, 2026 14:07:08 PM",
                                      "Nov 3, 2026 0:07:08 AM",
                                      "Nov 3, 2026 2:07:08",
                                      "Nov 3, 2026 2:07:08PM",
                                      "Nov 3 2026 2:07:08 PM",
                                      "Nov 31, 2026 2:07:08 PM",
                                      "Foo 3, 2026 2:07:08 PM",
                                      "November 3, 2026 2:07:08 PM",
                                      "Nov 3, 2026 2:7:08 PM",
                                      "Nov 3, 2026 2:07:08 XM",
                                      "Nov 3, 2026 2:07:08 P",
                                      "Nov 3, 2026 2:07:08 PM ",
                                      "Nov 3, 2026 2:07:08\xE2\x80\x8BPM",
                                      "Nov 3, 2026 2:07:08\xE2\x80",
                                      "Nov 0, 2026 2:07:08 PM"};
    refuses(rb_time_parse_aws_us, bad, RB_ARRAY_LEN(bad));
}

static void what_is_formatted_is_read_back(void **state)
{
    (void)state;
    for (int64_t ms = -5000000000000; ms < 10000000000000; ms += 86399123457) {
        char s[40];
        int64_t back = 0;
        rb_time_iso(ms, s);
        assert_true(rb_time_parse_iso(rb_slice_str(s), &back) && back == ms);
        int64_t whole = (ms + 5000000000000) / 1000 * 1000 - 5000000000000;
        rb_time_amz(ms, s);
        assert_true(rb_time_parse_amz(rb_slice_str(s), &back) && back == whole);
        rb_time_http(ms, s);
        assert_true(rb_time_parse_http(rb_slice_str(s), &back) && back == whole);
        rb_time_format_aws_us(ms, s);
        assert_true(rb_time_parse_aws_us(rb_slice_str(s), &back) && back == whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_have_four_forms),
        cmocka_unit_test(moments_beyond_four_digits_of_a_year_are_clamped),
        cmocka_unit_test(iso_times_are_read_with_zone_and_fraction),
        cmocka_unit_test(signature_times_have_sixteen_characters),
        cmocka_unit_test(http_dates_have_one_form),
        cmocka_unit_test(us_times_of_events_allow_any_blank),
        cmocka_unit_test(what_is_formatted_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
