/* reply_url.c - later answers to who gave a command in a chat: by the response URL of Slack and
 * Mattermost, and by the webhook of a Discord interaction.
 *
 * The handle is "<good until, unix ms> <URL>": a secret, kept with the retry. A URL is good for
 * some minutes and, at Slack and Mattermost, five uses: after that the platform refuses, and the
 * report is dead. Source: facts on integrations, 3.1, 3.3, 3.4.
 */
#include <retrybuild/cleanup.h>

#include "internal.h"

#define TEXT_MAX_BYTES 4096
#define REASON_CHARS 300

enum form { FORM_SLACK, FORM_MATTERMOST, FORM_DISCORD };

static const char *words(const struct rb_retry *r)
{
    switch ((int)r->state) {
    case RB_STATE_HELD:
        return "waits for approval";
    case RB_STATE_RUNNING:
        return "is running again";
    case RB_STATE_RECOVERED:
        return "recovered";
    case RB_STATE_FAILED_AGAIN:
        return "failed again";
    case RB_STATE_DEAD:
        return "was given up";
    case RB_STATE_CANCELLED:
        return "was cancelled";
    default:
        return "was not retried";
    }
}

/* why - of what did not go well: the newest note, else what was decided. */
static const char *why(const struct rb_retry *r)
{
    if (r->state == RB_STATE_RECOVERED || r->state == RB_STATE_RUNNING) {
        return NULL;
    }
    for (unsigned i = r->n_history; i > 0; i--) {
        if (r->history[i - 1].state == r->state && r->history[i - 1].note != NULL) {
            return r->history[i - 1].note;
        }
    }
    return r->decision.reason;
}

static void add_escaped(const char *s, enum form form, struct rb_buf *out)
{
    for (size_t chars = 0; *s != '\0' && chars < REASON_CHARS; chars++) {
        size_t n = rb_utf8_seq(s, strlen(s));
        n = n == 0 ? 1 : n;
        if (form == FORM_SLACK && (*s == '&' || *s == '<' || *s == '>')) {
            rb_buf_adds(out, *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : "&gt;");
        } else {
            rb_buf_add(out, s, n);
            rb_buf_adds(out, form != FORM_SLACK && *s == '@' ? "\xe2\x80\x8b" : "");
        }
        s += n;
    }
}

static void text(const struct rb_retry *r, enum form form, struct rb_buf *out)
{
    const char *reason = why(r);
    rb_buf_addf(out, "`%s` (project %s) %s, attempt %lld", r->build.id, r->build.project, words(r),
                (long long)r->attempt);
    if (r->limit >= r->attempt) {
        rb_buf_addf(out, " of %lld", (long long)r->limit);
    }
    if (reason != NULL) {
        rb_buf_adds(out, ": ");
        add_escaped(reason, form, out);
    }
    if (r->has_child) {
        rb_buf_addf(out, " - `%s`", r->child.id);
    }
    rb_buf_adds(out, " - ");
    rb_build_add_link(r->has_child ? &r->child : &r->build, out);
    rb_buf_addf(out, " (%s)", r->id);
}

/* handle - the URL, while it is good. */
static enum rb_code handle(const struct rb_report_view *v, const char **ret_url, struct rb_err *err)
{
    const char *reply = v->retry->reply;
    const char *blank = reply == NULL ? NULL : strchr(reply, ' ');
    int64_t until_ms = 0;
    if (blank == NULL ||
        !rb_parse_i64((struct rb_slice){reply, (size_t)(blank - reply)}, &until_ms)) {
        return rb_err_set(err, RB_E_INVALID, "there is no address to answer to");
    }
    if (v->now_ms > until_ms) {
        return rb_err_set(err, RB_E_GONE,
                          "the time in which the command could be answered is over");
    }
    *ret_url = blank + 1;
    return RB_OK;
}

static enum rb_code render(enum form form, const struct rb_report_view *v, struct rb_arena *a,
                           struct rb_rendered *ret_r, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf said = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT((size_t)4 * TEXT_MAX_BYTES);
    const char *url = NULL;
    enum rb_code rc = handle(v, &url, err);
    if (rc != RB_OK) {
        return rc;
    }
    bool over = v->stage == RB_STAGE_FINISHED;
    bool original = form == FORM_DISCORD && v->stage == RB_STAGE_STARTED;
    text(v->retry, form, &said);
    if (form == FORM_DISCORD) {
        rb_buf_adds(&body, "{\"content\":");
    } else {
        rb_buf_addf(&body,
                    "{\"response_type\":\"%s\",\"text\":", over ? "in_channel" : "ephemeral");
    }
    rb_buf_add_json_string(&body, rb_buf_str(&said), said.len);
    rb_buf_adds(&body, form == FORM_DISCORD ? ",\"allowed_mentions\":{\"parse\":[]}}"
                       : form == FORM_SLACK ? ",\"replace_original\":false}"
                                            : "}");
    *ret_r = (struct rb_rendered){
        .method = original ? "PATCH" : "POST",
        .url =
            original ? rb_arena_printf(a, "%s/messages/@original", url) : rb_arena_strdup(a, url),
        .headers = {"Content-Type: application/json"},
        .body = rb_arena_strdup(a, rb_buf_str(&body)),
        .body_len = body.len,
    };
    return ret_r->url == NULL || ret_r->body == NULL || rb_buf_failed(&body)
               ? rb_err_set(err, RB_E_NOMEM, "no memory for a report")
               : RB_OK;
}

static enum rb_code render_slack(const struct rb_destination_setting *d,
                                 const struct rb_report_view *v, struct rb_arena *a,
                                 struct rb_rendered *ret_r, struct rb_err *err)
{
    (void)d;
    return render(FORM_SLACK, v, a, ret_r, err);
}

static enum rb_code render_mattermost(const struct rb_destination_setting *d,
                                      const struct rb_report_view *v, struct rb_arena *a,
                                      struct rb_rendered *ret_r, struct rb_err *err)
{
    (void)d;
    return render(FORM_MATTERMOST, v, a, ret_r, err);
}

static enum rb_code render_discord(const struct rb_destination_setting *d,
                                   const struct rb_report_view *v, struct rb_arena *a,
                                   struct rb_rendered *ret_r, struct rb_err *err)
{
    (void)d;
    return render(FORM_DISCORD, v, a, ret_r, err);
}

const struct rb_destination_type rb_reply_slack = {.type = "slack", .render = render_slack};
const struct rb_destination_type rb_reply_mattermost = {.type = "mattermost",
                                                        .render = render_mattermost};
const struct rb_destination_type rb_reply_discord = {.type = "discord", .render = render_discord};
