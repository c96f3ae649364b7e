/* openloop.c - deliveries at a fixed mean rate with Poisson arrivals, latency counted from the
 * instant each was due.
 *
 * A closed loop hides overload: a slow server slows its own clients down. Here an arrival waits for
 * a free connection and its wait counts. usage: openloop PORT PATH KEY BODY_FILE RATE SECONDS
 * CONNECTIONS SEED; prints one JSON object. @ID@ and @BUILD@ in the body become unique.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <retrybuild/buf.h>
#include <retrybuild/random.h>

#define ANSWER_BYTES 4096
#define DRAIN_NS 5000000000LL

struct client {
    int fd;
    bool busy;
    int64_t due_ns;
    char answer[ANSWER_BYTES];
    size_t answer_len;
};

struct bench {
    const char *path, *key, *seed;
    char *body;
    struct client *clients;
    int n_clients;
    int epoll_fd;
    int64_t *latencies;
    size_t n_done, n_max;
    unsigned long errors, serial;
    struct rb_buf request, unique;
};

static int64_t now_ns(void)
{
    struct timespec t = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "openloop: %s (errno %d)\n", what, errno);
    exit(1);
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "re");
    struct rb_buf b = RB_BUF_INIT(1 << 20);
    char chunk[8192];
    size_t n = 0;
    if (f == NULL) {
        die(path);
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(&b, chunk, n);
    }
    (void)fclose(f);
    return rb_buf_detach(&b);
}

static void connect_client(struct bench *b, struct client *c, unsigned short port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&in, sizeof in) != 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        die("epoll_ctl");
    }
}

/* build_request - the body with its marks replaced by an id of its own. */
static void build_request(struct bench *b)
{
    rb_buf_clear(&b->unique);
    for (const char *s = b->body; *s != '\0';) {
        const char *mark = strchr(s, '@');
        if (mark == NULL) {
            rb_buf_adds(&b->unique, s);
            break;
        }
        rb_buf_add(&b->unique, s, (size_t)(mark - s));
        rb_buf_addf(&b->unique, "%s-%012lx", b->seed, b->serial);
        s = strchr(mark + 1, '@') + 1;
    }
    b->serial++;
    rb_buf_clear(&b->request);
    rb_buf_addf(&b->request,
                "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                "application/json\r\nx-retrybuild-key: %s\r\nContent-Length: %zu\r\n\r\n",
                b->path, b->key, b->unique.len);
    rb_buf_add(&b->request, b->unique.data, b->unique.len);
}

static void send_request(struct bench *b, struct client *c, int64_t due_ns)
{
    build_request(b);
    c->busy = true;
    c->due_ns = due_ns;
    c->answer_len = 0;
    if (send(c->fd, b->request.data, b->request.len, MSG_NOSIGNAL) != (ssize_t)b->request.len) {
        die("send"); /* 5 kB fit an idle socket's buffer */
    }
}

/* answer_complete - headers and as many bytes as Content-Length says. */
static bool answer_complete(const struct client *c)
{
    const char *end = memmem(c->answer, c->answer_len, "\r\n\r\n", 4);
    const char *length = memmem(c->answer, c->answer_len, "Content-Length: ", 16);
    if (end == NULL || length == NULL) {
        return false;
    }
    return c->answer_len >= (size_t)(end - c->answer) + 4 + strtoul(length + 16, NULL, 10);
}

static void read_answer(struct bench *b, struct client *c)
{
    ssize_t n = recv(c->fd, c->answer + c->answer_len, ANSWER_BYTES - 1 - c->answer_len, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        die("the server closed a connection");
    }
    c->answer_len += (size_t)n;
    c->answer[c->answer_len] = '\0';
    if (!answer_complete(c)) {
        return;
    }
    if (strncmp(c->answer, "HTTP/1.1 202", 12) != 0) {
        b->errors++;
    }
    c->busy = false;
    if (b->n_done < b->n_max) {
        b->latencies[b->n_done++] = now_ns() - c->due_ns;
    }
}

static struct client *idle_client(struct bench *b)
{
    for (int i = 0; i < b->n_clients; i++) {
        if (!b->clients[i].busy) {
            return &b->clients[i];
        }
    }
    return NULL;
}

static int64_t gap_ns(double rate)
{
    double u =
        ((double)(rb_random_below(rb_random_system(), 1ULL << 52)) + 1.0) / (double)(1ULL << 52);
    return (int64_t)(-log(u) / rate * 1e9);
}

static void drive(struct bench *b, double rate, double seconds)
{
    int64_t start = now_ns();
    int64_t end = start + (int64_t)(seconds * 1e9);
    int64_t due = start + gap_ns(rate);
    size_t sent = 0;
    while (b->n_done < sent || due < end) {
        int64_t now = now_ns();
        struct client *c = NULL;
        while (due < end && due <= now && (c = idle_client(b)) != NULL) {
            send_request(b, c, due);
            sent++;
            due += gap_ns(rate);
        }
        if (now > end + DRAIN_NS) {
            die("answers are missing");
        }
        struct epoll_event events[64];
        struct timespec wait = {.tv_sec = 0, .tv_nsec = 50000000};
        if (due < end) {
            int64_t left = due - now_ns();
            wait.tv_nsec = left < 0          ? (c == NULL && due <= now ? 1000000 : 0)
                           : left > 50000000 ? 50000000
                                             : left;
        }
        int n = epoll_pwait2(b->epoll_fd, events, 64, &wait, NULL);
        for (int i = 0; i < n; i++) {
            read_answer(b, events[i].data.ptr);
        }
    }
}

static int compare(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x;
    int64_t b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    if (argc != 9) {
        (void)fprintf(stderr,
                      "usage: openloop PORT PATH KEY BODY_FILE RATE SECONDS CONNECTIONS SEED\n");
        return 2;
    }
    struct bench b = {.path = argv[2], .key = argv[3], .body = slurp(argv[4]), .seed = argv[8]};
    double rate = strtod(argv[5], NULL);
    double seconds = strtod(argv[6], NULL);
    b.n_clients = (int)strtol(argv[7], NULL, 10);
    b.n_max = (size_t)(rate * seconds * 2) + 1000;
    b.clients = calloc((size_t)b.n_clients, sizeof *b.clients);
    b.latencies = calloc(b.n_max, sizeof *b.latencies);
    b.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    rb_buf_init(&b.request, 1 << 20);
    rb_buf_init(&b.unique, 1 << 20);
    if (b.clients == NULL || b.latencies == NULL || b.epoll_fd < 0) {
        die("no memory");
    }
    for (int i = 0; i < b.n_clients; i++) {
        connect_client(&b, &b.clients[i], (unsigned short)strtoul(argv[1], NULL, 10));
    }
    drive(&b, rate, seconds);
    qsort(b.latencies, b.n_done, sizeof *b.latencies, compare);
    (void)printf("{\"requests\":%zu,\"p50_us\":%lld,\"p99_us\":%lld,\"errors\":%lu}\n", b.n_done,
                 b.n_done == 0 ? 0 : (long long)b.latencies[b.n_done / 2] / 1000,
                 b.n_done == 0 ? 0 : (long long)b.latencies[b.n_done * 99 / 100] / 1000, b.errors);
    return 0;
}
