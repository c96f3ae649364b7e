/* number.c - numbers, durations and sizes from text that is not trusted. */
#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

bool rb_parse_u64(struct rb_slice s, uint64_t *ret_v)
{
    uint64_t v = 0;
    if (s.ptr == NULL || s.len == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, digit, &v)) {
            return false;
        }
    }
    *ret_v = v;
    return true;
}

bool rb_parse_i64(struct rb_slice s, int64_t *ret_v)
{
    bool negative = s.ptr != NULL && s.len > 0 && s.ptr[0] == '-';
    if (negative) {
        s.ptr++;
        s.len--;
    }
    uint64_t v = 0;
    if (!rb_parse_u64(s, &v) || v > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    if (!negative) {
        *ret_v = (int64_t)v;
    } else {
        *ret_v = v == 0 ? 0 : -(int64_t)(v - 1) - 1; /* INT64_MIN without overflow */
    }
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* parse_with_unit - digits, then exactly one of @units; the product must fit an int64. */
static bool parse_with_unit(struct rb_slice s, const struct unit *units, size_t n, uint64_t *ret_v)
{
    if (s.ptr == NULL) {
        return false;
    }
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9') {
        digits++;
    }
    struct rb_slice suffix = {.ptr = s.ptr + digits, .len = s.len - digits};
    uint64_t v = 0;
    if (!rb_parse_u64((struct rb_slice){.ptr = s.ptr, .len = digits}, &v)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (rb_slice_eq(suffix, units[i].name)) {
            if (__builtin_mul_overflow(v, units[i].factor, &v) || v > (uint64_t)INT64_MAX) {
                return false;
            }
            *ret_v = v;
            return true;
        }
    }
    return false;
}

bool rb_parse_duration_ms(struct rb_slice s, int64_t *ret_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    uint64_t v = 0;
    if (!parse_with_unit(s, units, RB_ARRAY_LEN(units), &v)) {
        return false;
    }
    *ret_ms = (int64_t)v;
    return true;
}

bool rb_parse_size(struct rb_slice s, uint64_t *ret_bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"KiB", 1U << 10},
        {"MiB", 1U << 20},
        {"GiB", 1U << 30},
    };
    return parse_with_unit(s, units, RB_ARRAY_LEN(units), ret_bytes);
}
