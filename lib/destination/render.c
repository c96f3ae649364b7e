#include "render.h"

#include <stdlib.h>

#include <retrybuild/cleanup.h>

bool rb_render_header(struct rb_rendered *r, const char *line)
{
    size_t n = 0;

    while (n < RB_ARRAY_LEN(r->headers) && r->headers[n] != NULL) {
        n++;
    }
    if (line == NULL || n + 1 >= RB_ARRAY_LEN(r->headers)) {
        return false;
    }
    r->headers[n] = line;
    return true;
}

enum rb_code rb_render_json(struct rb_arena *a, const char *url, json_t *take_body,
                            struct rb_rendered *ret_r, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *body = take_body;
    struct rb_rendered r = {.method = "POST", .url = url};

    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    r.body = rb_arena_strdup(a, text);
    r.body_len = text == NULL ? 0 : strlen(text);
    free(text);
    if (r.body == NULL || url == NULL ||
        !rb_render_header(&r, "Content-Type: application/json; charset=utf-8")) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a report");
    }
    *ret_r = r;
    return RB_OK;
}

enum rb_code rb_render_url(const struct rb_destination_setting *d, struct rb_arena *a,
                           const char **ret_url, struct rb_err *err)
{
    if (d->url == NULL) {
        return rb_err_set(err, RB_E_INVALID, "destination '%s' has no url", d->name);
    }
    *ret_url = rb_arena_strdup(a, rb_secret_data(d->url));
    return *ret_url == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a report") : RB_OK;
}

json_t *rb_text_json(struct rb_buf *b, size_t max_chars)
{
    rb_text_cut(b, max_chars);
    return json_stringn(rb_buf_str(b), b->len);
}

const char *rb_render_target(const struct rb_retry *r)
{
    const struct rb_build *b = r->has_child ? &r->child : &r->build;

    return b->arn != NULL ? b->arn : b->id == NULL ? "" : b->id;
}

bool rb_render_retryable(const struct rb_retry *r)
{
    return rb_text_final(r) && r->state != RB_STATE_RECOVERED && r->state != RB_STATE_SUPERSEDED &&
           r->state != RB_STATE_DEFERRED;
}

int64_t rb_report_entered_ms(const struct rb_report_view *v)
{
    const struct rb_retry *r = v->retry;
    int64_t at_ms = v->now_ms;

    for (unsigned i = r->n_history; i > 0 && r->history[i - 1].state == r->state; i--) {
        at_ms = r->history[i - 1].at_ms;
    }
    return at_ms;
}

enum rb_code rb_rendered_body(const struct rb_buf *body, struct rb_arena *a,
                              struct rb_rendered *ret_r, struct rb_err *err)
{
    if (rb_buf_failed(body)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the report is too large");
    }
    struct rb_rendered r = {.method = "POST", .body_len = body->len};
    r.body = rb_arena_strndup(a, rb_buf_str(body), body->len);
    if (r.body == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a report");
    }
    *ret_r = r;
    return RB_OK;
}
