/* slack - by bot token: one message a chain, edited in place, each step in its thread, the channel
 * told only of the end. By an incoming webhook: one message each time.
 *
 * The receipt is "CHANNEL TS" of the message. Slack answers 200 whatever happens; "ok" counts.
 * Source: facts on integrations, 3.1.
 */
#include <stdio.h>

#include <retrybuild/cleanup.h>

#include "internal.h"
#include "render.h"

#define TEXT_MAX_BYTES 16384
#define SECTION_MAX_CHARS 3000
#define BUTTON_VALUE_MAX 2000
#define ERROR_MAX 64

static json_t *button(const char *action, const char *label, const char *style, const char *value)
{
    json_t *b = json_pack("{s:s, s:s, s:{s:s, s:s}, s:s}", "type", "button", "action_id", action,
                          "text", "type", "plain_text", "text", label, "value", value);

    if (style != NULL) {
        (void)json_object_set_new(b, "style", json_string(style));
    }
    return b;
}

static json_t *buttons(const struct rb_retry *r)
{
    json_t *list = json_array();

    if (r->state == RB_STATE_HELD) {
        (void)json_array_append_new(list,
                                    button("retrybuild_approve", "Approve", "primary", r->id));
        (void)json_array_append_new(list, button("retrybuild_deny", "Deny", "danger", r->id));
    } else if (rb_render_retryable(r) && strlen(rb_render_target(r)) <= BUTTON_VALUE_MAX) {
        (void)json_array_append_new(list,
                                    button("retrybuild_retry", "Retry", NULL, rb_render_target(r)));
    }
    return list;
}

static json_t *section(struct rb_buf *text)
{
    return json_pack("{s:s, s:{s:s, s:o}}", "type", "section", "text", "type", "mrkdwn", "text",
                     rb_text_json(text, SECTION_MAX_CHARS));
}

static json_t *blocks(const struct rb_report_view *v)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf summary = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf next = RB_BUF_INIT(TEXT_MAX_BYTES);
    json_t *list = json_array(), *actions = buttons(v->retry);

    rb_text_summary(v, RB_MARKUP_SLACK, &summary);
    rb_text_next(v, RB_MARKUP_SLACK, &next);
    (void)json_array_append_new(list, section(&summary));
    if (next.len > 0) {
        (void)json_array_append_new(list, json_pack("{s:s, s:[{s:s, s:o}]}", "type", "context",
                                                    "elements", "type", "mrkdwn", "text",
                                                    rb_text_json(&next, SECTION_MAX_CHARS)));
    }
    if (json_array_size(actions) > 0) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "type", "actions",
                                                    "block_id", v->retry->id, "elements", actions));
    }
    json_decref(actions);
    return list;
}

/* What a notification shows; nothing of it is markup. */
static json_t *message(const struct rb_report_view *v)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf title = RB_BUF_INIT(TEXT_MAX_BYTES);

    rb_text_title(v, &title);
    rb_text_escape(RB_MARKUP_SLACK, rb_buf_str(&title), &text);
    return json_pack("{s:o, s:o}", "text", rb_text_json(&text, SECTION_MAX_CHARS), "blocks",
                     blocks(v));
}

static enum rb_code render_hook(const struct rb_destination_setting *d,
                                const struct rb_report_view *v, struct rb_arena *a,
                                struct rb_rendered *ret_r, struct rb_err *err)
{
    const char *url = NULL;
    enum rb_code rc = rb_render_url(d, a, &url, err);

    return rc == RB_OK ? rb_render_json(a, url, message(v), ret_r, err) : rc;
}

/* ---- the Web API ---- */

/* One method; true when Slack says ok. */
static bool call(struct rb_poster *p, const char *method, json_t *take_body)
{
    const struct rb_api_setting *api = &p->d->api;
    struct rb_rendered r;
    struct rb_err err = {.code = RB_OK};
    const char *root = api->url == NULL ? "https://slack.com/api" : api->url;

    if (api->token == NULL) {
        json_decref(take_body);
        rb_poster_fail(p, "the configuration has no api.token for Slack");
        return false;
    }
    const char *url = rb_arena_printf(p->a, "%s/%s", root, method);
    if (rb_render_json(p->a, url, take_body, &r, &err) != RB_OK ||
        !rb_render_header(
            &r, rb_arena_printf(p->a, "Authorization: Bearer %s", rb_secret_data(api->token)))) {
        rb_poster_fail(p, "no memory for a report");
        return false;
    }
    return rb_poster_send(p, &r);
}

static bool is_word(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(s) && strlen(s) < ERROR_MAX;
}

static bool among(const char *word, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (rb_str_eq(word, *list)) {
            return true;
        }
    }
    return false;
}

static void judge(struct rb_poster *p)
{
    static const char *const passing[] = {"internal_error",      "fatal_error",
                                          "service_unavailable", "request_timeout",
                                          "team_added_to_org",   NULL};

    if (p->answer.status != 200 || p->d->api.token == NULL) {
        return;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *j = rb_poster_json(p);
    if (json_is_true(json_object_get(j, "ok"))) {
        return;
    }
    const char *error = json_string_value(json_object_get(j, "error"));
    char text[ERROR_MAX + 32];
    error = error != NULL && is_word(error) ? error : "no answer that can be read";
    snprintf(text, sizeof(text), "Slack answered: %s", error);
    if (rb_str_eq(error, "ratelimited") || rb_str_eq(error, "rate_limited")) {
        rb_poster_limited(p, rb_http_retry_after_ms(&p->answer, p->v->now_ms), text);
    } else if (among(error, passing)) {
        rb_poster_again(p, -1, text);
    } else {
        rb_poster_fail(p, text);
    }
}

/* The message can no longer be edited: there will be a new one. */
static bool message_is_lost(const struct rb_poster *p)
{
    static const char *const lost[] = {"message_not_found", "cant_update_message",
                                       "edit_window_closed", NULL};
    RB_CLEANUP(rb_json_decrefp) json_t *j = rb_poster_json(p);

    return p->ret->verdict == RB_POST_DEAD && p->answer.status == 200 &&
           among(json_string_value(json_object_get(j, "error")), lost);
}

/* The same id on every attempt, for whoever wants to tell repeats. */
static json_t *metadata(const struct rb_report_view *v)
{
    return json_pack("{s:s, s:{s:s, s:s, s:s}}", "event_type", "retrybuild_report", "event_payload",
                     "id", v->message_id, "retry", v->retry->id, "state",
                     rb_state_name(v->retry->state));
}

static void keep_message(struct rb_poster *p)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = rb_poster_json(p);
    const char *channel = json_string_value(json_object_get(j, "channel"));
    const char *ts = json_string_value(json_object_get(j, "ts"));

    if (channel != NULL && ts != NULL && strchr(channel, ' ') == NULL) {
        const char *receipt = rb_arena_printf(p->a, "%s %s", channel, ts);
        (void)(receipt != NULL && rb_poster_keep(p, receipt));
    }
}

/* Who asked in a channel is answered there, where the destination says so. */
static const char *first_channel(const struct rb_poster *p)
{
    const struct rb_retry *r = p->v->retry;
    bool there = p->d->reply && r->channel != NULL && rb_str_eq(r->source.type, "slack");

    return there ? r->channel : p->d->channel;
}

static void post_new(struct rb_poster *p)
{
    json_t *body = message(p->v);

    (void)json_object_set_new(body, "channel", json_string(first_channel(p)));
    (void)json_object_set_new(body, "unfurl_links", json_false());
    (void)json_object_set_new(body, "metadata", metadata(p->v));
    if (call(p, "chat.postMessage", body)) {
        keep_message(p);
    }
}

/* In the thread of the message; the end of it all is shown in the channel too. */
static void post_detail(struct rb_poster *p, const char *channel, const char *ts)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);

    rb_text_summary(p->v, RB_MARKUP_SLACK, &text);
    json_t *body = json_pack("{s:s, s:s, s:o, s:b, s:b, s:o}", "channel", channel, "thread_ts", ts,
                             "text", rb_text_json(&text, SECTION_MAX_CHARS), "reply_broadcast",
                             rb_text_final(p->v->retry) ? 1 : 0, "unfurl_links", 0, "metadata",
                             metadata(p->v));
    (void)call(p, "chat.postMessage", body);
}

static void post_by_token(struct rb_poster *p)
{
    const char *receipt = p->v->receipt;
    const char *blank = receipt == NULL ? NULL : strchr(receipt, ' ');

    if (blank == NULL) {
        post_new(p);
        return;
    }
    const char *channel = rb_arena_strndup(p->a, receipt, (size_t)(blank - receipt));
    const char *ts = rb_arena_strdup(p->a, blank + 1);
    json_t *body = message(p->v);
    if (channel == NULL || ts == NULL || body == NULL) {
        json_decref(body);
        rb_poster_again(p, -1, "no memory for a report");
        return;
    }
    (void)json_object_set_new(body, "channel", json_string(channel));
    (void)json_object_set_new(body, "ts", json_string(ts));
    if (call(p, "chat.update", body)) {
        post_detail(p, channel, ts);
    } else if (message_is_lost(p)) {
        post_new(p);
    }
}

static void post(struct rb_poster *p)
{
    struct rb_rendered r;
    struct rb_err err = {.code = RB_OK};

    if (p->d->url == NULL) {
        post_by_token(p);
    } else if (render_hook(p->d, p->v, p->a, &r, &err) == RB_OK) {
        (void)rb_poster_send(p, &r);
    } else {
        rb_poster_fail(p, err.msg);
    }
}

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err)
{
    if (d->url != NULL) {
        *ret_key = d->api.token != NULL ? "api.token" : "channel";
        return d->api.token == NULL && d->channel == NULL
                   ? RB_OK
                   : rb_err_set(err, RB_E_INVALID, "give url, or api.token and channel, not both");
    }
    if (d->api.token == NULL) {
        *ret_key = "url";
        return rb_err_set(err, RB_E_INVALID,
                          "slack needs url (an incoming webhook), or api.token and channel");
    }
    *ret_key = "channel";
    return rb_str_empty(d->channel) ? rb_err_set(err, RB_E_INVALID, "slack with api needs channel")
                                    : RB_OK;
}

static const char *const own_keys[] = {"url", "api", "channel", NULL};

const struct rb_destination_type rb_destination_slack = {
    .type = "slack",
    .chat = true,
    .keys = own_keys,
    .check = check,
    .post = post,
    .judge = judge,
    .pace_ms = 1000,
};
