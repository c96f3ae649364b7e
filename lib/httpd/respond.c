/* respond.c - answers: JSON, problem+json, and queueing them. */
#include <stdarg.h>
#include <string.h>

#include "door.h"
#include "private.h"

void rb_answer_header(struct rb_exchange *ex, const char *name, const char *value)
{
    if (ex->n_headers < RB_EXTRA_HEADERS_MAX) {
        ex->headers[ex->n_headers++] = (struct rb_extra_header){name, value};
    }
}

void rb_answer_json(struct rb_exchange *ex, unsigned status)
{
    ex->status = status;
    ex->content_type = "application/json";
}

static const char *status_title(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

void rb_answer_problem(struct rb_exchange *ex, unsigned status, const char *fmt, ...)
{
    struct rb_buf detail = RB_BUF_INIT(1024);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(&detail, fmt, ap);
    va_end(ap);
    if (ex->aws_form) {
        rb_door_problem(ex, status, rb_buf_str(&detail));
        rb_buf_release(&detail);
        return;
    }
    rb_buf_clear(&ex->answer);
    rb_buf_addf(&ex->answer, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":",
                status_title(status), status);
    rb_buf_add_json_string(&ex->answer, rb_buf_str(&detail), detail.len);
    rb_buf_adds(&ex->answer, "}\n");
    rb_buf_release(&detail);
    ex->status = status;
    ex->content_type = "application/problem+json";
    if (status == 503 || status == 429) {
        rb_answer_header(ex, MHD_HTTP_HEADER_RETRY_AFTER, RB_RETRY_AFTER_SECONDS);
    } else if (status == 401) {
        rb_answer_header(ex, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    }
}

const char *rb_store_trouble(enum rb_code rc)
{
    return rc == RB_E_NO_SPACE ? "the store has no memory or disk space left" : "the store is away";
}

void rb_answer_err(struct rb_exchange *ex, enum rb_code rc, const struct rb_err *err)
{
    unsigned status = 500;
    switch (rc) {
    case RB_E_INVALID:
        status = 400;
        break;
    case RB_E_NOT_FOUND:
        status = 404;
        break;
    case RB_E_CONFLICT:
    case RB_E_FENCED:
        status = 409;
        break;
    case RB_E_MISMATCH:
        status = 422;
        break;
    case RB_E_FULL:
        status = 429;
        break;
    case RB_E_UNAVAIL:
    case RB_E_NO_SPACE:
    case RB_E_TIMEOUT:
    case RB_E_IO:
    case RB_E_CLOSED:
    case RB_E_THROTTLED:
    case RB_E_LATER:
        status = 503;
        break;
    case RB_OK:
    case RB_E_NOMEM:
    case RB_E_TOO_LARGE:
    case RB_E_CREDENTIALS:
    case RB_E_CLOCK:
    case RB_E_DENIED:
    case RB_E_REFUSED:
    case RB_E_AMBIGUOUS:
    case RB_E_BLOCKED:
    case RB_E_GONE:
    case RB_E_CORRUPT:
    case RB_E_INTERNAL:
    case RB_CODE_COUNT:
        break;
    }
    rb_answer_problem(ex, status, "%s", err->msg);
}

enum MHD_Result rb_answer_send(struct rb_exchange *ex)
{
    if (rb_buf_failed(&ex->answer)) {
        rb_answer_problem(ex, 500, "the answer grew past its limit");
    }
    /* the buffer lives in the exchange, which outlives the response */
    struct MHD_Response *r = ex->stream != NULL
                                 ? rb_events_response(ex)
                                 : MHD_create_response_from_buffer(
                                       ex->answer.len, ex->answer.len == 0 ? NULL : ex->answer.data,
                                       MHD_RESPMEM_PERSISTENT);
    if (r == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, ex->content_type);
    for (unsigned i = 0; i < ex->n_headers && ok == MHD_YES; i++) {
        ok = MHD_add_response_header(r, ex->headers[i].name, ex->headers[i].value);
    }
    if (ok == MHD_YES && ex->aws_form) {
        ok = MHD_add_response_header(r, "x-amzn-RequestId", ex->request_id);
    }
    if (ok == MHD_YES &&
        (ex->close || atomic_load_explicit(&ex->httpd->stopping, memory_order_relaxed))) {
        ok = MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    if (ok == MHD_YES) {
        ok = MHD_queue_response(ex->mhd, ex->status, r);
    }
    MHD_destroy_response(r);
    ex->phase = RB_EX_ANSWERED;
    if (ex->conn != NULL) {
        ex->conn->answering = true;
    }
    if (ex->stream != NULL) {
        rb_conn_hold(ex->conn); /* it has no end */
    }
    return ok;
}
