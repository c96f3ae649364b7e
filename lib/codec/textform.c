/* textform.c - bytes as hexadecimal and base64 text. */
#include <retrybuild/digest.h>

void rb_hex(const void *data, size_t len, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        ret_hex[2 * i] = digits[p[i] >> 4];
        ret_hex[2 * i + 1] = digits[p[i] & 15U];
    }
    ret_hex[2 * len] = '\0';
}

/* The value of a digit, plus 1; 0 is no digit. */
static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool rb_unhex(const char *hex, size_t hex_len, void *ret_data, size_t len)
{
    const uint8_t *p = (const uint8_t *)hex;
    if (hex == NULL || hex_len / 2 != len || hex_len % 2 != 0) {
        return false;
    }
    unsigned strangers = 0;
    for (size_t i = 0; i < hex_len; i++) {
        strangers |= hex_values[p[i]] == 0 ? 1U : 0U;
    }
    if (strangers != 0) {
        return false;
    }
    uint8_t *out = ret_data;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)((hex_values[p[2 * i]] - 1U) << 4 | (hex_values[p[2 * i + 1]] - 1U));
    }
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void rb_base64(const void *data, size_t len, struct rb_buf *out)
{
    const uint8_t *p = data;
    for (; len > 0; p += 3) {
        size_t n = len < 3 ? len : 3;
        unsigned v = (unsigned)p[0] << 16;
        v |= n > 1 ? (unsigned)p[1] << 8 : 0;
        v |= n > 2 ? (unsigned)p[2] : 0;
        char quad[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63U], alphabet[v >> 6 & 63U],
                        alphabet[v & 63U]};
        memset(quad + n + 1, '=', 3 - n);
        rb_buf_add(out, quad, sizeof(quad));
        len -= n;
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* unbase64_quad - four characters, the last @pad of them padding; false on a stray one, also on
 * bits that the padding leaves over and that must be 0. */
static bool unbase64_quad(const char *s, size_t pad, uint8_t ret_bytes[3])
{
    unsigned v = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - pad ? base64_value(s[i]) : 0;
        if (value < 0) {
            return false;
        }
        v = v << 6 | (unsigned)value;
    }
    ret_bytes[0] = (uint8_t)(v >> 16);
    ret_bytes[1] = (uint8_t)(v >> 8 & 0xFFU);
    ret_bytes[2] = (uint8_t)(v & 0xFFU);
    return (v & ((1U << 8 * pad) - 1)) == 0;
}

bool rb_unbase64(const char *s, size_t len, struct rb_buf *out)
{
    if (s == NULL || len % 4 != 0) {
        return false;
    }
    const size_t before = out->len;
    for (size_t at = 0; at < len; at += 4) {
        size_t pad = 0;
        if (at + 4 == len && s[at + 3] == '=') {
            pad = s[at + 2] == '=' ? 2 : 1;
        }
        uint8_t bytes[3];
        if (!unbase64_quad(s + at, pad, bytes)) {
            if (out->data != NULL) {
                out->len = before; /* appends all or nothing */
                out->data[before] = '\0';
            }
            return false;
        }
        rb_buf_add(out, bytes, 3 - pad);
    }
    return !rb_buf_failed(out);
}
