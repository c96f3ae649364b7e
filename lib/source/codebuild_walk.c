/* codebuild_walk.c - objects of an event, member by member.
 *
 * What an object may hold is a table of rows; a member of another type than expected counts as
 * absent. Whatever is skipped is validated all the same.
 */
#include "codebuild_walk.h"

enum rb_code rb_walk_drain(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    return rb_json_skip_rest(&w->reader, t, err);
}

enum rb_code rb_walk_exhausted(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for the texts of an event");
}

enum rb_code rb_walk_token(struct walk *w, struct rb_json_token *ret_t, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_t = t.type == RB_JSON_STRING ? t : (struct rb_json_token){.type = RB_JSON_NULL};
    return rb_walk_drain(w, &t, err);
}

static enum rb_code read_text(struct walk *w, const struct member *m, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_walk_token(w, &t, err);
    if (rc != RB_OK || t.type != RB_JSON_STRING || t.raw.len == 0 || t.raw.len > m->max) {
        return rc;
    }
    const char *text = rb_json_dup(&t, w->arena);
    if (text == NULL) {
        return rb_walk_exhausted(err);
    }
    memcpy((char *)w + m->offset, &text, sizeof(text));
    return RB_OK;
}

/* is_named - the usual key has no escapes, and its length alone tells most names apart. */
static bool is_named(const struct rb_json_token *key, const struct member *m)
{
    if (key->escaped) {
        return rb_json_key_is(key, m->name);
    }
    return key->raw.len == m->name_len && memcmp(key->raw.ptr, m->name, m->name_len) == 0;
}

static enum rb_code read_member(struct walk *w, const struct rb_json_token *key,
                                const struct member *rows, size_t n, struct rb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (is_named(key, &rows[i])) {
            return rows[i].read != NULL ? rows[i].read(w, err) : read_text(w, &rows[i], err);
        }
    }
    return rb_json_skip(&w->reader, err);
}

enum rb_code rb_walk_open_object(struct walk *w, const struct member *rows, size_t n,
                                 struct rb_err *err)
{
    for (;;) {
        struct rb_json_token t;
        enum rb_code rc = rb_json_next(&w->reader, &t, err);
        if (rc == RB_OK && t.type == RB_JSON_KEY) {
            rc = read_member(w, &t, rows, n, err);
        }
        if (rc != RB_OK || t.type == RB_JSON_OBJECT_END) {
            return rc;
        }
    }
}

enum rb_code rb_walk_object(struct walk *w, const struct member *rows, size_t n,
                            bool *ret_is_object, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_is_object = t.type == RB_JSON_OBJECT_BEGIN;
    return *ret_is_object ? rb_walk_open_object(w, rows, n, err) : rb_walk_drain(w, &t, err);
}
