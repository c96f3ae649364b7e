/* bare.c - the yardstick: a libmicrohttpd listener on an external loop that reads a body and
 * answers 202, and does nothing else.
 *
 * usage: bare [PORT]; prints "listening on http://127.0.0.1:PORT"; ends on SIGTERM by its default
 * action.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct request {
    char *body;
    size_t len;
};

static struct MHD_Response *answer;

static enum MHD_Result access_handler(void *cls, struct MHD_Connection *c, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *data_len, void **req_cls)
{
    (void)cls;
    (void)url;
    (void)method;
    (void)version;
    struct request *r = *req_cls;
    if (r == NULL) {
        r = calloc(1, sizeof *r);
        *req_cls = r;
        return r == NULL ? MHD_NO : MHD_YES;
    }
    if (*data_len > 0) {
        char *grown = realloc(r->body, r->len + *data_len);
        if (grown == NULL) {
            return MHD_NO;
        }
        memcpy(grown + r->len, data, *data_len);
        r->body = grown;
        r->len += *data_len;
        *data_len = 0;
        return MHD_YES;
    }
    return MHD_queue_response(c, MHD_HTTP_ACCEPTED, answer);
}

static void completed(void *cls, struct MHD_Connection *c, void **req_cls,
                      enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)c;
    (void)why;
    struct request *r = *req_cls;
    if (r != NULL) {
        free(r->body);
        free(r);
    }
}

static int run(struct MHD_Daemon *d)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    if (info == NULL || ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, info->epoll_fd, &ev) != 0) {
        return 1;
    }
    for (;;) {
        MHD_UNSIGNED_LONG_LONG ms = 0;
        int timeout = MHD_get_timeout(d, &ms) == MHD_YES ? (int)ms : -1;
        if (epoll_wait(ep, &ev, 1, timeout) < 0 && errno != EINTR) {
            return 1;
        }
        (void)MHD_run(d);
    }
}

int main(int argc, char **argv)
{
    static char text[] = "{\"status\":\"accepted\"}\n";
    unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    answer = MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, access_handler, NULL, MHD_OPTION_SOCK_ADDR, &in,
        MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_LIMIT, 4096U,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
    if (d == NULL) {
        (void)fprintf(stderr, "bare: cannot listen\n");
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    (void)printf("listening on http://127.0.0.1:%u\n", info == NULL ? 0U : info->port);
    (void)fflush(stdout);
    return run(d);
}
