/* Credentials of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (or
 * the older AWS_SECURITY_TOKEN), AWS_CREDENTIAL_EXPIRATION. Source: facts on AWS, 4.1. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "internal.h"

#define ACCESS_KEY_MAX_BYTES 128

/* The key id is put into a header and into records: visible ASCII only. */
static bool usable_key_id(const char *s)
{
    for (const char *p = s; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 127 || *p == '/' || *p == ',') {
            return false;
        }
    }
    return strlen(s) <= ACCESS_KEY_MAX_BYTES;
}

static enum rb_code load_token(struct rb_secret **ret_token, struct rb_err *err)
{
    enum rb_code rc = rb_secret_load_env("AWS_SESSION_TOKEN", ret_token, err);

    if (rc == RB_E_NOT_FOUND) {
        rc = rb_secret_load_env("AWS_SECURITY_TOKEN", ret_token, err);
    }
    return rc == RB_E_NOT_FOUND ? RB_OK : rc;
}

static enum rb_code fetch(struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    const char *key_id = getenv("AWS_ACCESS_KEY_ID");
    const char *expires = getenv("AWS_CREDENTIAL_EXPIRATION");

    if (rb_str_empty(key_id)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "AWS_ACCESS_KEY_ID is not set");
    }
    if (!usable_key_id(key_id)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "AWS_ACCESS_KEY_ID is not a key id");
    }
    enum rb_code rc = rb_secret_load_env("AWS_SECRET_ACCESS_KEY", &c.secret_key, err);
    if (rc == RB_E_NOT_FOUND) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not");
    }
    if (rc == RB_OK) {
        rc = load_token(&c.session_token, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    if (!rb_str_empty(expires) && !rb_time_parse_iso(rb_slice_str(expires), &c.expires_ms)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "AWS_CREDENTIAL_EXPIRATION is not a time");
    }
    c.access_key = strdup(key_id);
    if (c.access_key == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for credentials");
    }
    *ret_c = c;
    c = (struct rb_credentials){.access_key = NULL};
    return RB_OK;
}

const struct rb_provider rb_provider_environment = {.name = "environment", .fetch = fetch};
