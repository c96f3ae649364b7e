/* HTTP of the credential endpoints: a client for each call, because they are minutes apart and the
 * refreshing thread is any thread. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

#define ANSWER_MAX_BYTES ((size_t)64 * 1024)

static void client_freep(struct rb_httpc **c)
{
    rb_httpc_free(*c);
}

void rb_identity_answer_release(struct rb_http_answer *a)
{
    if (a->body.data != NULL) {
        rb_wipe(a->body.data, a->body.cap);
    }
    rb_http_answer_release(a);
}

enum rb_code rb_identity_http(struct rb_aws *aws, const struct rb_identity_call *call,
                              struct rb_http_answer *ret_answer, struct rb_err *err)
{
    RB_CLEANUP(client_freep) struct rb_httpc *client = NULL;
    const struct rb_settings s = {
        .network = {.ca_file = aws->ca_file, .proxy = call->local ? "" : aws->proxy}};
    const struct rb_http_request req = {.method = call->method,
                                        .url = call->url,
                                        .headers = call->headers,
                                        .body = call->body,
                                        .body_len = call->body_len,
                                        .reach = RB_REACH_TRUSTED,
                                        .connect_timeout_ms = call->timeout_ms,
                                        .timeout_ms = call->timeout_ms,
                                        .max_answer_bytes = ANSWER_MAX_BYTES};
    bool sent = false;

    enum rb_code rc = rb_httpc_new(&s, &client, err);
    return rc == RB_OK ? rb_httpc_call(client, &req, ret_answer, &sent, err) : rc;
}

void rb_identity_wiped_release(struct rb_buf *b)
{
    if (b->data != NULL) {
        rb_wipe(b->data, b->cap);
    }
    rb_buf_release(b);
}

enum rb_code rb_identity_read_raw(const char *path, struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    for (ssize_t n = 1; fd >= 0 && n > 0;) {
        char piece[1024];
        n = read(fd, piece, sizeof(piece));
        rb_buf_add(out, piece, n > 0 ? (size_t)n : 0);
        rb_wipe(piece, sizeof(piece));
        if (n == 0 && out->len > 0 && !rb_buf_failed(out) &&
            memchr(rb_buf_str(out), '\0', out->len) == NULL) {
            return RB_OK;
        }
    }
    return rb_err_set(err, RB_E_CREDENTIALS, "'%s' cannot be read, is empty or not a token", path);
}
