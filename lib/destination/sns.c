/* sns - a message to a topic: the retry as a webhook tells it, or the notification that Amazon Q
 * Developer in chat applications shows (other text it drops without an error).
 *
 * What is rendered is the message; the call is signed and made by the engine. Source: facts on AWS,
 * 6.6.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/record.h>
#include <retrybuild/timefmt.h>

#include "internal.h"
#include "render.h"

#define BODY_MAX_BYTES ((size_t)256 * 1024)
#define TEXT_MAX_BYTES 4096

static void write_json(const struct rb_report_view *v, struct rb_buf *out)
{
    char time[RB_TIME_ISO_BYTES];

    rb_time_iso(rb_report_entered_ms(v), time);
    rb_buf_addf(out, "{\"type\":\"retry.%s\",\"timestamp\":\"%s\",\"data\":",
                rb_state_name(v->retry->state), time);
    rb_retry_write_json(v->retry, out);
    rb_buf_addc(out, '}');
}

/* ---- for chat ---- */

static void add_text(struct rb_buf *out, const char *name, const char *value)
{
    const char *text = value == NULL ? "" : value;

    rb_buf_addf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
    rb_buf_add_json_string(out, text, strlen(text));
}

/* Markdown of a chat: what AWS or a user wrote stands there as it is, not as marks. */
static void add_escaped(struct rb_buf *out, const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        if (strchr("*_`~<>[]\\", *s) != NULL) {
            rb_buf_addc(out, '\\');
        }
        rb_buf_addc(out, *s == '\n' || *s == '\r' ? ' ' : *s);
    }
}

static void describe(const struct rb_retry *r, struct rb_buf *out)
{
    rb_buf_adds(out, "Build ");
    add_escaped(out, r->build.id);
    rb_buf_addf(out, " ended as %s", r->build.status == NULL ? "a failure" : r->build.status);
    if (r->build.phase != NULL) {
        rb_buf_addf(out, " in %s", r->build.phase);
    }
    if (r->build.message != NULL) {
        rb_buf_adds(out, ": ");
        add_escaped(out, r->build.message);
    }
    if (r->has_child) {
        rb_buf_adds(out, "\nRun again as ");
        add_escaped(out, r->child.id);
        rb_buf_addf(out, " (%s)", r->child.status == NULL ? "started" : r->child.status);
    }
    if (r->n_history > 0 && r->history[r->n_history - 1].note != NULL) {
        rb_buf_adds(out, "\n");
        add_escaped(out, r->history[r->n_history - 1].note);
    }
}

static const char *next_step(const struct rb_retry *r, struct rb_arena *a)
{
    if (r->state == RB_STATE_HELD) {
        return rb_arena_printf(a, "`retrybuild approve %s` or `retrybuild deny %s`", r->id, r->id);
    }
    if (r->state == RB_STATE_DEAD) {
        return rb_arena_printf(a, "`retrybuild requeue %s`", r->id);
    }
    return NULL;
}

static void write_chat(const struct rb_report_view *v, struct rb_arena *a, struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES * 4);
    const struct rb_retry *r = v->retry;
    const char *state = rb_state_name(r->state);
    const char *step = next_step(r, a);

    describe(r, &text);
    rb_buf_adds(out, "{\"version\":\"1.0\",\"source\":\"custom\"");
    add_text(out, "id", v->message_id);
    rb_buf_adds(out, ",\"content\":{\"textType\":\"client-markdown\"");
    add_text(out, "title", rb_arena_printf(a, "%s: %s", r->build.project, state));
    add_text(out, "description", rb_buf_failed(&text) ? state : rb_buf_str(&text));
    if (step != NULL) {
        rb_buf_adds(out, ",\"nextSteps\":[");
        rb_buf_add_json_string(out, step, strlen(step));
        rb_buf_addc(out, ']');
    }
    rb_buf_addf(out, ",\"keywords\":[\"retrybuild\",\"%s\"]},\"metadata\":{", state);
    add_text(out, "threadId", r->chain);
    add_text(out, "summary", rb_arena_printf(a, "%s: %s", r->build.project, state));
    add_text(out, "eventType", rb_arena_printf(a, "retry.%s", state));
    rb_buf_adds(out, ",\"relatedResources\":[");
    if (r->build.arn != NULL) {
        rb_buf_add_json_string(out, r->build.arn, strlen(r->build.arn));
    }
    rb_buf_adds(out, "],\"additionalContext\":{");
    add_text(out, "retry", r->id);
    add_text(out, "project", r->build.project);
    add_text(out, "state", state);
    rb_buf_adds(out, "}}}");
}

static enum rb_code render(const struct rb_destination_setting *d, const struct rb_report_view *v,
                           struct rb_arena *a, struct rb_rendered *ret_r, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);

    if (rb_str_eq(d->format, "q-developer")) {
        write_chat(v, a, &body);
    } else {
        write_json(v, &body);
    }
    return rb_rendered_body(&body, a, ret_r, err);
}

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err)
{
    if (d->topic_arn == NULL || strstr(d->topic_arn, ":sns:") == NULL ||
        !rb_str_starts(d->topic_arn, "arn:")) {
        *ret_key = "topic_arn";
        return rb_err_set(err, RB_E_INVALID,
                          "is needed, such as arn:aws:sns:us-east-1:123456789012:retries");
    }
    if (d->format != NULL && !rb_str_eq(d->format, "json") &&
        !rb_str_eq(d->format, "q-developer")) {
        *ret_key = "format";
        return rb_err_set(err, RB_E_INVALID, "'%.40s' is none of json, q-developer", d->format);
    }
    return RB_OK;
}

static const char *const own_keys[] = {"topic_arn", "format", "endpoint_url", NULL};

const struct rb_destination_type rb_destination_sns = {
    .type = "sns",
    .keys = own_keys,
    .check = check,
    .render = render,
    .by_aws = true,
};
