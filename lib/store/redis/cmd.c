/* cmd.c - see cmd.h. */
#include <stdarg.h>
#include <string.h>

#include <retrybuild/digest.h>

#include "cmd.h"

static void put_count(struct rb_buf *out, char mark, uint64_t n)
{
    rb_buf_addc(out, mark);
    rb_buf_addu(out, n);
    rb_buf_add(out, "\r\n", 2);
}

void rcmd_begin(struct rb_buf *out, size_t argc)
{
    put_count(out, '*', argc);
}

void rcmd_arg(struct rb_buf *out, const void *data, size_t len)
{
    put_count(out, '$', len);
    rb_buf_add(out, data, len);
    rb_buf_add(out, "\r\n", 2);
}

void rcmd_str(struct rb_buf *out, const char *s)
{
    rcmd_arg(out, s, strlen(s));
}

void rcmd_int(struct rb_buf *out, int64_t v)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (v < 0) {
        digits[--at] = '-';
    }
    rcmd_arg(out, digits + at, sizeof(digits) - at);
}

void rcmd_words(struct rb_buf *out, const char *word, ...)
{
    size_t n = 1;
    va_list ap;
    va_start(ap, word);
    while (va_arg(ap, const char *) != NULL) {
        n++;
    }
    va_end(ap);
    rcmd_begin(out, n);
    rcmd_str(out, word);
    va_start(ap, word);
    for (size_t i = 1; i < n; i++) {
        rcmd_str(out, va_arg(ap, const char *));
    }
    va_end(ap);
}

static const char prefix[] = "rb:{0}:";
#define PREFIX_LEN (sizeof(prefix) - 1)

void rcmd_key(struct rb_buf *out, char letter, const void *raw, size_t len)
{
    put_count(out, '$', PREFIX_LEN + 1 + len);
    rb_buf_add(out, prefix, PREFIX_LEN);
    rb_buf_addc(out, letter);
    rb_buf_add(out, raw, len);
    rb_buf_add(out, "\r\n", 2);
}

void rcmd_hex_key(struct rb_buf *out, char letter, const char *key)
{
    uint8_t raw[RKEY_RAW];
    rkey_raw(key, raw);
    rcmd_key(out, letter, raw, RKEY_RAW);
}

uint64_t rhash(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = s == NULL ? "" : s; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    }
    return h;
}

void rkey_raw(const char *key, uint8_t ret_raw[RKEY_RAW])
{
    if (!rb_unhex(key, 2 * RKEY_RAW, ret_raw, RKEY_RAW)) {
        memset(ret_raw, 0, RKEY_RAW);
    }
}

static const char base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

bool rid_raw(const char *id, uint8_t ret_raw[RKEY_RAW])
{
    if (id == NULL || strlen(id) != RB_ID_BYTES - 1 || id[3] != '_' || id[4] > '7') {
        return false;
    }
    __extension__ unsigned __int128 v = 0;
    for (const char *p = id + 4; *p != '\0'; p++) {
        const char *digit = strchr(base32, *p);
        if (digit == NULL) {
            return false;
        }
        v = v << 5 | (unsigned)(digit - base32);
    }
    for (size_t i = RKEY_RAW; i > 0; i--) {
        ret_raw[i - 1] = (uint8_t)(v & 0xff);
        v >>= 8;
    }
    return true;
}

void rid_text(const void *raw, char ret_id[RB_ID_BYTES])
{
    __extension__ unsigned __int128 v = 0;
    for (size_t i = 0; i < RKEY_RAW; i++) {
        v = v << 8 | ((const uint8_t *)raw)[i];
    }
    memcpy(ret_id, "rty_", 4);
    for (size_t i = RB_ID_BYTES - 1; i > 4; i--) {
        ret_id[i - 1] = base32[v & 31];
        v >>= 5;
    }
    ret_id[RB_ID_BYTES - 1] = '\0';
}

static void put_be(uint8_t *at, uint64_t v, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        at[i - 1] = (uint8_t)(v & 0xff);
        v >>= 8;
    }
}

static uint64_t get_be(const void *at, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | ((const uint8_t *)at)[i];
    }
    return v;
}

void rput48(uint8_t *at, int64_t v)
{
    put_be(at, v < 0 ? 0 : (uint64_t)v, 6);
}

int64_t rget48(const void *at)
{
    return (int64_t)get_be(at, 6);
}

uint32_t rget32(const void *at)
{
    return (uint32_t)get_be(at, 4);
}

uint16_t rget16(const void *at)
{
    return (uint16_t)get_be(at, 2);
}
