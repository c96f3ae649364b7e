/* RetryBuild against a scripted server: what arrives, when it is not sent, what is never sent
 * twice. */
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
#include <retrybuild/digest.h>
#include <retrybuild/sigv4.h>

#include "codebuild_world.h"

static void retry_sends_id_and_token_and_reads_the_child(void **state)
{
    struct world *w = *state;

    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    struct retried r = world_retry(w);
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
    assert_true(world_counted("RetryBuild", "ok") == 1);
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
    assert_int_equal(world_retry(w).rc, RB_OK);
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
    assert_int_equal(world_retry(w).rc, RB_OK);
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
    world_renew_client(w);
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    assert_int_equal(world_retry(w).rc, RB_OK);
    assert_ptr_equal(strstr(script_server_request(w->server, 0), "POST /base/path HTTP/1.1\r\n"),
                     script_server_request(w->server, 0));
}

static void a_check_that_says_no_stops_the_call_before_the_wire(void **state)
{
    struct world *w = *state;

    w->check_says = RB_E_FENCED;
    assert_int_equal(world_retry(w).rc, RB_E_FENCED);
    assert_int_equal(w->checks, 1);
    assert_int_equal(script_server_connections(w->server), 0);
    assert_true(world_counted("RetryBuild", "refused") == 0);
}

static void what_breaks_on_the_wire_is_ambiguous_and_sent_once(void **state)
{
    struct world *w = *state;

    script_server_push(w->server, "", SCRIPT_CLOSE); /* the lost reply */
    assert_int_equal(world_retry(w).rc, RB_E_AMBIGUOUS);
    script_server_push(w->server, "", SCRIPT_RESET);
    assert_int_equal(world_retry(w).rc, RB_E_AMBIGUOUS);
    script_server_push(w->server, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"build\":{",
                       SCRIPT_CLOSE);
    assert_int_equal(world_retry(w).rc, RB_E_AMBIGUOUS);
    assert_true(world_counted("RetryBuild", "ambiguous") == 3);
    w->settings.timing.call_timeout_ms = 100;
    world_renew_client(w);
    script_server_push(w->server, "", SCRIPT_HOLD);
    assert_int_equal(world_retry(w).rc, RB_E_AMBIGUOUS);
    assert_int_equal(script_server_requests(w->server), 4);
    assert_int_equal(w->checks, 4);
}

static void a_server_that_cannot_be_reached_is_unavailable(void **state)
{
    struct world *w = *state;

    script_server_stop(w->server);
    w->server = NULL;
    assert_int_equal(world_retry(w).rc, RB_E_UNAVAIL);
    assert_true(world_counted("RetryBuild", "transient") == 1);
}

static void no_credentials_is_no_call(void **state)
{
    struct world *w = *state;

    unsetenv("AWS_ACCESS_KEY_ID");
    assert_int_equal(world_retry(w).rc, RB_E_CREDENTIALS);
    assert_int_equal(w->checks, 0);
    assert_int_equal(script_server_connections(w->server), 0);
}

/* A broken AWS is not hammered: what had no clear answer is repeated as long as there is quota. */
static void repetitions_end_with_the_quota_and_come_back_with_answers(void **state)
{
    struct world *w = *state;
    unsigned sent = 0;

    w->repeats = true;
    for (; sent < 100; sent++) {
        script_server_push_json(w->server, 500, "", "");
        struct retried r = world_retry(w);
        if (r.rc != RB_E_AMBIGUOUS) {
            assert_int_equal(r.rc, RB_E_THROTTLED);
            assert_true(r.retry_after_ms > 0);
            break;
        }
    }
    assert_int_equal(sent, 50);
    assert_int_equal(script_server_requests(w->server), sent);
    assert_int_equal(w->checks, sent);
    w->repeats = false; /* what is new is always tried */
    assert_int_equal(world_retry(w).rc, RB_E_AMBIGUOUS);
    for (int i = 0; i < 10; i++) {
        script_server_push_json(w->server, 200, "", CHILD_ANSWER);
        assert_int_equal(world_retry(w).rc, RB_OK);
    }
    w->repeats = true;
    script_server_push_json(w->server, 200, "", CHILD_ANSWER);
    assert_int_equal(world_retry(w).rc, RB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(retry_sends_id_and_token_and_reads_the_child),
        ROW(what_arrives_is_signed_with_the_date_of_the_call),
        ROW(without_a_session_token_none_is_sent),
        ROW(a_base_path_of_the_endpoint_is_kept),
        ROW(a_check_that_says_no_stops_the_call_before_the_wire),
        ROW(what_breaks_on_the_wire_is_ambiguous_and_sent_once),
        ROW(a_server_that_cannot_be_reached_is_unavailable),
        ROW(no_credentials_is_no_call),
        ROW(repetitions_end_with_the_quota_and_come_back_with_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
