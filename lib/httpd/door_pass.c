/* door_pass.c - look-ups, passed on to CodeBuild with our credentials in the region that the caller
 * signed for; AWS's answer goes back byte for byte. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>

#include "door.h"

void rb_door_no_answer(struct rb_exchange *ex, enum rb_code rc, const struct rb_err *err)
{
    switch ((int)rc) {
    case RB_E_THROTTLED:
        rb_door_error(ex, "ThrottlingException", "Rate exceeded");
        return;
    case RB_E_INVALID:
        rb_door_error(ex, "InvalidInputException", "%s.", err->msg);
        return;
    case RB_E_CLOSED:
        rb_door_error(ex, "ServiceUnavailableException", "The service is stopping; ask again.");
        return;
    default:
        rb_log(RB_LOG_WARN, "door.no_answer", RB_F("operation", ex->door->operation),
               RB_F("request", ex->request_id), RB_F("error", err->msg));
        rb_door_error(ex, "ServiceUnavailableException",
                      "CodeBuild could not be asked (%s); ask again.", rb_code_name(rc));
        return;
    }
}

static void copy_header(struct rb_exchange *ex, const struct rb_http_answer *answer,
                        const char *lower_name, const char *name)
{
    const char *value = rb_http_answer_header(answer, lower_name, &ex->arena);
    if (value != NULL) {
        rb_answer_header(ex, name, value);
    }
}

void rb_door_give(struct rb_exchange *ex, const struct rb_http_answer *answer)
{
    const char *type = rb_http_answer_header(answer, "content-type", &ex->arena);
    const char *id = rb_http_answer_header(answer, "x-amzn-requestid", &ex->arena);
    rb_buf_add(&ex->answer, rb_buf_str(&answer->body), answer->body.len);
    rb_door_body(ex, (unsigned)answer->status);
    ex->content_type = type == NULL ? ex->content_type : type;
    if (id != NULL && strlen(id) < sizeof ex->request_id) {
        (void)memcpy(ex->request_id, id, strlen(id) + 1);
    }
    copy_header(ex, answer, "x-amzn-errortype", "x-amzn-ErrorType");
    copy_header(ex, answer, "retry-after", MHD_HTTP_HEADER_RETRY_AFTER);
    copy_header(ex, answer, "x-amz-retry-after", "x-amz-retry-after");
}

static void call(struct rb_exchange *ex, struct rb_codebuild *c)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc =
        rb_codebuild_pass(c, ex->door->region, ex->door->operation, &ex->body, &answer, &err);
    if (rc != RB_OK) {
        rb_door_no_answer(ex, rc, &err);
    } else {
        rb_door_give(ex, &answer);
    }
}

void rb_door_pass(struct rb_exchange *ex)
{
    if (rb_door_enter(ex)) {
        rb_exchange_call(ex, call);
    }
}
