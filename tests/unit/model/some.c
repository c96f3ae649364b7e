/* some.c - retries for tests. */
#include <retrybuild/cleanup.h>

#include "some.h"

static uint64_t seed = 1;

void some_seed(uint64_t new_seed)
{
    seed = new_seed;
}

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

unsigned some_below(unsigned n)
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
    if (some_below(4) == 0) {
        return NULL;
    }
    const char *s = "";
    for (unsigned i = some_below(8); i > 0; i--) {
        s = rb_arena_printf(a, "%s%s", s, words[some_below(RB_ARRAY_LEN(words))]);
        assert_non_null(s);
    }
    return s;
}

static int64_t some_int(void)
{
    uint64_t v = next(NULL) >> some_below(64);
    return some_below(2) == 0 ? (int64_t)(v >> 1) : -(int64_t)(v >> 1);
}

static void fill_build(struct rb_build *b, struct rb_arena *a)
{
    const char **strings[] = {
        &b->partition,        &b->account,     &b->region,
        &b->project,          &b->id,          &b->arn,
        &b->status,           &b->phase,       &b->phase_status,
        &b->message,          &b->url,         &b->initiator,
        &b->author,           &b->source_type, &b->source_version,
        &b->resolved_version, &b->repository,  &b->branch,
        &b->pull_request,     &b->batch_arn,   &b->next_auto_retry,
        &b->compute_type,
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(strings); i++) {
        *strings[i] = some_text(a);
    }
    if (some_below(2) == 0) {
        b->region = "us-east-1";
        b->project = "web";
        b->id = "web:5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77";
    }
    b->number = some_int();
    b->exit_code = (int)some_below(300) - 1;
    b->started_ms = some_int();
    b->run_ms = some_int();
    b->ended_ms = some_int();
    b->auto_retry_limit = some_int();
    b->auto_retry_number = (int64_t)some_below(3) - 1;
}

static void fill_decision(struct rb_decision *d, struct rb_arena *a)
{
    d->action = (enum rb_action)some_below(RB_ACTION_IGNORE + 1);
    d->rule = some_text(a);
    d->reason = some_text(a);
    d->limit = some_int();
    d->state = (enum rb_state)some_below(RB_STATE_COUNT);
    d->delay.kind = (enum rb_delay_kind)some_below(RB_DELAY_LIST + 1);
    d->delay.base_ms = some_int();
    d->delay.cap_ms = some_int();
    d->delay.n_list = some_below(RB_DELAY_LIST_MAX + 1);
    for (unsigned i = 0; i < d->delay.n_list; i++) {
        d->delay.list_ms[i] = some_int();
    }
}

struct rb_retry *some_retry(void)
{
    struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    struct rb_arena *a = &r->arena;
    rb_id_make(&rng, "rty_", 1793714828000, some_below(32), r->id);
    rb_id_make(&rng, "chn_", 1793714828000, some_below(32), r->chain);
    if (some_below(2) == 0) {
        rb_id_make(&rng, "rty_", 1793714828000, some_below(32), r->previous);
    }
    r->state = (enum rb_state)some_below(RB_STATE_COUNT);
    r->attempt = some_int();
    r->limit = some_int();
    fill_build(&r->build, a);
    r->has_child = some_below(2) == 0;
    if (r->has_child) {
        fill_build(&r->child, a);
    }
    r->source = (struct rb_delivery){some_text(a), some_text(a), some_text(a), NULL, some_int()};
    fill_decision(&r->decision, a);
    r->requested_by = some_text(a);
    r->request_reason = some_text(a);
    r->callback_url = some_text(a);
    r->force = some_below(2) == 0;
    r->created_ms = some_int();
    r->due_ms = some_int();
    r->submitted_ms = some_int();
    r->finished_ms = some_int();
    r->n_rule_uses = some_below(RB_RULE_USES_MAX + 1);
    for (unsigned i = 0; i < r->n_rule_uses; i++) {
        r->rule_uses[i] = (struct rb_rule_use){some_text(a), some_int()};
    }
    r->n_history = some_below(RB_HISTORY_MAX + 1);
    for (unsigned i = 0; i < r->n_history; i++) {
        r->history[i].at_ms = some_int();
        r->history[i].state = (enum rb_state)some_below(RB_STATE_COUNT);
        r->history[i].note = some_text(a);
    }
    r->intent.issue = some_int();
    r->intent.unknowns = some_int();
    r->intent.date_ms = some_int();
    r->intent.written_ms = some_int();
    r->intent.low_water = some_int();
    r->intent.ambiguous = some_below(2) == 0;
    r->intent.sends = some_int();
    r->intent.access_key = some_text(a);
    r->intent.initiator = some_text(a);
    r->cancelled_by = some_text(a);
    r->decision.start = some_int() % 2 == 0;
    r->decision.pipeline = some_below(2) == 0;
    r->intent.execution = some_text(a);
    r->intent.stage = some_text(a);
    r->intent.action = some_text(a);
    r->intent.taken = some_below(2) == 0;
    r->reply = some_text(a);
    r->channel = some_text(a);
    return r;
}

struct rb_retry *waiting_retry(void)
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
                                     "8b0f7c56-1d3e-4a92-b7c4-0e5d9a61f2c8", NULL, 1793714828000};
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
