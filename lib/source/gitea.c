/* gitea.c - hooks of Gitea and Forgejo.
 *
 * Both sign with bare hex in a header of their own; without a secret that header is there and
 * empty. Of a form it is the decoded JSON text that is signed. The headers of GitHub and Gogs that
 * they send besides are not looked at. Since Gitea 1.23 the name of an event may be in the
 * …-Event-Type header alone. Forgejo has no hook for statuses: comments are all that comes from it.
 * Source: facts on integrations, 0 and 1.5.
 */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "host.h"
#include "host_comment.h"
#include "pick.h"
#include "proof.h"
#include "types.h"

#define TEXT_MAX 1024
#define URL_MAX 2048

struct payload {
    const char *action, *state, *context, *target_url, *sha, *updated_at;
    const char *full_name, *clone_url;
    const char *author_login, *author_name;
    const char *is_pull, *issue, *issue_pull, *issue_state;
    struct {
        const char *id, *body, *user_id, *user_login, *user_type;
    } comment;
};

#define P(path, member, max)                        \
    {                                               \
        path, offsetof(struct payload, member), max \
    }
static const struct rb_pick rows[] = {
    P("action", action, TEXT_MAX),
    P("state", state, TEXT_MAX),
    P("context", context, TEXT_MAX),
    P("target_url", target_url, URL_MAX),
    P("sha", sha, TEXT_MAX),
    P("updated_at", updated_at, TEXT_MAX),
    P("commit.author.username", author_login, TEXT_MAX),
    P("commit.author.name", author_name, TEXT_MAX),
    P("repository.full_name", full_name, TEXT_MAX),
    P("repository.clone_url", clone_url, URL_MAX),
    P("is_pull", is_pull, TEXT_MAX),
    P("issue.number", issue, TEXT_MAX),
    P("issue.pull_request", issue_pull, TEXT_MAX),
    P("issue.state", issue_state, TEXT_MAX),
    P("comment.id", comment.id, TEXT_MAX),
    P("comment.body", comment.body, RB_COMMENT_MAX_BYTES),
    P("comment.user.id", comment.user_id, TEXT_MAX),
    P("comment.user.login", comment.user_login, TEXT_MAX),
    P("comment.user.type", comment.user_type, TEXT_MAX),
};

/* The headers of one of the two, the first that is there counts. */
struct names {
    const char *signature[3], *event[5], *delivery[3];
};
static const struct names gitea = {
    .signature = {"x-gitea-signature", NULL},
    .event = {"x-gitea-event-type", "x-gitea-event", NULL},
    .delivery = {"x-gitea-delivery", NULL},
};
static const struct names forgejo = {
    .signature = {"x-forgejo-signature", "x-gitea-signature", NULL},
    .event = {"x-forgejo-event-type", "x-forgejo-event", "x-gitea-event-type", "x-gitea-event",
              NULL},
    .delivery = {"x-forgejo-delivery", "x-gitea-delivery", NULL},
};

static const struct names *names_of(const struct rb_source_setting *s)
{
    return rb_str_eq(s->type, "forgejo") ? &forgejo : &gitea;
}

static const char *first(const struct rb_request *req, const char *const *names)
{
    for (; *names != NULL; names++) {
        const char *value = rb_host_header(req, *names);
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf form = RB_BUF_INIT(1);
    struct rb_slice text = req->body;
    const char *value = NULL;
    unsigned n = 0;
    for (const char *const *name = names_of(s)->signature; *name != NULL && n == 0; name++) {
        value = req->header(req->arg, *name, &n);
    }
    if (rb_host_payload(req, &form, &text, NULL) != RB_OK) {
        text = req->body;
    }
    return rb_proof_hmac_sha256(&s->secrets, text, "", value, n, req->now_ms)
               ? RB_OK
               : rb_proof_denied(err);
}

static enum rb_code read_status(const struct rb_source_setting *s, const struct payload *p,
                                struct rb_arena *a, struct rb_events *ret, struct rb_err *err)
{
    const struct rb_host_status st = {
        .state = p->state,
        .failed = rb_str_eq(p->state, "failure") || rb_str_eq(p->state, "error"),
        .context = p->context,
        .link = p->target_url,
        .sha = p->sha,
        .repository = p->clone_url,
        .author = p->author_login != NULL ? p->author_login : p->author_name,
        .time = p->updated_at,
    };
    return rb_host_status_event(s, &st, a, ret, err);
}

static enum rb_code read_comment(const struct rb_source_setting *s, const struct payload *p,
                                 struct rb_arena *a, struct rb_events *ret, struct rb_err *err)
{
    bool pull = rb_str_eq(p->is_pull, "true") || p->issue_pull != NULL;
    if (!rb_str_eq(p->action, "created")) {
        return rb_host_nothing(ret, a, "only new comments are read", NULL);
    }
    if (!pull) {
        return rb_host_nothing(ret, a, "the comment is not on a pull request", NULL);
    }
    const struct rb_host_comment c = {
        .text = p->comment.body,
        .id = p->comment.id,
        .kind = "issues/comments",
        .actor = {.id = p->comment.user_id,
                  .name = p->comment.user_login,
                  .bot = rb_str_eq(p->comment.user_type, "Bot")}, /* where it is said */
        .repository = p->full_name,
        .repository_url = p->clone_url,
        .pull_request = p->issue,
        .closed = p->issue_state != NULL && !rb_str_eq(p->issue_state, "open"),
    };
    return rb_host_comment(s, &c, a, ret, err);
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    static const struct {
        const char *name;
        enum rb_code (*read)(const struct rb_source_setting *s, const struct payload *p,
                             struct rb_arena *a, struct rb_events *ret, struct rb_err *err);
    } events[] = {{"issue_comment", read_comment},
                  {"pull_request_comment", read_comment},
                  {"status", read_status}};
    RB_CLEANUP(rb_buf_release) struct rb_buf form = RB_BUF_INIT(1);
    struct payload p = {.action = NULL};
    struct rb_slice json = {NULL, 0};
    struct rb_events found = {.delivery_id = first(req, names_of(s)->delivery),
                              .id_unproved = true};
    const char *event = first(req, names_of(s)->event);
    enum rb_code rc = rb_host_payload(req, &form, &json, err);
    if (rc == RB_OK) {
        rc = rb_pick(json, rows, RB_ARRAY_LEN(rows), a, &p, err);
    }
    if (rc == RB_OK && form.len > 0) { /* anybody can write the form in another way */
        char hex[RB_SHA256_HEX_BYTES];
        rb_sha256_hex(json.ptr, json.len, hex);
        found.delivery_id = rb_arena_strdup(a, hex);
        found.id_unproved = false;
        rc = found.delivery_id == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a key") : rc;
    }
    size_t i = 0;
    while (i < RB_ARRAY_LEN(events) && !(event != NULL && rb_str_eq(events[i].name, event))) {
        i++;
    }
    if (rc == RB_OK && i < RB_ARRAY_LEN(events)) {
        rc = events[i].read(s, &p, a, &found, err);
    } else if (rc == RB_OK || (rc == RB_E_TOO_LARGE && i == RB_ARRAY_LEN(events))) {
        rc = rb_host_nothing(&found, a,
                             "this event is not followed: ", event == NULL ? "(no name)" : event);
    }
    if (rc == RB_OK) {
        *ret_events = found;
    }
    return rc;
}

static enum rb_code sign_as(const char *brand, const struct rb_secret *secret, struct rb_slice body,
                            struct rb_arena *a, const char *ret_headers[4], struct rb_err *err)
{
    struct payload p = {.action = NULL};
    char name[32];
    (void)rb_pick(body, rows, RB_ARRAY_LEN(rows), a, &p, NULL);
    (void)snprintf(name, sizeof(name), "X-%s-Signature", brand);
    ret_headers[0] = rb_sign_hmac_sha256(secret, name, "", body, a);
    ret_headers[1] = rb_arena_printf(a, "X-%s-Event-Type: %s", brand,
                                     p.comment.id != NULL ? "pull_request_comment" : "status");
    (void)snprintf(name, sizeof(name), "X-%s-Delivery", brand);
    ret_headers[2] = rb_sign_uuid(name, a);
    return rb_sign_done(ret_headers, 3, err);
}

static enum rb_code sign_gitea(const struct rb_secret *secret, const char *header,
                               struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                               const char *ret_headers[4], struct rb_err *err)
{
    (void)header;
    (void)now_ms;
    return sign_as("Gitea", secret, body, a, ret_headers, err);
}

static enum rb_code sign_forgejo(const struct rb_secret *secret, const char *header,
                                 struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                                 const char *ret_headers[4], struct rb_err *err)
{
    (void)header;
    (void)now_ms;
    return sign_as("Forgejo", secret, body, a, ret_headers, err);
}

static const char *const own_keys[] = {"api", "console_hosts", NULL};

const struct rb_source_type rb_source_gitea = {
    .type = "gitea",
    .keys = own_keys,
    .media = RB_MEDIA_FORM,
    .check = rb_host_needs_secret,
    .verify = verify,
    .parse = parse,
    .content_type = rb_proof_form_or_json,
    .sign = sign_gitea,
};

const struct rb_source_type rb_source_forgejo = {
    .type = "forgejo",
    .keys = own_keys,
    .media = RB_MEDIA_FORM,
    .check = rb_host_needs_secret,
    .verify = verify,
    .parse = parse,
    .content_type = rb_proof_form_or_json,
    .sign = sign_forgejo,
};
