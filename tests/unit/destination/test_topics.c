/* Messages for topics and buses: what is rendered, and what a configuration of them must say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/destination.h>
#include <retrybuild/json.h>

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key)
{
    struct rb_err err;
    *ret_key = "";
    return rb_destination_type_find(d->type)->check(d, ret_key, &err);
}

static void a_topic_needs_an_arn_and_a_known_format(void **state)
{
    (void)state;
    struct rb_destination_setting d = {.type = "sns"};
    const char *key = NULL;

    assert_int_equal(check(&d, &key), RB_E_INVALID);
    assert_string_equal(key, "topic_arn");
    d.topic_arn = "arn:aws:sqs:us-east-1:123456789012:retries";
    assert_int_equal(check(&d, &key), RB_E_INVALID);
    d.topic_arn = "arn:aws:sns:us-east-1:123456789012:retries";
    assert_int_equal(check(&d, &key), RB_OK);
    d.format = "q-developer";
    assert_int_equal(check(&d, &key), RB_OK);
    d.format = "cloudevents";
    assert_int_equal(check(&d, &key), RB_E_INVALID);
    assert_string_equal(key, "format");
}

static void a_source_of_events_is_not_aws(void **state)
{
    (void)state;
    struct rb_destination_setting d = {.type = "eventbridge"};
    const char *key = NULL;

    assert_int_equal(check(&d, &key), RB_OK);
    d.event_source = "aws.codebuild";
    assert_int_equal(check(&d, &key), RB_E_INVALID);
    assert_string_equal(key, "source");
}

/* What a build printed must not become marks, links or another member of the notification. */
static void what_a_build_printed_is_shown_as_it_is(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    struct rb_rendered rendered;
    struct rb_err err;

    rb_arena_init(&a, (size_t)1024 * 1024);
    assert_non_null(r);
    r->build.id = "web:1";
    r->build.project = "web";
    r->build.arn = "arn:aws:codebuild:us-east-1:123456789012:build/web:1";
    r->build.status = "FAILED";
    r->build.phase = "BUILD";
    r->build.message = "\"},\"x\":{\"[click](http://evil) *now*\n<@everyone>";
    r->state = RB_STATE_HELD;
    const struct rb_destination_setting d = {.type = "sns", .format = "q-developer"};
    const struct rb_report_view v = {
        .retry = r, .stage = RB_STAGE_HELD, .message_id = "msg_1", .now_ms = 1};
    assert_int_equal(rb_destination_type_find("sns")->render(&d, &v, &a, &rendered, &err), RB_OK);
    assert_int_equal(rb_json_load(rendered.body, rendered.body_len, &j, NULL), RB_OK);
    const json_t *content = json_object_get(j, "content");
    const char *text = json_string_value(json_object_get(content, "description"));
    assert_non_null(strstr(text, "\\[click\\](http://evil) \\*now\\* \\<@everyone\\>"));
    assert_int_equal(json_array_size(json_object_get(content, "nextSteps")), 1);
    assert_null(json_object_get(j, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_needs_an_arn_and_a_known_format),
        cmocka_unit_test(a_source_of_events_is_not_aws),
        cmocka_unit_test(what_a_build_printed_is_shown_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
