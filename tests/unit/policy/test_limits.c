/* What holds for every decision: limits, bad expressions, delays, memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/policy.h>

#define NOW 1793714900000

static void policy_freep(struct rb_policy **p)
{
    rb_policy_free(*p);
}

static struct rb_settings *some_settings(unsigned n_rules)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 65536);
    s->refs = 1;
    s->builtin_rules = true;
    s->budgets.per_chain = 3;
    s->timing.max_event_age_ms = 6 * 3600 * 1000;
    s->n_rules = n_rules;
    s->rules = rb_arena_alloc(&s->arena, (n_rules + 1) * sizeof(*s->rules));
    assert_non_null(s->rules);
    for (unsigned i = 0; i < n_rules; i++) {
        s->rules[i] = (struct rb_rule_setting){.name = "own", .then = RB_ACTION_RETRY, .limit = 1};
    }
    return s;
}

static const char *const statuses[] = {"FAILED", "FAULT", "TIMED_OUT", "STOPPED", NULL};
static const char *const phases[] = {
    "SUBMITTED", "QUEUED",     "PROVISIONING",     "DOWNLOAD_SOURCE", "INSTALL",   "PRE_BUILD",
    "BUILD",     "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING",      "COMPLETED", NULL,
};
static const char *const messages[] = {
    "COMMAND_EXECUTION_ERROR: Error while executing command: x. Reason: exit status 1",
    "connection reset by peer",
    "",
    NULL,
};

/* use - count one more use of @rule, as a retry's record does. */
static void use(struct rb_rule_use *uses, unsigned *n, const char *rule)
{
    for (unsigned i = 0; i < *n; i++) {
        if (rb_str_eq(uses[i].rule, rule)) {
            uses[i].count++;
            return;
        }
    }
    uses[(*n)++] = (struct rb_rule_use){.rule = rule, .count = 1};
}

/* retries_until_no - how often a chain that goes on failing in the same way is retried. */
static unsigned retries_until_no(const struct rb_policy *p, const struct rb_build *b,
                                 struct rb_arena *a)
{
    struct rb_rule_use uses[RB_RULE_USES_MAX];
    unsigned n = 0;
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        struct rb_policy_input in = {.build = b,
                                     .source = "eb",
                                     .now_ms = NOW,
                                     .attempt = attempt,
                                     .rule_uses = uses,
                                     .n_rule_uses = n};
        struct rb_decision d = {.action = RB_ACTION_NONE};
        rb_policy_decide(p, &in, a, &d);
        assert_non_null(d.rule);
        assert_non_null(d.reason);
        if (d.state != RB_STATE_SCHEDULED && d.state != RB_STATE_HELD) {
            assert_true(d.state == RB_STATE_IGNORED || d.state == RB_STATE_REFUSED);
            return attempt;
        }
        use(uses, &n, d.rule);
    }
    return 10;
}

static void no_way_to_fail_is_retried_beyond_its_limits(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(0);
    RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
    assert_int_equal(rb_policy_new(s, &p, NULL), RB_OK);
    struct rb_arena a;
    rb_arena_init(&a, 65536);
    unsigned seen[4] = {0, 0, 0, 0};
    for (size_t st = 0; st < RB_ARRAY_LEN(statuses); st++) {
        for (size_t ph = 0; ph < RB_ARRAY_LEN(phases); ph++) {
            for (size_t m = 0; m < RB_ARRAY_LEN(messages); m++) {
                struct rb_build b = RB_BUILD_INIT;
                b.project = "web";
                b.status = statuses[st];
                b.phase = phases[ph];
                b.message = messages[m];
                unsigned n = retries_until_no(p, &b, &a);
                assert_in_range(n, 0, 2);
                seen[n]++;
                rb_arena_reset(&a);
            }
        }
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    rb_arena_release(&a);
}

static void the_budget_of_a_chain_holds_over_all_rules(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(1);
    s->rules[0].limit = 100;
    RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
    assert_int_equal(rb_policy_new(s, &p, NULL), RB_OK);
    struct rb_arena a;
    rb_arena_init(&a, 65536);
    struct rb_build b = RB_BUILD_INIT;
    b.project = "web";
    b.status = "FAILED";
    assert_int_equal(retries_until_no(p, &b, &a), 3);
    s->budgets.per_chain = 0;
    assert_int_equal(retries_until_no(p, &b, &a), 10);
    rb_arena_release(&a);
}

static void a_bad_expression_is_refused_with_the_name_of_its_rule(void **state)
{
    (void)state;
    static const char *const bad[] = {"(", "[a", "*", "\\", "(?<n>a)(?<n>b)", "a{3,1}"};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(1);
        s->rules[0].when.message = bad[i];
        struct rb_policy *p = NULL;
        struct rb_err err = {0};
        assert_int_equal(rb_policy_new(s, &p, &err), RB_E_INVALID);
        assert_null(p);
        assert_non_null(strstr(err.msg, "rule 'own'"));
    }
}

static void an_expression_that_fits_every_failure_is_refused(void **state)
{
    (void)state;
    static const char *const wide[] = {"", ".*", "exit status 1", "Reason", "(?i)command", "\\d"};
    for (size_t i = 0; i < RB_ARRAY_LEN(wide); i++) {
        RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(1);
        s->rules[0].when.message = wide[i];
        struct rb_policy *p = NULL;
        struct rb_err err = {0};
        assert_int_equal(rb_policy_new(s, &p, &err), RB_E_INVALID);
        assert_non_null(strstr(err.msg, "every failed command"));
    }
}

static void an_expression_over_the_log_that_fits_every_failure_is_refused(void **state)
{
    (void)state;
    static const char *const wide[] = {"exit status 1", "(?i)failed", "Phase complete", "\\d+",
                                       "\\[Container\\]"};
    for (size_t i = 0; i < RB_ARRAY_LEN(wide); i++) {
        RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(1);
        s->rules[0].when.log = wide[i];
        struct rb_policy *p = NULL;
        struct rb_err err = {0};
        assert_int_equal(rb_policy_new(s, &p, &err), RB_E_INVALID);
        assert_non_null(strstr(err.msg, "every failed command"));
        assert_non_null(strstr(err.msg, "condition log"));
    }
}

static void a_bad_range_or_hour_is_refused_with_what_to_write(void **state)
{
    (void)state;
    static const char *const ranges[] = {"x", "5-3", "-", "1.5", ""};
    static const char *const hours[] = {"",
                                        "Foo",
                                        "8:00-18:00",
                                        "08:00-25:00",
                                        "08:00-08:00",
                                        "Mon-Fri 08:00-18:00 Europe/Nowhere",
                                        "Mon-Fri 08:00-18:00 ../../etc/passwd",
                                        "Europe/Berlin",
                                        "Mon 08:00-18:00 UTC more"};
    for (size_t i = 0; i < RB_ARRAY_LEN(ranges) + RB_ARRAY_LEN(hours); i++) {
        bool range = i < RB_ARRAY_LEN(ranges);
        const char *item = range ? ranges[i] : hours[i - RB_ARRAY_LEN(ranges)];
        const struct rb_strings one = {.items = &item, .n = 1};
        RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(1);
        *(range ? &s->rules[0].when.exit_code : &s->rules[0].when.hours) = one;
        struct rb_policy *p = NULL;
        struct rb_err err = {0};
        if (rb_policy_new(s, &p, &err) != RB_E_INVALID || strstr(err.msg, "write ") == NULL) {
            fail_msg("'%s': %s", item, err.msg);
        }
    }
}

static void without_memory_there_is_still_a_decision_with_a_reason(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(1);
    s->rules[0].when.message = "reset";
    RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
    assert_int_equal(rb_policy_new(s, &p, NULL), RB_OK);
    struct rb_arena a;
    rb_arena_init(&a, 1);
    for (size_t ph = 0; ph < RB_ARRAY_LEN(phases); ph++) {
        for (size_t m = 0; m < RB_ARRAY_LEN(messages); m++) {
            struct rb_build b = RB_BUILD_INIT;
            b.project = "web";
            b.status = "FAILED";
            b.phase = phases[ph];
            b.message = messages[m];
            (void)retries_until_no(p, &b, &a);
        }
    }
    rb_arena_release(&a);
}

static void a_short_table_of_the_trace_is_not_overrun(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = some_settings(3);
    RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
    assert_int_equal(rb_policy_new(s, &p, NULL), RB_OK);
    struct rb_arena a;
    rb_arena_init(&a, 65536);
    struct rb_build b = RB_BUILD_INIT;
    b.project = "web";
    struct rb_policy_input in = {.build = &b, .now_ms = NOW};
    struct rb_rule_trace rows[3] = {
        {.name = "untouched"}, {.name = "untouched"}, {.name = "untouched"}};
    struct rb_decision d = {.action = RB_ACTION_NONE};
    assert_int_equal(rb_policy_trace(p, &in, &a, rows, 2, &d), 11);
    assert_string_equal(rows[1].name, "own");
    assert_int_equal(rows[0].matched, 1);
    assert_int_equal(rows[1].matched, -1);
    assert_string_equal(rows[2].name, "untouched");
    assert_int_equal(rb_policy_trace(p, &in, &a, NULL, 0, &d), 11);
    rb_arena_release(&a);
}

static void full_jitter_stays_below_a_ceiling_that_doubles_up_to_its_cap(void **state)
{
    (void)state;
    const struct rb_delay d = {.kind = RB_DELAY_JITTER, .base_ms = 30000, .cap_ms = 100000};
    static const int64_t ceilings[] = {30000, 30000, 60000, 100000, 100000};
    for (int64_t attempt = 0; attempt < 5; attempt++) {
        int64_t most = 0;
        uint64_t x = 88172645463325252U;
        for (int i = 0; i < 5000; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            int64_t ms = rb_policy_delay_ms(&d, attempt, x);
            assert_in_range(ms, 0, ceilings[attempt]);
            most = ms > most ? ms : most;
        }
        assert_true(most > ceilings[attempt] * 9 / 10);
        assert_true(rb_policy_delay_ms(&d, attempt, 0) == 0);
        assert_true(rb_policy_delay_ms(&d, attempt, (uint64_t)ceilings[attempt]) ==
                    ceilings[attempt]);
    }
    const struct rb_delay wide = {.kind = RB_DELAY_JITTER, .base_ms = INT64_MAX / 3};
    assert_true(rb_policy_delay_ms(&wide, 1000000, UINT64_MAX) >= 0);
    const struct rb_delay none = {.kind = RB_DELAY_JITTER};
    assert_true(rb_policy_delay_ms(&none, 3, UINT64_MAX) == 0);
}

static void a_list_goes_by_attempt_and_repeats_its_last(void **state)
{
    (void)state;
    const struct rb_delay list = {.kind = RB_DELAY_LIST, .list_ms = {1000, 2000}, .n_list = 2};
    assert_true(rb_policy_delay_ms(&list, 1, UINT64_MAX) == 1000);
    assert_true(rb_policy_delay_ms(&list, 2, 0) == 2000);
    assert_true(rb_policy_delay_ms(&list, 9, 0) == 2000);
    assert_true(rb_policy_delay_ms(&list, 0, 0) == 1000);
    const struct rb_delay fixed = {.kind = RB_DELAY_FIXED, .list_ms = {5000}, .n_list = 1};
    assert_true(rb_policy_delay_ms(&fixed, 7, UINT64_MAX) == 5000);
    const struct rb_delay empty = {.kind = RB_DELAY_LIST};
    assert_true(rb_policy_delay_ms(&empty, 1, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_way_to_fail_is_retried_beyond_its_limits),
        cmocka_unit_test(the_budget_of_a_chain_holds_over_all_rules),
        cmocka_unit_test(a_bad_expression_is_refused_with_the_name_of_its_rule),
        cmocka_unit_test(an_expression_that_fits_every_failure_is_refused),
        cmocka_unit_test(an_expression_over_the_log_that_fits_every_failure_is_refused),
        cmocka_unit_test(a_bad_range_or_hour_is_refused_with_what_to_write),
        cmocka_unit_test(without_memory_there_is_still_a_decision_with_a_reason),
        cmocka_unit_test(a_short_table_of_the_trace_is_not_overrun),
        cmocka_unit_test(full_jitter_stays_below_a_ceiling_that_doubles_up_to_its_cap),
        cmocka_unit_test(a_list_goes_by_attempt_and_repeats_its_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
