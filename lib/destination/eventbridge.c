/* eventbridge - an event on a bus: the retry as the API shows it is the detail, "retry.<state>" its
 * type. What is rendered is the detail; the call is signed and made by the engine. */
#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>

#include "internal.h"
#include "render.h"

#define DETAIL_MAX_BYTES ((size_t)200 * 1024) /* an entry may have 256 KiB, quoted */

static enum rb_code render(const struct rb_destination_setting *d, const struct rb_report_view *v,
                           struct rb_arena *a, struct rb_rendered *ret_r, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(DETAIL_MAX_BYTES);

    (void)d;
    rb_retry_write_json(v->retry, &body);
    return rb_rendered_body(&body, a, ret_r, err);
}

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err)
{
    if (rb_str_starts(d->event_source, "aws.")) {
        *ret_key = "source";
        return rb_err_set(err, RB_E_INVALID, "'%.40s' belongs to AWS; take another",
                          d->event_source);
    }
    return RB_OK;
}

static const char *const own_keys[] = {"bus", "source", "endpoint_url", NULL};

const struct rb_destination_type rb_destination_eventbridge = {
    .type = "eventbridge",
    .keys = own_keys,
    .check = check,
    .render = render,
    .by_aws = true,
};
