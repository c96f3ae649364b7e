/* Slack, Teams, Discord, Mattermost, Rocket.Chat, Google Chat: what arrives there, and what their
 * answers mean. */
#include <string.h>

#include "told.h"

static const char *text_at(json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    assert_non_null(s);
    return s;
}

static void slack_gets_one_message_a_chain_and_details_in_its_thread(void **state)
{
    struct told *t = *state;

    told_by_api(t, "slack");
    t->f->destination.channel = "#ci";
    told_state(t, RB_STATE_RUNNING, NULL);
    told_answer(t, 200, "", "{\"ok\":true,\"channel\":\"C123\",\"ts\":\"17.5\"}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 0, "POST /chat.postMessage");
    told_header(t, 0, "Authorization", "Bearer canary-token");
    told_header(t, 0, "Content-Type", "application/json; charset=utf-8");
    json_t *first = told_json(t, 0);
    assert_string_equal(text_at(first, "channel"), "#ci");
    assert_null(json_object_get(first, "thread_ts"));
    assert_string_equal(t->result.receipt, "C123 17.5");
    json_decref(first);

    told_state(t, RB_STATE_RECOVERED, NULL);
    told_answer(t, 200, "", "{\"ok\":true}");
    told_answer(t, 200, "", "{\"ok\":true}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 1, "POST /chat.update");
    json_t *update = told_json(t, 1);
    assert_string_equal(text_at(update, "channel"), "C123");
    assert_string_equal(text_at(update, "ts"), "17.5");
    assert_string_equal(text_at(update, "text"), "web-app recovered");
    told_line(t, 2, "POST /chat.postMessage");
    json_t *detail = told_json(t, 2);
    assert_string_equal(text_at(detail, "thread_ts"), "17.5");
    assert_true(json_is_true(json_object_get(detail, "reply_broadcast")));
    assert_string_equal(
        text_at(json_object_get(json_object_get(detail, "metadata"), "event_payload"), "id"),
        "msg_1");
    json_decref(update);
    json_decref(detail);
}

static void slack_may_tell_where_it_was_asked(void **state)
{
    struct told *t = *state;

    told_by_api(t, "slack");
    t->f->destination.channel = "#ci";
    t->f->destination.reply = true;
    told_state(t, RB_STATE_RUNNING, NULL);
    t->f->retry->source.type = "slack";
    t->f->retry->channel = "C777";
    told_answer(t, 200, "", "{\"ok\":true,\"channel\":\"C777\",\"ts\":\"17.5\"}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    json_t *first = told_json(t, 0);
    assert_string_equal(text_at(first, "channel"), "C777");
    json_decref(first);
}

static void slack_is_not_told_in_the_channel_before_the_end(void **state)
{
    struct told *t = *state;

    told_by_api(t, "slack");
    t->f->destination.channel = "C123";
    memcpy(t->result.receipt, "C123 17.5", 10);
    told_state(t, RB_STATE_FAILED_AGAIN, "ended; rty_01JD3V5T9QK8YB6W2E4R7XCZ5N by rule 'r'");
    told_answer(t, 200, "", "{\"ok\":true}");
    told_answer(t, 200, "", "{\"ok\":true}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    json_t *detail = told_json(t, 1);
    assert_true(json_is_false(json_object_get(detail, "reply_broadcast")));
    json_decref(detail);
}

static void check_buttons(struct told *t, enum rb_state s, const char *const *ids,
                          const char *value)
{
    told_state(t, s, "no");
    t->result.receipt[0] = '\0';
    told_answer(t, 200, "", "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"1\"}");
    unsigned n = script_server_requests(t->server);
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    json_t *j = told_json(t, n), *blocks = json_object_get(j, "blocks");
    json_t *last = json_array_get(blocks, json_array_size(blocks) - 1);
    json_t *elements = json_object_get(last, "elements");
    size_t k = 0;
    for (; ids[k] != NULL; k++) {
        json_t *button = json_array_get(elements, k);
        assert_string_equal(text_at(button, "action_id"), ids[k]);
        assert_string_equal(text_at(button, "value"), value);
    }
    if (k == 0) {
        assert_string_not_equal(text_at(last, "type"), "actions");
    } else {
        assert_int_equal(json_array_size(elements), k);
    }
    json_decref(j);
}

static void slack_has_the_buttons_that_the_state_allows(void **state)
{
    static const char *const ask[] = {"retrybuild_approve", "retrybuild_deny", NULL};
    static const char *const retry[] = {"retrybuild_retry", NULL}, *const none[] = {NULL};
    struct told *t = *state;

    told_by_api(t, "slack");
    t->f->destination.channel = "C1";
    check_buttons(t, RB_STATE_HELD, ask, t->f->retry->id);
    check_buttons(t, RB_STATE_REFUSED, retry, t->f->retry->build.id);
    check_buttons(t, RB_STATE_FAILED_AGAIN, retry, t->f->retry->child.id);
    check_buttons(t, RB_STATE_RECOVERED, none, "");
    check_buttons(t, RB_STATE_RUNNING, none, "");
}

static void what_slack_answers_has_its_verdict(void **state)
{
    static const struct {
        const char *headers, *body;
        int status;
        enum rb_report_verdict verdict;
        int64_t pause_ms;
    } rows[] = {
        {"", "{\"ok\":false,\"error\":\"channel_not_found\"}", 200, RB_POST_DEAD, 0},
        {"", "{\"ok\":false,\"error\":\"invalid_auth\"}", 200, RB_POST_DEAD, 0},
        {"", "{\"ok\":false,\"error\":\"internal_error\"}", 200, RB_POST_AGAIN, 0},
        {"Retry-After: 7\r\n", "{\"ok\":false,\"error\":\"ratelimited\"}", 200, RB_POST_AGAIN,
         7000},
        {"Retry-After: 30\r\n", "", 429, RB_POST_AGAIN, 30000},
        {"", "<html>", 200, RB_POST_DEAD, 0},
        {"", "{\"ok\":false,\"error\":\"canary <b>\"}", 200, RB_POST_DEAD, 0},
    };
    struct told *t = *state;

    told_by_api(t, "slack");
    t->f->destination.channel = "C1";
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        told_answer(t, rows[i].status, rows[i].headers, rows[i].body);
        assert_int_equal(told_post(t), rows[i].verdict);
        assert_int_equal(t->result.pause_ms, rows[i].pause_ms);
    }
}

static void a_slack_message_that_was_deleted_is_written_anew(void **state)
{
    struct told *t = *state;

    told_by_api(t, "slack");
    t->f->destination.channel = "C1";
    memcpy(t->result.receipt, "C1 1", 5);
    told_answer(t, 200, "", "{\"ok\":false,\"error\":\"message_not_found\"}");
    told_answer(t, 200, "", "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"2\"}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    assert_string_equal(t->result.receipt, "C1 2");
}

static void webhooks_get_what_they_read(void **state)
{
#define SENTENCE "web-app recovered on retry 1 of 2 (rule provisioning: no capacity). Build "
    struct told *t = *state;

    told_by_url(t, "slack");
    told_answer(t, 200, "", "ok");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 0, "POST /hook?token=canary");
    json_t *slack = told_json(t, 0);
    assert_string_equal(text_at(slack, "text"), "web-app recovered");
    json_decref(slack);

    told_by_url(t, "discord");
    told_answer(t, 200, "", "{}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 1, "POST /hook?token=canary&wait=true");
    json_t *discord = told_json(t, 1);
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(discord, "allowed_mentions"), "parse")), 0);
    assert_non_null(strstr(text_at(discord, "content"), "web\\-app recovered"));
    json_decref(discord);

    told_by_url(t, "googlechat");
    told_answer(t, 200, "", "{}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 2,
              "POST /hook?token=canary&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
              "&requestId=msg_1");
    json_t *google = told_json(t, 2);
    assert_string_equal(text_at(json_object_get(google, "thread"), "threadKey"),
                        t->f->retry->chain);
    json_decref(google);

    static const char *const plain[] = {"mattermost", "rocketchat"};
    for (unsigned i = 0; i < 2; i++) {
        told_by_url(t, plain[i]);
        told_answer(t, 200, "", "ok");
        assert_int_equal(told_post(t), RB_POST_DELIVERED);
        json_t *j = told_json(t, 3 + i);
        assert_ptr_equal(strstr(text_at(j, "text"), SENTENCE "[31]("), text_at(j, "text"));
        json_decref(j);
    }
}

static void teams_gets_an_adaptive_card(void **state)
{
    struct told *t = *state;

    told_by_url(t, "teams");
    told_answer(t, 202, "", "");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    json_t *j = told_json(t, 0);
    assert_string_equal(text_at(j, "type"), "message");
    json_t *attachment = json_array_get(json_object_get(j, "attachments"), 0);
    assert_string_equal(text_at(attachment, "contentType"),
                        "application/vnd.microsoft.card.adaptive");
    json_t *card = json_object_get(attachment, "content");
    assert_string_equal(text_at(card, "type"), "AdaptiveCard");
    assert_string_equal(text_at(card, "version"), "1.4");
    assert_int_equal(json_array_size(json_object_get(card, "body")), 2);
    json_t *action = json_array_get(json_object_get(card, "actions"), 0);
    assert_string_equal(text_at(action, "type"), "Action.OpenUrl");
    assert_ptr_equal(strstr(text_at(action, "url"), "https://us-east-1.console"),
                     text_at(action, "url"));
    json_decref(j);
}

static void discord_says_how_long_in_seconds_with_a_fraction(void **state)
{
    struct told *t = *state;

    told_by_url(t, "discord");
    told_answer(t, 429, "Retry-After: 2\r\n", "{\"retry_after\":1.25,\"global\":false}");
    assert_int_equal(told_post(t), RB_POST_AGAIN);
    assert_int_equal(t->result.pause_ms, 1251);
    told_answer(t, 200, "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 0.75\r\n", "{}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    assert_int_equal(t->result.pause_ms, 750);
}

static void a_webhook_can_be_a_cloudevent(void **state)
{
    struct told *t = *state;

    told_by_url(t, "webhook");
    t->f->destination.format = "cloudevents";
    fixture_add_secret(t->f, "old", 0);
    fixture_add_secret(t->f, "new", 0);
    told_answer(t, 202, "", "");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_header(t, 0, "Content-Type", "application/cloudevents+json; charset=utf-8");
    told_header(t, 0, "webhook-id", "msg_1");
    json_t *j = told_json(t, 0);
    assert_string_equal(text_at(j, "specversion"), "1.0");
    assert_string_equal(text_at(j, "type"), "retry.recovered");
    assert_string_equal(text_at(j, "source"), "retrybuild");
    assert_string_equal(text_at(j, "id"), "msg_1");
    assert_string_equal(text_at(j, "subject"), "web-app");
    assert_string_equal(text_at(json_object_get(j, "data"), "id"), t->f->retry->id);
    json_decref(j);
}

static void gone_switches_off(void **state)
{
    struct told *t = *state;

    told_by_url(t, "mattermost");
    told_answer(t, 410, "", "");
    assert_int_equal(told_post(t), RB_POST_DEAD);
    assert_true(t->result.gone);
    told_answer(t, 404, "", "");
    assert_int_equal(told_post(t), RB_POST_DEAD);
    assert_false(t->result.gone);
}

static void texts_keep_to_the_receivers_limit(void **state)
{
    struct told *t = *state;
    static char reason[40001];

    memset(reason, 'x', 40000);
    t->f->retry->decision.reason = reason;
    told_by_url(t, "discord");
    told_answer(t, 200, "", "{}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    json_t *j = told_json(t, 0);
    assert_in_range(strlen(text_at(j, "content")), 1900, 2003);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD_TEST(slack_gets_one_message_a_chain_and_details_in_its_thread),
        TOLD_TEST(slack_may_tell_where_it_was_asked),
        TOLD_TEST(slack_is_not_told_in_the_channel_before_the_end),
        TOLD_TEST(slack_has_the_buttons_that_the_state_allows),
        TOLD_TEST(what_slack_answers_has_its_verdict),
        TOLD_TEST(a_slack_message_that_was_deleted_is_written_anew),
        TOLD_TEST(webhooks_get_what_they_read),
        TOLD_TEST(teams_gets_an_adaptive_card),
        TOLD_TEST(discord_says_how_long_in_seconds_with_a_fraction),
        TOLD_TEST(a_webhook_can_be_a_cloudevent),
        TOLD_TEST(gone_switches_off),
        TOLD_TEST(texts_keep_to_the_receivers_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
