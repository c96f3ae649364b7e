/* The guard as the transport uses it: numeric text, scheme, and names behind a proxy. */
#include "guard.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include <retrybuild/cleanup.h>

bool rb_address_parse(const char *s, struct sockaddr_storage *ret_sa)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    char text[INET6_ADDRSTRLEN];
    size_t len = strcspn(s, "%");

    if (len >= sizeof(text)) {
        return false;
    }
    memcpy(text, s, len);
    text[len] = '\0';
    memset(ret_sa, 0, sizeof(*ret_sa));
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(ret_sa, &in, sizeof(in));
        return true;
    }
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1) {
        memcpy(ret_sa, &in6, sizeof(in6));
        return true;
    }
    return false;
}

bool rb_guard_allows(const struct sockaddr *sa, bool tls, const struct rb_netlist *allow)
{
    return tls ? rb_address_allowed(sa, allow) : rb_address_listed(sa, allow);
}

static void free_addrinfo(struct addrinfo **list)
{
    if (*list != NULL) {
        freeaddrinfo(*list);
    }
}

bool rb_guard_host_allowed(const char *host, bool tls, const struct rb_netlist *allow)
{
    RB_CLEANUP(free_addrinfo) struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct sockaddr_storage literal;
    char inner[INET6_ADDRSTRLEN];
    size_t len = strlen(host);

    if (host[0] == '[') { /* an IPv6 literal */
        if (len < 2 || len - 2 >= sizeof(inner)) {
            return false;
        }
        memcpy(inner, host + 1, len - 2);
        inner[len - 2] = '\0';
        return rb_address_parse(inner, &literal) &&
               rb_guard_allows((const struct sockaddr *)&literal, tls, allow);
    }
    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        list = NULL;
        return tls;
    }
    for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
        if (!rb_guard_allows(i->ai_addr, tls, allow)) {
            return false;
        }
    }
    return true;
}
