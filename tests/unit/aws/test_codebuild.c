/* The CodeBuild client against a scripted server: what it sends, how it reads answers, and above
 * all what it makes of every kind of failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/codebuild.h>
#include <retrybuild/counters.h>
#include <retrybuild/digest.h>
#include <retrybuild/sigv4.h>
#include <retrybuild/timefmt.h>

#include "script_server.h"

#define PARENT "web-app:11111111-2222-3333-4444-555555555555"
#define CHILD "web-app:aaaaaaaa-2222-3333-4444-555555555555"
#define CHILD_ANSWER                                                     \
    "{\"build\":{\"id\":\"" CHILD                                        \
    "\",\"arn\":\"arn:aws:codebuild:us-east-1:123456789012:build/" CHILD \
    "\",\"buildNumber\":8,\"buildStatus\":\"IN_PROGRESS\",\"currentPhase\":\"QUEUED\"}}"
#define SECRET "canary-secret-key"
#define TOKEN "canary/session+token=="
#define DATE_MS INT64_C(1795000000000)
#define DATE_HEADER "Wed, 18 Nov 2026 11:06:40 GMT"

struct world {
    struct script_server *server;
    struct rb_settings settings;
    struct rb_clock clock;
    int64_t now_ms;
    struct rb_aws *aws;
    struct rb_codebuild *client;
    struct rb_arena arena;
    struct rb_err err;
    unsigned checks;
    enum rb_code check_says;
};

static int64_t unix_ms(void *arg)
{
    const struct world *w = arg;
    return w->now_ms;
}

static int64_t boot_ms(void *arg)
{
    (void)arg;
    return rb_boot_ms(rb_clock_system());
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->server = script_server_start();
    w->now_ms = DATE_MS;
    w->clock = (struct rb_clock){.unix_ms = unix_ms, .boot_ms = boot_ms, .arg = w};
    w->settings.aws.endpoint_url = script_server_url(w->server);
    w->settings.timing.call_timeout_ms = 20000;
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
    setenv("AWS_SESSION_TOKEN", TOKEN, 1);
    assert_int_equal(rb_aws_new(&w->settings, &w->clock, &w->aws, NULL), RB_OK);
    assert_int_equal(rb_codebuild_new(w->aws, &w->settings, &w->client, NULL), RB_OK);
    rb_arena_init(&w->arena, (size_t)1024 * 1024);
    rb_metrics_reset_for_test();
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    rb_codebuild_free(w->client);
    rb_aws_free(w->aws);
    script_server_stop(w->server);
    rb_arena_release(&w->arena);
    free(w);
    return 0;
}

/* Another client on the same server, for a test that needs other settings. */
static void renew_client(struct world *w)
{
    rb_codebuild_free(w->client);
    w->client = NULL;
    assert_int_equal(rb_codebuild_new(w->aws, &w->settings, &w->client, NULL), RB_OK);
}

static enum rb_code last_check(void *arg, struct rb_err *err)
{
    struct world *w = arg;

    w->checks++;
    return w->check_says == RB_OK ? RB_OK : rb_err_set(err, w->check_says, "the check said no");
}

struct retried {
    enum rb_code rc;
    struct rb_build child;
    const char *access_key;
    int64_t retry_after_ms;
};

static struct retried retry(struct world *w)
{
    const struct rb_retry_call call = {.region = "us-east-1",
                                       .build_id = PARENT,
                                       .token = "token-1",
                                       .date_ms = DATE_MS - 60000,
                                       .last_check = last_check,
                                       .arg = w};
    struct retried r = {.rc = RB_OK};

    r.rc = rb_codebuild_retry(w->client, &call, &w->arena, &r.child, &r.access_key,
                              &r.retry_after_ms, &w->err);
    return r;
}

static double counted(const char *operation, const char *result)
{
    return rb_metric_value(rb_metric_cell(RB_M_CODEBUILD_REQUESTS, operation, result));
}

static void retry_sends_id_and_token_and_reads_the_child(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    struct retried r = retry(w);
    assert_int_equal(r.rc, RB_OK);
    assert_string_equal(r.child.id, CHILD);
    assert_string_equal(r.child.account, "123456789012");
    assert_string_equal(r.child.region, "us-east-1");
    assert_string_equal(r.child.project, "web-app");
    assert_string_equal(r.child.status, "IN_PROGRESS");
    assert_int_equal(r.child.number, 8);
    assert_string_equal(r.access_key, "AKIDEXAMPLE");
    assert_int_equal(w->checks, 1);
    assert_string_equal(script_server_body(w->server, 0),
                        "{\"id\":\"" PARENT "\",\"idempotencyToken\":\"token-1\"}");
    assert_true(counted("RetryBuild", "ok") == 1);
}

/* The signature is checked as AWS would: from the headers that arrived. */
static void what_arrives_is_signed_with_the_date_of_the_call(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"content-type", "host", "x-amz-date",
                                        "x-amz-security-token", "x-amz-target"};
    char *values[RB_ARRAY_LEN(names)] = {NULL};
    struct rb_header headers[RB_ARRAY_LEN(names)];
    char hash[RB_SHA256_HEX_BYTES];
    struct rb_sigv4_claim claim;

    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    assert_int_equal(retry(w).rc, RB_OK);
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        values[i] = script_server_header(w->server, 0, names[i]);
        assert_non_null(values[i]);
        headers[i] = (struct rb_header){rb_slice_str(names[i]), rb_slice_str(values[i])};
    }
    assert_string_equal(values[0], "application/x-amz-json-1.1");
    assert_string_equal(values[2], "20261118T110540Z");
    assert_string_equal(values[3], TOKEN);
    assert_string_equal(values[4], "CodeBuild_20161006.RetryBuild");
    const char *body = script_server_body(w->server, 0);
    rb_sha256_hex(body, strlen(body), hash);
    char *authorization = script_server_header(w->server, 0, "authorization");
    assert_int_equal(rb_sigv4_parse(authorization, &claim, &w->err), RB_OK);
    assert_true(rb_slice_eq(claim.signed_headers,
                            "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"));
    const struct rb_sigv4_request r = {.method = "POST",
                                       .path = "/",
                                       .headers = headers,
                                       .n_headers = RB_ARRAY_LEN(headers),
                                       .payload_hash = hash,
                                       .region = "us-east-1",
                                       .service = "codebuild",
                                       .date_ms = DATE_MS - 60000};
    assert_int_equal(rb_sigv4_verify(&claim, &r, SECRET, strlen(SECRET), &w->err), RB_OK);
    free(authorization);
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        free(values[i]);
    }
}

static void without_a_session_token_none_is_sent(void **state)
{
    struct world *w = *state;

    unsetenv("AWS_SESSION_TOKEN");
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    assert_int_equal(retry(w).rc, RB_OK);
    assert_null(strcasestr(script_server_request(w->server, 0), "security-token"));
}

static void a_base_path_of_the_endpoint_is_kept(void **state)
{
    struct world *w = *state;
    char url[128];

    rb_aws_free(w->aws);
    snprintf(url, sizeof(url), "%sbase/path", script_server_url(w->server));
    w->settings.aws.endpoint_url = url;
    assert_int_equal(rb_aws_new(&w->settings, &w->clock, &w->aws, NULL), RB_OK);
    renew_client(w);
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    assert_int_equal(retry(w).rc, RB_OK);
    assert_ptr_equal(strstr(script_server_request(w->server, 0), "POST /base/path HTTP/1.1\r\n"),
                     script_server_request(w->server, 0));
}

static void a_check_that_says_no_stops_the_call_before_the_wire(void **state)
{
    struct world *w = *state;

    w->check_says = RB_E_FENCED;
    assert_int_equal(retry(w).rc, RB_E_FENCED);
    assert_int_equal(w->checks, 1);
    assert_int_equal(script_server_connections(w->server), 0);
    assert_true(counted("RetryBuild", "refused") == 0);
}

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
        struct retried r = retry(w);
        if (r.rc != e->code || counted("RetryBuild", e->result) < 1) {
            fail_msg("%s '%s': %s", e->type, e->message, rb_code_name(r.rc));
        }
    }
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(ERRORS));
}

static void the_error_header_counts_when_the_body_says_nothing(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 400, "x-amzn-ErrorType: ThrottlingException:\r\n", "{}");
    assert_int_equal(retry(w).rc, RB_E_THROTTLED);
    script_server_push_json(w->server, 400, "X-Amzn-ErrorType: ResourceNotFoundException\r\n", "");
    assert_int_equal(retry(w).rc, RB_E_NOT_FOUND);
    script_server_push_json(w->server, 400, "x-amzn-errortype: ThrottlingException\r\n",
                            "{\"__type\":\"InvalidInputException\",\"Message\":\"m\"}");
    assert_int_equal(retry(w).rc, RB_E_REFUSED);
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
        struct retried r = retry(w);
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
        struct retried r = retry(w);
        if (r.rc != RB_E_AMBIGUOUS) {
            fail_msg("'%s': %s", bodies[i], rb_code_name(r.rc));
        }
    }
}

static void what_breaks_on_the_wire_is_ambiguous_and_sent_once(void **state)
{
    struct world *w = *state;

    script_server_push(w->server, "", SCRIPT_CLOSE); /* the lost reply */
    assert_int_equal(retry(w).rc, RB_E_AMBIGUOUS);
    script_server_push(w->server, "", SCRIPT_RESET);
    assert_int_equal(retry(w).rc, RB_E_AMBIGUOUS);
    script_server_push(w->server, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"build\":{",
                       SCRIPT_CLOSE);
    assert_int_equal(retry(w).rc, RB_E_AMBIGUOUS);
    assert_true(counted("RetryBuild", "ambiguous") == 3);
    w->settings.timing.call_timeout_ms = 100;
    renew_client(w);
    script_server_push(w->server, "", SCRIPT_HOLD);
    assert_int_equal(retry(w).rc, RB_E_AMBIGUOUS);
    assert_int_equal(script_server_requests(w->server), 4);
    assert_int_equal(w->checks, 4);
}

static void a_server_that_cannot_be_reached_is_unavailable(void **state)
{
    struct world *w = *state;

    script_server_stop(w->server);
    w->server = NULL;
    assert_int_equal(retry(w).rc, RB_E_UNAVAIL);
    assert_true(counted("RetryBuild", "transient") == 1);
}

static void throttles_tell_how_long_to_wait(void **state)
{
    struct world *w = *state;
    static const char body[] = "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}";

    script_server_push_json(w->server, 400, "x-amz-retry-after: 1700\r\n", body);
    struct retried r = retry(w);
    assert_int_equal(r.rc, RB_E_THROTTLED);
    assert_int_equal(r.retry_after_ms, 1700);
    script_server_push_json(w->server, 400, "Retry-After: 3\r\n", body);
    assert_int_equal(retry(w).retry_after_ms, 3000);
    script_server_push_json(w->server, 400, "", body);
    assert_int_equal(retry(w).retry_after_ms, -1);
}

static void no_credentials_is_no_call(void **state)
{
    struct world *w = *state;

    unsetenv("AWS_ACCESS_KEY_ID");
    assert_int_equal(retry(w).rc, RB_E_CREDENTIALS);
    assert_int_equal(w->checks, 0);
    assert_int_equal(script_server_connections(w->server), 0);
}

static void errors_never_show_what_was_signed(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 403, "",
                            "{\"__type\":\"InvalidSignatureException\",\"message\":\"The Canonical "
                            "String should have been 'x-amz-security-token:" TOKEN "'\"}");
    assert_int_equal(retry(w).rc, RB_E_CREDENTIALS);
    assert_null(strstr(w->err.msg, "canary"));
    script_server_push_json(
        w->server, 400, "",
        "{\"__type\":\"InvalidInputException\",\"message\":\"a\\n\\u001b[31mb\"}");
    assert_int_equal(retry(w).rc, RB_E_REFUSED);
    assert_string_equal(w->err.msg, "RetryBuild: InvalidInput: a??[31mb");
}

/* ---- the clock ---- */

static void each_answer_tells_the_offset_of_the_clock(void **state)
{
    struct world *w = *state;

    w->now_ms = DATE_MS - 300000; /* we are five minutes slow */
    script_server_push_json(w->server, 400, "Date: " DATE_HEADER "\r\n", "{}");
    (void)retry(w);
    assert_true(rb_aws_offset_known(w->aws));
    assert_int_equal(rb_aws_offset_ms(w->aws), 300500);
}

static void answers_of_a_cache_tell_nothing_of_the_clock(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "Date: " DATE_HEADER "\r\nAge: 20\r\n", CHILD_ANSWER);
    (void)retry(w);
    script_server_push_json(w->server, 200, "Date: yesterday\r\n", CHILD_ANSWER);
    (void)retry(w);
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    (void)retry(w);
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
    assert_true(counted("ListBuildsForProject", "transient") == 2);
    assert_true(counted("ListBuildsForProject", "ok") == 1);

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
    assert_int_equal(retry(w).rc, RB_E_CLOSED);
    assert_int_equal(script_server_requests(w->server), 0);
}

/* ---- builds ---- */

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

#define ROW(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(retry_sends_id_and_token_and_reads_the_child),
        ROW(what_arrives_is_signed_with_the_date_of_the_call),
        ROW(without_a_session_token_none_is_sent),
        ROW(a_base_path_of_the_endpoint_is_kept),
        ROW(a_check_that_says_no_stops_the_call_before_the_wire),
        ROW(each_error_of_aws_has_its_class),
        ROW(the_error_header_counts_when_the_body_says_nothing),
        ROW(answers_without_an_error_of_aws_are_judged_by_status),
        ROW(a_success_that_names_no_build_is_ambiguous),
        ROW(what_breaks_on_the_wire_is_ambiguous_and_sent_once),
        ROW(a_server_that_cannot_be_reached_is_unavailable),
        ROW(throttles_tell_how_long_to_wait),
        ROW(no_credentials_is_no_call),
        ROW(errors_never_show_what_was_signed),
        ROW(each_answer_tells_the_offset_of_the_clock),
        ROW(answers_of_a_cache_tell_nothing_of_the_clock),
        ROW(a_look_up_with_a_wrong_date_is_mended_and_repeated_once),
        ROW(builds_are_read_from_batch_get_builds),
        ROW(lists_come_page_by_page_and_never_ask_for_an_order),
        ROW(look_ups_are_repeated_after_what_passes_by_itself),
        ROW(look_ups_are_not_repeated_after_a_refusal),
        ROW(refused_credentials_are_fetched_again_for_a_look_up),
        ROW(a_cancelled_client_does_not_call),
        ROW(every_member_that_the_product_shows_is_read),
        ROW(strange_members_count_as_absent),
        ROW(long_messages_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
