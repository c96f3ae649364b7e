/* json_text.c - what the raw text of a token says: escapes, keys, whole numbers. */
#include <string.h>

#include "json_private.h"

/* hex4 - the value of four hexadecimal digits, or -1. */
static int hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        unsigned digit = c - (unsigned)'0';
        if (digit > 9) {
            digit = (c | 0x20U) - (unsigned)'a';
            if (digit > 5) {
                return -1;
            }
            digit += 10;
        }
        v = v << 4 | digit;
    }
    return (int)v;
}

static size_t put_utf8(unsigned v, unsigned char out[4])
{
    if (v < 0x80) {
        out[0] = (unsigned char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (unsigned char)(0xC0U | v >> 6);
        out[1] = (unsigned char)(0x80U | (v & 0x3FU));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (unsigned char)(0xE0U | v >> 12);
        out[1] = (unsigned char)(0x80U | (v >> 6 & 0x3FU));
        out[2] = (unsigned char)(0x80U | (v & 0x3FU));
        return 3;
    }
    out[0] = (unsigned char)(0xF0U | v >> 18);
    out[1] = (unsigned char)(0x80U | (v >> 12 & 0x3FU));
    out[2] = (unsigned char)(0x80U | (v >> 6 & 0x3FU));
    out[3] = (unsigned char)(0x80U | (v & 0x3FU));
    return 4;
}

/* unicode_escape - *p is at the four digits behind "\u". */
static size_t unicode_escape(const char **p, const char *end, unsigned char ret_bytes[4],
                             const char **ret_why)
{
    int unit = hex4(*p, end);
    *ret_why = unit < 0 ? "malformed \\u escape" : "lone surrogate";
    if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) {
        return 0;
    }
    *p += 4;
    unsigned v = (unsigned)unit;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') {
            return 0;
        }
        int low = hex4(*p + 2, end);
        if (low < 0xDC00 || low > 0xDFFF) {
            return 0;
        }
        *p += 6;
        v = 0x10000U + ((v - 0xD800U) << 10) + ((unsigned)low - 0xDC00U);
    }
    if (v == 0) {
        *ret_why = "NUL in a string";
        return 0;
    }
    return put_utf8(v, ret_bytes);
}

size_t json_escape(const char **p, const char *end, unsigned char ret_bytes[4],
                   const char **ret_why)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (end - *p < 2) {
        *ret_why = "string without an end";
        return 0;
    }
    char c = (*p)[1];
    if (c == 'u') {
        *p += 2;
        return unicode_escape(p, end, ret_bytes, ret_why);
    }
    const char *at = c == '\0' ? NULL : strchr(from, c);
    if (at == NULL) {
        *ret_why = "unknown escape";
        return 0;
    }
    *p += 2;
    ret_bytes[0] = (unsigned char)to[at - from];
    return 1;
}

/* A walk over the bytes that a raw string says. */
struct walk {
    const char *p, *end;
    unsigned char bytes[4]; /* of the escape being given out */
    size_t n_bytes, at;
};

/* walk_next - the next byte, or -1 at the end. The raw text was validated by the reader. */
static int walk_next(struct walk *w)
{
    if (w->at < w->n_bytes) {
        return w->bytes[w->at++];
    }
    if (w->p >= w->end) {
        return -1;
    }
    if (*w->p != '\\') {
        return (unsigned char)*w->p++;
    }
    const char *why = NULL;
    w->n_bytes = json_escape(&w->p, w->end, w->bytes, &why);
    w->at = 1;
    return w->n_bytes == 0 ? -1 : w->bytes[0];
}

/* hash_between - mix in the words between the first and the last 8 bytes, as json_hash_plain. */
static uint64_t hash_between(uint64_t h, struct rb_slice raw, size_t len)
{
    struct walk w = {.p = raw.ptr, .end = raw.ptr + raw.len};
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word = word >> 8 | (uint64_t)(unsigned)walk_next(&w) << 56;
        if (i % 8 == 7 && i >= 15 && i + 1 < len) {
            h = json_mix(h, word);
        }
    }
    return h;
}

uint32_t json_hash_escaped(struct rb_slice raw)
{
    struct walk w = {.p = raw.ptr, .end = raw.ptr + raw.len};
    uint64_t first = 0;
    uint64_t last = 0;
    size_t len = 0;
    for (int c = walk_next(&w); c >= 0; c = walk_next(&w), len++) {
        last = last >> 8 | (uint64_t)(unsigned)c << 56;
        first = len < 8 ? last : first;
    }
    unsigned missing = len < 8 ? 8 * (8 - (unsigned)len) : 0;
    if (len > 0) {
        first >>= missing;
        last >>= missing;
    }
    return json_hash_end(hash_between(json_hash_begin(first, last, len), raw, len));
}

bool json_raw_equal(struct rb_slice a, struct rb_slice b)
{
    if (a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0) {
        return true;
    }
    if (memchr(a.ptr, '\\', a.len) == NULL && memchr(b.ptr, '\\', b.len) == NULL) {
        return false;
    }
    struct walk wa = {.p = a.ptr, .end = a.ptr + a.len};
    struct walk wb = {.p = b.ptr, .end = b.ptr + b.len};
    int ca = 0;
    int cb = 0;
    do {
        ca = walk_next(&wa);
        cb = walk_next(&wb);
    } while (ca == cb && ca >= 0);
    return ca == cb;
}

bool rb_json_key_is(const struct rb_json_token *t, const char *name)
{
    if (t->type != RB_JSON_KEY) {
        return false;
    }
    if (!t->escaped) {
        return rb_slice_eq(t->raw, name);
    }
    struct walk w = {.p = t->raw.ptr, .end = t->raw.ptr + t->raw.len};
    for (; *name != '\0'; name++) {
        if (walk_next(&w) != (unsigned char)*name) {
            return false;
        }
    }
    return walk_next(&w) < 0;
}

const char *rb_json_dup(const struct rb_json_token *t, struct rb_arena *a)
{
    if (!t->escaped) {
        return rb_arena_strndup(a, t->raw.ptr, t->raw.len);
    }
    char *copy = rb_arena_alloc(a, t->raw.len + 1); /* unescaping never makes it longer */
    if (copy == NULL) {
        return NULL;
    }
    struct walk w = {.p = t->raw.ptr, .end = t->raw.ptr + t->raw.len};
    size_t len = 0;
    for (int c = walk_next(&w); c >= 0; c = walk_next(&w)) {
        copy[len++] = (char)c;
    }
    return copy;
}

/* A decimal number as v * 10^exponent, without its trailing zeros. */
struct decimal {
    uint64_t v;
    int64_t exponent;
};

static bool shift_in(uint64_t *v, int64_t zeros, unsigned digit)
{
    for (int64_t i = 0; i < zeros; i++) {
        if (*v == 0) {
            break;
        }
        if (__builtin_mul_overflow(*v, 10U, v)) {
            return false;
        }
    }
    return !__builtin_mul_overflow(*v, 10U, v) && !__builtin_add_overflow(*v, digit, v);
}

/* read_mantissa - digits and at most one point; false when the digits do not fit. */
static bool read_mantissa(const char **p, const char *end, struct decimal *d)
{
    int64_t zeros = 0; /* seen since the last other digit */
    bool in_fraction = false;
    for (; *p < end && **p != 'e' && **p != 'E'; (*p)++) {
        if (**p == '.') {
            in_fraction = true;
            continue;
        }
        d->exponent -= in_fraction ? 1 : 0;
        unsigned digit = (unsigned char)**p - (unsigned)'0';
        if (digit == 0) {
            zeros++;
            continue;
        }
        if (!shift_in(&d->v, zeros, digit)) {
            return false;
        }
        zeros = 0;
    }
    d->exponent += zeros;
    return true;
}

static int64_t read_exponent(const char *p, const char *end)
{
    const int64_t limit = 1000000000000; /* more than any document has digits */
    if (p >= end) {
        return 0;
    }
    p++;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }
    int64_t v = 0;
    for (; p < end; p++) {
        v = v > limit ? v : v * 10 + (*p - '0');
    }
    return negative ? -v : v;
}

bool rb_json_int(const struct rb_json_token *t, int64_t *ret_v)
{
    if (t->type != RB_JSON_NUMBER || t->raw.len == 0) {
        return false;
    }
    const char *p = t->raw.ptr;
    const char *end = p + t->raw.len;
    bool negative = *p == '-';
    p += negative ? 1 : 0;
    struct decimal d = {.v = 0, .exponent = 0};
    if (!read_mantissa(&p, end, &d)) {
        return false;
    }
    d.exponent += read_exponent(p, end);
    if (d.v == 0) {
        *ret_v = 0;
        return true;
    }
    if (d.exponent < 0) {
        return false;
    }
    for (; d.exponent > 0; d.exponent--) {
        if (__builtin_mul_overflow(d.v, 10U, &d.v)) {
            return false;
        }
    }
    if (d.v > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *ret_v = negative ? -(int64_t)(d.v - 1) - 1 : (int64_t)d.v;
    return true;
}
