/* A retry's life as spans: whose child each is, what is told and what is not. The collector is a
 * server of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/destination.h>
#include <retrybuild/json.h>
#include <retrybuild/telemetry.h>

#include "../common/script_server.h"
#include "internal.h"
#include "spans.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define UNSAMPLED "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
#define GRACE_MS 20000

struct world {
    struct script_server *server;
    struct rb_settings settings;
    struct rb_runtime runtime;
    const char *allow[1];
    struct rb_engine e;
    struct rb_retry *r;
    json_t *spans; /* once they were posted */
};

static struct rb_retry *retry_of(const char *id, const char *chain)
{
    struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    memcpy(r->id, id, RB_ID_BYTES);
    memcpy(r->chain, chain, RB_ID_BYTES);
    r->attempt = 1;
    r->build.project = "web";
    r->build.id = "web:1";
    r->build.region = "us-east-1";
    r->build.message = "NEVER-TOLD";
    r->source = (struct rb_delivery){.source = "eb", .type = "eventbridge", .key = "NEVER-TOLD"};
    r->callback_url = "https://NEVER-TOLD/";
    r->created_ms = 1793714828000;
    rb_retry_enter(r, RB_STATE_SCHEDULED, 1793714828000, NULL);
    return r;
}

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->server = script_server_start();
    w->allow[0] = "127.0.0.1";
    w->settings.refs = 1; /* never counted down to 0 */
    w->settings.network.allow = (struct rb_strings){.items = w->allow, .n = 1};
    w->settings.telemetry.otlp_endpoint = script_server_url(w->server);
    w->settings.telemetry.sampling = 1.0;
    w->settings.telemetry.service_name = "retrybuild";
    w->settings.telemetry.timeout_ms = GRACE_MS;
    w->runtime.settings = &w->settings;
    atomic_init(&w->runtime.refs, 1);
    w->e.runtime = &w->runtime;
    w->e.clock = rb_clock_system();
    w->e.random = rb_random_system();
    pthread_mutex_init(&w->e.lock, NULL);
    assert_int_equal(rb_tracer_new(&w->settings, w->e.clock, w->e.random, "1", &w->e.tracer, NULL),
                     RB_OK);
    w->r = retry_of("rty_01M884664E8WZ5447WEW0Z67BA", "chn_01M884664E8WZ5447WEW0Z67BA");
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    rb_tracer_free(w->e.tracer);
    script_server_stop(w->server);
    pthread_mutex_destroy(&w->e.lock);
    rb_retry_free(w->r);
    json_decref(w->spans);
    free(w);
    return 0;
}

/* posted - how many spans came; none: there was no request. */
static size_t posted(struct world *w)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    script_server_push_json(w->server, 200, "", "{}");
    rb_tracer_stop(w->e.tracer, GRACE_MS);
    if (script_server_requests(w->server) == 0) {
        return 0;
    }
    const char *body = script_server_body(w->server, 0);
    assert_null(strstr(body, "NEVER-TOLD"));
    assert_int_equal(rb_json_load(body, strlen(body), &j, NULL), RB_OK);
    const json_t *resource = json_array_get(json_object_get(j, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    w->spans = json_incref(json_object_get(scope, "spans"));
    return json_array_size(w->spans);
}

static const char *of(const struct world *w, size_t i, const char *member)
{
    const char *s = json_string_value(json_object_get(json_array_get(w->spans, i), member));
    return s == NULL ? "" : s;
}

static struct rb_work work_of(struct world *w)
{
    return (struct rb_work){.e = &w->e, .rt = &w->runtime, .r = w->r};
}

static void a_delivery_is_below_who_sent_the_trace_and_the_retry_below_it(void **state)
{
    struct world *w = *state;
    assert_true(rb_retry_take_trace(w->r, PARENT, "a=b"));
    rb_spans_admitted(&w->e, w->r, true);
    rb_retry_enter(w->r, RB_STATE_CANCELLED, 1793714829000, "why");
    rb_spans_ended(&w->e, &w->settings, w->r);
    assert_int_equal(posted(w), 2);
    assert_string_equal(of(w, 0, "name"), "POST /v1/hooks/{source}");
    assert_string_equal(of(w, 0, "parentSpanId"), "00f067aa0ba902b7");
    assert_string_equal(of(w, 1, "name"), "retry");
    assert_string_equal(of(w, 1, "parentSpanId"), of(w, 0, "spanId"));
    assert_string_equal(of(w, 1, "traceId"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(of(w, 1, "traceState"), "a=b");
}

static void what_the_sweep_found_has_no_delivery(void **state)
{
    struct world *w = *state;
    w->r->source.type = "sweep";
    rb_spans_admitted(&w->e, w->r, true);
    rb_retry_enter(w->r, RB_STATE_CANCELLED, 1793714829000, NULL);
    rb_spans_ended(&w->e, &w->settings, w->r);
    assert_int_equal(posted(w), 1);
    assert_string_equal(of(w, 0, "name"), "retry");
    assert_string_equal(of(w, 0, "parentSpanId"), "");
}

static void a_request_that_goes_on_with_a_chain_is_below_its_last_retry(void **state)
{
    struct world *w = *state;
    char above[RB_SPAN_ID_BYTES];
    memcpy(w->r->previous, "rty_01M884664E8WZ5447WEW0Z67BB", RB_ID_BYTES);
    rb_retry_span_id(w->r->previous, "retry", above);
    w->r->source.type = "api";
    rb_spans_admitted(&w->e, w->r, true);
    rb_retry_enter(w->r, RB_STATE_CANCELLED, 1793714829000, NULL);
    rb_spans_ended(&w->e, &w->settings, w->r);
    assert_int_equal(posted(w), 2);
    assert_string_equal(of(w, 0, "name"), "POST /v1/retries");
    assert_string_equal(of(w, 0, "parentSpanId"), above);
    assert_string_equal(of(w, 1, "parentSpanId"), above);
}

static void each_life_of_a_requeued_retry_has_its_span(void **state)
{
    struct world *w = *state;
    const struct rb_work k = work_of(w);
    const struct rb_err why = {.msg = "CodeBuild said no"};
    rb_spans_called(&k, 1793714828500, RB_E_AMBIGUOUS, &why);
    rb_retry_enter(w->r, RB_STATE_DEAD, 1793714829000, "given up");
    rb_retry_note(w->r, 1793714829001, "a note more");
    rb_spans_ended(&w->e, &w->settings, w->r);
    rb_retry_enter(w->r, RB_STATE_SCHEDULED, 1793714830000, "requeued");
    rb_spans_called(&k, 1793714830500, RB_OK, &why);
    rb_retry_enter(w->r, RB_STATE_DEAD, 1793714831000, "given up");
    rb_spans_ended(&w->e, &w->settings, w->r);
    assert_int_equal(posted(w), 4);
    assert_string_equal(of(w, 0, "name"), "CodeBuild/RetryBuild");
    assert_string_equal(of(w, 0, "parentSpanId"), of(w, 1, "spanId"));
    assert_string_equal(of(w, 2, "parentSpanId"), of(w, 3, "spanId"));
    assert_string_not_equal(of(w, 1, "spanId"), of(w, 3, "spanId"));
    const json_t *status = json_object_get(json_array_get(w->spans, 0), "status");
    assert_string_equal(json_string_value(json_object_get(status, "message")), why.msg);
}

static void a_call_has_the_name_of_its_operation(void **state)
{
    struct world *w = *state;
    const struct rb_work k = work_of(w);
    const struct rb_err why = {.code = RB_OK};
    w->r->decision.start = true;
    rb_spans_called(&k, 1793714828500, RB_OK, &why);
    w->r->build.batch_arn = "arn";
    rb_spans_called(&k, 1793714828500, RB_OK, &why);
    w->r->decision.pipeline = true;
    rb_spans_called(&k, 1793714828500, RB_OK, &why);
    assert_int_equal(posted(w), 3);
    assert_string_equal(of(w, 0, "name"), "CodeBuild/StartBuild");
    assert_string_equal(of(w, 1, "name"), "CodeBuild/RetryBuildBatch");
    assert_string_equal(of(w, 2, "name"), "CodePipeline/RetryStageExecution");
}

static void a_look_that_decided_nothing_is_not_told(void **state)
{
    struct world *w = *state;
    const struct rb_work k = work_of(w);
    w->r->state = RB_STATE_RECEIVED;
    rb_spans_inspected(&k, 1793714828500, RB_OK);
    rb_spans_inspected(&k, 1793714828500, RB_E_UNAVAIL);
    w->r->state = RB_STATE_SCHEDULED;
    rb_spans_inspected(&k, 1793714828500, RB_OK);
    assert_int_equal(posted(w), 2);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(json_array_get(w->spans, 0), "status"), "code")),
                     RB_SPAN_ERROR);
}

static void a_post_names_its_own_span_to_the_receiver(void **state)
{
    struct world *w = *state;
    const struct rb_destination_setting d = {.name = "hook", .type = "webhook"};
    const struct rb_post_result result = {.verdict = RB_POST_AGAIN, .status = 503, .error = "503"};
    const struct rb_task t = {.retry = w->r, .stage = RB_STAGE_STARTED, .attempts = 2};
    struct rb_span_of_report p;
    char retry[RB_SPAN_ID_BYTES];
    struct rb_trace header, event;
    assert_true(rb_retry_take_trace(w->r, PARENT, NULL));
    rb_spans_report_begin(&w->e, &w->settings, w->r, &p);
    rb_spans_report_end(&w->e, &w->settings, &t, &d, &result, &p);
    assert_true(rb_traceparent_parse(p.header, strlen(p.header), &header));
    assert_true(rb_traceparent_parse(p.event, strlen(p.event), &event));
    rb_retry_span_id(w->r->id, "retry", retry);
    assert_int_equal(posted(w), 1);
    assert_string_equal(header.span_id, of(w, 0, "spanId"));
    assert_string_equal(event.span_id, retry);
    assert_string_equal(of(w, 0, "parentSpanId"), retry);
}

static void an_unsampled_trace_goes_on_as_it_came_and_is_not_told(void **state)
{
    struct world *w = *state;
    struct rb_span_of_report p;
    assert_true(rb_retry_take_trace(w->r, UNSAMPLED, NULL));
    rb_spans_report_begin(&w->e, &w->settings, w->r, &p);
    assert_false(p.recorded);
    assert_string_equal(p.header, UNSAMPLED);
    assert_string_equal(p.event, UNSAMPLED);
    rb_spans_admitted(&w->e, w->r, true);
    rb_spans_ended(&w->e, &w->settings, w->r);
    assert_int_equal(posted(w), 0);
}

static void sampling_is_of_traces_that_begin_here(void **state)
{
    struct world *w = *state;
    struct rb_span_of_report p;
    w->settings.telemetry.sampling = 0.0;
    rb_spans_report_begin(&w->e, &w->settings, w->r, &p);
    assert_string_equal(p.header + strlen(p.header) - 3, "-00");
    rb_spans_admitted(&w->e, w->r, true);
    assert_true(rb_retry_take_trace(w->r, PARENT, NULL));
    rb_spans_report_begin(&w->e, &w->settings, w->r, &p);
    assert_true(p.recorded);
    rb_spans_admitted(&w->e, w->r, true);
    assert_int_equal(posted(w), 1);
}

static void without_a_collector_the_retry_is_the_parent(void **state)
{
    struct world *w = *state;
    struct rb_span_of_report p;
    struct rb_trace t;
    char retry[RB_SPAN_ID_BYTES];
    rb_tracer_stop(w->e.tracer, GRACE_MS);
    rb_spans_report_begin(&w->e, &w->settings, w->r, &p);
    assert_true(rb_traceparent_parse(p.header, strlen(p.header), &t));
    rb_retry_span_id(w->r->id, "retry", retry);
    assert_string_equal(t.span_id, retry);
    assert_true(rb_retry_take_trace(w->r, PARENT, NULL));
    rb_spans_report_begin(&w->e, &w->settings, w->r, &p);
    assert_string_equal(p.header, PARENT);
}

#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_delivery_is_below_who_sent_the_trace_and_the_retry_below_it),
        IN_WORLD(what_the_sweep_found_has_no_delivery),
        IN_WORLD(a_request_that_goes_on_with_a_chain_is_below_its_last_retry),
        IN_WORLD(each_life_of_a_requeued_retry_has_its_span),
        IN_WORLD(a_call_has_the_name_of_its_operation),
        IN_WORLD(a_look_that_decided_nothing_is_not_told),
        IN_WORLD(a_post_names_its_own_span_to_the_receiver),
        IN_WORLD(an_unsampled_trace_goes_on_as_it_came_and_is_not_told),
        IN_WORLD(sampling_is_of_traces_that_begin_here),
        IN_WORLD(without_a_collector_the_retry_is_the_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
