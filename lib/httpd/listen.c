/* listen.c - the listening socket: address text to a bound, non-blocking descriptor. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "listen.h"

#define BACKLOG 1024

static void free_addrinfop(struct addrinfo **ai)
{
    if (*ai != NULL) {
        freeaddrinfo(*ai);
    }
}

/* split_address - "host:port", "[v6]:port" or ":port" into @a. */
static bool split_address(const char *address, struct rb_arena *a, const char **ret_host,
                          const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0') {
        return false;
    }
    const char *host = address;
    size_t host_len = (size_t)(colon - address);
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    }
    *ret_host = host_len == 0 ? NULL : rb_arena_strndup(a, host, host_len);
    *ret_port = rb_arena_strdup(a, colon + 1);
    return true;
}

static enum rb_code bind_one(const struct addrinfo *ai, const char *address, int *ret_fd,
                             struct rb_err *err)
{
    RB_CLEANUP(rb_closep)
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return rb_err_errno(err, RB_E_IO, errno, "listen.address '%s': socket", address);
    }
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                     sizeof one); /* accepted sockets inherit it */
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
        return rb_err_errno(err, RB_E_IO, errno, "listen.address '%s': cannot bind", address);
    }
    if (listen(fd, BACKLOG) != 0) {
        return rb_err_errno(err, RB_E_IO, errno, "listen.address '%s': cannot listen", address);
    }
    *ret_fd = fd;
    fd = -1;
    return RB_OK;
}

enum rb_code rb_listen_open(const char *address, int *ret_fd, struct rb_err *err)
{
    struct rb_arena a;
    rb_arena_init(&a, 4096);
    const char *host = NULL;
    const char *port = NULL;
    enum rb_code rc = RB_OK;
    RB_CLEANUP(free_addrinfop) struct addrinfo *list = NULL;
    if (!split_address(address, &a, &host, &port)) {
        rc = rb_err_set(err, RB_E_INVALID, "listen.address '%s' is not HOST:PORT", address);
    } else {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
        int gai = getaddrinfo(host, port, &hints, &list);
        if (gai != 0) {
            rc = rb_err_set(err, RB_E_INVALID, "listen.address '%s': %s", address,
                            gai_strerror(gai));
        } else {
            rc = bind_one(list, address, ret_fd, err);
        }
    }
    rb_arena_release(&a);
    return rc;
}

uint16_t rb_listen_describe(int fd, char *ret_text, size_t text_len)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof ss;
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0 && ss.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        port = ntohs(in->sin_port);
        (void)snprintf(ret_text, text_len, "%s:%u", host, port);
    } else if (ss.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        port = ntohs(in6->sin6_port);
        (void)snprintf(ret_text, text_len, "[%s]:%u", host, port);
    }
    return port;
}
