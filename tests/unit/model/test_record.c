/* Records: what is written comes back, whatever stands in it; what is damaged is refused. */
#include <retrybuild/cleanup.h>

#include "record_fields.h"
#include "some.h"

static void same_text(const char *a, const char *b)
{
    if (!rb_str_eq(a, b)) {
        fail_msg("'%s' came back as '%s'", a == NULL ? "(null)" : a, b == NULL ? "(null)" : b);
    }
}

static void same_build(const struct rb_build *a, const struct rb_build *b)
{
    assert_true(a->run_ms == b->run_ms);
    same_text(a->partition, b->partition);
    same_text(a->account, b->account);
    same_text(a->region, b->region);
    same_text(a->project, b->project);
    same_text(a->id, b->id);
    same_text(a->arn, b->arn);
    same_text(a->status, b->status);
    same_text(a->phase, b->phase);
    same_text(a->phase_status, b->phase_status);
    same_text(a->message, b->message);
    same_text(a->url, b->url);
    same_text(a->initiator, b->initiator);
    same_text(a->author, b->author);
    same_text(a->source_type, b->source_type);
    same_text(a->source_version, b->source_version);
    same_text(a->resolved_version, b->resolved_version);
    same_text(a->repository, b->repository);
    same_text(a->branch, b->branch);
    same_text(a->pull_request, b->pull_request);
    same_text(a->batch_arn, b->batch_arn);
    same_text(a->next_auto_retry, b->next_auto_retry);
    same_text(a->compute_type, b->compute_type);
    assert_true(a->number == b->number && a->exit_code == b->exit_code);
    assert_true(a->started_ms == b->started_ms && a->ended_ms == b->ended_ms);
    assert_true(a->auto_retry_limit == b->auto_retry_limit);
    assert_true(a->auto_retry_number == b->auto_retry_number);
}

static void same_decision(const struct rb_decision *a, const struct rb_decision *b)
{
    same_text(a->rule, b->rule);
    same_text(a->reason, b->reason);
    assert_true(a->action == b->action && a->limit == b->limit && a->state == b->state);
    assert_true(a->delay.kind == b->delay.kind && a->delay.base_ms == b->delay.base_ms);
    assert_true(a->delay.cap_ms == b->delay.cap_ms && a->delay.n_list == b->delay.n_list);
    for (unsigned i = 0; i < a->delay.n_list; i++) {
        assert_true(a->delay.list_ms[i] == b->delay.list_ms[i]);
    }
}

static void same_retry(const struct rb_retry *a, const struct rb_retry *b)
{
    same_text(a->id, b->id);
    same_text(a->chain, b->chain);
    same_text(a->previous, b->previous);
    assert_true(a->state == b->state && a->attempt == b->attempt && a->limit == b->limit);
    same_build(&a->build, &b->build);
    assert_true(a->has_child == b->has_child);
    same_build(&a->child, &b->child);
    same_text(a->source.source, b->source.source);
    same_text(a->source.type, b->source.type);
    same_text(a->source.key, b->source.key);
    assert_true(a->source.at_ms == b->source.at_ms);
    same_decision(&a->decision, &b->decision);
    same_text(a->requested_by, b->requested_by);
    same_text(a->request_reason, b->request_reason);
    same_text(a->callback_url, b->callback_url);
    assert_true(a->force == b->force);
    assert_true(a->created_ms == b->created_ms && a->due_ms == b->due_ms);
    assert_true(a->submitted_ms == b->submitted_ms && a->finished_ms == b->finished_ms);
    assert_int_equal(a->n_rule_uses, b->n_rule_uses);
    for (unsigned i = 0; i < a->n_rule_uses; i++) {
        same_text(a->rule_uses[i].rule, b->rule_uses[i].rule);
        assert_true(a->rule_uses[i].count == b->rule_uses[i].count);
    }
    assert_int_equal(a->n_history, b->n_history);
    for (unsigned i = 0; i < a->n_history; i++) {
        same_text(a->history[i].note, b->history[i].note);
        assert_true(a->history[i].at_ms == b->history[i].at_ms);
        assert_true(a->history[i].state == b->history[i].state);
    }
    assert_true(a->intent.issue == b->intent.issue && a->intent.unknowns == b->intent.unknowns);
    assert_true(a->intent.date_ms == b->intent.date_ms);
    assert_true(a->intent.written_ms == b->intent.written_ms);
    assert_true(a->intent.low_water == b->intent.low_water);
    assert_true(a->intent.ambiguous == b->intent.ambiguous && a->intent.sends == b->intent.sends);
    same_text(a->intent.access_key, b->intent.access_key);
    same_text(a->intent.initiator, b->intent.initiator);
    same_text(a->cancelled_by, b->cancelled_by);
    assert_true(a->decision.start == b->decision.start);
    assert_true(a->decision.pipeline == b->decision.pipeline);
    assert_true(a->intent.taken == b->intent.taken);
    same_text(a->intent.execution, b->intent.execution);
    same_text(a->intent.stage, b->intent.stage);
    same_text(a->intent.action, b->intent.action);
    same_text(a->reply, b->reply);
}

static void any_retry_comes_back_as_it_was_written(void **state)
{
    (void)state;
    some_seed(20261103);
    for (int round = 0; round < 2000; round++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
        RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
        struct rb_err err = {0};
        if (rb_record_decode(bytes.data, bytes.len, &back, &err) != RB_OK) {
            fail_msg("round %d: %s", round, err.msg);
        }
        same_retry(r, back);
        RB_CLEANUP(rb_buf_release) struct rb_buf again = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        assert_int_equal(rb_record_encode(back, &again, NULL), RB_OK);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
    }
}

static void fields_of_a_newer_release_are_written_back_as_they_came(void **state)
{
    (void)state;
    some_seed(7);
    for (int round = 0; round < 200; round++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
        /* a later release: tag 300 before everything, tag 120 at the end */
        RB_CLEANUP(rb_buf_release) struct rb_buf later = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        rb_buf_add(&later, bytes.data, 1);
        rb_buf_add(&later,
                   "\xAC\x02\x03"
                   "abc",
                   6);
        rb_buf_add(&later, bytes.data + 1, bytes.len - 1);
        rb_buf_add(&later, "\x78\x00", 2);
        RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
        assert_int_equal(rb_record_decode(later.data, later.len, &back, NULL), RB_OK);
        same_retry(r, back);
        RB_CLEANUP(rb_buf_release) struct rb_buf again = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        assert_int_equal(rb_record_encode(back, &again, NULL), RB_OK);
        assert_int_equal(again.len, later.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        assert_memory_equal(again.data + bytes.len,
                            "\xAC\x02\x03"
                            "abc\x78\x00",
                            8);
    }
}

static void a_damaged_record_is_refused_or_read_but_never_more(void **state)
{
    (void)state;
    some_seed(99);
    unsigned refused = 0;
    for (int round = 0; round < 3000; round++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
        size_t len = bytes.len;
        if (round % 2 == 0) {
            len = some_below((unsigned)len);
        } else {
            bytes.data[some_below((unsigned)len)] ^= (char)(1U << some_below(8));
        }
        RB_CLEANUP(rb_freep) char *exact = malloc(len + 1); /* so that sanitizers see the end */
        assert_non_null(exact);
        memcpy(exact, bytes.data, len);
        RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
        struct rb_err err = {0};
        enum rb_code rc = rb_record_decode(exact, len, &back, &err);
        if (rc != RB_OK) {
            assert_true(rc == RB_E_CORRUPT || rc == RB_E_UNAVAIL);
            assert_null(back);
            refused++;
        }
    }
    assert_true(refused > 1000);
}

static void another_version_is_refused_by_name(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
    struct rb_err err = {0};
    assert_int_equal(rb_record_decode("\x02", 1, &back, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "version 2, of a newer release"));
    assert_int_equal(rb_record_decode("\x07", 1, &back, &err), RB_E_CORRUPT);
    assert_non_null(strstr(err.msg, "version 7"));
    assert_int_equal(rb_record_decode("", 0, &back, &err), RB_E_CORRUPT);
    assert_int_equal(rb_record_decode("\x01\x05\x7f", 3, &back, &err), RB_E_CORRUPT);
    assert_non_null(strstr(err.msg, "offset 1"));
}

static void a_word_of_a_newer_release_is_no_damage(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
    RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
    r->state = (enum rb_state)(RB_STATE_COUNT + 1);
    assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
    struct rb_err err = {0};
    assert_int_equal(rb_record_decode(bytes.data, bytes.len, &back, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "newer release"));
    assert_null(back);
    rb_buf_clear(&bytes);
    r->state = (enum rb_state)200;
    assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
    assert_int_equal(rb_record_decode(bytes.data, bytes.len, &back, &err), RB_E_CORRUPT);
}

static void a_buffer_that_is_too_small_is_said(void **state)
{
    (void)state;
    some_seed(3);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
    for (size_t max = 1; max < 60; max++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(max);
        assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_E_TOO_LARGE);
    }
}

static void a_waiting_retry_needs_at_most_four_hundred_and_eighty_bytes(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
    assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
    print_message("a waiting retry: %zu bytes\n", bytes.len);
    assert_in_range(bytes.len, 100, 480);
}

/* Groups stand among the fields of a retry: a tag that two of them have is read as one of them. */
static void no_two_fields_have_one_tag(void **state)
{
    (void)state;
    bool taken[256] = {false};
    for (unsigned tag = TAG_BUILD; tag <= TAG_DELAY; tag++) {
        taken[tag] = true;
    }
    for (size_t i = 0; i < rb_record_n_retry_fields; i++) {
        if (taken[rb_record_retry_fields[i].tag]) {
            fail_msg("tag %u is taken", rb_record_retry_fields[i].tag);
        }
        taken[rb_record_retry_fields[i].tag] = true;
    }
    memset(taken, 0, sizeof(taken));
    for (size_t i = 0; i < rb_record_n_build_fields; i++) {
        assert_false(taken[rb_record_build_fields[i].tag]);
        taken[rb_record_build_fields[i].tag] = true;
    }
}

int main(void)
{
    some_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_fields_have_one_tag),
        cmocka_unit_test(any_retry_comes_back_as_it_was_written),
        cmocka_unit_test(fields_of_a_newer_release_are_written_back_as_they_came),
        cmocka_unit_test(a_word_of_a_newer_release_is_no_damage),
        cmocka_unit_test(a_damaged_record_is_refused_or_read_but_never_more),
        cmocka_unit_test(another_version_is_refused_by_name),
        cmocka_unit_test(a_buffer_that_is_too_small_is_said),
        cmocka_unit_test(a_waiting_retry_needs_at_most_four_hundred_and_eighty_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
