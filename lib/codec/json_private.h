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
static inline uint64_t json_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static inline uint32_t json_hash_end(uint64_t h, uint64_t last_word, size_t len)
{
    return (uint32_t)(json_mix(json_mix(h, last_word), len) >> 32);
}

/* json_hash_plain - hash of a key without escapes; @end is the document's, beyond which nothing is
 * read. */
static inline uint32_t json_hash_plain(struct rb_slice raw, const char *end)
{
    uint64_t h = 0;
    uint64_t word = 0;
    const char *p = raw.ptr;
    size_t left = raw.len;
    for (; left >= sizeof(word); left -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        h = json_mix(h, word);
    }
    word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (end - p >= (ptrdiff_t)sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        word &= (UINT64_C(1) << (8 * left)) - 1;
        return json_hash_end(h, word, raw.len);
    }
#endif
    (void)end;
    for (size_t i = 0; i < left; i++) {
        word |= (uint64_t)(unsigned char)p[i] << 8 * i;
    }
    return json_hash_end(h, word, raw.len);
}

/* json_hash_escaped - the same value as json_hash_plain of what the raw text says. */
uint32_t json_hash_escaped(struct rb_slice raw);
/* json_raw_equal - do two keys say the same, however they are written? */
bool json_raw_equal(struct rb_slice a, struct rb_slice b);

#endif
