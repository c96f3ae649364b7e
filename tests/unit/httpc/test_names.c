/* Names that change or have several addresses, and the proof that nothing leaves: this program
 * answers for name resolution, and sees every connect() of the client. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netdb.h>
#include <netinet/in.h>

#include <retrybuild/cleanup.h>

#include "httpc_world.h"

#define OUTSIDE "127.0.0.2" /* listed, so as public as an address can be here */
#define INSIDE "127.0.0.1"  /* where a server listens */

/* ---- names as the test wants them ---- */

static atomic_uint lookups;

static int real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                            struct addrinfo **ret)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");

    memcpy(&next, &found, sizeof(next));
    return next(host, port, hints, ret);
}

/* What "NAME.test" is at the n-th look: "flips" leads outside first, "both" has two addresses. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    struct addrinfo *more = NULL;

    if (rb_str_eq(host, "flips.test")) {
        return real_getaddrinfo(atomic_fetch_add(&lookups, 1) == 0 ? OUTSIDE : INSIDE, port, hints,
                                ret);
    }
    if (!rb_str_eq(host, "both.test") && !rb_str_eq(host, "htob.test")) {
        return real_getaddrinfo(host, port, hints, ret);
    }
    bool inside_first = rb_str_eq(host, "both.test");
    int rc = real_getaddrinfo(inside_first ? INSIDE : OUTSIDE, port, hints, ret);
    if (rc == 0) {
        rc = real_getaddrinfo(inside_first ? OUTSIDE : INSIDE, port, hints, &more);
    }
    if (rc == 0) {
        struct addrinfo *last = *ret;
        while (last->ai_next != NULL) {
            last = last->ai_next;
        }
        last->ai_next = more;
    }
    return rc;
}

/* ---- connections as they are begun ---- */

static atomic_uint inside_connects, all_connects;

int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t len) /* as the C library declares it */
{
    const struct sockaddr *sa = to.__sockaddr__;
    int (*next)(int, const struct sockaddr *, socklen_t) = NULL;
    void *found = dlsym(RTLD_NEXT, "connect");
    struct sockaddr_in in;

    memcpy(&next, &found, sizeof(next));
    if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) {
        atomic_fetch_add(&all_connects, 1);
    }
    if (sa->sa_family == AF_INET && len >= sizeof(in)) {
        memcpy(&in, sa, sizeof(in));
        atomic_fetch_add(&inside_connects, in.sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? 1 : 0);
    }
    return next(fd, sa, len);
}

static void reset_counts(void)
{
    atomic_store(&lookups, 0);
    atomic_store(&inside_connects, 0);
    atomic_store(&all_connects, 0);
}

/* ---- cases ---- */

static void allow_outside(struct world *w)
{
    rb_httpc_free(w->client);
    w->allow[0] = OUTSIDE;
    w->settings.network.allow = (struct rb_strings){.items = w->allow, .n = 1};
    assert_int_equal(rb_httpc_new(&w->settings, &w->client, NULL), RB_OK);
    reset_counts();
}

static struct outcome guarded_call(struct world *w, const char *format, int port)
{
    char url[128];

    (void)snprintf(url, sizeof(url), "%s:%d/x", format, port);
    struct rb_http_request req = world_request(url);
    req.reach = RB_REACH_GUARDED;
    req.timeout_ms = 2000;
    return world_call(w, &req);
}

static void a_name_that_leads_inside_the_second_time_is_refused_then(void **state)
{
    struct world *w = *state;
    int port = script_server_port(w->server);

    allow_outside(w);
    /* Nobody listens there: what counts is that it was let through. */
    struct outcome o = guarded_call(w, "http://flips.test", port);
    assert_int_equal(o.rc, RB_E_UNAVAIL);
    assert_true(atomic_load(&all_connects) >= 1);
    o = guarded_call(w, "http://flips.test", port);
    assert_int_equal(o.rc, RB_E_BLOCKED);
    assert_false(o.sent);
    assert_non_null(strstr(o.err.msg, "flips.test"));
    o = guarded_call(w, "https://flips.test", port);
    assert_int_equal(o.rc, RB_E_BLOCKED);
    assert_int_equal(atomic_load(&inside_connects), 0);
    assert_int_equal(script_server_connections(w->server), 0);
}

static void of_a_name_with_two_addresses_only_the_one_outside_is_called(void **state)
{
    static const char *const urls[] = {"http://both.test", "https://both.test", "http://htob.test",
                                       "https://htob.test"};
    struct world *w = *state;

    allow_outside(w);
    for (size_t i = 0; i < RB_ARRAY_LEN(urls); i++) {
        struct outcome o = guarded_call(w, urls[i], script_server_port(w->server));
        assert_true(o.rc == RB_E_UNAVAIL || o.rc == RB_E_BLOCKED);
        assert_false(o.sent);
    }
    assert_true(atomic_load(&all_connects) >= 1);
    assert_int_equal(atomic_load(&inside_connects), 0);
    assert_int_equal(script_server_connections(w->server), 0);
}

static void no_connection_is_begun_to_an_address_inside_in_any_form(void **state)
{
    static const char *const urls[] = {
        "https://127.0.0.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.0.0.1",
        "https://0177.0.0.1",
        "https://017700000001",
        "https://127.1",
        "https://0.0.0.0",
        "https://localhost",
        "https://[::1]",
        "https://[::]",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:7f00:1]",
        "https://[::127.0.0.1]",
        "https://[64:ff9b::7f00:1]",
        "https://[2002:7f00:1::]",
        "https://[fe80::1]",
        "https://[fd00:ec2::254]",
        "https://169.254.169.254",
        "https://2852039166",
        "https://169.254.170.2",
        "https://10.0.0.1",
        "https://172.16.0.1",
        "https://192.168.1.1",
        "https://100.100.100.200",
        "https://user@127.0.0.1",
        "http://127.0.0.1",
        "http://93.184.216.34",
        "http://[2606:4700::1111]",
    };
    struct world *w = *state;

    reset_counts();
    for (size_t i = 0; i < RB_ARRAY_LEN(urls); i++) {
        struct outcome o = guarded_call(w, urls[i], script_server_port(w->server));
        if (o.rc != RB_E_BLOCKED || o.sent) {
            fail_msg("%s: %s, %s", urls[i], rb_code_name(o.rc), o.err.msg);
        }
    }
    assert_int_equal(atomic_load(&all_connects), 0);
    assert_int_equal(script_server_connections(w->server), 0);
}

static void what_a_configuration_can_never_reach_is_known_beforehand(void **state)
{
    static const struct {
        const char *url;
        enum rb_code rc;
    } rows[] = {
        {"https://ci.example.org/x", RB_OK},
        {"http://ci.example.org/x", RB_E_BLOCKED},
        {"https://93.184.216.34/", RB_OK},
        {"http://93.184.216.34/", RB_E_BLOCKED},
        {"https://2130706433/", RB_E_BLOCKED},
        {"https://[fd00:ec2::254]/", RB_E_BLOCKED},
        {"https://0251.0376.0251.0376/", RB_E_BLOCKED},
        {"https://localhost/", RB_OK},
        {"ftp://93.184.216.34/", RB_E_INVALID},
    };
    struct world *w = *state;

    reset_counts();
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_err err = {.code = RB_OK};
        if (rb_httpc_foresee(&w->settings, rows[i].url, &err) != rows[i].rc) {
            fail_msg("%s: %s", rows[i].url, err.msg);
        }
    }
    allow_outside(w);
    assert_int_equal(rb_httpc_foresee(&w->settings, "http://" OUTSIDE "/", NULL), RB_OK);
    assert_int_equal(rb_httpc_foresee(&w->settings, "http://ci.example.org/", NULL), RB_OK);
    assert_int_equal(rb_httpc_foresee(&w->settings, "http://" INSIDE "/", NULL), RB_E_BLOCKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_name_that_leads_inside_the_second_time_is_refused_then),
        ROW(of_a_name_with_two_addresses_only_the_one_outside_is_called),
        ROW(no_connection_is_begun_to_an_address_inside_in_any_form),
        ROW(what_a_configuration_can_never_reach_is_known_beforehand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
