/* Sending a report: what each answer means for the next attempt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "fixture.h"
#include "script_server.h"

struct world {
    struct script_server *server;
    struct rb_settings settings;
    const char *allow[1];
    struct rb_httpc *http;
    struct fixture *fixture;
    uint64_t random;
};

static uint64_t next_random(void *arg)
{
    const struct world *w = arg;
    return w->random;
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char url[128];

    assert_non_null(w);
    w->server = script_server_start();
    w->allow[0] = "127.0.0.1";
    w->settings.network.allow = (struct rb_strings){.items = w->allow, .n = 1};
    w->settings.timing.report_timeout_ms = 10000;
    assert_int_equal(rb_httpc_new(&w->settings, &w->http, NULL), RB_OK);
    snprintf(url, sizeof(url), "%scanary-path?canary=1", script_server_url(w->server));
    w->fixture = fixture_new(url);
    fixture_add_secret(w->fixture, "canary-secret", 0);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    fixture_free(w->fixture);
    rb_httpc_free(w->http);
    script_server_stop(w->server);
    free(w);
    return 0;
}

static struct rb_post_result post_after(struct world *w, int64_t waited_ms)
{
    struct rb_random random = {.next = next_random, .arg = w};
    struct rb_post_result r = {.again_in_ms = -1};

    rb_destination_post(&w->fixture->destination, &w->fixture->view,
                        w->fixture->view.now_ms - waited_ms, &w->settings, w->http, &random, &r);
    assert_null(strstr(r.error, "canary"));
    return r;
}

static struct rb_post_result post(struct world *w)
{
    return post_after(w, 0);
}

static void each_status_has_its_verdict(void **state)
{
    static const struct {
        int status;
        enum rb_report_verdict verdict;
    } rows[] = {
        {200, RB_POST_DELIVERED}, {201, RB_POST_DELIVERED}, {202, RB_POST_DELIVERED},
        {204, RB_POST_DELIVERED}, {301, RB_POST_DEAD},      {302, RB_POST_DEAD},
        {307, RB_POST_DEAD},      {304, RB_POST_DEAD},      {400, RB_POST_DEAD},
        {401, RB_POST_DEAD},      {403, RB_POST_DEAD},      {404, RB_POST_DEAD},
        {408, RB_POST_AGAIN},     {410, RB_POST_DEAD},      {413, RB_POST_DEAD},
        {422, RB_POST_DEAD},      {429, RB_POST_AGAIN},     {500, RB_POST_AGAIN},
        {501, RB_POST_AGAIN},     {502, RB_POST_AGAIN},     {503, RB_POST_AGAIN},
        {504, RB_POST_AGAIN},     {599, RB_POST_AGAIN},
    };
    struct world *w = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        script_server_push_json(w->server, rows[i].status, "Location: /other\r\n", "");
        struct rb_post_result r = post(w);
        if (r.verdict != rows[i].verdict) {
            fail_msg("%d", rows[i].status);
        }
        assert_int_equal(r.error[0] == '\0', r.verdict == RB_POST_DELIVERED);
    }
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(rows));
}

static void transport_errors_are_tried_again(void **state)
{
    struct world *w = *state;

    script_server_push(w->server, "", SCRIPT_CLOSE);
    assert_int_equal(post(w).verdict, RB_POST_AGAIN);
    script_server_push(w->server, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", SCRIPT_CLOSE);
    assert_int_equal(post(w).verdict, RB_POST_AGAIN);
    w->fixture->destination.timeout_ms = 100;
    script_server_push(w->server, "", SCRIPT_HOLD);
    assert_int_equal(post(w).verdict, RB_POST_AGAIN);
    script_server_stop(w->server);
    w->server = NULL;
    assert_int_equal(post(w).verdict, RB_POST_AGAIN);
}

static void an_address_that_may_not_be_called_is_dead_at_once(void **state)
{
    struct world *w = *state;

    rb_httpc_free(w->http);
    w->settings.network.allow.n = 0;
    assert_int_equal(rb_httpc_new(&w->settings, &w->http, NULL), RB_OK);
    struct rb_post_result r = post(w);
    assert_int_equal(r.verdict, RB_POST_DEAD);
    assert_int_equal(script_server_connections(w->server), 0);
}

static void an_unusable_url_or_type_is_dead_at_once(void **state)
{
    struct world *w = *state;

    rb_secret_free(w->fixture->destination.url);
    w->fixture->destination.url = rb_secret_new("canary", 6);
    assert_int_equal(post(w).verdict, RB_POST_DEAD);
    w->fixture->destination.type = "pigeon";
    assert_int_equal(post(w).verdict, RB_POST_DEAD);
}

static int64_t again_in(struct world *w, int64_t attempts, const char *headers)
{
    w->fixture->view.attempts = attempts;
    script_server_push_json(w->server, 503, headers, "");
    struct rb_post_result r = post(w);
    assert_int_equal(r.verdict, RB_POST_AGAIN);
    return r.again_in_ms;
}

static void waits_grow_with_full_jitter_up_to_a_quarter_of_an_hour(void **state)
{
    struct world *w = *state;

    w->random = UINT64_MAX / 2; /* about the middle of every range */
    for (int64_t attempts = 0; attempts < 40; attempts++) {
        int64_t most_ms = attempts < 10 ? INT64_C(1000) << attempts : 900000;
        most_ms = most_ms < 900000 ? most_ms : 900000;
        int64_t ms = again_in(w, attempts, "");
        assert_true(ms >= 0 && ms <= most_ms);
    }
    w->random = 0;
    assert_int_equal(again_in(w, 5, ""), 0);
}

static void a_schedule_is_followed_and_its_last_wait_repeats(void **state)
{
    struct world *w = *state;
    struct rb_destination_setting *d = &w->fixture->destination;

    d->schedule_ms[0] = 5000;
    d->schedule_ms[1] = 300000;
    d->n_schedule = 2;
    assert_int_equal(again_in(w, 0, ""), 5000);
    assert_int_equal(again_in(w, 1, ""), 300000);
    assert_int_equal(again_in(w, 7, ""), 300000);
}

static void retry_after_is_honoured_up_to_an_hour(void **state)
{
    struct world *w = *state;
    struct rb_destination_setting *d = &w->fixture->destination;

    d->schedule_ms[0] = 5000;
    d->n_schedule = 1;
    assert_int_equal(again_in(w, 0, "Retry-After: 20\r\n"), 20000);
    assert_int_equal(again_in(w, 0, "Retry-After: 1\r\n"), 5000);
    assert_int_equal(again_in(w, 0, "Retry-After: 86400\r\n"), 3600000);
    assert_int_equal(again_in(w, 0, "Retry-After: never\r\n"), 5000);
    assert_int_equal(again_in(w, 0, "Retry-After: Wed, 18 Nov 2026 11:08:40 GMT\r\n"), 120000);
}

static void what_has_failed_for_long_enough_is_dead(void **state)
{
    struct world *w = *state;

    w->fixture->destination.give_up_ms = 60000;
    script_server_push_json(w->server, 503, "", "");
    assert_int_equal(post_after(w, 59999).verdict, RB_POST_AGAIN);
    script_server_push_json(w->server, 503, "", "");
    struct rb_post_result r = post_after(w, 60000);
    assert_int_equal(r.verdict, RB_POST_DEAD);
    assert_string_equal(r.error, "the receiver answered 503");
    script_server_push_json(w->server, 200, "", "");
    assert_int_equal(post_after(w, 60000).verdict, RB_POST_DELIVERED);
}

static void what_arrives_is_what_was_rendered(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", "");
    assert_int_equal(post(w).verdict, RB_POST_DELIVERED);
    const char *raw = script_server_request(w->server, 0);
    assert_ptr_equal(strstr(raw, "POST /canary-path?canary=1 HTTP/1.1\r\n"), raw);
    char *id = script_server_header(w->server, 0, "webhook-id");
    char *signature = script_server_header(w->server, 0, "webhook-signature");
    assert_string_equal(id, "msg_1");
    assert_ptr_equal(strstr(signature, "v1,"), signature);
    free(id);
    free(signature);
    assert_ptr_equal(strstr(script_server_body(w->server, 0), "{\"type\":\"retry.recovered\""),
                     script_server_body(w->server, 0));
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(each_status_has_its_verdict),
        ROW(transport_errors_are_tried_again),
        ROW(an_address_that_may_not_be_called_is_dead_at_once),
        ROW(an_unusable_url_or_type_is_dead_at_once),
        ROW(waits_grow_with_full_jitter_up_to_a_quarter_of_an_hour),
        ROW(a_schedule_is_followed_and_its_last_wait_repeats),
        ROW(retry_after_is_honoured_up_to_an_hour),
        ROW(what_has_failed_for_long_enough_is_dead),
        ROW(what_arrives_is_what_was_rendered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
