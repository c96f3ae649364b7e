/* route.c - the route table, and matching. A new route is one row. */
#include <string.h>

#include "private.h"

static const struct rb_route routes[] = {
    {"POST", "/v1/hooks/*", RB_ROLE_NONE, true, rb_handle_hook},
    {"OPTIONS", "/v1/hooks/*", RB_ROLE_NONE, false, rb_handle_greet},
    {"POST", "/v1/retries", RB_ROLE_OPERATOR, true, rb_handle_retries_post},
    {"GET", "/v1/retries", RB_ROLE_VIEWER, false, rb_handle_retries_list},
    {"GET", "/v1/retries/*", RB_ROLE_VIEWER, false, rb_handle_retry_get},
    {"GET", "/v1/retries/*/chain", RB_ROLE_VIEWER, false, rb_handle_chain},
    {"POST", "/v1/retries/*/cancel", RB_ROLE_OPERATOR, true, rb_handle_cancel},
    {"POST", "/v1/retries/*/approve", RB_ROLE_OPERATOR, true, rb_handle_approve},
    {"POST", "/v1/retries/*/deny", RB_ROLE_OPERATOR, true, rb_handle_deny},
    {"POST", "/v1/retries/*/requeue", RB_ROLE_OPERATOR, true, rb_handle_requeue},
    {"POST", "/v1/explain", RB_ROLE_VIEWER, true, rb_handle_explain},
    {"GET", "/v1/stats", RB_ROLE_VIEWER, false, rb_handle_stats},
    {"GET", "/v1/events", RB_ROLE_VIEWER, false, rb_handle_events},
    {"GET", "/v1/session", RB_ROLE_VIEWER, false, rb_handle_session},
    {"GET", "/v1/overview", RB_ROLE_VIEWER, false, rb_handle_overview},
    {"POST", "/v1/pause", RB_ROLE_OPERATOR, true, rb_handle_pause},
    {"POST", "/v1/resume", RB_ROLE_OPERATOR, true, rb_handle_resume},
    {"POST", "/", RB_ROLE_NONE, true, rb_handle_front_door},
    {"GET", "/", RB_ROLE_NONE, false, rb_handle_page},
    {"GET", "/assets/*", RB_ROLE_NONE, false, rb_handle_asset},
    {"GET", "/livez", RB_ROLE_NONE, false, rb_handle_livez},
    {"GET", "/readyz", RB_ROLE_NONE, false, rb_handle_readyz},
    {"GET", "/metrics", RB_ROLE_NONE, false, rb_handle_metrics},
};

/* path_matches - one '*' in @pattern takes one non-empty segment of @path. */
static bool path_matches(const char *pattern, const char *path, struct rb_slice *ret_param)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL) {
        return strcmp(pattern, path) == 0;
    }
    size_t head = (size_t)(star - pattern);
    if (strncmp(pattern, path, head) != 0) {
        return false;
    }
    size_t segment = strcspn(path + head, "/");
    if (segment == 0 || strcmp(path + head + segment, star + 1) != 0) {
        return false;
    }
    *ret_param = (struct rb_slice){path + head, segment};
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t rb_route_unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls;
    (void)mhd;
    char *to = s;
    for (const char *from = s; *from != '\0';) {
        int high = from[0] == '%' ? hex_digit(from[1]) : -1;
        int low = high >= 0 ? hex_digit(from[2]) : -1;
        if (low < 0 || high + low == 0) {
            *to++ = *from++;
            continue;
        }
        *to++ = (char)(high * 16 + low);
        from += 3;
    }
    *to = '\0';
    return (size_t)(to - s);
}

const struct rb_route *rb_route_find(const char *method, const char *path,
                                     struct rb_slice *ret_param, const char **ret_allow)
{
    bool get = false;
    bool post = false;
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    *ret_allow = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        struct rb_slice param = {NULL, 0};
        if (!path_matches(routes[i].pattern, path, &param)) {
            continue;
        }
        if (strcmp(routes[i].method, wanted) == 0) {
            *ret_param = param;
            return &routes[i];
        }
        get = get || routes[i].method[0] == 'G';
        post = post || routes[i].method[0] == 'P';
    }
    if (get || post) {
        *ret_allow = get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : "POST";
    }
    return NULL;
}
