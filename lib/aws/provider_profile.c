/* Static keys of the profile: those of the shared credentials file, and later in the order those of
 * the config file. */
#include <retrybuild/cleanup.h>

#include "identity.h"

static enum rb_code fetch_from(struct rb_aws *aws, enum rb_profile_file file,
                               struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = NULL;
    bool named = false;
    const char *profile = rb_profile_name(aws, &named);

    enum rb_code rc = rb_profiles_load(&p, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (file == RB_PROFILE_CONFIG &&
        (rb_profiles_get(p, profile, "sso_session", file) != NULL ||
         rb_profiles_get(p, profile, "sso_start_url", file) != NULL) &&
        rb_profiles_get(p, profile, "aws_access_key_id", file) == NULL) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "profile '%s' signs in by SSO, which needs a person: give a service a "
                          "role_arn, a credential_process or keys",
                          profile);
    }
    return rb_profiles_keys(p, profile, file, ret_c, err);
}

static enum rb_code fetch_shared(struct rb_aws *aws, struct rb_credentials *ret_c,
                                 struct rb_err *err)
{
    return fetch_from(aws, RB_PROFILE_CREDENTIALS, ret_c, err);
}

static enum rb_code fetch_config(struct rb_aws *aws, struct rb_credentials *ret_c,
                                 struct rb_err *err)
{
    return fetch_from(aws, RB_PROFILE_CONFIG, ret_c, err);
}

const struct rb_provider rb_provider_shared_file = {.name = "shared-credentials-file",
                                                    .fetch = fetch_shared};
const struct rb_provider rb_provider_config_file = {.name = "config-file", .fetch = fetch_config};
