/* json_reader.c - the pull reader: one pass, no allocation.
 *
 * The reader is an automaton: `state` says what may come next, `level` is the stack of open
 * containers. Keys of the open objects stand in one array used as a stack, each as hash and place;
 * a hash that was seen in the same object leads to an exact comparison, and a mask of 64 bits an
 * object tells most new keys at once. Strings are scanned 16 or 8 bytes at a time for the few bytes
 * that mean something. A token is written when it is complete and right. The first failure is kept,
 * so that every further call fails in the same way. While a call lasts, the place in the document
 * is a local `struct at`, which stays in registers because everything that moves it is inlined.
 */
#include <string.h>

#include "json_private.h"
#include "json_scan.h"

enum state {
    WANT_VALUE,        /* at the start, behind a colon, behind a comma of an array */
    WANT_FIRST_VALUE,  /* behind '[': a value or ']' */
    WANT_FIRST_KEY,    /* behind '{': a key or '}' */
    WANT_COMMA_OR_END, /* behind a value in a container */
    WANT_NOTHING,      /* the value of the document is complete */
};

#define HOT static inline __attribute__((always_inline))

/* Where a call stands; the reader has it between calls. */
struct at {
    const char *p;
    uint32_t tokens;
    enum state state;
};

HOT struct at enter(const struct rb_json_reader *r)
{
    return (struct at){.p = r->p, .tokens = r->tokens, .state = (enum state)r->state};
}

HOT void leave(struct rb_json_reader *r, const struct at *at)
{
    r->p = at->p;
    r->tokens = at->tokens;
    r->state = (int)at->state;
}

void rb_json_reader_init(struct rb_json_reader *r, const char *data, size_t len)
{
    /* level and keys are written before they are read: no need to clear some kilobytes */
    r->start = data;
    r->p = data;
    r->end = data + len;
    r->depth = 0;
    r->tokens = 0;
    r->state = WANT_VALUE;
    r->n_keys = 0;
    r->max_tokens = RB_JSON_MAX_TOKENS;
    r->failure = RB_OK;
    r->why = NULL;
    if (len > UINT32_MAX) {
        r->failure = RB_E_TOO_LARGE;
        r->why = "document too large";
    }
}

/* fail - remember the failure at @p; returns false for the caller's return. */
__attribute__((cold, noinline)) static bool fail(struct rb_json_reader *r, const char *p,
                                                 enum rb_code code, const char *why)
{
    r->p = p;
    r->failure = code;
    r->why = why;
    return false;
}

__attribute__((cold)) static enum rb_code report(const struct rb_json_reader *r, struct rb_err *err)
{
    size_t line = 1;
    const char *line_start = r->start;
    for (const char *c = r->start; c < r->p; c++) {
        if (*c == '\n') {
            line++;
            line_start = c + 1;
        }
    }
    return rb_err_set(err, r->failure, "JSON line %zu column %zu: %s", line,
                      (size_t)(r->p - line_start) + 1, r->why);
}

HOT const char *skip_blanks(const char *p, const char *end)
{
    if (p < end && (unsigned char)*p > ' ') {
        return p; /* compact documents have none */
    }
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) {
        p++;
    }
    return p;
}

/* pass_special - behind the byte at @p that json_skip_plain stopped at and that is no quote; NULL
 * when it may not stand in a string. */
static __attribute__((noinline)) const char *pass_special(struct rb_json_reader *r, const char *p)
{
    if (p == r->end) {
        (void)fail(r, p, RB_E_INVALID, "string without an end");
        return NULL;
    }
    if (*p == '\\') {
        const char *behind = p;
        unsigned char bytes[4];
        const char *why = NULL;
        if (json_escape(&behind, r->end, bytes, &why) == 0) {
            (void)fail(r, behind, RB_E_INVALID, why);
            return NULL;
        }
        return behind;
    }
    if ((unsigned char)*p < 0x20) {
        (void)fail(r, p, RB_E_INVALID, "control byte in a string");
        return NULL;
    }
    size_t n = rb_utf8_seq(p, (size_t)(r->end - p));
    if (n == 0) {
        (void)fail(r, p, RB_E_INVALID, "invalid UTF-8");
        return NULL;
    }
    return p + n;
}

/* read_string - a key or a string as @type; at->p is at the opening quote. */
HOT bool read_string(struct rb_json_reader *r, struct at *at, struct rb_json_token *t,
                     enum rb_json_type type)
{
    const char *start = at->p + 1;
    const char *p = json_skip_plain(start, r->end);
    bool escaped = false;
    while (__builtin_expect(p == r->end || *p != '"', 0)) {
        escaped = escaped || (p < r->end && *p == '\\');
        p = pass_special(r, p);
        if (p == NULL) {
            return false;
        }
        p = json_skip_plain(p, r->end);
    }
    t->type = type;
    t->raw.ptr = start;
    t->raw.len = (size_t)(p - start);
    t->escaped = escaped;
    at->p = p + 1;
    return true;
}

HOT bool read_number(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    const char *end = json_number_end(at->p, r->end);
    if (end == NULL) {
        return fail(r, at->p, RB_E_INVALID, "malformed number");
    }
    t->type = RB_JSON_NUMBER;
    t->raw.ptr = at->p;
    t->raw.len = (size_t)(end - at->p);
    t->escaped = false;
    at->p = end;
    return true;
}

HOT void plain_token(struct rb_json_token *t, enum rb_json_type type)
{
    *t = (struct rb_json_token){.type = type, .raw = {.ptr = NULL, .len = 0}};
}

HOT bool read_word(struct rb_json_reader *r, struct at *at, struct rb_json_token *t,
                   struct rb_slice word, enum rb_json_type type)
{
    if ((size_t)(r->end - at->p) < word.len || memcmp(at->p, word.ptr, word.len) != 0) {
        return fail(r, at->p, RB_E_INVALID, "value expected");
    }
    at->p += word.len;
    plain_token(t, type);
    return true;
}

HOT bool open_container(struct rb_json_reader *r, struct at *at, struct rb_json_token *t,
                        bool is_object)
{
    if (r->depth == RB_JSON_MAX_DEPTH) {
        return fail(r, at->p, RB_E_TOO_LARGE, "nested too deep");
    }
    r->level[r->depth++] =
        (struct rb_json_level){.is_object = is_object, .first_key = r->n_keys, .seen = 0};
    at->p++;
    plain_token(t, is_object ? RB_JSON_OBJECT_BEGIN : RB_JSON_ARRAY_BEGIN);
    at->state = is_object ? WANT_FIRST_KEY : WANT_FIRST_VALUE;
    return true;
}

HOT bool close_container(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    const struct rb_json_level *l = &r->level[--r->depth];
    r->n_keys = l->first_key;
    at->p++;
    plain_token(t, l->is_object ? RB_JSON_OBJECT_END : RB_JSON_ARRAY_END);
    at->state = r->depth == 0 ? WANT_NOTHING : WANT_COMMA_OR_END;
    return true;
}

/* read_other - a value that is neither string nor container. */
HOT bool read_other(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    switch (*at->p) {
    case 't':
        return read_word(r, at, t, RB_SLICE_LIT("true"), RB_JSON_TRUE);
    case 'f':
        return read_word(r, at, t, RB_SLICE_LIT("false"), RB_JSON_FALSE);
    case 'n':
        return read_word(r, at, t, RB_SLICE_LIT("null"), RB_JSON_NULL);
    default:
        break;
    }
    if (*at->p != '-' && (unsigned)(unsigned char)*at->p - '0' > 9) {
        return fail(r, at->p, RB_E_INVALID, "value expected");
    }
    return read_number(r, at, t);
}

HOT bool read_value(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    at->state = r->depth == 0 ? WANT_NOTHING : WANT_COMMA_OR_END;
    if (*at->p == '"') {
        return read_string(r, at, t, RB_JSON_STRING);
    }
    if (*at->p == '{' || *at->p == '[') {
        return open_container(r, at, t, *at->p == '{');
    }
    return read_other(r, at, t);
}

/* has_key - is there a key that says the same in object @l? */
static __attribute__((noinline)) bool has_key(const struct rb_json_reader *r,
                                              const struct rb_json_level *l, struct rb_slice raw,
                                              uint32_t hash)
{
    for (unsigned i = l->first_key; i < r->n_keys; i++) {
        if (r->keys[i].hash == hash) {
            struct rb_slice other = {.ptr = r->start + r->keys[i].offset, .len = r->keys[i].len};
            if (json_raw_equal(other, raw)) {
                return true;
            }
        }
    }
    return false;
}

/* note_key - false when the innermost object has this key already, or too many of them. */
HOT bool note_key(struct rb_json_reader *r, const struct at *at, const struct rb_json_token *t)
{
    struct rb_json_level *l = &r->level[r->depth - 1];
    uint32_t hash = t->escaped ? json_hash_escaped(t->raw) : json_hash_plain(t->raw, r->start);
    uint64_t bit = UINT64_C(1) << (hash & 63U);
    if ((l->seen & bit) != 0 && has_key(r, l, t->raw, hash)) {
        return fail(r, at->p, RB_E_INVALID, "duplicate key");
    }
    if (r->n_keys - l->first_key == RB_JSON_MAX_KEYS || r->n_keys == RB_JSON_KEY_SLOTS) {
        return fail(r, at->p, RB_E_TOO_LARGE, "too many keys");
    }
    r->keys[r->n_keys].hash = hash;
    r->keys[r->n_keys].offset = (uint32_t)(t->raw.ptr - r->start);
    r->keys[r->n_keys].len = (uint32_t)t->raw.len;
    r->n_keys++;
    l->seen |= bit;
    return true;
}

/* read_key - the key and the colon behind it. */
HOT bool read_key(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    if (*at->p != '"') {
        return fail(r, at->p, RB_E_INVALID, "key expected");
    }
    if (!read_string(r, at, t, RB_JSON_KEY) || !note_key(r, at, t)) {
        return false;
    }
    at->p = skip_blanks(at->p, r->end);
    if (at->p == r->end || *at->p != ':') {
        return fail(r, at->p, RB_E_INVALID, "colon expected");
    }
    at->p++;
    at->state = WANT_VALUE;
    return true;
}

/* begin_token - to the first byte of a token; false at the end of the document, or of what may be
 * read of it. */
HOT bool begin_token(struct rb_json_reader *r, struct at *at)
{
    at->p = skip_blanks(at->p, r->end);
    if (at->p == r->end) {
        return fail(r, at->p, RB_E_INVALID, "document ends too early");
    }
    if (at->tokens++ >= r->max_tokens) {
        return fail(r, at->p, RB_E_TOO_LARGE, "too many tokens");
    }
    return true;
}

/* pass_comma - behind a value in a container that goes on. */
HOT bool pass_comma(struct rb_json_reader *r, struct at *at, bool in_object)
{
    if (*at->p != ',') {
        return fail(r, at->p, RB_E_INVALID,
                    in_object ? "comma or } expected" : "comma or ] expected");
    }
    at->p = skip_blanks(at->p + 1, r->end);
    return at->p < r->end || fail(r, at->p, RB_E_INVALID, "document ends too early");
}

HOT bool read_next_member(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    bool in_object = r->level[r->depth - 1].is_object;
    if (*at->p == (in_object ? '}' : ']')) {
        return close_container(r, at, t);
    }
    return pass_comma(r, at, in_object) && (in_object ? read_key(r, at, t) : read_value(r, at, t));
}

/* read_token - anywhere in the document; within it there is a token or a failure. */
HOT bool read_token(struct rb_json_reader *r, struct at *at, struct rb_json_token *t)
{
    if (!begin_token(r, at)) {
        return false;
    }
    switch (at->state) {
    case WANT_COMMA_OR_END:
        return read_next_member(r, at, t);
    case WANT_FIRST_KEY:
        return *at->p == '}' ? close_container(r, at, t) : read_key(r, at, t);
    case WANT_FIRST_VALUE:
        return *at->p == ']' ? close_container(r, at, t) : read_value(r, at, t);
    case WANT_VALUE:
        return read_value(r, at, t);
    case WANT_NOTHING:
        break;
    }
    return fail(r, at->p, RB_E_INVALID, "bytes after the end of the document");
}

enum rb_code rb_json_next(struct rb_json_reader *r, struct rb_json_token *ret_t, struct rb_err *err)
{
    struct at at = enter(r);
    if (r->failure == RB_OK && at.state == WANT_NOTHING) {
        at.p = skip_blanks(at.p, r->end);
        if (at.p == r->end) {
            leave(r, &at);
            plain_token(ret_t, RB_JSON_END);
            return RB_OK;
        }
    }
    if (r->failure != RB_OK || !read_token(r, &at, ret_t)) {
        return report(r, err);
    }
    leave(r, &at);
    return RB_OK;
}

enum rb_code rb_json_member(struct rb_json_reader *r, struct rb_json_token *ret_key,
                            struct rb_json_token *ret_value, struct rb_err *err)
{
    struct at at = enter(r);
    if (r->failure != RB_OK || !begin_token(r, &at)) {
        return report(r, err);
    }
    if (*at.p == '}') {
        (void)close_container(r, &at, ret_key);
        leave(r, &at);
        return RB_OK;
    }
    if ((at.state == WANT_COMMA_OR_END && !pass_comma(r, &at, true)) ||
        !read_key(r, &at, ret_key) || !begin_token(r, &at) || !read_value(r, &at, ret_value)) {
        return report(r, err);
    }
    leave(r, &at);
    return RB_OK;
}

enum rb_code rb_json_skip_rest(struct rb_json_reader *r, const struct rb_json_token *t,
                               struct rb_err *err)
{
    if (t->type != RB_JSON_OBJECT_BEGIN && t->type != RB_JSON_ARRAY_BEGIN) {
        return RB_OK;
    }
    uint32_t outside = r->depth - 1;
    struct rb_json_token inner = {.type = RB_JSON_END};
    if (r->failure != RB_OK) {
        return report(r, err);
    }
    struct at at = enter(r);
    while (r->depth > outside) {
        if (!read_token(r, &at, &inner)) {
            return report(r, err);
        }
    }
    leave(r, &at);
    return RB_OK;
}

enum rb_code rb_json_skip(struct rb_json_reader *r, struct rb_err *err)
{
    struct rb_json_token t = {.type = RB_JSON_END};
    enum rb_code rc = rb_json_next(r, &t, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (t.type == RB_JSON_OBJECT_END || t.type == RB_JSON_ARRAY_END || t.type == RB_JSON_END) {
        return rb_err_set(err, RB_E_INVALID, "JSON: no value to skip");
    }
    return rb_json_skip_rest(r, &t, err);
}

enum rb_code rb_json_finish(struct rb_json_reader *r, struct rb_err *err)
{
    struct rb_json_token t = {.type = RB_JSON_END};
    do {
        enum rb_code rc = rb_json_next(r, &t, err);
        if (rc != RB_OK) {
            return rc;
        }
    } while (t.type != RB_JSON_END);
    return RB_OK;
}
