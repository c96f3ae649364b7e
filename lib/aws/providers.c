/* The credential providers in the order in which they are asked, and what makes one set. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "identity.h"

#define ACCESS_KEY_MAX_BYTES 128

static const struct rb_provider *const PROVIDERS[] = {
    &rb_provider_environment, &rb_provider_role,     &rb_provider_web_identity,
    &rb_provider_shared_file, &rb_provider_process,  &rb_provider_config_file,
    &rb_provider_container,   &rb_provider_instance,
};

void rb_credentials_release(struct rb_credentials *c)
{
    if (c == NULL) {
        return;
    }
    free(c->access_key);
    rb_secret_free(c->secret_key);
    rb_secret_free(c->session_token);
    *c = (struct rb_credentials){.access_key = NULL};
}

static enum rb_code ask_all(struct rb_aws *aws, const struct rb_providers_ear *ear, size_t *at,
                            struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf asked = RB_BUF_INIT(1024);

    for (; *at < RB_ARRAY_LEN(PROVIDERS); (*at)++) {
        const struct rb_provider *p = PROVIDERS[*at];
        struct rb_err why = {.code = RB_OK};
        enum rb_code rc = p->fetch(aws, ret_c, &why);
        ear->told(ear->arg, p->name, rc, why.msg);
        if (rc == RB_OK) {
            ret_c->provider = p->name;
            return RB_OK;
        }
        if (rc != RB_E_NOT_FOUND) {
            return rb_err_set(err, RB_E_CREDENTIALS, "AWS credentials by %s: %s", p->name, why.msg);
        }
        rb_buf_addf(&asked, "%s%s: %s", *at == 0 ? "" : "; ", p->name, why.msg);
    }
    return rb_err_set(err, RB_E_CREDENTIALS, "no AWS credentials (%s)", rb_buf_str(&asked));
}

enum rb_code rb_providers_walk(struct rb_aws *aws, const struct rb_providers_ear *ear,
                               struct rb_credentials *ret_c, struct rb_err *err)
{
    size_t at = 0;
    enum rb_code rc = ask_all(aws, ear, &at, ret_c, err);

    for (at++; at < RB_ARRAY_LEN(PROVIDERS); at++) {
        ear->told(ear->arg, PROVIDERS[at]->name, RB_E_CLOSED, "");
    }
    return rc;
}

static void no_ear(void *arg, const char *provider, enum rb_code rc, const char *why)
{
    (void)arg;
    (void)provider;
    (void)rc;
    (void)why;
}

enum rb_code rb_providers_fetch(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err)
{
    const struct rb_providers_ear ear = {.told = no_ear};

    return rb_providers_walk(aws, &ear, ret_c, err);
}

void rb_credentials_source(struct rb_credentials *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(c->source, sizeof(c->source), fmt, ap);
    va_end(ap);
}

/* The key id is put into a header and into records: visible ASCII only. */
static bool usable_key_id(const char *s)
{
    size_t len = 0;

    for (; s[len] != '\0'; len++) {
        if (s[len] <= ' ' || s[len] >= 127 || s[len] == '/' || s[len] == ',') {
            return false;
        }
    }
    return len > 0 && len <= ACCESS_KEY_MAX_BYTES;
}

static bool one_line(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < ' ' || *s == 127) {
            return false;
        }
    }
    return true;
}

enum rb_code rb_credentials_make(const char *key_id, const char *secret, const char *token,
                                 int64_t expires_ms, struct rb_credentials *ret_c,
                                 struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.expires_ms = expires_ms};

    if (key_id == NULL || !usable_key_id(key_id)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the access key id is missing or not one");
    }
    if (rb_str_empty(secret) || !one_line(secret)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the secret access key is missing or not one");
    }
    if (token != NULL && !one_line(token)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the session token is not one");
    }
    c.access_key = strdup(key_id);
    c.secret_key = rb_secret_new(secret, strlen(secret));
    c.session_token = rb_str_empty(token) ? NULL : rb_secret_new(token, strlen(token));
    if (c.access_key == NULL || c.secret_key == NULL ||
        (!rb_str_empty(token) && c.session_token == NULL)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for credentials");
    }
    *ret_c = c;
    c = (struct rb_credentials){.access_key = NULL};
    return RB_OK;
}

static const char *text_of(const json_t *j, const char *name)
{
    return json_string_value(json_object_get(j, name));
}

enum rb_code rb_credentials_from_json(const json_t *j, const char *token_name,
                                      bool expiration_required, struct rb_credentials *ret_c,
                                      struct rb_err *err)
{
    const char *token = text_of(j, token_name), *expires = text_of(j, "Expiration");
    int64_t expires_ms = 0;

    if (expiration_required && (rb_str_empty(token) || rb_str_empty(expires))) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the answer has no %s",
                          rb_str_empty(token) ? token_name : "Expiration");
    }
    if (!rb_str_empty(expires) && !rb_time_parse_iso(rb_slice_str(expires), &expires_ms)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "Expiration is not a time");
    }
    return rb_credentials_make(text_of(j, "AccessKeyId"), text_of(j, "SecretAccessKey"), token,
                               expires_ms, ret_c, err);
}
