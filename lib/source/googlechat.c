/* googlechat.c - interaction events of a Google Chat app: mentions, slash commands, buttons of
 * cards.
 *
 * The proof is a token in the Authorization header, which Google signs for one audience: that of
 * the project's number by the service account of Chat, that of a URL as an identity of that
 * account. It covers no byte of the body, so it is looked at for as long as it lives and no longer.
 * Older apps get a fixed token in the body instead. Each that is configured must fit. Source: facts
 * on integrations, 3.4, and the types of Google's own client library.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>
#include <retrybuild/jwt.h>

#include "chat.h"
#include "command_private.h"
#include "proof.h"
#include "types.h"

#define TEXT_CHARS_MAX 4000
#define TEXT_BYTES_MAX 32768
#define CLAIMS_BYTES_MAX 2048
#define DRIFT_S 60
#define LIFE_S 3600
#define TOKEN_BYTES_MAX 8192
#define SCRATCH_BYTES ((size_t)64 * 1024)
#define ACCOUNT "chat@system.gserviceaccount.com"
#define IDENTITY_ISSUER "https://accounts.google.com"
#define PEM_BEGIN "-----BEGIN "
#define BEARER "Bearer "
#define PARAMETERS_MAX 16

static const char *const own_keys[] = {"api", "audience", "certificate_file", "commands", NULL};

static bool is_number(const char *audience)
{
    return audience[0] != '\0' && strspn(audience, "0123456789") == strlen(audience);
}

/* may_be - the token of this delivery, when it says what one of ours says. */
static bool may_be(const struct rb_source_setting *s, const struct rb_request *req,
                   struct rb_arena *a, struct rb_jwt *ret_t)
{
    const char *value = rb_proof_header(req, "authorization");
    int64_t now_s = req->now_ms / 1000;
    struct rb_jwt t;
    if (s->audience == NULL || value == NULL || !rb_str_starts(value, BEARER) ||
        rb_jwt_read(value + strlen(BEARER), a, &t, NULL) != RB_OK) {
        return false;
    }
    bool in_time = t.expires_s > now_s - DRIFT_S && t.issued_s > 0 && t.issued_s <= now_s + DRIFT_S;
    bool of_chat = is_number(s->audience) ? rb_str_eq(t.issuer, ACCOUNT)
                                          : (rb_str_eq(t.issuer, IDENTITY_ISSUER) &&
                                             t.email_verified && rb_str_eq(t.email, ACCOUNT));
    *ret_t = t;
    return in_time && of_chat && rb_str_eq(t.audience, s->audience);
}

/* certificate_url - the key's name stands behind '#': a document holds several. */
static const char *certificate_url(const struct rb_source_setting *s, const struct rb_request *req,
                                   struct rb_arena *a)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    struct rb_jwt t;
    if (s->certificate_file != NULL || !may_be(s, req, a, &t) || rb_str_empty(t.key_id) ||
        strlen(t.key_id) > 100 || strspn(t.key_id, letters) != strlen(t.key_id)) {
        return NULL;
    }
    return is_number(s->audience)
               ? rb_arena_printf(a,
                                 "https://www.googleapis.com/service_accounts/v1/metadata/x509/"
                                 "%s#%s",
                                 ACCOUNT, t.key_id)
               : rb_arena_printf(a, "https://www.googleapis.com/oauth2/v1/certs#%s", t.key_id);
}

/* certificate_pem - the document is an object of certificates by name. */
static const char *certificate_pem(const char *text, size_t len, const char *url,
                                   struct rb_arena *a)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *name = strchr(url, '#');
    if (name == NULL || rb_json_load(text, len, &j, NULL) != RB_OK) {
        return NULL;
    }
    const char *pem = json_string_value(json_object_get(j, name + 1));
    return pem == NULL ? NULL : rb_arena_strdup(a, pem);
}

static bool certificate_fits(const struct rb_certificate *c, const char *url, int64_t now_ms)
{
    return rb_str_starts(url, "https://www.googleapis.com/") && rb_certificate_valid_at(c, now_ms);
}

static bool token_fits(const struct rb_source_setting *s, const struct rb_request *req)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *token = NULL;
    if (rb_json_load(req->body.ptr, req->body.len, &j, NULL) == RB_OK) {
        token = json_string_value(json_object_get(j, "token"));
    }
    bool match = rb_secrets_match(&s->secrets, token == NULL ? "" : token,
                                  token == NULL ? 0 : strlen(token), req->now_ms);
    return match && token != NULL;
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_jwt t;
    rb_arena_init(&a, SCRATCH_BYTES);
    bool signed_well =
        s->audience == NULL || (req->certificate != NULL && may_be(s, req, &a, &t) &&
                                rb_certificate_valid_at(req->certificate, req->now_ms) &&
                                rb_jwt_signed_by(&t, req->certificate));
    bool told = s->secrets.n == 0 || token_fits(s, req);
    bool anything = s->audience != NULL || s->secrets.n > 0;
    return anything && signed_well && told ? RB_OK : rb_proof_denied(err);
}

/* said - the command in a message: a slash command as it was typed, else what follows the mention.
 */
static const char *said(const json_t *message, struct rb_arena *a)
{
    const char *text = rb_chat_text(message, "text", a);
    const char *argument = rb_chat_text(message, "argumentText", a);
    bool slash =
        json_is_object(json_object_get(message, "slashCommand")) && text != NULL && text[0] == '/';
    if (!slash) {
        return argument != NULL ? argument : text == NULL ? "" : text;
    }
    /* "/status last" says what "/retrybuild status last" says */
    size_t n = strcspn(text, " \n");
    bool general = (n == 3 && strncmp(text, "/rb", 3) == 0) ||
                   (n == 11 && strncmp(text, "/retrybuild", 11) == 0);
    return general ? text + n : text + 1;
}

/* parameter - "value" of a card's action: in a list of keys and values, or in an object. */
static const char *parameter(const json_t *event, struct rb_arena *a)
{
    const json_t *list = json_object_get(json_object_get(event, "action"), "parameters");
    for (size_t i = 0; i < json_array_size(list) && i < PARAMETERS_MAX; i++) {
        const json_t *one = json_array_get(list, i);
        if (rb_str_eq(json_string_value(json_object_get(one, "key")), "value")) {
            return rb_chat_text(one, "value", a);
        }
    }
    return rb_chat_text(event, "common.parameters.value", a);
}

/* click - a button of a card, whose function is named as the buttons at Slack are. */
static enum rb_code click(const json_t *event, struct rb_arena *a, struct rb_events *ret_events,
                          struct rb_err *err)
{
    const char *function = rb_chat_text(event, "action.actionMethodName", a);
    enum rb_command_verb verb = RB_COMMAND_RETRY;
    function = function != NULL ? function : rb_chat_text(event, "common.invokedFunction", a);
    if (!rb_chat_button(function, &verb)) {
        rb_chat_ack(ret_events, 200, "{}");
        return RB_OK;
    }
    struct rb_command *c = rb_arena_alloc(a, sizeof *c);
    const char *value = parameter(event, a);
    const char *card = rb_chat_text(event, "message.name", a);
    const char *at = rb_chat_text(event, "eventTime", a);
    if (c == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
    }
    *c = (struct rb_command){.verb = verb, .build = RB_BUILD_INIT};
    if (value == NULL || (!rb_command_target(value, a, c) && c->trouble == NULL)) {
        return rb_err_set(err, RB_E_INVALID,
                          "the button has no parameter 'value': a retry's id or a build");
    }
    *ret_events = (struct rb_events){.commands = c, .n_commands = 1};
    if (card != NULL && at != NULL) {
        ret_events->delivery_id = rb_arena_printf(a, "%s/%s/%s", card, at, function);
    }
    return RB_OK;
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
    const json_t *message = json_object_get(j, "message");
    const char *type = rb_chat_text(j, "type", a);
    const char *kind = rb_chat_text(j, "user.type", a);
    if (type == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the event has no text 'type'");
    }
    bool spoken = rb_str_eq(type, "MESSAGE") || rb_str_eq(type, "ADDED_TO_SPACE");
    bool clicked = rb_str_eq(type, "CARD_CLICKED");
    if ((!clicked && (!spoken || !json_is_object(message))) || rb_str_eq(kind, "BOT")) {
        rb_chat_ack(ret_events, 200, "{}");
        return RB_OK;
    }
    struct rb_events events = {.delivery_id = rb_chat_text(message, "name", a)};
    rc = clicked ? click(j, a, &events, err) : rb_chat_command(said(message, a), a, &events, err);
    if (rc != RB_OK || events.n_commands == 0) {
        *ret_events = rc == RB_OK ? events : *ret_events;
        return rc;
    }
    struct rb_command *c = events.commands;
    c->actor.id = rb_chat_text(j, "user.name", a);
    c->actor.name = rb_chat_text(j, "user.displayName", a);
    c->place.channel = rb_chat_text(j, "space.name", a);
    if (c->actor.id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the event does not say who it is of (user.name)");
    }
    *ret_events = events;
    return RB_OK;
}

/* add_message - "<users/all>" in a text is a mention of everybody: none of ours is. */
static void add_message(struct rb_buf *out, const char *text)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf plain = RB_BUF_INIT(TEXT_BYTES_MAX);
    for (const char *p = text; *p != '\0'; p++) {
        rb_buf_addc(&plain, *p);
        rb_buf_adds(&plain, rb_str_starts(p, "<users/") ? "\xe2\x80\x8b" : "");
    }
    rb_chat_add_text(out, rb_buf_failed(&plain) ? text : rb_buf_str(&plain), false, TEXT_CHARS_MAX);
}

/* alone - in a space of the app and one person; what is said there is private already. */
static bool alone(const json_t *j, struct rb_arena *a)
{
    return rb_str_eq(rb_chat_text(j, "space.type", a), "DM") ||
           rb_str_eq(rb_chat_text(j, "space.spaceType", a), "DIRECT_MESSAGE");
}

static enum rb_code answer(const struct rb_source_setting *s, const struct rb_request *req,
                           const struct rb_outcome *o, struct rb_buf *out, unsigned *ret_status,
                           const char **ret_type)
{
    (void)s;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    rb_arena_init(&a, SCRATCH_BYTES);
    const char *viewer = NULL;
    if (!o->in_public && rb_json_load(req->body.ptr, req->body.len, &j, NULL) == RB_OK &&
        !alone(j, &a)) {
        viewer = rb_chat_text(j, "user.name", &a);
    }
    *ret_status = 200;
    *ret_type = "application/json";
    rb_buf_adds(out, "{\"text\":");
    add_message(out, rb_chat_message(o));
    if (viewer != NULL) {
        rb_buf_adds(out, ",\"privateMessageViewer\":{");
        rb_buf_add_json_member(out, "name", viewer);
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, '}');
    return RB_OK;
}

static enum rb_code add_claims(struct rb_buf *out, const char *audience, int64_t now_s,
                               struct rb_err *err)
{
    if (rb_str_empty(audience)) {
        return rb_err_set(err, RB_E_INVALID,
                          "a token is for one audience: say --audience, as the source has it");
    }
    bool number = is_number(audience);
    rb_buf_addc(out, '{');
    rb_buf_add_json_member(out, "iss", number ? ACCOUNT : IDENTITY_ISSUER);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "aud", audience);
    rb_buf_addf(out, "%s,\"iat\":%lld,\"exp\":%lld}",
                number ? "" : ",\"email\":\"" ACCOUNT "\",\"email_verified\":true",
                (long long)now_s, (long long)(now_s + LIFE_S));
    return rb_buf_failed(out) ? rb_err_set(err, RB_E_TOO_LARGE, "the audience is too long") : RB_OK;
}

/* sign - with a key in PEM as Google signs; any other secret is the token of older apps, which the
 * body's own member 'token' must be. */
static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf claims = RB_BUF_INIT(CLAIMS_BYTES_MAX);
    RB_CLEANUP(rb_buf_release) struct rb_buf token = RB_BUF_INIT(TOKEN_BYTES_MAX);
    (void)body;
    if (!rb_str_starts(rb_secret_data(secret), PEM_BEGIN)) {
        return rb_chat_headers(ret_headers, rb_arena_strdup(a, "User-Agent: Google-Dynamite"), NULL,
                               err);
    }
    enum rb_code rc = add_claims(&claims, header, now_ms / 1000, err);
    rc = rc == RB_OK ? rb_jwt_sign(rb_secret_data(secret), rb_secret_len(secret),
                                   rb_buf_str(&claims), &token, err)
                     : rc;
    return rc == RB_OK ? rb_chat_headers(
                             ret_headers,
                             rb_arena_printf(a, "Authorization: " BEARER "%s", rb_buf_str(&token)),
                             "User-Agent: Google-Dynamite", err)
                       : rc;
}

static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    RB_CLEANUP(rb_certificate_freep) struct rb_certificate *pinned = NULL;
    if (s->audience == NULL && s->secrets.n == 0) {
        *ret_key = "audience";
        return rb_err_set(
            err, RB_E_INVALID,
            "a source of type googlechat needs 'audience', the authentication "
            "audience of the app: its project number or the URL of this hook (or, for "
            "older apps, 'secrets' with the verification token)");
    }
    if (s->audience != NULL && !is_number(s->audience) && !rb_str_starts(s->audience, "https://")) {
        *ret_key = "audience";
        return rb_err_set(err, RB_E_INVALID,
                          "the audience is the project's number or the https URL of this hook");
    }
    *ret_key = "certificate_file";
    return s->certificate_file == NULL
               ? RB_OK
               : rb_certificate_load_file(s->certificate_file, &pinned, err);
}

const struct rb_source_type rb_source_googlechat = {
    .type = "googlechat",
    .keys = own_keys,
    .check = check,
    .certificate_url = certificate_url,
    .certificate_pem = certificate_pem,
    .certificate_fits = certificate_fits,
    .verify = verify,
    .parse = parse,
    .answer = answer,
    .sign = sign,
};
