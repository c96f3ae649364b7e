/* Faults: when a row strikes, and what the caller and the state see of it. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

static const char plain[] = "projects: [{name: web}, {name: api}]";
static const char start_web[] = "{\"projectName\":\"web\"}";

static void set_fault(struct rb_sim *sim, const char *row)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(4096);
    rb_buf_addf(&body, "{\"faults\":[%s]}", row);
    struct answer a = control(sim, "POST", "/_sim/faults", rb_buf_str(&body));
    if (a.reply.status != 200) {
        fail_msg("%s", a.reply.body);
    }
    answer_release(&a);
}

/* One call's statuses as a string: '.' 200, 'x' anything else. */
static void pattern_of(struct rb_sim *sim, const char *operation, const char *body, size_t n,
                       char *ret_pattern)
{
    for (size_t i = 0; i < n; i++) {
        struct answer a = ask(sim, operation, body);
        ret_pattern[i] = a.reply.status == 200 ? '.' : 'x';
        answer_release(&a);
    }
    ret_pattern[n] = '\0';
}

static void rows_strike_by_number_rhythm_and_limit(void **state)
{
    (void)state;
    static const struct {
        const char *row, *pattern;
    } cases[] = {
        {"{\"nth\":[2,5],\"error\":\"ThrottlingException\"}", ".x..x..."},
        {"{\"every\":3,\"error\":\"ThrottlingException\"}", "..x..x.."},
        {"{\"times\":2,\"error\":\"ThrottlingException\"}", "xx......"},
        {"{\"probability\":1,\"status\":503}", "xxxxxxxx"},
        {"{\"probability\":0,\"status\":503}", "........"},
        {"{\"operation\":\"List*\",\"nth\":1,\"status\":500}", "x......."},
        {"{\"operation\":\"StartBuild\",\"status\":500}", "........"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        char got[16];
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(plain);
        set_fault(sim, cases[i].row);
        pattern_of(sim, "ListBuilds", "{}", 8, got);
        assert_string_equal(got, cases[i].pattern);
    }
}

static void the_same_seed_draws_the_same_chances(void **state)
{
    (void)state;
    char got[2][65];
    for (int i = 0; i < 2; i++) {
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(plain);
        set_fault(sim, "{\"probability\":0.5,\"status\":500}");
        pattern_of(sim, "ListBuilds", "{}", 64, got[i]);
    }
    assert_string_equal(got[0], got[1]);
    assert_non_null(strchr(got[0], '.'));
    assert_non_null(strchr(got[0], 'x'));
}

static void a_row_may_name_a_project(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(plain);
    set_fault(sim, "{\"project\":\"a*\",\"error\":\"AccountLimitExceededException\"}");
    free(start_build(sim, start_web));
    assert_error(sim, "StartBuild", "{\"projectName\":\"api\"}", "AccountLimitExceededException");
    assert_error(sim, "RetryBuild", "{\"id\":\"arn:aws:codebuild:r:a:build/api:1\"}",
                 "AccountLimitExceededException");
}

static void each_action_shows_on_the_wire_and_in_the_ledger(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        enum sim_wire wire;
        int status;
        size_t effects;
        const char *type, *error;
    } cases[] = {
        {"{\"error\":\"ThrottlingException\"}", SIM_WIRE_WHOLE, 400, 0,
         "application/x-amz-json-1.1", "ThrottlingException"},
        {"{\"error\":\"InternalFailure\",\"effect\":true}", SIM_WIRE_WHOLE, 500, 1,
         "application/x-amz-json-1.1", "InternalFailure"},
        {"{\"error\":\"SlowDown\",\"status\":429}", SIM_WIRE_WHOLE, 429, 0,
         "application/x-amz-json-1.1", "SlowDown"},
        {"{\"status\":503,\"body\":\"html\",\"retry_after\":2}", SIM_WIRE_WHOLE, 503, 0,
         "text/html", ""},
        {"{\"status\":500,\"body\":\"empty\"}", SIM_WIRE_WHOLE, 500, 0, "text/plain", ""},
        {"{\"reset\":true}", SIM_WIRE_RESET, 0, 0, "application/x-amz-json-1.1", ""},
        {"{\"lose_reply\":true}", SIM_WIRE_CLOSE, 200, 1, "application/x-amz-json-1.1", ""},
        {"{\"half_reply\":true}", SIM_WIRE_HALF, 200, 1, "application/x-amz-json-1.1", ""},
        {"{\"latency\":\"1ms\",\"delay\":\"1ms\"}", SIM_WIRE_WHOLE, 200, 1,
         "application/x-amz-json-1.1", ""},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(plain);
        set_fault(sim, cases[i].row);
        struct answer a = ask(sim, "StartBuild", start_web);
        assert_int_equal(a.reply.wire, cases[i].wire);
        assert_int_equal(a.reply.status, cases[i].status);
        assert_string_equal(a.reply.content_type, cases[i].type);
        assert_string_equal(a.reply.error_type, cases[i].error);
        assert_int_equal(rb_sim_effects(sim, "StartBuild", NULL), cases[i].effects);
        answer_release(&a);
    }
}

static void a_skewed_date_is_the_answers_alone(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(plain);
    set_fault(sim, "{\"date_skew\":\"-5m\",\"nth\":1}");
    struct answer a = ask(sim, "ListBuilds", "{}");
    assert_int_equal(a.reply.date_ms, TEST_START_MS - 300000);
    answer_release(&a);
    a = ask(sim, "ListBuilds", "{}");
    assert_int_equal(a.reply.date_ms, TEST_START_MS);
    answer_release(&a);
}

static void bad_rows_are_refused_and_named(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"operation\":\"X\"}",
        "{\"error\":\"A\",\"reset\":true}",
        "{\"nth\":[0],\"reset\":true}",
        "{\"nth\":[],\"reset\":true}",
        "{\"nth\":\"1\",\"reset\":true}",
        "{\"every\":0,\"reset\":true}",
        "{\"probability\":1.5,\"reset\":true}",
        "{\"latency\":\"fast\"}",
        "{\"latency\":\"-1s\"}",
        "{\"status\":99}",
        "{\"body\":\"html\",\"reset\":true}",
        "{\"lose_repyl\":true}",
        "7",
    };
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(plain);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(4096);
        rb_buf_addf(&body, "{\"faults\":[{\"status\":500},%s]}", rows[i]);
        struct answer a = control(sim, "POST", "/_sim/faults", rb_buf_str(&body));
        assert_int_equal(a.reply.status, 400);
        assert_non_null(strstr(a.reply.body, "faults[1]"));
        answer_release(&a);
    }
    char got[4];
    pattern_of(sim, "ListBuilds", "{}", 3, got); /* the good row before a bad one did not stay */
    assert_string_equal(got, "...");
}

static void new_rows_replace_the_old_and_a_reset_brings_the_scripts_back(void **state)
{
    (void)state;
    char got[8];
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("faults: [{operation: ListBuilds, nth: [1], status: 500}]");
    pattern_of(sim, "ListBuilds", "{}", 4, got);
    assert_string_equal(got, "x...");
    set_fault(sim, "{\"status\":500}");
    set_fault(sim, "{\"operation\":\"ListBuilds\",\"nth\":2,\"status\":500}");
    pattern_of(sim, "ListBuilds", "{}", 4, got);
    assert_string_equal(got, ".x..");
    set_fault(sim, "");
    pattern_of(sim, "ListBuilds", "{}", 4, got);
    assert_string_equal(got, "....");
    struct answer a = control(sim, "POST", "/_sim/reset", "{}");
    answer_release(&a);
    pattern_of(sim, "ListBuilds", "{}", 4, got);
    assert_string_equal(got, "x...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_strike_by_number_rhythm_and_limit),
        cmocka_unit_test(the_same_seed_draws_the_same_chances),
        cmocka_unit_test(a_row_may_name_a_project),
        cmocka_unit_test(each_action_shows_on_the_wire_and_in_the_ledger),
        cmocka_unit_test(a_skewed_date_is_the_answers_alone),
        cmocka_unit_test(bad_rows_are_refused_and_named),
        cmocka_unit_test(new_rows_replace_the_old_and_a_reset_brings_the_scripts_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
