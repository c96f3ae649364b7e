/* webhook - Standard Webhooks 1.0.0: any URL, JSON, signed with every secret that is in force. The
 * body is Standard Webhooks' own, or the same data as a CloudEvent in structured mode.
 *
 * The id is the message's on every attempt, timestamp and signatures are of the attempt; the body
 * is the same every time. Source: facts on integrations, 4.1.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>
#include <retrybuild/timefmt.h>

#include "internal.h"
#include "render.h"

#define BODY_MAX_BYTES ((size_t)256 * 1024)
#define SIGNATURES_MAX_BYTES 4096

static bool as_cloudevent(const struct rb_destination_setting *d)
{
    return rb_str_eq(d->format, "cloudevents");
}

static void add_text(struct rb_buf *out, const char *before, const char *text)
{
    rb_buf_adds(out, before);
    rb_buf_add_json_string(out, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

/* source and id together are what tells two events apart; the subject is the build's project. */
static void write_cloudevent(const struct rb_report_view *v, const char *time, struct rb_buf *out)
{
    rb_buf_addf(out, "{\"specversion\":\"1.0\",\"type\":\"retry.%s\",\"source\":\"retrybuild\"",
                rb_state_name(v->retry->state));
    add_text(out, ",\"id\":", v->message_id);
    add_text(out, ",\"subject\":", v->retry->build.project);
    if (v->event_trace != NULL) { /* extension "Distributed Tracing" */
        add_text(out, ",\"traceparent\":", v->event_trace);
        if (v->retry->tracestate != NULL) {
            add_text(out, ",\"tracestate\":", v->retry->tracestate);
        }
    }
    rb_buf_addf(out, ",\"time\":\"%s\",\"datacontenttype\":\"application/json\",\"data\":", time);
}

static void write_body(const struct rb_destination_setting *d, const struct rb_report_view *v,
                       struct rb_buf *out)
{
    char time[RB_TIME_ISO_BYTES];

    rb_time_iso(rb_report_entered_ms(v), time);
    if (as_cloudevent(d)) {
        write_cloudevent(v, time, out);
    } else {
        rb_buf_addf(out, "{\"type\":\"retry.%s\",\"timestamp\":\"%s\",\"data\":",
                    rb_state_name(v->retry->state), time);
    }
    rb_retry_write_json(v->retry, out);
    rb_buf_addc(out, '}');
}

static enum rb_code add_signatures(const struct rb_destination_setting *d,
                                   const struct rb_report_view *v, const struct rb_buf *body,
                                   struct rb_buf *out, struct rb_err *err)
{
    for (unsigned i = 0; i < d->secrets.n; i++) {
        const struct rb_secret_entry *e = &d->secrets.items[i];
        if (e->not_after_ms != 0 && v->now_ms > e->not_after_ms) {
            continue;
        }
        enum rb_code rc =
            rb_standard_webhooks_sign(e->secret, v->message_id, v->now_ms / 1000, body, out, err);
        if (rc != RB_OK) {
            return rb_err_wrap(err, rc, "destination '%s'", d->name);
        }
    }
    return RB_OK;
}

static enum rb_code fill(const struct rb_destination_setting *d, const struct rb_report_view *v,
                         const struct rb_buf *body, const struct rb_buf *signatures,
                         struct rb_arena *a, struct rb_rendered *ret_r, struct rb_err *err)
{
    struct rb_rendered r = {.method = "POST", .body_len = body->len};
    unsigned n = 0;

    r.url = rb_arena_strdup(a, rb_secret_data(d->url));
    r.body = rb_arena_strndup(a, rb_buf_str(body), body->len);
    r.headers[n++] = as_cloudevent(d) ? "Content-Type: application/cloudevents+json; charset=utf-8"
                                      : "Content-Type: application/json";
    r.headers[n++] = rb_arena_printf(a, "webhook-id: %s", v->message_id);
    r.headers[n++] = rb_arena_printf(a, "webhook-timestamp: %lld", (long long)(v->now_ms / 1000));
    if (signatures->len > 0) {
        r.headers[n++] = rb_arena_printf(a, "webhook-signature: %s", rb_buf_str(signatures));
    }
    if (v->traceparent != NULL) {
        r.headers[n++] = rb_arena_printf(a, "traceparent: %s", v->traceparent);
    }
    if (v->traceparent != NULL && v->tracestate != NULL) {
        r.headers[n++] = rb_arena_printf(a, "tracestate: %s", v->tracestate);
    }
    bool ok = r.url != NULL && r.body != NULL;
    for (unsigned i = 0; i < n; i++) {
        ok = ok && r.headers[i] != NULL;
    }
    if (!ok) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a report");
    }
    *ret_r = r;
    return RB_OK;
}

static enum rb_code render(const struct rb_destination_setting *d, const struct rb_report_view *v,
                           struct rb_arena *a, struct rb_rendered *ret_r, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf signatures = RB_BUF_INIT(SIGNATURES_MAX_BYTES);

    if (d->url == NULL) {
        return rb_err_set(err, RB_E_INVALID, "destination '%s' has no url", d->name);
    }
    write_body(d, v, &body);
    if (rb_buf_failed(&body)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the report is too large");
    }
    enum rb_code rc = add_signatures(d, v, &body, &signatures, err);
    if (rc == RB_OK && rb_buf_failed(&signatures)) {
        rc = rb_err_set(err, RB_E_TOO_LARGE, "destination '%s' has too many secrets", d->name);
    }
    return rc == RB_OK ? fill(d, v, &body, &signatures, a, ret_r, err) : rc;
}

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err)
{
    if (d->url == NULL) {
        *ret_key = "url";
        return rb_err_set(err, RB_E_INVALID, "webhook needs url");
    }
    *ret_key = "format";
    return d->format == NULL || rb_str_eq(d->format, "standard") || as_cloudevent(d)
               ? RB_OK
               : rb_err_set(err, RB_E_INVALID, "'%.40s' is neither standard nor cloudevents",
                            d->format);
}

static const char *const own_keys[] = {"url", "secrets", "format", NULL};

const struct rb_destination_type rb_destination_webhook = {
    .type = "webhook",
    .keys = own_keys,
    .check = check,
    .render = render,
};
