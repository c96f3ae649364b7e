/* test_json_differ.c - the pull reader against jansson, and its own ways through a document against
 * each other, on documents made by chance and then damaged.
 *
 * Every document stands in memory of exactly its size, at each alignment in turn, so that a
 * sanitizer sees any byte read beside it. The seed is fixed: a failure comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#define ALIGNMENTS 16
#define DOCUMENTS 20000
#define LONGEST_KEY 70

struct dice {
    uint64_t state;
};

static unsigned roll(struct dice *d, unsigned sides)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return (unsigned)(d->state >> 33) % sides;
}

/* ---- making ---- */

static void add_string(struct dice *d, struct rb_buf *out)
{
    static const char *const pieces[] = {"a",
                                         "b",
                                         "phase",
                                         "-in-seconds",
                                         " ",
                                         "\\n",
                                         "\\\"",
                                         "\\\\",
                                         "\\u00e9",
                                         "\\u0061",
                                         "\xC3\xA9",
                                         "\xE2\x82\xAC",
                                         "\xF0\x9F\x98\x80",
                                         "\\ud83d\\ude00",
                                         "{",
                                         "]"};
    rb_buf_addc(out, '"');
    for (unsigned n = roll(d, 4) == 0 ? roll(d, 40) : roll(d, 5); n > 0; n--) {
        rb_buf_adds(out, pieces[roll(d, RB_ARRAY_LEN(pieces))]);
    }
    rb_buf_addc(out, '"');
}

static void add_blanks(struct dice *d, struct rb_buf *out)
{
    static const char blanks[] = " \n\t\r";
    for (unsigned n = roll(d, 6) == 0 ? roll(d, 3) : 0; n > 0; n--) {
        rb_buf_addc(out, blanks[roll(d, 4)]);
    }
}

static void add_value(struct dice *d, struct rb_buf *out, unsigned depth)
{
    static const char *const scalars[] = {"0",    "-1",   "42",    "3.5e2", "1E-7",
                                          "true", "null", "false", "-0.0",  "1234567890123"};
    unsigned kind = roll(d, depth > 4 ? 6 : 9);
    add_blanks(d, out);
    if (kind < 3) {
        rb_buf_adds(out, scalars[roll(d, RB_ARRAY_LEN(scalars))]);
    } else if (kind < 6) {
        add_string(d, out);
    } else {
        bool is_object = kind != 6;
        rb_buf_addc(out, is_object ? '{' : '[');
        for (unsigned i = 0, n = roll(d, 7); i < n; i++) {
            rb_buf_adds(out, i > 0 ? "," : "");
            if (is_object) {
                add_blanks(d, out);
                add_string(d, out);
                add_blanks(d, out);
                rb_buf_addc(out, ':');
            }
            add_value(d, out, depth + 1);
        }
        add_blanks(d, out);
        rb_buf_addc(out, is_object ? '}' : ']');
    }
    add_blanks(d, out);
}

/* damage - change, cut out or double a few bytes. */
static void damage(struct dice *d, struct rb_buf *doc)
{
    static const char bytes[] = "\"\\{}[]:,0-.eu \x1f\x7f\x80\xC3\xED\xF4\xFF/tn";
    for (unsigned n = 1 + roll(d, 2); n > 0 && doc->len > 1; n--) {
        size_t at = roll(d, (unsigned)doc->len);
        switch (roll(d, 3)) {
        case 0:
            doc->data[at] = bytes[roll(d, sizeof(bytes) - 1)];
            break;
        case 1:
            memmove(doc->data + at, doc->data + at + 1, doc->len - at - 1);
            doc->len--;
            break;
        default:
            doc->len = at == 0 ? doc->len : at;
            break;
        }
    }
}

/* ---- reading ---- */

struct reading {
    enum rb_code rc;
    uint64_t sum; /* of all tokens */
    uint32_t tokens;
};

static void add_token(struct reading *rd, const struct rb_json_token *t, const char *start)
{
    uint64_t place = t->raw.ptr == NULL ? 0 : (uint64_t)(t->raw.ptr - start);
    uint64_t v = (uint64_t)t->type + 16 * (place + 65536 * ((uint64_t)t->raw.len * 2 + t->escaped));
    rd->sum = (rd->sum ^ v) * UINT64_C(1099511628211);
}

static struct reading read_by_tokens(const char *data, size_t len)
{
    struct rb_json_reader r;
    struct rb_json_token t = {.type = RB_JSON_NULL};
    struct reading rd = {.rc = RB_OK};
    rb_json_reader_init(&r, data, len);
    while ((rd.rc = rb_json_next(&r, &t, NULL)) == RB_OK && t.type != RB_JSON_END) {
        add_token(&rd, &t, data);
    }
    rd.tokens = r.tokens;
    return rd;
}

static enum rb_code value_by_members(struct rb_json_reader *r, const struct rb_json_token *t,
                                     struct reading *rd)
{
    struct rb_json_token key = {.type = RB_JSON_NULL};
    struct rb_json_token value = {.type = RB_JSON_NULL};
    enum rb_code rc = RB_OK;
    add_token(rd, t, r->start);
    if (t->type == RB_JSON_OBJECT_BEGIN) {
        while (rc == RB_OK && (rc = rb_json_member(r, &key, &value, NULL)) == RB_OK) {
            add_token(rd, &key, r->start);
            if (key.type == RB_JSON_OBJECT_END) {
                break;
            }
            rc = value_by_members(r, &value, rd);
        }
    } else if (t->type == RB_JSON_ARRAY_BEGIN) {
        while (rc == RB_OK && (rc = rb_json_next(r, &value, NULL)) == RB_OK) {
            if (value.type == RB_JSON_ARRAY_END) {
                add_token(rd, &value, r->start);
                break;
            }
            rc = value_by_members(r, &value, rd);
        }
    }
    return rc;
}

static struct reading read_by_members(const char *data, size_t len)
{
    struct rb_json_reader r;
    struct rb_json_token t = {.type = RB_JSON_NULL};
    struct reading rd = {.rc = RB_OK};
    rb_json_reader_init(&r, data, len);
    rd.rc = rb_json_next(&r, &t, NULL);
    if (rd.rc == RB_OK) {
        rd.rc = value_by_members(&r, &t, &rd);
    }
    if (rd.rc == RB_OK) {
        rd.rc = rb_json_finish(&r, NULL);
    }
    rd.tokens = r.tokens;
    return rd;
}

static struct reading read_by_skipping(const char *data, size_t len)
{
    struct rb_json_reader r;
    struct reading rd = {.rc = RB_OK};
    rb_json_reader_init(&r, data, len);
    rd.rc = rb_json_skip(&r, NULL);
    if (rd.rc == RB_OK) {
        rd.rc = rb_json_finish(&r, NULL);
    }
    rd.tokens = r.tokens;
    return rd;
}

static enum rb_code read_each_way(const char *data, size_t len)
{
    struct reading tokens = read_by_tokens(data, len);
    struct reading members = read_by_members(data, len);
    struct reading skipped = read_by_skipping(data, len);
    bool same = tokens.rc != RB_OK || tokens.sum == members.sum;
    if (tokens.rc != members.rc || tokens.rc != skipped.rc || !same) {
        fail_msg("read in different ways: %d %d %d: %.*s", (int)tokens.rc, (int)members.rc,
                 (int)skipped.rc, (int)len, data);
    }
    assert_true(tokens.rc != RB_OK ||
                (tokens.tokens == members.tokens && tokens.tokens == skipped.tokens));
    return tokens.rc;
}

/* compare - both readers give one verdict; what jansson differs in by design is excepted. */
static enum rb_code compare(const char *text, size_t len, unsigned alignment)
{
    char *memory = malloc(len + alignment);
    assert_non_null(memory);
    char *data = memory + alignment;
    memcpy(data, text, len);
    enum rb_code rc = read_each_way(data, len);
    json_error_t why = {.line = 0};
    json_t *json = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    bool accepted = json != NULL || json_error_code(&why) == json_error_numeric_overflow;
    if (rc != RB_E_TOO_LARGE && (rc == RB_OK) != accepted) {
        fail_msg("%s, but jansson says '%s': %.*s", rc == RB_OK ? "read" : "refused", why.text,
                 (int)len, data);
    }
    json_decref(json);
    free(memory);
    return rc;
}

static void documents_by_chance_have_one_verdict_however_they_are_read(void **state)
{
    (void)state;
    struct dice d = {.state = 20261103};
    unsigned good = 0;
    unsigned bad = 0;
    RB_CLEANUP(rb_buf_release) struct rb_buf doc = RB_BUF_INIT(1 << 20);
    for (unsigned i = 0; i < DOCUMENTS; i++) {
        rb_buf_clear(&doc);
        add_value(&d, &doc, 0);
        assert_false(rb_buf_failed(&doc));
        good += compare(doc.data, doc.len, i % ALIGNMENTS) == RB_OK;
        damage(&d, &doc);
        bad += compare(doc.data, doc.len, i % ALIGNMENTS) != RB_OK;
    }
    assert_true(good > DOCUMENTS / 3);
    assert_true(bad > DOCUMENTS / 3);
}

/* add_key - @len letters; the one at @other differs, the one at @escaped is written as an escape.
 */
static void add_key(struct rb_buf *out, unsigned len, unsigned other, unsigned escaped)
{
    rb_buf_addc(out, '"');
    for (unsigned i = 0; i < len; i++) {
        unsigned letter = 'a' + i % 23 + (i == other ? 1 : 0);
        if (i == escaped) {
            rb_buf_addf(out, "\\u%04x", letter);
        } else {
            rb_buf_addc(out, (char)letter);
        }
    }
    rb_buf_adds(out, "\":1");
}

static enum rb_code two_keys(struct rb_buf *doc, const char *before, unsigned len, unsigned other,
                             unsigned escaped)
{
    rb_buf_clear(doc);
    rb_buf_adds(doc, before);
    rb_buf_addc(doc, '{');
    add_key(doc, len, UINT32_MAX, UINT32_MAX);
    rb_buf_addc(doc, ',');
    add_key(doc, len, other, escaped);
    rb_buf_addc(doc, '}');
    return compare(doc->data, doc->len, len % ALIGNMENTS);
}

static void keys_of_every_length_are_one_key_or_two(void **state)
{
    (void)state;
    static const char *const places[] = {"", " ", "      ", "                        "};
    RB_CLEANUP(rb_buf_release) struct rb_buf doc = RB_BUF_INIT(4096);
    for (unsigned len = 0; len <= LONGEST_KEY; len++) {
        const char *before = places[len % RB_ARRAY_LEN(places)];
        assert_int_equal(two_keys(&doc, before, len, UINT32_MAX, UINT32_MAX), RB_E_INVALID);
        for (unsigned i = 0; i < len; i++) {
            assert_int_equal(two_keys(&doc, before, len, UINT32_MAX, i), RB_E_INVALID);
            assert_int_equal(two_keys(&doc, before, len, i, UINT32_MAX), RB_OK);
            assert_int_equal(two_keys(&doc, before, len, i, len - 1 - i), RB_OK);
        }
    }
}

static void a_string_may_go_wrong_at_every_place(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\x01",     "\x1f",         "\x80",
                                        "\xC0\xAF", "\xED\xA0\x80", "\\x",
                                        "\\u12G4",  "\\ud800",      "\xF5\x80\x80\x80",
                                        "\\u0000",  "\xE2\x82",     "\xF0\x9F\x98"};
    static const char *const right[] = {"\x7f", "\\/", "\xC3\xA9", "\xF0\x9F\x98\x80", "\\u00ff"};
    RB_CLEANUP(rb_buf_release) struct rb_buf doc = RB_BUF_INIT(4096);
    for (unsigned len = 0; len < 40; len++) {
        for (unsigned at = 0; at <= len; at++) {
            for (unsigned i = 0; i < RB_ARRAY_LEN(wrong) + RB_ARRAY_LEN(right); i++) {
                bool good = i >= RB_ARRAY_LEN(wrong);
                const char *piece = good ? right[i - RB_ARRAY_LEN(wrong)] : wrong[i];
                rb_buf_clear(&doc);
                rb_buf_addf(&doc, "[\"%.*s%s%.*s\"]", (int)at,
                            "0123456789012345678901234567890123456789", piece, (int)(len - at),
                            "abcdefghijabcdefghijabcdefghijabcdefghij");
                assert_int_equal(read_each_way(doc.data, doc.len), good ? RB_OK : RB_E_INVALID);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_by_chance_have_one_verdict_however_they_are_read),
        cmocka_unit_test(keys_of_every_length_are_one_key_or_two),
        cmocka_unit_test(a_string_may_go_wrong_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
