/* range.c - ranges of numbers and durations, and hours of a week. */
#include <string.h>

#include <retrybuild/clock.h>
#include <retrybuild/range.h>
#include <retrybuild/str.h>

#define DAY_MINUTES 1440
#define MINUTE_MS 60000
#define WORDS_MAX 3

/* ---- ranges ---- */

static bool parse_end(struct rb_slice s, enum rb_range_of of, int64_t *ret_v)
{
    uint64_t v = 0;
    if (of == RB_RANGE_OF_DURATIONS) {
        return rb_parse_duration_ms(s, ret_v);
    }
    if (!rb_parse_u64(s, &v) || v > INT64_MAX) {
        return false;
    }
    *ret_v = (int64_t)v;
    return true;
}

static enum rb_code no_range(const char *text, enum rb_range_of of, struct rb_err *err)
{
    return rb_err_set(err, RB_E_INVALID, "'%.60s' is neither %s; write %s", text,
                      of == RB_RANGE_OF_DURATIONS ? "a duration nor a range of durations"
                                                  : "a whole number nor a range",
                      of == RB_RANGE_OF_DURATIONS ? "\"5m-20m\", \"10m-\" (and longer) or \"-90s\""
                                                  : "75, \"64-78\", \"2-\" (and more) or \"-5\"");
}

enum rb_code rb_range_parse(const char *text, enum rb_range_of of, struct rb_range *ret_r,
                            struct rb_err *err)
{
    struct rb_range r = {.from = 0, .to = INT64_MAX, .not = text[0] == '!'};
    const char *s = text + (r.not ? 1 : 0);
    const char *dash = strchr(s, '-');
    if (dash == NULL) {
        if (!parse_end(rb_slice_str(s), of, &r.from)) {
            return no_range(text, of, err);
        }
        r.to = r.from + (of == RB_RANGE_OF_DURATIONS ? 999 : 0);
        *ret_r = r;
        return RB_OK;
    }
    struct rb_slice low = {.ptr = s, .len = (size_t)(dash - s)};
    struct rb_slice high = rb_slice_str(dash + 1);
    if ((low.len == 0 && high.len == 0) || (low.len > 0 && !parse_end(low, of, &r.from)) ||
        (high.len > 0 && !parse_end(high, of, &r.to))) {
        return no_range(text, of, err);
    }
    if (r.to < r.from) {
        return rb_err_set(err, RB_E_INVALID, "'%.60s' ends before it begins; write \"%.*s-%.*s\"",
                          text, (int)high.len, high.ptr, (int)low.len, low.ptr);
    }
    *ret_r = r;
    return RB_OK;
}

bool rb_ranges_match(const struct rb_range *r, unsigned n, int64_t v)
{
    bool included = false;
    bool only_exclusions = true;
    for (unsigned i = 0; i < n; i++) {
        bool holds = v >= r[i].from && v <= r[i].to;
        if (r[i].not &&holds) {
            return false;
        }
        only_exclusions = only_exclusions && r[i].not ;
        included = included || (holds && !r[i].not );
    }
    return included || only_exclusions;
}

/* ---- hours ---- */

static enum rb_code no_hours(const char *text, const char *what, struct rb_err *err)
{
    return rb_err_set(err, RB_E_INVALID,
                      "'%.60s': %s; write \"Mon-Fri 08:00-18:00 Europe/Berlin\", \"Sat,Sun\" or "
                      "\"22:00-06:00 UTC\"",
                      text, what);
}

static int day_of(struct rb_slice s)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (int i = 0; i < 7; i++) {
        char word[4] = "";
        if (s.len == 3) {
            memcpy(word, s.ptr, 3);
        }
        if (rb_str_ieq(word, names[i])) {
            return i;
        }
    }
    return -1;
}

/* parse_days - "Mon-Fri,Sun"; over the week's end too. */
static bool parse_days(struct rb_slice s, bool days[7])
{
    while (s.len > 0) {
        size_t len = 0;
        while (len < s.len && s.ptr[len] != ',') {
            len++;
        }
        bool range = len == 7 && s.ptr[3] == '-';
        int from = day_of((struct rb_slice){.ptr = s.ptr, .len = range ? 3 : len});
        int to = range ? day_of((struct rb_slice){.ptr = s.ptr + 4, .len = 3}) : from;
        if (from < 0 || to < 0) {
            return false;
        }
        days[to] = true;
        for (int d = from; d != to; d = (d + 1) % 7) {
            days[d] = true;
        }
        s.ptr += len < s.len ? len + 1 : len;
        s.len -= len < s.len ? len + 1 : len;
    }
    return true;
}

static bool parse_clock(struct rb_slice s, int *ret_minute)
{
    uint64_t hour = 0;
    uint64_t minute = 0;
    if (s.len != 5 || s.ptr[2] != ':' ||
        !rb_parse_u64((struct rb_slice){.ptr = s.ptr, .len = 2}, &hour) ||
        !rb_parse_u64((struct rb_slice){.ptr = s.ptr + 3, .len = 2}, &minute) || minute > 59 ||
        hour > 24 || (hour == 24 && minute > 0)) {
        return false;
    }
    *ret_minute = (int)(hour * 60 + minute);
    return true;
}

static bool parse_times(struct rb_slice s, struct rb_hours *h)
{
    return s.len == 11 && s.ptr[5] == '-' &&
           parse_clock((struct rb_slice){.ptr = s.ptr, .len = 5}, &h->from) &&
           parse_clock((struct rb_slice){.ptr = s.ptr + 6, .len = 5}, &h->until) &&
           h->from != h->until && h->from < DAY_MINUTES;
}

static unsigned split(const char *text, struct rb_slice words[WORDS_MAX])
{
    unsigned n = 0;
    const char *s = text + strspn(text, " ");
    while (*s != '\0') {
        size_t len = strcspn(s, " ");
        if (n == WORDS_MAX) {
            return WORDS_MAX + 1;
        }
        words[n++] = (struct rb_slice){.ptr = s, .len = len};
        s += len;
        s += strspn(s, " ");
    }
    return n;
}

enum rb_code rb_hours_parse(const char *text, struct rb_hours *ret_h, struct rb_err *err)
{
    struct rb_hours h = {.until = DAY_MINUTES};
    struct rb_slice words[WORDS_MAX];
    char zone[80] = "UTC";
    unsigned n = split(text, words);
    unsigned at = 0;
    if (n == 0 || n > WORDS_MAX) {
        return no_hours(text, "expected days, times and a time zone", err);
    }
    bool has_days = parse_days(words[at], h.days);
    if (has_days) {
        at++;
    } else {
        memset(h.days, 1, sizeof(h.days));
    }
    bool times = at < n && words[at].ptr[0] >= '0' && words[at].ptr[0] <= '9';
    if (times && !parse_times(words[at], &h)) {
        return no_hours(text, "the times do not read as HH:MM-HH:MM", err);
    }
    at += times ? 1 : 0;
    if (!has_days && !times) {
        return no_hours(text, "it names neither days nor times", err);
    }
    if (at + 1 < n || (at < n && words[at].len >= sizeof(zone))) {
        return no_hours(text, "there is something behind the days and times", err);
    }
    if (at < n) {
        memcpy(zone, words[at].ptr, words[at].len);
        zone[words[at].len] = '\0';
    }
    enum rb_code rc = rb_zone_load(zone, &h.zone, err);
    if (rc == RB_OK) {
        *ret_h = h;
    }
    return rc;
}

void rb_hours_release(struct rb_hours *h)
{
    rb_zone_free(h->zone);
    h->zone = NULL;
}

bool rb_hours_match(const struct rb_hours *h, int64_t unix_ms)
{
    struct rb_civil c;
    rb_civil_from_ms(unix_ms + rb_zone_offset_s(h->zone, unix_ms / 1000) * 1000, &c);
    int minute = c.hour * 60 + c.minute;
    if (h->from < h->until) {
        return h->days[c.weekday] && minute >= h->from && minute < h->until;
    }
    return (h->days[c.weekday] && minute >= h->from) ||
           (h->days[(c.weekday + 6) % 7] && minute < h->until);
}
