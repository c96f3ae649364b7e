/* mattermost.c - slash commands of Mattermost. Nothing is signed: the command's token is the proof,
 * in the form and, if there, in the Authorization header. Source: facts on integrations, 3.4. */
#include <retrybuild/cleanup.h>

#include "chat.h"
#include "proof.h"
#include "types.h"

#define TEXT_CHARS_MAX 16000
#define FORM_FIELD_BYTES 65536

static const char *const own_keys[] = {"api", "commands", NULL};

static bool fits(const struct rb_source_setting *s, const char *token, int64_t now_ms)
{
    return rb_secrets_match(&s->secrets, token == NULL ? "" : token,
                            token == NULL ? 0 : strlen(token), now_ms) &&
           token != NULL;
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    unsigned n = 0;
    rb_arena_init(&a, FORM_FIELD_BYTES);
    bool form = fits(s, rb_chat_field(req->body, "token", &a), req->now_ms);
    const char *header = req->header(req->arg, "authorization", &n);
    bool head = n == 0 || (n == 1 && rb_str_starts(header, "Token ") &&
                           fits(s, header + strlen("Token "), req->now_ms));
    return form && head ? RB_OK : rb_proof_denied(err);
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    (void)s;
    if (rb_chat_field(req->body, "command", a) == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the form is no slash command ('command' is missing)");
    }
    return rb_chat_slash(req, a, ret_events, err);
}

static enum rb_code answer(const struct rb_source_setting *s, const struct rb_request *req,
                           const struct rb_outcome *o, struct rb_buf *out, unsigned *ret_status,
                           const char **ret_type)
{
    (void)s;
    (void)req;
    *ret_status = 200;
    *ret_type = "application/json";
    rb_buf_addf(out,
                "{\"response_type\":\"%s\",\"text\":", o->in_public ? "in_channel" : "ephemeral");
    rb_chat_add_text(out, rb_chat_message(o), false, TEXT_CHARS_MAX);
    rb_buf_addc(out, '}');
    return RB_OK;
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)header;
    (void)body; /* its own field 'token' must be the secret */
    (void)now_ms;
    return rb_chat_headers(ret_headers,
                           rb_arena_printf(a, "Authorization: Token %s", rb_secret_data(secret)),
                           NULL, err);
}

const struct rb_source_type rb_source_mattermost = {
    .type = "mattermost",
    .keys = own_keys,
    .media = RB_MEDIA_FORM,
    .check = rb_chat_need_secrets,
    .verify = verify,
    .parse = parse,
    .answer = answer,
    .content_type = rb_proof_form_or_json,
    .sign = sign,
};
