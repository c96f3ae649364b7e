/* redis_fake.c - the scripted peer: one thread, poll, whole commands in, chosen answers out. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <retrybuild/thread.h>

#include "redis_help.h"

#define MAX_CONNECTIONS 32
#define MAX_ARGS 64
#define HUGE_SENT (64u << 20)

struct client {
    int fd; /* -1 = free */
    struct rb_buf in;
    bool owes; /* FAKE_LATE: an answer is still to be sent */
};

struct fake {
    pthread_t thread;
    int listen_unix, listen_tcp, stop[2];
    char dir[64], path[100], url[140];
    unsigned port;
    atomic_int mode;
    atomic_uint accepted, master;
    char error[128];
    struct client clients[MAX_CONNECTIONS];
};

struct command {
    const char *arg[MAX_ARGS];
    size_t len[MAX_ARGS];
    size_t n; /* all of them, also those beyond MAX_ARGS */
};

/* One whole command at @data; returns its length, 0 when it is not complete. */
static size_t parse(const char *data, size_t len, struct command *ret_c)
{
    const char *end = data + len;
    const char *line = memchr(data, '\n', len);
    if (len == 0 || data[0] != '*' || line == NULL) {
        return 0;
    }
    ret_c->n = strtoul(data + 1, NULL, 10);
    const char *at = line + 1;
    for (size_t i = 0; i < ret_c->n; i++) {
        line = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (line == NULL) {
            return 0;
        }
        size_t arg_len = strtoul(at + 1, NULL, 10);
        at = line + 1;
        if ((size_t)(end - at) < arg_len + 2) {
            return 0;
        }
        if (i < MAX_ARGS) {
            ret_c->arg[i] = at;
            ret_c->len[i] = arg_len;
        }
        at += arg_len + 2;
    }
    return (size_t)(at - data);
}

static bool is(const struct command *c, size_t i, const char *word)
{
    return c->n > i && c->len[i] == strlen(word) && memcmp(c->arg[i], word, c->len[i]) == 0;
}

static void say(struct client *k, const char *text)
{
    size_t len = strlen(text);
    while (len > 0 && k->fd >= 0) {
        ssize_t n = send(k->fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        text += n;
        len -= (size_t)n;
    }
}

static void hang_up(struct client *k)
{
    (void)close(k->fd);
    k->fd = -1;
    rb_buf_release(&k->in);
}

static void say_huge(struct client *k)
{
    static char block[65536];
    memset(block, 'x', sizeof(block));
    say(k, "$900000000\r\n");
    for (size_t sent = 0; sent < HUGE_SENT;) {
        ssize_t n = send(k->fd, block, sizeof(block), MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* cut off, as it should */
        }
        sent += (size_t)n;
    }
}

/* As many items as the call asks for: each "U" and an id of zeros, nobody's child. */
static void say_unknown(struct client *k, size_t items)
{
    struct rb_buf reply = RB_BUF_INIT(65536);
    static const char item[17] = "U";
    rb_buf_addf(&reply, "$%zu\r\n", items * sizeof(item));
    for (size_t i = 0; i < items; i++) {
        rb_buf_add(&reply, item, sizeof(item));
    }
    rb_buf_adds(&reply, "\r\n");
    (void)send(k->fd, rb_buf_str(&reply), reply.len, MSG_NOSIGNAL);
    rb_buf_release(&reply);
}

/* ARGV[7] of the admit script. */
static size_t items_of(const struct command *c)
{
    size_t at = 3 + strtoul(c->arg[2], NULL, 10) + 6;
    return at < c->n && at < MAX_ARGS ? strtoul(c->arg[at], NULL, 10) : 1;
}

static void answer_work(struct fake *p, struct client *k, size_t items)
{
    switch ((enum fake_mode)atomic_load(&p->mode)) {
    case FAKE_GARBAGE:
        say(k, "HTTP/1.1 400 Bad Request\r\n\r\n");
        break;
    case FAKE_HALF:
        say(k, "$17\r\nU");
        hang_up(k);
        break;
    case FAKE_HUGE_BULK:
        say_huge(k);
        break;
    case FAKE_HUGE_ARRAY:
        say(k, "*2000000000\r\n");
        break;
    case FAKE_DEEP:
        say(k, "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n");
        break;
    case FAKE_NOSCRIPT_ONCE:
        atomic_store(&p->mode, FAKE_WELL);
        say(k, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        break;
    case FAKE_NOSCRIPT:
        say(k, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        break;
    case FAKE_LOADING:
        say(k, "-LOADING Redis is loading the dataset in memory\r\n");
        break;
    case FAKE_ERROR:
        say(k, p->error);
        say(k, "\r\n");
        break;
    case FAKE_SILENT:
        break;
    case FAKE_LATE:
        atomic_store(&p->mode, FAKE_WELL);
        k->owes = true;
        break;
    case FAKE_WELL:
    default:
        if (k->owes) {
            k->owes = false;
            say_unknown(k, 1);
        }
        say_unknown(k, items);
        break;
    }
}

static void answer(struct fake *p, struct client *k, const struct command *c)
{
    char text[256];
    if (is(c, 0, "INFO")) {
        const char *info =
            atomic_load(&p->mode) == FAKE_LOADING
                ? "redis_version:7.0.15\r\nloading:1\r\nrole:master\r\n"
                : "redis_version:7.0.15\r\nloading:0\r\nrole:master\r\nconnected_slaves:0\r\n";
        (void)snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(info), info);
        say(k, text);
    } else if (is(c, 0, "EVAL") && is(c, 2, "2") && c->n == 9 && is(c, 8, "")) {
        say(k, "*2\r\n:1\r\n:0\r\n"); /* the keeper's beat */
    } else if (is(c, 0, "EVALSHA")) {
        answer_work(p, k, items_of(c));
    } else if (is(c, 0, "SUBSCRIBE")) {
        say(k, "*3\r\n$9\r\nsubscribe\r\n$1\r\nw\r\n:1\r\n");
    } else if (is(c, 0, "SENTINEL")) {
        char port[16];
        (void)snprintf(port, sizeof(port), "%u", atomic_load(&p->master));
        (void)snprintf(text, sizeof(text), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port),
                       port);
        say(k, text);
    } else {
        say(k, "+OK\r\n");
    }
}

static void serve(struct fake *p, struct client *k)
{
    char data[65536];
    ssize_t n = recv(k->fd, data, sizeof(data), 0);
    if (n <= 0) {
        hang_up(k);
        return;
    }
    rb_buf_add(&k->in, data, (size_t)n);
    struct command c;
    size_t used = 0;
    for (size_t len = 1; len > 0 && k->fd >= 0;) {
        len = parse(rb_buf_str(&k->in) + used, k->in.len - used, &c);
        used += len;
        if (len > 0) {
            answer(p, k, &c);
        }
    }
    if (k->fd >= 0) {
        struct rb_buf rest = RB_BUF_INIT(16u << 20);
        rb_buf_add(&rest, rb_buf_str(&k->in) + used, k->in.len - used);
        rb_buf_release(&k->in);
        k->in = rest;
    }
}

static void take(struct fake *p, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    for (unsigned i = 0; i < MAX_CONNECTIONS && fd >= 0; i++) {
        if (p->clients[i].fd < 0) {
            p->clients[i].fd = fd;
            p->clients[i].owes = false;
            rb_buf_init(&p->clients[i].in, 16u << 20);
            atomic_fetch_add(&p->accepted, 1);
            return;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void *run(void *arg)
{
    struct fake *p = arg;
    while (true) {
        struct pollfd f[3 + MAX_CONNECTIONS] = {{.fd = p->stop[0], .events = POLLIN},
                                                {.fd = p->listen_unix, .events = POLLIN},
                                                {.fd = p->listen_tcp, .events = POLLIN}};
        for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
            f[3 + i] = (struct pollfd){.fd = p->clients[i].fd, .events = POLLIN};
        }
        (void)poll(f, RB_ARRAY_LEN(f), -1);
        if (f[0].revents != 0) {
            return NULL;
        }
        for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
            if (f[3 + i].fd >= 0 && f[3 + i].revents != 0) {
                serve(p, &p->clients[i]);
            }
        }
        for (unsigned i = 1; i < 3; i++) {
            if (f[i].revents != 0) {
                take(p, f[i].fd);
            }
        }
    }
}

static int listen_on(const struct sockaddr *a, socklen_t len, int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, a, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

struct fake *fake_start(void)
{
    struct fake *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        p->clients[i].fd = -1;
    }
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/rbfakeXXXXXX");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->path, sizeof(p->path), "%s/r.sock", p->dir);
    (void)snprintf(p->url, sizeof(p->url), "redis+unix://%s", p->path);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, p->path, sizeof(p->path));
    p->listen_unix = listen_on((const struct sockaddr *)&un, sizeof(un), AF_UNIX);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    p->listen_tcp = listen_on((const struct sockaddr *)&in, sizeof(in), AF_INET);
    assert_int_equal(getsockname(p->listen_tcp, (struct sockaddr *)&in, &len), 0);
    p->port = ntohs(in.sin_port);
    assert_int_equal(pipe(p->stop), 0);
    assert_int_equal(rb_thread_start(&p->thread, "fake-redis", run, p, NULL), RB_OK);
    return p;
}

void fake_stop(struct fake *p)
{
    assert_int_equal(write(p->stop[1], "x", 1), 1);
    (void)pthread_join(p->thread, NULL);
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        if (p->clients[i].fd >= 0) {
            hang_up(&p->clients[i]);
        }
    }
    (void)close(p->listen_unix);
    (void)close(p->listen_tcp);
    (void)close(p->stop[0]);
    (void)close(p->stop[1]);
    (void)unlink(p->path);
    (void)rmdir(p->dir);
    free(p);
}

const char *fake_url(const struct fake *p)
{
    return p->url;
}

void fake_mode(struct fake *p, enum fake_mode mode)
{
    atomic_store(&p->mode, mode);
}

void fake_error(struct fake *p, const char *error)
{
    (void)snprintf(p->error, sizeof(p->error), "%s", error);
    atomic_store(&p->mode, FAKE_ERROR);
}

void fake_master(struct fake *p, unsigned port)
{
    atomic_store(&p->master, port);
}

unsigned fake_port(const struct fake *p)
{
    return p->port;
}

unsigned fake_connections(struct fake *p)
{
    return atomic_load(&p->accepted);
}
