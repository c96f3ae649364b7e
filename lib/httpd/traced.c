/* traced.c - the trace in which a request came: its headers as they were sent. Whether they are
 * valid is for the record to say (model.h): a request never fails for them.
 */
#include <string.h>
#include <strings.h>

#include <retrybuild/tracecontext.h>

#include "traced.h"

#define PARENT_MAX_BYTES 512 /* of a version that is yet to come */
#define STATE_MAX_BYTES RB_HEADER_BYTES_MAX

struct trace_search {
    const char *parent;
    unsigned n_parents;
    struct rb_buf *states; /* several headers are one list */
};

static enum MHD_Result search(void *cls, enum MHD_ValueKind kind, const char *key,
                              const char *value)
{
    struct trace_search *s = cls;
    (void)kind;
    if ((key[0] | 0x20) != 't' || value == NULL) {
        return MHD_YES;
    }
    if (strcasecmp(key, "traceparent") == 0) {
        s->parent = value;
        s->n_parents++;
    } else if (strcasecmp(key, "tracestate") == 0) {
        rb_buf_adds(s->states, s->states->len == 0 ? "" : ",");
        rb_buf_adds(s->states, value);
    }
    return MHD_YES;
}

static const char *without_blanks(struct rb_arena *a, const char *s)
{
    s += strspn(s, " \t");
    size_t len = strlen(s);
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t')) {
        len--;
    }
    return len > PARENT_MAX_BYTES ? NULL : rb_arena_strndup(a, s, len);
}

void rb_exchange_trace(struct rb_exchange *ex, const char **ret_parent, const char **ret_state)
{
    struct rb_buf states = RB_BUF_INIT(STATE_MAX_BYTES);
    struct trace_search s = {.states = &states};

    *ret_parent = *ret_state = NULL;
    MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, search, &s);
    if (s.n_parents == 1) {
        *ret_parent = without_blanks(&ex->arena, s.parent);
    }
    if (*ret_parent != NULL && states.len > 0 && !rb_buf_failed(&states)) {
        *ret_state = rb_arena_strndup(&ex->arena, rb_buf_str(&states), states.len);
    }
    rb_buf_release(&states);
}
