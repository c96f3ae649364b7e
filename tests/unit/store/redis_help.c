/* redis_help.c - real servers and stores for the tests of the Redis backend. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include <retrybuild/secret.h>

#include "redis_help.h"

#define PATIENCE 1000 /* times ten milliseconds */

static void moment(void)
{
    struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
}

bool server_installed(void)
{
    static const char *const places[] = {"/usr/bin/redis-server", "/usr/local/bin/redis-server"};
    for (size_t i = 0; i < RB_ARRAY_LEN(places); i++) {
        if (access(places[i], X_OK) == 0) {
            return true;
        }
    }
    (void)fprintf(stderr, "skipped: redis-server is not installed\n");
    return false;
}

unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

static redisContext *dial(const struct server *s)
{
    redisContext *c = redisConnectUnix(s->socket);
    if (c != NULL && c->err != 0) {
        redisFree(c);
        c = NULL;
    }
    return c;
}

void server_say(const struct server *s, char *ret, size_t size, const char *format, ...)
{
    redisContext *c = dial(s);
    assert_non_null(c);
    va_list ap;
    va_start(ap, format);
    redisReply *r = redisvCommand(c, format, ap);
    va_end(ap);
    assert_non_null(r);
    if (ret != NULL && r->type == REDIS_REPLY_INTEGER) {
        (void)snprintf(ret, size, "%lld", r->integer);
    } else if (ret != NULL) {
        (void)snprintf(ret, size, "%s", r->str == NULL ? "" : r->str);
    }
    freeReplyObject(r);
    redisFree(c);
}

static bool answers(const struct server *s)
{
    redisContext *c = dial(s);
    redisReply *r = c == NULL ? NULL : redisCommand(c, "PING");
    /* an error (a password is wanted) is an answer too, but not that it is still loading */
    bool yes = r != NULL && strncmp(r->str, "LOADING", 7) != 0;
    if (r != NULL) {
        freeReplyObject(r);
    }
    if (c != NULL) {
        redisFree(c);
    }
    return yes;
}

static void spawn(struct server *s, const char *const *more)
{
    char port[16];
    char tls_port[16];
    const char *argv[48] = {"redis-server", "--unixsocket", s->socket, "--save", "",
                            "--dir",        s->dir,         "--port",  port};
    size_t n = 9;
    (void)snprintf(port, sizeof(port), "%u", s->port);
    (void)snprintf(tls_port, sizeof(tls_port), "%u", s->tls_port);
    if (s->tls_port != 0) {
        argv[n++] = "--tls-port";
        argv[n++] = tls_port;
    }
    for (; more != NULL && *more != NULL && n < RB_ARRAY_LEN(argv) - 1; more++) {
        argv[n++] = *more;
    }
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execvp("redis-server", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    for (int i = 0; i < PATIENCE && !answers(s); i++) {
        if (waitpid(s->pid, NULL, WNOHANG) != 0) {
            s->pid = 0;
            fail_msg("redis-server ended at once");
        }
        moment();
    }
}

void server_start(struct server *s, const char *const *more)
{
    if (s->dir[0] == '\0') {
        (void)snprintf(s->dir, sizeof(s->dir), "/tmp/rbredisXXXXXX");
        assert_non_null(mkdtemp(s->dir));
    }
    (void)snprintf(s->socket, sizeof(s->socket), "%s/r.sock", s->dir);
    spawn(s, more);
}

void server_restart(struct server *s, const char *const *more)
{
    assert_int_equal(s->pid, 0);
    spawn(s, more);
}

void server_kill(struct server *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

static void empty(const char *path)
{
    DIR *dir = opendir(path);
    for (const struct dirent *e = NULL; dir != NULL && (e = readdir(dir)) != NULL;) {
        char below[512];
        (void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.' && unlink(below) != 0) {
            empty(below);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(path);
}

void server_drop(struct server *s)
{
    server_kill(s);
    empty(s->dir);
    s->dir[0] = '\0';
}

/* ---- a store ---- */

struct rb_settings *redis_settings(const char *url)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 4096);
    s->refs = 1;
    s->store.url = rb_secret_new(url, strlen(url));
    s->timing.delivery_ttl_ms = 96 * HOUR;
    s->timing.effect_ttl_ms = 24 * HOUR;
    s->timing.lease_ms = LEASE;
    return s;
}

void redis_fix_open(struct fix *f, struct rb_settings *settings)
{
    static const struct rb_store_backend *const backends[] = {&rb_store_backend_redis, NULL};
    struct rb_err err = {.code = RB_OK};
    memset(f, 0, sizeof(*f));
    f->settings = settings;
    if (rb_store_open(backends, settings, rb_clock_system(), &f->store, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(rb_store_session_open(f->store, &f->ses, &err), RB_OK);
}

void redis_fix_close(struct fix *f)
{
    rb_store_session_close(f->ses);
    rb_store_close(f->store);
    rb_settings_unref(f->settings);
}

void wait_until_up(struct fix *f, bool up)
{
    for (int i = 0; i < PATIENCE && rb_store_up(f->store) != up; i++) {
        moment();
    }
    assert_int_equal(rb_store_up(f->store), up);
}

enum rb_code try_admit(struct fix *f, unsigned build, char ret_id[RB_ID_BYTES], struct rb_err *err)
{
    struct entry e;
    struct rb_admission *items[1] = {&e.a};
    entry_init(&e, "web", build, build, T0);
    enum rb_code rc = rb_store_admit(f->ses, items, 1, T0, err);
    assert_int_equal(e.a.rc, rc);
    if (rc == RB_OK) {
        memcpy(ret_id, e.a.retry_id, RB_ID_BYTES);
    }
    entry_release(&e);
    return rc;
}

enum rb_code try_ended(struct fix *f, struct rb_err *err)
{
    char key[RB_KEY_BYTES];
    struct rb_admission a = {.mode = RB_ADMIT_ENDED, .build_key = key};
    struct rb_admission *items[1] = {&a};
    build_key_of("web", 1, key);
    enum rb_code rc = rb_store_admit(f->ses, items, 1, T0, err);
    if (rc == RB_OK) {
        assert_int_equal(a.result, RB_ADMIT_UNKNOWN);
    }
    return rc;
}

void admit_eventually(struct fix *f, unsigned build, char ret_id[RB_ID_BYTES])
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = RB_E_UNAVAIL;
    for (int i = 0; i < PATIENCE && rc != RB_OK; i++) {
        rc = try_admit(f, build, ret_id, &err);
        if (rc != RB_OK) {
            moment();
        }
    }
    if (rc != RB_OK) {
        fail_msg("%s", err.msg);
    }
}
