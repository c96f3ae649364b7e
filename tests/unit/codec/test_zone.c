/* Wall clocks against the C library's own, whose TZ is set for this program alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/zone.h>

static void zone_freep(struct rb_zone **z)
{
    rb_zone_free(*z);
}

static void offsets_are_those_of_the_system(void **state)
{
    static const char *const names[] = {
        "UTC",           "Europe/Berlin",       "America/New_York",  "America/St_Johns",
        "Asia/Kolkata",  "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo",
        "Asia/Tehran",   "Pacific/Auckland",    "Europe/Dublin",     "America/Nuuk",
        "Asia/Jerusalem"};
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        RB_CLEANUP(zone_freep) struct rb_zone *z = NULL;
        assert_int_equal(rb_zone_load(names[i], &z, NULL), RB_OK);
        assert_int_equal(setenv("TZ", names[i], 1), 0);
        tzset();
        for (int64_t t = 0; t < INT64_C(4800000000); t += 5 * 86400 + 3607) {
            struct tm tm;
            time_t at = (time_t)t;
            assert_non_null(localtime_r(&at, &tm));
            if (rb_zone_offset_s(z, t) != tm.tm_gmtoff) {
                fail_msg("%s at %lld: %lld, the system says %ld", names[i], (long long)t,
                         (long long)rb_zone_offset_s(z, t), tm.tm_gmtoff);
            }
        }
    }
}

static void the_change_comes_on_its_second(void **state)
{
    (void)state;
    RB_CLEANUP(zone_freep) struct rb_zone *z = NULL;
    assert_int_equal(rb_zone_load("Europe/Berlin", &z, NULL), RB_OK);
    const int64_t summer = INT64_C(1774746000); /* 2026-03-29 01:00 UTC */
    assert_int_equal(rb_zone_offset_s(z, summer - 1), 3600);
    assert_int_equal(rb_zone_offset_s(z, summer), 7200);
    const int64_t far = INT64_C(4078429200); /* 2099-03-29 01:00 UTC, by the rule */
    assert_int_equal(rb_zone_offset_s(z, far - 1), 3600);
    assert_int_equal(rb_zone_offset_s(z, far), 7200);
}

static void what_is_no_zone_is_refused(void **state)
{
    static const char *const names[] = {"",       "Europe/Nowhere", "../passwd", "/etc/passwd",
                                        "Europe", "zone.tab",       "a b"};
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        struct rb_zone *z = NULL;
        assert_int_equal(rb_zone_load(names[i], &z, NULL), RB_E_INVALID);
        assert_null(z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_those_of_the_system),
        cmocka_unit_test(the_change_comes_on_its_second),
        cmocka_unit_test(what_is_no_zone_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
