/* The built-in rules against every combination of status, first failing phase, that phase's status,
 * message and exit code: a table of the documented order beside the code's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/policy.h>

#define MINIMUM_COMBINATIONS 9000
#define COMMAND "COMMAND_EXECUTION_ERROR: Error while executing command: "

static const char *const statuses[] = {"FAILED", "FAULT", "TIMED_OUT", "STOPPED"};
static const char *const phase_statuses[] = {"FAILED", "CLIENT_ERROR", "FAULT", "TIMED_OUT"};
enum part { OURS, SOURCE, COMMANDS, NOTHING };
static const struct {
    const char *phase;
    enum part part; /* CodeBuild's own, the source, the build's commands */
} phases[] = {
    {"SUBMITTED", OURS},         {"QUEUED", OURS},         {"PROVISIONING", OURS},
    {"FINALIZING", OURS},        {"INSTALL", COMMANDS},    {"PRE_BUILD", COMMANDS},
    {"BUILD", COMMANDS},         {"POST_BUILD", COMMANDS}, {"UPLOAD_ARTIFACTS", OURS},
    {"DOWNLOAD_SOURCE", SOURCE}, {"COMPLETED", NOTHING},   {NULL, NOTHING},
};
static const struct {
    const char *message;
    bool in_source, in_commands; /* known to pass by itself */
} messages[] = {
    {"fatal: connection reset by peer", true, true},
    {"npm ERR! code ETIMEDOUT", true, true},
    {"curl: (6) Could not resolve host: registry.example.org", true, true},
    {"toomanyrequests: You have reached your pull rate limit", true, true},
    {"ThrottlingException: Rate exceeded", true, true},
    {"received HTTP 503 from the mirror", true, true},
    {"502 Bad Gateway", true, true},
    {"write: no space left on device", true, true},
    {"fork: cannot allocate memory", true, true},
    {"dial tcp 10.0.0.1:443: connection refused", true, false},
    {"context deadline exceeded", true, false},
    {"E: Hash Sum mismatch", false, true},
    {COMMAND "grep 'connection reset' log. Reason: exit status 1", true, false},
    {COMMAND "make test. Reason: exit status 1", false, false},
    {"repository not found", false, false},
    {"authentication failed", false, false},
    {"", false, false},
    {NULL, false, false},
};
static const int exit_codes[] = {-1, 1, 75};

struct expected {
    const char *rule;
    enum rb_state state;
    int64_t limit;
};

/* The order of the documentation, read from top to bottom. */
static struct expected expect(const struct rb_build *b, enum part part, unsigned message)
{
    bool passing = part == SOURCE ? messages[message].in_source : messages[message].in_commands;
    if (rb_str_eq(b->status, "STOPPED")) {
        return (struct expected){"stopped", RB_STATE_IGNORED, 0};
    }
    if (rb_str_eq(b->phase_status, "CLIENT_ERROR")) {
        return (struct expected){"client-error", RB_STATE_IGNORED, 0};
    }
    if (rb_str_eq(b->status, "FAULT") || part == OURS) {
        return (struct expected){"platform-fault", RB_STATE_SCHEDULED, 2};
    }
    if (part == SOURCE) {
        return passing ? (struct expected){"transient-download", RB_STATE_SCHEDULED, 2}
                       : (struct expected){"failed-download", RB_STATE_IGNORED, 0};
    }
    if (b->exit_code == 75 || (part == COMMANDS && passing)) {
        return (struct expected){"transient-failure", RB_STATE_SCHEDULED, 1};
    }
    if (rb_str_eq(b->status, "TIMED_OUT")) {
        return (struct expected){"timed-out", RB_STATE_HELD, 1};
    }
    return (struct expected){"real-failure", RB_STATE_IGNORED, 0};
}

static void policy_freep(struct rb_policy **p)
{
    rb_policy_free(*p);
}

static struct rb_settings *empty_settings(void)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 4096);
    s->refs = 1;
    s->builtin_rules = true;
    s->budgets.per_chain = 2;
    return s;
}

static void decide(const struct rb_policy *p, const struct rb_build *b, const struct expected *x,
                   struct rb_arena *a)
{
    const struct rb_policy_input in = {.build = b, .source = "eb", .now_ms = 1};
    struct rb_decision d = {.action = RB_ACTION_NONE};
    struct rb_decision shown = {.action = RB_ACTION_NONE};
    rb_policy_decide(p, &in, a, &d);
    (void)rb_policy_trace(p, &in, a, NULL, 0, &shown);
    bool same = rb_str_eq(shown.rule, d.rule) && shown.state == d.state &&
                rb_str_eq(shown.reason, d.reason);
    size_t len = d.reason == NULL ? 0 : strlen(d.reason);
    if (!same || !rb_str_eq(d.rule, x->rule) || d.state != x->state || d.limit != x->limit ||
        len == 0 || d.reason[len - 1] != '.') {
        fail_msg("%s in %s (%s), exit %d, '%s': %s %s limit %lld: %s", b->status,
                 b->phase == NULL ? "-" : b->phase, b->phase_status, b->exit_code,
                 b->message == NULL ? "-" : b->message, d.rule, rb_state_name(d.state),
                 (long long)d.limit, d.reason);
    }
}

static void every_combination_is_decided_as_documented(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = empty_settings();
    RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
    unsigned n = 0;
    struct rb_arena a;
    assert_int_equal(rb_policy_new(s, &p, NULL), RB_OK);
    rb_arena_init(&a, 65536);
    for (unsigned i = 0; i < RB_ARRAY_LEN(statuses) * RB_ARRAY_LEN(phase_statuses); i++) {
        for (unsigned f = 0; f < RB_ARRAY_LEN(phases); f++) {
            for (unsigned m = 0; m < RB_ARRAY_LEN(messages) * RB_ARRAY_LEN(exit_codes); m++) {
                struct rb_build b = RB_BUILD_INIT;
                b.project = "web";
                b.status = statuses[i % RB_ARRAY_LEN(statuses)];
                b.phase_status = phase_statuses[i / RB_ARRAY_LEN(statuses)];
                b.phase = phases[f].phase;
                b.message = messages[m % RB_ARRAY_LEN(messages)].message;
                b.exit_code = exit_codes[m / RB_ARRAY_LEN(messages)];
                struct expected x = expect(&b, phases[f].part, m % RB_ARRAY_LEN(messages));
                decide(p, &b, &x, &a);
                rb_arena_reset(&a);
                n++;
            }
        }
    }
    rb_arena_release(&a);
    assert_true(n >= MINIMUM_COMBINATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_is_decided_as_documented)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
