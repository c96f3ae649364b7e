/* forge.c - what is asked of git hosts, and the rows that say where each of them has it.
 *
 * Hosts differ in paths and names of members more than in what they can say; so a host is a row.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "forge_private.h"

#define PAGE_SIZE 100
#define PAGES_MAX 10
#define STATUSES_MAX 1000
#define COMMENT_MAX_BYTES ((size_t)262144)

#define GITEA_ROW(name)                                                                          \
    {                                                                                            \
        .type = (name), .root = NULL, .proof = FORGE_TOKEN,                                      \
        .permission = "/repos/%r/collaborators/%u/permission", .permission_at = "permission",    \
        .pull = "/repos/%r/pulls/%n", .pull_commit = "head.sha", .pull_branch = "head.ref",      \
        .pull_state = "state", .branch = "/repos/%r/branches/%h", .branch_commit = "commit.id",  \
        .statuses = "/repos/%r/commits/%s/status?limit=100&page=%p", .statuses_at = "statuses",  \
        .status_state = "status", .status_link = "target_url", .status_name = {"context", NULL}, \
        .failed = {"failure", "error"}, .self = "/user", .self_id = "id", .self_name = "login",  \
        .react = "/repos/%r/%k/%c/reactions", .comment = "/repos/%r/issues/%n/comments",         \
        .member = "/teams/%g/members/%u"                                                         \
    }

static const struct rb_forge_row rows[] = {
    {
        .type = "bitbucket",
        .root = "https://api.bitbucket.org/2.0",
        .proof = FORGE_BEARER_OR_BASIC,
        .permission = "/repositories/%r/permissions-config/users/%i",
        .permission_at = "permission",
        .effective =
            "/workspaces/%P/permissions/repositories/%S?pagelen=100&q=user.uuid%%3D%%22%i%%22",
        .effective_user = "user.uuid",
        .pull = "/repositories/%r/pullrequests/%n",
        .pull_commit = "source.commit.hash",
        .pull_branch = "source.branch.name",
        .pull_state = "state",
        .branch = "/repositories/%r/refs/branches/%h",
        .branch_commit = "target.hash",
        .statuses = "/repositories/%r/commit/%s/statuses?pagelen=100&page=%p",
        .statuses_at = "values",
        .status_state = "state",
        .status_link = "url",
        .status_name = {"name", "key"},
        .failed = {"FAILED", NULL},
        .self = "/user",
        .self_id = "uuid",
        .self_name = "nickname",
        .comment = "/repositories/%r/pullrequests/%n/comments",
        .comment_by = COMMENT_RAW,
    },
    {
        .type = "bitbucket-server",
        .proof = FORGE_BEARER,
        .permission = "/projects/%b/permissions/users?filter=%u",
        .permission_at = "permission",
        .permission_user = "user.name",
        .effective = "/users?limit=1000&filter=%u&permission.1=%q&permission.1.projectKey=%P"
                     "&permission.1.repositorySlug=%S",
        .effective_user = "name",
        .effective_words = {"REPO_ADMIN", "REPO_WRITE", "REPO_READ"},
        .member = "/users?limit=1000&filter=%u&group=%g",
        .member_user = "name",
        .pull = "/projects/%b/pull-requests/%n",
        .pull_commit = "fromRef.latestCommit",
        .pull_branch = "fromRef.displayId",
        .pull_state = "state",
        .branch = "/projects/%b/commits?limit=1&until=refs/heads/%H",
        .branch_commit = "values.0.id",
        .statuses = "^/build-status/latest/commits/%s?limit=100&start=%o",
        .statuses_at = "values",
        .status_state = "state",
        .status_link = "url",
        .status_name = {"name", "key"},
        .failed = {"FAILED", NULL},
        .react = "^/comment-likes/latest/projects/%b/%k/%c/reactions/%e",
        .react_by = REACT_PUT,
        .comment = "/projects/%b/pull-requests/%n/comments",
        .comment_by = COMMENT_TEXT,
    },
    GITEA_ROW("forgejo"),
    GITEA_ROW("gitea"),
    {
        .type = "github",
        .root = "https://api.github.com",
        .proof = FORGE_BEARER,
        .permission = "/repos/%r/collaborators/%u/permission",
        .permission_at = "permission",
        .pull = "/repos/%r/pulls/%n",
        .pull_commit = "head.sha",
        .pull_branch = "head.ref",
        .pull_state = "state",
        .branch = "/repos/%r/git/ref/heads/%h",
        .branch_commit = "object.sha",
        .statuses = "/repos/%r/commits/%s/status?per_page=100&page=%p",
        .statuses_at = "statuses",
        .status_state = "state",
        .status_link = "target_url",
        .status_name = {"context", NULL},
        .failed = {"failure", "error"},
        .self = "/user",
        .self_id = "id",
        .self_name = "login",
        .react = "/repos/%r/%k/%c/reactions",
        .comment = "/repos/%r/issues/%n/comments",
        .member = "/orgs/%G/memberships/%u",
        .member_state = "state",
    },
    {
        .type = "gitlab",
        .root = "https://gitlab.com/api/v4",
        .proof = FORGE_PRIVATE_TOKEN,
        .permission = "/projects/%R/members/all/%i",
        .permission_at = "access_level",
        .pull = "/projects/%R/merge_requests/%n",
        .pull_commit = "sha",
        .pull_branch = "source_branch",
        .pull_state = "state",
        .branch = "/projects/%R/repository/branches/%H",
        .branch_commit = "commit.id",
        .statuses = "/projects/%R/repository/commits/%s/statuses?all=true&per_page=100&page=%p",
        .statuses_at = "",
        .status_state = "status",
        .status_link = "target_url",
        .status_name = {"name", NULL},
        .failed = {"failed", NULL},
        .every = true,
        .self = "/user",
        .self_id = "id",
        .self_name = "username",
        .react = "/projects/%R/%k/%c/award_emoji",
        .react_by = REACT_NAME,
        .comment = "/projects/%R/merge_requests/%n/notes",
        .member = "/groups/%g/members/all/%i",
        .member_state = "state",
    },
};

const struct rb_forge_row *rb_forge_row_find(const char *type)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        if (rb_str_eq(rows[i].type, type)) {
            return &rows[i];
        }
    }
    return NULL;
}

bool rb_forge_known(const char *type)
{
    return rb_forge_row_find(type) != NULL;
}

enum rb_code rb_forge_row_of(const struct rb_forge *f, const struct rb_forge_row **ret_row,
                             struct rb_err *err)
{
    *ret_row = rb_forge_row_find(f->type);
    return *ret_row != NULL ? RB_OK
                            : rb_err_set(err, RB_E_INVALID, "type '%s' has no API here", f->type);
}

enum rb_code rb_forge_unreadable(const char *what, struct rb_err *err)
{
    return rb_err_set(err, RB_E_UNAVAIL, "the git host's answer does not say %s", what);
}

/* ---- pull requests ---- */

enum rb_code rb_forge_pull(const struct rb_forge *f, const char *repository, int64_t number,
                           struct rb_arena *a, struct rb_forge_pull *ret_p, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const struct rb_forge_row *row = NULL;
    const struct rb_forge_ask ask = {.repository = repository, .number = number};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc == RB_OK) {
        rc = rb_forge_call(f, "GET", row->pull, &ask, NULL, &j, err);
    }
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "pull request %lld", (long long)number);
    }
    const char *commit = rb_forge_text(j, row->pull_commit);
    const char *state = rb_forge_text(j, row->pull_state);
    if (rb_str_empty(commit) || state == NULL) {
        return rb_forge_unreadable("what the pull request's head is", err);
    }
    struct rb_forge_pull p = {
        .commit = rb_arena_strdup(a, commit),
        .branch = rb_arena_strdup(a, rb_forge_text(j, row->pull_branch)),
        .open = rb_str_ieq(state, "open") || rb_str_eq(state, "opened"),
    };
    if (p.commit == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a pull request");
    }
    *ret_p = p;
    return RB_OK;
}

/* ---- statuses ---- */

struct found {
    struct rb_forge_status *items;
    struct { /* beside each item: which is the newest of its name */
        json_int_t id;
        bool failed;
    } * more;
    unsigned n;
};

static const char *name_of(const struct rb_forge_row *row, const json_t *v)
{
    const char *name = rb_forge_text(v, row->status_name[0]);
    return name != NULL ? name : rb_forge_text(v, row->status_name[1]);
}

static bool is_failed(const struct rb_forge_row *row, const json_t *v)
{
    const char *state = rb_forge_text(v, row->status_state);
    return state != NULL && (rb_str_eq(state, row->failed[0]) || rb_str_eq(state, row->failed[1]));
}

/* add_status - @v in the place of an older one of its name. */
static bool add_status(const struct rb_forge_row *row, const json_t *v, struct rb_arena *a,
                       struct found *ret)
{
    const char *name = name_of(row, v);
    const char *link = rb_forge_text(v, row->status_link);
    json_int_t id = json_integer_value(rb_forge_at(v, "id"));
    unsigned i = ret->n;
    for (unsigned k = 0; row->every && k < ret->n; k++) {
        i = rb_str_eq(ret->items[k].context, name) ? k : i;
    }
    if ((i < ret->n && id < ret->more[i].id) || i == STATUSES_MAX ||
        (i == ret->n && !row->every && !is_failed(row, v))) {
        return true;
    }
    ret->items[i] = (struct rb_forge_status){.context = rb_arena_strdup(a, name),
                                             .link = rb_arena_strdup(a, link)};
    ret->more[i].id = id;
    ret->more[i].failed = is_failed(row, v);
    ret->n += i == ret->n ? 1 : 0;
    return (name == NULL || ret->items[i].context != NULL) &&
           (link == NULL || ret->items[i].link != NULL);
}

static unsigned keep_failed(struct found *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++) {
        if (s->more[i].failed) {
            s->items[n++] = s->items[i];
        }
    }
    return n;
}

enum rb_code rb_forge_failed(const struct rb_forge *f, const char *repository, const char *commit,
                             struct rb_arena *a, struct rb_forge_status **ret_s, unsigned *ret_n,
                             struct rb_err *err)
{
    const struct rb_forge_row *row = NULL;
    struct rb_forge_ask ask = {.repository = repository, .commit = commit};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (row->statuses == NULL) {
        return rb_err_set(err, RB_E_INVALID, "type '%s' does not tell statuses", f->type);
    }
    struct found s = {.items = rb_arena_alloc(a, STATUSES_MAX * sizeof(*s.items)),
                      .more = rb_arena_alloc(a, STATUSES_MAX * sizeof(*s.more))};
    if (s.items == NULL || s.more == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for statuses");
    }
    for (ask.page = 1; ask.page <= PAGES_MAX; ask.page++) {
        RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
        rc = rb_forge_call(f, "GET", row->statuses, &ask, NULL, &j, err);
        if (rc == RB_E_NOT_FOUND && row->statuses[0] == '^') {
            break; /* an API of its own, which may be switched off */
        }
        if (rc != RB_OK) {
            return rb_err_wrap(err, rc, "statuses");
        }
        const json_t *list = rb_forge_at(j, row->statuses_at);
        if (!json_is_array(list)) {
            return rb_forge_unreadable("the statuses of the commit", err);
        }
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (!add_status(row, json_array_get(list, i), a, &s)) {
                return rb_err_set(err, RB_E_NOMEM, "no memory for statuses");
            }
        }
        if (json_array_size(list) < PAGE_SIZE) {
            break;
        }
    }
    *ret_n = keep_failed(&s);
    *ret_s = s.items;
    return RB_OK;
}

/* ---- ourselves, and reactions ---- */

static const char *as_text(const json_t *v, struct rb_arena *a)
{
    return json_is_integer(v) ? rb_arena_printf(a, "%lld", (long long)json_integer_value(v))
                              : rb_arena_strdup(a, json_string_value(v));
}

enum rb_code rb_forge_self(const struct rb_forge *f, struct rb_arena *a, const char **ret_id,
                           const char **ret_name, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const struct rb_forge_row *row = NULL;
    const struct rb_forge_ask ask = {.repository = NULL};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_id = *ret_name = NULL;
    if (row->self == NULL || f->api->app_id != NULL) {
        return RB_OK; /* an app's comments are those of a bot */
    }
    rc = rb_forge_call(f, "GET", row->self, &ask, NULL, &j, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "who we are");
    }
    *ret_id = as_text(rb_forge_at(j, row->self_id), a);
    *ret_name = as_text(rb_forge_at(j, row->self_name), a);
    return RB_OK;
}

enum rb_code rb_forge_react(const struct rb_forge *f, const char *repository, const char *kind,
                            const char *comment, const char *reaction, struct rb_err *err)
{
    const struct rb_forge_row *row = NULL;
    const struct rb_forge_ask ask = {
        .repository = repository, .kind = kind, .comment = comment, .word = reaction};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc != RB_OK) {
        return rc;
    }
    bool commit_note = row->react_by == REACT_NAME && rb_str_starts(kind, "repository/");
    if (row->react == NULL || commit_note) {
        return RB_OK;
    }
    if (row->react_by == REACT_PUT) {
        rc = rb_forge_call(f, "PUT", row->react, &ask, NULL, NULL, err);
        bool none = rc == RB_E_NOT_FOUND || rc == RB_E_INVALID; /* switched off, or no such root */
        return rc == RB_OK || none ? RB_OK : rb_err_wrap(err, rc, "reaction");
    }
    RB_CLEANUP(rb_json_decrefp)
    json_t *body = json_pack("{s:s}", row->react_by == REACT_NAME ? "name" : "content", reaction);
    if (body == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a reaction");
    }
    rc = rb_forge_call(f, "POST", row->react, &ask, body, NULL, err);
    if (rc == RB_E_CONFLICT || (rc == RB_E_NOT_FOUND && row->react_by == REACT_NAME)) {
        return RB_OK; /* GitLab: it is there already */
    }
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, rc, "reaction");
}

/* calm - @text that calls nobody: a person's words may be in it, and a host tells everybody whose
 * name stands behind an @. */
static void calm(const char *text, struct rb_buf *out)
{
    for (const char *p = text; *p != '\0'; p++) {
        rb_buf_addc(out, *p);
        rb_buf_adds(out, *p == '@' ? "\xe2\x80\x8b" : "");
    }
}

enum rb_code rb_forge_comment(const struct rb_forge *f, const char *repository, int64_t number,
                              const char *text, struct rb_err *err)
{
    static const char *const members[] = {
        [COMMENT_BODY] = "body", [COMMENT_TEXT] = "text", [COMMENT_RAW] = "raw"};
    const struct rb_forge_row *row = NULL;
    const struct rb_forge_ask ask = {.repository = repository, .number = number};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc != RB_OK) {
        return rc;
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(COMMENT_MAX_BYTES);
    calm(text, &b);
    json_t *said =
        rb_buf_failed(&b) ? NULL : json_pack("{s:s}", members[row->comment_by], rb_buf_str(&b));
    RB_CLEANUP(rb_json_decrefp)
    json_t *body = row->comment_by == COMMENT_RAW ? json_pack("{s:o}", "content", said) : said;
    if (body == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a comment");
    }
    rc = rb_forge_call(f, "POST", row->comment, &ask, body, NULL, err);
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, rc, "comment");
}
