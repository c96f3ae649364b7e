/* Web identity: a token of a file, exchanged at STS for a session of a role. The file is read at
 * every refresh, because who writes it rotates it. */
#include <stdlib.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

static enum rb_code exchange(struct rb_aws *aws, const char *file, const char *role,
                             const char *session, const char *where, struct rb_credentials *ret_c,
                             struct rb_err *err)
{
    if (rb_str_empty(role)) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "%s names a web identity token file but no role: set %s", where,
                          rb_str_eq(where, "the environment") ? "AWS_ROLE_ARN" : "role_arn");
    }
    const struct rb_assume assume = {.role_arn = role,
                                     .session_name = rb_str_empty(session) ? NULL : session};
    enum rb_code rc = rb_sts_web_identity(aws, &assume, file, ret_c, err);
    if (rc == RB_OK) {
        rb_credentials_source(ret_c, "%.120s by the token file '%.100s'", role, file);
    }
    return rc;
}

enum rb_code rb_web_identity_of_profile(struct rb_aws *aws, const struct rb_profiles *p,
                                        const char *profile, struct rb_credentials *ret_c,
                                        struct rb_err *err)
{
    const char *file = rb_profiles_get(p, profile, "web_identity_token_file", RB_PROFILE_EITHER);

    if (file == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "profile '%s' has no web_identity_token_file",
                          profile);
    }
    return exchange(aws, file, rb_profiles_get(p, profile, "role_arn", RB_PROFILE_EITHER),
                    rb_profiles_get(p, profile, "role_session_name", RB_PROFILE_EITHER),
                    "the profile", ret_c, err);
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = NULL;
    const char *file = aws->profile == NULL ? getenv("AWS_WEB_IDENTITY_TOKEN_FILE") : NULL;
    bool named = false;

    if (!rb_str_empty(file)) {
        return exchange(aws, file, getenv("AWS_ROLE_ARN"), getenv("AWS_ROLE_SESSION_NAME"),
                        "the environment", ret_c, err);
    }
    enum rb_code rc = rb_profiles_load(&p, err);
    if (rc == RB_OK) {
        rc = rb_web_identity_of_profile(aws, p, rb_profile_name(aws, &named), ret_c, err);
    }
    return rc == RB_E_NOT_FOUND ? rb_err_set(err, rc, "AWS_WEB_IDENTITY_TOKEN_FILE is not set")
                                : rc;
}

const struct rb_provider rb_provider_web_identity = {.name = "web-identity", .fetch = fetch};
