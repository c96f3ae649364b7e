/* eventbridge.c - deliveries of an EventBridge API destination.
 *
 * EventBridge signs nothing: a secret header of the connection is all the proof there is. The body
 * is the event as it is (codebuild_event.h). Source: facts on AWS, 5.2.
 */
#include <retrybuild/cleanup.h>

#include "codebuild_event.h"
#include "types.h"

#define DEFAULT_HEADER "x-retrybuild-key"

static const char *const own_keys[] = {"header", NULL};

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    unsigned n = 0;
    const char *name = s->header == NULL ? DEFAULT_HEADER : s->header;
    const char *presented = req->header(req->arg, name, &n);
    bool once = presented != NULL && n == 1;
    const char *compared = once ? presented : "";
    bool match = rb_secrets_match(&s->secrets, compared, strlen(compared), req->now_ms);
    if (!once || !match) {
        return rb_err_set(err, RB_E_DENIED, "the proof of the sender is missing or wrong");
    }
    return RB_OK;
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    (void)s;
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    if (ev == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an event");
    }
    const char *id = NULL;
    enum rb_code rc = rb_codebuild_event_parse(req->body, a, ev, &id, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_events = (struct rb_events){.items = ev, .n = 1, .delivery_id = id};
    return RB_OK;
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)body;
    (void)now_ms;
    const char *value = rb_secret_data(secret);
    for (size_t i = 0; i < rb_secret_len(secret); i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == '\x7f') {
            return rb_err_set(err, RB_E_INVALID,
                              "the secret has a control byte, which no header can carry");
        }
    }
    const char *line =
        rb_arena_printf(a, "%s: %s", header == NULL ? DEFAULT_HEADER : header, value);
    if (line == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a header");
    }
    ret_headers[0] = line;
    for (unsigned i = 1; i < 4; i++) {
        ret_headers[i] = NULL;
    }
    return RB_OK;
}

const struct rb_source_type rb_source_eventbridge = {
    .type = "eventbridge",
    .keys = own_keys,
    .verify = verify,
    .parse = parse,
    .sign = sign,
};
