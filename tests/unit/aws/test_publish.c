/* SNS and EventBridge against a scripted server; the bodies say what botocore's say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/publish.h>

#include "codebuild_world.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:retries"
#define PUBLISHED                                                                         \
    "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>" \
    "<MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult>"         \
    "<ResponseMetadata><RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId>"       \
    "</ResponseMetadata></PublishResponse>"
#define REFUSED(code)                                                                            \
    "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender"      \
    "</Type><Code>" code "</Code><Message>it says why</Message></Error><RequestId>1</RequestId>" \
    "</ErrorResponse>"

static enum rb_code publish(struct world *w, const char *topic, const char **ret_id)
{
    const struct rb_sns_message m = {.topic_arn = topic,
                                     .subject = "web-app recovered \xe2\x9c\x93",
                                     .message = "{\"state\": \"recovered & well\"}"};
    int64_t after_ms = 0;

    return rb_sns_publish(w->client, &m, &w->arena, ret_id, &after_ms, &w->err);
}

static void a_message_is_a_signed_form_and_its_answer_xml(void **state)
{
    struct world *w = *state;
    const char *id = NULL;

    script_server_push_json(w->server, 200, "", PUBLISHED);
    assert_int_equal(publish(w, TOPIC, &id), RB_OK);
    assert_string_equal(id, "567910cd-659e-55d4-8ccb-5aaf14679dc0");
    assert_string_equal(
        script_server_body(w->server, 0),
        "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3A"
        "retries&Subject=web-app%20recovered%20%3F%3F%3F&Message=%7B%22state%22%3A%20%22recovered"
        "%20%26%20well%22%7D");
    char *type = script_server_header(w->server, 0, "content-type");
    assert_string_equal(type, "application/x-www-form-urlencoded; charset=utf-8");
    free(type);
    assert_null(script_server_header(w->server, 0, "x-amz-target"));
    char *authorization = script_server_header(w->server, 0, "authorization");
    assert_non_null(strstr(authorization, "/eu-west-1/sns/aws4_request"));
    assert_non_null(
        strstr(authorization, "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"));
    free(authorization);
}

static void what_sns_says_no_with_is_read(void **state)
{
    struct world *w = *state;
    const char *id = NULL;
    static const struct {
        long status;
        const char *body;
        enum rb_code rc;
    } rows[] = {
        {403, REFUSED("AuthorizationError"), RB_E_REFUSED},
        {404, REFUSED("NotFound"), RB_E_REFUSED},
        {400, REFUSED("InvalidParameter"), RB_E_REFUSED},
        {400, REFUSED("Throttling"), RB_E_THROTTLED},
        {403, REFUSED("ExpiredToken"), RB_E_CREDENTIALS},
        {500, REFUSED("InternalError"), RB_E_AMBIGUOUS},
        {503, "<html>", RB_E_AMBIGUOUS},
        {200, "{}", RB_E_AMBIGUOUS},
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        script_server_push_json(w->server, (int)rows[i].status, "", rows[i].body);
        assert_int_equal(publish(w, TOPIC, &id), rows[i].rc);
    }
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(rows));
    assert_int_equal(publish(w, "arn:aws:sqs:eu-west-1:123456789012:retries", &id), RB_E_INVALID);
    assert_int_equal(publish(w, "retries", &id), RB_E_INVALID);
    assert_int_equal(script_server_requests(w->server), RB_ARRAY_LEN(rows));
}

static enum rb_code put(struct world *w, const char *bus, const char **ret_id)
{
    const struct rb_bus_event e = {.bus = bus,
                                   .region = "us-east-1",
                                   .source = "retrybuild",
                                   .detail_type = "Retry recovered",
                                   .detail = "{\"id\":\"rty_1\"}",
                                   .resource = "arn:aws:codebuild:us-east-1:1:build/a:b",
                                   .time_ms = DATE_MS + 7};
    int64_t after_ms = 0;

    return rb_events_put(w->client, &e, &w->arena, ret_id, &after_ms, &w->err);
}

static void an_event_is_one_entry(void **state)
{
    struct world *w = *state;
    const char *id = NULL;

    script_server_push_json(w->server, 200, "",
                            "{\"FailedEntryCount\":0,\"Entries\":[{\"EventId\":\"e-1\"}]}");
    assert_int_equal(put(w, "ci", &id), RB_OK);
    assert_string_equal(id, "e-1");
    assert_string_equal(
        script_server_body(w->server, 0),
        "{\"Entries\":[{\"Source\":\"retrybuild\",\"DetailType\":\"Retry recovered\","
        "\"Detail\":\"{\\\"id\\\":\\\"rty_1\\\"}\",\"EventBusName\":\"ci\",\"Resources\":["
        "\"arn:aws:codebuild:us-east-1:1:build/a:b\"],\"Time\":1795000000.007}]}");
    char *target = script_server_header(w->server, 0, "x-amz-target");
    assert_string_equal(target, "AWSEvents.PutEvents");
    free(target);
    script_server_push_json(w->server, 200, "", "{\"Entries\":[{\"EventId\":\"e-2\"}]}");
    assert_int_equal(put(w, "arn:aws:events:eu-west-1:123456789012:event-bus/ci", &id), RB_OK);
    char *authorization = script_server_header(w->server, 1, "authorization");
    assert_non_null(strstr(authorization, "/eu-west-1/events/aws4_request"));
    free(authorization);
}

static void an_entry_that_failed_is_an_error_though_the_call_was_answered(void **state)
{
    struct world *w = *state;
    const char *id = NULL;

#define FAILED(code) \
    "{\"FailedEntryCount\":1,\"Entries\":[{\"ErrorCode\":\"" code "\",\"ErrorMessage\":\"why\"}]}"
    script_server_push_json(w->server, 200, "", FAILED("ThrottlingException"));
    assert_int_equal(put(w, NULL, &id), RB_E_THROTTLED);
    script_server_push_json(w->server, 200, "", FAILED("InternalFailure"));
    assert_int_equal(put(w, NULL, &id), RB_E_AMBIGUOUS);
    script_server_push_json(w->server, 200, "", FAILED("NotAuthorizedForSourceException"));
    assert_int_equal(put(w, NULL, &id), RB_E_REFUSED);
    assert_non_null(strstr(w->err.msg, "NotAuthorizedForSource: why"));
    script_server_push_json(w->server, 200, "", "{\"FailedEntryCount\":0,\"Entries\":[]}");
    assert_int_equal(put(w, NULL, &id), RB_E_AMBIGUOUS);
    script_server_push_json(w->server, 400, "", "{\"__type\":\"ResourceNotFoundException\"}");
    assert_int_equal(put(w, NULL, &id), RB_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_message_is_a_signed_form_and_its_answer_xml),
        ROW(what_sns_says_no_with_is_read),
        ROW(an_event_is_one_entry),
        ROW(an_entry_that_failed_is_an_error_though_the_call_was_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
