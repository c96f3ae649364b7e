/* test_redis_server.c - the Redis backend and a real server that is killed, restarted, full,
 * misconfigured, locked, encrypted. Exit 77 when redis-server is missing.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <retrybuild/secret.h>

#include "redis_help.h"

static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

static void open_on(struct fix *f, const struct server *s)
{
    char url[220];
    (void)snprintf(url, sizeof(url), "redis+unix://%s", s->socket);
    redis_fix_open(f, redis_settings(url));
}

static void a_killed_server_is_unavailable_and_back_with_everything(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char before[RB_ID_BYTES];
    char after[RB_ID_BYTES];
    (void)state;
    server_start(&s, durable);
    open_on(&f, &s);
    wait_until_up(&f, true);
    assert_int_equal(try_admit(&f, 1, before, &err), RB_OK);
    server_kill(&s);
    assert_int_equal(try_admit(&f, 2, after, &err), RB_E_UNAVAIL);
    wait_until_up(&f, false);
    server_restart(&s, durable);
    admit_eventually(&f, 2, after);
    wait_until_up(&f, true);
    assert_int_equal(state_of(&f, before), RB_STATE_SCHEDULED);
    assert_int_equal(state_of(&f, after), RB_STATE_SCHEDULED);
    redis_fix_close(&f);
    server_drop(&s);
}

static void a_store_opens_although_the_server_is_away(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, NULL);
    server_kill(&s);
    open_on(&f, &s);
    assert_false(rb_store_up(f.store));
    assert_int_equal(try_admit(&f, 1, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, s.socket));
    server_restart(&s, NULL);
    admit_eventually(&f, 1, id);
    wait_until_up(&f, true);
    redis_fix_close(&f);
    server_drop(&s);
}

/* ---- the admitter through a restart ---- */

struct loop {
    int epoll_fd;
    struct rb_admitter *adm;
    unsigned done, well;
};

static void count_done(void *arg, struct rb_admission *a)
{
    struct loop *l = arg;
    l->done++;
    l->well += a->rc == RB_OK ? 1 : 0;
}

static void turn(struct loop *l)
{
    struct epoll_event e;
    rb_admitter_pump(l->adm, T0);
    int timeout_ms = rb_admitter_timeout_ms(l->adm);
    (void)epoll_wait(l->epoll_fd, &e, 1, timeout_ms < 0 || timeout_ms > 20 ? 20 : timeout_ms);
    rb_admitter_pump(l->adm, T0);
}

static void what_the_admitter_called_well_is_there_after_a_kill(void **state)
{
    enum { ITEMS = 300 };
    static struct entry e[ITEMS];
    struct server s = {.pid = 0};
    struct loop l = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    struct fix f;
    (void)state;
    server_start(&s, durable);
    open_on(&f, &s);
    wait_until_up(&f, true);
    assert_int_equal(rb_admitter_open(f.store, l.epoll_fd, &l, count_done, &l, &l.adm, NULL),
                     RB_OK);
    unsigned taken = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        entry_init(&e[i], "web", i + 1, i + 1, T0);
        while (rb_admitter_add(l.adm, &e[i].a, NULL) != RB_OK) {
            turn(&l);
        }
        taken++;
        if (i % 7 == 0) {
            turn(&l);
        }
        if (i == ITEMS / 2) {
            server_kill(&s);
            server_restart(&s, durable);
        }
    }
    while (rb_admitter_in_flight(l.adm) > 0) {
        turn(&l);
    }
    assert_int_equal(l.done, taken);
    assert_true(l.well > 0);
    for (unsigned i = 0; i < ITEMS; i++) {
        if (e[i].a.rc == RB_OK) {
            assert_int_equal(e[i].a.result, RB_ADMIT_NEW);
            assert_int_equal(state_of(&f, e[i].a.retry_id), RB_STATE_SCHEDULED);
        } else { /* "may have happened": the same again is new once */
            assert_int_equal(admit(&f, &e[i], T0), RB_ADMIT_NEW);
        }
        entry_release(&e[i]);
    }
    assert_int_equal(claim_all(&f, RB_TASK_SUBMIT, T0), ITEMS);
    rb_admitter_close(l.adm);
    (void)close(l.epoll_fd);
    redis_fix_close(&f);
    server_drop(&s);
}

/* ---- servers that must not be used, or are full ---- */

static void a_server_that_evicts_is_refused_at_the_start(void **state)
{
    static const char *const evicts[] = {"--maxmemory", "100mb", "--maxmemory-policy",
                                         "allkeys-lru", NULL};
    static const struct rb_store_backend *const backends[] = {&rb_store_backend_redis, NULL};
    struct server s = {.pid = 0};
    struct rb_store *store = NULL;
    struct rb_err err = {.code = RB_OK};
    char url[220];
    (void)state;
    server_start(&s, evicts);
    (void)snprintf(url, sizeof(url), "redis+unix://%s", s.socket);
    struct rb_settings *settings = redis_settings(url);
    assert_int_equal(rb_store_open(backends, settings, rb_clock_system(), &store, &err),
                     RB_E_REFUSED);
    assert_non_null(strstr(err.msg, "maxmemory-policy is allkeys-lru"));
    rb_settings_unref(settings);
    server_drop(&s);
}

static void a_server_that_begins_to_evict_takes_nothing_until_it_does_not(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, NULL);
    open_on(&f, &s);
    wait_until_up(&f, true);
    admit_eventually(&f, 2, id); /* the session's connection is open before */
    server_say(&s, NULL, 0, "CONFIG SET maxmemory-policy allkeys-lru");
    wait_until_up(&f, false);
    assert_int_equal(try_admit(&f, 1, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "maxmemory-policy is not noeviction"));
    server_say(&s, NULL, 0, "CONFIG SET maxmemory-policy noeviction");
    admit_eventually(&f, 1, id);
    wait_until_up(&f, true);
    redis_fix_close(&f);
    server_drop(&s);
}

static void a_full_server_takes_nothing_and_readiness_follows(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, NULL);
    open_on(&f, &s);
    wait_until_up(&f, true);
    server_say(&s, NULL, 0, "CONFIG SET maxmemory 1");
    assert_int_equal(try_admit(&f, 1, id, &err), RB_E_NO_SPACE);
    wait_until_up(&f, false);
    server_say(&s, NULL, 0, "CONFIG SET maxmemory 0");
    admit_eventually(&f, 1, id);
    wait_until_up(&f, true);
    redis_fix_close(&f);
    server_drop(&s);
}

static void a_password_is_asked_and_given(void **state)
{
    static const char *const locked[] = {"--requirepass", "sesame", NULL};
    struct server s = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char id[RB_ID_BYTES];
    (void)state;
    s.port = free_port();
    char url[100];
    server_start(&s, locked);
    open_on(&f, &s);
    assert_int_equal(try_admit(&f, 1, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "wants a password"));
    redis_fix_close(&f);
    (void)snprintf(url, sizeof(url), "redis://default:sesam@127.0.0.1:%u", s.port);
    redis_fix_open(&f, redis_settings(url));
    assert_int_equal(try_admit(&f, 1, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "does not accept user or password"));
    assert_null(strstr(err.msg, "sesam@"));
    redis_fix_close(&f);
    struct rb_settings *settings = redis_settings(url);
    settings->store.password = rb_secret_new("sesame", 6);
    redis_fix_open(&f, settings);
    assert_int_equal(try_admit(&f, 1, id, &err), RB_OK);
    rb_secret_free(RB_TAKE(settings->store.password));
    redis_fix_close(&f);
    server_drop(&s);
}

static void another_database_is_another_store(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    char url[220];
    char size[32];
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, NULL);
    (void)snprintf(url, sizeof(url), "redis+unix://%s?db=3", s.socket);
    redis_fix_open(&f, redis_settings(url));
    assert_int_equal(try_admit(&f, 1, id, NULL), RB_OK);
    server_say(&s, size, sizeof(size), "DBSIZE");
    assert_string_equal(size, "0");
    redis_fix_close(&f);
    server_drop(&s);
}

static void a_server_that_forgot_the_scripts_is_taught_again(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, NULL);
    open_on(&f, &s);
    assert_int_equal(try_admit(&f, 1, id, NULL), RB_OK);
    server_say(&s, NULL, 0, "SCRIPT FLUSH");
    assert_int_equal(try_admit(&f, 2, id, NULL), RB_OK);
    redis_fix_close(&f);
    server_drop(&s);
}

/* What is added while the scripts are being loaded must not keep anybody from reading the answers:
 * the server forgets before every admission, and before each turn of the loop there is one more. */
static void admissions_that_come_while_scripts_are_loaded_wait_for_them(void **state)
{
    enum { N = 40 };
    struct server s = {.pid = 0};
    struct fix f;
    struct loop l = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    static struct entry e[N];
    (void)state;
    server_start(&s, NULL);
    open_on(&f, &s);
    wait_until_up(&f, true);
    assert_int_equal(rb_admitter_open(f.store, l.epoll_fd, &l, count_done, &l, &l.adm, NULL),
                     RB_OK);
    for (unsigned i = 0; i < N; i++) {
        struct epoll_event event;
        entry_init(&e[i], "web", i + 1, i + 1, T0);
        if (i % 4 == 0) {
            server_say(&s, NULL, 0, "SCRIPT FLUSH");
        }
        while (rb_admitter_add(l.adm, &e[i].a, NULL) != RB_OK) {
            assert_int_equal(i, 0); /* not connected yet */
            (void)epoll_wait(l.epoll_fd, &event, 1, 10);
            rb_admitter_pump(l.adm, T0);
        }
        rb_admitter_pump(l.adm, T0);
        (void)epoll_wait(l.epoll_fd, &event, 1, 10);
    }
    while (rb_admitter_in_flight(l.adm) > 0) {
        struct epoll_event event;
        (void)epoll_wait(l.epoll_fd, &event, 1, rb_admitter_timeout_ms(l.adm));
        rb_admitter_pump(l.adm, T0);
    }
    assert_int_equal(l.done, N);
    assert_int_equal(l.well, N);
    rb_admitter_close(l.adm);
    (void)close(l.epoll_fd);
    for (unsigned i = 0; i < N; i++) {
        entry_release(&e[i]);
    }
    redis_fix_close(&f);
    server_drop(&s);
}

/* ---- TLS ---- */

static void run(const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(open("/dev/null", O_RDWR | O_CLOEXEC), 2);
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void make_certificate(const struct server *s, const char *name, char *cert, char *key,
                             size_t size)
{
    (void)snprintf(cert, size, "%s/%s.crt", s->dir, name);
    (void)snprintf(key, size, "%s/%s.key", s->dir, name);
    const char *const argv[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:P-256",
                                "-nodes",
                                "-days",
                                "2",
                                "-subj",
                                "/CN=test",
                                "-addext",
                                "subjectAltName=IP:127.0.0.1",
                                "-keyout",
                                key,
                                "-out",
                                cert,
                                NULL};
    run(argv);
}

static void tls_wants_the_right_authority_and_the_right_name(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char cert[200], key[200], other[200], other_key[200], url[100], id[RB_ID_BYTES];
    (void)state;
    (void)snprintf(s.dir, sizeof(s.dir), "/tmp/rbredisXXXXXX");
    assert_non_null(mkdtemp(s.dir));
    make_certificate(&s, "server", cert, key, sizeof(cert));
    make_certificate(&s, "other", other, other_key, sizeof(other));
    const char *const tls[] = {"--tls-cert-file",
                               cert,
                               "--tls-key-file",
                               key,
                               "--tls-ca-cert-file",
                               cert,
                               "--tls-auth-clients",
                               "yes",
                               NULL};
    s.tls_port = free_port();
    server_start(&s, tls);

    (void)snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", s.tls_port);
    struct rb_settings *settings = redis_settings(url);
    settings->store.tls_ca_file = cert;
    settings->store.tls_certificate_file = cert;
    settings->store.tls_key_file = key;
    redis_fix_open(&f, rb_settings_ref(settings));
    wait_until_up(&f, true);
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(try_admit(&f, i, id, &err), RB_OK);
    }
    assert_int_equal(claim_all(&f, RB_TASK_SUBMIT, T0), 20);
    redis_fix_close(&f);

    settings->store.tls_ca_file = other;
    redis_fix_open(&f, rb_settings_ref(settings));
    assert_int_equal(try_admit(&f, 30, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "certificate"));
    redis_fix_close(&f);
    rb_settings_unref(settings);

    (void)snprintf(url, sizeof(url), "rediss://localhost:%u", s.tls_port);
    settings = redis_settings(url);
    settings->store.tls_ca_file = cert;
    redis_fix_open(&f, settings);
    assert_int_equal(try_admit(&f, 30, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "certificate"));
    redis_fix_close(&f);
    server_drop(&s);
}

int main(void)
{
    if (!server_installed()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_is_unavailable_and_back_with_everything),
        cmocka_unit_test(a_store_opens_although_the_server_is_away),
        cmocka_unit_test(what_the_admitter_called_well_is_there_after_a_kill),
        cmocka_unit_test(a_server_that_evicts_is_refused_at_the_start),
        cmocka_unit_test(a_server_that_begins_to_evict_takes_nothing_until_it_does_not),
        cmocka_unit_test(a_full_server_takes_nothing_and_readiness_follows),
        cmocka_unit_test(a_password_is_asked_and_given),
        cmocka_unit_test(another_database_is_another_store),
        cmocka_unit_test(a_server_that_forgot_the_scripts_is_taught_again),
        cmocka_unit_test(admissions_that_come_while_scripts_are_loaded_wait_for_them),
        cmocka_unit_test(tls_wants_the_right_authority_and_the_right_name),
    };
    return cmocka_run_group_tests_name("store/redis-server", tests, NULL, NULL);
}
