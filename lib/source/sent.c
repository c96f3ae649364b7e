/* sent.c - a body as its sender would have sent it: for `send`, and for explanations of bodies that
 * come without their request. */
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/secret.h>
#include <retrybuild/source.h>

const char *rb_source_content_type(const struct rb_source_type *t, struct rb_slice body)
{
    return t->content_type == NULL ? "application/json" : t->content_type(body);
}

static const char *value_of(const char *line, const char *name)
{
    size_t len = strlen(name);
    return line != NULL && strncasecmp(line, name, len) == 0 && line[len] == ':'
               ? line + len + 1 + strspn(line + len + 1, " ")
               : NULL;
}

static const char *header(const void *arg, const char *name, unsigned *ret_n)
{
    const struct rb_as_sent *s = arg;
    unsigned n = 0;
    const char *value = s->req->header(s->req->arg, name, &n);
    bool media = rb_str_eq(name, "content-type");
    if (media) { /* whoever asks may have posted it as anything */
        value = s->media;
        n = 1;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(s->lines) && value == NULL; i++) {
        value = value_of(s->lines[i], name);
        n = value == NULL ? 0 : 1;
    }
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return value;
}

void rb_as_sent_init(const struct rb_source_type *t, const struct rb_request *req,
                     struct rb_arena *a, struct rb_as_sent *ret_s, struct rb_request *ret_req)
{
    RB_CLEANUP(rb_secret_freep) struct rb_secret *any = rb_secret_new("", 0);
    struct rb_as_sent s = {.req = req};
    const char *lines[4] = {NULL};
    s.media = t->content_type == NULL ? req->header(req->arg, "content-type", NULL)
                                      : t->content_type(req->body);
    s.media = s.media == NULL ? rb_source_content_type(t, req->body) : s.media;
    if (any != NULL && t->sign(any, NULL, req->body, req->now_ms, a, lines, NULL) == RB_OK) {
        memcpy(s.lines, lines, sizeof lines);
    }
    *ret_s = s;
    *ret_req = *req;
    ret_req->header = header;
    ret_req->arg = ret_s;
}
