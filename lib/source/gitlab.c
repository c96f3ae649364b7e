/* gitlab.c - hooks of GitLab.
 *
 * X-Gitlab-Token is a plain shared secret. Where signing tokens are configured a delivery must be
 * signed with one of them (Standard Webhooks): the token alone is not enough then. A status of
 * CodeBuild fires no hook of its own: it makes a stage `external` in a pipeline, whose hook says
 * neither its name nor its link, so the statuses of the commit are asked of the API. Source: facts
 * on integrations, 1.2.
 */
#include <retrybuild/cleanup.h>

#include "host.h"
#include "host_comment.h"
#include "pick.h"
#include "proof.h"
#include "standard_webhooks.h"
#include "types.h"

#define TEXT_MAX 1024
#define URL_MAX 2048
#define KEY_PREFIX "whsec_"
#define STAGES_MAX 8

struct payload {
    const char *kind;
    struct {
        const char *status, *source, *sha, *ref, *finished_at, *id, *note, *on, *action, *system,
            *commit, *stages[STAGES_MAX];
    } attributes;
    const char *project, *git_http_url, *project_id;
    const char *user_id, *user_name;
    const char *iid, *merge_state, *last_commit;
    const char *pipeline_author, *job_author;
    const char *build_name, *build_status, *sha, *ref, *build_finished_at;
};

#define P(path, member, max)                        \
    {                                               \
        path, offsetof(struct payload, member), max \
    }
static const struct rb_pick rows[] = {
    P("object_kind", kind, TEXT_MAX),
    P("object_attributes.status", attributes.status, TEXT_MAX),
    P("object_attributes.source", attributes.source, TEXT_MAX),
    P("object_attributes.sha", attributes.sha, TEXT_MAX),
    P("object_attributes.ref", attributes.ref, TEXT_MAX),
    P("object_attributes.finished_at", attributes.finished_at, TEXT_MAX),
    P("object_attributes.stages.0", attributes.stages[0], TEXT_MAX),
    P("object_attributes.stages.1", attributes.stages[1], TEXT_MAX),
    P("object_attributes.stages.2", attributes.stages[2], TEXT_MAX),
    P("object_attributes.stages.3", attributes.stages[3], TEXT_MAX),
    P("object_attributes.stages.4", attributes.stages[4], TEXT_MAX),
    P("object_attributes.stages.5", attributes.stages[5], TEXT_MAX),
    P("object_attributes.stages.6", attributes.stages[6], TEXT_MAX),
    P("object_attributes.stages.7", attributes.stages[7], TEXT_MAX),
    P("object_attributes.id", attributes.id, TEXT_MAX),
    P("object_attributes.note", attributes.note, RB_COMMENT_MAX_BYTES),
    P("object_attributes.noteable_type", attributes.on, TEXT_MAX),
    P("object_attributes.action", attributes.action, TEXT_MAX),
    P("object_attributes.system", attributes.system, TEXT_MAX),
    P("object_attributes.commit_id", attributes.commit, TEXT_MAX),
    P("project.id", project, TEXT_MAX),
    P("project.git_http_url", git_http_url, URL_MAX),
    P("project_id", project_id, TEXT_MAX),
    P("user.id", user_id, TEXT_MAX),
    P("user.username", user_name, TEXT_MAX),
    P("merge_request.iid", iid, TEXT_MAX),
    P("merge_request.state", merge_state, TEXT_MAX),
    P("merge_request.last_commit.id", last_commit, TEXT_MAX),
    P("commit.author.name", pipeline_author, TEXT_MAX),
    P("commit.author_name", job_author, TEXT_MAX),
    P("build_name", build_name, TEXT_MAX),
    P("build_status", build_status, TEXT_MAX),
    P("sha", sha, TEXT_MAX),
    P("ref", ref, TEXT_MAX),
    P("build_finished_at", build_finished_at, TEXT_MAX),
};

/* ---- the proof ---- */

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    if (s->signing_secrets.n > 0) {
        return rb_standard_webhooks_verify(&s->signing_secrets, req, err);
    }
    const char *token = rb_host_header(req, "x-gitlab-token");
    const char *compared = token == NULL ? "" : token;
    bool match = rb_secrets_match(&s->secrets, compared, strlen(compared), req->now_ms);
    return token != NULL && match ? RB_OK : rb_proof_denied(err);
}

static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    for (unsigned i = 0; i < s->signing_secrets.n; i++) {
        const struct rb_secret *token = s->signing_secrets.items[i].secret;
        if (!rb_str_starts(rb_secret_data(token), KEY_PREFIX) || !rb_standard_webhooks_key(token)) {
            *ret_key = "signing_secrets";
            return rb_err_set(err, RB_E_INVALID,
                              "holds what is no signing token: whsec_ and base64 are expected");
        }
    }
    return s->signing_secrets.n > 0 ? RB_OK : rb_host_needs_secret(s, ret_key, err);
}

/* ---- the hooks ---- */

static enum rb_code read_pipeline(const struct rb_source_setting *s, const struct payload *p,
                                  struct rb_arena *a, struct rb_events *ret, struct rb_err *err)
{
    bool external = p->attributes.source != NULL && rb_str_eq(p->attributes.source, "external");
    for (unsigned i = 0; i < STAGES_MAX; i++) {
        external = external || (p->attributes.stages[i] != NULL &&
                                rb_str_eq(p->attributes.stages[i], "external"));
    }
    (void)s;
    if (p->attributes.status == NULL || !rb_str_eq(p->attributes.status, "failed")) {
        return rb_host_nothing(ret, a, "the pipeline is ",
                               p->attributes.status == NULL ? "of no status"
                                                            : p->attributes.status);
    }
    if (!external) {
        return rb_host_nothing(ret, a, "no external status has part in this pipeline", NULL);
    }
    if (p->project == NULL || p->attributes.sha == NULL) {
        return rb_host_nothing(ret, a, "the pipeline names no project or no commit", NULL);
    }
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    if (ev == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an event");
    }
    *ev = (struct rb_event){.kind = RB_EVENT_FAILURE,
                            .build = RB_BUILD_INIT,
                            .needs_inspection = true,
                            .find = RB_FIND_STATUSES,
                            .find_in = p->project};
    ev->build.resolved_version = p->attributes.sha;
    ev->build.repository = p->git_http_url;
    ev->build.author = p->pipeline_author;
    rb_build_derive(&ev->build, a);
    *ret = (struct rb_events){.items = ev, .n = 1, .delivery_id = ret->delivery_id};
    return RB_OK;
}

static enum rb_code read_job(const struct rb_source_setting *s, const struct payload *p,
                             struct rb_arena *a, struct rb_events *ret, struct rb_err *err)
{
    const struct rb_host_status st = {
        .state = p->build_status,
        .failed = p->build_status != NULL && rb_str_eq(p->build_status, "failed"),
        .context = p->build_name,
        .sha = p->sha,
        .repository = p->git_http_url,
        .branch = p->ref,
        .author = p->job_author,
        .time = p->build_finished_at,
    };
    return rb_host_status_event(s, &st, a, ret, err);
}

static enum rb_code read_note(const struct rb_source_setting *s, const struct payload *p,
                              struct rb_arena *a, struct rb_events *ret, struct rb_err *err)
{
    bool merge = p->attributes.on != NULL && rb_str_eq(p->attributes.on, "MergeRequest");
    bool commit = p->attributes.on != NULL && rb_str_eq(p->attributes.on, "Commit");
    if ((p->attributes.action != NULL && !rb_str_eq(p->attributes.action, "create")) ||
        (p->attributes.system != NULL && rb_str_eq(p->attributes.system, "true"))) {
        return rb_host_nothing(ret, a, "only new comments of people are read", NULL);
    }
    if (!merge && !commit) {
        return rb_host_nothing(ret, a, "the comment is not on a merge request or commit", NULL);
    }
    struct rb_host_comment c = {
        .text = p->attributes.note,
        .id = p->attributes.id,
        .kind = "repository/commits/notes",
        .actor = {.id = p->user_id, .name = p->user_name},
        .repository = p->project_id != NULL ? p->project_id : p->project,
        .repository_url = p->git_http_url,
        .commit = merge ? p->last_commit : p->attributes.commit,
        .pull_request = merge ? p->iid : NULL,
        .closed = merge && p->merge_state != NULL && !rb_str_eq(p->merge_state, "opened"),
    };
    if (merge) {
        c.kind = rb_arena_printf(a, "merge_requests/%.20s/notes", p->iid == NULL ? "" : p->iid);
        if (c.kind == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a comment");
        }
    }
    return rb_host_comment(s, &c, a, ret, err);
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    static const struct {
        const char *kind;
        enum rb_code (*read)(const struct rb_source_setting *s, const struct payload *p,
                             struct rb_arena *a, struct rb_events *ret, struct rb_err *err);
    } kinds[] = {{"build", read_job}, {"note", read_note}, {"pipeline", read_pipeline}};
    struct payload p = {.kind = NULL};
    /* what is signed comes first: anybody can send a signed delivery again with another key */
    bool is_signed = s->signing_secrets.n > 0;
    struct rb_events events = {
        .delivery_id = rb_host_header(req, is_signed ? "webhook-id" : "idempotency-key")};
    enum rb_code rc = rb_pick(req->body, rows, RB_ARRAY_LEN(rows), a, &p, err);
    size_t i = 0;
    while (i < RB_ARRAY_LEN(kinds) && !(p.kind != NULL && rb_str_eq(kinds[i].kind, p.kind))) {
        i++;
    }
    if (rc == RB_OK && i < RB_ARRAY_LEN(kinds)) {
        rc = kinds[i].read(s, &p, a, &events, err);
    } else if (rc == RB_OK || rc == RB_E_TOO_LARGE) {
        rc = rb_host_nothing(&events, a, "hooks of this kind are not followed: ",
                             p.kind == NULL ? "(none)" : p.kind);
    }
    if (rc == RB_OK) {
        *ret_events = events;
    }
    return rc;
}

/* ---- sending ---- */

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)header;
    if (rb_str_starts(rb_secret_data(secret), KEY_PREFIX)) {
        const char *line = rb_sign_uuid("webhook-id", a);
        return rb_standard_webhooks_sign_as(line == NULL ? NULL : line + strlen("webhook-id: "),
                                            secret, body, now_ms, a, ret_headers, err);
    }
    ret_headers[0] = rb_arena_printf(a, "X-Gitlab-Token: %s", rb_secret_data(secret));
    ret_headers[1] = rb_sign_uuid("Idempotency-Key", a);
    return rb_sign_done(ret_headers, 2, err);
}

static const char *const own_keys[] = {"api", "console_hosts", "signing_secrets", NULL};

const struct rb_source_type rb_source_gitlab = {
    .type = "gitlab",
    .keys = own_keys,
    .check = check,
    .verify = verify,
    .parse = parse,
    .sign = sign,
};
