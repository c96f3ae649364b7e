/* head.c - which git host knows where the head of a build's branch or pull request is.
 *
 * Every source and destination of a git host that has an API is looked at. One on the repository's
 * own host goes before one that is only said to be of a host of their own, and one with a
 * credential before one without.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/forge.h>

#include "hosts.h"

#define SURE 2
#define PROVES 1
#define TYPE_MAX_BYTES 32

struct search {
    const char *location;
    struct rb_arena *a;
    struct rb_head_place best;
    int rank;
    bool several; /* which of them it is cannot be told */
};

static bool host_of_type(const char *type, enum rb_githost *ret_host)
{
    static const struct {
        const char *type;
        enum rb_githost host;
    } rows[] = {
        {"bitbucket", RB_HOST_BITBUCKET}, {"bitbucket-server", RB_HOST_BITBUCKET_SERVER},
        {"forgejo", RB_HOST_GITEA},       {"gitea", RB_HOST_GITEA},
        {"github", RB_HOST_GITHUB},       {"gitlab", RB_HOST_GITLAB},
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        if (rb_str_eq(rows[i].type, type)) {
            *ret_host = rows[i].host;
            return true;
        }
    }
    return false;
}

static void consider(struct search *x, const char *type, const struct rb_api_setting *api)
{
    enum rb_githost host;
    bool proves = api->token != NULL || api->app_id != NULL;

    if ((!proves && api->url == NULL) || !host_of_type(type, &host)) {
        return;
    }
    const char *path = rb_githost_path(host, api, x->location, x->a);
    if (path == NULL) {
        return;
    }
    int rank = (rb_githost_sure(host, api, x->location, x->a) ? SURE : 0) + (proves ? PROVES : 0);
    x->several = x->several || (x->best.api != NULL && !rb_str_eq(x->best.api->url, api->url));
    if (x->best.api == NULL || rank > x->rank) {
        x->rank = rank;
        x->best = (struct rb_head_place){.type = type, .api = api, .repository = path};
    }
}

/* "github-status" is of github. */
static const char *type_of_destination(const char *type, struct rb_arena *a)
{
    const char *dash = strrchr(type, '-');
    return dash == NULL ? type : rb_arena_strndup(a, type, (size_t)(dash - type));
}

static int64_t number_of(const char *s)
{
    uint64_t n = 0;
    bool number = s != NULL && rb_parse_u64((struct rb_slice){.ptr = s, .len = strlen(s)}, &n);
    return number && n <= INT64_MAX ? (int64_t)n : 0;
}

/* A name that was given for a source version and is no ref, no commit and no expression. */
static const char *plain_branch(const char *v)
{
    bool other = rb_str_empty(v) || rb_str_eq(v, "HEAD") || strncmp(v, "refs/", 5) == 0 ||
                 strncmp(v, "pr/", 3) == 0 || strpbrk(v, "^~:?*[\\ ") != NULL ||
                 (strlen(v) >= 7 && strspn(v, "0123456789abcdefABCDEF") == strlen(v));
    return other ? NULL : v;
}

/* A pull request's merge is no head, and moves with its target. */
static bool is_merge(const char *v)
{
    return v != NULL && strncmp(v, "refs/pull/", 10) == 0 && strstr(v, "/merge") != NULL;
}

bool rb_head_place(const struct rb_settings *s, const struct rb_build *b, struct rb_arena *a,
                   struct rb_head_place *ret_p)
{
    struct search x = {.location = b->repository, .a = a};
    int64_t number = number_of(b->pull_request);
    const char *branch = number > 0                ? NULL
                         : rb_str_empty(b->branch) ? plain_branch(b->source_version)
                                                   : b->branch;

    if (b->repository == NULL || (number == 0 && branch == NULL) || is_merge(b->source_version)) {
        return false;
    }
    for (unsigned i = 0; i < s->n_sources; i++) {
        consider(&x, s->sources[i].type, &s->sources[i].api);
    }
    for (unsigned i = 0; i < s->n_destinations; i++) {
        const char *type = type_of_destination(s->destinations[i].type, a);
        if (type != NULL) {
            consider(&x, type, &s->destinations[i].api);
        }
    }
    if (x.best.api == NULL || (x.rank < SURE && x.several)) {
        return false;
    }
    x.best.number = number;
    x.best.branch = branch;
    *ret_p = x.best;
    return true;
}
