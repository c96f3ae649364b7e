/* eventbridge.c - deliveries of an EventBridge API destination.
 *
 * EventBridge signs nothing: the secret of the connection is all the proof there is, whichever of
 * its three ways of authorization carries it. The body is the event as it is, or what an input
 * transformer made of it (carried.h). Source: facts on AWS, 5.2.
 */
#include <retrybuild/cleanup.h>

#include "carried.h"
#include "proof.h"
#include "types.h"

static const char *const own_keys[] = {"header", NULL};

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    (void)s;
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    if (ev == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an event");
    }
    const char *id = NULL;
    enum rb_code rc = rb_carried_parse(req->body, a, ev, &id, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_events =
        (struct rb_events){.items = ev,
                           .n = 1,
                           .delivery_id = id != NULL ? id : rb_carried_key(req, "idempotency-key")};
    return RB_OK;
}

const struct rb_source_type rb_source_eventbridge = {
    .type = "eventbridge",
    .keys = own_keys,
    .verify = rb_proof_shared,
    .parse = parse,
    .sign = rb_proof_sign_shared,
};
