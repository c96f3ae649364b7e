/* tracecontext.c - the strict reading of tracecontext.h, and what may leave us. */
#include <string.h>

#include <retrybuild/digest.h>
#include <retrybuild/tracecontext.h>

#define VERSION_00_LEN (RB_TRACEPARENT_BYTES - 1)
#define TRACE_AT 3
#define TRACE_LEN (RB_TRACE_ID_BYTES - 1)
#define SPAN_AT (TRACE_AT + TRACE_LEN + 1)
#define SPAN_LEN (RB_SPAN_ID_BYTES - 1)
#define FLAGS_AT (SPAN_AT + SPAN_LEN + 1)
#define FLAG_SAMPLED 1u
#define FLAG_RANDOM 2u
#define LONG_MEMBER_BYTES 128
#define KEY_MAX_BYTES 256
#define TENANT_MAX_BYTES 241
#define SYSTEM_MAX_BYTES 14
#define VALUE_MAX_BYTES 256

/* ---- traceparent ---- */

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* lower case alone */
}

static bool are_digits(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digit(s[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool is_id(const char *s, size_t n)
{
    bool zero = true;
    for (size_t i = 0; i < n; i++) {
        zero = zero && s[i] == '0';
    }
    return !zero && are_digits(s, n);
}

bool rb_traceparent_parse(const char *s, size_t len, struct rb_trace *ret_t)
{
    if (s == NULL || len < VERSION_00_LEN || !are_digits(s, 2) || memcmp(s, "ff", 2) == 0) {
        return false;
    }
    bool first = memcmp(s, "00", 2) == 0;
    if ((first && len != VERSION_00_LEN) || (len > VERSION_00_LEN && s[VERSION_00_LEN] != '-') ||
        s[2] != '-' || s[SPAN_AT - 1] != '-' || s[FLAGS_AT - 1] != '-' ||
        !is_id(s + TRACE_AT, TRACE_LEN) || !is_id(s + SPAN_AT, SPAN_LEN) ||
        !are_digits(s + FLAGS_AT, 2)) {
        return false;
    }
    unsigned flags = (unsigned)digit(s[FLAGS_AT]) * 16 + (unsigned)digit(s[FLAGS_AT + 1]);
    struct rb_trace t = {
        .sampled = (flags & FLAG_SAMPLED) != 0,
        /* of a higher version only the flag is known that every version has */
        .random = first && (flags & FLAG_RANDOM) != 0,
    };
    memcpy(t.trace_id, s + TRACE_AT, TRACE_LEN);
    memcpy(t.span_id, s + SPAN_AT, SPAN_LEN);
    *ret_t = t;
    return true;
}

void rb_traceparent_write(const struct rb_trace *t, char ret_text[RB_TRACEPARENT_BYTES])
{
    memcpy(ret_text, "00-", TRACE_AT);
    memcpy(ret_text + TRACE_AT, t->trace_id, TRACE_LEN);
    ret_text[SPAN_AT - 1] = '-';
    memcpy(ret_text + SPAN_AT, t->span_id, SPAN_LEN);
    ret_text[FLAGS_AT - 1] = '-';
    ret_text[FLAGS_AT] = '0';
    ret_text[FLAGS_AT + 1] =
        (char)('0' + (t->sampled ? FLAG_SAMPLED : 0) + (t->random ? FLAG_RANDOM : 0));
    ret_text[VERSION_00_LEN] = '\0';
}

bool rb_trace_ratio_samples(const char *trace_id, double ratio)
{
    uint8_t low[8] = {0};
    uint64_t v = 0;

    if (ratio >= 1.0) {
        return true;
    }
    if (!(ratio > 0.0) || strlen(trace_id) != TRACE_LEN ||
        !rb_unhex(trace_id + TRACE_LEN - 2 * sizeof(low), 2 * sizeof(low), low, sizeof(low))) {
        return false;
    }
    for (size_t i = 0; i < sizeof(low); i++) {
        v = v << 8 | low[i];
    }
    return (double)(v >> 11) < ratio * (double)(UINT64_C(1) << 53);
}

/* ---- tracestate ---- */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_key_char(char c)
{
    return is_lower(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' || c == '/';
}

static bool are_key_chars(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_key_char(s[i])) {
            return false;
        }
    }
    return n > 0;
}

static bool is_key(const char *s, size_t n)
{
    const char *at = memchr(s, '@', n);
    if (at == NULL) {
        return n > 0 && n <= KEY_MAX_BYTES && is_lower(s[0]) && are_key_chars(s, n);
    }
    size_t tenant = (size_t)(at - s), system = n - tenant - 1;
    return tenant <= TENANT_MAX_BYTES && system > 0 && system <= SYSTEM_MAX_BYTES &&
           are_key_chars(s, tenant) && is_lower(at[1]) && are_key_chars(at + 1, system);
}

static bool is_value(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x20 || s[i] > 0x7e || s[i] == ',' || s[i] == '=') {
            return false;
        }
    }
    return n > 0 && n <= VALUE_MAX_BYTES && s[n - 1] != ' ';
}

struct members {
    struct {
        const char *ptr;
        size_t len, key_len;
    } items[RB_TRACESTATE_MAX_MEMBERS];
    unsigned n;
};

static bool add_member(struct members *m, const char *s, size_t n)
{
    const char *is = memchr(s, '=', n);
    size_t key_len = is == NULL ? 0 : (size_t)(is - s);

    if (is == NULL || m->n == RB_TRACESTATE_MAX_MEMBERS || !is_key(s, key_len) ||
        !is_value(is + 1, n - key_len - 1)) {
        return false;
    }
    for (unsigned i = 0; i < m->n; i++) {
        if (m->items[i].key_len == key_len && memcmp(m->items[i].ptr, s, key_len) == 0) {
            return false;
        }
    }
    m->items[m->n].ptr = s;
    m->items[m->n].len = n;
    m->items[m->n++].key_len = key_len;
    return true;
}

static bool read_members(const char *s, size_t len, struct members *m)
{
    const char *end = s + len;
    while (s < end) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        const char *next = comma == NULL ? end : comma + 1;
        const char *stop = comma == NULL ? end : comma;
        while (s < stop && (*s == ' ' || *s == '\t')) {
            s++;
        }
        while (stop > s && (stop[-1] == ' ' || stop[-1] == '\t')) {
            stop--;
        }
        if (s < stop && !add_member(m, s, (size_t)(stop - s))) {
            return false;
        }
        s = next;
    }
    return true;
}

static size_t total_len(const struct members *m)
{
    size_t len = m->n > 0 ? m->n - 1 : 0; /* commas */
    for (unsigned i = 0; i < m->n; i++) {
        len += m->items[i].len;
    }
    return len;
}

static void drop(struct members *m, unsigned at)
{
    memmove(&m->items[at], &m->items[at + 1], (m->n - at - 1) * sizeof(m->items[0]));
    m->n--;
}

bool rb_tracestate_parse(const char *s, size_t len, char ret_text[RB_TRACESTATE_MAX_BYTES + 1])
{
    struct members m = {.n = 0};
    size_t at = 0;

    if (s == NULL || !read_members(s, len, &m)) {
        return false;
    }
    for (unsigned i = m.n; i > 0 && total_len(&m) > RB_TRACESTATE_MAX_BYTES; i--) {
        if (m.items[i - 1].len > LONG_MEMBER_BYTES) {
            drop(&m, i - 1);
        }
    }
    while (total_len(&m) > RB_TRACESTATE_MAX_BYTES) {
        drop(&m, m.n - 1);
    }
    for (unsigned i = 0; i < m.n; i++) {
        if (i > 0) {
            ret_text[at++] = ',';
        }
        memcpy(ret_text + at, m.items[i].ptr, m.items[i].len);
        at += m.items[i].len;
    }
    ret_text[at] = '\0';
    return true;
}
