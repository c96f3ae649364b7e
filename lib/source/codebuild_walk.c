/* codebuild_walk.c - objects of an event, member by member.
 *
 * What an object may hold is a table of rows; a member of another type than expected counts as
 * absent. Whatever is skipped is validated all the same.
 */
#include "codebuild_walk.h"

enum rb_code rb_walk_exhausted(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for the texts of an event");
}

static enum rb_code read_text(struct walk *w, const struct member *m, const struct rb_json_token *t,
                              struct rb_err *err)
{
    if (t->type != RB_JSON_STRING || t->raw.len == 0 || t->raw.len > m->max) {
        return rb_walk_drain(w, t, err);
    }
    const char *text = rb_json_dup(t, w->arena);
    if (text == NULL) {
        return rb_walk_exhausted(err);
    }
    memcpy((char *)w + m->offset, &text, sizeof(text));
    return RB_OK;
}

static inline uint64_t word_at(const char *p)
{
    uint64_t word = 0;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* same_name - two names of @n bytes; most take two words, which overlap. */
static inline bool same_name(const char *a, const char *b, size_t n)
{
    if (n < 8 || n > 24) {
        return memcmp(a, b, n) == 0;
    }
    uint64_t differ = (word_at(a) ^ word_at(b)) | (word_at(a + n - 8) ^ word_at(b + n - 8));
    if (n > 16) {
        differ |= word_at(a + 8) ^ word_at(b + 8);
    }
    return differ == 0;
}

/* is_named - the usual key has no escapes, and its length alone tells most names apart. */
static inline bool is_named(const struct rb_json_token *key, const struct member *m)
{
    if (key->escaped) {
        return rb_json_key_is(key, m->name);
    }
    return key->raw.len == m->name_len && same_name(key->raw.ptr, m->name, m->name_len);
}

/* find_row - the row of @key, tried from @from on; @n when there is none. */
static inline size_t find_row(const struct rb_json_token *key, const struct member *rows, size_t n,
                              size_t from)
{
    for (size_t i = from; i < n; i++) {
        if (is_named(key, &rows[i])) {
            return i;
        }
    }
    for (size_t i = 0; i < from; i++) {
        if (is_named(key, &rows[i])) {
            return i;
        }
    }
    return n;
}

enum rb_code rb_walk_object(struct walk *w, const struct rb_json_token *t,
                            const struct member *rows, size_t n, struct rb_err *err)
{
    if (t->type != RB_JSON_OBJECT_BEGIN) {
        return rb_walk_drain(w, t, err);
    }
    size_t next = 0;
    for (;;) {
        struct rb_json_token key;
        struct rb_json_token value;
        enum rb_code rc = rb_json_member(&w->reader, &key, &value, err);
        if (rc != RB_OK || key.type == RB_JSON_OBJECT_END) {
            return rc;
        }
        size_t i = find_row(&key, rows, n, next);
        if (i == n) {
            rc = rb_walk_drain(w, &value, err);
        } else {
            next = i + 1;
            rc = rows[i].read != NULL ? rows[i].read(w, &value, err)
                                      : read_text(w, &rows[i], &value, err);
        }
        if (rc != RB_OK) {
            return rc;
        }
    }
}
