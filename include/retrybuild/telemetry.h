/* telemetry.h - spans of what happened, posted to a collector as OTLP/HTTP JSON.
 *
 * Who has done something tells it once it is over; the span is copied as text into a bounded queue,
 * and a thread of its own posts what has gathered. Nobody waits for it: when the queue is full the
 * span is dropped and counted (spans_total). Without telemetry.otlp_endpoint there is neither queue
 * nor thread. Threads: any. Blocks: rb_tracer_stop, at most its grace; nothing else. Source:
 * OpenTelemetry Protocol 1.x, "OTLP/HTTP", "JSON Protobuf Encoding".
 */
#ifndef RETRYBUILD_TELEMETRY_H
#define RETRYBUILD_TELEMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/random.h>
#include <retrybuild/settings.h>
#include <retrybuild/tracecontext.h>

enum rb_span_kind { /* numbers of the protocol */
                    RB_SPAN_INTERNAL = 1,
                    RB_SPAN_SERVER,
                    RB_SPAN_CLIENT,
                    RB_SPAN_PRODUCER,
                    RB_SPAN_CONSUMER,
};
enum rb_span_status { RB_SPAN_UNSET, RB_SPAN_OK, RB_SPAN_ERROR };

struct rb_span_attribute { /* a text, or a number where is_int */
    const char *key;
    const char *text; /* NULL: the attribute is left out */
    int64_t number;
    bool is_int;
};
#define RB_SPAN_ATTRIBUTES_MAX 24

struct rb_span_event {
    int64_t at_ms;
    const char *name;
    const char *note; /* NULL = none */
};

struct rb_span {
    const char *trace_id, *span_id;
    const char *parent_id;  /* NULL or "" = none */
    bool remote;            /* the parent is somebody else's */
    const char *tracestate; /* NULL = none */
    const char *name;
    enum rb_span_kind kind;
    int64_t start_ms, end_ms; /* unix; an end before the start counts as the start */
    enum rb_span_status status;
    const char *error; /* of ERROR: a sentence; NULL = none */
    struct rb_span_attribute attributes[RB_SPAN_ATTRIBUTES_MAX];
    unsigned n_attributes;
    const struct rb_span_event *events;
    unsigned n_events;
};
/* rb_span_text, rb_span_number - one attribute more; what does not fit is left out. */
void rb_span_text(struct rb_span *s, const char *key, const char *text);
void rb_span_number(struct rb_span *s, const char *key, int64_t number);
/* rb_span_write_json - as an element of "spans". Pure. */
void rb_span_write_json(const struct rb_span *s, struct rb_buf *out);

struct rb_tracer;
/* rb_tracer_new - @version: of the program, static. The thread starts with the first settings that
 * have an endpoint. */
enum rb_code rb_tracer_new(struct rb_settings *s, const struct rb_clock *clock,
                           const struct rb_random *random, const char *version,
                           struct rb_tracer **ret_t, struct rb_err *err);
/* rb_tracer_reload - what has gathered goes where the new settings say. */
void rb_tracer_reload(struct rb_tracer *t, struct rb_settings *s);
/* rb_tracer_on - spans are wanted; one atomic read. False for NULL. */
bool rb_tracer_on(const struct rb_tracer *t);
/* rb_tracer_new_id - an id for a span that has none of its own. */
void rb_tracer_new_id(struct rb_tracer *t, char ret_id[RB_SPAN_ID_BYTES]);
void rb_tracer_add(struct rb_tracer *t, const struct rb_span *s);
/* rb_tracer_stop - post what has gathered, for at most @grace_ms; join. */
void rb_tracer_stop(struct rb_tracer *t, int64_t grace_ms);
void rb_tracer_free(struct rb_tracer *t); /* after stop; NULL accepted */

#endif
