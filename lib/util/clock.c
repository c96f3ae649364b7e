/* clock.c - the system's clocks, and calendar arithmetic without the C library's time zones.
 *
 * Days are counted in eras of 400 years that begin on 1 March, so that the leap day is the last of
 * its year; the formulas are exact for the whole proleptic Gregorian calendar.
 */
#include <time.h>

#include <retrybuild/clock.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec ts = {0};
    (void)clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_unix_ms(void *arg)
{
    (void)arg;
    return read_ms(CLOCK_REALTIME);
}

static int64_t system_boot_ms(void *arg)
{
    (void)arg;
    return read_ms(CLOCK_BOOTTIME);
}

const struct rb_clock *rb_clock_system(void)
{
    static const struct rb_clock system_clock = {
        .unix_ms = system_unix_ms, .boot_ms = system_boot_ms, .arg = NULL};
    return &system_clock;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

int64_t rb_days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468; /* 719468: 1 March 0000 to 1 January 1970 */
}

void rb_civil_from_ms(int64_t unix_ms, struct rb_civil *ret_c)
{
    int64_t days = floor_div(unix_ms, 86400000);
    int64_t ms_of_day = unix_ms - days * 86400000;
    int64_t shifted = days + 719468;
    int64_t era = floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int month = (int)((month_from_march + 2) % 12) + 1;
    *ret_c = (struct rb_civil){
        .year = era * 400 + year_of_era + (month <= 2 ? 1 : 0),
        .month = month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5) + 1,
        .hour = (int)(ms_of_day / 3600000),
        .minute = (int)(ms_of_day / 60000 % 60),
        .second = (int)(ms_of_day / 1000 % 60),
        .ms = (int)(ms_of_day % 1000),
        .weekday = (int)(days + 4 - floor_div(days + 4, 7) * 7),
    };
}
