/* json.h - two readers of JSON, both strict and bounded.
 *
 * 1. The pull reader walks a document once, allocates nothing, and gives tokens; for deliveries
 * (hot path). RFC 8259, depth <= max_depth, tokens <= max_tokens, valid UTF-8, no duplicate keys in
 * one object (for objects of up to RB_JSON_MAX_KEYS members seen; a larger object is an error), no
 * NUL escapes in strings (\u0000 refused), one value, no trailing bytes. Lone surrogate escapes are
 * an error.
 * 2. rb_json_load is jansson with the same bounds, for everything else.
 * Threads: a reader belongs to one thread. Blocks: never. Errors: RB_E_INVALID with line and
 * column, RB_E_TOO_LARGE for the bounds.
 */
#ifndef RETRYBUILD_JSON_H
#define RETRYBUILD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

#define RB_JSON_MAX_DEPTH 32
#define RB_JSON_MAX_TOKENS 20000
#define RB_JSON_MAX_KEYS 256
#define RB_JSON_KEY_SLOTS 512 /* keys of all objects that are open at once */
/* rb_json_load may read more: one answer of AWS describes a hundred builds */
#define RB_JSON_LOAD_MAX_TOKENS 200000

enum rb_json_type {
    RB_JSON_END, /* the document is complete */
    RB_JSON_OBJECT_BEGIN,
    RB_JSON_OBJECT_END,
    RB_JSON_ARRAY_BEGIN,
    RB_JSON_ARRAY_END,
    RB_JSON_KEY,
    RB_JSON_STRING,
    RB_JSON_NUMBER,
    RB_JSON_TRUE,
    RB_JSON_FALSE,
    RB_JSON_NULL,
};

struct rb_json_token {
    enum rb_json_type type;
    struct rb_slice raw; /* KEY, STRING: between the quotes, still escaped; NUMBER: its text;
                            borrowed from the document */
    bool escaped;        /* KEY, STRING: raw holds at least one backslash */
};

struct rb_json_level {
    bool is_object;
    uint16_t first_key; /* index of this object's first key hash */
    uint64_t seen;      /* bit (hash % 64) of each key: most new keys need no comparison */
};

struct rb_json_reader {
    const char *p, *end, *start;
    uint32_t depth, tokens;
    int state; /* private: what may come next */
    struct rb_json_level level[RB_JSON_MAX_DEPTH];
    struct {
        uint32_t hash;
        uint32_t offset, len;
    } keys[RB_JSON_KEY_SLOTS];
    uint16_t n_keys;
    uint32_t max_tokens;  /* RB_JSON_MAX_TOKENS after init */
    enum rb_code failure; /* RB_OK, or how every further call fails */
    const char *why;      /* static text of the failure */
};

/* rb_json_reader_init - does not copy @data. */
void rb_json_reader_init(struct rb_json_reader *r, const char *data, size_t len);
/* rb_json_next - the next token. After an error every further call fails the same way. */
enum rb_code rb_json_next(struct rb_json_reader *r, struct rb_json_token *ret_t,
                          struct rb_err *err);
/* rb_json_member - inside an object, where a KEY or the object's end comes next: the key and the
 * first token of its value in one step. At the end *ret_key is the OBJECT_END, and *ret_value is
 * left alone. */
enum rb_code rb_json_member(struct rb_json_reader *r, struct rb_json_token *ret_key,
                            struct rb_json_token *ret_value, struct rb_err *err);
/* rb_json_skip - after a KEY or inside an array: consume one whole value (validated all the same).
 */
enum rb_code rb_json_skip(struct rb_json_reader *r, struct rb_err *err);
/* rb_json_skip_rest - @t is the first token of a value, just read: consume the rest of that value
 * (nothing for a scalar). */
enum rb_code rb_json_skip_rest(struct rb_json_reader *r, const struct rb_json_token *t,
                               struct rb_err *err);
/* rb_json_finish - read and validate the rest of the document, however deep the reader stands. */
enum rb_code rb_json_finish(struct rb_json_reader *r, struct rb_err *err);
bool rb_json_key_is(const struct rb_json_token *t, const char *name); /* handles escapes */
/* rb_json_dup - unescaped, NUL-terminated copy of a KEY or STRING (or a NUMBER's text) in @a; NULL
 * when exhausted. */
const char *rb_json_dup(const struct rb_json_token *t, struct rb_arena *a);
/* rb_json_int - an integral number within int64 (also "31.0", "3e1"); false otherwise, including on
 * overflow. */
bool rb_json_int(const struct rb_json_token *t, int64_t *ret_v);

/* rb_json_load - a document by jansson, duplicates refused, depth and tokens checked before. Caller
 * json_decref()s. */
enum rb_code rb_json_load(const char *data, size_t len, json_t **ret_json, struct rb_err *err);
void rb_json_decrefp(json_t **j); /* for RB_CLEANUP */

#endif
