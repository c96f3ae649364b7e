/* reply_host.c - the answer to who asked by a comment: a rocket on it when the retry was submitted.
 *
 * What became of it is told by the commit's status and by destinations. A reaction that is there
 * already is no error, so that a report that is sent twice does no harm. The handle is what the
 * source's adapter kept: repository, kind of comment and its id, one blank between.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/forge.h>

#include "internal.h"
#include "poster.h"

#define DEFAULT_TIMEOUT_MS 10000
#define RECEIPT "rocket" /* it stands there already */

struct handle {
    const char *repository, *kind, *comment;
};

static const char *next_part(const char **p, struct rb_arena *a)
{
    size_t len = strcspn(*p, " ");
    const char *line = len == 0 ? NULL : rb_arena_strndup(a, *p, len);
    *p += len;
    *p += **p == ' ';
    return line;
}

static bool read_handle(const char *reply, struct rb_arena *a, struct handle *ret_h)
{
    const char *p = reply == NULL ? "" : reply;
    ret_h->repository = next_part(&p, a);
    ret_h->kind = next_part(&p, a);
    ret_h->comment = next_part(&p, a);
    return ret_h->repository != NULL && ret_h->kind != NULL && ret_h->comment != NULL;
}

static void post(struct rb_poster *p)
{
    const struct rb_retry *r = p->v->retry;
    const struct rb_clock *clock = rb_clock_system();
    struct handle h;
    struct rb_err err = {.code = RB_OK};
    int64_t timeout_ms = p->s->timing.report_timeout_ms;
    if (!r->has_child || rb_str_eq(p->v->receipt, RECEIPT) || !read_handle(r->reply, p->a, &h)) {
        rb_poster_done(p); /* nothing was submitted */
        return;
    }
    const struct rb_forge forge = {
        .type = p->d->type,
        .api = &p->d->api,
        .http = p->http,
        .tokens = p->v->forge_tokens,
        .clock = clock,
        .until_boot_ms = rb_boot_ms(clock) + (timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS),
    };
    enum rb_code rc = rb_forge_react(&forge, h.repository, h.kind, h.comment, "rocket", &err);
    if (rc == RB_OK) {
        rb_poster_done(p);
        (void)rb_poster_keep(p, RECEIPT);
    } else if (rc == RB_E_THROTTLED) {
        rb_poster_limited(p, -1, err.msg);
    } else if (rc == RB_E_UNAVAIL || rc == RB_E_TIMEOUT || rc == RB_E_AMBIGUOUS) {
        rb_poster_again(p, -1, err.msg);
    } else {
        rb_poster_fail(p, err.msg);
    }
}

const struct rb_destination_type rb_reply_bitbucket_server = {.type = "bitbucket-server",
                                                              .post = post};
const struct rb_destination_type rb_reply_forgejo = {.type = "forgejo", .post = post};
const struct rb_destination_type rb_reply_gitea = {.type = "gitea", .post = post};
const struct rb_destination_type rb_reply_github = {.type = "github", .post = post};
const struct rb_destination_type rb_reply_gitlab = {.type = "gitlab", .post = post};
