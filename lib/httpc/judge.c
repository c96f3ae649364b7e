/* The guard asked beforehand: for those who want to know before a report is due, with the names
 * that there are now or, of a configuration, without asking anybody. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#include "guard.h"

static void free_addrinfo(struct addrinfo **list)
{
    if (*list != NULL) {
        freeaddrinfo(*list);
    }
}

static void show(const struct sockaddr *sa, socklen_t len, char *ret, size_t size)
{
    if (getnameinfo(sa, len, ret, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0) {
        (void)snprintf(ret, size, "?");
    }
}

/* @flags: AI_NUMERICHOST takes addresses only, in every form that a URL may have; names are
 * UNAVAIL. */
static enum rb_code judge_addresses(const char *host, int flags, bool tls,
                                    const struct rb_netlist *allow, struct rb_err *err)
{
    RB_CLEANUP(free_addrinfo) struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    char text[INET6_ADDRSTRLEN];

    int failed = getaddrinfo(host, NULL, &hints, &list);
    if (failed != 0) {
        list = NULL;
        return rb_err_set(err, RB_E_UNAVAIL, "the name '%s' has no address here: %s", host,
                          gai_strerror(failed));
    }
    for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
        if (rb_guard_allows(i->ai_addr, tls, allow)) {
            continue;
        }
        show(i->ai_addr, i->ai_addrlen, text, sizeof(text));
        return rb_err_set(err, RB_E_BLOCKED,
                          rb_address_allowed(i->ai_addr, allow)
                              ? "'%s' has the address %s, which is not listed: without TLS only "
                                "addresses of network.allow are called"
                              : "'%s' has the address %s, which is not a public one and not in "
                                "network.allow",
                          host, text);
    }
    return RB_OK;
}

struct judged {
    struct rb_netlist *allow;
    struct rb_url url;
    bool tls;
};

static void judged_release(struct judged *j)
{
    rb_netlist_free(j->allow);
}

static enum rb_code read_url(const struct rb_settings *s, const char *url, struct rb_arena *a,
                             struct judged *ret_j, struct rb_err *err)
{
    enum rb_code rc = rb_url_parse(url, strlen(url), a, &ret_j->url, err);
    if (rc != RB_OK) {
        return rc;
    }
    ret_j->tls = rb_str_eq(ret_j->url.scheme, "https");
    if (!ret_j->tls && !rb_str_eq(ret_j->url.scheme, "http")) {
        return rb_err_set(err, RB_E_INVALID, "the URL is neither https nor http");
    }
    return rb_netlist_parse(&s->network.allow, &ret_j->allow, err);
}

enum rb_code rb_httpc_judge(const struct rb_settings *s, const char *url, struct rb_arena *a,
                            const char **ret_host, struct rb_err *err)
{
    RB_CLEANUP(judged_release) struct judged j = {.allow = NULL};

    enum rb_code rc = read_url(s, url, a, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const struct rb_url *u = &j.url;
    unsigned port = u->port == 0 ? rb_url_default_port(u->scheme) : u->port;
    *ret_host =
        rb_arena_printf(a, strchr(u->host, ':') == NULL ? "%s:%u" : "[%s]:%u", u->host, port);
    if (*ret_host == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a host's name");
    }
    rc = judge_addresses(u->host, 0, j.tls, j.allow, err);
    bool proxied = !rb_str_empty(s->network.proxy);
    return rc == RB_E_UNAVAIL && proxied && j.tls ? RB_OK : rc; /* the proxy knows the name */
}

enum rb_code rb_httpc_foresee(const struct rb_settings *s, const char *url, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(judged_release) struct judged j = {.allow = NULL};

    rb_arena_init(&a, 4 * RB_URL_MAX_BYTES);
    enum rb_code rc = read_url(s, url, &a, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    rc = judge_addresses(j.url.host, AI_NUMERICHOST, j.tls, j.allow, err);
    if (rc != RB_E_UNAVAIL) {
        return rc;
    }
    if (!j.tls && s->network.allow.n == 0) {
        return rb_err_set(err, RB_E_BLOCKED,
                          "without TLS only addresses of network.allow are called, and it is "
                          "empty");
    }
    return RB_OK; /* what the name is will be seen when it is called */
}
