/* harness.c - a fresh store a test, of the backend that the program was started for. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef RB_TEST_REDIS
#include <hiredis/hiredis.h>
#endif

#include <retrybuild/random.h>
#include <retrybuild/secret.h>
#include <retrybuild/thread.h>

#include "harness.h"

static struct {
    bool sqlite;
    char dir[128];
    char url[200];
    char socket[160];
    pid_t server; /* 0 = not ours */
    unsigned files;
} h;

static const struct rb_store_backend *const backends[] = {
    &rb_store_backend_sqlite,
#ifdef RB_TEST_REDIS
    &rb_store_backend_redis,
#endif
    NULL,
};

#ifdef RB_TEST_REDIS
static redisContext *dial(void)
{
    redisContext *c = h.socket[0] != '\0' ? redisConnectUnix(h.socket) : NULL;
    unsigned port = 6379;
    char host[100] = "127.0.0.1";
    if (c == NULL) {
        (void)sscanf(h.url, "redis://%99[^:/]:%u", host, &port);
        c = redisConnect(host, (int)port);
    }
    if (c != NULL && c->err != 0) {
        redisFree(c);
        c = NULL;
    }
    return c;
}

static bool flush(void)
{
    redisContext *c = dial();
    if (c == NULL) {
        return false;
    }
    redisReply *reply = redisCommand(c, "FLUSHALL");
    bool ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    redisFree(c);
    return ok;
}

static bool start_server(void)
{
    char save[8] = "";
    (void)snprintf(h.socket, sizeof(h.socket), "%s/r.sock", h.dir);
    (void)snprintf(h.url, sizeof(h.url), "redis+unix://%s", h.socket);
    h.server = fork();
    if (h.server == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", h.socket,
                     "--save", save, "--dir", h.dir, (char *)NULL);
        _exit(127);
    }
    /* the server tells nobody that it is ready: it is asked until it answers or has ended */
    for (int i = 0; i < 500; i++) {
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        if (waitpid(h.server, NULL, WNOHANG) != 0) {
            h.server = 0;
            return false;
        }
        if (flush()) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}
#endif

static bool start_redis(void)
{
#ifdef RB_TEST_REDIS
    const char *url = getenv("REDIS_URL");
    if (url != NULL) {
        (void)snprintf(h.url, sizeof(h.url), "%s", url);
        return flush();
    }
    return start_server();
#else
    return false;
#endif
}

bool harness_start(const char *backend)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(h.dir, sizeof(h.dir), "%s/rbstoreXXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(h.dir) == NULL) {
        perror(h.dir);
        return false;
    }
    h.sqlite = strcmp(backend, "sqlite") == 0;
    if (!h.sqlite && !start_redis()) {
        (void)fprintf(stderr, "no Redis server can be reached or started\n");
        harness_stop();
        return false;
    }
    return true;
}

static void empty_dir(void)
{
    DIR *dir = opendir(h.dir);
    for (const struct dirent *e = NULL; dir != NULL && (e = readdir(dir)) != NULL;) {
        (void)unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

void harness_stop(void)
{
    if (h.server > 0) {
        (void)kill(h.server, SIGTERM);
        (void)waitpid(h.server, NULL, 0);
        h.server = 0;
    }
    empty_dir();
    (void)rmdir(h.dir);
}

bool harness_is_sqlite(void)
{
    return h.sqlite;
}

/* ---- a test's store ---- */

static struct rb_settings *make_settings(const char *url)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 4096);
    s->refs = 1;
    s->store.url = rb_secret_new(url, strlen(url));
    s->store.shards = 1;
    s->store.retention_ms = 30 * DAY;
    s->timing.delivery_ttl_ms = 96 * HOUR;
    s->timing.effect_ttl_ms = 24 * HOUR;
    s->timing.lease_ms = LEASE;
    return s;
}

static void count_due(void *arg, enum rb_task_kind kind)
{
    struct fix *f = arg;
    (void)pthread_mutex_lock(&f->m);
    f->due[kind]++;
    (void)pthread_cond_broadcast(&f->cond);
    (void)pthread_mutex_unlock(&f->m);
}

unsigned fix_wait_due(struct fix *f, enum rb_task_kind kind)
{
    (void)pthread_mutex_lock(&f->m);
    while (f->due[kind] == 0 && rb_cond_wait_ms(&f->cond, &f->m, 5000)) {
    }
    unsigned n = f->due[kind];
    (void)pthread_mutex_unlock(&f->m);
    return n;
}

/* Redis connects in the background, and tells nobody. */
static void wait_up(const struct rb_store *s)
{
    for (int i = 0; i < 500 && !rb_store_up(s); i++) {
        struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    assert_true(rb_store_up(s));
}

static void open_store(struct fix *f)
{
    struct rb_err err = {0};
    if (rb_store_open(backends, f->settings, rb_clock_system(), &f->store, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    rb_store_on_due(f->store, count_due, f);
    wait_up(f->store);
    if (rb_store_session_open(f->store, &f->ses, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
}

int fix_setup(void **state)
{
    char url[260];
    struct fix *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)pthread_mutex_init(&f->m, NULL);
    rb_cond_init(&f->cond);
    if (h.sqlite) {
        empty_dir();
        (void)snprintf(f->path, sizeof(f->path), "%s/s%u.db", h.dir, h.files++);
        (void)snprintf(url, sizeof(url), "sqlite:%s", f->path);
    } else {
#ifdef RB_TEST_REDIS
        assert_true(flush());
#endif
        (void)snprintf(url, sizeof(url), "%s", h.url);
    }
    f->settings = make_settings(url);
    open_store(f);
    *state = f;
    return 0;
}

void fix_close(struct fix *f)
{
    rb_store_session_close(f->ses);
    rb_store_close(f->store);
    f->ses = NULL;
    f->store = NULL;
}

int fix_teardown(void **state)
{
    struct fix *f = *state;
    fix_close(f);
    rb_settings_unref(f->settings);
    (void)pthread_cond_destroy(&f->cond);
    (void)pthread_mutex_destroy(&f->m);
    free(f);
    return 0;
}

void fix_reopen(struct fix *f)
{
    fix_close(f);
    open_store(f);
}

struct rb_store *fix_open_second(struct fix *f, enum rb_code *ret_rc, struct rb_err *err)
{
    struct rb_store *s = NULL;
    *ret_rc = rb_store_open(backends, f->settings, rb_clock_system(), &s, err);
    return s;
}

struct rb_store_session *fix_session(struct fix *f)
{
    struct rb_store_session *ses = NULL;
    assert_int_equal(rb_store_session_open(f->store, &ses, NULL), RB_OK);
    return ses;
}
