/* Scripts and options: what is wrong is named, what is right is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

static void bad_scripts_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"projects: [", "line 2"},
        {"a: 1\na: 2", "line 2: the key is there twice"},
        {"[1]", "script: must be a mapping"},
        {"projets: []", "did you mean 'projects'"},
        {"projects: 7", "projects: must be a list"},
        {"projects: [{}]", "projects[0].name: is required"},
        {"projects: [{name: -x}]", "neither a project name nor a glob"},
        {"projects: [{name: web, outcomes: {}}]", "projects[0].outcomes: must be a list"},
        {"projects: [{name: web, outcomes: [{status: BROKEN}]}]", "projects[0].outcomes[0].status"},
        {"projects: [{name: web, outcomes: [{status: FAILED, phase: LUNCH}]}]",
         "outcomes[0].phase"},
        {"projects: [{name: web, outcomes: [{phase: BUILD}]}]", "SUCCEEDED has no failing phase"},
        {"projects: [{name: web, outcomes: [{exit_code: 256}]}]", "exit_code"},
        {"projects: [{name: web, outcomes: [{log: 7}]}]", "log: must be text"},
        {"projects: [{name: web, outcomes: [{durations: {BUILD: soon}}]}]", "durations.BUILD"},
        {"projects: [{name: web, settings: {environment: 1}}]", "projects[0].settings"},
        {"durations: {COMPLETED: 1s}", "durations.COMPLETED: unknown key"},
        {"lag: 5", "script.lag: must be a duration"},
        {"signature_dates: sometimes", "keyed, always or never"},
        {"initiator: {key: {}}", "initiator.key: unknown key"},
        {"initiator: {keys: {A: 1}}", "initiator.keys.A"},
        {"events: {drop: 2}", "events.drop: must be a number from 0 to 1"},
        {"projects: [{name: web, batch: []}]", "projects[0].batch: must be a list of 1 to 100"},
        {"projects: [{name: web, batch: [{}]}]", "projects[0].batch[0].identifier: is required"},
        {"projects: [{name: web, batch: [{identifier: a, outcomes: [{status: X}]}]}]",
         "projects[0].batch[0].outcomes[0].status"},
        {"projects: [{name: web, batch: [{idenitfier: a}]}]", "did you mean 'identifier'"},
        {"concurrent_builds: -2", "script.concurrent_builds"},
        {"history: 1", "script.history: must be a duration"},
        {"faults: [{nth: 1}]", "faults[0]: says when, but not what"},
        {"a: &a [1]\nb: *a\nc: {? [x] : y}", "a key must be plain text"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
        struct rb_sim *sim = NULL;
        struct rb_err err;
        o.script_text = cases[i].text;
        assert_int_equal(rb_sim_start(&o, &sim, &err), RB_E_INVALID);
        assert_null(sim);
        if (strstr(err.msg, cases[i].message) == NULL) {
            fail_msg("'%s' gave: %s", cases[i].text, err.msg);
        }
    }
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"no-colon"};
    static const struct rb_sim_target bad_url = {.url = "file:///etc/passwd"};
    struct rb_sim_options list[7];
    for (size_t i = 0; i < RB_ARRAY_LEN(list); i++) {
        list[i] = (struct rb_sim_options)RB_SIM_OPTIONS_INIT;
    }
    list[0].account = "123";
    list[1].region = "US East";
    list[2].speed = 0;
    list[3].listen = "localhost:0";
    list[4].listen = "127.0.0.1:70000";
    list[5].access_keys = keys;
    list[5].n_access_keys = 1;
    list[6].events = &bad_url;
    list[6].n_events = 1;
    for (size_t i = 0; i < RB_ARRAY_LEN(list); i++) {
        struct rb_sim *sim = NULL;
        struct rb_err err;
        assert_int_equal(rb_sim_start(&list[i], &sim, &err), RB_E_INVALID);
    }
}

static void it_listens_on_ipv6_too(void **state)
{
    (void)state;
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    struct rb_sim *sim = NULL;
    struct rb_err err;
    o.listen = "[::1]:0";
    enum rb_code rc = rb_sim_start(&o, &sim, &err);
    if (rc == RB_E_UNAVAIL) {
        skip(); /* a machine without IPv6 */
    }
    assert_int_equal(rc, RB_OK);
    assert_int_equal(strncmp(rb_sim_url(sim), "http://[::1]:", 13), 0);
    assert_true(rb_sim_port(sim) != 0);
    rb_sim_stop(sim);
}

static void the_partition_follows_the_region(void **state)
{
    (void)state;
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    o.region = "cn-north-1";
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim_with(&o, "projects: [{name: web}]");
    RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
    RB_CLEANUP(rb_json_decrefp) json_t *b = read_build(sim, id);
    assert_int_equal(strncmp(text_at(b, "arn"), "arn:aws-cn:codebuild:cn-north-1:", 32), 0);
}

static void the_documented_script_is_one_that_loads(void **state)
{
    (void)state;
    char path[1024];
    struct sim_script *s = NULL;
    struct rb_err err;
    snprintf(path, sizeof path, "%s/../../../configs/sim.yaml", getenv("RB_SIM_DATA"));
    if (sim_script_load(path, NULL, &s, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    assert_true(s->n_rules >= 5);
    assert_string_equal(sim_script_outcome(s, "api-x", 0)->status, "FAILED");
    assert_string_equal(sim_script_outcome(s, "api-x", 9)->status, "SUCCEEDED");
    assert_string_equal(sim_script_outcome(s, "unheard-of", 0)->status, "SUCCEEDED");
    sim_script_free(s);
}

static void control_moves_the_clock_and_answers_what_it_shows(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("clock_offset: -5m");
    assert_int_equal(rb_sim_now_ms(sim), TEST_START_MS - 300000);
    struct answer a = control(sim, "POST", "/_sim/clock", "{\"advance\":\"6m\"}");
    assert_string_equal(text_at(a.body, "now"), "2026-11-03T14:06:11.250Z");
    answer_release(&a);
    a = control(sim, "GET", "/_sim/clock", "");
    assert_string_equal(text_at(a.body, "now"), "2026-11-03T14:06:11.250Z");
    answer_release(&a);
    static const char *const bad[] = {"{}", "{\"advance\":6}", "{\"advance\":\"six\"}", "no JSON"};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        a = control(sim, "POST", "/_sim/clock", bad[i]);
        assert_int_equal(a.reply.status, 400);
        answer_release(&a);
    }
    a = control(sim, "GET", "/_sim/nothing", "");
    assert_int_equal(a.reply.status, 404);
    answer_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_scripts_are_refused_with_their_place),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(it_listens_on_ipv6_too),
        cmocka_unit_test(the_partition_follows_the_region),
        cmocka_unit_test(the_documented_script_is_one_that_loads),
        cmocka_unit_test(control_moves_the_clock_and_answers_what_it_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
