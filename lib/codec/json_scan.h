/* json_scan.h - the inner loop of the JSON reader. Private to lib/codec. */
#ifndef RB_CODEC_JSON_SCAN_H
#define RB_CODEC_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* json_special - a mask whose lowest set bit is in the first byte that is a quote, a backslash, a
 * control byte or not ASCII; 0 when there is none. Borrows make false hits only above a true one.
 */
static inline uint64_t json_special(uint64_t w)
{
    uint64_t quote = w ^ JSON_EACH_BYTE(0x22U);
    uint64_t backslash = w ^ JSON_EACH_BYTE(0x5CU);
    uint64_t hits = ((quote - JSON_EACH_BYTE(1U)) & ~quote) |
                    ((backslash - JSON_EACH_BYTE(1U)) & ~backslash) |
                    ((w - JSON_EACH_BYTE(0x20U)) & ~w) | w;
    return hits & JSON_EACH_BYTE(0x80U);
}

/* json_skip_plain - to the next byte that means something. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(' '); /* signed: bytes beyond ASCII are less, too */
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    while (end - p >= 16) {
        __m128i w = _mm_loadu_si128((const __m128i_u *)p);
        __m128i hits = _mm_or_si128(_mm_cmplt_epi8(w, blank), _mm_cmpeq_epi8(w, quote));
        int mask = _mm_movemask_epi8(_mm_or_si128(hits, _mm_cmpeq_epi8(w, backslash)));
        if (mask != 0) {
            return p + __builtin_ctz((unsigned)mask);
        }
        p += 16;
    }
#endif
    while (end - p >= 8) {
        uint64_t w = 0;
        memcpy(&w, p, sizeof(w));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
#endif
        uint64_t hits = json_special(w);
        if (hits != 0) {
            return p + __builtin_ctzll(hits) / 8;
        }
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\') {
        p++;
    }
    return p;
}

static inline const char *json_skip_digits(const char *p, const char *end)
{
    while (p < end && (unsigned)(unsigned char)*p - '0' <= 9) {
        p++;
    }
    return p;
}

/* json_number_end - behind the number at @p; NULL when it is malformed. */
static inline const char *json_number_end(const char *p, const char *end)
{
    p += *p == '-' ? 1 : 0;
    const char *digits = p;
    p = json_skip_digits(p, end);
    bool good = p > digits && (*digits != '0' || p == digits + 1);
    if (good && p < end && *p == '.') {
        digits = ++p;
        p = json_skip_digits(p, end);
        good = p > digits;
    }
    if (good && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        digits = p;
        p = json_skip_digits(p, end);
        good = p > digits;
    }
    return good ? p : NULL;
}

#endif
