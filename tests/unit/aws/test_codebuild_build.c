/* A Build object of the API into the model. */
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

static void every_member_that_the_product_shows_is_read(void **state)
{
    struct world *w = *state;
    static const char text[] =
        "{\"id\":\"" PARENT
        "\",\"arn\":\"arn:aws-cn:codebuild:cn-north-1:123456789012:build/" PARENT
        "\",\"buildNumber\":31,\"startTime\":1556905683.568,\"endTime\":1556905700,"
        "\"currentPhase\":\"COMPLETED\",\"buildStatus\":\"FAILED\",\"sourceVersion\":\"refs/heads/"
        "main\","
        "\"resolvedSourceVersion\":\"0123456789abcdef0123456789abcdef01234567\","
        "\"projectName\":\"web-app\",\"phases\":["
        "{\"phaseType\":\"SUBMITTED\",\"phaseStatus\":\"SUCCEEDED\"},"
        "{\"phaseType\":\"BUILD\",\"phaseStatus\":\"FAILED\",\"contexts\":["
        "{\"statusCode\":\"\",\"message\":\"\"},{\"statusCode\":\"COMMAND_EXECUTION_ERROR\","
        "\"message\":\"Error while executing command: make. Reason: exit status 75\"}]},"
        "{\"phaseType\":\"UPLOAD_ARTIFACTS\",\"phaseStatus\":\"FAILED\"},"
        "{\"phaseType\":\"COMPLETED\"}],"
        "\"source\":{\"type\":\"GITHUB\",\"location\":\"https://github.com/acme/web.git\"},"
        "\"logs\":{\"deepLink\":\"https://console.example/logs\"},\"initiator\":\"GitHub-Hookshot/"
        "1\","
        "\"buildBatchArn\":\"arn:batch\",\"autoRetryConfig\":{\"autoRetryLimit\":2,"
        "\"autoRetryNumber\":1,\"nextAutoRetry\":\"arn:next\"}}";
    json_t *j = json_loads(text, 0, NULL);
    struct rb_build b;

    assert_non_null(j);
    assert_int_equal(rb_codebuild_build_from_json(j, "us-east-1", &w->arena, &b, &w->err), RB_OK);
    json_decref(j);
    assert_string_equal(b.partition, "aws-cn");
    assert_string_equal(b.region, "cn-north-1");
    assert_string_equal(b.account, "123456789012");
    assert_string_equal(b.id, PARENT);
    assert_int_equal(b.number, 31);
    assert_int_equal(b.started_ms, INT64_C(1556905683568));
    assert_int_equal(b.ended_ms, INT64_C(1556905700000));
    assert_string_equal(b.status, "FAILED");
    assert_string_equal(b.phase, "BUILD");
    assert_string_equal(b.phase_status, "FAILED");
    assert_string_equal(b.message, "COMMAND_EXECUTION_ERROR: Error while executing command: make. "
                                   "Reason: exit status 75");
    assert_int_equal(b.exit_code, 75);
    assert_string_equal(b.url, "https://console.example/logs");
    assert_string_equal(b.initiator, "GitHub-Hookshot/1");
    assert_string_equal(b.source_type, "GITHUB");
    assert_string_equal(b.source_version, "refs/heads/main");
    assert_string_equal(b.resolved_version, "0123456789abcdef0123456789abcdef01234567");
    assert_string_equal(b.repository, "https://github.com/acme/web");
    assert_string_equal(b.branch, "main");
    assert_string_equal(b.batch_arn, "arn:batch");
    assert_int_equal(b.auto_retry_limit, 2);
    assert_int_equal(b.auto_retry_number, 1);
    assert_string_equal(b.next_auto_retry, "arn:next");
}

static void strange_members_count_as_absent(void **state)
{
    struct world *w = *state;
    json_t *j = json_loads("{\"id\":\"" PARENT "\",\"buildNumber\":\"7\",\"startTime\":-1,"
                           "\"endTime\":1e300,\"buildStatus\":7,\"phases\":{\"a\":1},"
                           "\"source\":[],\"logs\":{\"deepLink\":\"javascript:alert(1)\"},"
                           "\"autoRetryConfig\":null}",
                           0, NULL);
    struct rb_build b;

    assert_non_null(j);
    assert_int_equal(rb_codebuild_build_from_json(j, "us-east-1", &w->arena, &b, &w->err), RB_OK);
    json_decref(j);
    assert_int_equal(b.number, 0);
    assert_int_equal(b.started_ms, 0);
    assert_int_equal(b.ended_ms, 0);
    assert_null(b.status);
    assert_null(b.phase);
    assert_null(b.url);
    assert_int_equal(b.auto_retry_limit, -1);
    assert_int_equal(b.exit_code, -1);
    assert_string_equal(b.region, "us-east-1");
}

static void long_messages_are_cut_between_characters(void **state)
{
    struct world *w = *state;
    char message[3000];
    struct rb_build b;

    message[0] = 'x';
    for (size_t i = 1; i + 2 < sizeof(message); i += 2) {
        memcpy(message + i, "\xc3\xa4", 2);
        message[i + 2] = '\0';
    }
    json_t *j = json_pack("{s:s, s:[{s:s, s:s, s:[{s:s}]}]}", "id", PARENT, "phases", "phaseType",
                          "BUILD", "phaseStatus", "FAILED", "contexts", "message", message);
    assert_non_null(j);
    assert_int_equal(rb_codebuild_build_from_json(j, "us-east-1", &w->arena, &b, &w->err), RB_OK);
    json_decref(j);
    assert_int_equal(strlen(b.message), RB_MESSAGE_MAX_BYTES - 1);
    assert_true(rb_utf8_valid(b.message, strlen(b.message)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(every_member_that_the_product_shows_is_read),
        ROW(strange_members_count_as_absent),
        ROW(long_messages_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
