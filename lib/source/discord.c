/* discord.c - interactions of a Discord application: application commands and buttons.
 *
 * The proof is Ed25519 over timestamp and body with the application's public key. Discord tries
 * out with bad signatures whether it is looked at, and pings: an interaction of type 1 wants
 * {"type":1}, an event of type 0 wants an empty 204. What the command did is said at once (type 4),
 * or, where that takes longer than Discord waits (3 s), later in place of a deferred answer (types
 * 5 and 6); how it ended follows by the interaction's own webhook. The key signs when it was said,
 * so that an old interaction that comes again does nothing. Source: facts on integrations, 3.3.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>

#include "chat.h"
#include "command_private.h"
#include "proof.h"
#include "types.h"

#define TEXT_CHARS_MAX 1900
#define EPHEMERAL 64
#define TOKEN_MS (14 * 60 * 1000) /* good for 15 minutes */
#define DEFAULT_API "https://discord.com/api/v10"

#define BUTTON "button"

enum { PING_OF_EVENTS = 0, PING = 1, COMMAND = 2, COMPONENT = 3 };

static const char *const own_keys[] = {"api", "commands", "public_key", NULL};

static bool read_key(const struct rb_source_setting *s, uint8_t ret_key[RB_ED25519_KEY_BYTES])
{
    const char *hex = s->public_key;
    return hex != NULL && rb_unhex(hex, strlen(hex), ret_key, RB_ED25519_KEY_BYTES);
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    const char *timestamp = rb_proof_header(req, "x-signature-timestamp");
    const char *hex = rb_proof_header(req, "x-signature-ed25519");
    uint8_t key[RB_ED25519_KEY_BYTES], signature[RB_ED25519_SIGNATURE_BYTES];
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(req->body.len + 64);
    if (timestamp == NULL || strlen(timestamp) > 32 || hex == NULL ||
        !rb_unhex(hex, strlen(hex), signature, sizeof signature) || !read_key(s, key)) {
        return rb_proof_denied(err);
    }
    rb_buf_adds(&text, timestamp);
    rb_buf_add(&text, req->body.ptr, req->body.len);
    return !rb_buf_failed(&text) && rb_ed25519_verify(key, signature, rb_buf_str(&text), text.len)
               ? RB_OK
               : rb_proof_denied(err);
}

static bool add_word(struct rb_command_words *w, const char *text, bool quoted)
{
    if (text == NULL || w->n == RB_COMMAND_WORDS_MAX) {
        return false;
    }
    w->items[w->n++] = (struct rb_command_word){.text = text, .quoted = quoted};
    return true;
}

/* add_options - an option is a flag by its name, or the target, whatever it is called. */
static bool add_options(struct rb_command_words *w, const json_t *options, struct rb_arena *a,
                        unsigned depth)
{
    for (size_t i = 0; i < json_array_size(options); i++) {
        const json_t *o = json_array_get(options, i);
        const json_t *value = json_object_get(o, "value");
        const char *name = rb_chat_text(o, "name", a);
        bool ok = name != NULL;
        if (ok && value == NULL && depth < 2) { /* a subcommand */
            ok = add_word(w, name, false) &&
                 add_options(w, json_object_get(o, "options"), a, depth + 1);
        } else if (ok && json_is_boolean(value)) {
            ok = !json_is_true(value) || add_word(w, rb_arena_printf(a, "--%s", name), false);
        } else if (ok && (rb_str_eq(name, "reason") || rb_str_eq(name, "region"))) {
            const char *text = json_string_value(value);
            ok = text != NULL && add_word(w, rb_arena_printf(a, "--%s=%s", name, text), false);
        } else if (ok && json_is_string(value)) {
            ok = add_word(w, rb_arena_strdup(a, json_string_value(value)), true);
        } else if (ok) {
            ok = json_is_integer(value) &&
                 add_word(w, rb_arena_printf(a, "#%lld", (long long)json_integer_value(value)),
                          true);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static enum rb_code read_command(const json_t *j, struct rb_arena *a, struct rb_command *ret_c,
                                 struct rb_err *err)
{
    const json_t *data = json_object_get(j, "data");
    struct rb_command_words w = {.n = 0};
    const char *name = rb_chat_text(data, "name", a);
    enum rb_command_verb verb = RB_COMMAND_RETRY;
    if (name == NULL || !add_options(&w, json_object_get(data, "options"), a, 0)) {
        return rb_err_set(err, RB_E_INVALID, "the command's name or options cannot be read");
    }
    bool retest = rb_str_eq(name, "retest");
    bool named = retest || rb_command_verb_parse(name, &verb);
    if (named && verb != RB_COMMAND_RETRY) { /* its name is the verb, as if it had been typed */
        memmove(&w.items[1], &w.items[0], (RB_COMMAND_WORDS_MAX - 1) * sizeof w.items[0]);
        w.items[0] = (struct rb_command_word){.text = name};
        w.n = w.n < RB_COMMAND_WORDS_MAX ? w.n + 1 : w.n;
        named = false;
    }
    return rb_command_read(&w, 0, verb, named, retest, a, ret_c, err);
}

/* read_button - custom_id "retrybuild_retry:<retry or build>". */
static enum rb_code read_button(const json_t *j, struct rb_arena *a, struct rb_command *ret_c,
                                struct rb_err *err)
{
    static const struct {
        const char *prefix;
        enum rb_command_verb verb;
    } ours[] = {{"retrybuild_retry:", RB_COMMAND_RETRY},
                {"retrybuild_approve:", RB_COMMAND_APPROVE},
                {"retrybuild_deny:", RB_COMMAND_DENY}};
    const char *id = rb_chat_text(j, "data.custom_id", a);
    for (size_t i = 0; id != NULL && i < RB_ARRAY_LEN(ours); i++) {
        if (rb_str_starts(id, ours[i].prefix)) {
            struct rb_command c = {.verb = ours[i].verb, .build = RB_BUILD_INIT};
            if (!rb_command_target(id + strlen(ours[i].prefix), a, &c) && c.trouble == NULL) {
                return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
            }
            *ret_c = c;
            return RB_OK;
        }
    }
    return rb_err_set(err, RB_E_NOT_FOUND, "not a button of ours");
}

/* groups - the member's roles. */
static bool groups(const json_t *j, struct rb_arena *a, struct rb_actor *who)
{
    const json_t *roles = json_object_get(json_object_get(j, "member"), "roles");
    size_t n = json_array_size(roles) < 64 ? json_array_size(roles) : 64;
    const char **ids = rb_arena_alloc(a, (n + 1) * sizeof *ids);
    for (size_t i = 0; ids != NULL && i < n; i++) {
        const char *id = json_string_value(json_array_get(roles, i));
        ids[i] = rb_arena_strdup(a, id == NULL ? "" : id);
        if (ids[i] == NULL) {
            return false;
        }
    }
    who->groups = ids;
    who->n_groups = (unsigned)n;
    return ids != NULL;
}

static bool is_id(const char *s)
{
    return !rb_str_empty(s) && strspn(s, "0123456789") == strlen(s);
}

static const char *reply_of(const struct rb_source_setting *s, const json_t *j, int64_t now_ms,
                            struct rb_arena *a)
{
    const char *app = rb_chat_text(j, "application_id", a);
    const char *token = rb_chat_text(j, "token", a);
    if (!is_id(app) || rb_str_empty(token) || strlen(token) > 1024 ||
        strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=") !=
            strlen(token)) {
        return NULL;
    }
    return rb_arena_printf(a, "%lld %s/webhooks/%s/%s", (long long)(now_ms + TOKEN_MS),
                           s->api.url == NULL ? DEFAULT_API : s->api.url, app, token);
}

static enum rb_code interaction(const struct rb_source_setting *s, const json_t *j, bool button,
                                const struct rb_request *req, struct rb_arena *a,
                                struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_command *c = rb_arena_alloc(a, sizeof *c);
    if (c == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
    }
    enum rb_code rc = button ? read_button(j, a, c, err) : read_command(j, a, c, err);
    if (rc == RB_E_NOT_FOUND) {
        rb_chat_ack(ret_events, 200, "{\"type\":6}");
        return RB_OK;
    }
    if (rc != RB_OK) {
        return rc;
    }
    const char *member = rb_chat_text(j, "member.user.id", a);
    c->actor.id = member != NULL ? member : rb_chat_text(j, "user.id", a);
    c->actor.name = member != NULL ? rb_chat_text(j, "member.user.username", a)
                                   : rb_chat_text(j, "user.username", a);
    c->place.channel = rb_chat_text(j, "channel_id", a);
    c->place.comment_kind = button ? BUTTON : NULL;
    c->reply = reply_of(s, j, req->now_ms, a);
    if (!rb_proof_timely(rb_proof_header(req, "x-signature-timestamp"), req->now_ms)) {
        c->trouble = "this was said more than five minutes ago by the time it came; say it again";
    }
    if (c->actor.id == NULL || !groups(j, a, &c->actor)) {
        return rb_err_set(err, RB_E_INVALID, "the interaction does not say who it is of");
    }
    *ret_events =
        (struct rb_events){.commands = c, .n_commands = 1, .delivery_id = rb_chat_text(j, "id", a)};
    return RB_OK;
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    enum rb_code rc = rb_json_load(req->body.ptr, req->body.len, &j, err);
    if (rc != RB_OK) {
        return rc;
    }
    const json_t *type = json_object_get(j, "type");
    if (!json_is_integer(type)) {
        return rb_err_set(err, RB_E_INVALID, "the body has no number 'type'");
    }
    switch (json_integer_value(type)) {
    case PING_OF_EVENTS:
        rb_chat_ack(ret_events, 204, "");
        return RB_OK;
    case PING:
        if (json_object_get(j, "event") != NULL) { /* an event of the application, no ping */
            rb_chat_ack(ret_events, 204, "");
        } else {
            rb_chat_ack(ret_events, 200, "{\"type\":1}");
        }
        return RB_OK;
    case COMMAND:
    case COMPONENT:
        return interaction(s, j, json_integer_value(type) == COMPONENT, req, a, ret_events, err);
    default:
        *ret_events = (struct rb_events){.ignored = "this kind of interaction is not followed"};
        return RB_OK;
    }
}

static bool is_button(const struct rb_command *c)
{
    return rb_str_eq(c->place.comment_kind, BUTTON);
}

/* message - an edit has no flags: it cannot change who sees the message. */
static void message(const struct rb_outcome *o, bool edit, struct rb_buf *out)
{
    rb_buf_adds(out, "{\"content\":");
    rb_chat_add_text(out, rb_chat_message(o), false, TEXT_CHARS_MAX);
    if (!edit) {
        rb_buf_addf(out, ",\"flags\":%d", o->in_public ? 0 : EPHEMERAL);
    }
    rb_buf_adds(out, ",\"allowed_mentions\":{\"parse\":[]}}");
}

static enum rb_code answer(const struct rb_source_setting *s, const struct rb_request *req,
                           const struct rb_outcome *o, struct rb_buf *out, unsigned *ret_status,
                           const char **ret_type)
{
    (void)s;
    (void)req;
    *ret_status = 200;
    *ret_type = "application/json";
    rb_buf_adds(out, "{\"type\":4,\"data\":");
    message(o, false, out);
    rb_buf_addc(out, '}');
    return RB_OK;
}

/* defer - nobody knows yet whether the answer is for everybody: a command's is shown to who gave it
 * alone. Of a button only the press is confirmed. */
static bool defer(const struct rb_command *c, struct rb_buf *out)
{
    if (rb_chat_reply_url(c) == NULL) {
        return false;
    }
    if (is_button(c)) {
        rb_buf_adds(out, "{\"type\":6}");
    } else {
        rb_buf_addf(out, "{\"type\":5,\"data\":{\"flags\":%d}}", EPHEMERAL);
    }
    return true;
}

/* late - in place of what was deferred: "is thinking", or the message with the button. What is for
 * one person does not replace a message that all see: it is one of its own. */
static bool late(const struct rb_command *c, const struct rb_outcome *o, struct rb_arena *a,
                 struct rb_push *ret_p)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(65536);
    const char *url = rb_chat_reply_url(c);
    bool own = is_button(c) && !o->in_public;
    if (url == NULL) {
        return false;
    }
    message(o, !own, &b);
    *ret_p = (struct rb_push){
        .method = own ? "POST" : "PATCH",
        .url = own ? url : rb_arena_printf(a, "%s/messages/@original", url),
        .body = rb_arena_strdup(a, rb_buf_str(&b)),
    };
    return ret_p->url != NULL && ret_p->body != NULL && !rb_buf_failed(&b);
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)header;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(body.len + 64);
    uint8_t seed[RB_ED25519_KEY_BYTES], signature[RB_ED25519_SIGNATURE_BYTES];
    char hex[2 * RB_ED25519_SIGNATURE_BYTES + 1];
    const char *timestamp = rb_arena_printf(a, "%lld", (long long)(now_ms / 1000));
    if (!rb_unhex(rb_secret_data(secret), rb_secret_len(secret), seed, sizeof seed)) {
        return rb_err_set(err, RB_E_INVALID,
                          "the secret must be the seed of the private key, 64 hex digits");
    }
    rb_buf_adds(&text, timestamp);
    rb_buf_add(&text, body.ptr, body.len);
    bool ok = rb_ed25519_sign(seed, rb_buf_str(&text), text.len, signature);
    rb_wipe(seed, sizeof seed);
    if (!ok || rb_buf_failed(&text)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a signature");
    }
    rb_hex(signature, sizeof signature, hex);
    return rb_chat_headers(ret_headers, rb_arena_printf(a, "X-Signature-Ed25519: %s", hex),
                           rb_arena_printf(a, "X-Signature-Timestamp: %s", timestamp), err);
}

static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    uint8_t key[RB_ED25519_KEY_BYTES];
    if (read_key(s, key)) {
        return RB_OK;
    }
    *ret_key = "public_key";
    return rb_err_set(err, RB_E_INVALID,
                      "a source of type discord needs 'public_key': the 64 hex digits of the "
                      "application's public key");
}

const struct rb_source_type rb_source_discord = {
    .type = "discord",
    .keys = own_keys,
    .check = check,
    .verify = verify,
    .parse = parse,
    .answer = answer,
    .defer = defer,
    .late = late,
    .sign = sign,
};
