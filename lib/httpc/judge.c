/* The guard asked beforehand: for those who want to know before a report is due. */
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

static void free_netlist(struct rb_netlist **l)
{
    rb_netlist_free(*l);
}

static void show(const struct sockaddr *sa, socklen_t len, char *ret, size_t size)
{
    if (getnameinfo(sa, len, ret, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0) {
        (void)snprintf(ret, size, "?");
    }
}

static enum rb_code judge_addresses(const char *host, bool tls, const struct rb_netlist *allow,
                                    struct rb_err *err)
{
    RB_CLEANUP(free_addrinfo) struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
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

enum rb_code rb_httpc_judge(const struct rb_settings *s, const char *url, struct rb_arena *a,
                            const char **ret_host, struct rb_err *err)
{
    RB_CLEANUP(free_netlist) struct rb_netlist *allow = NULL;
    struct rb_url u;

    enum rb_code rc = rb_url_parse(url, strlen(url), a, &u, err);
    if (rc != RB_OK) {
        return rc;
    }
    bool tls = rb_str_eq(u.scheme, "https");
    if (!tls && !rb_str_eq(u.scheme, "http")) {
        return rb_err_set(err, RB_E_INVALID, "the URL is neither https nor http");
    }
    unsigned port = u.port == 0 ? rb_url_default_port(u.scheme) : u.port;
    *ret_host = rb_arena_printf(a, strchr(u.host, ':') == NULL ? "%s:%u" : "[%s]:%u", u.host, port);
    rc = *ret_host == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a host's name")
                           : rb_netlist_parse(&s->network.allow, &allow, err);
    if (rc != RB_OK) {
        return rc;
    }
    rc = judge_addresses(u.host, tls, allow, err);
    bool proxied = !rb_str_empty(s->network.proxy);
    return rc == RB_E_UNAVAIL && proxied && tls ? RB_OK : rc; /* the proxy knows the name */
}
