/* What a project's plot and the lists of uses are made of: steps, rows, and their bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "ledger/ledger.h"

#define T0 (INT64_C(20000) * RB_DAY_MS)

static void an_hour_and_a_day_hold_what_fell_into_them(void **state)
{
    (void)state;
    struct rb_trend_sheet x = {.n_hours = 0};
    const struct rb_trend_step one = {.builds = 1, .failed = 1, .lost_s = 60};
    rb_trend_add(&x, &one, T0 + 1);
    rb_trend_add(&x, &one, T0 + RB_HOUR_MS - 1);
    rb_trend_add(&x, &one, T0 + RB_HOUR_MS);
    rb_trend_add(&x, &one, T0 + RB_HOUR_MS - 1); /* a clock that went back */
    assert_int_equal(x.n_hours, 2);
    assert_int_equal(x.hours[0].at_ms, T0);
    assert_int_equal(x.hours[0].builds, 2);
    assert_int_equal(x.hours[1].failed, 2);
    assert_int_equal(x.n_days, 1);
    assert_int_equal(x.days[0].builds, 4);
    assert_int_equal(x.days[0].lost_s, 240);
}

static void old_steps_go_and_there_are_never_too_many(void **state)
{
    (void)state;
    struct rb_trend_sheet x = {.n_hours = 0};
    const struct rb_trend_step one = {.recovered = 1};
    for (int i = 0; i < 100 * 24; i++) {
        rb_trend_add(&x, &one, T0 + i * RB_HOUR_MS);
    }
    assert_int_equal(x.n_hours, RB_TREND_HOURS);
    assert_int_equal(x.n_days, RB_TREND_DAYS);
    assert_int_equal(x.hours[RB_TREND_HOURS - 1].at_ms, T0 + (100 * 24 - 1) * RB_HOUR_MS);
    assert_int_equal(x.days[0].at_ms, T0 + (100 - RB_TREND_DAYS) * RB_DAY_MS);
    assert_int_equal(x.days[0].recovered, 24);
    rb_trend_add(&x, &one, T0 + 400 * RB_DAY_MS); /* silent for long: all of it is old */
    assert_int_equal(x.n_hours, 1);
    assert_int_equal(x.n_days, 1);
}

static void a_use_keeps_its_last_times_and_its_last_error(void **state)
{
    (void)state;
    static struct rb_uses_sheet x;
    x.n = 0;
    struct rb_use_row good = {.name = "ci", .good = 2, .last_ms = 50};
    struct rb_use_row bad = {.name = "ci", .bad = 1, .last_bad_ms = 70, .error = "answered 503"};
    struct rb_use_row older = {.name = "ci", .bad = 1, .last_bad_ms = 60, .error = "older"};
    rb_use_add(&x, &good);
    rb_use_add(&x, &bad);
    rb_use_add(&x, &older);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.rows[0].good, 2);
    assert_int_equal(x.rows[0].bad, 2);
    assert_int_equal(x.rows[0].last_ms, 50);
    assert_int_equal(x.rows[0].last_bad_ms, 70);
    assert_string_equal(x.rows[0].error, "answered 503");
}

static void when_rows_run_out_the_one_that_was_not_used_longest_goes(void **state)
{
    (void)state;
    static struct rb_uses_sheet x;
    x.n = 0;
    for (int i = 0; i <= RB_USE_ROWS; i++) {
        struct rb_use_row row = {.good = 1, .last_ms = i == 5 ? 1 : 1000 + i};
        (void)snprintf(row.name, sizeof(row.name), "name-%d", i);
        rb_use_add(&x, &row);
    }
    assert_int_equal(x.n, RB_USE_ROWS);
    char last[16];
    (void)snprintf(last, sizeof(last), "name-%d", RB_USE_ROWS);
    assert_string_equal(x.rows[5].name, last);
    assert_string_equal(x.rows[4].name, "name-4");
}

static void sheets_read_as_they_were_written_and_broken_ones_are_empty(void **state)
{
    (void)state;
    static struct rb_uses_sheet uses, uses_again;
    struct rb_trend_sheet x = {.n_hours = 0};
    struct rb_trend_sheet again;
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(65536);
    for (int i = 0; i < 60; i++) {
        const struct rb_trend_step s = {i, i + 1, i + 2, i + 3, i + 4, i + 5, -i};
        rb_trend_add(&x, &s, T0 + i * RB_HOUR_MS);
    }
    rb_sheet_write(RB_SHEET_TREND, &x, &b);
    rb_sheet_read(RB_SHEET_TREND, (const uint8_t *)b.data, b.len, &again);
    assert_memory_equal(&x, &again, sizeof(x));
    rb_sheet_read(RB_SHEET_TREND, (const uint8_t *)b.data, b.len / 2, &again);
    assert_int_equal(again.n_hours + again.n_days, 0);

    uses.n = 2;
    uses.rows[0] = (struct rb_use_row){"a", 1, 2, 3, 4, "why"};
    uses.rows[1] = (struct rb_use_row){"b", 5, 6, 7, 8, ""};
    rb_buf_clear(&b);
    rb_sheet_write(RB_SHEET_USES, &uses, &b);
    rb_sheet_read(RB_SHEET_USES, (const uint8_t *)b.data, b.len, &uses_again);
    assert_memory_equal(&uses, &uses_again, sizeof(uses));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_and_a_day_hold_what_fell_into_them),
        cmocka_unit_test(old_steps_go_and_there_are_never_too_many),
        cmocka_unit_test(a_use_keeps_its_last_times_and_its_last_error),
        cmocka_unit_test(when_rows_run_out_the_one_that_was_not_used_longest_goes),
        cmocka_unit_test(sheets_read_as_they_were_written_and_broken_ones_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
