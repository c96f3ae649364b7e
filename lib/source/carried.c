/* carried.c - the wrappings of an event that are not a sender's own: a JSON string, a CloudEvent.
 *
 * Each is taken off once: an event in a string in a string is nobody's.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "carried.h"
#include "codebuild_event.h"

#define KEY_MAX_BYTES 256

static struct rb_slice without_blanks(struct rb_slice s)
{
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t' || *s.ptr == '\n' || *s.ptr == '\r')) {
        s.ptr++;
        s.len--;
    }
    return s;
}

/* unwrap - *body becomes the text of the JSON string that it is, when that text is an object. */
static enum rb_code unwrap(struct rb_slice *body, struct rb_arena *a, struct rb_err *err)
{
    struct rb_slice s = without_blanks(*body);
    if (s.len == 0 || s.ptr[0] != '"') {
        return RB_OK;
    }
    struct rb_json_reader r;
    struct rb_json_token t;
    struct rb_json_token end;
    rb_json_reader_init(&r, s.ptr, s.len);
    enum rb_code rc = rb_json_next(&r, &t, err);
    if (rc == RB_OK) {
        rc = rb_json_next(&r, &end, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const char *text = rb_json_dup(&t, a);
    if (text == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the text of a string");
    }
    struct rb_slice inner = without_blanks(rb_slice_str(text));
    if (inner.len > 0 && inner.ptr[0] == '{') {
        *body = inner;
    }
    return RB_OK;
}

enum rb_code rb_carried_parse(struct rb_slice body, struct rb_arena *a, struct rb_event *ret_event,
                              const char **ret_id, struct rb_err *err)
{
    bool cloud_event = false;
    enum rb_code rc = unwrap(&body, a, err);
    if (rc == RB_OK) {
        rc = rb_codebuild_event_parse(body, a, ret_event, ret_id, &cloud_event, err);
    }
    if (rc == RB_OK && cloud_event) {
        rc = rb_cloudevent_parse(body, a, ret_event, ret_id, err);
    }
    return rc;
}

void rb_carried_none(struct rb_event *ret_event, const char *why)
{
    *ret_event = (struct rb_event){.kind = RB_EVENT_NONE, .why = why, .build = RB_BUILD_INIT};
}

enum rb_code rb_carried_data(struct rb_slice data, struct rb_arena *a, struct rb_event *ret_event,
                             struct rb_err *err)
{
    const char *id = NULL;
    bool cloud_event = false;
    enum rb_code rc = unwrap(&data, a, NULL);
    if (rc == RB_OK) {
        rc = rb_codebuild_event_parse(data, a, ret_event, &id, &cloud_event, NULL);
    }
    if (rc == RB_E_NOMEM) {
        return rb_err_set(err, rc, "no memory for the data of an event");
    }
    if (rc != RB_OK) {
        rb_carried_none(ret_event, "its data is not JSON: no usable build");
    }
    return RB_OK;
}

const char *rb_carried_key(const struct rb_request *req)
{
    unsigned n = 0;
    const char *key = req->header(req->arg, "idempotency-key", &n);
    return key != NULL && n == 1 && key[0] != '\0' && strlen(key) <= KEY_MAX_BYTES ? key : NULL;
}
