/* Calls of others, passed on: their body, our signature, AWS's own answer. */
#include <retrybuild/codebuild.h>

#include <string.h>

#include "internal.h"

enum rb_code rb_codebuild_pass(struct rb_codebuild *c, const char *region, const char *operation,
                               const struct rb_buf *body, struct rb_http_answer *ret_answer,
                               struct rb_err *err)
{
    const struct rb_clock *clock = rb_aws_clock(c->aws);
    int64_t deadline_boot_ms = rb_boot_ms(clock) + c->timeout_ms;
    bool clock_mended = false, credentials_renewed = false;

    for (;;) {
        struct rb_http_answer answer = {.status = 0};
        struct rb_aws_fate fate;
        const struct rb_aws_call call = {.operation = operation,
                                         .region = region,
                                         .body = body,
                                         .timeout_ms = deadline_boot_ms - rb_boot_ms(clock),
                                         .ret_answer = &answer};
        enum rb_code rc = rb_aws_send(c, &call, &fate, NULL, err);
        bool ours = rc == RB_E_CLOCK || rc == RB_E_CREDENTIALS;
        if (!ours && answer.status != 0) {
            *ret_answer = answer;
            return RB_OK;
        }
        rb_http_answer_release(&answer);
        if (rc == RB_E_CLOCK && !clock_mended) {
            clock_mended = true;
        } else if (rc == RB_E_CREDENTIALS && !credentials_renewed) {
            credentials_renewed = true;
            rb_aws_credentials_refused(c->aws);
        } else {
            return rc;
        }
        if (rb_boot_ms(clock) >= deadline_boot_ms) {
            return rc;
        }
    }
}
