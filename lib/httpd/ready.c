/* ready.c - see ready.h.
 *
 * A connection is watched for input as a rule, for room in its socket while its answer is under way
 * and did not fit, and for nothing when input comes while it is suspended. Interest is by level and
 * changes only when it has to, so that the usual request costs no epoll_ctl. A step of the first
 * daemon reads what has come and makes answers; what it leaves to be written, the next step writes:
 * sockets have room, unless a step in which they could write has not ended their answer.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <retrybuild/clock.h>
#include <retrybuild/log.h>

#include "ready.h"

#define ACCEPT_AT_ONCE 64
#define ACCEPT_PAUSE_MS 100
#define STEPS_MAX 4 /* without anything new; a stream makes its block, sends it, ends */

static void interest(struct rb_httpd *h, struct rb_conn *c, uint32_t events)
{
    if (c->watched == events || c->fd < 0) {
        return;
    }
    struct epoll_event ev = {.events = events, .data.ptr = c};
    int op = c->watched == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(h->epoll_fd, op, c->fd, &ev) != 0) {
        (void)shutdown(c->fd, SHUT_RDWR); /* no memory in the kernel: it cannot be served */
        FD_SET(c->fd, &h->readable);
        return;
    }
    c->watched = events;
}

/* touch - look at @c in this turn, and when it is over what it is to be watched for. */
static void touch(struct rb_httpd *h, struct rb_conn *c)
{
    if (!c->touched) {
        c->touched = true;
        c->next_touched = h->touched;
        h->touched = c;
    }
    FD_SET(c->fd, &h->writable);
}

void rb_ready_begin(struct rb_httpd *h, struct rb_conn *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_DAEMON);
    c->quick = info != NULL && info->daemon == h->mhd && c->fd >= 0 && c->fd < FD_SETSIZE;
    if (c->quick) {
        h->n_quick++;
        c->unsure = true; /* it was accepted as readable */
        touch(h, c);
    }
}

void rb_ready_end(struct rb_httpd *h, struct rb_conn *c)
{
    if (!c->quick) {
        return;
    }
    h->n_quick--;
    FD_CLR(c->fd, &h->readable);
    FD_CLR(c->fd, &h->writable);
    for (struct rb_conn **at = &h->touched; c->touched && *at != NULL; at = &(*at)->next_touched) {
        if (*at == c) {
            *at = c->next_touched;
            break;
        }
    }
}

void rb_conn_suspend(struct rb_conn *c, struct MHD_Connection *mhd)
{
    if (c != NULL) {
        c->suspended = true;
    }
    MHD_suspend_connection(mhd);
}

void rb_conn_resume(struct rb_httpd *h, struct rb_conn *c, struct MHD_Connection *mhd)
{
    if (c != NULL) {
        c->suspended = false;
        if (c->quick) {
            touch(h, c);
        }
    }
    h->resumed = true;
    MHD_resume_connection(mhd);
}

void rb_ready_event(struct rb_httpd *h, struct rb_conn *c, uint32_t events)
{
    if (c->suspended) {
        interest(h, c, 0);
        return;
    }
    touch(h, c);
    if ((events & ~(uint32_t)EPOLLOUT) != 0) {
        FD_SET(c->fd, &h->readable);
    }
}

/* settle - what the touched ones are watched for from now on. */
static void settle(struct rb_httpd *h)
{
    while (h->touched != NULL) {
        struct rb_conn *c = h->touched;
        h->touched = c->next_touched;
        c->touched = false;
        FD_CLR(c->fd, &h->writable);
        if (!c->suspended) { /* else it is touched again when it is resumed */
            interest(h, c, c->answering ? EPOLLOUT : EPOLLIN);
        }
    }
}

/* unfinished - whether a touched connection may have something to write. */
static bool unfinished(const struct rb_httpd *h)
{
    for (const struct rb_conn *c = h->touched; c != NULL; c = c->next_touched) {
        if (!c->suspended && (c->answering || c->unsure)) {
            return true;
        }
    }
    return false;
}

void rb_ready_run(struct rb_httpd *h, void (*between)(struct rb_httpd *h))
{
    unsigned idle_steps = 0;
    do {
        fd_set readable = h->readable;
        fd_set writable = h->writable;
        fd_set none;
        FD_ZERO(&none);
        FD_ZERO(&h->readable);
        for (struct rb_conn *c = h->touched; c != NULL; c = c->next_touched) {
            c->unsure = FD_ISSET(c->fd, &readable);
        }
        h->resumed = false;
        (void)MHD_run_from_select(h->mhd, &readable, &writable, &none);
        if (h->n_conns > h->n_quick || h->many_added) {
            h->many_added = false;
            (void)MHD_run(h->mhd_many);
        }
        between(h);
        idle_steps = h->resumed ? 0 : idle_steps + 1;
    } while (h->resumed || (idle_steps < STEPS_MAX && unfinished(h)));
    settle(h);
}

/* ---- new connections ---- */

static void watch_listener(struct rb_httpd *h, bool on)
{
    struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.ptr = &h->listen_fd};
    (void)epoll_ctl(h->epoll_fd, EPOLL_CTL_MOD, h->listen_fd, &ev);
    h->deaf = !on;
}

int64_t rb_ready_accept_again(struct rb_httpd *h)
{
    if (!h->deaf || h->listen_fd < 0) {
        return -1;
    }
    int64_t left_ms = h->deaf_until_ms - rb_boot_ms(h->deps.clock);
    if (left_ms <= 0 && h->n_conns < h->max_conns) {
        watch_listener(h, true);
        return -1;
    }
    return left_ms > 0 ? left_ms : -1; /* a connection that ends makes room, and a turn */
}

static void add(struct rb_httpd *h, int fd, const struct sockaddr *from, socklen_t len)
{
    bool quick = !h->secure && h->n_quick < RB_QUICK_CONNECTIONS && fd < FD_SETSIZE;
    if (quick) {
        FD_SET(fd, &h->readable); /* who connects has something to say */
    }
    h->many_added = h->many_added || !quick;
    (void)MHD_add_connection(quick ? h->mhd : h->mhd_many, fd, from,
                             len); /* it closes on failure */
}

void rb_ready_accept(struct rb_httpd *h)
{
    for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        if (h->n_conns + i >= h->max_conns) {
            watch_listener(h, false);
            return;
        }
        int fd =
            accept4(h->listen_fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                rb_log(RB_LOG_WARN, "listener.accept_failed", RB_FI("errno", errno));
                h->deaf_until_ms = rb_boot_ms(h->deps.clock) + ACCEPT_PAUSE_MS;
                watch_listener(h, false);
            }
            return;
        }
        add(h, fd, (const struct sockaddr *)&from, len);
    }
}
