/* json_reader.c - the pull reader: one pass, no allocation.
 *
 * The reader is an automaton: `state` says what may come next, `level` is the stack of open
 * containers. Keys of the open objects stand in one array used as a stack, each as hash and place;
 * a hash that was seen in the same object leads to an exact comparison, and a mask of 64 bits an
 * object tells most new keys at once. Strings are scanned 16 or 8 bytes at a time for the few bytes
 * that mean something. A token is written when it is complete and right. The first failure is kept,
 * so that every further call fails in the same way.
 */
#include <string.h>

#include "json_private.h"
#include "json_scan.h"

enum state {
    WANT_VALUE,        /* at the start, behind a colon, behind a comma of an array */
    WANT_FIRST_VALUE,  /* behind '[': a value or ']' */
    WANT_KEY,          /* behind a comma of an object */
    WANT_FIRST_KEY,    /* behind '{': a key or '}' */
    WANT_COMMA_OR_END, /* behind a value in a container */
    WANT_NOTHING,      /* the value of the document is complete */
};

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

/* fail - remember the failure at the reader's place; returns false for the caller's return. */
__attribute__((cold)) static bool fail(struct rb_json_reader *r, enum rb_code code, const char *why)
{
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

static inline const char *skip_blanks(const char *p, const char *end)
{
    if (p < end && (unsigned char)*p > ' ') {
        return p; /* compact documents have none */
    }
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) {
        p++;
    }
    return p;
}

/* read_string - a key or a string as @type; r->p is at the opening quote. */
static inline bool read_string(struct rb_json_reader *r, struct rb_json_token *t,
                               enum rb_json_type type)
{
    const char *start = r->p + 1;
    const char *p = start;
    bool escaped = false;
    for (;;) {
        p = json_skip_plain(p, r->end);
        if (p == r->end) {
            r->p = p;
            return fail(r, RB_E_INVALID, "string without an end");
        }
        if (*p == '"') {
            t->type = type;
            t->raw.ptr = start;
            t->raw.len = (size_t)(p - start);
            t->escaped = escaped;
            r->p = p + 1;
            return true;
        }
        r->p = p; /* where it is wrong, if it is */
        if (*p == '\\') {
            unsigned char bytes[4];
            const char *why = NULL;
            if (json_escape(&p, r->end, bytes, &why) == 0) {
                return fail(r, RB_E_INVALID, why);
            }
            escaped = true;
            continue;
        }
        if ((unsigned char)*p < 0x20) {
            return fail(r, RB_E_INVALID, "control byte in a string");
        }
        size_t n = rb_utf8_seq(p, (size_t)(r->end - p));
        if (n == 0) {
            return fail(r, RB_E_INVALID, "invalid UTF-8");
        }
        p += n;
    }
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && (unsigned)(unsigned char)*p - '0' <= 9) {
        p++;
    }
    return p;
}

/* read_number - r->p is at a digit or a minus. */
static bool read_number(struct rb_json_reader *r, struct rb_json_token *t)
{
    const char *p = r->p;
    const char *end = r->end;
    if (*p == '-') {
        p++;
    }
    const char *digits = p;
    p = skip_digits(p, end);
    bool good = p > digits && (*digits != '0' || p == digits + 1);
    if (good && p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        good = p > digits;
    }
    if (good && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        digits = p;
        p = skip_digits(p, end);
        good = p > digits;
    }
    if (!good) {
        return fail(r, RB_E_INVALID, "malformed number");
    }
    t->type = RB_JSON_NUMBER;
    t->raw.ptr = r->p;
    t->raw.len = (size_t)(p - r->p);
    t->escaped = false;
    r->p = p;
    return true;
}

static inline void plain_token(struct rb_json_token *t, enum rb_json_type type)
{
    *t = (struct rb_json_token){.type = type, .raw = {.ptr = NULL, .len = 0}};
}

static bool read_word(struct rb_json_reader *r, struct rb_json_token *t, const char *word,
                      size_t len, enum rb_json_type type)
{
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0) {
        return fail(r, RB_E_INVALID, "value expected");
    }
    r->p += len;
    plain_token(t, type);
    return true;
}

static bool open_container(struct rb_json_reader *r, struct rb_json_token *t, bool is_object)
{
    if (r->depth == RB_JSON_MAX_DEPTH) {
        return fail(r, RB_E_TOO_LARGE, "nested too deep");
    }
    r->level[r->depth++] = (struct rb_json_level){
        .is_object = is_object, .first_key = r->n_keys, .n_keys = 0, .seen = 0};
    r->p++;
    plain_token(t, is_object ? RB_JSON_OBJECT_BEGIN : RB_JSON_ARRAY_BEGIN);
    r->state = is_object ? WANT_FIRST_KEY : WANT_FIRST_VALUE;
    return true;
}

static bool close_container(struct rb_json_reader *r, struct rb_json_token *t)
{
    const struct rb_json_level *l = &r->level[--r->depth];
    r->n_keys = l->first_key;
    r->p++;
    plain_token(t, l->is_object ? RB_JSON_OBJECT_END : RB_JSON_ARRAY_END);
    r->state = r->depth == 0 ? WANT_NOTHING : WANT_COMMA_OR_END;
    return true;
}

static inline bool read_value(struct rb_json_reader *r, struct rb_json_token *t)
{
    bool good = false;
    switch (*r->p) {
    case '{':
        return open_container(r, t, true);
    case '[':
        return open_container(r, t, false);
    case '"':
        good = read_string(r, t, RB_JSON_STRING);
        break;
    case 't':
        good = read_word(r, t, "true", 4, RB_JSON_TRUE);
        break;
    case 'f':
        good = read_word(r, t, "false", 5, RB_JSON_FALSE);
        break;
    case 'n':
        good = read_word(r, t, "null", 4, RB_JSON_NULL);
        break;
    default:
        if (*r->p != '-' && (unsigned)(unsigned char)*r->p - '0' > 9) {
            return fail(r, RB_E_INVALID, "value expected");
        }
        good = read_number(r, t);
        break;
    }
    r->state = r->depth == 0 ? WANT_NOTHING : WANT_COMMA_OR_END;
    return good;
}

/* has_key - is there a key that says the same in object @l? */
static bool has_key(const struct rb_json_reader *r, const struct rb_json_level *l,
                    const struct rb_json_token *t, uint32_t hash)
{
    for (unsigned i = l->first_key; i < r->n_keys; i++) {
        if (r->keys[i].hash == hash) {
            struct rb_slice other = {.ptr = r->start + r->keys[i].offset, .len = r->keys[i].len};
            if (json_raw_equal(other, t->raw)) {
                return true;
            }
        }
    }
    return false;
}

/* note_key - false when the innermost object has this key already, or too many of them. */
static inline bool note_key(struct rb_json_reader *r, const struct rb_json_token *t)
{
    struct rb_json_level *l = &r->level[r->depth - 1];
    uint32_t hash = t->escaped ? json_hash_escaped(t->raw) : json_hash_plain(t->raw, r->end);
    uint64_t bit = UINT64_C(1) << (hash & 63U);
    if ((l->seen & bit) != 0 && has_key(r, l, t, hash)) {
        return fail(r, RB_E_INVALID, "duplicate key");
    }
    if (l->n_keys == RB_JSON_MAX_KEYS || r->n_keys == RB_JSON_KEY_SLOTS) {
        return fail(r, RB_E_TOO_LARGE, "too many keys");
    }
    r->keys[r->n_keys].hash = hash;
    r->keys[r->n_keys].offset = (uint32_t)(t->raw.ptr - r->start);
    r->keys[r->n_keys].len = (uint32_t)t->raw.len;
    r->n_keys++;
    l->n_keys++;
    l->seen |= bit;
    return true;
}

/* read_key - the key and the colon behind it. */
static inline bool read_key(struct rb_json_reader *r, struct rb_json_token *t)
{
    if (*r->p != '"') {
        return fail(r, RB_E_INVALID, "key expected");
    }
    if (!read_string(r, t, RB_JSON_KEY) || !note_key(r, t)) {
        return false;
    }
    r->p = skip_blanks(r->p, r->end);
    if (r->p == r->end || *r->p != ':') {
        return fail(r, RB_E_INVALID, "colon expected");
    }
    r->p++;
    r->state = WANT_VALUE;
    return true;
}

/* read_next_member - behind a value in a container. */
static inline bool read_next_member(struct rb_json_reader *r, struct rb_json_token *t)
{
    bool in_object = r->level[r->depth - 1].is_object;
    if (*r->p == (in_object ? '}' : ']')) {
        return close_container(r, t);
    }
    if (*r->p != ',') {
        return fail(r, RB_E_INVALID, in_object ? "comma or } expected" : "comma or ] expected");
    }
    r->p = skip_blanks(r->p + 1, r->end);
    if (r->p == r->end) {
        return fail(r, RB_E_INVALID, "document ends too early");
    }
    return in_object ? read_key(r, t) : read_value(r, t);
}

static inline bool read_token(struct rb_json_reader *r, struct rb_json_token *t)
{
    r->p = skip_blanks(r->p, r->end);
    if (r->p == r->end) {
        if (r->state != WANT_NOTHING) {
            return fail(r, RB_E_INVALID, "document ends too early");
        }
        plain_token(t, RB_JSON_END);
        return true;
    }
    if (r->tokens++ >= r->max_tokens) {
        return fail(r, RB_E_TOO_LARGE, "too many tokens");
    }
    switch ((enum state)r->state) {
    case WANT_COMMA_OR_END:
        return read_next_member(r, t);
    case WANT_FIRST_KEY:
        return *r->p == '}' ? close_container(r, t) : read_key(r, t);
    case WANT_KEY:
        return read_key(r, t);
    case WANT_FIRST_VALUE:
        return *r->p == ']' ? close_container(r, t) : read_value(r, t);
    case WANT_VALUE:
        return read_value(r, t);
    case WANT_NOTHING:
        break;
    }
    return fail(r, RB_E_INVALID, "bytes after the end of the document");
}

enum rb_code rb_json_next(struct rb_json_reader *r, struct rb_json_token *ret_t, struct rb_err *err)
{
    if (r->failure != RB_OK || !read_token(r, ret_t)) {
        return report(r, err);
    }
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
    while (r->depth > outside) {
        if (!read_token(r, &inner)) {
            return report(r, err);
        }
    }
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
