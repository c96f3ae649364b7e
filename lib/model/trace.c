/* trace.c - the trace that a retry belongs to.
 *
 * What came with the first failure is kept; a chain without one has a trace all the same, whose id
 * is made of the chain's: nothing need be stored, every process says the same, after a restart too.
 * The ids of a retry's spans follow from its own in the same way, so that a span may name its
 * parent before, or on another replica than, the parent is told.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/model.h>

static void derive(const char *what, const char *of, size_t len, char *ret_hex)
{
    const struct rb_slice parts[] = {RB_SLICE_LIT("trace"), rb_slice_str(what), rb_slice_str(of)};
    uint8_t digest[RB_SHA256_BYTES];

    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    digest[len - 1] |= 1; /* an id is never all zero */
    rb_hex(digest, len, ret_hex);
}

bool rb_retry_take_trace(struct rb_retry *r, const char *traceparent, const char *tracestate)
{
    char state[RB_TRACESTATE_MAX_BYTES + 1];
    char text[RB_TRACEPARENT_BYTES];
    struct rb_trace t;

    if (traceparent == NULL || !rb_traceparent_parse(traceparent, strlen(traceparent), &t)) {
        return true;
    }
    rb_traceparent_write(&t, text);
    r->traceparent = rb_arena_strdup(&r->arena, text);
    if (r->traceparent == NULL) {
        return false;
    }
    if (tracestate == NULL || !rb_tracestate_parse(tracestate, strlen(tracestate), state) ||
        state[0] == '\0') {
        return true;
    }
    r->tracestate = rb_arena_strdup(&r->arena, state);
    return r->tracestate != NULL;
}

bool rb_retry_inherit_trace(struct rb_retry *r, const struct rb_retry *from)
{
    r->traceparent = rb_arena_strdup(&r->arena, from->traceparent);
    r->tracestate = rb_arena_strdup(&r->arena, from->tracestate);
    return (r->traceparent != NULL || from->traceparent == NULL) &&
           (r->tracestate != NULL || from->tracestate == NULL);
}

bool rb_retry_trace(const struct rb_retry *r, double ratio, struct rb_trace *ret_t)
{
    if (r->traceparent != NULL &&
        rb_traceparent_parse(r->traceparent, strlen(r->traceparent), ret_t)) {
        return true;
    }
    *ret_t = (struct rb_trace){.span_id = ""};
    derive("chain", r->chain, (RB_TRACE_ID_BYTES - 1) / 2, ret_t->trace_id);
    ret_t->sampled = rb_trace_ratio_samples(ret_t->trace_id, ratio);
    return false;
}

void rb_retry_span_id(const char *id, const char *what, char ret_id[RB_SPAN_ID_BYTES])
{
    derive(what, id, (RB_SPAN_ID_BYTES - 1) / 2, ret_id);
}
