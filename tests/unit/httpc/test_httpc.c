/* The HTTP client against a scripted server in this process: what it sends, what it refuses to do,
 * and what it says about a call that went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "httpc_world.h"

static void method_headers_and_body_arrive_as_given(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 201, "X-Thing:  a b \r\n", "{}");
    struct outcome o = world_call_server(w);
    assert_int_equal(o.rc, RB_OK);
    assert_true(o.sent);
    assert_int_equal(o.answer.status, 201);
    assert_string_equal(rb_buf_str(&o.answer.body), "{}");
    assert_true(o.answer.started_ms > 0 && o.answer.ended_ms >= o.answer.started_ms);

    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    rb_arena_init(&a, 4096);
    assert_string_equal(rb_http_answer_header(&o.answer, "x-thing", &a), "a b");
    assert_null(rb_http_answer_header(&o.answer, "x-thin", &a));
    assert_null(rb_http_answer_header(&o.answer, "thing", &a));

    const char *raw = script_server_request(w->server, 0);
    assert_ptr_equal(strstr(raw, "POST / HTTP/1.1\r\n"), raw);
    assert_non_null(strstr(raw, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(raw, "\r\nX-Own: 1\r\n"));
    assert_non_null(strstr(raw, "\r\nContent-Length: 5\r\n"));
    assert_null(strcasestr(raw, "accept-encoding"));
    assert_string_equal(script_server_body(w->server, 0), "hello");
    rb_http_answer_release(&o.answer);
}

static void get_has_no_body_and_an_empty_post_has_length_zero(void **state)
{
    struct world *w = *state;
    struct rb_http_request req = world_request(script_server_url(w->server));

    req.body = NULL;
    req.body_len = 0;
    script_server_push_json(w->server, 200, "", "{}");
    script_server_push_json(w->server, 200, "", "{}");
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_OK);
    rb_http_answer_release(&o.answer);
    assert_non_null(strstr(script_server_request(w->server, 0), "Content-Length: 0\r\n"));
    req.method = "GET";
    o = world_call(w, &req);
    assert_int_equal(o.rc, RB_OK);
    rb_http_answer_release(&o.answer);
    assert_non_null(strstr(script_server_request(w->server, 1), "GET / HTTP/1.1\r\n"));
    assert_null(strstr(script_server_request(w->server, 1), "Content-Length"));
}

static void connections_are_used_again(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < 5; i++) {
        script_server_push_json(w->server, 200, "", "{}");
        struct outcome o = world_call_server(w);
        assert_int_equal(o.rc, RB_OK);
        rb_http_answer_release(&o.answer);
    }
    assert_int_equal(script_server_requests(w->server), 5);
    assert_int_equal(script_server_connections(w->server), 1);
}

static void redirects_are_answers_and_not_followed(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 307, "Location: /elsewhere\r\n", "");
    struct outcome o = world_call_server(w);
    assert_int_equal(o.rc, RB_OK);
    assert_int_equal(o.answer.status, 307);
    assert_int_equal(script_server_requests(w->server), 1);
    rb_http_answer_release(&o.answer);
}

static void proxies_of_the_environment_are_ignored(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};

    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        setenv(names[i], "http://127.0.0.1:1", 1);
    }
    script_server_push_json(w->server, 200, "", "{}");
    struct outcome o = world_call_server(w);
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        unsetenv(names[i]);
    }
    assert_int_equal(o.rc, RB_OK);
    assert_int_equal(o.answer.status, 200);
    rb_http_answer_release(&o.answer);
}

static void the_configured_proxy_is_used_but_never_for_what_the_guard_refuses(void **state)
{
    struct world *w = *state;

    rb_httpc_free(w->client);
    w->settings.network.proxy = script_server_url(w->server);
    assert_int_equal(rb_httpc_new(&w->settings, &w->client, NULL), RB_OK);
    script_server_push_json(w->server, 200, "", "{}");
    struct rb_http_request req = world_request("http://aws.example/path");
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_OK);
    rb_http_answer_release(&o.answer);
    assert_non_null(
        strstr(script_server_request(w->server, 0), "POST http://aws.example/path HTTP/1.1"));

    req = world_request("https://169.254.169.254/latest");
    req.reach = RB_REACH_GUARDED;
    o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_BLOCKED);
    req.url = "https://[::1]/";
    o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_BLOCKED);
    assert_int_equal(script_server_requests(w->server), 1);
}

static void an_answer_beyond_the_cap_is_too_large(void **state)
{
    struct world *w = *state;
    char body[5000];

    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    script_server_push_json(w->server, 200, "", body);
    struct outcome o = world_call_server(w);
    assert_int_equal(o.rc, RB_E_TOO_LARGE);
    assert_true(o.sent);

    body[4096] = '\0';
    script_server_push_json(w->server, 200, "", body);
    o = world_call_server(w);
    assert_int_equal(o.rc, RB_OK);
    assert_int_equal(o.answer.body.len, 4096);
    rb_http_answer_release(&o.answer);
}

static void a_chunked_answer_beyond_the_cap_is_too_large(void **state)
{
    struct world *w = *state;
    char raw[6000] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1200\r\n";
    size_t head = strlen(raw);

    memset(raw + head, 'x', 0x1200);
    memcpy(raw + head + 0x1200, "\r\n0\r\n\r\n", 8);
    script_server_push(w->server, raw, SCRIPT_KEEP);
    struct outcome o = world_call_server(w);
    assert_int_equal(o.rc, RB_E_TOO_LARGE);
}

static void compressed_bodies_are_not_unpacked(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "Content-Encoding: gzip\r\n", "not gzip");
    struct outcome o = world_call_server(w);
    assert_int_equal(o.rc, RB_OK);
    assert_string_equal(rb_buf_str(&o.answer.body), "not gzip");
    rb_http_answer_release(&o.answer);
}

static void a_server_that_never_answers_is_a_timeout_after_sending(void **state)
{
    struct world *w = *state;
    struct rb_http_request req = world_request(script_server_url(w->server));

    req.timeout_ms = 100;
    script_server_push(w->server, "", SCRIPT_HOLD);
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_TIMEOUT);
    assert_true(o.sent);
    script_server_push(w->server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SCRIPT_HOLD);
    o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_TIMEOUT);
    assert_true(o.sent);
}

static void what_breaks_after_sending_is_ambiguous(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *raw;
        enum script_then then;
    } rows[] = {
        {"", SCRIPT_CLOSE},
        {"", SCRIPT_RESET},
        {"HTTP/1.1 200 OK\r\nContent-Le", SCRIPT_CLOSE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SCRIPT_CLOSE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SCRIPT_RESET},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", SCRIPT_CLOSE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", SCRIPT_CLOSE},
        {"not http at all\r\n\r\n", SCRIPT_CLOSE},
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        script_server_push(w->server, rows[i].raw, rows[i].then);
        struct outcome o = world_call_server(w);
        assert_int_equal(o.rc, RB_E_AMBIGUOUS);
        assert_true(o.sent);
    }
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(rows));
}

static void a_request_lost_on_a_used_connection_is_not_sent_twice(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", "{}");
    script_server_push(w->server, "", SCRIPT_CLOSE);
    script_server_push_json(w->server, 200, "", "{}");
    struct outcome o = world_call_server(w);
    assert_int_equal(o.rc, RB_OK);
    rb_http_answer_release(&o.answer);
    o = world_call_server(w);
    assert_int_equal(o.rc, RB_E_AMBIGUOUS);
    assert_true(o.sent);
    assert_int_equal(script_server_requests(w->server), 2);
}

static void what_breaks_before_sending_is_unavailable(void **state)
{
    struct world *w = *state;
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", world_closed_port());
    struct rb_http_request req = world_request(url);
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_UNAVAIL);
    assert_false(o.sent);

    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", script_server_port(w->server));
    req = world_request(url);
    req.timeout_ms = 200;
    o = world_call(w, &req); /* no TLS there */
    assert_true(o.rc == RB_E_UNAVAIL || o.rc == RB_E_TIMEOUT);
    assert_false(o.sent);
}

static void a_cancelled_call_ends_as_closed(void **state)
{
    struct world *w = *state;
    struct rb_http_request req = world_request(script_server_url(w->server));
    atomic_bool cancel = true;

    req.cancel = &cancel;
    script_server_push(w->server, "", SCRIPT_HOLD);
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_CLOSED);
}

static void forged_header_lines_are_refused(void **state)
{
    struct world *w = *state;
    static const char *const headers[] = {"X: 1\r\nY: 2", NULL};
    struct rb_http_request req = world_request(script_server_url(w->server));

    req.headers = headers;
    struct outcome o = world_call(w, &req);
    assert_int_equal(o.rc, RB_E_INVALID);
    assert_false(o.sent);
    assert_int_equal(script_server_requests(w->server), 0);
}

static void retry_after_is_read_in_all_its_forms(void **state)
{
    static const struct {
        const char *headers;
        int64_t expected_ms;
    } rows[] = {
        {"", -1},
        {"retry-after: 5\n", 5000},
        {"retry-after: 0\n", 0},
        {"retry-after: -1\n", -1},
        {"retry-after: soon\n", -1},
        {"retry-after: 1.5\n", -1},
        {"retry-after: \n", -1},
        {"retry-after: 99999999999999999999\n", -1},
        {"retry-after: Tue, 03 Nov 2026 14:07:08 GMT\n", 8000},
        {"retry-after: Tue, 03 Nov 2026 14:06:00 GMT\n", 0},
        {"x-amz-retry-after: 1500\n", 1500},
        {"retry-after: 7\nx-amz-retry-after: 1500\n", 1500},
        {"x-retry-after: 7\n", -1},
    };
    const int64_t now_ms = INT64_C(1793714820000); /* 2026-11-03T14:07:00Z */

    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_http_answer a = {.status = 429};
        rb_buf_init(&a.raw_headers, 1024);
        rb_buf_adds(&a.raw_headers, rows[i].headers);
        if (rb_http_retry_after_ms(&a, now_ms) != rows[i].expected_ms) {
            fail_msg("row %zu", i);
        }
        rb_http_answer_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(method_headers_and_body_arrive_as_given),
        ROW(get_has_no_body_and_an_empty_post_has_length_zero),
        ROW(connections_are_used_again),
        ROW(redirects_are_answers_and_not_followed),
        ROW(proxies_of_the_environment_are_ignored),
        ROW(the_configured_proxy_is_used_but_never_for_what_the_guard_refuses),
        ROW(an_answer_beyond_the_cap_is_too_large),
        ROW(a_chunked_answer_beyond_the_cap_is_too_large),
        ROW(compressed_bodies_are_not_unpacked),
        ROW(a_server_that_never_answers_is_a_timeout_after_sending),
        ROW(what_breaks_after_sending_is_ambiguous),
        ROW(a_request_lost_on_a_used_connection_is_not_sent_twice),
        ROW(what_breaks_before_sending_is_unavailable),
        ROW(a_cancelled_call_ends_as_closed),
        ROW(forged_header_lines_are_refused),
        ROW(retry_after_is_read_in_all_its_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
