/* The tracer against a collector of this process: what is told is posted, at a stop too; nothing is
 * told twice, and what is lost is counted. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>
#include <retrybuild/json.h>

#include "../common/script_server.h"
#include "internal.h"

#define GRACE_MS 20000 /* of a machine under load; a good run never comes near it */

struct collector {
    struct script_server *server;
    struct rb_settings settings, moved, off; /* they outlive the tracer */
    struct rb_telemetry_header header;
    const char *allow[1];
    struct rb_tracer *tracer;
};

static void settings_of(struct collector *c, struct rb_settings *s, const char *endpoint)
{
    *s = (struct rb_settings){.refs = 1}; /* never counted down to 0 */
    c->allow[0] = "127.0.0.1";
    c->header.name = "x-key";
    s->network.allow = (struct rb_strings){.items = c->allow, .n = 1};
    s->telemetry.otlp_endpoint = endpoint;
    s->telemetry.headers = &c->header;
    s->telemetry.n_headers = 1;
    s->telemetry.service_name = "a \"name\"";
    s->telemetry.timeout_ms = GRACE_MS;
}

static int open_collector(void **state)
{
    struct collector *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    rb_metrics_reset_for_test();
    c->server = script_server_start();
    c->header.value = rb_secret_new("the-secret", strlen("the-secret"));
    settings_of(c, &c->settings, script_server_url(c->server));
    assert_int_equal(rb_tracer_new(&c->settings, rb_clock_system(), rb_random_system(), "1.2.3",
                                   &c->tracer, NULL),
                     RB_OK);
    *state = c;
    return 0;
}

static int close_collector(void **state)
{
    struct collector *c = *state;
    rb_tracer_free(c->tracer);
    script_server_stop(c->server);
    rb_secret_freep(&c->header.value);
    free(c);
    return 0;
}

static void tell(struct collector *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[RB_SPAN_ID_BYTES];
        rb_tracer_new_id(c->tracer, id);
        const struct rb_span s = {.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                                  .span_id = id,
                                  .name = "retry",
                                  .kind = RB_SPAN_INTERNAL,
                                  .start_ms = 1793714828123,
                                  .end_ms = 1793714828123};
        rb_tracer_add(c->tracer, &s);
    }
}

static double counted(const char *result)
{
    return rb_metric_value(rb_metric_cell(RB_M_SPANS, result, NULL));
}

static size_t spans_in(struct collector *c, unsigned request, json_t **ret_j)
{
    const char *body = script_server_body(c->server, request);
    assert_int_equal(rb_json_load(body, strlen(body), ret_j, NULL), RB_OK);
    const json_t *resource = json_array_get(json_object_get(*ret_j, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    return json_array_size(json_object_get(scope, "spans"));
}

static void what_has_gathered_is_posted_at_a_stop(void **state)
{
    struct collector *c = *state;
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    RB_CLEANUP(rb_freep) char *key = NULL;
    RB_CLEANUP(rb_freep) char *type = NULL;
    assert_true(rb_tracer_on(c->tracer));
    script_server_push_json(c->server, 200, "", "{}");
    tell(c, 3);
    rb_tracer_stop(c->tracer, GRACE_MS);
    assert_false(rb_tracer_on(c->tracer));
    assert_int_equal(script_server_requests(c->server), 1);
    assert_non_null(strstr(script_server_request(c->server, 0), "POST /v1/traces HTTP/1.1\r\n"));
    key = script_server_header(c->server, 0, "x-key");
    type = script_server_header(c->server, 0, "content-type");
    assert_string_equal(key, "the-secret");
    assert_string_equal(type, "application/json");
    assert_int_equal(spans_in(c, 0, &j), 3);
    assert_non_null(strstr(script_server_body(c->server, 0), "\"a \\\"name\\\"\""));
    assert_null(strstr(script_server_body(c->server, 0), "the-secret"));
    assert_true(counted("exported") == 3.0);
}

static void a_full_batch_does_not_wait_and_a_request_has_one_batch(void **state)
{
    struct collector *c = *state;
    RB_CLEANUP(rb_json_decrefp) json_t *first = NULL;
    RB_CLEANUP(rb_json_decrefp) json_t *second = NULL;
    script_server_push_json(c->server, 200, "", "{}");
    script_server_push_json(
        c->server, 200, "",
        "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"x\"}}");
    tell(c, RB_BATCH_SPANS + 2);
    rb_tracer_stop(c->tracer, GRACE_MS);
    assert_int_equal(spans_in(c, 0, &first), RB_BATCH_SPANS);
    assert_int_equal(spans_in(c, 1, &second), 2);
    assert_true(counted("exported") == RB_BATCH_SPANS + 1.0);
    assert_true(counted("rejected") == 1.0);
}

static void a_collector_that_asks_for_patience_gets_the_same_again(void **state)
{
    struct collector *c = *state;
    script_server_push_json(c->server, 429, "Retry-After: 0\r\n", "");
    script_server_push_json(c->server, 503, "Retry-After: 0\r\n", "");
    script_server_push_json(c->server, 200, "", "{}");
    tell(c, RB_BATCH_SPANS);
    while (counted("exported") < RB_BATCH_SPANS) { /* the test's own time limit ends it */
        (void)sched_yield();
    }
    rb_tracer_stop(c->tracer, GRACE_MS);
    assert_int_equal(script_server_requests(c->server), 3);
    assert_string_equal(script_server_body(c->server, 0), script_server_body(c->server, 2));
    assert_true(counted("failed") == 0.0);
}

static void a_definite_no_is_counted_and_not_repeated(void **state)
{
    struct collector *c = *state;
    script_server_push_json(c->server, 400, "", "{}");
    script_server_push_json(c->server, 200, "", "{}");
    tell(c, RB_BATCH_SPANS + 1);
    rb_tracer_stop(c->tracer, GRACE_MS);
    assert_true(counted("failed") >= RB_BATCH_SPANS);
    assert_true(counted("failed") + counted("exported") == RB_BATCH_SPANS + 1.0);
}

static void a_stop_ends_in_time_though_the_collector_says_nothing(void **state)
{
    struct collector *c = *state;
    script_server_push(c->server, "", SCRIPT_HOLD);
    tell(c, 5);
    rb_tracer_stop(c->tracer, 50);
    assert_true(counted("failed") == 5.0);
    tell(c, 1); /* too late, and harmless */
    assert_true(counted("dropped") == 1.0);
}

static void what_finds_no_room_is_dropped_and_counted(void **state)
{
    struct collector *c = *state;
    script_server_push(c->server, "", SCRIPT_HOLD);
    tell(c, RB_BATCHES * RB_BATCH_SPANS + 2 * RB_BATCH_SPANS);
    assert_true(counted("dropped") >= RB_BATCH_SPANS);
    rb_tracer_stop(c->tracer, 50);
    assert_true(counted("dropped") + counted("failed") == (RB_BATCHES + 2.0) * RB_BATCH_SPANS);
}

static void a_reload_moves_the_spans_and_an_empty_endpoint_ends_them(void **state)
{
    struct collector *c = *state;
    struct script_server *other = script_server_start();
    settings_of(c, &c->moved, script_server_url(other));
    settings_of(c, &c->off, "");
    script_server_push_json(other, 200, "", "{}");
    rb_tracer_reload(c->tracer, &c->moved);
    tell(c, 2);
    rb_tracer_reload(c->tracer, &c->off);
    assert_false(rb_tracer_on(c->tracer));
    rb_tracer_reload(c->tracer, &c->moved);
    assert_true(rb_tracer_on(c->tracer));
    rb_tracer_stop(c->tracer, GRACE_MS);
    assert_int_equal(script_server_requests(c->server), 0);
    assert_true(counted("exported") + counted("dropped") == 2.0);
    script_server_stop(other);
}

static void without_an_endpoint_nothing_is_wanted(void **state)
{
    struct collector *c = *state;
    struct rb_settings off;
    struct rb_tracer *t = NULL;
    settings_of(c, &off, NULL);
    assert_int_equal(rb_tracer_new(&off, rb_clock_system(), rb_random_system(), "1", &t, NULL),
                     RB_OK);
    assert_false(rb_tracer_on(t));
    assert_false(rb_tracer_on(NULL));
    assert_false(t->running);
    rb_tracer_stop(t, GRACE_MS);
    rb_tracer_free(t);
    rb_tracer_stop(c->tracer, GRACE_MS);
}

#define WITH_COLLECTOR(f) cmocka_unit_test_setup_teardown(f, open_collector, close_collector)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_COLLECTOR(what_has_gathered_is_posted_at_a_stop),
        WITH_COLLECTOR(a_full_batch_does_not_wait_and_a_request_has_one_batch),
        WITH_COLLECTOR(a_collector_that_asks_for_patience_gets_the_same_again),
        WITH_COLLECTOR(a_definite_no_is_counted_and_not_repeated),
        WITH_COLLECTOR(a_stop_ends_in_time_though_the_collector_says_nothing),
        WITH_COLLECTOR(what_finds_no_room_is_dropped_and_counted),
        WITH_COLLECTOR(a_reload_moves_the_spans_and_an_empty_endpoint_ends_them),
        WITH_COLLECTOR(without_an_endpoint_nothing_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
