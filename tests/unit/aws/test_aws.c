/* What all AWS calls share: endpoints by partition, credentials, the offset of the clock, the rate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/aws.h>
#include <retrybuild/cleanup.h>

#include "../../../lib/aws/internal.h"

static int64_t fake_unix_ms = INT64_C(1795000000000);
static int64_t fake_boot_ms = 1000;

static int64_t unix_ms(void *arg)
{
    (void)arg;
    return fake_unix_ms;
}

static int64_t boot_ms(void *arg)
{
    (void)arg;
    return fake_boot_ms;
}

static const struct rb_clock CLOCK = {.unix_ms = unix_ms, .boot_ms = boot_ms};

static const char *const VARIABLES[] = {
    "AWS_ACCESS_KEY_ID",         "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",         "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION", "AWS_PROFILE",
    "AWS_ENDPOINT_URL",          "AWS_ENDPOINT_URL_CODEBUILD",
    "AWS_ENDPOINT_URL_STS",      "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",     "AWS_USE_DUALSTACK_ENDPOINT",
};

static int clean_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(VARIABLES); i++) {
        unsetenv(VARIABLES[i]);
    }
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    return 0;
}

static struct rb_aws *new_aws(const char *endpoint_url)
{
    struct rb_settings s = {.aws = {.endpoint_url = endpoint_url}};
    struct rb_aws *aws = NULL;

    assert_int_equal(rb_aws_new(&s, &CLOCK, &aws, NULL), RB_OK);
    return aws;
}

static void freep(struct rb_aws **aws)
{
    rb_aws_free(*aws);
}

static void assert_endpoint(const struct rb_aws *aws, const char *service, const char *region,
                            const char *expected)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    const char *url = NULL;

    rb_arena_init(&a, 4096);
    enum rb_code rc = rb_aws_endpoint(aws, service, region, &a, &url, NULL);
    if (expected == NULL) {
        assert_int_equal(rc, RB_E_INVALID);
        return;
    }
    assert_int_equal(rc, RB_OK);
    assert_string_equal(url, expected);
}

static void each_partition_has_its_own_endpoints(void **state)
{
    static const char *const rows[][2] = {
        {"us-east-1", "https://codebuild.us-east-1.amazonaws.com"},
        {"eu-central-1", "https://codebuild.eu-central-1.amazonaws.com"},
        {"ap-southeast-5", "https://codebuild.ap-southeast-5.amazonaws.com"},
        {"mx-central-1", "https://codebuild.mx-central-1.amazonaws.com"},
        {"il-central-12", "https://codebuild.il-central-12.amazonaws.com"},
        {"cn-northwest-1", "https://codebuild.cn-northwest-1.amazonaws.com.cn"},
        {"us-gov-west-1", "https://codebuild.us-gov-west-1.amazonaws.com"},
        {"eusc-de-east-1", "https://codebuild.eusc-de-east-1.amazonaws.eu"},
        {"us-iso-east-1", "https://codebuild.us-iso-east-1.c2s.ic.gov"},
        {"us-isob-east-1", "https://codebuild.us-isob-east-1.sc2s.sgov.gov"},
        {"eu-isoe-west-1", "https://codebuild.eu-isoe-west-1.cloud.adc-e.uk"},
        {"us-isof-south-1", "https://codebuild.us-isof-south-1.csp.hci.ic.gov"},
        {"", NULL},
        {"us-east", NULL},
        {"us-1", NULL},
        {"xx-east-1", NULL},
        {"us-east-1.evil.example", NULL},
        {"us-east-1/x", NULL},
        {"us-foo-east-1", NULL},
        {"-east-1", NULL},
        {"us--1", NULL},
        {"US-EAST-1", NULL},
        {"averyverylongprefix-east-1", NULL},
        {"us eu-east-1", NULL},
    };
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);

    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        assert_endpoint(aws, "codebuild", rows[i][0], rows[i][1]);
    }
    assert_endpoint(aws, "codebuild", NULL, NULL);
    assert_endpoint(aws, "sts", "us-east-1", "https://sts.us-east-1.amazonaws.com");
}

static void fips_and_dual_stack_are_asked_by_the_environment(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws("");

    (void)state;
    setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
    assert_endpoint(aws, "codebuild", "us-east-1",
                    "https://codebuild-fips.us-east-1.amazonaws.com");
    setenv("AWS_USE_DUALSTACK_ENDPOINT", "True", 1);
    assert_endpoint(aws, "codebuild", "us-east-1", "https://codebuild-fips.us-east-1.api.aws");
    setenv("AWS_USE_FIPS_ENDPOINT", "false", 1);
    assert_endpoint(aws, "codebuild", "cn-north-1",
                    "https://codebuild.cn-north-1.api.amazonwebservices.com.cn");
}

static void overrides_win_in_their_order(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);
    RB_CLEANUP(freep) struct rb_aws *told = new_aws("http://127.0.0.1:4570");

    (void)state;
    setenv("AWS_ENDPOINT_URL", "https://all.example", 1);
    assert_endpoint(aws, "codebuild", "nowhere", "https://all.example");
    setenv("AWS_ENDPOINT_URL_CODEBUILD", "https://codebuild.example/base", 1);
    assert_endpoint(aws, "codebuild", "us-east-1", "https://codebuild.example/base");
    assert_endpoint(aws, "sts", "us-east-1", "https://all.example");
    assert_endpoint(told, "codebuild", "us-east-1", "http://127.0.0.1:4570");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
    assert_endpoint(aws, "codebuild", "us-east-1", "https://codebuild.us-east-1.amazonaws.com");
    assert_endpoint(told, "codebuild", "us-east-1", "http://127.0.0.1:4570");
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    *ret_c = (struct rb_credentials){.access_key = NULL};
    return rb_aws_credentials(aws, ret_c, err);
}

static void credentials_of_the_environment_are_one_frozen_set(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);
    struct rb_credentials c;
    struct rb_err err;

    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "canary-secret", 1);
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(c.access_key, "AKIDEXAMPLE");
    assert_string_equal(rb_secret_data(c.secret_key), "canary-secret");
    assert_null(c.session_token);
    assert_int_equal(c.expires_ms, 0);
    assert_string_equal(c.provider, "environment");
    rb_credentials_release(&c);

    setenv("AWS_ACCESS_KEY_ID", "OTHER", 1);
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(c.access_key, "AKIDEXAMPLE");
    rb_credentials_release(&c);
    rb_aws_credentials_refused(aws);
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(c.access_key, "OTHER");
    rb_credentials_release(&c);
}

static void session_tokens_have_two_names(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);
    struct rb_credentials c;
    struct rb_err err;

    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "ASIA", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    setenv("AWS_SECURITY_TOKEN", "old name", 1);
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(rb_secret_data(c.session_token), "old name");
    rb_credentials_release(&c);
    setenv("AWS_SESSION_TOKEN", "new name", 1);
    rb_aws_credentials_refused(aws);
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(rb_secret_data(c.session_token), "new name");
    rb_credentials_release(&c);
}

static void missing_or_broken_credentials_are_explained_without_showing_any(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);
    struct rb_credentials c;
    struct rb_err err;

    (void)state;
    assert_int_equal(fetch(aws, &c, &err), RB_E_CREDENTIALS);
    assert_non_null(strstr(err.msg, "environment: AWS_ACCESS_KEY_ID is not set"));
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    assert_int_equal(fetch(aws, &c, &err), RB_E_CREDENTIALS);
    assert_non_null(strstr(err.msg, "AWS_SECRET_ACCESS_KEY"));
    setenv("AWS_SECRET_ACCESS_KEY", "canary", 1);
    setenv("AWS_ACCESS_KEY_ID", "bad key\r\nX: canary", 1);
    assert_int_equal(fetch(aws, &c, &err), RB_E_CREDENTIALS);
    assert_null(strstr(err.msg, "canary"));
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_CREDENTIAL_EXPIRATION", "tomorrow", 1);
    assert_int_equal(fetch(aws, &c, &err), RB_E_CREDENTIALS);
}

static void credentials_are_fetched_again_before_they_expire(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);
    struct rb_credentials c;
    struct rb_err err;
    int64_t before_ms = fake_unix_ms;

    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "FIRST", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    setenv("AWS_CREDENTIAL_EXPIRATION", "2026-11-18T14:00:00Z", 1);
    fake_unix_ms = INT64_C(1795006800000); /* 13:00 of that day */
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    rb_credentials_release(&c);
    setenv("AWS_ACCESS_KEY_ID", "SECOND", 1);
    fake_unix_ms += 45 * 60 * 1000;
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(c.access_key, "FIRST");
    rb_credentials_release(&c);
    fake_unix_ms += 6 * 60 * 1000;
    assert_int_equal(fetch(aws, &c, &err), RB_OK);
    assert_string_equal(c.access_key, "SECOND");
    rb_credentials_release(&c);
    fake_unix_ms += 10 * 60 * 1000;
    assert_int_equal(fetch(aws, &c, &err), RB_E_CREDENTIALS);
    fake_unix_ms = before_ms;
}

static void the_offset_of_the_clock_is_unknown_until_an_answer_came(void **state)
{
    RB_CLEANUP(freep) struct rb_aws *aws = new_aws(NULL);

    (void)state;
    assert_false(rb_aws_offset_known(aws));
    assert_int_equal(rb_aws_offset_ms(aws), 0);
    assert_int_equal(rb_aws_now_ms(aws), fake_unix_ms);
    rb_aws_note_date(aws, fake_unix_ms - 90000, fake_unix_ms);
    assert_true(rb_aws_offset_known(aws));
    assert_int_equal(rb_aws_offset_ms(aws), -90000);
    assert_int_equal(rb_aws_now_ms(aws), fake_unix_ms - 90000);
}

static const struct rb_aws_scope RETRY_HERE = {.region = "us-east-1", .operation = "RetryBuild"};

static void a_wait_for_the_rate_that_would_be_too_long_is_throttled(void **state)
{
    struct rb_settings s = {.aws = {.rate_per_second = 0.1, .rate_burst = 1}};
    RB_CLEANUP(freep) struct rb_aws *aws = NULL;
    struct rb_err err;
    int64_t wait_ms = -1;

    (void)state;
    assert_int_equal(rb_aws_new(&s, &CLOCK, &aws, &err), RB_OK);
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 1000, NULL, &wait_ms, &err), RB_OK);
    assert_int_equal(wait_ms, -1);
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 1000, NULL, &wait_ms, &err), RB_E_THROTTLED);
    assert_int_equal(wait_ms, 10000);
    atomic_bool cancel = true;
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 60000, &cancel, &wait_ms, &err), RB_E_CLOSED);
}

static void each_operation_and_region_has_a_rate_of_its_own(void **state)
{
    struct rb_settings s = {.aws = {.rate_per_second = 0.1, .rate_burst = 1}};
    static const struct rb_aws_scope others[] = {
        {.region = "us-east-1", .operation = "BatchGetBuilds"},
        {.region = "eu-west-1", .operation = "RetryBuild"},
        {.account = "111122223333", .region = "us-east-1", .operation = "RetryBuild"},
    };
    RB_CLEANUP(freep) struct rb_aws *aws = NULL;
    struct rb_err err;
    int64_t wait_ms = -1;

    (void)state;
    assert_int_equal(rb_aws_new(&s, &CLOCK, &aws, &err), RB_OK);
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 0, NULL, &wait_ms, &err), RB_OK);
    rb_aws_told(aws, &RETRY_HERE, RB_E_THROTTLED, 5000);
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 0, NULL, &wait_ms, &err), RB_E_THROTTLED);
    assert_true(wait_ms >= 5000 + 10000);
    for (size_t i = 0; i < RB_ARRAY_LEN(others); i++) {
        assert_int_equal(rb_aws_pass(aws, &others[i], 0, NULL, &wait_ms, &err), RB_OK);
    }
}

static void a_server_error_that_says_when_holds_its_operation(void **state)
{
    struct rb_settings s = {.aws = {.rate_per_second = 5, .rate_burst = 10}};
    RB_CLEANUP(freep) struct rb_aws *aws = NULL;
    struct rb_err err;
    int64_t wait_ms = -1;

    (void)state;
    assert_int_equal(rb_aws_new(&s, &CLOCK, &aws, &err), RB_OK);
    rb_aws_told(aws, &RETRY_HERE, RB_E_AMBIGUOUS, -1);
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 0, NULL, &wait_ms, &err), RB_OK);
    rb_aws_told(aws, &RETRY_HERE, RB_E_AMBIGUOUS, 7000);
    assert_int_equal(rb_aws_pass(aws, &RETRY_HERE, 0, NULL, &wait_ms, &err), RB_E_THROTTLED);
    assert_int_equal(wait_ms, 7000);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, clean_environment, clean_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(each_partition_has_its_own_endpoints),
        ROW(fips_and_dual_stack_are_asked_by_the_environment),
        ROW(overrides_win_in_their_order),
        ROW(credentials_of_the_environment_are_one_frozen_set),
        ROW(session_tokens_have_two_names),
        ROW(missing_or_broken_credentials_are_explained_without_showing_any),
        ROW(credentials_are_fetched_again_before_they_expire),
        ROW(the_offset_of_the_clock_is_unknown_until_an_answer_came),
        ROW(each_operation_and_region_has_a_rate_of_its_own),
        ROW(a_wait_for_the_rate_that_would_be_too_long_is_throttled),
        ROW(a_server_error_that_says_when_holds_its_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
