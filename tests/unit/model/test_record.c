/* Records: what is written comes back, whatever stands in it; what is damaged is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/record.h>

static uint64_t seed;

/* next - xorshift64*: the same rounds in every run. */
static uint64_t next(void *arg)
{
    (void)arg;
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

static const struct rb_random rng = {.next = next, .arg = NULL};

static unsigned below(unsigned n)
{
    return (unsigned)rb_random_below(&rng, n);
}

/* some_text - words that the record packs, words that look nearly so, control bytes, UTF-8. */
static const char *some_text(struct rb_arena *a)
{
    static const char *const words[] = {
        "us-east-1",
        "web",
        "5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77",
        "SUCCEEDED",
        "\x01",
        "\x1f\x06",
        "3b1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f901",
        "https://github.com/",
        " ",
        "\xE2\x82\xAC",
        "5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a7g",
        "Reason: exit status ",
        "x",
        "FAILE",
        "\n",
        "3B1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f901",
        "/log-events/",
        "arn:aws:codebuild:",
    };
    if (below(4) == 0) {
        return NULL;
    }
    const char *s = "";
    for (unsigned i = below(8); i > 0; i--) {
        s = rb_arena_printf(a, "%s%s", s, words[below(RB_ARRAY_LEN(words))]);
        assert_non_null(s);
    }
    return s;
}

static int64_t some_int(void)
{
    uint64_t v = next(NULL) >> below(64);
    return below(2) == 0 ? (int64_t)(v >> 1) : -(int64_t)(v >> 1);
}

static void fill_build(struct rb_build *b, struct rb_arena *a)
{
    const char **strings[] = {
        &b->partition,  &b->account,   &b->region,       &b->project,        &b->id,
        &b->arn,        &b->status,    &b->phase,        &b->phase_status,   &b->message,
        &b->url,        &b->initiator, &b->source_type,  &b->source_version, &b->resolved_version,
        &b->repository, &b->branch,    &b->pull_request, &b->batch_arn,      &b->next_auto_retry,
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(strings); i++) {
        *strings[i] = some_text(a);
    }
    if (below(2) == 0) {
        b->region = "us-east-1";
        b->project = "web";
        b->id = "web:5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77";
    }
    b->number = some_int();
    b->exit_code = (int)below(300) - 1;
    b->started_ms = some_int();
    b->ended_ms = some_int();
    b->auto_retry_limit = some_int();
    b->auto_retry_number = (int64_t)below(3) - 1;
}

static void fill_decision(struct rb_decision *d, struct rb_arena *a)
{
    d->action = (enum rb_action)below(RB_ACTION_IGNORE + 1);
    d->rule = some_text(a);
    d->reason = some_text(a);
    d->limit = some_int();
    d->state = (enum rb_state)below(RB_STATE_COUNT);
    d->delay.kind = (enum rb_delay_kind)below(RB_DELAY_LIST + 1);
    d->delay.base_ms = some_int();
    d->delay.cap_ms = some_int();
    d->delay.n_list = below(RB_DELAY_LIST_MAX + 1);
    for (unsigned i = 0; i < d->delay.n_list; i++) {
        d->delay.list_ms[i] = some_int();
    }
}

static struct rb_retry *some_retry(void)
{
    struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    struct rb_arena *a = &r->arena;
    rb_id_make(&rng, "rty_", 1793714828000, below(32), r->id);
    rb_id_make(&rng, "chn_", 1793714828000, below(32), r->chain);
    if (below(2) == 0) {
        rb_id_make(&rng, "rty_", 1793714828000, below(32), r->previous);
    }
    r->state = (enum rb_state)below(RB_STATE_COUNT);
    r->attempt = some_int();
    r->limit = some_int();
    fill_build(&r->build, a);
    r->has_child = below(2) == 0;
    if (r->has_child) {
        fill_build(&r->child, a);
    }
    r->source = (struct rb_delivery){some_text(a), some_text(a), some_text(a), some_int()};
    fill_decision(&r->decision, a);
    r->requested_by = some_text(a);
    r->request_reason = some_text(a);
    r->callback_url = some_text(a);
    r->force = below(2) == 0;
    r->created_ms = some_int();
    r->due_ms = some_int();
    r->submitted_ms = some_int();
    r->finished_ms = some_int();
    r->n_rule_uses = below(RB_RULE_USES_MAX + 1);
    for (unsigned i = 0; i < r->n_rule_uses; i++) {
        r->rule_uses[i] = (struct rb_rule_use){some_text(a), some_int()};
    }
    r->n_history = below(RB_HISTORY_MAX + 1);
    for (unsigned i = 0; i < r->n_history; i++) {
        r->history[i].at_ms = some_int();
        r->history[i].state = (enum rb_state)below(RB_STATE_COUNT);
        r->history[i].note = some_text(a);
    }
    r->intent.issue = some_int();
    r->intent.unknowns = some_int();
    r->intent.date_ms = some_int();
    r->intent.written_ms = some_int();
    r->intent.low_water = some_int();
    r->intent.ambiguous = below(2) == 0;
    r->intent.sends = some_int();
    r->intent.access_key = some_text(a);
    return r;
}

static void same_text(const char *a, const char *b)
{
    if (!rb_str_eq(a, b)) {
        fail_msg("'%s' came back as '%s'", a == NULL ? "(null)" : a, b == NULL ? "(null)" : b);
    }
}

static void same_build(const struct rb_build *a, const struct rb_build *b)
{
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
    same_text(a->source_type, b->source_type);
    same_text(a->source_version, b->source_version);
    same_text(a->resolved_version, b->resolved_version);
    same_text(a->repository, b->repository);
    same_text(a->branch, b->branch);
    same_text(a->pull_request, b->pull_request);
    same_text(a->batch_arn, b->batch_arn);
    same_text(a->next_auto_retry, b->next_auto_retry);
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
}

static void any_retry_comes_back_as_it_was_written(void **state)
{
    (void)state;
    seed = 20261103;
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

static void fields_that_nobody_knows_are_skipped(void **state)
{
    (void)state;
    seed = 7;
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
    }
}

static void a_damaged_record_is_refused_or_read_but_never_more(void **state)
{
    (void)state;
    seed = 99;
    unsigned refused = 0;
    for (int round = 0; round < 3000; round++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
        assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_OK);
        size_t len = bytes.len;
        if (round % 2 == 0) {
            len = below((unsigned)len);
        } else {
            bytes.data[below((unsigned)len)] ^= (char)(1U << below(8));
        }
        RB_CLEANUP(rb_freep) char *exact = malloc(len + 1); /* so that sanitizers see the end */
        assert_non_null(exact);
        memcpy(exact, bytes.data, len);
        RB_CLEANUP(rb_retry_freep) struct rb_retry *back = NULL;
        struct rb_err err = {0};
        enum rb_code rc = rb_record_decode(exact, len, &back, &err);
        if (rc != RB_OK) {
            assert_int_equal(rc, RB_E_CORRUPT);
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
    assert_int_equal(rb_record_decode("\x02", 1, &back, &err), RB_E_CORRUPT);
    assert_non_null(strstr(err.msg, "version 2"));
    assert_int_equal(rb_record_decode("", 0, &back, &err), RB_E_CORRUPT);
    assert_int_equal(rb_record_decode("\x01\x05\x7f", 3, &back, &err), RB_E_CORRUPT);
    assert_non_null(strstr(err.msg, "offset 1"));
}

static void a_buffer_that_is_too_small_is_said(void **state)
{
    (void)state;
    seed = 3;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
    for (size_t max = 1; max < 60; max++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(max);
        assert_int_equal(rb_record_encode(r, &bytes, NULL), RB_E_TOO_LARGE);
    }
}

/* A retry that waits, as an EventBridge failure makes it. */
static struct rb_retry *waiting_retry(void)
{
    struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    rb_id_make(&rng, "rty_", 1793714828000, 3, r->id);
    rb_id_make(&rng, "chn_", 1793714828000, 3, r->chain);
    assert_int_equal(rb_build_parse_ref("arn:aws:codebuild:us-east-1:123456789012:build/"
                                        "checkout-api:5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77",
                                        &r->arena, &r->build, NULL),
                     RB_OK);
    r->build.number = 42;
    r->build.status = "FAILED";
    r->build.phase = "PROVISIONING";
    r->build.phase_status = "FAILED";
    r->build.message =
        "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image";
    r->build.url = "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1"
                   "#logsV2:log-groups/log-group/$252Faws$252Fcodebuild$252Fcheckout-api"
                   "/log-events/5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77";
    r->build.initiator = "GitHub-Hookshot/9f2c1ab";
    r->build.source_type = "GITHUB";
    r->build.source_version = "3b1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f901";
    r->build.resolved_version = r->build.source_version;
    r->build.repository = "https://github.com/example-org/checkout-api";
    r->build.started_ms = 1793714711000;
    r->build.ended_ms = 1793714826000;
    r->source = (struct rb_delivery){"eventbridge", "eventbridge",
                                     "8b0f7c56-1d3e-4a92-b7c4-0e5d9a61f2c8", 1793714828000};
    r->decision = (struct rb_decision){.action = RB_ACTION_RETRY,
                                       .rule = "platform-fault",
                                       .reason = "The build failed in PROVISIONING.",
                                       .limit = 2,
                                       .state = RB_STATE_SCHEDULED,
                                       .delay = {.base_ms = 30000, .cap_ms = 900000}};
    r->attempt = 1;
    r->limit = 2;
    r->created_ms = 1793714828000;
    r->due_ms = 1793714840000;
    r->rule_uses[0] = (struct rb_rule_use){"platform-fault", 1};
    r->n_rule_uses = 1;
    rb_retry_enter(r, RB_STATE_SCHEDULED, r->created_ms, NULL);
    return r;
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

static void the_json_has_the_members_of_the_contract_in_their_order(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(65536);
    rb_retry_write_json(r, &text);
    assert_false(rb_buf_failed(&text));
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    assert_int_equal(rb_json_load(text.data, text.len, &j, NULL), RB_OK);
    static const char *const members[] = {
        "id",           "state",        "chain",        "attempt",    "limit",
        "project",      "account",      "region",       "build",      "child",
        "source",       "deliveries",   "repository",   "commit",     "branch",
        "pull_request", "decision",     "requested_by", "duplicates", "created_at",
        "due_at",       "submitted_at", "finished_at",  "reports",    "history",
    };
    assert_int_equal(json_object_size(j), RB_ARRAY_LEN(members));
    void *it = json_object_iter(j);
    for (size_t i = 0; i < RB_ARRAY_LEN(members); i++) {
        assert_string_equal(json_object_iter_key(it), members[i]);
        it = json_object_iter_next(j, it);
    }
    assert_string_equal(json_string_value(json_object_get(j, "state")), "scheduled");
    assert_string_equal(json_string_value(json_object_get(j, "created_at")),
                        "2026-11-03T14:07:08.000Z");
    assert_true(json_is_null(json_object_get(j, "child")));
    assert_true(json_is_null(json_object_get(j, "finished_at")));
    json_t *delivery = json_array_get(json_object_get(j, "deliveries"), 0);
    assert_string_equal(json_string_value(json_object_get(delivery, "key")),
                        "8b0f7c56-1d3e-4a92-b7c4-0e5d9a61f2c8");
    json_t *build = json_object_get(j, "build");
    assert_int_equal(json_integer_value(json_object_get(build, "number")), 42);
}

static void any_retry_is_valid_json(void **state)
{
    (void)state;
    seed = 5;
    for (int round = 0; round < 300; round++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
        r->created_ms = 1793714828000;
        r->due_ms = r->submitted_ms = r->finished_ms = r->source.at_ms = 0;
        r->n_history = 0;
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1 << 20);
        rb_retry_write_json(r, &text);
        RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
        struct rb_err err = {0};
        if (rb_json_load(text.data, text.len, &j, &err) != RB_OK) {
            fail_msg("%s: %s", err.msg, text.data);
        }
        const char *message =
            json_string_value(json_object_get(json_object_get(j, "build"), "message"));
        same_text(r->build.message, message);
    }
}

int main(void)
{
    seed = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_retry_comes_back_as_it_was_written),
        cmocka_unit_test(fields_that_nobody_knows_are_skipped),
        cmocka_unit_test(a_damaged_record_is_refused_or_read_but_never_more),
        cmocka_unit_test(another_version_is_refused_by_name),
        cmocka_unit_test(a_buffer_that_is_too_small_is_said),
        cmocka_unit_test(a_waiting_retry_needs_at_most_four_hundred_and_eighty_bytes),
        cmocka_unit_test(the_json_has_the_members_of_the_contract_in_their_order),
        cmocka_unit_test(any_retry_is_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
