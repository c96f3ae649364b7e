/* otlp.c - OTLP/HTTP: what is posted, and what the answer says. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "internal.h"

#define TRACES_PATH "/v1/traces"

const char *rb_otlp_url(const char *endpoint, struct rb_arena *a)
{
    size_t len = strlen(endpoint);

    while (len > 0 && endpoint[len - 1] == '/') {
        len--;
    }
    return rb_arena_printf(a, "%.*s%s", (int)len, endpoint,
                           rb_str_ends(endpoint, TRACES_PATH) ? "" : TRACES_PATH);
}

static void add_resource(struct rb_buf *out, const char *key, const char *value, const char *end)
{
    rb_buf_addf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    rb_buf_add_json_string(out, value, strlen(value));
    rb_buf_addf(out, "}}%s", end);
}

void rb_otlp_write(const char *service, const char *version, const char *instance,
                   const struct rb_batch_of_spans *b, struct rb_buf *out)
{
    rb_buf_adds(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    add_resource(out, "service.name", service, ",");
    add_resource(out, "service.version", version, ",");
    add_resource(out, "service.instance.id", instance, "]},");
    rb_buf_adds(out, "\"scopeSpans\":[{\"scope\":{\"name\":\"retrybuild\",\"version\":");
    rb_buf_add_json_string(out, version, strlen(version));
    rb_buf_adds(out, "},\"spans\":[");
    rb_buf_add(out, b->json.data, b->json.len);
    rb_buf_adds(out, "]}]}]}");
}

/* A 64-bit number is a text in this JSON; some write it as a number all the same. */
static int64_t number_of(const json_t *v)
{
    int64_t n = 0;
    if (json_is_integer(v)) {
        return json_integer_value(v);
    }
    return json_is_string(v) && rb_parse_i64(rb_slice_str(json_string_value(v)), &n) ? n : 0;
}

static void read_partial(const struct rb_buf *body, int64_t *ret_rejected, char *ret_why,
                         size_t why_size)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    if (body->len == 0 || rb_json_load(body->data, body->len, &j, NULL) != RB_OK) {
        return; /* an answer of 200 says it all */
    }
    const json_t *partial = json_object_get(j, "partialSuccess");
    const char *why = json_string_value(json_object_get(partial, "errorMessage"));
    int64_t n = number_of(json_object_get(partial, "rejectedSpans"));
    *ret_rejected = n > 0 ? n : 0;
    if (why != NULL) {
        (void)snprintf(ret_why, why_size, "%s", why);
    }
}

enum rb_otlp_verdict rb_otlp_judge(long status, const struct rb_buf *body, int64_t *ret_rejected,
                                   char *ret_why, size_t why_size)
{
    *ret_rejected = 0;
    (void)snprintf(ret_why, why_size, "%s", "");
    if (status >= 200 && status < 300) {
        read_partial(body, ret_rejected, ret_why, why_size);
        return RB_OTLP_TAKEN;
    }
    (void)snprintf(ret_why, why_size, "the collector answered %ld", status);
    return status == 429 || status == 502 || status == 503 || status == 504 ? RB_OTLP_AGAIN
                                                                            : RB_OTLP_REFUSED;
}
