/* timefmt.c - moments as text.
 *
 * Years are clamped to 0000..9999: the forms have four places for them, and the buffers too.
 */
#include <retrybuild/clock.h>
#include <retrybuild/timefmt.h>

#include "time_private.h"

const char *const time_months[12] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
const char *const time_weekdays[7] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static struct rb_civil civil(int64_t unix_ms)
{
    const int64_t first = -62167219200000; /* 0000-01-01T00:00:00.000Z */
    const int64_t last = 253402300799999;  /* 9999-12-31T23:59:59.999Z */
    struct rb_civil c;
    rb_civil_from_ms(unix_ms < first ? first : unix_ms > last ? last : unix_ms, &c);
    return c;
}

/* put - @v as exactly @n digits at @s; returns the place behind them. */
static char *put(char *s, int n, int64_t v)
{
    for (int i = n - 1; i >= 0; i--) {
        s[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return s + n;
}

/* put_short - a number below 100 without a leading zero. */
static char *put_short(char *s, int v)
{
    return put(s, v < 10 ? 1 : 2, v);
}

static char *put_text(char *s, const char *text)
{
    size_t len = strlen(text);
    memcpy(s, text, len);
    return s + len;
}

static char *put_clock(char *s, int hour, int minute, int second)
{
    s = put(s, 2, hour);
    *s++ = ':';
    s = put(s, 2, minute);
    *s++ = ':';
    return put(s, 2, second);
}

void rb_time_iso(int64_t unix_ms, char ret_s[RB_TIME_ISO_BYTES])
{
    struct rb_civil c = civil(unix_ms);
    char *s = put(ret_s, 4, c.year);
    *s++ = '-';
    s = put(s, 2, c.month);
    *s++ = '-';
    s = put(s, 2, c.day);
    *s++ = 'T';
    s = put_clock(s, c.hour, c.minute, c.second);
    *s++ = '.';
    s = put(s, 3, c.ms);
    *s++ = 'Z';
    *s = '\0';
}

void rb_time_amz(int64_t unix_ms, char ret_s[RB_TIME_AMZ_BYTES])
{
    struct rb_civil c = civil(unix_ms);
    char *s = put(ret_s, 4, c.year);
    s = put(s, 2, c.month);
    s = put(s, 2, c.day);
    *s++ = 'T';
    s = put(s, 2, c.hour);
    s = put(s, 2, c.minute);
    s = put(s, 2, c.second);
    *s++ = 'Z';
    *s = '\0';
}

void rb_time_http(int64_t unix_ms, char ret_s[RB_TIME_HTTP_BYTES])
{
    struct rb_civil c = civil(unix_ms);
    char *s = put_text(ret_s, time_weekdays[c.weekday]);
    s = put_text(s, ", ");
    s = put(s, 2, c.day);
    *s++ = ' ';
    s = put_text(s, time_months[c.month - 1]);
    *s++ = ' ';
    s = put(s, 4, c.year);
    *s++ = ' ';
    s = put_clock(s, c.hour, c.minute, c.second);
    s = put_text(s, " GMT");
    *s = '\0';
}

void rb_time_format_aws_us(int64_t unix_ms, char ret_s[40])
{
    struct rb_civil c = civil(unix_ms);
    char *s = put_text(ret_s, time_months[c.month - 1]);
    *s++ = ' ';
    s = put_short(s, c.day);
    s = put_text(s, ", ");
    s = put(s, 4, c.year);
    *s++ = ' ';
    s = put_short(s, (c.hour + 11) % 12 + 1);
    *s++ = ':';
    s = put(s, 2, c.minute);
    *s++ = ':';
    s = put(s, 2, c.second);
    s = put_text(s, c.hour < 12 ? " AM" : " PM");
    *s = '\0';
}
