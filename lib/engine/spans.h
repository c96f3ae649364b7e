/* spans.h - a retry's life as spans; the headers with which its trace leaves us.
 *
 * Each is told when it is over. Where no collector is configured, or the trace is not sampled,
 * these cost an atomic read, and the parent that goes on is whoever sent the trace.
 *
 *     delivery            what came by HTTP; not for a sweep, nor for a further attempt
 *     └ retry             from the record's making to its end; of a further attempt below the retry
 *       │                 before it
 *       ├ decide, inspect
 *       ├ CodeBuild/…     each call that may have started a build
 *       ├ build           the new build
 *       └ report          each post
 */
#ifndef RB_ENGINE_SPANS_H
#define RB_ENGINE_SPANS_H

#include "internal.h"

/* rb_spans_admitted - @r was stored; @delivered: as what came by HTTP. */
void rb_spans_admitted(struct rb_engine *e, const struct rb_retry *r, bool delivered);
void rb_spans_decided(struct rb_engine *e, const struct rb_settings *s, const struct rb_retry *r);
/* rb_spans_ended - the end of @r was stored. */
void rb_spans_ended(struct rb_engine *e, const struct rb_settings *s, const struct rb_retry *r);
/* rb_spans_inspected - a look that decided something, or failed. */
void rb_spans_inspected(const struct rb_work *k, int64_t began_ms, enum rb_code rc);
/* rb_spans_called - a call that may have started a build has been answered, or not. */
void rb_spans_called(const struct rb_work *k, int64_t began_ms, enum rb_code rc,
                     const struct rb_err *why);
/* rb_spans_built - the new build has ended. */
void rb_spans_built(const struct rb_work *k);

struct rb_span_of_report {
    bool recorded;
    char span_id[RB_SPAN_ID_BYTES];
    char header[RB_TRACEPARENT_BYTES]; /* for the receiver */
    char event[RB_TRACEPARENT_BYTES];  /* of what is reported: the same on every attempt */
    int64_t began_ms;
};
void rb_spans_report_begin(struct rb_engine *e, const struct rb_settings *s,
                           const struct rb_retry *r, struct rb_span_of_report *ret_p);
struct rb_destination_setting;
struct rb_post_result;
void rb_spans_report_end(struct rb_engine *e, const struct rb_settings *s, const struct rb_task *t,
                         const struct rb_destination_setting *d,
                         const struct rb_post_result *result, const struct rb_span_of_report *p);

#endif
