/* chat.c - what the chat adapters share. */
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/url.h>

#include "chat.h"

const char *rb_chat_field(struct rb_slice form, const char *name, struct rb_arena *a)
{
    const char *p = form.ptr, *end = form.ptr + form.len;
    struct rb_slice value = {NULL, 0};
    size_t len = strlen(name);
    while (p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp == NULL ? end : amp;
        if ((size_t)(stop - p) > len && memcmp(p, name, len) == 0 && p[len] == '=') {
            if (value.ptr != NULL) {
                return NULL;
            }
            value = (struct rb_slice){p + len + 1, (size_t)(stop - p) - len - 1};
        }
        p = stop + 1;
    }
    const char *text = value.ptr == NULL ? NULL : rb_url_decode(value.ptr, value.len, true, a);
    return text != NULL && rb_utf8_valid(text, strlen(text)) ? text : NULL;
}

/* has_field - whether @form has it at all, readable or not. */
static bool has_field(struct rb_slice form, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = form.ptr, *end = form.ptr + form.len; p != NULL && p < end;) {
        if ((size_t)(end - p) > len && memcmp(p, name, len) == 0 && p[len] == '=') {
            return true;
        }
        p = memchr(p, '&', (size_t)(end - p));
        p = p == NULL ? NULL : p + 1;
    }
    return false;
}

const char *rb_chat_text(const json_t *j, const char *path, struct rb_arena *a)
{
    while (j != NULL) {
        char name[32] = "";
        size_t n = strcspn(path, ".");
        if (n >= sizeof name) {
            return NULL;
        }
        memcpy(name, path, n);
        j = json_object_get(j, name);
        if (path[n] == '\0') {
            break;
        }
        path += n + 1;
    }
    return json_is_string(j) ? rb_arena_strdup(a, json_string_value(j)) : NULL;
}

enum rb_code rb_chat_command(const char *text, struct rb_arena *a, struct rb_events *ret_events,
                             struct rb_err *err)
{
    struct rb_command *c = rb_arena_alloc(a, sizeof *c);
    unsigned n = 0;
    if (c == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
    }
    enum rb_code rc = rb_command_parse(rb_slice_str(text), true, a, c, 1, &n, err);
    if (rc == RB_OK) {
        ret_events->commands = c;
        ret_events->n_commands = n;
    }
    return rc;
}

enum rb_code rb_chat_slash(const struct rb_request *req, struct rb_arena *a,
                           struct rb_events *ret_events, struct rb_err *err)
{
    const char *text = rb_chat_field(req->body, "text", a);
    const char *name = rb_chat_field(req->body, "command", a);
    struct rb_events events = {.delivery_id = rb_chat_field(req->body, "trigger_id", a)};
    if (text == NULL && has_field(req->body, "text")) { /* no text would mean the last failure */
        return rb_err_set(err, RB_E_INVALID, "the field 'text' cannot be read, or is there twice");
    }
    if (name != NULL && rb_str_ieq(name, "/retest")) {
        text = rb_arena_printf(a, "retest %s", text == NULL ? "" : text);
    }
    enum rb_code rc = rb_chat_command(text == NULL ? "" : text, a, &events, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_command *c = events.commands;
    c->actor.id = rb_chat_field(req->body, "user_id", a);
    c->actor.name = rb_chat_field(req->body, "user_name", a);
    c->place.channel = rb_chat_field(req->body, "channel_id", a);
    c->reply = rb_chat_reply(rb_chat_field(req->body, "response_url", a), req->now_ms, a);
    if (c->actor.id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the command does not say who gave it (user_id)");
    }
    *ret_events = events;
    return RB_OK;
}

bool rb_chat_button(const char *action_id, enum rb_command_verb *ret_v)
{
    static const struct {
        const char *id;
        enum rb_command_verb verb;
    } ours[] = {{"retrybuild_retry", RB_COMMAND_RETRY},
                {"retrybuild_approve", RB_COMMAND_APPROVE},
                {"retrybuild_deny", RB_COMMAND_DENY}};
    for (size_t i = 0; action_id != NULL && i < RB_ARRAY_LEN(ours); i++) {
        if (strcmp(action_id, ours[i].id) == 0) {
            *ret_v = ours[i].verb;
            return true;
        }
    }
    return false;
}

void rb_chat_ack(struct rb_events *ret_events, unsigned status, const char *answer)
{
    *ret_events = (struct rb_events){.answer = answer, .answer_status = status};
}

const char *rb_chat_reply(const char *url, int64_t now_ms, struct rb_arena *a)
{
    struct rb_url u;
    if (rb_str_empty(url) || rb_url_parse(url, strlen(url), a, &u, NULL) != RB_OK ||
        u.userinfo != NULL || (!rb_str_eq(u.scheme, "https") && !rb_str_eq(u.scheme, "http"))) {
        return NULL;
    }
    bool slack = rb_str_ends(u.host, ".slack.com") || rb_str_ends(u.host, ".slack-gov.com");
    if (slack && !rb_str_eq(u.scheme, "https")) {
        return NULL;
    }
    return rb_arena_printf(a, "%lld %s", (long long)(now_ms + RB_CHAT_REPLY_MS), url);
}

const char *rb_chat_reply_url(const struct rb_command *c)
{
    const char *blank = c->reply == NULL ? NULL : strchr(c->reply, ' ');
    return blank == NULL ? NULL : blank + 1;
}

void rb_chat_add_text(struct rb_buf *out, const char *text, bool slack, size_t max_chars)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(65536);
    size_t chars = 0;
    for (const char *p = text; *p != '\0' && chars < max_chars; chars++) {
        size_t n = rb_utf8_seq(p, strlen(p));
        n = n == 0 ? 1 : n;
        if (slack && *p == '&') {
            rb_buf_adds(&b, "&amp;");
        } else if (slack && (*p == '<' || *p == '>')) {
            rb_buf_adds(&b, *p == '<' ? "&lt;" : "&gt;");
        } else {
            rb_buf_add(&b, p, n);
            rb_buf_adds(&b, !slack && *p == '@' ? "\xe2\x80\x8b" : "");
        }
        p += n;
    }
    rb_buf_add_json_string(out, rb_buf_str(&b), b.len);
}

const char *rb_chat_message(const struct rb_outcome *o)
{
    return o->message == NULL ? "" : o->message;
}

enum rb_code rb_chat_headers(const char *ret_headers[4], const char *first, const char *second,
                             struct rb_err *err)
{
    if (first == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a header");
    }
    ret_headers[0] = first;
    ret_headers[1] = second;
    ret_headers[2] = ret_headers[3] = NULL;
    return RB_OK;
}

enum rb_code rb_chat_need_secrets(const struct rb_source_setting *s, const char **ret_key,
                                  struct rb_err *err)
{
    if (s->secrets.n > 0) {
        return RB_OK;
    }
    *ret_key = "secrets";
    return rb_err_set(err, RB_E_INVALID,
                      "a source of type %s needs 'secrets': without them nothing can prove itself",
                      s->type);
}
