/* conn.c - see conn.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "cmd.h"
#include "conn.h"

#define READ_CHUNK 16384
#define READ_AT_ONCE (1u << 20) /* of one step, so that others get their turn */
#define KEEP_OUT_BYTES (1u << 20)

void rconn_init(struct rconn *c, enum rconn_role role, const struct rtarget *target, SSL_CTX *tls,
                const struct rb_clock *clock)
{
    *c = (struct rconn){.role = role, .fd = -1, .tls = tls, .target = target, .clock = clock};
    rb_buf_init(&c->out, RCMD_MAX_BYTES);
}

void rconn_close(struct rconn *c)
{
    if (c->ssl != NULL) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
    rreader_release(&c->reader);
    if (c->out.cap > KEEP_OUT_BYTES) {
        rb_buf_release(&c->out);
    }
    rb_buf_clear(&c->out);
    c->sent = 0;
    c->ssl_wants = 0;
    c->state = RCONN_CLOSED;
}

void rconn_release(struct rconn *c)
{
    rconn_close(c);
    rb_buf_release(&c->out);
}

/* Start with the next address that does not fail at once. */
static enum rb_code connect_next(struct rconn *c, int last_error, struct rb_err *err)
{
    while (c->tried < c->addresses.n) {
        const struct raddress *a = &c->addresses.items[c->tried++];
        RB_CLEANUP(rb_closep)
        int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            last_error = errno;
            continue;
        }
        if (a->addr.ss_family != AF_UNIX) {
            int on = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        }
        if (connect(fd, (const struct sockaddr *)&a->addr, a->len) == 0 || errno == EINPROGRESS) {
            if (c->fd >= 0) {
                (void)close(c->fd);
            }
            c->fd = fd;
            fd = -1;
            c->state = RCONN_CONNECTING;
            return RB_OK;
        }
        last_error = errno;
    }
    return rb_err_errno(err, RB_E_UNAVAIL, last_error, "connect to Redis at %s",
                        c->addresses.label);
}

enum rb_code rconn_open(struct rconn *c, const struct raddresses *addresses, struct rb_err *err)
{
    rconn_close(c);
    enum rb_code rc = rreader_init(&c->reader, err);
    if (rc != RB_OK) {
        return rc;
    }
    c->addresses = *addresses;
    c->tried = 0;
    rc = connect_next(c, EADDRNOTAVAIL, err);
    if (rc != RB_OK) {
        rconn_close(c);
    }
    return rc;
}

short rconn_events(const struct rconn *c)
{
    if (c->state == RCONN_CONNECTING) {
        return POLLOUT;
    }
    if (c->state == RCONN_TLS) {
        return c->ssl_wants != 0 ? c->ssl_wants : POLLIN;
    }
    short events = POLLIN;
    if (c->sent < c->out.len || c->ssl_wants == POLLOUT) {
        events |= POLLOUT;
    }
    return events;
}

static void greet(struct rconn *c)
{
    c->state = RCONN_READY;
    if (c->role != RCONN_PLAIN) {
        c->state = RCONN_GREETING;
        rgreet_send(c);
    }
}

/* 1: connected, 0: not yet, -1: this address does not answer (*ret_errno says why). */
static int connected(struct rconn *c, int *ret_errno)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0) {
        return 0;
    }
    int e = 0;
    socklen_t len = sizeof(e);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0) {
        e = errno;
    }
    *ret_errno = e;
    return e == 0 ? 1 : -1;
}

static enum rb_code step_connect(struct rconn *c, struct rb_err *err)
{
    int e = 0;
    int up = connected(c, &e);
    if (up == 0) {
        return RB_OK;
    }
    if (up < 0) {
        return connect_next(c, e, err);
    }
    if (c->tls != NULL) {
        c->state = RCONN_TLS;
        return rtls_start(c, err);
    }
    greet(c);
    return RB_OK;
}

static enum rb_code gone(struct rconn *c, int e, struct rb_err *err)
{
    if (e == 0) {
        return rb_err_set(err, RB_E_UNAVAIL, "Redis at %s closed the connection",
                          c->addresses.label);
    }
    return rb_err_errno(err, RB_E_UNAVAIL, e, "talk to Redis at %s", c->addresses.label);
}

static enum rb_code send_some(struct rconn *c, const char *data, size_t len, size_t *ret_n,
                              struct rb_err *err)
{
    if (c->ssl != NULL) {
        return rtls_write(c, data, len, ret_n, err);
    }
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return gone(c, errno, err);
    }
    *ret_n = n < 0 ? 0 : (size_t)n;
    return RB_OK;
}

static enum rb_code receive_some(struct rconn *c, char *data, size_t len, size_t *ret_n,
                                 struct rb_err *err)
{
    if (c->ssl != NULL) {
        return rtls_read(c, data, len, ret_n, err);
    }
    ssize_t n = recv(c->fd, data, len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        return gone(c, n == 0 ? 0 : errno, err);
    }
    *ret_n = n < 0 ? 0 : (size_t)n;
    return RB_OK;
}

enum rb_code rconn_flush(struct rconn *c, struct rb_err *err)
{
    if (rb_buf_failed(&c->out)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the commands to Redis are too long");
    }
    while (c->sent < c->out.len) {
        size_t n = 0;
        enum rb_code rc = send_some(c, c->out.data + c->sent, c->out.len - c->sent, &n, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (n == 0) {
            return RB_OK;
        }
        c->sent += n;
    }
    if (c->sent > 0) {
        if (c->out.cap > KEEP_OUT_BYTES) {
            rb_buf_release(&c->out);
        }
        rb_buf_clear(&c->out);
        c->sent = 0;
    }
    return RB_OK;
}

static enum rb_code receive(struct rconn *c, struct rb_err *err)
{
    char data[READ_CHUNK];
    for (size_t total = 0; total < READ_AT_ONCE;) {
        size_t n = 0;
        enum rb_code rc = receive_some(c, data, sizeof(data), &n, err);
        if (rc != RB_OK || n == 0) {
            return rc;
        }
        total += n;
        rc = rreader_feed(&c->reader, data, n, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (c->ssl == NULL && n < sizeof(data)) {
            return RB_OK; /* the socket is empty: no need to ask */
        }
    }
    return RB_OK;
}

static enum rb_code step_greeting(struct rconn *c, struct rb_err *err)
{
    while (c->greeting_left > 0) {
        RB_CLEANUP(rreply_freep) redisReply *r = NULL;
        enum rb_code rc = rreader_next(&c->reader, &r, err);
        if (rc != RB_OK || r == NULL) {
            return rc;
        }
        rc = rgreet_reply(c, r, err);
        if (rc != RB_OK) {
            return rb_err_wrap(err, rc, "greet Redis at %s", c->addresses.label);
        }
        c->greeting_left--;
        c->greeting_at++;
    }
    c->state = RCONN_READY;
    return RB_OK;
}

enum rb_code rconn_step(struct rconn *c, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    if (c->state == RCONN_CLOSED) {
        return rb_err_set(err, RB_E_UNAVAIL, "not connected to Redis");
    }
    if (c->state == RCONN_CONNECTING) {
        rc = step_connect(c, err);
    }
    if (rc == RB_OK && c->state == RCONN_TLS) {
        bool done = false;
        rc = rtls_handshake(c, &done, err);
        if (rc == RB_OK && done) {
            greet(c);
        }
    }
    if (rc == RB_OK && c->state >= RCONN_GREETING) {
        rc = rconn_flush(c, err);
        if (rc == RB_OK) {
            rc = receive(c, err);
        }
        if (rc == RB_OK && c->state == RCONN_GREETING) {
            rc = step_greeting(c, err);
        }
    }
    return rc;
}

enum rb_code rconn_reply(struct rconn *c, redisReply **ret_reply, struct rb_err *err)
{
    *ret_reply = NULL;
    return c->state == RCONN_READY ? rreader_next(&c->reader, ret_reply, err) : RB_OK;
}

/* Wait for the socket, then step. */
static enum rb_code wait_step(struct rconn *c, int64_t deadline_ms, struct rb_err *err)
{
    int64_t left = deadline_ms - rb_boot_ms(c->clock);
    if (left <= 0) {
        return rb_err_set(err, RB_E_TIMEOUT, "Redis at %s did not answer in time",
                          c->addresses.label);
    }
    struct pollfd p = {.fd = c->fd, .events = rconn_events(c)};
    int n = poll(&p, 1, (int)left);
    if (n < 0 && errno != EINTR) {
        return rb_err_errno(err, RB_E_IO, errno, "poll");
    }
    return n > 0 ? rconn_step(c, err) : RB_OK;
}

enum rb_code rconn_wait_ready(struct rconn *c, int64_t deadline_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    while (rc == RB_OK && c->state != RCONN_READY) {
        rc = wait_step(c, deadline_ms, err);
    }
    return rc;
}

enum rb_code rconn_wait_reply(struct rconn *c, int64_t deadline_ms, redisReply **ret_reply,
                              struct rb_err *err)
{
    enum rb_code rc = c->sent < c->out.len ? rconn_flush(c, err) : RB_OK;
    while (rc == RB_OK) {
        rc = rconn_reply(c, ret_reply, err);
        if (rc != RB_OK || *ret_reply != NULL) {
            return rc;
        }
        rc = wait_step(c, deadline_ms, err);
    }
    return rc;
}

bool rconn_stale(struct rconn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, 0) == 0) {
        return false;
    }
    /* TLS has messages of its own between answers; only what decodes counts. */
    RB_CLEANUP(rreply_freep) redisReply *r = NULL;
    return c->ssl == NULL || receive(c, NULL) != RB_OK || rconn_reply(c, &r, NULL) != RB_OK ||
           r != NULL;
}
