/* A span as OTLP's JSON, requests and answers of the protocol, and the bounds of the queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static struct rb_span some_span(void)
{
    return (struct rb_span){.trace_id = TRACE,
                            .span_id = "00f067aa0ba902b7",
                            .name = "retry",
                            .kind = RB_SPAN_INTERNAL,
                            .start_ms = 1793714828123,
                            .end_ms = 1793714829000};
}

static json_t *written(const struct rb_span *s)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(65536);
    json_t *j = NULL;
    rb_span_write_json(s, &text);
    assert_false(rb_buf_failed(&text));
    assert_int_equal(rb_json_load(text.data, text.len, &j, NULL), RB_OK);
    return j;
}

static const char *text_of(const json_t *j, const char *name)
{
    return json_string_value(json_object_get(j, name));
}

static void a_span_is_written_by_the_rules_of_the_protocol(void **state)
{
    (void)state;
    const struct rb_span_event events[] = {{1793714828123, "scheduled", NULL},
                                           {1793714828999, "running", "started \"x\"\n"}};
    struct rb_span s = some_span();
    s.parent_id = "1111111111111111";
    s.remote = true;
    s.tracestate = "a=b";
    s.events = events;
    s.n_events = 2;
    s.status = RB_SPAN_ERROR;
    s.error = "why";
    rb_span_text(&s, "cloud.region", "us-east-1");
    rb_span_text(&s, "left.out", NULL);
    rb_span_number(&s, "retrybuild.attempt", INT64_MAX);
    RB_CLEANUP(rb_json_decrefp) json_t *got = written(&s);
    RB_CLEANUP(rb_json_decrefp)
    json_t *wanted = json_loads(
        "{\"traceId\":\"" TRACE "\",\"spanId\":\"00f067aa0ba902b7\","
        "\"parentSpanId\":\"1111111111111111\",\"traceState\":\"a=b\",\"flags\":769,"
        "\"name\":\"retry\",\"kind\":1,\"startTimeUnixNano\":\"1793714828123000000\","
        "\"endTimeUnixNano\":\"1793714829000000000\",\"attributes\":["
        "{\"key\":\"cloud.region\",\"value\":{\"stringValue\":\"us-east-1\"}},"
        "{\"key\":\"retrybuild.attempt\",\"value\":{\"intValue\":\"9223372036854775807\"}}],"
        "\"events\":[{\"name\":\"scheduled\",\"timeUnixNano\":\"1793714828123000000\"},"
        "{\"name\":\"running\",\"timeUnixNano\":\"1793714828999000000\",\"attributes\":["
        "{\"key\":\"retrybuild.note\",\"value\":{\"stringValue\":\"started \\\"x\\\"\\n\"}}]}],"
        "\"status\":{\"code\":2,\"message\":\"why\"}}",
        0, NULL);
    assert_non_null(wanted);
    assert_true(json_equal(got, wanted));
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    struct rb_span s = some_span();
    s.parent_id = "";
    s.error = "only of an error";
    s.end_ms = s.start_ms - 5; /* clocks */
    RB_CLEANUP(rb_json_decrefp) json_t *j = written(&s);
    assert_null(json_object_get(j, "parentSpanId"));
    assert_null(json_object_get(j, "traceState"));
    assert_null(json_object_get(j, "events"));
    assert_int_equal(json_integer_value(json_object_get(j, "flags")), 1);
    assert_null(json_object_get(json_object_get(j, "status"), "message"));
    assert_string_equal(text_of(j, "startTimeUnixNano"), text_of(j, "endTimeUnixNano"));
}

static void long_texts_and_too_many_attributes_are_cut(void **state)
{
    (void)state;
    char text[3001];
    struct rb_span s = some_span();
    for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
        memcpy(text + i, "\xc3\xa4", 2); /* a cut falls into a character */
    }
    text[3000] = '\0';
    rb_span_text(&s, "first", text);
    for (int i = 0; i < 2 * RB_SPAN_ATTRIBUTES_MAX; i++) {
        rb_span_number(&s, "more", i);
        rb_span_text(&s, "more", "x");
    }
    RB_CLEANUP(rb_json_decrefp) json_t *j = written(&s);
    json_t *all = json_object_get(j, "attributes");
    assert_int_equal(json_array_size(all), RB_SPAN_ATTRIBUTES_MAX);
    const char *first = text_of(json_object_get(json_array_get(all, 0), "value"), "stringValue");
    assert_int_equal(strlen(first), 1024);
}

/* ---- requests and answers ---- */

static void the_path_is_added_to_the_root_once(void **state)
{
    static const char *const rows[][2] = {
        {"http://c:4318", "http://c:4318/v1/traces"},
        {"http://c:4318/", "http://c:4318/v1/traces"},
        {"https://c/otlp//", "https://c/otlp/v1/traces"},
        {"https://c/v1/traces", "https://c/v1/traces"},
    };
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    (void)state;
    rb_arena_init(&a, 65536);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        assert_string_equal(rb_otlp_url(rows[i][0], &a), rows[i][1]);
    }
}

static void answers_mean_what_the_protocol_says(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum rb_otlp_verdict verdict;
        int64_t rejected;
        const char *why;
    } rows[] = {
        {200, "", RB_OTLP_TAKEN, 0, ""},
        {200, "{}", RB_OTLP_TAKEN, 0, ""},
        {200, "no json", RB_OTLP_TAKEN, 0, ""},
        {200, "[1]", RB_OTLP_TAKEN, 0, ""},
        {202, "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too old\"}}",
         RB_OTLP_TAKEN, 3, "too old"},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":2}}", RB_OTLP_TAKEN, 2, ""},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":\"-2\"}}", RB_OTLP_TAKEN, 0, ""},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":\"many\"}}", RB_OTLP_TAKEN, 0, ""},
        {429, "", RB_OTLP_AGAIN, 0, "the collector answered 429"},
        {502, "", RB_OTLP_AGAIN, 0, "the collector answered 502"},
        {503, "", RB_OTLP_AGAIN, 0, "the collector answered 503"},
        {504, "", RB_OTLP_AGAIN, 0, "the collector answered 504"},
        {500, "", RB_OTLP_REFUSED, 0, "the collector answered 500"},
        {400, "{\"message\":\"x\"}", RB_OTLP_REFUSED, 0, "the collector answered 400"},
        {301, "", RB_OTLP_REFUSED, 0, "the collector answered 301"},
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(4096);
        int64_t rejected = -1;
        char why[64] = "unset";
        rb_buf_adds(&body, rows[i].body);
        assert_int_equal(rb_otlp_judge(rows[i].status, &body, &rejected, why, sizeof(why)),
                         rows[i].verdict);
        assert_int_equal(rejected, rows[i].rejected);
        assert_string_equal(why, rows[i].why);
    }
}

/* ---- the queue ---- */

static void fill(struct rb_buf *b, size_t len)
{
    rb_buf_clear(b);
    for (size_t i = 0; i < len; i++) {
        rb_buf_addc(b, 'x');
    }
}

static void the_queue_holds_its_number_of_spans_and_no_more(void **state)
{
    struct rb_span_queue q;
    struct rb_batch_of_spans taken = {.n = 0};
    RB_CLEANUP(rb_buf_release) struct rb_buf span = RB_BUF_INIT(1024);
    unsigned n = 0;
    (void)state;
    rb_buf_init(&taken.json, RB_BATCH_BYTES);
    rb_span_queue_init(&q);
    fill(&span, 3);
    assert_int_equal(rb_span_queue_wait_ms(&q, 0), -1);
    while (rb_span_queue_add(&q, &span, 1000 + n)) {
        n++;
    }
    assert_int_equal(n, RB_BATCHES * RB_BATCH_SPANS);
    for (unsigned i = 0; i < RB_BATCHES; i++) {
        assert_int_equal(rb_span_queue_wait_ms(&q, 0), 0);
        rb_span_queue_take(&q, &taken);
        assert_int_equal(taken.n, RB_BATCH_SPANS);
        assert_int_equal(taken.json.len, 4 * RB_BATCH_SPANS - 1);
        assert_int_equal(taken.since_boot_ms, 1000 + i * RB_BATCH_SPANS);
        taken.n = 0;
        rb_buf_clear(&taken.json);
        assert_true(rb_span_queue_add(&q, &span, 1)); /* there is room again */
        if (i == 0) {
            assert_int_equal(q.n_batches, RB_BATCHES);
        }
    }
    rb_span_queue_release(&q);
    rb_buf_release(&taken.json);
}

static void the_queue_is_bounded_in_bytes_too(void **state)
{
    struct rb_span_queue q;
    RB_CLEANUP(rb_buf_release) struct rb_buf span = RB_BUF_INIT(2 * RB_BATCH_BYTES);
    unsigned n = 0;
    (void)state;
    rb_span_queue_init(&q);
    fill(&span, RB_BATCH_BYTES + 1);
    assert_false(rb_span_queue_add(&q, &span, 1));
    assert_int_equal(q.n_batches, 0);
    fill(&span, 60000);
    while (rb_span_queue_add(&q, &span, 1)) {
        n++;
    }
    assert_int_equal(n, RB_BATCHES * 8);
    rb_span_queue_release(&q);
}

static void a_batch_goes_when_it_is_full_or_has_waited(void **state)
{
    struct rb_span_queue q;
    RB_CLEANUP(rb_buf_release) struct rb_buf span = RB_BUF_INIT(1024);
    (void)state;
    rb_span_queue_init(&q);
    fill(&span, 5);
    assert_true(rb_span_queue_add(&q, &span, 5000));
    assert_true(rb_span_queue_add(&q, &span, 5500));
    assert_int_equal(rb_span_queue_wait_ms(&q, 5000), RB_GATHER_MS);
    assert_int_equal(rb_span_queue_wait_ms(&q, 5400), RB_GATHER_MS - 400);
    assert_int_equal(rb_span_queue_wait_ms(&q, 9000), 0);
    for (int i = 2; i < RB_BATCH_SPANS; i++) {
        assert_true(rb_span_queue_add(&q, &span, 5500));
    }
    assert_int_equal(rb_span_queue_wait_ms(&q, 5000), 0);
    rb_span_queue_release(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_written_by_the_rules_of_the_protocol),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(long_texts_and_too_many_attributes_are_cut),
        cmocka_unit_test(the_path_is_added_to_the_root_once),
        cmocka_unit_test(answers_mean_what_the_protocol_says),
        cmocka_unit_test(the_queue_holds_its_number_of_spans_and_no_more),
        cmocka_unit_test(the_queue_is_bounded_in_bytes_too),
        cmocka_unit_test(a_batch_goes_when_it_is_full_or_has_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
