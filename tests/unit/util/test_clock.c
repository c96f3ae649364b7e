/* test_clock.c - the calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>

static void known_moments_have_their_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        struct rb_civil c;
    } rows[] = {
        {0, {1970, 1, 1, 0, 0, 0, 0, 4}},
        {-1, {1969, 12, 31, 23, 59, 59, 999, 3}},
        {951782400000, {2000, 2, 29, 0, 0, 0, 0, 2}},
        {1793714828123, {2026, 11, 3, 14, 7, 8, 123, 2}},
        {4107542400000, {2100, 3, 1, 0, 0, 0, 0, 1}},
        {-62135596800000, {1, 1, 1, 0, 0, 0, 0, 1}},
        {253402300799999, {9999, 12, 31, 23, 59, 59, 999, 5}},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_civil c;
        rb_civil_from_ms(rows[i].ms, &c);
        assert_int_equal(c.year, rows[i].c.year);
        assert_int_equal(c.month, rows[i].c.month);
        assert_int_equal(c.day, rows[i].c.day);
        assert_int_equal(c.hour, rows[i].c.hour);
        assert_int_equal(c.minute, rows[i].c.minute);
        assert_int_equal(c.second, rows[i].c.second);
        assert_int_equal(c.ms, rows[i].c.ms);
        assert_int_equal(c.weekday, rows[i].c.weekday);
    }
}

static void every_day_of_eight_centuries_comes_back(void **state)
{
    (void)state;
    int last_weekday = -1;
    for (int64_t day = -150000; day < 150000; day++) {
        struct rb_civil c;
        rb_civil_from_ms(day * 86400000, &c);
        assert_int_equal(rb_days_from_civil(c.year, c.month, c.day), day);
        if (last_weekday >= 0) {
            assert_int_equal(c.weekday, (last_weekday + 1) % 7);
        }
        last_weekday = c.weekday;
    }
}

static void the_system_clock_does_not_run_backwards_since_boot(void **state)
{
    (void)state;
    const struct rb_clock *c = rb_clock_system();
    int64_t before = rb_boot_ms(c);
    assert_true(rb_boot_ms(c) >= before);
    assert_true(rb_now_ms(c) > 1600000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_moments_have_their_dates),
        cmocka_unit_test(every_day_of_eight_centuries_comes_back),
        cmocka_unit_test(the_system_clock_does_not_run_backwards_since_boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
