/* watch.c - a connection in the epoll set of somebody's loop. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "conn.h"

void rwatch_end(struct rwatch *w)
{
    if (w->fd >= 0) {
        (void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
        w->fd = -1;
    }
}

void rwatch_update(struct rwatch *w, const struct rconn *c)
{
    if (c->state == RCONN_CLOSED) {
        return;
    }
    short wanted = rconn_events(c);
    uint32_t events = ((wanted & POLLIN) != 0 ? (uint32_t)EPOLLIN : 0u) |
                      ((wanted & POLLOUT) != 0 ? (uint32_t)EPOLLOUT : 0u);
    struct epoll_event e = {.events = events, .data = {.ptr = w->tag}};
    if (w->fd != c->fd) {
        /* The connection went on to another address; the old descriptor left epoll by closing. */
        if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) == 0 || errno == EEXIST) {
            w->fd = c->fd;
            w->events = events;
        }
    } else if (w->events != events && epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, c->fd, &e) == 0) {
        w->events = events;
    }
}
