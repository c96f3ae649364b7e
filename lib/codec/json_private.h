/* json_private.h - escapes and hashes of JSON strings, shared by the reader and the text helpers.
 */
#ifndef RB_CODEC_JSON_PRIVATE_H
#define RB_CODEC_JSON_PRIVATE_H

#include <retrybuild/json.h>

/* json_escape - decode the escape at @p (a backslash; @end is the end of the string). Writes 1..4
 * bytes of UTF-8 to @ret_bytes, moves *p behind it and returns the number of bytes; 0 and *ret_why
 * when the escape is not allowed. */
size_t json_escape(const char **p, const char *end, unsigned char ret_bytes[4],
                   const char **ret_why);
/* json_hash_escaped - of a key with or without escapes: of what the raw text says. */
uint32_t json_hash_escaped(struct rb_slice raw);

/* The hash of a key: its first and last 8 bytes (of a shorter key all of them, twice), its length,
 * and then the words between in steps of 8. A key of up to 16 bytes takes no loop and no branch. */
static inline uint64_t json_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static inline uint64_t json_hash_begin(uint64_t first, uint64_t last, size_t len)
{
    return (first ^ (last << 23 | last >> 41)) + len;
}

static inline uint32_t json_hash_end(uint64_t h)
{
    return (uint32_t)(json_mix(h, 0) >> 32);
}

static inline uint64_t json_word(const char *p)
{
    uint64_t word = 0;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* json_hash_plain - of a key without escapes; @start is the document's, before which nothing is
 * read. */
static inline uint32_t json_hash_plain(struct rb_slice raw, const char *start)
{
    const char *end = raw.ptr + raw.len;
    if (raw.len == 0 || end - start < 8) {
        return json_hash_escaped(raw);
    }
    size_t words_len = raw.len < 8 ? 8 : raw.len;
    unsigned before = 8 * (unsigned)(words_len - raw.len); /* bits of what stands before the key */
    uint64_t h = json_hash_begin(json_word(end - words_len) >> before, json_word(end - 8) >> before,
                                 raw.len);
    for (size_t i = 8; i + 8 < raw.len; i += 8) {
        h = json_mix(h, json_word(raw.ptr + i));
    }
    return json_hash_end(h);
}

/* json_raw_equal - do two keys say the same, however they are written? */
bool json_raw_equal(struct rb_slice a, struct rb_slice b);

#endif
