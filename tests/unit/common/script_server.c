#include "script_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 32
#define REPLIES_MAX 64
#define REQUESTS_MAX 256
#define REQUEST_MAX_BYTES (256 * 1024)

struct reply {
    char *raw;
    enum script_then then;
};

struct client {
    int fd;
    bool held;
    char *data;
    size_t len;
};

struct script_server {
    int fd, port, wake[2];
    char url[64];
    pthread_t thread;
    struct client clients[CLIENTS_MAX]; /* of the thread */

    pthread_mutex_t lock; /* guards what follows */
    struct reply replies[REPLIES_MAX];
    unsigned n_replies, next_reply;
    char *requests[REQUESTS_MAX];
    unsigned n_requests, n_connections;
};

static const char NOTHING_SCRIPTED[] =
    "HTTP/1.1 500 nothing scripted\r\nContent-Length: 16\r\n\r\nnothing scripted";

static void drop(struct client *c, bool reset)
{
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(c->fd);
    free(c->data);
    *c = (struct client){.fd = -1};
}

/* The length of the first complete request in the client's buffer, 0 = not yet. */
static size_t complete(const struct client *c)
{
    const char *end = c->len == 0 ? NULL : memmem(c->data, c->len, "\r\n\r\n", 4);
    unsigned long body = 0;

    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - c->data) + 4;
    for (const char *p = c->data; p < end; p++) {
        if (*p == '\n' && strncasecmp(p + 1, "content-length:", 15) == 0) {
            body = strtoul(p + 16, NULL, 10);
        }
    }
    return c->len >= head + body ? head + body : 0;
}

static void answer(struct script_server *s, struct client *c, size_t len)
{
    struct reply r = {.raw = NULL, .then = SCRIPT_KEEP};

    pthread_mutex_lock(&s->lock);
    assert(s->n_requests < REQUESTS_MAX);
    char *request = malloc(len + 1);
    assert(request != NULL);
    memcpy(request, c->data, len);
    request[len] = '\0';
    s->requests[s->n_requests++] = request;
    if (s->next_reply < s->n_replies) {
        r = s->replies[s->next_reply++];
    }
    pthread_mutex_unlock(&s->lock);
    memmove(c->data, c->data + len, c->len - len);
    c->len -= len;
    const char *raw = r.raw == NULL ? NOTHING_SCRIPTED : r.raw;
    for (size_t done = 0, total = strlen(raw); done < total;) {
        ssize_t n = send(c->fd, raw + done, total - done, MSG_NOSIGNAL);
        if (n <= 0) {
            drop(c, false);
            return;
        }
        done += (size_t)n;
    }
    if (r.then == SCRIPT_HOLD) {
        c->held = true;
    } else if (r.then != SCRIPT_KEEP) {
        drop(c, r.then == SCRIPT_RESET);
    }
}

static void receive(struct script_server *s, struct client *c)
{
    char chunk[16384];
    ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);

    if (n <= 0 || c->len + (size_t)n > REQUEST_MAX_BYTES) {
        drop(c, false);
        return;
    }
    c->data = realloc(c->data, c->len + (size_t)n + 1);
    assert(c->data != NULL);
    memcpy(c->data + c->len, chunk, (size_t)n);
    c->len += (size_t)n;
    c->data[c->len] = '\0'; /* read as a string, too */
    for (size_t len = 1; c->fd >= 0 && !c->held && len > 0;) {
        len = complete(c);
        if (len > 0) {
            answer(s, c, len);
        }
    }
}

static void welcome(struct script_server *s)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

    for (unsigned i = 0; i < CLIENTS_MAX && fd >= 0; i++) {
        if (s->clients[i].fd < 0) {
            s->clients[i] = (struct client){.fd = fd};
            pthread_mutex_lock(&s->lock);
            s->n_connections++;
            pthread_mutex_unlock(&s->lock);
            return;
        }
    }
    assert(fd < 0);
}

static void *run(void *arg)
{
    struct script_server *s = arg;

    for (;;) {
        struct pollfd fds[CLIENTS_MAX + 2] = {{.fd = s->wake[0], .events = POLLIN},
                                              {.fd = s->fd, .events = POLLIN}};
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            fds[i + 2] = (struct pollfd){.fd = s->clients[i].fd, .events = POLLIN};
        }
        if (poll(fds, CLIENTS_MAX + 2, -1) < 0) {
            continue;
        }
        if (fds[0].revents != 0) {
            break;
        }
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            if (fds[i + 2].revents != 0 && s->clients[i].fd >= 0) {
                receive(s, &s->clients[i]);
            }
        }
        if (fds[1].revents != 0) {
            welcome(s);
        }
    }
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (s->clients[i].fd >= 0) {
            drop(&s->clients[i], false);
        }
    }
    return NULL;
}

struct script_server *script_server_start(void)
{
    struct script_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    struct sockaddr any;

    assert(s != NULL);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        s->clients[i].fd = -1;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(&any, &at, sizeof(any));
    if (s->fd < 0 || bind(s->fd, &any, sizeof(any)) != 0 || listen(s->fd, 16) != 0 ||
        getsockname(s->fd, &any, &len) != 0 || pipe(s->wake) != 0) {
        abort();
    }
    memcpy(&at, &any, sizeof(at));
    s->port = ntohs(at.sin_port);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d/", s->port);
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        abort();
    }
    return s;
}

void script_server_stop(struct script_server *s)
{
    if (s == NULL) {
        return;
    }
    close(s->wake[1]);
    pthread_join(s->thread, NULL);
    close(s->wake[0]);
    close(s->fd);
    for (unsigned i = 0; i < s->n_replies; i++) {
        free(s->replies[i].raw);
    }
    for (unsigned i = 0; i < s->n_requests; i++) {
        free(s->requests[i]);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *script_server_url(const struct script_server *s)
{
    return s->url;
}

int script_server_port(const struct script_server *s)
{
    return s->port;
}

void script_server_push(struct script_server *s, const char *raw, enum script_then then)
{
    pthread_mutex_lock(&s->lock);
    assert(s->n_replies < REPLIES_MAX);
    s->replies[s->n_replies++] = (struct reply){.raw = strdup(raw), .then = then};
    pthread_mutex_unlock(&s->lock);
}

void script_server_push_json(struct script_server *s, int status, const char *headers,
                             const char *body)
{
    char *raw = NULL;

    if (asprintf(&raw,
                 "HTTP/1.1 %d Scripted\r\nContent-Type: application/x-amz-json-1.1\r\n"
                 "Content-Length: %zu\r\n%s\r\n%s",
                 status, strlen(body), headers, body) < 0) {
        abort();
    }
    script_server_push(s, raw, SCRIPT_KEEP);
    free(raw);
}

unsigned script_server_requests(struct script_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->n_requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned script_server_connections(struct script_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->n_connections;
    pthread_mutex_unlock(&s->lock);
    return n;
}

const char *script_server_request(struct script_server *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    assert(n < s->n_requests);
    const char *r = s->requests[n];
    pthread_mutex_unlock(&s->lock);
    return r;
}

char *script_server_header(struct script_server *s, unsigned n, const char *name)
{
    const char *p = script_server_request(s, n);
    size_t len = strlen(name);

    for (p = strchr(p, '\n'); p != NULL && p[1] != '\r'; p = strchr(p + 1, '\n')) {
        if (strncasecmp(p + 1, name, len) == 0 && p[1 + len] == ':') {
            const char *value = p + 2 + len;
            value += strspn(value, " ");
            return strndup(value, strcspn(value, "\r\n"));
        }
    }
    return NULL;
}

const char *script_server_body(struct script_server *s, unsigned n)
{
    const char *end = strstr(script_server_request(s, n), "\r\n\r\n");

    return end == NULL ? "" : end + 4;
}
