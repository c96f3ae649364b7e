/* span.c - a span as OTLP's JSON: ids in hex, 64-bit numbers as texts, enums as numbers. */
#include <inttypes.h>
#include <string.h>

#include <retrybuild/str.h>
#include <retrybuild/telemetry.h>

#define FLAG_SAMPLED 0x001u
#define FLAG_PARENT_KNOWN 0x100u
#define FLAG_PARENT_REMOTE 0x200u
#define TEXT_MAX_BYTES 1024 /* of one attribute; longer ones are cut at a character */

void rb_span_text(struct rb_span *s, const char *key, const char *text)
{
    if (text != NULL && s->n_attributes < RB_SPAN_ATTRIBUTES_MAX) {
        s->attributes[s->n_attributes++] = (struct rb_span_attribute){.key = key, .text = text};
    }
}

void rb_span_number(struct rb_span *s, const char *key, int64_t number)
{
    if (s->n_attributes < RB_SPAN_ATTRIBUTES_MAX) {
        s->attributes[s->n_attributes++] =
            (struct rb_span_attribute){.key = key, .number = number, .is_int = true};
    }
}

static void add_text(struct rb_buf *out, const char *s)
{
    size_t len = strlen(s);

    if (len > TEXT_MAX_BYTES) {
        len = TEXT_MAX_BYTES;
        while (len > 0 && ((unsigned char)s[len] & 0xC0U) == 0x80U) {
            len--;
        }
    }
    rb_buf_add_json_string(out, s, len);
}

static void add_time(struct rb_buf *out, const char *name, int64_t ms)
{
    rb_buf_addf(out, ",\"%s\":\"%" PRId64 "000000\"", name, ms < 0 ? 0 : ms);
}

static void add_attribute(struct rb_buf *out, const struct rb_span_attribute *a)
{
    rb_buf_addf(out, "{\"key\":\"%s\",\"value\":{", a->key);
    if (a->is_int) {
        rb_buf_addf(out, "\"intValue\":\"%" PRId64 "\"}}", a->number);
    } else {
        rb_buf_adds(out, "\"stringValue\":");
        add_text(out, a->text);
        rb_buf_adds(out, "}}");
    }
}

static void add_events(struct rb_buf *out, const struct rb_span *s)
{
    rb_buf_adds(out, ",\"events\":[");
    for (unsigned i = 0; i < s->n_events; i++) {
        const struct rb_span_event *e = &s->events[i];
        rb_buf_adds(out, i == 0 ? "{\"name\":" : ",{\"name\":");
        add_text(out, e->name);
        add_time(out, "timeUnixNano", e->at_ms);
        if (e->note != NULL) {
            const struct rb_span_attribute note = {.key = "retrybuild.note", .text = e->note};
            rb_buf_adds(out, ",\"attributes\":[");
            add_attribute(out, &note);
            rb_buf_addc(out, ']');
        }
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, ']');
}

void rb_span_write_json(const struct rb_span *s, struct rb_buf *out)
{
    bool parent = !rb_str_empty(s->parent_id);
    unsigned flags = FLAG_SAMPLED | FLAG_PARENT_KNOWN | (s->remote ? FLAG_PARENT_REMOTE : 0);

    rb_buf_addf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", s->trace_id, s->span_id);
    if (parent) {
        rb_buf_addf(out, ",\"parentSpanId\":\"%s\"", s->parent_id);
    }
    if (!rb_str_empty(s->tracestate)) {
        rb_buf_adds(out, ",\"traceState\":");
        add_text(out, s->tracestate);
    }
    rb_buf_addf(out, ",\"flags\":%u,\"name\":", parent ? flags : FLAG_SAMPLED);
    add_text(out, s->name);
    rb_buf_addf(out, ",\"kind\":%d", (int)s->kind);
    add_time(out, "startTimeUnixNano", s->start_ms);
    add_time(out, "endTimeUnixNano", s->end_ms > s->start_ms ? s->end_ms : s->start_ms);
    rb_buf_adds(out, ",\"attributes\":[");
    for (unsigned i = 0; i < s->n_attributes; i++) {
        rb_buf_adds(out, i == 0 ? "" : ",");
        add_attribute(out, &s->attributes[i]);
    }
    rb_buf_addc(out, ']');
    if (s->n_events > 0) {
        add_events(out, s);
    }
    rb_buf_addf(out, ",\"status\":{\"code\":%d", (int)s->status);
    if (s->status == RB_SPAN_ERROR && s->error != NULL) {
        rb_buf_adds(out, ",\"message\":");
        add_text(out, s->error);
    }
    rb_buf_adds(out, "}}");
}
