/* spans.h - a retry's life as spans; the headers with which its trace leaves us. */
#ifndef RB_ENGINE_SPANS_H
#define RB_ENGINE_SPANS_H

#include <retrybuild/model.h>

/* kinds of spans that a retry has once: rb_retry_span_id */
#define RB_SPAN_RETRY "retry"

/* rb_spans_header - the traceparent of what is done for @r. @span_id: of the span that does it;
 * NULL = no span is made of it: the parent stays whoever sent the trace, and of a trace that began
 * here the retry. */
void rb_spans_header(const struct rb_retry *r, double ratio, const char *span_id,
                     char ret_text[RB_TRACEPARENT_BYTES]);

#endif
