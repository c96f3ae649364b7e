/* Look-ups, the repetitions they are allowed, and the clock that each answer tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>

#include "codebuild_world.h"

/* ---- the clock ---- */

static void each_answer_tells_the_offset_of_the_clock(void **state)
{
    struct world *w = *state;

    w->now_ms = DATE_MS - 300000; /* we are five minutes slow */
    script_server_push_json(w->server, 400, "Date: " DATE_HEADER "\r\n", "{}");
    (void)world_retry(w);
    assert_true(rb_aws_offset_known(w->aws));
    assert_int_equal(rb_aws_offset_ms(w->aws), 300500);
}

static void answers_of_a_cache_tell_nothing_of_the_clock(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "Date: " DATE_HEADER "\r\nAge: 20\r\n", CHILD_ANSWER);
    (void)world_retry(w);
    script_server_push_json(w->server, 200, "Date: yesterday\r\n", CHILD_ANSWER);
    (void)world_retry(w);
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    (void)world_retry(w);
    assert_false(rb_aws_offset_known(w->aws));
}

static void a_look_up_with_a_wrong_date_is_mended_and_repeated_once(void **state)
{
    struct world *w = *state;
    static const char expired[] =
        "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: a\"}";
    const char *const ids[] = {PARENT};
    struct rb_build *builds = NULL;
    unsigned n = 0;

    w->now_ms = DATE_MS - 300000;
    script_server_push_json(w->server, 400, "Date: " DATE_HEADER "\r\n", expired);
    script_server_push_json(w->server, 200, "Date: " DATE_HEADER "\r\n", "{\"builds\":[]}");
    assert_int_equal(
        rb_codebuild_get(w->client, "us-east-1", ids, 1, &w->arena, &builds, &n, &w->err), RB_OK);
    assert_int_equal(n, 0);
    char *first = script_server_header(w->server, 0, "x-amz-date");
    char *second = script_server_header(w->server, 1, "x-amz-date");
    assert_string_equal(first, "20261118T110140Z");
    assert_string_equal(second, "20261118T110640Z");
    free(first);
    free(second);

    script_server_push_json(w->server, 400, "Date: " DATE_HEADER "\r\n", expired);
    script_server_push_json(w->server, 400, "Date: " DATE_HEADER "\r\n", expired);
    assert_int_equal(
        rb_codebuild_get(w->client, "us-east-1", ids, 1, &w->arena, &builds, &n, &w->err),
        RB_E_CLOCK);
    assert_int_equal(script_server_requests(w->server), 4);
}

/* ---- look-ups ---- */

static void builds_are_read_from_batch_get_builds(void **state)
{
    struct world *w = *state;
    const char *const ids[] = {PARENT, CHILD};
    struct rb_build *builds = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 200, "",
                            "{\"builds\":[{\"id\":\"" PARENT "\",\"buildStatus\":\"FAILED\"}],"
                            "\"buildsNotFound\":[\"" CHILD "\"]}");
    assert_int_equal(
        rb_codebuild_get(w->client, "eu-west-1", ids, 2, &w->arena, &builds, &n, &w->err), RB_OK);
    assert_int_equal(n, 1);
    assert_string_equal(builds[0].id, PARENT);
    assert_string_equal(builds[0].status, "FAILED");
    assert_string_equal(builds[0].region, "eu-west-1");
    assert_string_equal(script_server_body(w->server, 0),
                        "{\"ids\":[\"" PARENT "\",\"" CHILD "\"]}");
    assert_int_equal(
        rb_codebuild_get(w->client, "eu-west-1", ids, 0, &w->arena, &builds, &n, &w->err),
        RB_E_INVALID);
    assert_int_equal(
        rb_codebuild_get(w->client, "eu-west-1", ids, 101, &w->arena, &builds, &n, &w->err),
        RB_E_INVALID);
}

static void lists_come_page_by_page_and_never_ask_for_an_order(void **state)
{
    struct world *w = *state;
    const char **ids = NULL;
    const char *next = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 200, "",
                            "{\"ids\":[\"a:1\",\"a:2\"],\"nextToken\":\"more\\\"\"}");
    script_server_push_json(w->server, 200, "", "{\"ids\":[]}");
    assert_int_equal(
        rb_codebuild_list(w->client, "us-east-1", "a", NULL, &w->arena, &ids, &n, &next, &w->err),
        RB_OK);
    assert_int_equal(n, 2);
    assert_string_equal(ids[1], "a:2");
    assert_string_equal(next, "more\"");
    assert_string_equal(script_server_body(w->server, 0), "{\"projectName\":\"a\"}");
    assert_int_equal(
        rb_codebuild_list(w->client, "us-east-1", "a", next, &w->arena, &ids, &n, &next, &w->err),
        RB_OK);
    assert_int_equal(n, 0);
    assert_null(next);
    assert_string_equal(script_server_body(w->server, 1),
                        "{\"projectName\":\"a\",\"nextToken\":\"more\\\"\"}");
}

static void look_ups_are_repeated_after_what_passes_by_itself(void **state)
{
    struct world *w = *state;
    const char **ids = NULL;
    const char *next = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 503, "", "<html>");
    script_server_push(w->server, "", SCRIPT_CLOSE);
    script_server_push_json(w->server, 200, "", "{\"ids\":[\"a:1\"]}");
    assert_int_equal(
        rb_codebuild_list(w->client, "us-east-1", "a", NULL, &w->arena, &ids, &n, &next, &w->err),
        RB_OK);
    assert_int_equal(n, 1);
    assert_true(world_counted("ListBuildsForProject", "transient") == 2);
    assert_true(world_counted("ListBuildsForProject", "ok") == 1);

    for (unsigned i = 0; i < 4; i++) {
        script_server_push_json(w->server, 500, "", "");
    }
    assert_int_equal(
        rb_codebuild_list(w->client, "us-east-1", "a", NULL, &w->arena, &ids, &n, &next, &w->err),
        RB_E_AMBIGUOUS);
    assert_int_equal(script_server_requests(w->server), 6);
}

static void look_ups_are_not_repeated_after_a_refusal(void **state)
{
    struct world *w = *state;
    const char **ids = NULL;
    const char *next = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 400, "", "{\"__type\":\"ResourceNotFoundException\"}");
    assert_int_equal(
        rb_codebuild_list(w->client, "us-east-1", "a", NULL, &w->arena, &ids, &n, &next, &w->err),
        RB_E_NOT_FOUND);
    assert_int_equal(script_server_requests(w->server), 1);
}

static void refused_credentials_are_fetched_again_for_a_look_up(void **state)
{
    struct world *w = *state;
    const char **ids = NULL;
    const char *next = NULL;
    unsigned n = 0;

    script_server_push_json(w->server, 400, "", "{\"__type\":\"ExpiredTokenException\"}");
    script_server_push_json(w->server, 200, "", "{\"ids\":[]}");
    assert_int_equal(
        rb_codebuild_list(w->client, "us-east-1", "a", NULL, &w->arena, &ids, &n, &next, &w->err),
        RB_OK);
    assert_int_equal(script_server_requests(w->server), 2);
}

static void a_cancelled_client_does_not_call(void **state)
{
    struct world *w = *state;
    atomic_bool flag = true;

    rb_codebuild_cancel_on(w->client, &flag);
    assert_int_equal(world_retry(w).rc, RB_E_CLOSED);
    assert_int_equal(script_server_requests(w->server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(each_answer_tells_the_offset_of_the_clock),
        ROW(answers_of_a_cache_tell_nothing_of_the_clock),
        ROW(a_look_up_with_a_wrong_date_is_mended_and_repeated_once),
        ROW(builds_are_read_from_batch_get_builds),
        ROW(lists_come_page_by_page_and_never_ask_for_an_order),
        ROW(look_ups_are_repeated_after_what_passes_by_itself),
        ROW(look_ups_are_not_repeated_after_a_refusal),
        ROW(refused_credentials_are_fetched_again_for_a_look_up),
        ROW(a_cancelled_client_does_not_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
