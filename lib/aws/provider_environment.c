/* Credentials of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (or
 * the older AWS_SECURITY_TOKEN), AWS_CREDENTIAL_EXPIRATION. Source: facts on AWS, 4.1. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "identity.h"

static enum rb_code load_token(struct rb_secret **ret_token, struct rb_err *err)
{
    enum rb_code rc = rb_secret_load_env("AWS_SESSION_TOKEN", ret_token, err);

    if (rc == RB_E_NOT_FOUND) {
        rc = rb_secret_load_env("AWS_SECURITY_TOKEN", ret_token, err);
    }
    return rc == RB_E_NOT_FOUND ? RB_OK : rc;
}

enum rb_code rb_environment_keys(struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    const char *key_id = getenv("AWS_ACCESS_KEY_ID");
    const char *expires = getenv("AWS_CREDENTIAL_EXPIRATION");

    if (rb_str_empty(key_id)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "AWS_ACCESS_KEY_ID is not set");
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
    const char *token = c.session_token == NULL ? NULL : rb_secret_data(c.session_token);
    rc = rb_credentials_make(key_id, rb_secret_data(c.secret_key), token, c.expires_ms, ret_c, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "AWS_ACCESS_KEY_ID and its companions");
    }
    rb_credentials_source(ret_c, "AWS_ACCESS_KEY_ID and its companions");
    return RB_OK;
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    if (aws->profile != NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND,
                          "aws.profile is set, the environment is passed over");
    }
    return rb_environment_keys(ret_c, err);
}

const struct rb_provider rb_provider_environment = {.name = "environment", .fetch = fetch};
