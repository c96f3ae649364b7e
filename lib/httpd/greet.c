/* greet.c - OPTIONS /v1/hooks/{source}: the handshake of senders that ask before they post. */
#include <string.h>

#include "private.h"

void rb_handle_greet(struct rb_exchange *ex)
{
    const char *lines[4] = {NULL};
    struct rb_err err = {.code = RB_OK};
    struct rb_request req;
    ex->source = rb_view_source(ex->view, ex->param);
    if (ex->source == NULL) {
        rb_answer_problem(ex, 404, "there is no source of this name");
        return;
    }
    rb_hook_request(ex, &req);
    const struct rb_source_type *type = ex->source->type;
    if (type->greet == NULL) {
        rb_answer_problem(ex, 405, "this path answers to POST");
        rb_answer_header(ex, MHD_HTTP_HEADER_ALLOW, "POST");
        return;
    }
    enum rb_code rc = type->greet(ex->source->setting, &req, &ex->arena, lines, &err);
    if (rc != RB_OK) {
        rb_answer_problem(ex,
                          rc == RB_E_DENIED    ? 405
                          : rc == RB_E_INVALID ? 400
                                               : 503,
                          "%s", err.msg);
        rb_answer_header(ex, MHD_HTTP_HEADER_ALLOW, "POST");
        return;
    }
    for (unsigned i = 0; i < 4 && lines[i] != NULL; i++) {
        const char *colon = strchr(lines[i], ':');
        const char *name = rb_arena_strndup(&ex->arena, lines[i], (size_t)(colon - lines[i]));
        if (name != NULL) {
            rb_answer_header(ex, name, colon + 2);
        }
    }
    rb_answer_json(ex, 200);
}
