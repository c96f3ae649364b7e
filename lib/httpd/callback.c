/* callback.c - may results be posted to the URL that a caller names? */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/httpc.h>
#include <retrybuild/url.h>

#include "callback.h"

static void free_addrinfop(struct addrinfo **ai)
{
    if (*ai != NULL) {
        freeaddrinfo(*ai);
    }
}

static void netlist_freep(struct rb_netlist **l)
{
    rb_netlist_free(*l);
}

static enum rb_code check_host(const struct rb_url *u, const struct rb_settings *s,
                               struct rb_err *err)
{
    RB_CLEANUP(netlist_freep) struct rb_netlist *listed = NULL;
    RB_CLEANUP(free_addrinfop) struct addrinfo *list = NULL;
    enum rb_code rc = rb_netlist_parse(&s->network.allow, &listed, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int gai = getaddrinfo(u->host, NULL, &hints, &list);
    if (gai != 0) {
        return rb_err_set(err, RB_E_INVALID, "host '%.200s': %s", u->host, gai_strerror(gai));
    }
    bool plain = strcmp(u->scheme, "http") == 0;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        bool open_to_all = rb_address_allowed(ai->ai_addr, NULL);
        if (!open_to_all && !rb_address_allowed(ai->ai_addr, listed)) {
            return rb_err_set(
                err, RB_E_BLOCKED,
                "host '%.200s' points inside; the operator may list it in network.allow", u->host);
        }
        if (plain && open_to_all) {
            return rb_err_set(err, RB_E_INVALID, "only https is possible for '%.200s'", u->host);
        }
    }
    return RB_OK;
}

enum rb_code rb_callback_check(const char *url, const struct rb_settings *s, struct rb_err *err)
{
    struct rb_arena a;
    struct rb_url u = {.scheme = NULL};
    rb_arena_init(&a, 16384);
    enum rb_code rc = rb_url_parse(url, strlen(url), &a, &u, err);
    if (rc == RB_OK && strcmp(u.scheme, "https") != 0 && strcmp(u.scheme, "http") != 0) {
        rc = rb_err_set(err, RB_E_INVALID, "only https is possible");
    } else if (rc == RB_OK && u.userinfo != NULL) {
        rc = rb_err_set(err, RB_E_INVALID, "it must not hold a user or password");
    } else if (rc == RB_OK) {
        rc = check_host(&u, s, err);
    }
    rb_arena_release(&a);
    return rc;
}
