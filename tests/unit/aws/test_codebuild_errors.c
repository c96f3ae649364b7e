/* What the client makes of every kind of answer that is no build. */
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

struct error_row {
    int status;
    const char *type, *message;
    enum rb_code code;
    const char *result;
};

/* Every class of answer, as AWS spells it in the body. */
static const struct error_row ERRORS[] = {
    {400, "InvalidInputException", "Invalid build ID provided", RB_E_REFUSED, "refused"},
    {400, "InvalidInputException", "Idempotency token parameter mismatch", RB_E_MISMATCH,
     "refused"},
    {400, "InvalidInputException", "Parameter Mismatch", RB_E_MISMATCH, "refused"},
    {400, "com.amazonaws.codebuild#InvalidInputException", "x", RB_E_REFUSED, "refused"},
    {400, "InvalidInputException:http://internal.example/#coral", "x", RB_E_REFUSED, "refused"},
    {400, "ResourceNotFoundException", "Build does not exist", RB_E_NOT_FOUND, "refused"},
    {400, "ResourceAlreadyExistsException", "x", RB_E_REFUSED, "refused"},
    {400, "AccountLimitExceededException",
     "Cannot have more than 5 builds in queue for the account", RB_E_LATER, "throttled"},
    {400, "ThrottlingException", "Rate exceeded", RB_E_THROTTLED, "throttled"},
    {400, "Throttling", "x", RB_E_THROTTLED, "throttled"},
    {400, "ThrottledException", "x", RB_E_THROTTLED, "throttled"},
    {400, "RequestThrottledException", "x", RB_E_THROTTLED, "throttled"},
    {400, "RequestThrottled", "x", RB_E_THROTTLED, "throttled"},
    {429, "TooManyRequestsException", "x", RB_E_THROTTLED, "throttled"},
    {400, "ProvisionedThroughputExceededException", "x", RB_E_THROTTLED, "throttled"},
    {400, "TransactionInProgressException", "x", RB_E_THROTTLED, "throttled"},
    {503, "RequestLimitExceeded", "x", RB_E_THROTTLED, "throttled"},
    {400, "BandwidthLimitExceeded", "x", RB_E_THROTTLED, "throttled"},
    {400, "LimitExceededException", "x", RB_E_THROTTLED, "throttled"},
    {503, "SlowDown", "x", RB_E_THROTTLED, "throttled"},
    {400, "PriorRequestNotComplete", "x", RB_E_THROTTLED, "throttled"},
    {400, "EC2ThrottledException", "x", RB_E_THROTTLED, "throttled"},
    {400, "AccessDeniedException", "User is not authorized", RB_E_REFUSED, "refused"},
    {403, "AccessDenied", "x", RB_E_REFUSED, "refused"},
    {400, "OptInRequired", "x", RB_E_REFUSED, "refused"},
    {400, "NotAuthorized", "x", RB_E_REFUSED, "refused"},
    {400, "ValidationException", "x", RB_E_REFUSED, "refused"},
    {400, "SerializationException", "x", RB_E_REFUSED, "refused"},
    {400, "UnknownOperationException", "x", RB_E_REFUSED, "refused"},
    {400, "ExpiredTokenException", "The security token is expired", RB_E_CREDENTIALS, "refused"},
    {403, "ExpiredToken", "x", RB_E_CREDENTIALS, "refused"},
    {400, "UnrecognizedClientException", "x", RB_E_CREDENTIALS, "refused"},
    {403, "InvalidClientTokenId", "x", RB_E_CREDENTIALS, "refused"},
    {403, "MissingAuthenticationTokenException", "x", RB_E_CREDENTIALS, "refused"},
    {403, "IncompleteSignatureException", "x", RB_E_CREDENTIALS, "refused"},
    {403, "SignatureDoesNotMatch", "x", RB_E_CREDENTIALS, "refused"},
    {403, "InvalidSignatureException", "The request signature we calculated does not match",
     RB_E_CREDENTIALS, "refused"},
    {400, "InvalidSignatureException", "Signature expired: A is now earlier than B", RB_E_CLOCK,
     "transient"},
    {400, "InvalidSignatureException", "Signature not yet current: A is still later than B",
     RB_E_CLOCK, "transient"},
    {400, "RequestExpired", "x", RB_E_CLOCK, "transient"},
    {403, "RequestTimeTooSkewed", "x", RB_E_CLOCK, "transient"},
    {403, "RequestInTheFuture", "x", RB_E_CLOCK, "transient"},
    {400, "RequestTimeoutException", "x", RB_E_AMBIGUOUS, "ambiguous"},
    {500, "InternalFailure", "x", RB_E_AMBIGUOUS, "ambiguous"},
    {500, "InternalServerError", "x", RB_E_AMBIGUOUS, "ambiguous"},
    {500, "InternalServerException", "x", RB_E_AMBIGUOUS, "ambiguous"},
    {500, "InternalServiceException", "x", RB_E_AMBIGUOUS, "ambiguous"},
    {503, "ServiceUnavailableException", "x", RB_E_AMBIGUOUS, "ambiguous"},
    {400, "SomethingNewException", "x", RB_E_REFUSED, "refused"},
    {404, "SomethingNewException", "x", RB_E_REFUSED, "refused"},
    {500, "SomethingNewException", "x", RB_E_AMBIGUOUS, "ambiguous"},
};
#define MIN_ERRORS 45

static void each_error_of_aws_has_its_class(void **state)
{
    struct world *w = *state;

    assert_true(RB_ARRAY_LEN(ERRORS) >= MIN_ERRORS);
    for (size_t i = 0; i < RB_ARRAY_LEN(ERRORS); i++) {
        const struct error_row *e = &ERRORS[i];
        char body[512];
        snprintf(body, sizeof(body), "{\"__type\":\"%s\",\"message\":\"%s\"}", e->type, e->message);
        rb_metrics_reset_for_test();
        script_server_push_json(w->server, e->status, "", body);
        struct retried r = world_retry(w);
        if (r.rc != e->code || world_counted("RetryBuild", e->result) < 1) {
            fail_msg("%s '%s': %s", e->type, e->message, rb_code_name(r.rc));
        }
    }
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(ERRORS));
}

static void the_error_header_counts_when_the_body_says_nothing(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 400, "x-amzn-ErrorType: ThrottlingException:\r\n", "{}");
    assert_int_equal(world_retry(w).rc, RB_E_THROTTLED);
    script_server_push_json(w->server, 400, "X-Amzn-ErrorType: ResourceNotFoundException\r\n", "");
    assert_int_equal(world_retry(w).rc, RB_E_NOT_FOUND);
    script_server_push_json(w->server, 400, "x-amzn-errortype: ThrottlingException\r\n",
                            "{\"__type\":\"InvalidInputException\",\"Message\":\"m\"}");
    assert_int_equal(world_retry(w).rc, RB_E_REFUSED);
}

static void answers_without_an_error_of_aws_are_judged_by_status(void **state)
{
    struct world *w = *state;
    static const struct {
        int status;
        const char *body;
        enum rb_code code;
    } rows[] = {
        {503, "<html><body>Service Unavailable</body></html>", RB_E_AMBIGUOUS},
        {500, "", RB_E_AMBIGUOUS},
        {502, "bad gateway", RB_E_AMBIGUOUS},
        {504, "", RB_E_AMBIGUOUS},
        {501, "", RB_E_REFUSED},
        {429, "", RB_E_THROTTLED},
        {408, "", RB_E_AMBIGUOUS},
        {400, "<html>", RB_E_REFUSED},
        {403, "", RB_E_REFUSED},
        {302, "", RB_E_AMBIGUOUS},
        {201, CHILD_ANSWER, RB_E_AMBIGUOUS},
        {500, "[1,2]", RB_E_AMBIGUOUS},
        {500, "{\"__type\":7}", RB_E_AMBIGUOUS},
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        script_server_push_json(w->server, rows[i].status, "", rows[i].body);
        struct retried r = world_retry(w);
        if (r.rc != rows[i].code) {
            fail_msg("row %zu: %s", i, rb_code_name(r.rc));
        }
    }
}

static void a_success_that_names_no_build_is_ambiguous(void **state)
{
    struct world *w = *state;
    static const char *const bodies[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"build\":null}",
        "{\"build\":{}}",
        "{\"build\":[]}",
        "{\"build\":{\"arn\":\"arn:aws:codebuild:us-east-1:123456789012:build/a:b\"}}",
        "{\"build\":{\"id\":\"\"}}",
        "{\"build\":{\"id\":17}}",
        "{\"build\":{\"id\":\"no colon\"}}",
        "{\"build\":{\"id\":\"" PARENT "\"}}",
        "{\"build\":{\"id\":\"" CHILD "\"}} trailing",
        "<html>",
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(bodies); i++) {
        script_server_push_json(w->server, 200, "", bodies[i]);
        struct retried r = world_retry(w);
        if (r.rc != RB_E_AMBIGUOUS) {
            fail_msg("'%s': %s", bodies[i], rb_code_name(r.rc));
        }
    }
}

static void throttles_tell_how_long_to_wait(void **state)
{
    struct world *w = *state;
    static const char body[] = "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}";

    script_server_push_json(w->server, 400, "x-amz-retry-after: 1700\r\n", body);
    struct retried r = world_retry(w);
    assert_int_equal(r.rc, RB_E_THROTTLED);
    assert_int_equal(r.retry_after_ms, 1700);
    script_server_push_json(w->server, 400, "Retry-After: 3\r\n", body);
    assert_int_equal(world_retry(w).retry_after_ms, 3000);
    script_server_push_json(w->server, 400, "", body);
    assert_int_equal(world_retry(w).retry_after_ms, -1);
}

static void errors_never_show_what_was_signed(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 403, "",
                            "{\"__type\":\"InvalidSignatureException\",\"message\":\"The Canonical "
                            "String should have been 'x-amz-security-token:" TOKEN "'\"}");
    assert_int_equal(world_retry(w).rc, RB_E_CREDENTIALS);
    assert_null(strstr(w->err.msg, "canary"));
    script_server_push_json(
        w->server, 400, "",
        "{\"__type\":\"InvalidInputException\",\"message\":\"a\\n\\u001b[31mb\"}");
    assert_int_equal(world_retry(w).rc, RB_E_REFUSED);
    assert_string_equal(w->err.msg, "RetryBuild: InvalidInput: a??[31mb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(each_error_of_aws_has_its_class),
        ROW(the_error_header_counts_when_the_body_says_nothing),
        ROW(answers_without_an_error_of_aws_are_judged_by_status),
        ROW(a_success_that_names_no_build_is_ambiguous),
        ROW(throttles_tell_how_long_to_wait),
        ROW(errors_never_show_what_was_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
