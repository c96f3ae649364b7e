/* codebuild_walk.h - one pass over an event: what it collects, and how its objects are read. */
#ifndef RB_SOURCE_CODEBUILD_WALK_H
#define RB_SOURCE_CODEBUILD_WALK_H

#include <stddef.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "codebuild_event.h"

#define TEXT_MAX_BYTES 1024 /* a longer text is no name of anything: absent */
#define CONTEXTS_MAX 8

struct phase {
    struct rb_json_token type, status, start, end;
    struct rb_json_token contexts[CONTEXTS_MAX];
    unsigned n_contexts;
};

struct walk {
    struct rb_json_reader reader;
    struct rb_arena *arena;
    struct rb_build build;
    const char *id, *detail_type, *source, *account, *region, *time;
    const char *build_id, *build_started;
    const char *flat_build, *flat_project, *flat_status; /* beside the envelope, not in a detail */
    bool has_detail, cloud_event;
    struct phase phase;         /* being read */
    struct rb_json_token ended; /* start of COMPLETED */
    struct rb_json_token last_end;
};

/* One member: read by @read, which is handed the first token of the value, or else a text of at
 * most
 * @max bytes that goes to @offset. Rows stand in the order in which AWS writes the members: the row
 * behind the last hit is tried first. */
struct member {
    const char *name;
    size_t name_len;
    size_t offset;
    size_t max;
    enum rb_code (*read)(struct walk *w, const struct rb_json_token *t, struct rb_err *err);
};

#define TEXT(name, member, max)                                          \
    {                                                                    \
        name, sizeof(name) - 1, offsetof(struct walk, member), max, NULL \
    }
#define VALUE(name, read)                  \
    {                                      \
        name, sizeof(name) - 1, 0, 0, read \
    }

/* rb_walk_drain - the rest of the value that @t begins; nothing for scalars. */
static inline enum rb_code rb_walk_drain(struct walk *w, const struct rb_json_token *t,
                                         struct rb_err *err)
{
    return t->type == RB_JSON_OBJECT_BEGIN || t->type == RB_JSON_ARRAY_BEGIN
               ? rb_json_skip_rest(&w->reader, t, err)
               : RB_OK;
}
/* rb_walk_token - *ret_t is the string @t or is cleared. */
static inline enum rb_code rb_walk_token(struct walk *w, const struct rb_json_token *t,
                                         struct rb_json_token *ret_t, struct rb_err *err)
{
    *ret_t = *t;
    if (t->type == RB_JSON_STRING) {
        return RB_OK;
    }
    ret_t->type = RB_JSON_NULL;
    return rb_walk_drain(w, t, err);
}
/* rb_walk_object - the value that @t begins, by its members; what is no object is skipped. */
enum rb_code rb_walk_object(struct walk *w, const struct rb_json_token *t,
                            const struct member *rows, size_t n, struct rb_err *err);
enum rb_code rb_walk_exhausted(struct rb_err *err);
/* rb_walk_phases - the value of "phases": the first phase that failed, and when it all ended. */
enum rb_code rb_walk_phases(struct walk *w, const struct rb_json_token *t, struct rb_err *err);
/* rb_walk_is_string - a string that is not empty. */
static inline bool rb_walk_is_string(const struct rb_json_token *t)
{
    return t->type == RB_JSON_STRING && t->raw.len > 0;
}

#endif
