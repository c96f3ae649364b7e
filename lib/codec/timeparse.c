/* timeparse.c - text to moments.
 *
 * A cursor takes the text piece by piece; the first piece that is missing fails it for good, and
 * what a failed cursor returns is never used.
 */
#include <retrybuild/clock.h>
#include <retrybuild/timefmt.h>

#include "time_private.h"

struct cursor {
    const char *p, *end;
    bool failed;
};

static struct cursor cursor_over(struct rb_slice s)
{
    return (struct cursor){.p = s.ptr, .end = s.ptr == NULL ? NULL : s.ptr + s.len};
}

/* digits - a number of @min to @max digits within @low to @high. */
static int digits(struct cursor *c, int min, int max, int low, int high)
{
    int n = 0;
    int v = 0;
    while (n < max && c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        v = v * 10 + (*c->p++ - '0');
        n++;
    }
    if (n < min || v < low || v > high) {
        c->failed = true;
        return low;
    }
    return v;
}

static bool at(const struct cursor *c, char wanted)
{
    return c->p < c->end && *c->p == wanted;
}

static void literal(struct cursor *c, char wanted)
{
    if (at(c, wanted)) {
        c->p++;
    } else {
        c->failed = true;
    }
}

/* name - the index of the three-letter name that comes next. */
static int name(struct cursor *c, const char *const *names, int n)
{
    for (int i = 0; i < n && c->end - c->p >= 3; i++) {
        if (memcmp(c->p, names[i], 3) == 0) {
            c->p += 3;
            return i;
        }
    }
    c->failed = true;
    return 0;
}

static int days_in(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* done - the whole text was used and the date exists. */
static bool done(const struct cursor *c, const struct rb_civil *t, int64_t *ret_ms)
{
    if (c->failed || c->p != c->end || t->day > days_in((int)t->year, t->month)) {
        return false;
    }
    int64_t days = rb_days_from_civil(t->year, t->month, t->day);
    int64_t seconds = days * 86400 + t->hour * 3600 + t->minute * 60 + t->second;
    *ret_ms = seconds * 1000 + t->ms;
    return true;
}

static void clock_digits(struct cursor *c, struct rb_civil *t)
{
    t->hour = digits(c, 2, 2, 0, 23);
    literal(c, ':');
    t->minute = digits(c, 2, 2, 0, 59);
    literal(c, ':');
    t->second = digits(c, 2, 2, 0, 59);
}

/* fraction - any number of digits, milliseconds are kept. */
static int fraction(struct cursor *c)
{
    int ms = 0;
    int weight = 100;
    const char *first = c->p;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        ms += weight * (*c->p - '0');
        weight /= 10;
    }
    c->failed = c->failed || c->p == first;
    return ms;
}

/* zone - "Z" or "+hh:mm"; minutes east of UTC. */
static int zone(struct cursor *c)
{
    if (at(c, 'Z') || at(c, 'z')) {
        c->p++;
        return 0;
    }
    int sign = at(c, '-') ? -1 : 1;
    if (sign > 0) {
        literal(c, '+');
    } else {
        c->p++;
    }
    int hours = digits(c, 2, 2, 0, 23);
    literal(c, ':');
    return sign * (hours * 60 + digits(c, 2, 2, 0, 59));
}

bool rb_time_parse_iso(struct rb_slice s, int64_t *ret_ms)
{
    struct cursor c = cursor_over(s);
    struct rb_civil t = {0};
    int zone_minutes = 0;
    t.year = digits(&c, 4, 4, 0, 9999);
    literal(&c, '-');
    t.month = digits(&c, 2, 2, 1, 12);
    literal(&c, '-');
    t.day = digits(&c, 2, 2, 1, 31);
    if (c.p != c.end) {
        if (!at(&c, 't')) {
            literal(&c, 'T');
        } else {
            c.p++;
        }
        clock_digits(&c, &t);
        if (at(&c, '.')) {
            c.p++;
            t.ms = fraction(&c);
        }
        zone_minutes = zone(&c);
    }
    int64_t ms = 0;
    if (!done(&c, &t, &ms)) {
        return false;
    }
    *ret_ms = ms - (int64_t)zone_minutes * 60000;
    return true;
}

bool rb_time_parse_amz(struct rb_slice s, int64_t *ret_ms)
{
    struct cursor c = cursor_over(s);
    struct rb_civil t = {0};
    t.year = digits(&c, 4, 4, 0, 9999);
    t.month = digits(&c, 2, 2, 1, 12);
    t.day = digits(&c, 2, 2, 1, 31);
    literal(&c, 'T');
    t.hour = digits(&c, 2, 2, 0, 23);
    t.minute = digits(&c, 2, 2, 0, 59);
    t.second = digits(&c, 2, 2, 0, 59);
    literal(&c, 'Z');
    return done(&c, &t, ret_ms);
}

bool rb_time_parse_http(struct rb_slice s, int64_t *ret_ms)
{
    struct cursor c = cursor_over(s);
    struct rb_civil t = {0};
    (void)name(&c, time_weekdays, 7);
    literal(&c, ',');
    literal(&c, ' ');
    t.day = digits(&c, 2, 2, 1, 31);
    literal(&c, ' ');
    t.month = name(&c, time_months, 12) + 1;
    literal(&c, ' ');
    t.year = digits(&c, 4, 4, 0, 9999);
    literal(&c, ' ');
    clock_digits(&c, &t);
    for (const char *zone_name = " GMT"; *zone_name != '\0'; zone_name++) {
        literal(&c, *zone_name);
    }
    return done(&c, &t, ret_ms);
}

/* blank_len - bytes of the Unicode blank at the cursor, 0 when there is none. */
static size_t blank_len(const struct cursor *c)
{
    static const char *const blanks[] = {
        " ",
        "\t",
        "\xC2\xA0",     /* U+00A0 no-break space */
        "\xE1\x9A\x80", /* U+1680 ogham space mark */
        "\xE2\x80\xAF", /* U+202F narrow no-break space */
        "\xE2\x81\x9F", /* U+205F medium mathematical space */
        "\xE3\x80\x80", /* U+3000 ideographic space */
    };
    size_t left = (size_t)(c->end - c->p);
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
        size_t len = strlen(blanks[i]);
        if (left >= len && memcmp(c->p, blanks[i], len) == 0) {
            return len;
        }
    }
    /* U+2000 to U+200A: spaces of stated widths */
    bool wide = left >= 3 && memcmp(c->p, "\xE2\x80", 2) == 0 && (unsigned char)c->p[2] >= 0x80 &&
                (unsigned char)c->p[2] <= 0x8A;
    return wide ? 3 : 0;
}

static void blanks(struct cursor *c)
{
    size_t n = blank_len(c);
    c->failed = c->failed || n == 0;
    while (n > 0) {
        c->p += n;
        n = blank_len(c);
    }
}

/* half_of_day - 0 for AM, 12 for PM. */
static int half_of_day(struct cursor *c)
{
    bool two_letters = c->end - c->p >= 2 && (c->p[1] == 'M' || c->p[1] == 'm');
    char first = two_letters ? c->p[0] : '\0';
    if (first != 'A' && first != 'a' && first != 'P' && first != 'p') {
        c->failed = true;
        return 0;
    }
    c->p += 2;
    return first == 'P' || first == 'p' ? 12 : 0;
}

bool rb_time_parse_aws_us(struct rb_slice s, int64_t *ret_ms)
{
    struct cursor c = cursor_over(s);
    struct rb_civil t = {0};
    t.month = name(&c, time_months, 12) + 1;
    blanks(&c);
    t.day = digits(&c, 1, 2, 1, 31);
    literal(&c, ',');
    blanks(&c);
    t.year = digits(&c, 4, 4, 0, 9999);
    if (at(&c, ',')) { /* newer locale data has a comma here */
        c.p++;
    }
    blanks(&c);
    t.hour = digits(&c, 1, 2, 1, 12) % 12;
    literal(&c, ':');
    t.minute = digits(&c, 2, 2, 0, 59);
    literal(&c, ':');
    t.second = digits(&c, 2, 2, 0, 59);
    blanks(&c);
    t.hour += half_of_day(&c);
    return done(&c, &t, ret_ms);
}
