/* tracecontext.h - W3C Trace Context: the headers traceparent and tracestate as values.
 *
 * Pure; what is not valid is told as such and means: begin a trace of your own, it is never an
 * error of the request. Ids are lower-case hex texts. Threads: any. Blocks: never. Source: W3C
 * Trace Context (Recommendation), 3.2, 3.3, 4.
 */
#ifndef RETRYBUILD_TRACECONTEXT_H
#define RETRYBUILD_TRACECONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RB_TRACE_ID_BYTES 33    /* 32 digits + NUL */
#define RB_SPAN_ID_BYTES 17     /* 16 digits + NUL */
#define RB_TRACEPARENT_BYTES 56 /* of version 00, + NUL */
#define RB_TRACESTATE_MAX_BYTES 512
#define RB_TRACESTATE_MAX_MEMBERS 32

struct rb_trace {
    char trace_id[RB_TRACE_ID_BYTES];
    char span_id[RB_SPAN_ID_BYTES]; /* of the parent */
    bool sampled;                   /* who sent it may have recorded it, and asks for the same */
    bool random;                    /* the id's last seven bytes are */
};

/* rb_traceparent_parse - exactly one header value without blanks around it. False, and *ret_t is
 * left alone, for: version ff, an id that is all zero, upper case, version 00 that is not exactly
 * 55 bytes long. Of a higher version what is known of version 00 is read, and what follows it after
 * a '-' is not. */
bool rb_traceparent_parse(const char *s, size_t len, struct rb_trace *ret_t);
/* rb_traceparent_write - as version 00. */
void rb_traceparent_write(const struct rb_trace *t, char ret_text[RB_TRACEPARENT_BYTES]);

/* rb_tracestate_parse - the list of @s, without blanks and empty members, into @ret_text; "" where
 * nothing is left. Where it is longer than RB_TRACESTATE_MAX_BYTES, members of more than 128 bytes
 * go first, then those at its end. False, and *ret_text is left alone: a member is none, a key is
 * there twice, there are more than 32. */
bool rb_tracestate_parse(const char *s, size_t len, char ret_text[RB_TRACESTATE_MAX_BYTES + 1]);

/* rb_trace_ratio_samples - whether a trace that begins here is one of @ratio (0..1) of all: by its
 * id alone, so that whoever is asked says the same. */
bool rb_trace_ratio_samples(const char *trace_id, double ratio);

#endif
