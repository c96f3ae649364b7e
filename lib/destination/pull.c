/* Which pull or merge request a build belongs to, where the build does not say: a hook about a
 * commit's status, or a build of a branch, names none. Source: facts on integrations, 2.1, 2.2. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#include "hosts.h"

#define BRANCH_MAX_BYTES 3072

static bool is_number(const char *s)
{
    return !rb_str_empty(s) && strspn(s, "0123456789") == strlen(s);
}

bool rb_githost_has_pull(const struct rb_retry *r)
{
    return r->build.pull_request != NULL
               ? is_number(r->build.pull_request)
               : rb_build_commit(&r->build) != NULL || !rb_str_empty(r->build.branch);
}

static const char *list_url(struct rb_poster *p, enum rb_githost host, const char *repository)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf branch = RB_BUF_INIT(BRANCH_MAX_BYTES);
    const struct rb_build *b = &p->v->retry->build;
    const char *commit = rb_build_commit(b);

    if (commit != NULL) {
        return host == RB_HOST_GITLAB
                   ? rb_githost_url(host, p->d, p->a,
                                    "projects/%s/repository/commits/%s/merge_requests?per_page=100",
                                    repository, commit)
                   : rb_githost_url(host, p->d, p->a, "repos/%s/commits/%s/pulls?per_page=100",
                                    repository, commit);
    }
    rb_url_encode(&branch, b->branch, strlen(b->branch));
    if (rb_buf_failed(&branch)) {
        return NULL;
    }
    return host == RB_HOST_GITLAB
               ? rb_githost_url(
                     host, p->d, p->a,
                     "projects/%s/merge_requests?state=opened&per_page=100&source_branch=%s",
                     repository, rb_buf_str(&branch))
               : rb_githost_url(host, p->d, p->a,
                                "repos/%s/pulls?state=open&per_page=100&head=%.*s:%s", repository,
                                (int)strcspn(repository, "/"), repository, rb_buf_str(&branch));
}

/* Of the open ones the one that comes from the build's branch, else the first; 0 = none. */
static json_int_t choose(enum rb_githost host, const json_t *list, const char *branch)
{
    bool gitlab = host == RB_HOST_GITLAB;
    json_int_t first = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pull = json_array_get(list, i);
        const char *state = json_string_value(json_object_get(pull, "state"));
        const char *from =
            json_string_value(gitlab ? json_object_get(pull, "source_branch")
                                     : json_object_get(json_object_get(pull, "head"), "ref"));
        json_int_t number = json_integer_value(json_object_get(pull, gitlab ? "iid" : "number"));
        if (number <= 0 || (!rb_str_eq(state, "open") && !rb_str_eq(state, "opened"))) {
            continue;
        }
        if (from != NULL && rb_str_eq(from, branch)) {
            return number;
        }
        first = first == 0 ? number : first;
    }
    return first;
}

bool rb_githost_pull(struct rb_poster *p, enum rb_githost host, const char *repository,
                     const char **ret_number)
{
    const struct rb_build *b = &p->v->retry->build;

    if (b->pull_request != NULL) {
        *ret_number = b->pull_request;
        return true;
    }
    if (!rb_githost_call(p, host, "GET", list_url(p, host, repository), NULL)) {
        if (p->answer.status == 422) { /* GitHub: no such commit (any more) */
            rb_poster_done(p);
        }
        return false;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *list = rb_poster_json(p);
    json_int_t number = choose(host, list, b->branch);
    if (number == 0) {
        rb_poster_done(p);
        return false;
    }
    *ret_number = rb_arena_printf(p->a, "%lld", (long long)number);
    if (*ret_number == NULL) {
        rb_poster_again(p, -1, "no memory for a report");
    }
    return *ret_number != NULL;
}
