/* repository.c - whose a repository is, and what its host calls it. */
#include <string.h>

#include <retrybuild/url.h>

#include "hosts.h"

static const char *const public_names[RB_HOST_COUNT] = {
    /* in clone URLs; NULL = there is none */
    [RB_HOST_GITHUB] = "github.com",
    [RB_HOST_GITLAB] = "gitlab.com",
    [RB_HOST_BITBUCKET] = "bitbucket.org",
};

/* Is @name the public host of @host, or of none? */
static bool host_fits(enum rb_githost host, const struct rb_api_setting *api, const char *name)
{
    for (int i = 0; i < RB_HOST_COUNT; i++) {
        if (rb_str_eq(public_names[i], name)) {
            return i == (int)host;
        }
    }
    return api->url != NULL; /* a host of their own, which this API is said to be of */
}

/* The part behind the host without slashes at its ends; "scm/" is how Bitbucket Data Center
 * begins. */
static const char *path_of(enum rb_githost host, const char *path, struct rb_arena *a)
{
    while (*path == '/') {
        path++;
    }
    if (host == RB_HOST_BITBUCKET_SERVER) {
        const char *scm = strstr(path, "scm/");
        path = scm == NULL ? path : scm + 4;
    }
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    return rb_arena_strndup(a, path, len);
}

bool rb_githost_sure(enum rb_githost host, const struct rb_api_setting *api, const char *location,
                     struct rb_arena *a)
{
    struct rb_url url, root;

    if (rb_url_parse(location, strlen(location), a, &url, NULL) != RB_OK ||
        rb_str_empty(url.host)) {
        return false;
    }
    if (api->url == NULL) {
        return rb_str_eq(public_names[host], url.host);
    }
    if (rb_url_parse(api->url, strlen(api->url), a, &root, NULL) != RB_OK ||
        rb_str_empty(root.host)) {
        return false;
    }
    return rb_str_eq(root.host, url.host) ||
           (strncmp(root.host, "api.", 4) == 0 && rb_str_eq(root.host + 4, url.host));
}

const char *rb_githost_path(enum rb_githost host, const struct rb_api_setting *api,
                            const char *location, struct rb_arena *a)
{
    struct rb_url url;

    if (location == NULL || rb_url_parse(location, strlen(location), a, &url, NULL) != RB_OK ||
        rb_str_empty(url.host) || !host_fits(host, api, url.host)) {
        return NULL;
    }
    const char *path = path_of(host, url.path, a);
    const char *slash = path == NULL ? NULL : strchr(path, '/');
    if (slash == NULL || slash[1] == '\0') {
        return NULL;
    }
    if (host == RB_HOST_GITLAB) {
        return path;
    }
    if (host == RB_HOST_GITEA) { /* may live under a path of its own: the last two count */
        const char *name = strrchr(path, '/'), *owner = name;
        while (owner > path && owner[-1] != '/') {
            owner--;
        }
        path = owner;
        slash = name;
    }
    return strchr(slash + 1, '/') == NULL ? path : NULL;
}
