/* The trace of a retry: what came with it is kept, and what did not is always the same. */
#include <retrybuild/cleanup.h>

#include "some.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void a_trace_that_came_is_kept_through_the_record(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf record = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
    struct rb_trace t;
    assert_true(rb_retry_take_trace(r, "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-x",
                                    " a=b , c=d"));
    assert_int_equal(rb_record_encode(r, &record, NULL), RB_OK);
    assert_int_equal(rb_record_decode(record.data, record.len, &back, NULL), RB_OK);
    assert_string_equal(back->traceparent, PARENT);
    assert_string_equal(back->tracestate, "a=b,c=d");
    assert_true(rb_retry_trace(back, 0.0, &t));
    assert_string_equal(t.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(t.span_id, "00f067aa0ba902b7");
    assert_true(t.sampled);
}

static void what_is_no_trace_counts_as_none(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    struct rb_trace t;
    assert_true(rb_retry_take_trace(r, NULL, "a=b"));
    assert_true(rb_retry_take_trace(r, "00-00000000000000000000000000000000-1-01", "a=b"));
    assert_null(r->traceparent);
    assert_null(r->tracestate);
    assert_false(rb_retry_trace(r, 1.0, &t));
    assert_true(rb_retry_take_trace(r, PARENT, "A=b"));
    assert_string_equal(r->traceparent, PARENT);
    assert_null(r->tracestate);
}

static void a_chain_without_one_has_the_same_trace_everywhere(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    RB_CLEANUP(rb_retry_freep) struct rb_retry *next = waiting_retry();
    struct rb_trace a, b;
    char text[RB_TRACEPARENT_BYTES];
    memcpy(next->chain, r->chain, sizeof(next->chain));
    next->id[RB_ID_BYTES - 2] = r->id[RB_ID_BYTES - 2] == '0' ? '1' : '0';
    assert_false(rb_retry_trace(r, 1.0, &a));
    assert_false(rb_retry_trace(next, 1.0, &b));
    assert_string_equal(a.trace_id, b.trace_id);
    assert_true(a.sampled);
    assert_string_equal(a.span_id, "");
    next->chain[RB_ID_BYTES - 2] = r->chain[RB_ID_BYTES - 2] == '0' ? '1' : '0';
    assert_false(rb_retry_trace(next, 0.0, &b));
    assert_string_not_equal(a.trace_id, b.trace_id);
    assert_false(b.sampled);
    rb_retry_span_id(r->id, "retry", a.span_id);
    rb_traceparent_write(&a, text);
    assert_true(rb_traceparent_parse(text, strlen(text), &b));
}

static void spans_of_a_retry_differ_by_retry_and_kind(void **state)
{
    (void)state;
    char a[RB_SPAN_ID_BYTES], b[RB_SPAN_ID_BYTES], c[RB_SPAN_ID_BYTES], again[RB_SPAN_ID_BYTES];
    rb_retry_span_id("rty_1", "retry", a);
    rb_retry_span_id("rty_1", "delivery", b);
    rb_retry_span_id("rty_2", "retry", c);
    rb_retry_span_id("rty_1", "retry", again);
    assert_string_equal(a, again);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
}

static void the_next_attempt_goes_on_with_the_trace_of_the_chain(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    RB_CLEANUP(rb_retry_freep) struct rb_retry *next = waiting_retry();
    assert_true(rb_retry_take_trace(r, PARENT, "a=b"));
    assert_true(rb_retry_inherit_trace(next, r));
    assert_string_equal(next->traceparent, PARENT);
    assert_string_equal(next->tracestate, "a=b");
    RB_CLEANUP(rb_retry_freep) struct rb_retry *plain = waiting_retry();
    assert_true(rb_retry_inherit_trace(next, plain)); /* joined a chain that has one of its own */
    assert_null(next->traceparent);
    assert_null(next->tracestate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_that_came_is_kept_through_the_record),
        cmocka_unit_test(what_is_no_trace_counts_as_none),
        cmocka_unit_test(a_chain_without_one_has_the_same_trace_everywhere),
        cmocka_unit_test(spans_of_a_retry_differ_by_retry_and_kind),
        cmocka_unit_test(the_next_attempt_goes_on_with_the_trace_of_the_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
