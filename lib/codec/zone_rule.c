/* zone_rule.c - POSIX TZ rules, with the extensions of RFC 8536 (times beyond a day). */
#include <retrybuild/clock.h>

#include "zone_rule.h"

#define DAY_S 86400
#define HOUR_S 3600

static bool take(struct rb_slice *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c) {
        return false;
    }
    s->ptr++;
    s->len--;
    return true;
}

static bool take_number(struct rb_slice *s, int64_t *ret_v)
{
    size_t n = 0;
    uint64_t v = 0;
    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9') {
        n++;
    }
    if (n == 0 || n > 4 || !rb_parse_u64((struct rb_slice){.ptr = s->ptr, .len = n}, &v)) {
        return false;
    }
    s->ptr += n;
    s->len -= n;
    *ret_v = (int64_t)v;
    return true;
}

/* take_name - letters, or anything in angle brackets. */
static bool take_name(struct rb_slice *s)
{
    size_t n = 0;
    if (take(s, '<')) {
        while (s->len > 0 && s->ptr[0] != '>') {
            s->ptr++;
            s->len--;
        }
        return take(s, '>');
    }
    while (n < s->len &&
           ((s->ptr[n] >= 'a' && s->ptr[n] <= 'z') || (s->ptr[n] >= 'A' && s->ptr[n] <= 'Z'))) {
        n++;
    }
    s->ptr += n;
    s->len -= n;
    return n >= 3;
}

/* take_time - [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(struct rb_slice *s, int64_t *ret_s)
{
    bool minus = take(s, '-');
    int64_t part[3] = {0, 0, 0};
    if (!minus) {
        (void)take(s, '+');
    }
    for (int i = 0; i < 3; i++) {
        if (i > 0 && !take(s, ':')) {
            break;
        }
        if (!take_number(s, &part[i])) {
            return false;
        }
    }
    int64_t all = part[0] * HOUR_S + part[1] * 60 + part[2];
    *ret_s = minus ? -all : all;
    return true;
}

static bool take_change(struct rb_slice *s, struct zone_change *c)
{
    int64_t v[3] = {0, 0, 0};
    if (!take(s, ',')) {
        return false;
    }
    c->kind = '0';
    if (take(s, 'M')) {
        c->kind = 'M';
        if (!take_number(s, &v[0]) || !take(s, '.') || !take_number(s, &v[1]) || !take(s, '.') ||
            !take_number(s, &v[2]) || v[0] < 1 || v[0] > 12 || v[1] < 1 || v[1] > 5 || v[2] > 6) {
            return false;
        }
        c->month = (int)v[0];
        c->week = (int)v[1];
        c->day = (int)v[2];
    } else {
        c->kind = take(s, 'J') ? 'J' : '0';
        if (!take_number(s, &v[0]) || v[0] > 366) {
            return false;
        }
        c->day = (int)v[0];
    }
    c->time_s = 2 * HOUR_S;
    return !take(s, '/') || take_time(s, &c->time_s);
}

bool rb_zone_rule_parse(struct rb_slice s, struct zone_rule *ret_r)
{
    struct zone_rule r = {.has_summer = false};
    int64_t west_s = 0;
    if (!take_name(&s) || !take_time(&s, &west_s)) {
        return false;
    }
    r.standard_s = -west_s;
    if (s.len > 0) {
        r.has_summer = true;
        r.summer_s = r.standard_s + HOUR_S;
        if (!take_name(&s)) {
            return false;
        }
        if (s.len > 0 && s.ptr[0] != ',') {
            if (!take_time(&s, &west_s)) {
                return false;
            }
            r.summer_s = -west_s;
        }
        if (!take_change(&s, &r.begin) || !take_change(&s, &r.end) || s.len > 0) {
            return false;
        }
    }
    *ret_r = r;
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* change_s - when @c comes in @year, in seconds of the wall clock. */
static int64_t change_s(const struct zone_change *c, int64_t year)
{
    int64_t first = rb_days_from_civil(year, 1, 1);
    if (c->kind == 'J') {
        int64_t day = c->day - 1 + (is_leap(year) && c->day >= 60 ? 1 : 0);
        return (first + day) * DAY_S + c->time_s;
    }
    if (c->kind == '0') {
        return (first + c->day) * DAY_S + c->time_s;
    }
    int64_t month = rb_days_from_civil(year, c->month, 1);
    int64_t next = c->month == 12 ? rb_days_from_civil(year + 1, 1, 1)
                                  : rb_days_from_civil(year, c->month + 1, 1);
    int64_t weekday = (month % 7 + 7 + 4) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = month + (c->day - weekday + 7) % 7 + 7 * (int64_t)(c->week - 1);
    while (day >= next) {
        day -= 7; /* week 5 is the last one */
    }
    return day * DAY_S + c->time_s;
}

int64_t rb_zone_rule_offset_s(const struct zone_rule *r, int64_t unix_s)
{
    struct rb_civil c;
    if (!r->has_summer) {
        return r->standard_s;
    }
    rb_civil_from_ms((unix_s + r->standard_s) * 1000, &c);
    int64_t begin_s = change_s(&r->begin, c.year) - r->standard_s;
    int64_t end_s = change_s(&r->end, c.year) - r->summer_s;
    bool summer = begin_s <= end_s ? unix_s >= begin_s && unix_s < end_s
                                   : unix_s >= begin_s || unix_s < end_s;
    return summer ? r->summer_s : r->standard_s;
}
