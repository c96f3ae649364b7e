/* Guarded calls: where they never go, and what errors show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "httpc_world.h"

#define MIN_URLS 24

/* Forms of URLs that end at an address inside, or that are no web addresses at all. %d: a port
 * where a server listens. */
static const char *const GUARDED_URLS[] = {
    "https://127.0.0.1:%d/",
    "http://127.0.0.1:%d/",
    "https://2130706433:%d/",
    "https://0x7f000001:%d/",
    "https://0x7f.0.0.1:%d/",
    "https://0177.0.0.1:%d/",
    "https://017700000001:%d/",
    "https://127.1:%d/",
    "https://127.0.1:%d/",
    "https://0:%d/",
    "https://0.0.0.0:%d/",
    "https://localhost:%d/",
    "https://LOCALHOST:%d/",
    "https://[::1]:%d/",
    "https://[0:0:0:0:0:0:0:1]:%d/",
    "https://[::ffff:127.0.0.1]:%d/",
    "https://[::ffff:7f00:1]:%d/",
    "https://[::127.0.0.1]:%d/",
    "https://[64:ff9b::7f00:1]:%d/",
    "https://[2002:7f00:1::]:%d/",
    "https://[fe80::1]:%d/",
    "https://[fd00:ec2::254]:%d/",
    "https://169.254.169.254:%d/latest/meta-data/",
    "https://169.254.170.2:%d/",
    "https://2852039166:%d/",
    "https://0xa9fea9fe:%d/",
    "https://10.0.0.1:%d/",
    "https://192.168.1.1:%d/",
    "https://100.64.0.1:%d/",
    "https://user:pass@127.0.0.1:%d/",
    "https://example.com@127.0.0.1:%d/",
    "https://%%31%%32%%37.0.0.1:%d/",
    "ftp://127.0.0.1:%d/",
    "gopher://127.0.0.1:%d/",
    "dict://127.0.0.1:%d/",
    "ldap://127.0.0.1:%d/",
    "telnet://127.0.0.1:%d/",
    "file:///etc/hostname",
};

static void guarded_calls_never_reach_an_address_inside(void **state)
{
    struct world *w = *state;

    assert_true(RB_ARRAY_LEN(GUARDED_URLS) >= MIN_URLS);
    for (size_t i = 0; i < RB_ARRAY_LEN(GUARDED_URLS); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf url = RB_BUF_INIT(256);
        const char *mark = strstr(GUARDED_URLS[i], "%d");
        size_t len = mark == NULL ? strlen(GUARDED_URLS[i]) : (size_t)(mark - GUARDED_URLS[i]);
        for (size_t k = 0; k < len; k++) {
            rb_buf_addc(&url, GUARDED_URLS[i][k]);
            k += GUARDED_URLS[i][k] == '%' ? 1 : 0;
        }
        if (mark != NULL) {
            rb_buf_addf(&url, "%d%s", script_server_port(w->server), mark + 2);
        }
        struct rb_http_request req = world_request(rb_buf_str(&url));
        req.reach = RB_REACH_GUARDED;
        req.timeout_ms = 2000;
        struct outcome o = world_call(w, &req);
        if (o.rc != RB_E_BLOCKED || o.sent) {
            fail_msg("%s: %s, %s", rb_buf_str(&url), rb_code_name(o.rc), o.err.msg);
        }
    }
    assert_int_equal(script_server_connections(w->server), 0);
}

static void a_listed_address_may_be_called_without_tls(void **state)
{
    struct world *w = *state;
    struct rb_http_request req = world_request(script_server_url(w->server));

    world_allow_loopback(w);
    req.reach = RB_REACH_GUARDED;
    script_server_push_json(w->server, 200, "", "{}");
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_OK);
    rb_http_answer_release(&o.answer);
}

static void a_connection_of_a_trusted_call_is_judged_anew_for_a_guarded_one(void **state)
{
    struct world *w = *state;
    struct rb_http_request req = world_request(script_server_url(w->server));

    script_server_push_json(w->server, 200, "", "{}");
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_OK);
    rb_http_answer_release(&o.answer);
    req.reach = RB_REACH_GUARDED;
    o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_BLOCKED);
    assert_false(o.sent);
    assert_int_equal(script_server_requests(w->server), 1);
}

static void errors_show_host_and_port_and_nothing_else_of_the_url(void **state)
{
    struct world *w = *state;
    char url[128];

    snprintf(url, sizeof(url), "http://name:canary1@127.0.0.1:%d/canary2?q=canary3",
             world_closed_port());
    struct rb_http_request req = world_request(url);
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_UNAVAIL);
    assert_non_null(strstr(o.err.msg, "127.0.0.1:"));
    assert_null(strstr(o.err.msg, "canary"));
    req.url = "https://127.0.0.1:99999/canary";
    o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_INVALID);
    assert_null(strstr(o.err.msg, "canary"));
}

static void a_bad_list_of_addresses_makes_no_client(void **state)
{
    const char *items[] = {"nonsense"};
    struct rb_settings s = {.network = {.allow = {.items = items, .n = 1}}};
    struct rb_httpc *c = NULL;
    struct rb_err err;

    (void)state;
    assert_int_equal(rb_httpc_new(&s, &c, &err), RB_E_INVALID);
    assert_null(c);
    rb_httpc_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(guarded_calls_never_reach_an_address_inside),
        ROW(a_listed_address_may_be_called_without_tls),
        ROW(a_connection_of_a_trusted_call_is_judged_anew_for_a_guarded_one),
        ROW(errors_show_host_and_port_and_nothing_else_of_the_url),
        ROW(a_bad_list_of_addresses_makes_no_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
