/* slack.c - slash commands and buttons of a Slack app.
 *
 * The proof is v0=HMAC-SHA256(secret, "v0:<timestamp>:<body>"), at most five minutes from now on
 * either side. "ssl_check" probes come unsigned: they get their 200, and whatever else they carry
 * is not looked at. A slash command is answered in the answer itself, a button by its response URL.
 * Source: facts on integrations, 3.1.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>

#include "chat.h"
#include "command_private.h"
#include "proof.h"
#include "types.h"

#define SIGNATURE_CHARS (3 + 2 * RB_SHA256_BYTES)
#define TEXT_CHARS_MAX 2900
#define BUTTON "button"

static const char *const own_keys[] = {"api", "commands", NULL};

/* signature - "v0=…" of @body. */
static void signature(const struct rb_secret *secret, const char *timestamp, struct rb_slice body,
                      char ret_s[SIGNATURE_CHARS + 1])
{
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(body.len + 64);
    uint8_t mac[RB_SHA256_BYTES];
    rb_buf_addf(&b, "v0:%s:", timestamp);
    rb_buf_add(&b, body.ptr, body.len);
    rb_hmac_sha256(rb_secret_data(secret), rb_secret_len(secret), rb_buf_str(&b), b.len, mac);
    memcpy(ret_s, "v0=", 3);
    rb_hex(mac, sizeof mac, ret_s + 3);
}

static bool is_probe(const struct rb_request *req)
{
    static const char probe[] = "ssl_check=1";
    struct rb_slice body = req->body;
    if (!rb_proof_is_form(req)) {
        return false;
    }
    const char *p = body.ptr, *end = body.ptr + body.len;
    while (p != NULL && p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        size_t n = (size_t)((amp == NULL ? end : amp) - p);
        if (n == sizeof probe - 1 && memcmp(p, probe, n) == 0) {
            return true;
        }
        p = amp == NULL ? NULL : amp + 1;
    }
    return false;
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    if (is_probe(req)) {
        return RB_OK; /* parse looks at nothing else of it */
    }
    const char *timestamp = rb_proof_header(req, "x-slack-request-timestamp");
    const char *presented = rb_proof_header(req, "x-slack-signature");
    if (presented == NULL || strlen(presented) != SIGNATURE_CHARS ||
        !rb_proof_timely(timestamp, req->now_ms)) {
        return rb_proof_denied(err);
    }
    unsigned matches = 0;
    for (unsigned i = 0; i < s->secrets.n; i++) {
        const struct rb_secret_entry *e = &s->secrets.items[i];
        char wanted[SIGNATURE_CHARS + 1];
        signature(e->secret, timestamp, req->body, wanted);
        unsigned equal = rb_const_eq(wanted, presented, SIGNATURE_CHARS) ? 1U : 0U;
        unsigned alive = e->not_after_ms == 0 || req->now_ms <= e->not_after_ms ? 1U : 0U;
        matches |= equal & alive;
    }
    return matches != 0 ? RB_OK : rb_proof_denied(err);
}

static enum rb_code press(const json_t *payload, const json_t *action, enum rb_command_verb verb,
                          const struct rb_request *req, struct rb_arena *a,
                          struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_command *c = rb_arena_alloc(a, sizeof *c);
    const char *value = rb_chat_text(action, "value", a);
    if (c == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
    }
    *c = (struct rb_command){.verb = verb, .build = RB_BUILD_INIT};
    if (value == NULL || (!rb_command_target(value, a, c) && c->trouble == NULL)) {
        return rb_err_set(err, RB_E_INVALID, "the button has no value: a retry's id or a build");
    }
    const char *at = rb_chat_text(payload, "container.message_ts", a);
    const char *pressed = rb_chat_text(action, "action_ts", a);
    const char *channel = rb_chat_text(payload, "channel.id", a);
    const char *thread = rb_chat_text(payload, "message.thread_ts", a);
    c->actor.id = rb_chat_text(payload, "user.id", a);
    c->actor.name = rb_chat_text(payload, "user.username", a);
    c->place.channel = channel != NULL ? channel : rb_chat_text(payload, "container.channel_id", a);
    c->place.thread = thread != NULL ? thread : at;
    c->place.comment_kind = BUTTON;
    c->reply = rb_chat_reply(rb_chat_text(payload, "response_url", a), req->now_ms, a);
    if (c->actor.id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the payload does not say who pressed (user.id)");
    }
    *ret_events = (struct rb_events){.commands = c, .n_commands = 1};
    if (at != NULL && pressed != NULL) {
        ret_events->delivery_id = rb_arena_printf(a, "%s/%s/%s", at, pressed, c->actor.id);
    }
    return RB_OK;
}

static enum rb_code interactive(const char *payload, const struct rb_request *req,
                                struct rb_arena *a, struct rb_events *ret_events,
                                struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    enum rb_code rc = rb_json_load(payload, strlen(payload), &j, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "payload");
    }
    const json_t *actions = json_object_get(j, "actions");
    for (size_t i = 0; i < json_array_size(actions) && i < 5; i++) {
        const json_t *action = json_array_get(actions, i);
        enum rb_command_verb verb = RB_COMMAND_RETRY;
        if (rb_chat_button(rb_chat_text(action, "action_id", a), &verb)) {
            return press(j, action, verb, req, a, ret_events, err);
        }
    }
    rb_chat_ack(ret_events, 200, ""); /* links report that they were pressed, other apps' too */
    return RB_OK;
}

static enum rb_code event(const struct rb_request *req, struct rb_arena *a,
                          struct rb_events *ret_events, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(8192);
    enum rb_code rc = rb_json_load(req->body.ptr, req->body.len, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const char *type = rb_chat_text(j, "type", a);
    const char *challenge = rb_chat_text(j, "challenge", a);
    if (!rb_str_eq(type, "url_verification") || challenge == NULL) {
        *ret_events = (struct rb_events){
            .ignored = "events are not followed; use a slash command or a button"};
        return RB_OK;
    }
    rb_buf_adds(&b, "{\"challenge\":");
    rb_buf_add_json_string(&b, challenge, strlen(challenge));
    rb_buf_addc(&b, '}');
    const char *answer = rb_arena_strdup(a, rb_buf_str(&b));
    if (answer == NULL || rb_buf_failed(&b)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the challenge is too long");
    }
    rb_chat_ack(ret_events, 200, answer);
    return RB_OK;
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    (void)s;
    if (is_probe(req)) {
        rb_chat_ack(ret_events, 200, "");
        return RB_OK;
    }
    if (!rb_proof_is_form(req)) {
        return event(req, a, ret_events, err);
    }
    const char *payload = rb_chat_field(req->body, "payload", a);
    if (payload != NULL) {
        return interactive(payload, req, a, ret_events, err);
    }
    if (rb_chat_field(req->body, "command", a) == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the form has neither 'command' nor 'payload'");
    }
    return rb_chat_slash(req, a, ret_events, err);
}

static void message(const struct rb_outcome *o, bool replace, struct rb_buf *out)
{
    rb_buf_addf(out,
                "{\"response_type\":\"%s\",\"text\":", o->in_public ? "in_channel" : "ephemeral");
    rb_chat_add_text(out, rb_chat_message(o), true, TEXT_CHARS_MAX);
    rb_buf_addf(out, ",\"replace_original\":%s}", replace ? "true" : "false");
}

/* A button's acknowledgement is empty: Slack shows none of it (push below is what it shows). */
static enum rb_code answer(const struct rb_source_setting *s, const struct rb_request *req,
                           const struct rb_outcome *o, struct rb_buf *out, unsigned *ret_status,
                           const char **ret_type)
{
    (void)s;
    static const char payload[] = "payload=";
    bool button =
        req->body.len > sizeof payload && memcmp(req->body.ptr, payload, sizeof payload - 1) == 0;
    *ret_status = 200;
    *ret_type = "application/json";
    if (!button && rb_chat_message(o)[0] != '\0') {
        message(o, false, out);
    }
    return RB_OK;
}

static bool is_button(const struct rb_command *c)
{
    return rb_str_eq(c->place.comment_kind, BUTTON);
}

/* tell - by the response URL. What everybody may see of a button takes the place of the message, so
 * that nobody presses twice. */
static bool tell(const struct rb_command *c, const struct rb_outcome *o, struct rb_arena *a,
                 struct rb_push *ret_p)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(65536);
    const char *url = rb_chat_reply_url(c);
    if (url == NULL || rb_chat_message(o)[0] == '\0') {
        return false;
    }
    message(o, o->in_public && is_button(c), &b);
    *ret_p = (struct rb_push){.url = url, .body = rb_arena_strdup(a, rb_buf_str(&b))};
    return ret_p->body != NULL && !rb_buf_failed(&b);
}

static bool push(const struct rb_command *c, const struct rb_outcome *o, struct rb_arena *a,
                 struct rb_push *ret_p)
{
    return is_button(c) && tell(c, o, a, ret_p);
}

/* defer - who typed something sees that it was heard. */
static bool defer(const struct rb_command *c, struct rb_buf *out)
{
    static const struct rb_outcome heard = {.message = "Working on it…"};
    if (rb_chat_reply_url(c) == NULL) {
        return false;
    }
    if (!is_button(c)) {
        message(&heard, false, out);
    }
    return true;
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)header;
    char text[SIGNATURE_CHARS + 1];
    const char *timestamp = rb_arena_printf(a, "%lld", (long long)(now_ms / 1000));
    if (timestamp == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a header");
    }
    signature(secret, timestamp, body, text);
    return rb_chat_headers(ret_headers,
                           rb_arena_printf(a, "X-Slack-Request-Timestamp: %s", timestamp),
                           rb_arena_printf(a, "X-Slack-Signature: %s", text), err);
}

const struct rb_source_type rb_source_slack = {
    .type = "slack",
    .keys = own_keys,
    .media = RB_MEDIA_FORM,
    .check = rb_chat_need_secrets,
    .verify = verify,
    .parse = parse,
    .answer = answer,
    .push = push,
    .defer = defer,
    .late = tell,
    .content_type = rb_proof_form_or_json,
    .sign = sign,
};
