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

/* The first bytes of the phrases: most words of a text begin with none of them. */
static const bool begins_phrase[256] = {
    ['C'] = true, ['R'] = true, ['h'] = true, ['#'] = true, ['/'] = true,
    ['G'] = true, ['e'] = true, ['S'] = true, ['F'] = true, ['P'] = true,
    ['D'] = true, ['r'] = true, ['a'] = true, [':'] = true,
};

#define UUID_CHARS 36
#define COMMIT_CHARS 40
#define ULID_BYTES 17 /* 26 digits of 5 bits, and 6 bits that are 0 */

static const char ulid_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool uuid_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool is_uuid(const char *s, size_t left)
{
    if (left < UUID_CHARS || s[8] != '-') {
        return false;
    }
    for (size_t i = 0; i < UUID_CHARS; i++) {
        if (uuid_dash(i) ? s[i] != '-' : !is_hex(s[i])) {
            return false;
        }
    }
    return true;
}

static bool is_commit(const char *s, size_t left)
{
    size_t n = 0;
    while (n < left && n < COMMIT_CHARS && is_hex(s[n])) {
        n++;
    }
    return n == COMMIT_CHARS;
}

static size_t pack_uuid(struct rb_buf *out, const char *s)
{
    char hex[32];
    size_t n = 0;
    for (size_t i = 0; i < UUID_CHARS; i++) {
        if (!uuid_dash(i)) {
            hex[n++] = s[i];
        }
    }
    char packed[17] = {CODE_HEX_UUID};
    (void)rb_unhex(hex, n, packed + 1, 16);
    rb_buf_add(out, packed, sizeof(packed));
    return UUID_CHARS;
}

static size_t pack_commit(struct rb_buf *out, const char *s)
{
    char packed[21] = {CODE_HEX_COMMIT};
    (void)rb_unhex(s, COMMIT_CHARS, packed + 1, 20);
    rb_buf_add(out, packed, sizeof(packed));
    return COMMIT_CHARS;
}

/* pack_ulid - 0 when no ULID begins at @s. */
static size_t pack_ulid(struct rb_buf *out, const char *s, size_t left)
{
    if (left < RB_ULID_LEN || s[0] != '0') { /* as all are until the year 3084 */
        return 0;
    }
    char packed[1 + ULID_BYTES] = {CODE_ULID};
    unsigned bits = 0;
    unsigned n_bits = 0;
    size_t at = 1;
    for (size_t i = 0; i < RB_ULID_LEN; i++) {
        const char *digit = memchr(ulid_digits, s[i], sizeof(ulid_digits) - 1);
        if (digit == NULL) {
            return 0;
        }
        bits = (bits << 5) | (unsigned)(digit - ulid_digits);
        n_bits += 5;
        if (n_bits >= 8) {
            n_bits -= 8;
            packed[at++] = (char)(uint8_t)(bits >> n_bits);
            bits &= (1U << n_bits) - 1U;
        }
    }
    packed[at] = (char)(uint8_t)(bits << (8 - n_bits));
    rb_buf_add(out, packed, sizeof(packed));
    return RB_ULID_LEN;
}

static bool begins(const char *s, size_t left, struct rb_slice with)
{
    return with.len > 1 && with.len <= left && s[0] == with.ptr[0] &&
           memcmp(s, with.ptr, with.len) == 0;
}

/* pack_word - write the code of what begins at @s; 0 = nothing known does. */
static size_t pack_word(struct rb_buf *out, const char *s, size_t left, const struct rb_slice *own)
{
    for (unsigned i = 0; i < PACK_WORDS; i++) {
        if (own[i].ptr != NULL && begins(s, left, own[i])) {
            rb_buf_addc(out, (char)(CODE_WORD + (int)i));
            return own[i].len;
        }
    }
    for (size_t i = 0; begins_phrase[(unsigned char)s[0]] && i < RB_ARRAY_LEN(phrases); i++) {
        if (begins(s, left, phrases[i])) {
            rb_buf_addc(out, (char)(CODE_PHRASE + (int)i));
            return phrases[i].len;
        }
    }
    if (is_uuid(s, left)) {
        return pack_uuid(out, s);
    }
    if (is_commit(s, left)) {
        return pack_commit(out, s);
    }
    return pack_ulid(out, s, left);
}

void rb_pack_text(struct rb_buf *out, const char *s, const struct pack_words *w)
{
    struct rb_slice own[PACK_WORDS];
    for (unsigned i = 0; i < PACK_WORDS; i++) {
        own[i] = rb_slice_str(w->word[i]);
    }
    size_t len = strlen(s);
    bool starts = true;
    size_t plain = 0; /* where the bytes that stand for themselves begin */
    for (size_t i = 0; i < len;) {
        bool word_char = is_word_char(s[i]);
        bool control = (unsigned char)s[i] < 0x20;
        if ((!starts && word_char) || (!control && s[i] == ' ')) {
            starts = !word_char;
            i++;
            continue;
        }
        rb_buf_add(out, s + plain, i - plain);
        plain = i;
        size_t known = pack_word(out, s + i, len - i, own);
        if (known == 0 && control) {
            rb_buf_addc(out, CODE_ESCAPE);
            rb_buf_addc(out, s[i]);
            known = 1;
        }
        if (known > 0) {
            i += known;
            plain = i;
            starts = true;
        } else {
            starts = !word_char;
            i++;
        }
    }
    rb_buf_add(out, s + plain, len - plain);
}

static bool unpack_uuid(struct rb_buf *out, const char *bytes)
{
    char hex[33];
    rb_hex(bytes, 16, hex);
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
        return left > 16 && unpack_uuid(out, p + 1) ? 17 : 0;
    case CODE_HEX_COMMIT:
        if (left <= 20) {
            return 0;
        }
        rb_hex(p + 1, 20, hex);
        rb_buf_add(out, hex, COMMIT_CHARS);
        return 21;
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
