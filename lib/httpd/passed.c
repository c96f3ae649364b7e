/* passed.c - socket activation: the listening socket that a service manager hands over as
 * descriptor 3, so that connections wait in its queue while the service is started again.
 *
 * The variables stay set: LISTEN_PID says that they are meant for this process alone, and changing
 * the environment is not safe once threads run. Source: sd_listen_fds(3). */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <retrybuild/str.h>

#include "listen.h"

#define FIRST_PASSED_FD 3

/* variable - the number that the environment gives; false: absent or no number. */
static bool variable(const char *name, uint64_t *ret_v)
{
    const char *text = getenv(name);
    return text != NULL && rb_parse_u64(rb_slice_str(text), ret_v);
}

static bool is_listening_tcp(int fd)
{
    int type = 0;
    int accepts = 0;
    struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
    socklen_t type_len = sizeof type;
    socklen_t accepts_len = sizeof accepts;
    socklen_t ss_len = sizeof ss;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &accepts_len) == 0 && accepts != 0 &&
           getsockname(fd, (struct sockaddr *)&ss, &ss_len) == 0 &&
           (ss.ss_family == AF_INET || ss.ss_family == AF_INET6);
}

/* adopt - as if we had opened it: closed on exec, never blocking, small answers sent at once. */
static enum rb_code adopt(int fd, struct rb_err *err)
{
    int one = 1;
    int status = fcntl(fd, F_GETFL);
    if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        return rb_err_errno(err, RB_E_IO, errno, "the passed socket");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return RB_OK;
}

enum rb_code rb_listen_passed(int *ret_fd, struct rb_err *err)
{
    uint64_t pid = 0;
    uint64_t count = 0;
    if (!variable("LISTEN_PID", &pid) || pid != (uint64_t)getpid()) {
        *ret_fd = -1;
        return RB_OK;
    }
    if (!variable("LISTEN_FDS", &count) || count == 0) {
        return rb_err_set(err, RB_E_INVALID,
                          "LISTEN_PID names this process, but LISTEN_FDS gives no socket");
    }
    if (count > 1) {
        return rb_err_set(err, RB_E_INVALID,
                          "%llu sockets were passed (LISTEN_FDS), one is wanted: leave one "
                          "ListenStream= in the socket unit",
                          (unsigned long long)count);
    }
    if (!is_listening_tcp(FIRST_PASSED_FD)) {
        return rb_err_set(err, RB_E_INVALID,
                          "the passed socket (descriptor %d) is not a listening TCP socket: "
                          "ListenStream= of the socket unit is a port or ADDRESS:PORT, with "
                          "Accept=no",
                          FIRST_PASSED_FD);
    }
    enum rb_code rc = adopt(FIRST_PASSED_FD, err);
    if (rc == RB_OK) {
        *ret_fd = FIRST_PASSED_FD;
    }
    return rc;
}
