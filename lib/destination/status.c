/* github-status, gitlab-status, bitbucket-status, bitbucket-server-status, gitea-status - the state
 * of the retry on the commit that was built. Source: facts on integrations, 2.1 to 2.5. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "hosts.h"
#include "internal.h"

#define CONTEXT_MAX_CHARS 255
#define CONTEXT_MAX_BYTES 4096
#define DESCRIPTION_MAX_BYTES 4096
#define GITHUB_DESCRIPTION_CHARS 140
#define DESCRIPTION_CHARS 255
#define BITBUCKET_KEY_CHARS 40
#define KEY_DIGEST_BYTES 8
#define SERVER_URL_BYTES 450

static const char *const states[RB_HOST_COUNT][RB_OUTCOME_COUNT] = {
    [RB_HOST_GITHUB] = {"pending", "pending", "success", "failure", "error", "error"},
    [RB_HOST_GITLAB] = {"pending", "running", "success", "failed", "canceled", "failed"},
    [RB_HOST_BITBUCKET] = {"INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED", "FAILED"},
    [RB_HOST_BITBUCKET_SERVER] = {"INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED",
                                  "UNKNOWN"},
    [RB_HOST_GITEA] = {"pending", "pending", "success", "failure", "error", "error"},
};

struct status {
    const char *state, *context, *description;
    const char *link; /* NULL = none */
};

static bool fill(struct rb_poster *p, enum rb_githost host, struct status *ret_s)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf context = RB_BUF_INIT(CONTEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf description = RB_BUF_INIT(DESCRIPTION_MAX_BYTES);

    rb_githost_context(p->d, p->v, &context);
    rb_text_cut(&context, CONTEXT_MAX_CHARS);
    rb_text_short(p->v, host == RB_HOST_GITHUB ? GITHUB_DESCRIPTION_CHARS : DESCRIPTION_CHARS,
                  &description);
    *ret_s = (struct status){
        .state = states[host][rb_githost_outcome(p->v->retry->state)],
        .context = rb_arena_strdup(p->a, rb_buf_str(&context)),
        .description = rb_arena_strdup(p->a, rb_buf_str(&description)),
        .link = rb_githost_link(p->v->retry, p->a),
    };
    if (ret_s->context == NULL || ret_s->description == NULL) {
        rb_poster_again(p, -1, "no memory for a report");
        return false;
    }
    return true;
}

static void send_to(struct rb_poster *p, enum rb_githost host, const char *format, json_t *body)
{
    const struct rb_retry *r = p->v->retry;
    const char *repository = rb_githost_repository(host, p->d, r, p->a);
    const char *commit = rb_build_commit(&r->build);

    if (repository == NULL || commit == NULL) {
        json_decref(body);
        rb_poster_fail(p, "the build has no commit in a repository of this host");
        return;
    }
    const char *before = strstr(format, "<repository>"), *after = strstr(format, "<commit>");
    const char *url =
        rb_githost_url(host, p->d, p->a, "%.*s%s%.*s%s%s", (int)(before - format), format,
                       repository, (int)(after - before - 12), before + 12, commit, after + 8);
    (void)rb_githost_call(p, host, "POST", url, body);
}

/* ---- GitHub, Gitea ---- */

static json_t *plain_body(const struct status *s)
{
    return json_pack("{s:s, s:s?, s:s, s:s}", "state", s->state, "target_url", s->link,
                     "description", s->description, "context", s->context);
}

static void post_github(struct rb_poster *p)
{
    struct status s;

    if (fill(p, RB_HOST_GITHUB, &s)) {
        send_to(p, RB_HOST_GITHUB, "repos/<repository>/statuses/<commit>", plain_body(&s));
    }
}

static void post_gitea(struct rb_poster *p)
{
    struct status s;

    if (fill(p, RB_HOST_GITEA, &s)) {
        send_to(p, RB_HOST_GITEA, "repos/<repository>/statuses/<commit>", plain_body(&s));
    }
}

/* ---- GitLab ---- */

static void post_gitlab(struct rb_poster *p)
{
    struct status s;

    if (!fill(p, RB_HOST_GITLAB, &s)) {
        return;
    }
    json_t *body = json_pack("{s:s, s:s, s:s}", "state", s.state, "name", s.context, "description",
                             s.description);
    if (s.link != NULL) {
        (void)json_object_set_new(body, "target_url", json_string(s.link));
    }
    if (p->v->retry->build.branch != NULL) {
        (void)json_object_set_new(body, "ref", json_string(p->v->retry->build.branch));
    }
    send_to(p, RB_HOST_GITLAB, "projects/<repository>/statuses/<commit>", body);
}

/* The same state once more is a refusal on many versions; it is what was wanted. */
static void judge_gitlab(struct rb_poster *p)
{
    if (p->answer.status == 400 &&
        strstr(rb_buf_str(&p->answer.body), "Cannot transition status") != NULL) {
        rb_poster_done(p);
    }
}

/* ---- Bitbucket ---- */

/* What is too long for a key keeps its beginning, and is told apart by a digest. */
static const char *key_of(const char *context, struct rb_arena *a)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(CONTEXT_MAX_BYTES);
    uint8_t digest[RB_SHA256_BYTES];
    char hex[2 * KEY_DIGEST_BYTES + 1];
    size_t chars = 0;

    for (size_t i = 0; i < strlen(context); chars++) {
        size_t seq = rb_utf8_seq(context + i, strlen(context + i));
        i += seq == 0 ? 1 : seq;
    }
    rb_buf_adds(&key, context);
    if (chars > BITBUCKET_KEY_CHARS) {
        rb_sha256(context, strlen(context), digest);
        rb_text_cut(&key, BITBUCKET_KEY_CHARS - 2 * KEY_DIGEST_BYTES);
        rb_hex(digest, KEY_DIGEST_BYTES, hex);
        rb_buf_adds(&key, hex);
    }
    return rb_arena_strdup(a, rb_buf_str(&key));
}

/* Bitbucket reads braces in a link as templates. */
static const char *without_braces(const char *url, struct rb_arena *a)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(8192);

    for (const char *c = url; *c != '\0'; c++) {
        if (*c == '{' || *c == '}') {
            rb_buf_adds(&out, *c == '{' ? "%7B" : "%7D");
        } else {
            rb_buf_addc(&out, *c);
        }
    }
    return rb_arena_strdup(a, rb_buf_str(&out));
}

static json_t *bitbucket_body(struct rb_poster *p, const struct status *s)
{
    const struct rb_retry *r = p->v->retry;
    const char *link = without_braces(s->link == NULL ? r->build.repository : s->link, p->a);

    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "key", key_of(s->context, p->a), "state",
                     s->state, "name", s->context, "description", s->description, "url", link);
}

static void post_bitbucket(struct rb_poster *p)
{
    struct status s;

    if (!fill(p, RB_HOST_BITBUCKET, &s)) {
        return;
    }
    json_t *body = bitbucket_body(p, &s);
    if (p->v->retry->build.branch != NULL) {
        (void)json_object_set_new(body, "refname", json_string(p->v->retry->build.branch));
    }
    send_to(p, RB_HOST_BITBUCKET, "repositories/<repository>/commit/<commit>/statuses/build", body);
}

static void post_bitbucket_server(struct rb_poster *p)
{
    const struct rb_retry *r = p->v->retry;
    struct status s;

    if (!fill(p, RB_HOST_BITBUCKET_SERVER, &s)) {
        return;
    }
    if (s.link != NULL && strlen(s.link) > SERVER_URL_BYTES) {
        s.link = NULL;
    }
    json_t *body = bitbucket_body(p, &s);
    (void)json_object_set_new(body, "key", json_string(s.context));
    if (r->build.branch != NULL) {
        const char *ref = rb_arena_printf(p->a, "refs/heads/%s", r->build.branch);
        (void)json_object_set_new(body, "ref", json_string(ref));
    }
    send_to(p, RB_HOST_BITBUCKET_SERVER, "projects/<repository>/commits/<commit>/builds", body);
}

/* ---- rows ---- */

static const char *const own_keys[] = {"api", "context", NULL};

static enum rb_githost host_of(const struct rb_destination_setting *d)
{
    static const struct {
        const char *type;
        enum rb_githost host;
    } names[] = {
        {"github-status", RB_HOST_GITHUB},
        {"gitlab-status", RB_HOST_GITLAB},
        {"bitbucket-status", RB_HOST_BITBUCKET},
        {"bitbucket-server-status", RB_HOST_BITBUCKET_SERVER},
        {"gitea-status", RB_HOST_GITEA},
    };
    size_t i = 0;

    while (i + 1 < RB_ARRAY_LEN(names) && !rb_str_eq(names[i].type, d->type)) {
        i++;
    }
    return names[i].host;
}

static bool applies(const struct rb_destination_setting *d, const struct rb_retry *r,
                    enum rb_stage stage)
{
    (void)stage;
    return rb_githost_applies_commit(host_of(d), d, r);
}

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err)
{
    return rb_githost_check(host_of(d), d, ret_key, err);
}

const struct rb_destination_type rb_destination_github_status = {
    .type = "github-status",
    .keys = own_keys,
    .check = check,
    .post = post_github,
    .judge = rb_githost_judge_github,
    .applies = applies,
    .pace_ms = 1000,
};

const struct rb_destination_type rb_destination_gitlab_status = {
    .type = "gitlab-status",
    .keys = own_keys,
    .check = check,
    .post = post_gitlab,
    .judge = judge_gitlab,
    .applies = applies,
};

const struct rb_destination_type rb_destination_bitbucket_status = {
    .type = "bitbucket-status",
    .keys = own_keys,
    .check = check,
    .post = post_bitbucket,
    .applies = applies,
};

const struct rb_destination_type rb_destination_bitbucket_server_status = {
    .type = "bitbucket-server-status",
    .keys = own_keys,
    .check = check,
    .post = post_bitbucket_server,
    .applies = applies,
};

const struct rb_destination_type rb_destination_gitea_status = {
    .type = "gitea-status",
    .keys = own_keys,
    .check = check,
    .post = post_gitea,
    .applies = applies,
};
