#include "hosts.h"

#include <stdarg.h>
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#define PATH_MAX_BYTES 2048
#define URL_MAX_BYTES 4096
#define SECONDARY_LIMIT_MS 60000

struct host {
    const char *root;   /* of its REST API; NULL = there is no public one */
    const char *scheme; /* of the credential, before the token */
};
static const struct host hosts[RB_HOST_COUNT] = {
    [RB_HOST_GITHUB] = {"https://api.github.com", "Authorization: Bearer"},
    [RB_HOST_GITLAB] = {"https://gitlab.com/api/v4", "PRIVATE-TOKEN:"},
    [RB_HOST_BITBUCKET] = {"https://api.bitbucket.org/2.0", "Authorization: Bearer"},
    [RB_HOST_BITBUCKET_SERVER] = {NULL, "Authorization: Bearer"},
    [RB_HOST_GITEA] = {NULL, "Authorization: token"},
};

/* ---- repositories ---- */

static const char *encoded(const char *path, const char *joint, struct rb_arena *a)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(PATH_MAX_BYTES);

    while (*path != '\0') {
        size_t len = strcspn(path, "/");
        rb_url_encode(&out, path, len);
        path += len;
        if (*path == '/') {
            rb_buf_adds(&out, joint);
            path++;
        }
    }
    return rb_buf_failed(&out) ? NULL : rb_arena_strdup(a, rb_buf_str(&out));
}

const char *rb_githost_repository(enum rb_githost host, const struct rb_destination_setting *d,
                                  const struct rb_retry *r, struct rb_arena *a)
{
    const char *path = rb_githost_path(host, &d->api, r->build.repository, a);

    if (path == NULL) {
        return NULL;
    }
    return encoded(path,
                   host == RB_HOST_GITLAB             ? "%2F"
                   : host == RB_HOST_BITBUCKET_SERVER ? "/repos/"
                                                      : "/",
                   a);
}

/* ---- calls ---- */

const char *rb_githost_url(enum rb_githost host, const struct rb_destination_setting *d,
                           struct rb_arena *a, const char *format, ...)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(URL_MAX_BYTES);
    const char *root = d->api.url == NULL ? hosts[host].root : d->api.url;
    va_list ap;

    rb_buf_adds(&out, root == NULL ? "" : root);
    rb_buf_addc(&out, '/');
    va_start(ap, format);
    rb_buf_addvf(&out, format, ap);
    va_end(ap);
    return rb_buf_failed(&out) ? NULL : rb_arena_strdup(a, rb_buf_str(&out));
}

static struct rb_forge app_of(struct rb_poster *p)
{
    return (struct rb_forge){.type = "github",
                             .api = &p->d->api,
                             .http = p->http,
                             .tokens = p->v->forge_tokens,
                             .clock = rb_clock_system()};
}

/* The app's token for this repository: fetched when it must be, else the shared one. */
static bool add_app_token(struct rb_poster *p, struct rb_rendered *r)
{
    const struct rb_forge forge = app_of(p);
    const char *line = NULL;
    struct rb_err err = {.code = RB_OK};
    const char *repository = rb_githost_repository(RB_HOST_GITHUB, p->d, p->v->retry, p->a);
    enum rb_code rc = rb_forge_authorization(&forge, repository, p->a, &line, &err);

    if (rc == RB_OK && rb_render_header(r, line)) {
        return true;
    }
    if (rc == RB_OK || rb_code_transient(rc) || rc == RB_E_THROTTLED) {
        rb_poster_again(p, -1, rc == RB_OK ? "no memory for a report" : err.msg);
    } else {
        rb_poster_fail(p, err.msg);
    }
    return false;
}

static bool add_credential(struct rb_poster *p, enum rb_githost host, struct rb_rendered *r)
{
    const struct rb_secret *token = p->d->api.token;

    if (token == NULL && host == RB_HOST_GITHUB && p->d->api.app_id != NULL) {
        return add_app_token(p, r);
    }
    if (token == NULL) {
        rb_poster_fail(p, "the configuration has no credential for this host");
        return false;
    }
    const char *line = rb_arena_printf(p->a, "%s %s", hosts[host].scheme, rb_secret_data(token));
    return rb_render_header(r, line);
}

bool rb_githost_call(struct rb_poster *p, enum rb_githost host, const char *method, const char *url,
                     json_t *take_body)
{
    struct rb_rendered r = {.url = url};
    struct rb_err err = {.code = RB_OK};

    rb_poster_again(p, -1, "no memory for a report");
    if (url == NULL ||
        (take_body != NULL && rb_render_json(p->a, url, take_body, &r, &err) != RB_OK)) {
        return false;
    }
    r.method = method;
    if (!add_credential(p, host, &r)) {
        return false;
    }
    if (host == RB_HOST_GITHUB && (!rb_render_header(&r, "Accept: application/vnd.github+json") ||
                                   !rb_render_header(&r, "X-GitHub-Api-Version: 2022-11-28"))) {
        return false;
    }
    return rb_poster_send(p, &r);
}

enum rb_code rb_githost_check(enum rb_githost host, const struct rb_destination_setting *d,
                              const char **ret_key, struct rb_err *err)
{
    if (d->api.url == NULL && hosts[host].root == NULL) {
        *ret_key = "api.url";
        return rb_err_set(err, RB_E_INVALID, "%s needs api.url, the root of the host's REST API",
                          d->type);
    }
    *ret_key = "api";
    if (d->api.app_id != NULL && host != RB_HOST_GITHUB) {
        return rb_err_set(err, RB_E_INVALID, "only GitHub has apps; %s needs api.token", d->type);
    }
    if (d->api.token == NULL && d->api.app_id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "%s needs api.token%s", d->type,
                          host == RB_HOST_GITHUB ? " or api.app" : "");
    }
    return RB_OK;
}

void rb_githost_judge_github(struct rb_poster *p)
{
    long status = p->answer.status;

    if (status == 401 && p->d->api.token == NULL && p->v->forge_tokens != NULL) {
        const struct rb_forge forge = app_of(p); /* it ended early: the next one is new */
        rb_forge_distrust(&forge, rb_githost_repository(RB_HOST_GITHUB, p->d, p->v->retry, p->a));
        rb_poster_again(p, -1, "GitHub did not accept the app's token");
    }
    if (status != 403 && status != 429) {
        return;
    }
    int64_t ms = rb_limits_pause_ms(&p->answer, true, p->v->now_ms);
    bool secondary = strstr(rb_buf_str(&p->answer.body), "secondary rate") != NULL;
    if (ms < 0 && (secondary || status == 429)) {
        ms = SECONDARY_LIMIT_MS;
    }
    if (ms >= 0) {
        rb_poster_limited(p, ms > 0 ? ms : 1000, "GitHub's rate limit is reached");
    }
}

/* ---- what is told ---- */

static bool is_original(const struct rb_destination_setting *d)
{
    return rb_str_eq(d->context, "original");
}

bool rb_githost_applies_commit(enum rb_githost host, const struct rb_destination_setting *d,
                               const struct rb_retry *r)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;

    rb_arena_init(&a, 4 * PATH_MAX_BYTES + RB_URL_MAX_BYTES);
    if (r->state == RB_STATE_DEFERRED || (r->state == RB_STATE_SUPERSEDED && is_original(d))) {
        return false; /* CodeBuild tells what becomes of it */
    }
    return rb_build_commit(&r->build) != NULL && rb_githost_repository(host, d, r, &a) != NULL;
}

void rb_githost_context(const struct rb_destination_setting *d, const struct rb_report_view *v,
                        struct rb_buf *out)
{
    const char *pattern = d->context == NULL ? "retrybuild/<project>" : d->context;

    if (is_original(d) && v->retry->build.status_context != NULL) {
        rb_buf_adds(out, v->retry->build.status_context);
        return;
    }
    if (is_original(d)) {
        pattern = v->retry->build.batch_arn != NULL
                      ? "AWS CodeBuild BuildBatch <region> (<project>)"
                      : "AWS CodeBuild <region> (<project>)";
    }
    rb_text_expand(pattern, v, RB_MARKUP_PLAIN, out);
}

const char *rb_githost_link(const struct rb_retry *r, struct rb_arena *a)
{
    return rb_text_build_url(r->has_child ? &r->child : &r->build, a);
}

enum rb_outcome rb_githost_outcome(enum rb_state s)
{
    static const enum rb_outcome rows[RB_STATE_COUNT] = {
        [RB_STATE_RECEIVED] = RB_OUTCOME_QUEUED,      [RB_STATE_SCHEDULED] = RB_OUTCOME_QUEUED,
        [RB_STATE_SUBMITTING] = RB_OUTCOME_QUEUED,    [RB_STATE_HELD] = RB_OUTCOME_QUEUED,
        [RB_STATE_RUNNING] = RB_OUTCOME_RUNNING,      [RB_STATE_RECOVERED] = RB_OUTCOME_SUCCESS,
        [RB_STATE_FAILED_AGAIN] = RB_OUTCOME_FAILURE, [RB_STATE_IGNORED] = RB_OUTCOME_FAILURE,
        [RB_STATE_REFUSED] = RB_OUTCOME_FAILURE,      [RB_STATE_SUPERSEDED] = RB_OUTCOME_STOPPED,
        [RB_STATE_DEFERRED] = RB_OUTCOME_QUEUED,      [RB_STATE_CANCELLED] = RB_OUTCOME_STOPPED,
        [RB_STATE_DEAD] = RB_OUTCOME_ERROR,
    };

    return rows[s];
}
