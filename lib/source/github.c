/* github.c - hooks of GitHub and GitHub Enterprise Server.
 *
 * The proof is X-Hub-Signature-256 alone (the older header is SHA-1). CodeBuild reports as a commit
 * status; check runs matter where somebody mirrors it into them. Events that are not followed, and
 * there are new ones without notice, are answered 200. Source: facts on integrations, 1.1.
 */
#include <retrybuild/cleanup.h>

#include "host.h"
#include "host_comment.h"
#include "pick.h"
#include "proof.h"
#include "types.h"

#define SIGNATURE "x-hub-signature-256"
#define PREFIX "sha256="
#define TEXT_MAX 1024
#define URL_MAX 2048

struct payload {
    const char *action, *state, *context, *target_url, *sha, *updated_at;
    const char *branch, *second_branch;
    const char *author_login, *author_name;
    const char *full_name, *clone_url;
    const char *sender_id, *sender_login, *sender_type;
    struct {
        const char *conclusion, *name, *head_sha, *details_url, *external_id, *app_id, *branch;
        const char *completed_at, *pull;
    } run;
    const char *identifier;
    struct {
        const char *head_sha, *app_id, *pull;
    } suite;
    const char *issue, *issue_is_pull, *issue_state;
    const char *pull, *pull_state, *pull_sha;
    struct {
        const char *id, *body, *commit, *user_id, *user_login, *user_type;
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
    P("branches.0.name", branch, TEXT_MAX),
    P("branches.1.name", second_branch, TEXT_MAX),
    P("commit.author.login", author_login, TEXT_MAX),
    P("commit.commit.author.name", author_name, TEXT_MAX),
    P("repository.full_name", full_name, TEXT_MAX),
    P("repository.clone_url", clone_url, URL_MAX),
    P("sender.id", sender_id, TEXT_MAX),
    P("sender.login", sender_login, TEXT_MAX),
    P("sender.type", sender_type, TEXT_MAX),
    P("check_run.conclusion", run.conclusion, TEXT_MAX),
    P("check_run.name", run.name, TEXT_MAX),
    P("check_run.head_sha", run.head_sha, TEXT_MAX),
    P("check_run.details_url", run.details_url, URL_MAX),
    P("check_run.external_id", run.external_id, TEXT_MAX),
    P("check_run.app.id", run.app_id, TEXT_MAX),
    P("check_run.check_suite.head_branch", run.branch, TEXT_MAX),
    P("check_run.completed_at", run.completed_at, TEXT_MAX),
    P("check_run.pull_requests.0.number", run.pull, TEXT_MAX),
    P("requested_action.identifier", identifier, TEXT_MAX),
    P("check_suite.head_sha", suite.head_sha, TEXT_MAX),
    P("check_suite.app.id", suite.app_id, TEXT_MAX),
    P("check_suite.pull_requests.0.number", suite.pull, TEXT_MAX),
    P("issue.number", issue, TEXT_MAX),
    P("issue.pull_request", issue_is_pull, TEXT_MAX),
    P("issue.state", issue_state, TEXT_MAX),
    P("pull_request.number", pull, TEXT_MAX),
    P("pull_request.state", pull_state, TEXT_MAX),
    P("pull_request.head.sha", pull_sha, TEXT_MAX),
    P("comment.id", comment.id, TEXT_MAX),
    P("comment.body", comment.body, RB_COMMENT_MAX_BYTES),
    P("comment.commit_id", comment.commit, TEXT_MAX),
    P("comment.user.id", comment.user_id, TEXT_MAX),
    P("comment.user.login", comment.user_login, TEXT_MAX),
    P("comment.user.type", comment.user_type, TEXT_MAX),
};

/* What a reader of one kind of event has. */
struct reading {
    const struct rb_source_setting *s;
    const struct payload *p;
    struct rb_arena *a;
    struct rb_events *ret;
    struct rb_err *err;
};

static enum rb_code nothing(const struct reading *r, const char *why, const char *text)
{
    return rb_host_nothing(r->ret, r->a, why, text);
}

static enum rb_code read_status(const struct reading *r)
{
    const struct payload *p = r->p;
    const struct rb_host_status st = {
        .state = p->state,
        .failed = rb_str_eq(p->state, "failure") || rb_str_eq(p->state, "error"),
        .context = p->context,
        .link = p->target_url,
        .sha = p->sha,
        .repository = p->clone_url,
        .branch = p->second_branch == NULL ? p->branch : NULL,
        .author = p->author_login != NULL ? p->author_login : p->author_name,
        .time = p->updated_at,
    };
    return rb_host_status_event(r->s, &st, r->a, r->ret, r->err);
}

static enum rb_code read_run_completed(const struct reading *r)
{
    static const char *const failed[] = {"failure", "timed_out", "cancelled", "action_required",
                                         "startup_failure"};
    const struct payload *p = r->p;
    struct rb_host_status st = {
        .state = p->run.conclusion,
        .context = p->run.name,
        .link = p->run.details_url,
        .other = p->run.external_id,
        .sha = p->run.head_sha,
        .repository = p->clone_url,
        .branch = p->run.branch,
        .time = p->run.completed_at,
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(failed); i++) {
        st.failed = st.failed || (st.state != NULL && rb_str_eq(st.state, failed[i]));
    }
    return rb_host_status_event(r->s, &st, r->a, r->ret, r->err);
}

static struct rb_host_actor sender_of(const struct payload *p)
{
    return (struct rb_host_actor){
        .id = p->sender_id, .name = p->sender_login, .bot = rb_str_eq(p->sender_type, "Bot")};
}

/* read_button - "Re-run" or a button of ours: the check run's external id names the build or the
 * retry. */
static enum rb_code read_button(const struct reading *r, enum rb_command_verb verb)
{
    const struct payload *p = r->p;
    const struct rb_host_press press = {
        .verb = verb,
        .target = p->run.external_id,
        .link = p->run.details_url,
        .actor = sender_of(p),
        .repository = p->full_name,
        .repository_url = p->clone_url,
        .commit = p->run.head_sha,
        .pull_request = p->run.pull,
    };
    return rb_host_press(r->s, &press, r->a, r->ret, r->err);
}

static enum rb_code read_check_run(const struct reading *r)
{
    static const struct {
        const char *identifier;
        enum rb_command_verb verb;
    } buttons[] = {{"retry", RB_COMMAND_RETRY},     {"retrybuild_retry", RB_COMMAND_RETRY},
                   {"approve", RB_COMMAND_APPROVE}, {"retrybuild_approve", RB_COMMAND_APPROVE},
                   {"deny", RB_COMMAND_DENY},       {"retrybuild_deny", RB_COMMAND_DENY}};
    const char *action = r->p->action == NULL ? "" : r->p->action;
    if (rb_str_eq(action, "completed")) {
        return read_run_completed(r);
    }
    if (rb_str_eq(action, "rerequested")) {
        return read_button(r, RB_COMMAND_RETRY);
    }
    if (rb_str_eq(action, "requested_action")) {
        for (size_t i = 0; i < RB_ARRAY_LEN(buttons); i++) {
            if (rb_str_eq(buttons[i].identifier, r->p->identifier)) {
                return read_button(r, buttons[i].verb);
            }
        }
        return nothing(r, "the button is not one of ours", NULL);
    }
    return nothing(r, "this action of check_run is not followed", NULL);
}

static enum rb_code read_check_suite(const struct reading *r)
{
    const struct payload *p = r->p;
    if (!rb_str_eq(p->action, "rerequested")) {
        return nothing(r, "this action of check_suite is not followed", NULL);
    }
    if (r->s->api.app_id == NULL || !rb_str_eq(r->s->api.app_id, p->suite.app_id)) {
        return nothing(r, "the check suite is that of another app", NULL);
    }
    const struct rb_host_press press = {
        .verb = RB_COMMAND_RETRY,
        .failed = true,
        .actor = sender_of(p),
        .repository = p->full_name,
        .repository_url = p->clone_url,
        .commit = p->suite.head_sha,
        .pull_request = p->suite.pull,
    };
    return rb_host_press(r->s, &press, r->a, r->ret, r->err);
}

static enum rb_code read_comment(const struct reading *r, const char *kind)
{
    const struct payload *p = r->p;
    const char *state = p->issue_state != NULL ? p->issue_state : p->pull_state;
    if (!rb_str_eq(p->action, "created")) {
        return nothing(r, "only new comments are read", NULL);
    }
    const struct rb_host_comment c = {
        .text = p->comment.body,
        .id = p->comment.id,
        .kind = kind,
        .actor = {.id = p->comment.user_id,
                  .name = p->comment.user_login,
                  .bot = rb_str_eq(p->comment.user_type, "Bot")},
        .repository = p->full_name,
        .repository_url = p->clone_url,
        .commit = p->comment.commit != NULL ? p->comment.commit : p->pull_sha,
        .pull_request = p->issue != NULL ? p->issue : p->pull,
        .closed = state != NULL && !rb_str_eq(state, "open"),
    };
    return rb_host_comment(r->s, &c, r->a, r->ret, r->err);
}

static enum rb_code read_issue_comment(const struct reading *r)
{
    return r->p->issue_is_pull == NULL ? nothing(r, "the comment is not on a pull request", NULL)
                                       : read_comment(r, "issues/comments");
}

static enum rb_code read_review_comment(const struct reading *r)
{
    return read_comment(r, "pulls/comments");
}

static enum rb_code read_commit_comment(const struct reading *r)
{
    return read_comment(r, "comments");
}

static enum rb_code read_ping(const struct reading *r)
{
    return nothing(r, "ping: the hook works", NULL);
}

static const struct {
    const char *name;
    enum rb_code (*read)(const struct reading *r);
} events[] = {
    {"check_run", read_check_run},
    {"check_suite", read_check_suite},
    {"commit_comment", read_commit_comment},
    {"issue_comment", read_issue_comment},
    {"ping", read_ping},
    {"pull_request_review_comment", read_review_comment},
    {"status", read_status},
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

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf form = RB_BUF_INIT(1);
    struct payload p = {.action = NULL};
    struct rb_slice json = {NULL, 0};
    const char *event = rb_host_header(req, "x-github-event");
    struct rb_events events_of = {.delivery_id = rb_host_header(req, "x-github-delivery"),
                                  .id_unproved = true};
    const struct reading r = {.s = s, .p = &p, .a = a, .ret = &events_of, .err = err};
    enum rb_code rc = rb_host_payload(req, &form, &json, err);
    if (rc == RB_OK) {
        rc = rb_pick(json, rows, RB_ARRAY_LEN(rows), a, &p, err);
    }
    size_t i = 0;
    while (i < RB_ARRAY_LEN(events) && !(event != NULL && rb_str_eq(events[i].name, event))) {
        i++;
    }
    if (i == RB_ARRAY_LEN(events)) { /* what is not for us may be larger than what we read */
        rc = rc == RB_OK || rc == RB_E_TOO_LARGE
                 ? nothing(&r,
                           event == NULL ? "there is no X-GitHub-Event"
                                         : "this event is not followed: ",
                           event)
                 : rc;
    } else if (rc == RB_OK) {
        rc = events[i].read(&r);
    }
    if (rc == RB_OK) {
        *ret_events = events_of;
    }
    return rc;
}

/* guess_event - the header that GitHub would send with such a body. */
static const char *guess_event(struct rb_slice body, struct rb_arena *a)
{
    struct payload p = {.action = NULL};
    struct {
        const char *zen;
    } ping = {NULL};
    static const struct rb_pick zen[] = {{"zen", 0, TEXT_MAX}};
    if (rb_pick(body, rows, RB_ARRAY_LEN(rows), a, &p, NULL) != RB_OK ||
        rb_pick(body, zen, 1, a, &ping, NULL) != RB_OK) {
        return "status";
    }
    if (p.run.name != NULL) {
        return "check_run";
    }
    if (p.suite.head_sha != NULL) {
        return "check_suite";
    }
    if (p.comment.id != NULL) {
        return p.issue != NULL  ? "issue_comment"
               : p.pull != NULL ? "pull_request_review_comment"
                                : "commit_comment";
    }
    return ping.zen != NULL ? "ping" : "status";
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)header;
    (void)now_ms;
    ret_headers[0] = rb_sign_hmac_sha256(secret, "X-Hub-Signature-256", PREFIX, body, a);
    ret_headers[1] = rb_arena_printf(a, "X-GitHub-Event: %s", guess_event(body, a));
    ret_headers[2] = rb_sign_uuid("X-GitHub-Delivery", a);
    return rb_sign_done(ret_headers, 3, err);
}

static const char *const own_keys[] = {"api", "console_hosts", NULL};

const struct rb_source_type rb_source_github = {
    .type = "github",
    .keys = own_keys,
    .media = RB_MEDIA_FORM,
    .check = rb_host_needs_secret,
    .verify = verify,
    .parse = parse,
    .content_type = rb_proof_form_or_json,
    .sign = sign,
};
