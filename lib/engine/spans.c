/* spans.c - what a retry's life looks like as spans of its trace, and how the trace goes on to who
 * is told of it.
 */
#include "spans.h"

#include <string.h>

void rb_spans_header(const struct rb_retry *r, double ratio, const char *span_id,
                     char ret_text[RB_TRACEPARENT_BYTES])
{
    struct rb_trace t;

    bool came = rb_retry_trace(r, ratio, &t);
    if (span_id != NULL) {
        memcpy(t.span_id, span_id, sizeof(t.span_id));
    } else if (!came) {
        rb_retry_span_id(r->id, RB_SPAN_RETRY, t.span_id);
    }
    rb_traceparent_write(&t, ret_text);
}
