/* Idempotency tokens and the ledger that proves them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

static const char failing[] = "projects: [{name: web, outcomes: [{status: FAILED}]}]";

static char *failed_build(struct rb_sim *sim)
{
    char *id = start_build(sim, "{\"projectName\":\"web\"}");
    rb_sim_advance(sim, 3600000);
    return id;
}

static void the_same_token_and_parameters_are_one_build_for_five_minutes(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    RB_CLEANUP(rb_freep) char *failed = failed_build(sim);
    RB_CLEANUP(rb_freep) char *first = retry_build(sim, failed, "t");
    rb_sim_advance(sim, 5 * 60000 - 1);
    RB_CLEANUP(rb_freep) char *again = retry_build(sim, failed, "t");
    assert_string_equal(again, first);
    rb_sim_advance(sim, 1);
    RB_CLEANUP(rb_freep) char *later = retry_build(sim, failed, "t");
    assert_string_not_equal(later, first);
    assert_int_equal(rb_sim_effects(sim, "RetryBuild", failed), 2);
}

static void other_parameters_are_a_mismatch_and_start_nothing(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    free(start_build(sim, "{\"projectName\":\"web\",\"idempotencyToken\":\"t\"}"));
    free(start_build(sim, "{\"idempotencyToken\":\"t\",\"projectName\":\"web\"}")); /* same */
    assert_error(sim, "StartBuild",
                 "{\"projectName\":\"web\",\"idempotencyToken\":\"t\",\"sourceVersion\":\"x\"}",
                 "InvalidInputException");
    free(start_build(sim, "{\"projectName\":\"web\",\"idempotencyToken\":\"T\"}")); /* its case */
    assert_int_equal(rb_sim_effects(sim, "StartBuild", NULL), 2);
}

static void tokens_belong_to_an_operation(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    RB_CLEANUP(rb_freep) char *failed = failed_build(sim);
    free(start_build(sim, "{\"projectName\":\"web\",\"idempotencyToken\":\"t\"}"));
    free(retry_build(sim, failed, "t"));
    assert_int_equal(rb_sim_effects(sim, NULL, NULL), 3);
}

static void a_refused_call_leaves_its_token_free(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    assert_error(sim, "StartBuild", "{\"projectName\":\"nope\",\"idempotencyToken\":\"t\"}",
                 "ResourceNotFoundException");
    free(start_build(sim, "{\"projectName\":\"web\",\"idempotencyToken\":\"t\"}"));
}

static void without_a_token_every_call_starts_a_build(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    RB_CLEANUP(rb_freep) char *failed = failed_build(sim);
    free(retry_build(sim, failed, NULL));
    free(retry_build(sim, failed, NULL));
    assert_int_equal(rb_sim_effects(sim, "RetryBuild", failed), 2);
}

static void knobs_bend_the_window_and_the_replay(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("{projects: [{name: web, outcomes: [{status: FAILED}]}],"
                                  " token_window: 2s, token_replay: false}");
    RB_CLEANUP(rb_freep) char *failed = failed_build(sim);
    RB_CLEANUP(rb_freep) char *first = retry_build(sim, failed, "t");
    RB_CLEANUP(rb_freep) char *second = retry_build(sim, failed, "t");
    assert_string_not_equal(first, second);
}

static void the_ledger_file_holds_an_effect_before_its_answer(void **state)
{
    (void)state;
    char path[] = "/tmp/rb-sim-ledger-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    o.ledger_path = path;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim_with(&o, failing);
    RB_CLEANUP(rb_freep) char *failed = failed_build(sim);
    RB_CLEANUP(rb_freep) char *child = retry_build(sim, failed, "t");
    struct answer cleared = control(sim, "POST", "/_sim/reset", "{}");
    answer_release(&cleared);
    free(start_build(sim, "{\"projectName\":\"web\"}"));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    static const char *const operations[] = {"StartBuild", "RetryBuild", "StartBuild"};
    for (size_t i = 0; i < RB_ARRAY_LEN(operations); i++) {
        char line[1024];
        assert_non_null(fgets(line, sizeof line, f));
        json_t *row = json_loads(line, 0, NULL);
        assert_string_equal(text_at(row, "operation"), operations[i]);
        assert_int_equal(json_object_size(row), 6);
        if (i == 1) {
            assert_string_equal(text_at(row, "build"), child);
            assert_string_equal(text_at(row, "parent"), failed);
            assert_string_equal(text_at(row, "token"), "t");
            assert_string_equal(text_at(row, "time"), "2026-11-03T15:05:11.250Z");
            assert_true(json_is_null(json_object_get(row, "access_key")));
        }
        json_decref(row);
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_token_and_parameters_are_one_build_for_five_minutes),
        cmocka_unit_test(other_parameters_are_a_mismatch_and_start_nothing),
        cmocka_unit_test(tokens_belong_to_an_operation),
        cmocka_unit_test(a_refused_call_leaves_its_token_free),
        cmocka_unit_test(without_a_token_every_call_starts_a_build),
        cmocka_unit_test(knobs_bend_the_window_and_the_replay),
        cmocka_unit_test(the_ledger_file_holds_an_effect_before_its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
