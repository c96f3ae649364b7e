/* sts.c - AssumeRole, AssumeRoleWithWebIdentity and GetCallerIdentity: form bodies, XML answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>
#include <retrybuild/url.h>

#include "identity.h"

#define NAMESPACE "https://sts.amazonaws.com/doc/2011-06-15/"
#define ARENA_BYTES (256 * 1024)

struct sts {
    struct rb_sim *sim;
    const struct sim_request *r;
    struct sim_reply *reply;
    struct rb_arena arena;
};

static const char *form(struct sts *s, const char *name)
{
    const char *p = s->r->body, *end = s->r->body + s->r->body_len;

    while (p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp == NULL ? end : amp;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        if (eq != NULL && strlen(name) == (size_t)(eq - p) && memcmp(p, name, strlen(name)) == 0) {
            return rb_url_decode(eq + 1, (size_t)(stop - eq - 1), true, &s->arena);
        }
        p = stop + 1;
    }
    return NULL;
}

static void add_text(struct rb_buf *out, const char *name, const char *text)
{
    rb_buf_addf(out, "<%s>", name);
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '&':
            rb_buf_adds(out, "&amp;");
            break;
        case '<':
            rb_buf_adds(out, "&lt;");
            break;
        case '>':
            rb_buf_adds(out, "&gt;");
            break;
        default:
            rb_buf_addc(out, *p);
            break;
        }
    }
    rb_buf_addf(out, "</%s>", name);
}

static void finish(struct sts *s, int status, struct rb_buf *xml)
{
    free(s->reply->body);
    s->reply->body_len = xml->len;
    s->reply->body = rb_buf_detach(xml);
    s->reply->content_type = "text/xml";
    s->reply->status = status;
}

static void refuse(struct sts *s, int status, const char *code, const char *message)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf xml = RB_BUF_INIT(16384);

    rb_buf_adds(&xml, "<ErrorResponse xmlns=\"" NAMESPACE "\"><Error><Type>Sender</Type>");
    add_text(&xml, "Code", code);
    add_text(&xml, "Message", message);
    rb_buf_adds(&xml, "</Error>");
    add_text(&xml, "RequestId", s->reply->request_id);
    rb_buf_adds(&xml, "</ErrorResponse>");
    finish(s, status, &xml);
}

/* The caller by its signature; false: refused. *ret_key is the caller's to free. */
static bool caller(struct sts *s, char **ret_key)
{
    char message[SIM_MESSAGE_BYTES];

    pthread_mutex_lock(&s->sim->lock);
    int64_t now_ms = sim_now_locked(s->sim);
    pthread_mutex_unlock(&s->sim->lock);
    const char *error = sim_auth(s->sim, s->r, now_ms, ret_key, message);
    if (error != NULL) {
        /* STS knows these two by other names than the JSON services */
        refuse(s, 403,
               strcmp(error, "UnrecognizedClientException") == 0 ? "InvalidClientTokenId"
               : strcmp(error, "ExpiredTokenException") == 0     ? "ExpiredToken"
                                                                 : error,
               message);
    }
    return error == NULL;
}

static void hand_out(struct sts *s, const char *operation)
{
    const char *role = form(s, "RoleArn"), *name = form(s, "RoleSessionName");
    RB_CLEANUP(rb_buf_release) struct rb_buf xml = RB_BUF_INIT(16384);
    struct sim_session session;
    char expires[RB_TIME_ISO_BYTES];

    if (rb_str_empty(role) || rb_str_empty(name)) {
        refuse(s, 400, "ValidationError", "RoleArn and RoleSessionName are required");
        return;
    }
    pthread_mutex_lock(&s->sim->lock);
    bool ok = sim_session_new(s->sim, role, name, sim_now_locked(s->sim), &session);
    pthread_mutex_unlock(&s->sim->lock);
    if (!ok) {
        refuse(s, 400, "ValidationError", "RoleArn is not the ARN of a role");
        return;
    }
    rb_time_iso(session.expires_ms, expires);
    rb_buf_addf(&xml, "<%sResponse xmlns=\"" NAMESPACE "\"><%sResult><AssumedRoleUser>", operation,
                operation);
    add_text(&xml, "Arn", session.arn);
    rb_buf_adds(&xml, "</AssumedRoleUser><Credentials>");
    add_text(&xml, "AccessKeyId", session.key);
    add_text(&xml, "SecretAccessKey", session.secret);
    add_text(&xml, "SessionToken", session.token);
    add_text(&xml, "Expiration", expires);
    rb_buf_addf(&xml, "</Credentials></%sResult></%sResponse>", operation, operation);
    finish(s, 200, &xml);
}

/* A role whose name ends in "-ext" wants the external id that is its name; one that ends in
 * "-denied" is nobody's. */
static void assume_role(struct sts *s)
{
    RB_CLEANUP(rb_freep) char *key = NULL;
    const char *role = form(s, "RoleArn"), *external_id = form(s, "ExternalId");
    const char *slash = role == NULL ? NULL : strrchr(role, '/');

    if (!caller(s, &key)) {
        return;
    }
    bool wants_id = role != NULL && rb_str_ends(role, "-ext");
    if ((role != NULL && rb_str_ends(role, "-denied")) ||
        (wants_id && (slash == NULL || !rb_str_eq(external_id, slash + 1)))) {
        char message[SIM_MESSAGE_BYTES];
        snprintf(message, sizeof message,
                 "User: %.100s is not authorized to perform: sts:AssumeRole on resource: %.200s",
                 key == NULL ? "anonymous" : key, role);
        refuse(s, 403, "AccessDenied", message);
        return;
    }
    hand_out(s, "AssumeRole");
}

static void with_web_identity(struct sts *s)
{
    const char *token = form(s, "WebIdentityToken");

    if (s->r->header(s->r, "Authorization") != NULL) {
        refuse(s, 400, "ValidationError", "This call is not signed");
    } else if (rb_str_empty(token)) {
        refuse(s, 400, "ValidationError", "WebIdentityToken is required");
    } else if (rb_str_starts(token, "expired")) {
        refuse(s, 400, "ExpiredTokenException", "Token expired");
    } else {
        hand_out(s, "AssumeRoleWithWebIdentity");
    }
}

static void caller_identity(struct sts *s)
{
    RB_CLEANUP(rb_freep) char *key = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf xml = RB_BUF_INIT(16384);
    RB_CLEANUP(rb_buf_release) struct rb_buf arn = RB_BUF_INIT(1024);
    char account[13];

    if (!caller(s, &key)) {
        return;
    }
    snprintf(account, sizeof account, "%s", s->sim->account);
    rb_buf_addf(&arn, "arn:%s:iam::%s:user/%.128s", s->sim->partition, s->sim->account,
                key == NULL ? "anonymous" : key);
    pthread_mutex_lock(&s->sim->lock);
    const struct sim_session *session =
        key == NULL ? NULL : sim_session_find(s->sim, rb_slice_str(key));
    if (session != NULL) {
        snprintf(account, sizeof account, "%s", session->account);
        rb_buf_clear(&arn);
        rb_buf_adds(&arn, session->arn);
    }
    pthread_mutex_unlock(&s->sim->lock);
    rb_buf_adds(&xml,
                "<GetCallerIdentityResponse xmlns=\"" NAMESPACE "\"><GetCallerIdentityResult>");
    add_text(&xml, "Arn", rb_buf_str(&arn));
    add_text(&xml, "UserId", key == NULL ? "anonymous" : key);
    add_text(&xml, "Account", account);
    rb_buf_adds(&xml, "</GetCallerIdentityResult></GetCallerIdentityResponse>");
    finish(s, 200, &xml);
}

void sim_sts(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    static const struct {
        const char *name;
        void (*run)(struct sts *s);
    } ACTIONS[] = {{"AssumeRole", assume_role},
                   {"AssumeRoleWithWebIdentity", with_web_identity},
                   {"GetCallerIdentity", caller_identity}};
    struct sts s = {.sim = sim, .r = r, .reply = reply};

    rb_arena_init(&s.arena, ARENA_BYTES);
    const char *action = form(&s, "Action");
    bool known = false;
    for (size_t i = 0; i < RB_ARRAY_LEN(ACTIONS) && !known; i++) {
        known = rb_str_eq(action, ACTIONS[i].name);
        if (known) {
            ACTIONS[i].run(&s);
        }
    }
    if (!known) {
        refuse(&s, 400, "InvalidAction", "Could not find operation");
    }
    rb_arena_release(&s.arena);
}
