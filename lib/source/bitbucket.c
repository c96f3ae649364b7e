/* bitbucket.c - hooks of Bitbucket Cloud and of Bitbucket Data Center.
 *
 * Both put SHA-256 into X-Hub-Signature, the name under which GitHub has SHA-1. Data Center has no
 * hook for build statuses: comments are all that comes from it; its test of a connection is not
 * signed, and all it ever gets is an answer. Source: facts on integrations, 1.3 and 1.4.
 */
#include <retrybuild/cleanup.h>

#include "host.h"
#include "host_comment.h"
#include "pick.h"
#include "proof.h"
#include "types.h"

#define TEXT_MAX 1024
#define URL_MAX 2048
#define SIGNATURE "x-hub-signature"
#define PREFIX "sha256="
#define SERVER_PING "diagnostics:ping"

struct payload {
    struct {
        const char *state, *key, *name, *url, *refname, *updated_on, *hash, *href, *author;
    } status;
    struct {
        const char *id, *raw, *text;
    } comment;
    const char *full_name, *html;
    const char *actor_uuid, *actor_nickname, *actor_type, *actor_id, *actor_name;
    struct {
        const char *id, *state, *hash;
    } cloud_pull, server_pull;
    const char *commit_hash, *commit;
    const char *project, *slug, *pull_project, *pull_slug;
};

#define P(path, member, max)                        \
    {                                               \
        path, offsetof(struct payload, member), max \
    }
static const struct rb_pick rows[] = {
    P("commit_status.state", status.state, TEXT_MAX),
    P("commit_status.key", status.key, TEXT_MAX),
    P("commit_status.name", status.name, TEXT_MAX),
    P("commit_status.url", status.url, URL_MAX),
    P("commit_status.refname", status.refname, TEXT_MAX),
    P("commit_status.updated_on", status.updated_on, TEXT_MAX),
    P("commit_status.commit.hash", status.hash, TEXT_MAX),
    P("commit_status.commit.author.user.nickname", status.author, TEXT_MAX),
    P("commit_status.links.commit.href", status.href, URL_MAX),
    P("comment.id", comment.id, TEXT_MAX),
    P("comment.content.raw", comment.raw, RB_COMMENT_MAX_BYTES),
    P("comment.text", comment.text, RB_COMMENT_MAX_BYTES),
    P("repository.full_name", full_name, TEXT_MAX),
    P("repository.links.html.href", html, URL_MAX),
    P("actor.uuid", actor_uuid, TEXT_MAX),
    P("actor.nickname", actor_nickname, TEXT_MAX),
    P("actor.type", actor_type, TEXT_MAX),
    P("actor.id", actor_id, TEXT_MAX),
    P("actor.name", actor_name, TEXT_MAX),
    P("pullrequest.id", cloud_pull.id, TEXT_MAX),
    P("pullrequest.state", cloud_pull.state, TEXT_MAX),
    P("pullrequest.source.commit.hash", cloud_pull.hash, TEXT_MAX),
    P("pullRequest.id", server_pull.id, TEXT_MAX),
    P("pullRequest.state", server_pull.state, TEXT_MAX),
    P("pullRequest.fromRef.latestCommit", server_pull.hash, TEXT_MAX),
    P("commit.hash", commit_hash, TEXT_MAX),
    P("commit", commit, TEXT_MAX),
    P("repository.project.key", project, TEXT_MAX),
    P("repository.slug", slug, TEXT_MAX),
    P("pullRequest.toRef.repository.project.key", pull_project, TEXT_MAX),
    P("pullRequest.toRef.repository.slug", pull_slug, TEXT_MAX),
};

struct reading {
    const struct rb_source_setting *s;
    const struct payload *p;
    struct rb_arena *a;
    struct rb_events *ret;
    struct rb_err *err;
};

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    unsigned n = 0;
    const char *value = req->header(req->arg, SIGNATURE, &n);
    return rb_proof_hmac_sha256(&s->secrets, req->body, PREFIX, value, n, req->now_ms)
               ? RB_OK
               : rb_proof_denied(err);
}

static enum rb_code verify_server(const struct rb_source_setting *s, const struct rb_request *req,
                                  struct rb_err *err)
{
    unsigned n = 0;
    const char *event = rb_host_header(req, "x-event-key");
    (void)req->header(req->arg, SIGNATURE, &n);
    return n == 0 && event != NULL && rb_str_eq(event, SERVER_PING) ? RB_OK : verify(s, req, err);
}

static enum rb_code read_status(const struct reading *r)
{
    const struct payload *p = r->p;
    const char *slash = p->status.href == NULL ? NULL : strrchr(p->status.href, '/');
    const struct rb_host_status st = {
        .state = p->status.state,
        .failed = p->status.state != NULL && rb_str_eq(p->status.state, "FAILED"),
        .context = p->status.name != NULL ? p->status.name : p->status.key,
        .link = p->status.url,
        .sha = p->status.hash != NULL ? p->status.hash
               : slash != NULL        ? slash + 1
                                      : NULL,
        .repository = p->html,
        .branch = p->status.refname,
        .author = p->status.author,
        .time = p->status.updated_on,
    };
    return rb_host_status_event(r->s, &st, r->a, r->ret, r->err);
}

static enum rb_code read_cloud_comment(const struct reading *r)
{
    const struct payload *p = r->p;
    const struct rb_host_comment c = {
        .text = p->comment.raw,
        .id = p->comment.id,
        .kind = "comments",
        .actor = {.id = p->actor_uuid,
                  .name = p->actor_nickname,
                  .bot = p->actor_type != NULL && !rb_str_eq(p->actor_type, "user")},
        .repository = p->full_name,
        .repository_url = p->html,
        .commit = p->commit_hash != NULL ? p->commit_hash : p->cloud_pull.hash,
        .pull_request = p->cloud_pull.id,
        .closed = p->cloud_pull.state != NULL && !rb_str_eq(p->cloud_pull.state, "OPEN"),
    };
    return rb_host_comment(r->s, &c, r->a, r->ret, r->err);
}

/* clone_url - Data Center's hooks do not say it: it stands beside the API's root. */
static const char *clone_url(const struct rb_source_setting *s, const char *repository,
                             struct rb_arena *a)
{
    const char *root = s->api.url;
    const char *rest = root == NULL ? NULL : strstr(root, "/rest/");
    const char *base = rest == NULL ? NULL : rb_arena_strndup(a, root, (size_t)(rest - root));
    return base == NULL ? NULL : rb_arena_printf(a, "%s/scm/%s", base, repository);
}

static enum rb_code read_server_comment(const struct reading *r)
{
    const struct payload *p = r->p;
    const char *project = p->pull_project != NULL ? p->pull_project : p->project;
    const char *slug = p->pull_slug != NULL ? p->pull_slug : p->slug;
    struct rb_host_comment c = {
        .text = p->comment.text,
        .id = p->comment.id,
        .actor = {.id = p->actor_id,
                  .name = p->actor_name,
                  .bot = p->actor_type != NULL && rb_str_eq(p->actor_type, "SERVICE")},
        .commit = p->server_pull.hash,
        .pull_request = p->server_pull.id,
        .closed = p->server_pull.state != NULL && !rb_str_eq(p->server_pull.state, "OPEN"),
    };
    if (c.commit == NULL && p->commit != NULL && p->commit[0] != '{') {
        c.commit = p->commit;
    }
    c.kind =
        p->server_pull.id != NULL
            ? rb_arena_printf(r->a, "pull-requests/%.20s/comments", p->server_pull.id)
            : rb_arena_printf(r->a, "commits/%.64s/comments", c.commit == NULL ? "" : c.commit);
    if (c.kind == NULL) {
        return rb_err_set(r->err, RB_E_NOMEM, "no memory for a comment");
    }
    if (project != NULL && slug != NULL) {
        c.repository = rb_arena_printf(r->a, "%s/%s", project, slug);
        c.repository_url = c.repository == NULL ? NULL : clone_url(r->s, c.repository, r->a);
        if (c.repository == NULL) {
            return rb_err_set(r->err, RB_E_NOMEM, "no memory for a comment");
        }
    }
    return rb_host_comment(r->s, &c, r->a, r->ret, r->err);
}

static enum rb_code read_ping(const struct reading *r)
{
    return rb_host_nothing(r->ret, r->a, "ping: the hook works", NULL);
}

struct key {
    const char *name;
    enum rb_code (*read)(const struct reading *r);
};
static const struct key cloud_keys[] = {
    {"pullrequest:comment_created", read_cloud_comment},
    {"repo:commit_comment_created", read_cloud_comment},
    {"repo:commit_status_created", read_status},
    {"repo:commit_status_updated", read_status},
    {NULL, NULL},
};
static const struct key server_keys[] = {
    {SERVER_PING, read_ping},
    {"pr:comment:added", read_server_comment},
    {"repo:comment:added", read_server_comment},
    {NULL, NULL},
};

static enum rb_code parse_as(const struct key *k, const char *id, const struct rb_request *req,
                             const struct reading *r)
{
    struct payload p = {.full_name = NULL};
    const char *event = rb_host_header(req, "x-event-key");
    struct rb_events found = {.delivery_id = rb_host_header(req, id), .id_unproved = true};
    struct reading mine = {.s = r->s, .p = &p, .a = r->a, .ret = &found, .err = r->err};
    while (k->name != NULL && !(event != NULL && rb_str_eq(k->name, event))) {
        k++;
    }
    enum rb_code rc = rb_pick(req->body, rows, RB_ARRAY_LEN(rows), r->a, &p, r->err);
    if (k->name == NULL && (rc == RB_OK || rc == RB_E_TOO_LARGE)) {
        rc = rb_host_nothing(&found, r->a,
                             "this event is not followed: ", event == NULL ? "(no name)" : event);
    } else if (rc == RB_OK) {
        rc = k->read(&mine);
    }
    if (rc == RB_OK) {
        *r->ret = found;
    }
    return rc;
}

static enum rb_code parse_cloud(const struct rb_source_setting *s, const struct rb_request *req,
                                struct rb_arena *a, struct rb_events *ret_events,
                                struct rb_err *err)
{
    const struct reading r = {.s = s, .a = a, .ret = ret_events, .err = err};
    return parse_as(cloud_keys, "x-request-uuid", req, &r);
}

static enum rb_code parse_server(const struct rb_source_setting *s, const struct rb_request *req,
                                 struct rb_arena *a, struct rb_events *ret_events,
                                 struct rb_err *err)
{
    const struct reading r = {.s = s, .a = a, .ret = ret_events, .err = err};
    return parse_as(server_keys, "x-request-id", req, &r);
}

static enum rb_code sign_as(bool server, const struct rb_secret *secret, struct rb_slice body,
                            struct rb_arena *a, const char *ret_headers[4], struct rb_err *err)
{
    struct payload p = {.full_name = NULL};
    (void)rb_pick(body, rows, RB_ARRAY_LEN(rows), a, &p, NULL);
    const char *event = p.status.state != NULL ? "repo:commit_status_updated" : "repo:push";
    if (p.comment.id != NULL && server) {
        event = p.server_pull.id != NULL ? "pr:comment:added" : "repo:comment:added";
    } else if (p.comment.id != NULL) {
        event =
            p.cloud_pull.id != NULL ? "pullrequest:comment_created" : "repo:commit_comment_created";
    }
    ret_headers[0] = rb_sign_hmac_sha256(secret, "X-Hub-Signature", PREFIX, body, a);
    ret_headers[1] = rb_arena_printf(a, "X-Event-Key: %s", event);
    ret_headers[2] = rb_sign_uuid(server ? "X-Request-Id" : "X-Request-UUID", a);
    return rb_sign_done(ret_headers, 3, err);
}

static enum rb_code sign_cloud(const struct rb_secret *secret, const char *header,
                               struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                               const char *ret_headers[4], struct rb_err *err)
{
    (void)header;
    (void)now_ms;
    return sign_as(false, secret, body, a, ret_headers, err);
}

static enum rb_code sign_server(const struct rb_secret *secret, const char *header,
                                struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                                const char *ret_headers[4], struct rb_err *err)
{
    (void)header;
    (void)now_ms;
    return sign_as(true, secret, body, a, ret_headers, err);
}

static const char *const own_keys[] = {"api", "console_hosts", NULL};

const struct rb_source_type rb_source_bitbucket = {
    .type = "bitbucket",
    .keys = own_keys,
    .check = rb_host_needs_secret,
    .verify = verify,
    .parse = parse_cloud,
    .sign = sign_cloud,
};

const struct rb_source_type rb_source_bitbucket_server = {
    .type = "bitbucket-server",
    .keys = own_keys,
    .check = rb_host_needs_secret,
    .verify = verify_server,
    .parse = parse_server,
    .sign = sign_server,
};
