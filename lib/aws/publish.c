/* publish.c - SNS Publish speaks the query protocol: a form, answered in XML. EventBridge PutEvents
 * speaks JSON 1.1, and answers 200 also when the entry was not taken. */
#include <retrybuild/publish.h>

#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/timefmt.h>
#include <retrybuild/url.h>

#include "identity.h"
#include "internal.h"

#define BODY_MAX_BYTES ((size_t)1024 * 1024)
#define SUBJECT_MAX 100
#define ARN_PARTS 6

static const struct rb_aws_service SNS = {.name = "sns"};
static const struct rb_aws_service EVENTS = {.name = "events", .target = "AWSEvents"};

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a message");
}

/* The region in "arn:partition:service:region:account:rest"; NULL: no such ARN. */
static const char *region_of(const char *arn, const char *service, struct rb_arena *a)
{
    struct rb_slice part[ARN_PARTS];
    const char *p = arn == NULL ? "" : arn;

    for (unsigned i = 0; i < ARN_PARTS; i++) {
        const char *colon = i + 1 < ARN_PARTS ? strchr(p, ':') : p + strlen(p);
        if (colon == NULL || colon == p) {
            return NULL;
        }
        part[i] = (struct rb_slice){.ptr = p, .len = (size_t)(colon - p)};
        p = colon + (*colon == ':' ? 1 : 0);
    }
    return rb_slice_eq(part[0], "arn") && rb_slice_eq(part[2], service)
               ? rb_arena_strndup(a, part[3].ptr, part[3].len)
               : NULL;
}

static enum rb_code send_once(struct rb_codebuild *c, const struct rb_aws_call *what,
                              int64_t *ret_retry_after_ms, json_t **ret_json, struct rb_err *err)
{
    struct rb_aws_call call = *what;
    struct rb_aws_fate fate;

    if (rb_buf_failed(call.body)) {
        return rb_err_set(err, RB_E_INVALID, "the message is too large");
    }
    call.timeout_ms = c->timeout_ms;
    call.changes = true;
    enum rb_code rc = rb_aws_send(c, &call, &fate, ret_json, err);
    *ret_retry_after_ms = fate.retry_after_ms;
    if (rc == RB_E_CREDENTIALS && fate.access_key[0] != '\0') {
        rb_aws_credentials_refused(c->aws);
    }
    return rc;
}

/* ---- SNS ---- */

static void add_field(struct rb_buf *out, const char *name, const char *value)
{
    rb_buf_addf(out, "&%s=", name);
    rb_url_encode(out, value, strlen(value));
}

/* SNS takes ASCII without control characters, and refuses the whole message otherwise. */
static const char *plain_subject(const char *s, struct rb_arena *a)
{
    char *made = rb_arena_strndup(a, s, strnlen(s, SUBJECT_MAX));

    for (char *p = made; p != NULL && *p != '\0'; p++) {
        unsigned char ch = (unsigned char)*p;
        *p = ch < ' ' || ch > '~' ? '?' : *p;
    }
    return made;
}

static enum rb_code judge_xml(const struct rb_http_answer *answer, struct rb_err *err)
{
    static const char *const paths[] = {"Error/Code", "Error/Message"};
    const char *said[2] = {NULL, NULL};
    RB_CLEANUP(rb_arena_release) struct rb_arena a;

    rb_arena_init(&a, (size_t)256 * 1024);
    (void)rb_xml_read(rb_buf_str(&answer->body), answer->body.len, paths, 2, &a, said, NULL);
    return rb_aws_refused("Publish", answer->status, said[0], said[1], err);
}

enum rb_code rb_sns_publish(struct rb_codebuild *c, const struct rb_sns_message *m,
                            struct rb_arena *a, const char **ret_id, int64_t *ret_retry_after_ms,
                            struct rb_err *err)
{
    static const char *const paths[] = {"PublishResult/MessageId"};
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    json_t *none = NULL;
    const char *id = NULL;
    const char *region = region_of(m->topic_arn, "sns", a);

    *ret_retry_after_ms = -1;
    if (region == NULL) {
        return rb_err_set(err, RB_E_INVALID, "'%.100s' is not the ARN of an SNS topic",
                          m->topic_arn == NULL ? "" : m->topic_arn);
    }
    rb_buf_adds(&body, "Action=Publish&Version=2010-03-31");
    add_field(&body, "TopicArn", m->topic_arn);
    if (!rb_str_empty(m->subject)) {
        const char *subject = plain_subject(m->subject, a);
        if (subject == NULL) {
            return no_memory(err);
        }
        add_field(&body, "Subject", subject);
    }
    add_field(&body, "Message", m->message);
    const struct rb_aws_call call = {.service = &SNS,
                                     .operation = "Publish",
                                     .region = region,
                                     .endpoint_url = m->endpoint_url,
                                     .body = &body,
                                     .ret_answer = &answer};
    enum rb_code rc = send_once(c, &call, ret_retry_after_ms, &none, err);
    if (answer.status != 0 && answer.status != 200) {
        return judge_xml(&answer, err); /* the common judge reads JSON */
    }
    if (rc != RB_OK) {
        return rc;
    }
    rc = rb_xml_read(rb_buf_str(&answer.body), answer.body.len, paths, 1, a, &id, NULL);
    if (rc != RB_OK || id == NULL) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "Publish: the answer names no message");
    }
    *ret_id = id;
    return RB_OK;
}

/* ---- EventBridge ---- */

static void event_body(const struct rb_bus_event *e, struct rb_buf *out)
{
    rb_buf_adds(out, "{\"Entries\":[{\"Source\":");
    rb_buf_add_json_string(out, e->source, strlen(e->source));
    rb_aws_add_member(out, "DetailType", e->detail_type);
    rb_aws_add_member(out, "Detail", e->detail);
    if (e->bus != NULL) {
        rb_aws_add_member(out, "EventBusName", e->bus);
    }
    if (e->resource != NULL) {
        rb_buf_adds(out, ",\"Resources\":[");
        rb_buf_add_json_string(out, e->resource, strlen(e->resource));
        rb_buf_addc(out, ']');
    }
    if (e->time_ms > 0) {
        rb_buf_addf(out, ",\"Time\":%lld.%03lld", (long long)(e->time_ms / 1000),
                    (long long)(e->time_ms % 1000));
    }
    rb_buf_adds(out, "}]}");
}

enum rb_code rb_events_put(struct rb_codebuild *c, const struct rb_bus_event *e, struct rb_arena *a,
                           const char **ret_id, int64_t *ret_retry_after_ms, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *region = region_of(e->bus, "events", a);

    *ret_retry_after_ms = -1;
    event_body(e, &body);
    const struct rb_aws_call call = {.service = &EVENTS,
                                     .operation = "PutEvents",
                                     .region = region == NULL ? e->region : region,
                                     .endpoint_url = e->endpoint_url,
                                     .body = &body};
    enum rb_code rc = send_once(c, &call, ret_retry_after_ms, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const json_t *entry = json_array_get(json_object_get(j, "Entries"), 0);
    const char *failed = json_string_value(json_object_get(entry, "ErrorCode"));
    const char *id = json_string_value(json_object_get(entry, "EventId"));
    if (failed != NULL || json_integer_value(json_object_get(j, "FailedEntryCount")) > 0) {
        return rb_aws_refused("PutEvents", 400, failed,
                              json_string_value(json_object_get(entry, "ErrorMessage")), err);
    }
    if (id == NULL) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "PutEvents: the answer names no event");
    }
    *ret_id = rb_arena_strdup(a, id);
    return *ret_id == NULL ? no_memory(err) : RB_OK;
}
