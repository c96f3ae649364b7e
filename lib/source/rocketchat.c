/* rocketchat.c - outgoing webhooks of Rocket.Chat. Nothing is signed: the token in the body is the
 * proof, so the body is read before it is believed. Source: facts on integrations, 3.4. */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "chat.h"
#include "proof.h"
#include "types.h"

#define TEXT_CHARS_MAX 4000

static const char *const own_keys[] = {"api", "commands", NULL};

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *token = NULL;
    if (rb_json_load(req->body.ptr, req->body.len, &j, NULL) == RB_OK) {
        token = json_string_value(json_object_get(j, "token"));
    }
    bool match = rb_secrets_match(&s->secrets, token == NULL ? "" : token,
                                  token == NULL ? 0 : strlen(token), req->now_ms);
    return match && token != NULL ? RB_OK : rb_proof_denied(err);
}

/* said - the text behind the word that triggered the hook. */
static const char *said(const json_t *j, struct rb_arena *a)
{
    const char *text = rb_chat_text(j, "text", a);
    const char *trigger = rb_chat_text(j, "trigger_word", a);
    size_t n = trigger == NULL ? 0 : strlen(trigger);
    if (text != NULL && n > 0 && strncmp(text, trigger, n) == 0 &&
        (text[n] == ' ' || text[n] == '\0')) {
        return text + n;
    }
    return text == NULL ? "" : text;
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    (void)s;
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    enum rb_code rc = rb_json_load(req->body.ptr, req->body.len, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const json_t *bot = json_object_get(j, "bot");
    if (bot != NULL && !json_is_false(bot) && !json_is_null(bot)) {
        *ret_events = (struct rb_events){.ignored = "said by a bot"};
        return RB_OK;
    }
    struct rb_events events = {.delivery_id = rb_chat_text(j, "message_id", a)};
    rc = rb_chat_command(said(j, a), a, &events, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_command *c = events.commands;
    c->actor.id = rb_chat_text(j, "user_id", a);
    c->actor.name = rb_chat_text(j, "user_name", a);
    c->place.channel = rb_chat_text(j, "channel_id", a);
    if (c->actor.id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the message does not say who wrote it (user_id)");
    }
    *ret_events = events;
    return RB_OK;
}

static enum rb_code answer(const struct rb_source_setting *s, const struct rb_request *req,
                           const struct rb_outcome *o, struct rb_buf *out, unsigned *ret_status,
                           const char **ret_type)
{
    (void)s;
    (void)req;
    *ret_status = 200;
    *ret_type = "application/json";
    rb_buf_adds(out, "{\"text\":");
    rb_chat_add_text(out, rb_chat_message(o), false, TEXT_CHARS_MAX);
    rb_buf_addc(out, '}');
    return RB_OK;
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)secret; /* the body's own member 'token' must be the secret: no header says it */
    (void)header;
    (void)body;
    (void)now_ms;
    return rb_chat_headers(ret_headers, rb_arena_strdup(a, "User-Agent: Rocket.Chat"), NULL, err);
}

const struct rb_source_type rb_source_rocketchat = {
    .type = "rocketchat",
    .keys = own_keys,
    .check = rb_chat_need_secrets,
    .verify = verify,
    .parse = parse,
    .answer = answer,
    .sign = sign,
};
