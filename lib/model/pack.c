/* pack.c - texts of a record, packed.
 *
 * Bytes from 0x20 up stand for themselves. Bytes below are codes: a word that the record has said
 * before (region, project, uuid, version, rule), a uuid, a commit or a ULID in binary, a phrase of
 * the table, or an escape for the rare control byte of the text itself. A console link of 200 bytes
 * becomes a dozen. Phrases are tried at the beginnings of words only, which keeps the cost near
 * that of a copy.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/random.h>

#include "pack.h"

enum code {
    CODE_NONE,
    CODE_WORD,                              /* the first word of the record */
    CODE_HEX_UUID = CODE_WORD + PACK_WORDS, /* 16 bytes follow */
    CODE_HEX_COMMIT,                        /* 20 bytes follow */
    CODE_ULID,                              /* 17 bytes follow */
    CODE_ESCAPE,                            /* the byte that follows stands for itself */
    CODE_PHRASE,                            /* the first phrase */
};

#define PHRASE(s)                        \
    {                                    \
        .ptr = (s), .len = sizeof(s) - 1 \
    }

/* The place is the code, for ever: add at the end, at most to 0x1f; never change a row. */
static const struct rb_slice phrases[] = {
    PHRASE("COMMAND_EXECUTION_ERROR: Error while executing command: "),
    PHRASE("Reason: exit status "),
    PHRASE("https://console.aws.amazon.com/cloudwatch/home?region="),
    PHRASE("#logsV2:log-groups/log-group/$252Faws$252Fcodebuild$252F"),
    PHRASE("#logEvent:group=/aws/codebuild/"),
    PHRASE("/log-events/"),
    PHRASE("https://github.com/"),
    PHRASE("GitHub-Hookshot/"),
    PHRASE("eventbridge"),
    PHRASE("SUCCEEDED"),
    PHRASE("FAILED"),
    PHRASE("PROVISIONING"),
    PHRASE("DOWNLOAD_SOURCE"),
    PHRASE("CLIENT_ERROR"),
    PHRASE("refs/heads/"),
    PHRASE("arn:aws:codebuild:"),
    PHRASE(":build/"),
};
_Static_assert((int)CODE_PHRASE + (int)RB_ARRAY_LEN(phrases) <= 0x20, "codes end below blanks");

#define P(i) (UINT32_C(1) << (i))
/* Which phrases begin with a byte: most words of a text begin like none of them. */
static const uint32_t phrases_of[256] = {
    ['C'] = P(0) | P(13), ['R'] = P(1),  ['h'] = P(2) | P(6), ['#'] = P(3) | P(4), ['/'] = P(5),
    ['G'] = P(7),         ['e'] = P(8),  ['S'] = P(9),        ['F'] = P(10),       ['P'] = P(11),
    ['D'] = P(12),        ['r'] = P(14), ['a'] = P(15),       [':'] = P(16),
};

#define SHORT_CHARS 64
#define UUID_CHARS 36
#define UUID_BYTES 16
#define COMMIT_CHARS 40
#define COMMIT_BYTES 20
#define ULID_BYTES 17 /* 26 digits of 5 bits, and 6 bits that are 0 */

static const char ulid_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/* The value of a digit, plus 1; 0 is no digit. */
static const uint8_t ulid_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31, ['Z'] = 32,
};

static inline bool is_hex(char c)
{
    return (unsigned)(c - '0') <= 9 || (unsigned)(c - 'a') <= 5;
}

static inline bool is_word_char(char c)
{
    return (unsigned)(c - '0') <= 9 || (unsigned)((c | 0x20) - 'a') <= 25;
}

static inline bool is_control(char c)
{
    return (unsigned char)c < 0x20;
}

static bool uuid_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool is_hex_run(const char *s, size_t n)
{
    while (n > 0 && is_hex(s[n - 1])) {
        n--;
    }
    return n == 0;
}

static bool is_uuid(const char *s, size_t left)
{
    return left >= UUID_CHARS && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
           is_hex_run(s, 8) && is_hex_run(s + 9, 4) && is_hex_run(s + 14, 4) &&
           is_hex_run(s + 19, 4) && is_hex_run(s + 24, 12);
}

static size_t pack_uuid(char **out, const char *s)
{
    char *o = *out;
    *o++ = CODE_HEX_UUID;
    (void)rb_unhex(s, 8, o, 4);
    (void)rb_unhex(s + 9, 4, o + 4, 2);
    (void)rb_unhex(s + 14, 4, o + 6, 2);
    (void)rb_unhex(s + 19, 4, o + 8, 2);
    (void)rb_unhex(s + 24, 12, o + 10, 6);
    *out = o + UUID_BYTES;
    return UUID_CHARS;
}

static size_t pack_commit(char **out, const char *s)
{
    *(*out)++ = CODE_HEX_COMMIT;
    (void)rb_unhex(s, COMMIT_CHARS, *out, COMMIT_BYTES);
    *out += COMMIT_BYTES;
    return COMMIT_CHARS;
}

/* pack_ulid - 0 when no ULID begins at @s. */
static size_t pack_ulid(char **out, const char *s, size_t left)
{
    if (left < RB_ULID_LEN || s[0] != '0') { /* as all are until the year 3084 */
        return 0;
    }
    char *o = *out; /* what is written for nothing is written over */
    uint64_t bits = 0;
    unsigned n_bits = 0;
    *o++ = CODE_ULID;
    for (size_t i = 0; i < RB_ULID_LEN; i++) {
        unsigned value = ulid_values[(unsigned char)s[i]];
        if (value == 0) {
            return 0;
        }
        bits = (bits << 5) | (value - 1);
        n_bits += 5;
        if (n_bits >= 8) {
            n_bits -= 8;
            *o++ = (char)(uint8_t)(bits >> n_bits);
        }
    }
    *o++ = (char)(uint8_t)(bits << (8 - n_bits));
    *out = o;
    return RB_ULID_LEN;
}

static inline bool begins(const char *s, size_t left, struct rb_slice with)
{
    return with.len <= left && memcmp(s, with.ptr, with.len) == 0;
}

static size_t pack_own(char **out, const char *s, size_t left, const struct packer *p)
{
    for (unsigned i = 0; i < PACK_WORDS; i++) {
        if (p->word[i].ptr != NULL && s[0] == p->word[i].ptr[0] && begins(s, left, p->word[i])) {
            *(*out)++ = (char)(CODE_WORD + (int)i);
            return p->word[i].len;
        }
    }
    return 0;
}

static size_t pack_phrase(char **out, const char *s, size_t left)
{
    for (uint32_t set = phrases_of[(unsigned char)s[0]]; set != 0; set &= set - 1) {
        unsigned i = (unsigned)__builtin_ctz(set);
        if (begins(s, left, phrases[i])) {
            *(*out)++ = (char)(CODE_PHRASE + (int)i);
            return phrases[i].len;
        }
    }
    return 0;
}

static inline uint64_t bit_of(char c)
{
    return UINT64_C(1) << ((unsigned char)c % 64U);
}

/* pack_known - write the code of what begins at @s; 0 = nothing known does. */
static inline size_t pack_known(char **out, const char *s, size_t left, const struct packer *p)
{
    size_t known = 0;
    if ((p->first & bit_of(s[0])) != 0) {
        known = pack_own(out, s, left, p);
    }
    if (known == 0 && phrases_of[(unsigned char)s[0]] != 0) {
        known = pack_phrase(out, s, left);
    }
    if (known > 0 || left < RB_ULID_LEN || !is_hex(s[0])) { /* the shortest of what follows */
        return known;
    }
    if (is_uuid(s, left)) {
        return pack_uuid(out, s);
    }
    if (left >= COMMIT_CHARS && is_hex_run(s, COMMIT_CHARS)) {
        return pack_commit(out, s);
    }
    return pack_ulid(out, s, left);
}

void rb_packer_init(struct packer *p, const struct pack_words *w)
{
    p->first = 0;
    for (unsigned i = 0; i < PACK_WORDS; i++) {
        p->word[i] = rb_slice_str(w->word[i]);
        if (p->word[i].len <= 1) {
            p->word[i].ptr = NULL;
        } else {
            p->first |= bit_of(p->word[i].ptr[0]);
        }
    }
}

size_t rb_pack_bound(const char *s, size_t len)
{
    if (len < SHORT_CHARS) {
        return 2 * len; /* close enough */
    }
    size_t bound = len;
    for (size_t i = 0; i < len; i++) {
        bound += is_control(s[i]) ? 1 : 0;
    }
    return bound;
}

char *rb_pack_text(char *out, const char *s, size_t len, const struct packer *p)
{
    const char *end = s + len;
    while (s < end) {
        size_t known = *s == ' ' ? 0 : pack_known(&out, s, (size_t)(end - s), p);
        if (known > 0) {
            s += known;
            continue;
        }
        if (is_control(*s)) {
            *out++ = CODE_ESCAPE;
        }
        *out++ = *s;
        if (is_word_char(*s++)) { /* the rest of the word */
            while (s < end && is_word_char(*s)) {
                *out++ = *s++;
            }
        }
    }
    return out;
}

static bool unpack_uuid(struct rb_buf *out, const char *bytes)
{
    char hex[33];
    rb_hex(bytes, UUID_BYTES, hex);
    size_t n = 0;
    for (size_t i = 0; i < UUID_CHARS; i++) {
        rb_buf_addc(out, uuid_dash(i) ? '-' : hex[n++]);
    }
    return true;
}

static bool unpack_ulid(struct rb_buf *out, const char *bytes)
{
    unsigned bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < RB_ULID_LEN; i++) {
        if (n_bits < 5) {
            bits = (bits << 8) | (unsigned char)*bytes++;
            n_bits += 8;
        }
        n_bits -= 5;
        rb_buf_addc(out, ulid_digits[(bits >> n_bits) & 31U]);
        bits &= (1U << n_bits) - 1U;
    }
    return true;
}

/* unpack_code - the code at p[0]; returns how many bytes it took, 0 = damaged. */
static size_t unpack_code(struct rb_buf *out, const char *p, size_t left,
                          const struct pack_words *w)
{
    unsigned code = (unsigned char)p[0];
    char hex[COMMIT_CHARS + 1];
    if (code >= CODE_WORD && code < CODE_WORD + PACK_WORDS) {
        const char *word = w->word[code - CODE_WORD];
        rb_buf_adds(out, word);
        return word == NULL ? 0 : 1;
    }
    switch (code) {
    case CODE_HEX_UUID:
        return left > UUID_BYTES && unpack_uuid(out, p + 1) ? UUID_BYTES + 1 : 0;
    case CODE_HEX_COMMIT:
        if (left <= COMMIT_BYTES) {
            return 0;
        }
        rb_hex(p + 1, COMMIT_BYTES, hex);
        rb_buf_add(out, hex, COMMIT_CHARS);
        return COMMIT_BYTES + 1;
    case CODE_ULID:
        return left > ULID_BYTES && unpack_ulid(out, p + 1) ? ULID_BYTES + 1 : 0;
    case CODE_ESCAPE:
        if (left < 2 || p[1] == '\0') {
            return 0;
        }
        rb_buf_addc(out, p[1]);
        return 2;
    default:
        break;
    }
    if (code < CODE_PHRASE || code - CODE_PHRASE >= RB_ARRAY_LEN(phrases)) {
        return 0;
    }
    struct rb_slice phrase = phrases[code - CODE_PHRASE];
    rb_buf_add(out, phrase.ptr, phrase.len);
    return 1;
}

const char *rb_unpack_text(struct rb_slice packed, const struct pack_words *w,
                           struct rb_buf *scratch, struct rb_arena *a)
{
    rb_buf_clear(scratch);
    size_t i = 0;
    while (i < packed.len) {
        size_t plain = i;
        while (i < packed.len && (unsigned char)packed.ptr[i] >= 0x20) {
            i++;
        }
        rb_buf_add(scratch, packed.ptr + plain, i - plain);
        if (i < packed.len) {
            size_t taken = unpack_code(scratch, packed.ptr + i, packed.len - i, w);
            if (taken == 0) {
                return NULL;
            }
            i += taken;
        }
    }
    if (rb_buf_failed(scratch)) {
        return NULL;
    }
    return rb_arena_strndup(a, rb_buf_str(scratch), scratch->len);
}
