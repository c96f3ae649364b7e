/* teams.c - an outgoing webhook of Microsoft Teams: "@retrybuild retry last" in a public channel.
 *
 * The proof is "HMAC <base64>" over the raw body, the key being the security token decoded from
 * base64. The answer is all there is: Teams has no way to be answered later. Source: facts on
 * integrations, 3.2.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>

#include "chat.h"
#include "proof.h"
#include "types.h"

#define TEXT_CHARS_MAX 8000
#define KEY_BYTES_MAX 256
#define MAC_BYTES_MAX 64
#define PREFIX "HMAC "

static const char *const own_keys[] = {"api", "commands", NULL};

/* signature - base64 of the body's HMAC into @out; false when the secret is not base64. */
static bool signature(const struct rb_secret *secret, struct rb_slice body, struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(KEY_BYTES_MAX);
    uint8_t mac[RB_SHA256_BYTES];
    bool ok = rb_unbase64(rb_secret_data(secret), rb_secret_len(secret), &key) && key.len > 0 &&
              !rb_buf_failed(&key);
    rb_hmac_sha256(rb_buf_str(&key), key.len, body.ptr, body.len, mac);
    rb_base64(mac, sizeof mac, out);
    rb_wipe(key.data, key.data == NULL ? 0 : key.len);
    return ok;
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    const char *presented = rb_proof_header(req, "authorization");
    unsigned matches = 0;
    if (presented == NULL || !rb_str_starts(presented, PREFIX)) {
        return rb_proof_denied(err);
    }
    presented += strlen(PREFIX);
    for (unsigned i = 0; i < s->secrets.n; i++) {
        const struct rb_secret_entry *e = &s->secrets.items[i];
        RB_CLEANUP(rb_buf_release) struct rb_buf wanted = RB_BUF_INIT(MAC_BYTES_MAX);
        unsigned good = signature(e->secret, req->body, &wanted) ? 1U : 0U;
        unsigned equal = strlen(presented) == wanted.len &&
                                 rb_const_eq(rb_buf_str(&wanted), presented, wanted.len)
                             ? 1U
                             : 0U;
        unsigned alive = e->not_after_ms == 0 || req->now_ms <= e->not_after_ms ? 1U : 0U;
        matches |= good & equal & alive;
    }
    return matches != 0 ? RB_OK : rb_proof_denied(err);
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
    const char *type = rb_chat_text(j, "type", a);
    const char *text = rb_chat_text(j, "text", a);
    if (!rb_str_eq(type, "message") || text == NULL) {
        *ret_events = (struct rb_events){.ignored = "not a message"};
        return RB_OK;
    }
    struct rb_events events = {.delivery_id = NULL};
    rc = rb_chat_command(text, a, &events, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_command *c = events.commands;
    const char *user = rb_chat_text(j, "from.aadObjectId", a);
    const char *id = rb_chat_text(j, "id", a);
    const char *conversation = rb_chat_text(j, "conversation.id", a);
    const char *channel = rb_chat_text(j, "channelData.teamsChannelId", a);
    c->actor.id = user != NULL ? user : rb_chat_text(j, "from.id", a);
    c->actor.name = rb_chat_text(j, "from.name", a);
    c->place.channel = channel != NULL ? channel : conversation;
    if (c->actor.id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the message does not say who wrote it (from.id)");
    }
    if (id != NULL) {
        events.delivery_id =
            rb_arena_printf(a, "%s/%s", conversation == NULL ? "" : conversation, id);
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
    rb_buf_adds(out, "{\"type\":\"message\",\"text\":");
    rb_chat_add_text(out, rb_chat_message(o), false, TEXT_CHARS_MAX);
    rb_buf_addc(out, '}');
    return RB_OK;
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)header;
    (void)now_ms;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAC_BYTES_MAX);
    if (!signature(secret, body, &text)) {
        return rb_err_set(err, RB_E_INVALID, "the secret must be the webhook's token, in base64");
    }
    return rb_chat_headers(ret_headers,
                           rb_arena_printf(a, "Authorization: " PREFIX "%s", rb_buf_str(&text)),
                           NULL, err);
}

static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    for (unsigned i = 0; i < s->secrets.n; i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAC_BYTES_MAX);
        if (!signature(s->secrets.items[i].secret, (struct rb_slice){"", 0}, &text)) {
            *ret_key = "secrets";
            return rb_err_set(err, RB_E_INVALID,
                              "a secret of a source of type teams is the webhook's security token, "
                              "base64 as Teams shows it");
        }
    }
    return rb_chat_need_secrets(s, ret_key, err);
}

const struct rb_source_type rb_source_teams = {
    .type = "teams",
    .keys = own_keys,
    .check = check,
    .verify = verify,
    .parse = parse,
    .answer = answer,
    .sign = sign,
};
