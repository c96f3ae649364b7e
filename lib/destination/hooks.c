/* teams, discord, mattermost, rocketchat, googlechat - incoming webhooks of chat systems: one
 * message each time. Source: facts on integrations, 3.2, 3.3, 3.4. */
#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#include "internal.h"
#include "render.h"

#define TEXT_MAX_BYTES 32768
#define DISCORD_MAX_CHARS 2000
#define MATTERMOST_MAX_CHARS 16383
#define ROCKETCHAT_MAX_CHARS 5000
#define GOOGLECHAT_MAX_CHARS 4096
#define TEAMS_MAX_CHARS 4000 /* of a card of 28 KB */

/* The sentence, and what follows from it. */
static void full_text(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out)
{
    rb_text_summary(v, markup, out);
    rb_buf_addc(out, '\n');
    rb_text_next(v, markup, out);
    if (out->len > 0 && out->data[out->len - 1] == '\n') {
        rb_buf_truncate(out, out->len - 1);
    }
}

static json_t *text_of(const struct rb_report_view *v, enum rb_markup markup, size_t max_chars)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);

    full_text(v, markup, &text);
    return rb_text_json(&text, max_chars);
}

/* Is a key of this name in the query of @url? */
static bool has_query_key(const char *url, const char *key)
{
    const char *q = strchr(url, '?');
    size_t len = strlen(key);

    while (q != NULL) {
        if (strncmp(q + 1, key, len) == 0 && q[1 + len] == '=') {
            return true;
        }
        q = strchr(q + 1, '&');
    }
    return false;
}

static const char *with_query(struct rb_arena *a, const char *url, const char *key,
                              const char *value)
{
    return has_query_key(url, key)
               ? url
               : rb_arena_printf(a, "%s%c%s=%s", url, strchr(url, '?') == NULL ? '?' : '&', key,
                                 value);
}

static enum rb_code render_with(const struct rb_destination_setting *d, struct rb_arena *a,
                                json_t *take_body, struct rb_rendered *ret_r, struct rb_err *err)
{
    const char *url = NULL;
    enum rb_code rc = rb_render_url(d, a, &url, err);

    if (rc != RB_OK) {
        json_decref(take_body);
        return rc;
    }
    return rb_render_json(a, url, take_body, ret_r, err);
}

static enum rb_code check_url(const struct rb_destination_setting *d, const char **ret_key,
                              struct rb_err *err)
{
    *ret_key = "url";
    return d->url == NULL
               ? rb_err_set(err, RB_E_INVALID, "%s needs url, the incoming webhook's", d->type)
               : RB_OK;
}

static const char *const own_keys[] = {"url", NULL};

/* ---- Discord ---- */

static enum rb_code render_discord(const struct rb_destination_setting *d,
                                   const struct rb_report_view *v, struct rb_arena *a,
                                   struct rb_rendered *ret_r, struct rb_err *err)
{
    json_t *body = json_pack("{s:o, s:{s:[]}, s:i}", "content",
                             text_of(v, RB_MARKUP_DISCORD, DISCORD_MAX_CHARS), "allowed_mentions",
                             "parse", "flags", 4 /* no previews of links */);
    struct rb_rendered r = {.method = NULL};
    enum rb_code rc = render_with(d, a, body, &r, err);

    if (rc == RB_OK) {
        r.url = with_query(a, r.url, "wait", "true");
        *ret_r = r;
    }
    return rc == RB_OK && r.url == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a report")
                                        : rc;
}

/* The body of a 429 is more exact than the header: seconds with a fraction. */
static void judge_discord(struct rb_poster *p)
{
    if (p->answer.status != 429) {
        return;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *j = rb_poster_json(p);
    double s = json_number_value(json_object_get(j, "retry_after"));
    if (s > 0 && s < 1e6) {
        rb_poster_limited(p, (int64_t)(s * 1000) + 1, "the receiver answered 429");
    }
}

const struct rb_destination_type rb_destination_discord = {
    .type = "discord",
    .chat = true,
    .keys = own_keys,
    .check = check_url,
    .render = render_discord,
    .judge = judge_discord,
    .pace_ms = 400, /* five in two seconds */
};

/* ---- Mattermost, Rocket.Chat ---- */

static enum rb_code render_mattermost(const struct rb_destination_setting *d,
                                      const struct rb_report_view *v, struct rb_arena *a,
                                      struct rb_rendered *ret_r, struct rb_err *err)
{
    return render_with(
        d, a, json_pack("{s:o}", "text", text_of(v, RB_MARKUP_MARKDOWN, MATTERMOST_MAX_CHARS)),
        ret_r, err);
}

const struct rb_destination_type rb_destination_mattermost = {
    .type = "mattermost",
    .chat = true,
    .keys = own_keys,
    .check = check_url,
    .render = render_mattermost,
};

static enum rb_code render_rocketchat(const struct rb_destination_setting *d,
                                      const struct rb_report_view *v, struct rb_arena *a,
                                      struct rb_rendered *ret_r, struct rb_err *err)
{
    return render_with(d, a,
                       json_pack("{s:o, s:b}", "text",
                                 text_of(v, RB_MARKUP_MARKDOWN, ROCKETCHAT_MAX_CHARS), "parseUrls",
                                 0),
                       ret_r, err);
}

const struct rb_destination_type rb_destination_rocketchat = {
    .type = "rocketchat",
    .chat = true,
    .keys = own_keys,
    .check = check_url,
    .render = render_rocketchat,
};

/* ---- Google Chat ---- */

/* requestId makes the post idempotent; the thread is the chain's. */
static enum rb_code render_googlechat(const struct rb_destination_setting *d,
                                      const struct rb_report_view *v, struct rb_arena *a,
                                      struct rb_rendered *ret_r, struct rb_err *err)
{
    json_t *body =
        json_pack("{s:o, s:{s:s}}", "text", text_of(v, RB_MARKUP_SLACK, GOOGLECHAT_MAX_CHARS),
                  "thread", "threadKey", v->retry->chain);
    struct rb_rendered r = {.method = NULL};
    enum rb_code rc = render_with(d, a, body, &r, err);

    if (rc == RB_OK) {
        r.url = with_query(a, r.url, "messageReplyOption", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");
        r.url = r.url == NULL ? NULL : with_query(a, r.url, "requestId", v->message_id);
        *ret_r = r;
    }
    return rc == RB_OK && r.url == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a report")
                                        : rc;
}

const struct rb_destination_type rb_destination_googlechat = {
    .type = "googlechat",
    .chat = true,
    .keys = own_keys,
    .check = check_url,
    .render = render_googlechat,
    .pace_ms = 1000,
};

/* ---- Teams ---- */

static json_t *card(const struct rb_report_view *v, struct rb_arena *a)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf title = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf escaped = RB_BUF_INIT(TEXT_MAX_BYTES);
    const struct rb_retry *r = v->retry;
    const char *url = rb_text_build_url(r->has_child ? &r->child : &r->build, a);

    rb_text_title(v, &title);
    rb_text_escape(RB_MARKUP_MARKDOWN, rb_buf_str(&title), &escaped);
    json_t *actions = json_array();
    if (url != NULL) {
        (void)json_array_append_new(actions, json_pack("{s:s, s:s, s:s}", "type", "Action.OpenUrl",
                                                       "title", "Open build", "url", url));
    }
    return json_pack("{s:s, s:s, s:s, s:[{s:s, s:o, s:s, s:b}, {s:s, s:o, s:b}], s:o}", "$schema",
                     "http://adaptivecards.io/schemas/adaptive-card.json", "type", "AdaptiveCard",
                     "version", "1.4", "body", "type", "TextBlock", "text",
                     rb_text_json(&escaped, TEAMS_MAX_CHARS), "weight", "Bolder", "wrap", 1, "type",
                     "TextBlock", "text", text_of(v, RB_MARKUP_MARKDOWN, TEAMS_MAX_CHARS), "wrap",
                     1, "actions", actions);
}

static enum rb_code render_teams(const struct rb_destination_setting *d,
                                 const struct rb_report_view *v, struct rb_arena *a,
                                 struct rb_rendered *ret_r, struct rb_err *err)
{
    return render_with(d, a,
                       json_pack("{s:s, s:[{s:s, s:o}]}", "type", "message", "attachments",
                                 "contentType", "application/vnd.microsoft.card.adaptive",
                                 "content", card(v, a)),
                       ret_r, err);
}

const struct rb_destination_type rb_destination_teams = {
    .type = "teams",
    .chat = true,
    .keys = own_keys,
    .check = check_url,
    .render = render_teams,
    .pace_ms = 250,
};
