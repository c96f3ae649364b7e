/* door_answer.c - AWS's form of an error. The type stands in the body and in a header, for some
 * clients read the one and some the other. Source: facts on AWS, 1.7. */
#include <stdarg.h>
#include <string.h>

#include "door.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"
#define MESSAGE_MAX_BYTES 1024

/* Errors that are not 400. Those of the 500s and ThrottlingException are repeated by every SDK. */
static const struct {
    const char *type;
    unsigned status;
} statuses[] = {
    {"InternalFailure", 500},
    {"RequestEntityTooLargeException", 413},
    {"ServiceUnavailableException", 503},
};

void rb_door_body(struct rb_exchange *ex, unsigned status)
{
    ex->status = status;
    ex->content_type = CONTENT_TYPE;
}

void rb_door_error(struct rb_exchange *ex, const char *type, const char *fmt, ...)
{
    struct rb_buf message = RB_BUF_INIT(MESSAGE_MAX_BYTES);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(&message, fmt, ap);
    va_end(ap);
    rb_buf_clear(&ex->answer);
    rb_buf_adds(&ex->answer, "{\"__type\":");
    rb_buf_add_json_string(&ex->answer, type, strlen(type));
    rb_buf_adds(&ex->answer, ",\"message\":");
    rb_buf_add_json_string(&ex->answer, rb_buf_str(&message), message.len);
    rb_buf_addc(&ex->answer, '}');
    rb_buf_release(&message);
    rb_door_body(ex, 400);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(statuses[i].type, type) == 0) {
            ex->status = statuses[i].status;
        }
    }
    ex->n_headers = 0;
    rb_answer_header(ex, "x-amzn-ErrorType", type);
}

void rb_door_problem(struct rb_exchange *ex, unsigned status, const char *detail)
{
    const char *type = "SerializationException";
    switch (status) {
    case 413:
        type = "RequestEntityTooLargeException";
        break;
    case 429:
        type = "ThrottlingException";
        break;
    case 500:
        type = "InternalFailure";
        break;
    case 503:
        type = "ServiceUnavailableException";
        break;
    default:
        break;
    }
    rb_door_error(ex, type, "%s", detail);
}
