/* codebuild_phases.c - the phases of an event: which failed first, with which words, and when the
 * last one ended.
 *
 * Of each phase only its tokens are kept while it is read; texts are copied for the one that
 * counts.
 */
#include "codebuild_walk.h"

#define JOINED_MAX_BYTES 8192 /* of the contexts, before the message is cut */

static enum rb_code read_phase_type(struct walk *w, const struct rb_json_token *t,
                                    struct rb_err *err)
{
    return rb_walk_token(w, t, &w->phase.type, err);
}

static enum rb_code read_phase_status(struct walk *w, const struct rb_json_token *t,
                                      struct rb_err *err)
{
    return rb_walk_token(w, t, &w->phase.status, err);
}

static enum rb_code read_phase_start(struct walk *w, const struct rb_json_token *t,
                                     struct rb_err *err)
{
    return rb_walk_token(w, t, &w->phase.start, err);
}

static enum rb_code read_phase_end(struct walk *w, const struct rb_json_token *t,
                                   struct rb_err *err)
{
    return rb_walk_token(w, t, &w->phase.end, err);
}

static enum rb_code read_phase_context(struct walk *w, const struct rb_json_token *t,
                                       struct rb_err *err)
{
    struct rb_json_token item;
    enum rb_code rc = RB_OK;
    if (t->type != RB_JSON_ARRAY_BEGIN) {
        return rb_walk_drain(w, t, err);
    }
    while ((rc = rb_json_next(&w->reader, &item, err)) == RB_OK && item.type != RB_JSON_ARRAY_END) {
        if (item.type == RB_JSON_STRING && w->phase.n_contexts < CONTEXTS_MAX) {
            w->phase.contexts[w->phase.n_contexts++] = item;
        }
        rc = rb_walk_drain(w, &item, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return rc;
}

static const struct member phase_members[] = {
    VALUE("phase-context", read_phase_context), VALUE("start-time", read_phase_start),
    VALUE("end-time", read_phase_end),          VALUE("phase-type", read_phase_type),
    VALUE("phase-status", read_phase_status),
};

static bool is_noise(char c)
{
    return c == ' ' || c == ':' || c == '\n' || c == '\r' || c == '\t';
}

/* cut_raw - @t with at most @max bytes of its raw text, never in the middle of an escape. */
static struct rb_json_token cut_raw(struct rb_json_token t, size_t max)
{
    size_t n = 0;
    while (n < t.raw.len) {
        size_t step = 1;
        if (t.raw.ptr[n] == '\\') {
            step = t.raw.ptr[n + 1] == 'u' ? 6 : 2;
            bool high = step == 6 && (t.raw.ptr[n + 2] | 0x20) == 'd' &&
                        strchr("89abAB", t.raw.ptr[n + 3]) != NULL;
            step = high ? 12 : step;
        }
        if (n + step > max) {
            break;
        }
        n += step;
    }
    while (n > 0 && n < t.raw.len && ((unsigned char)t.raw.ptr[n] & 0xC0U) == 0x80U) {
        n--;
    }
    t.raw.len = n;
    return t;
}

/* join_contexts - what the phase says, without the ": " that AWS writes for nothing. */
static enum rb_code join_contexts(struct walk *w, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf joined = RB_BUF_INIT(2 * JOINED_MAX_BYTES);
    for (unsigned i = 0; i < w->phase.n_contexts && joined.len < JOINED_MAX_BYTES; i++) {
        struct rb_json_token t = cut_raw(w->phase.contexts[i], JOINED_MAX_BYTES - joined.len);
        struct rb_slice s = t.raw;
        if (t.escaped) {
            s = rb_slice_str(rb_json_dup(&t, w->arena));
            if (s.ptr == NULL) {
                return rb_walk_exhausted(err);
            }
        }
        while (s.len > 0 && is_noise(s.ptr[0])) {
            s.ptr++;
            s.len--;
        }
        while (s.len > 0 && is_noise(s.ptr[s.len - 1])) {
            s.len--;
        }
        if (s.len > 0 && joined.len > 0) {
            rb_buf_adds(&joined, "; ");
        }
        rb_buf_add(&joined, s.ptr, s.len);
    }
    if (joined.len > 0 && !rb_buf_failed(&joined)) {
        w->build.message = rb_arena_strndup(w->arena, joined.data, joined.len);
    }
    return rb_buf_failed(&joined) || (joined.len > 0 && w->build.message == NULL)
               ? rb_walk_exhausted(err)
               : RB_OK;
}

/* says - whether the string @t reads @text, however it is escaped. */
static inline bool says(const struct rb_json_token *t, struct rb_slice text)
{
    if (!t->escaped) {
        return t->raw.len == text.len && memcmp(t->raw.ptr, text.ptr, text.len) == 0;
    }
    struct rb_json_token key = *t;
    key.type = RB_JSON_KEY;
    return rb_json_key_is(&key, text.ptr);
}

/* keep_phase - the phase that failed first is the one the model knows. */
static enum rb_code keep_phase(struct walk *w, struct rb_err *err)
{
    const struct phase *p = &w->phase;
    if (rb_walk_is_string(&p->end)) {
        w->last_end = p->end;
    }
    if (rb_walk_is_string(&p->type) && says(&p->type, RB_SLICE_LIT("COMPLETED"))) {
        w->ended = p->start;
    }
    if (w->build.phase != NULL || !rb_walk_is_string(&p->status) || !rb_walk_is_string(&p->type) ||
        says(&p->status, RB_SLICE_LIT("SUCCEEDED")) || p->type.raw.len > TEXT_MAX_BYTES ||
        p->status.raw.len > TEXT_MAX_BYTES) {
        return RB_OK;
    }
    w->build.phase = rb_json_dup(&p->type, w->arena);
    w->build.phase_status = rb_json_dup(&p->status, w->arena);
    if (w->build.phase == NULL || w->build.phase_status == NULL) {
        return rb_walk_exhausted(err);
    }
    return join_contexts(w, err);
}

enum rb_code rb_walk_phases(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    struct rb_json_token item;
    enum rb_code rc = RB_OK;
    if (t->type != RB_JSON_ARRAY_BEGIN) {
        return rb_walk_drain(w, t, err);
    }
    while ((rc = rb_json_next(&w->reader, &item, err)) == RB_OK && item.type != RB_JSON_ARRAY_END) {
        w->phase.type.type = w->phase.status.type = RB_JSON_NULL;
        w->phase.start.type = w->phase.end.type = RB_JSON_NULL;
        w->phase.n_contexts = 0;
        rc = rb_walk_object(w, &item, phase_members, RB_ARRAY_LEN(phase_members), err);
        if (rc == RB_OK && item.type == RB_JSON_OBJECT_BEGIN) {
            rc = keep_phase(w, err);
        }
        if (rc != RB_OK) {
            return rc;
        }
    }
    return rc;
}
