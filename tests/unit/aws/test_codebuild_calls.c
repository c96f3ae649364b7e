/* The other calls against a scripted server: what arrives, what is read, what is repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "codebuild_world.h"

/* ---- StopBuild ---- */

static enum rb_code stop(struct world *w, struct rb_build *ret_b)
{
    return rb_codebuild_stop(w->client, "us-east-1", CHILD, &w->arena, ret_b, &w->err);
}

static void stop_sends_the_id_and_reads_the_build(void **state)
{
    struct world *w = *state;
    struct rb_build b = RB_BUILD_INIT;

    script_server_push_json(w->server, 200, "",
                            "{\"build\":{\"id\":\"" CHILD "\",\"buildStatus\":\"STOPPED\"}}");
    assert_int_equal(stop(w, &b), RB_OK);
    assert_string_equal(b.status, "STOPPED");
    assert_string_equal(script_server_body(w->server, 0), "{\"id\":\"" CHILD "\"}");
    char *target = script_server_header(w->server, 0, "x-amz-target");
    assert_string_equal(target, "CodeBuild_20161006.StopBuild");
    free(target);
    assert_true(world_counted("StopBuild", "ok") == 1);
}

static void stop_without_an_answer_is_repeated(void **state)
{
    struct world *w = *state;
    struct rb_build b = RB_BUILD_INIT;

    script_server_push_json(w->server, 503, "", "");
    script_server_push_json(w->server, 200, "",
                            "{\"build\":{\"id\":\"" CHILD "\",\"buildStatus\":\"STOPPED\"}}");
    assert_int_equal(stop(w, &b), RB_OK);
    assert_int_equal(script_server_requests(w->server), 2);
}

static void stop_that_is_refused_is_not(void **state)
{
    struct world *w = *state;
    struct rb_build b = RB_BUILD_INIT;

    script_server_push_json(w->server, 400, "",
                            "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}");
    assert_int_equal(stop(w, &b), RB_E_REFUSED);
    assert_int_equal(script_server_requests(w->server), 1);
    script_server_push_json(w->server, 200, "", "{}");
    assert_int_equal(stop(w, &b), RB_E_AMBIGUOUS);
}

/* ---- StartBuild in the place of RetryBuild ---- */

#define ORIGINAL                                                                                   \
    "{\"id\":\"" PARENT                                                                            \
    "\",\"projectName\":\"web-app\",\"buildStatus\":\"FAILED\",\"sourceVersion\":\"pr/12\","       \
    "\"resolvedSourceVersion\":\"abc\",\"secondarySourceVersions\":[],\"timeoutInMinutes\":61,"    \
    "\"serviceRole\":\"arn:aws:iam::123456789012:role/ci\","                                       \
    "\"source\":{\"type\":\"GITHUB\",\"location\":\"https://example.com/"                          \
    "a.git\",\"buildspec\":\"\"},"                                                                 \
    "\"environment\":{\"image\":\"img:1\",\"privilegedMode\":false,\"environmentVariables\":["     \
    "{\"name\":\"CODEBUILD_WEBHOOK_HEAD_REF\",\"type\":\"PLAINTEXT\",\"value\":\"refs/heads/x\"}," \
    "{\"name\":\"S\",\"type\":\"SECRETS_MANAGER\",\"value\":\"id:key\"}]}}"

static struct retried start(struct world *w)
{
    w->start = true;
    return world_retry(w);
}

static void start_repeats_what_the_original_was_started_with(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", "{\"builds\":[" ORIGINAL "]}");
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    struct retried r = start(w);
    assert_int_equal(r.rc, RB_OK);
    assert_string_equal(r.child.id, CHILD);
    assert_string_equal(script_server_body(w->server, 0), "{\"ids\":[\"" PARENT "\"]}");
    assert_string_equal(
        script_server_body(w->server, 1),
        "{\"projectName\":\"web-app\",\"idempotencyToken\":\"token-1\",\"sourceVersion\":\"pr/12\","
        "\"timeoutInMinutesOverride\":61,\"sourceTypeOverride\":\"GITHUB\","
        "\"sourceLocationOverride\":\"https://example.com/a.git\",\"imageOverride\":\"img:1\","
        "\"privilegedModeOverride\":false,\"environmentVariablesOverride\":["
        "{\"name\":\"CODEBUILD_WEBHOOK_HEAD_REF\",\"type\":\"PLAINTEXT\",\"value\":\"refs/heads/"
        "x\"},"
        "{\"name\":\"S\",\"type\":\"SECRETS_MANAGER\",\"value\":\"id:key\"}]}");
    char *target = script_server_header(w->server, 1, "x-amz-target");
    char *date = script_server_header(w->server, 1, "x-amz-date");
    assert_string_equal(target, "CodeBuild_20161006.StartBuild");
    assert_string_equal(date, "20261118T110540Z"); /* the call's, not the present */
    free(target);
    free(date);
    assert_int_equal(w->checks, 1);
}

static void every_copy_of_a_start_says_the_same(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        script_server_push_json(w->server, 200, "", "{\"builds\":[" ORIGINAL "]}");
        script_server_push(w->server, "", SCRIPT_CLOSE);
        assert_int_equal(start(w).rc, RB_E_AMBIGUOUS);
    }
    assert_string_equal(script_server_body(w->server, 1), script_server_body(w->server, 3));
    assert_int_equal(script_server_requests(w->server), 4);
}

static void a_build_that_cannot_be_read_is_not_started(void **state)
{
    struct world *w = *state;
    static const char *const answers[] = {"{\"builds\":[],\"buildsNotFound\":[\"" PARENT "\"]}",
                                          "{\"builds\":[{\"id\":\"" PARENT "\"}]}"};

    for (size_t i = 0; i < RB_ARRAY_LEN(answers); i++) {
        script_server_push_json(w->server, 200, "", answers[i]);
        assert_int_equal(start(w).rc, RB_E_INVALID);
    }
    script_server_push_json(w->server, 400, "",
                            "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}");
    assert_int_equal(start(w).rc, RB_E_INVALID);
    for (int i = 0; i < 3; i++) {
        script_server_push_json(w->server, 500, "", "");
    }
    assert_int_equal(start(w).rc, RB_E_UNAVAIL); /* certainly nothing started */
    assert_int_equal(w->checks, 0);
}

/* ---- the end of a log ---- */

#define LOGGED                                                                                   \
    "{\"builds\":[{\"id\":\"" PARENT "\",\"logs\":{\"groupName\":\"/own/group\",\"streamName\":" \
    "\"s/1\"}}]}"

static enum rb_code tail(struct world *w, size_t max_bytes, const char **ret_text)
{
    return rb_codebuild_log_tail(w->client, "us-east-1", PARENT, max_bytes, &w->arena, ret_text,
                                 &w->err);
}

static void the_tail_of_a_log_is_read_backwards_until_there_is_enough(void **state)
{
    struct world *w = *state;
    const char *text = NULL;

    script_server_push_json(w->server, 200, "", LOGGED);
    script_server_push_json(w->server, 200, "",
                            "{\"events\":[{\"message\":\"third\\n\"},{\"message\":\"fourth\\n\"}],"
                            "\"nextBackwardToken\":\"b/1\"}");
    script_server_push_json(
        w->server, 200, "",
        "{\"events\":[{\"message\":\"first\\n\"},{\"message\":\"second\\r\\n\"}],"
        "\"nextBackwardToken\":\"b/2\"}");
    script_server_push_json(w->server, 200, "", "{\"events\":[],\"nextBackwardToken\":\"b/2\"}");
    assert_int_equal(tail(w, 1000, &text), RB_OK);
    assert_string_equal(text, "first\nsecond\nthird\nfourth\n");
    assert_string_equal(script_server_body(w->server, 1),
                        "{\"logGroupName\":\"/own/group\",\"logStreamName\":\"s/1\",\"limit\":1000,"
                        "\"startFromHead\":false}");
    assert_non_null(strstr(script_server_body(w->server, 2), "\"nextToken\":\"b/1\""));
    char *target = script_server_header(w->server, 1, "x-amz-target");
    char *signed_for = script_server_header(w->server, 1, "authorization");
    assert_string_equal(target, "Logs_20140328.GetLogEvents");
    assert_non_null(strstr(signed_for, "/us-east-1/logs/aws4_request"));
    free(target);
    free(signed_for);
}

static void the_tail_of_a_log_is_bounded_and_begins_with_a_line(void **state)
{
    struct world *w = *state;
    static const struct {
        size_t max_bytes;
        const char *text;
    } rows[] = {{18, "two\nthree\n"}, {13, "two\nthree\n"}, {10, "two\nthree\n"},
                {9, "three\n"},       {6, "three\n"},       {3, "ee\n"}};

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        const char *text = NULL;
        script_server_push_json(w->server, 200, "", LOGGED);
        script_server_push_json(w->server, 200, "",
                                "{\"events\":[{\"message\":\"one is long\"},{\"message\":\"two\"},"
                                "{\"message\":\"three\"}],\"nextBackwardToken\":\"b/1\"}");
        assert_int_equal(tail(w, rows[i].max_bytes, &text), RB_OK);
        assert_string_equal(text, rows[i].text);
    }
    assert_int_equal(script_server_requests(w->server), 2 * RB_ARRAY_LEN(rows));
}

static void a_build_without_a_log_has_no_tail(void **state)
{
    struct world *w = *state;
    const char *text = NULL;

    script_server_push_json(w->server, 200, "",
                            "{\"builds\":[{\"id\":\"" PARENT "\",\"logs\":{\"cloudWatchLogs\":{"
                            "\"status\":\"DISABLED\"}}}]}");
    assert_int_equal(tail(w, 1000, &text), RB_E_NOT_FOUND);
    script_server_push_json(w->server, 200, "", "{\"builds\":[]}");
    assert_int_equal(tail(w, 1000, &text), RB_E_NOT_FOUND);
    script_server_push_json(w->server, 200, "", LOGGED);
    script_server_push_json(w->server, 400, "",
                            "{\"__type\":\"ResourceNotFoundException\",\"message\":\"no stream\"}");
    assert_int_equal(tail(w, 1000, &text), RB_E_NOT_FOUND);
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(stop_sends_the_id_and_reads_the_build),
        ROW(stop_without_an_answer_is_repeated),
        ROW(stop_that_is_refused_is_not),
        ROW(start_repeats_what_the_original_was_started_with),
        ROW(every_copy_of_a_start_says_the_same),
        ROW(a_build_that_cannot_be_read_is_not_started),
        ROW(the_tail_of_a_log_is_read_backwards_until_there_is_enough),
        ROW(the_tail_of_a_log_is_bounded_and_begins_with_a_line),
        ROW(a_build_without_a_log_has_no_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
