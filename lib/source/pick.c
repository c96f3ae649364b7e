/* pick.c - one walk over a document; of what no path names only the syntax is looked at. */
#include "pick.h"

#include <assert.h>
#include <stdio.h>

#include <retrybuild/json.h>

/* the largest payload of a git host is 25 MB; listen.max_body bounds what is read at all */
#define TOKENS_MAX 8000000

struct picking {
    struct rb_json_reader reader;
    struct rb_arena *arena;
    const struct rb_pick *rows;
    size_t n;
    char *ret;
    char names[RB_PICK_ROWS_MAX][RB_PICK_DEPTH_MAX][RB_PICK_NAME_BYTES];
    unsigned depth[RB_PICK_ROWS_MAX];
};

static void split(struct picking *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const char *s = p->rows[i].path;
        for (;;) {
            size_t len = strcspn(s, ".");
            assert(p->depth[i] < RB_PICK_DEPTH_MAX && len < RB_PICK_NAME_BYTES);
            memcpy(p->names[i][p->depth[i]], s, len);
            p->names[i][p->depth[i]++][len] = '\0';
            if (s[len] == '\0') {
                break;
            }
            s += len + 1;
        }
    }
}

/* text_of - @t as text in the arena; NULL with RB_OK when it is none. */
static enum rb_code text_of(struct picking *p, const struct rb_json_token *t, size_t max,
                            const char **ret_text, struct rb_err *err)
{
    const char *text = NULL;
    switch ((int)t->type) {
    case RB_JSON_STRING:
    case RB_JSON_NUMBER:
        if (t->raw.len > max) {
            return RB_OK;
        }
        text = rb_json_dup(t, p->arena);
        if (text == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for the texts of a delivery");
        }
        break;
    case RB_JSON_TRUE:
        text = "true";
        break;
    case RB_JSON_FALSE:
        text = "false";
        break;
    case RB_JSON_OBJECT_BEGIN:
        text = "{}";
        break;
    case RB_JSON_ARRAY_BEGIN:
        text = "[]";
        break;
    default:
        break;
    }
    *ret_text = text;
    return RB_OK;
}

static enum rb_code take(struct picking *p, const struct rb_json_token *t, uint64_t mask,
                         unsigned depth, struct rb_err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        if ((mask >> i & 1) == 0 || p->depth[i] != depth) {
            continue;
        }
        const char *text = NULL;
        enum rb_code rc = text_of(p, t, p->rows[i].max, &text, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (text != NULL) {
            memcpy(p->ret + p->rows[i].offset, &text, sizeof(text));
        }
    }
    return RB_OK;
}

static uint64_t named(const struct picking *p, uint64_t mask, unsigned depth,
                      const struct rb_json_token *key, const char *name)
{
    uint64_t next = 0;
    for (size_t i = 0; i < p->n; i++) {
        if ((mask >> i & 1) == 0 || p->depth[i] <= depth) {
            continue;
        }
        const char *wanted = p->names[i][depth];
        if (key != NULL ? rb_json_key_is(key, wanted) : strcmp(name, wanted) == 0) {
            next |= UINT64_C(1) << i;
        }
    }
    return next;
}

/* walk - the value that @t begins, which the rows of @mask lead to; never deeper than a path. */
static enum rb_code walk(struct picking *p, const struct rb_json_token *t, uint64_t mask,
                         unsigned depth, struct rb_err *err)
{
    enum rb_code rc = take(p, t, mask, depth, err);
    bool object = t->type == RB_JSON_OBJECT_BEGIN;
    if (rc != RB_OK || mask == 0 || (!object && t->type != RB_JSON_ARRAY_BEGIN)) {
        return rc != RB_OK ? rc : rb_json_skip_rest(&p->reader, t, err);
    }
    for (unsigned position = 0;; position++) {
        struct rb_json_token key;
        struct rb_json_token value;
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", position);
        rc = object ? rb_json_member(&p->reader, &key, &value, err)
                    : rb_json_next(&p->reader, &value, err);
        if (rc != RB_OK ||
            (object ? key.type == RB_JSON_OBJECT_END : value.type == RB_JSON_ARRAY_END)) {
            return rc;
        }
        uint64_t next = named(p, mask, depth, object ? &key : NULL, name);
        rc = walk(p, &value, next, depth + 1, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
}

enum rb_code rb_pick(struct rb_slice body, const struct rb_pick *rows, size_t n, struct rb_arena *a,
                     void *ret, struct rb_err *err)
{
    struct picking p;
    struct rb_json_token first;
    assert(n <= RB_PICK_ROWS_MAX);
    rb_json_reader_init(&p.reader, body.ptr, body.len);
    p.reader.max_tokens = TOKENS_MAX;
    p.arena = a;
    p.rows = rows;
    p.n = n;
    p.ret = ret;
    memset(p.depth, 0, sizeof(p.depth));
    split(&p);
    enum rb_code rc = rb_json_next(&p.reader, &first, err);
    if (rc == RB_OK) {
        rc = walk(&p, &first, n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1, 0, err);
    }
    return rc == RB_OK ? rb_json_finish(&p.reader, err) : rc;
}
