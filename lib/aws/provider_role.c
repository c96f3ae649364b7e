/* A profile with role_arn: AssumeRole with the credentials of source_profile or credential_source.
 * Profiles may stand behind each other; a circle is refused. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

#define CHAIN_MAX 8
#define PROCESS_TIMEOUT_MS 20000

struct chain {
    struct rb_aws *aws;
    const struct rb_profiles *p;
    const char *seen[CHAIN_MAX];
    unsigned n;
};

static const char *get(const struct chain *c, const char *profile, const char *key)
{
    return rb_profiles_get(c->p, profile, key, RB_PROFILE_EITHER);
}

static bool has_role(const struct chain *c, const char *profile)
{
    return get(c, profile, "role_arn") != NULL &&
           get(c, profile, "web_identity_token_file") == NULL;
}

static enum rb_code of_source(struct chain *c, const char *profile, const char *source,
                              struct rb_credentials *ret_c, struct rb_err *err)
{
    static const struct {
        const char *name;
        const struct rb_provider *provider;
    } SOURCES[] = {{"Ec2InstanceMetadata", &rb_provider_instance},
                   {"EcsContainer", &rb_provider_container}};

    if (rb_str_eq(source, "Environment")) { /* also when aws.profile passes it over otherwise */
        enum rb_code rc = rb_environment_keys(ret_c, err);
        return rc == RB_OK ? RB_OK
                           : rb_err_wrap(err, RB_E_CREDENTIALS,
                                         "profile '%s': credential_source %s", profile, source);
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(SOURCES); i++) {
        if (rb_str_eq(source, SOURCES[i].name)) {
            enum rb_code rc = SOURCES[i].provider->fetch(c->aws, ret_c, err);
            return rc == RB_OK ? RB_OK
                               : rb_err_wrap(err, RB_E_CREDENTIALS,
                                             "profile '%s': credential_source %s", profile, source);
        }
    }
    return rb_err_set(err, RB_E_CREDENTIALS,
                      "profile '%s': credential_source '%.60s' is none of Environment, "
                      "Ec2InstanceMetadata, EcsContainer",
                      profile, source);
}

static enum rb_code assume(struct chain *c, const char *profile, struct rb_credentials *ret_c,
                           struct rb_err *err);

/* What a source profile gives: keys, else a role of its own, else what else it names. */
static enum rb_code of_profile(struct chain *c, const char *profile, struct rb_credentials *ret_c,
                               struct rb_err *err)
{
    enum rb_code rc = rb_profiles_keys(c->p, profile, RB_PROFILE_EITHER, ret_c, err);

    if (rc != RB_E_NOT_FOUND) {
        return rc;
    }
    if (has_role(c, profile)) {
        return assume(c, profile, ret_c, err);
    }
    rc = rb_web_identity_of_profile(c->aws, c->p, profile, ret_c, err);
    const char *command = get(c, profile, "credential_process");
    if (rc == RB_E_NOT_FOUND && command != NULL) {
        rc = rb_process_run(command, PROCESS_TIMEOUT_MS, ret_c, err);
    }
    return rc == RB_E_NOT_FOUND
               ? rb_err_set(err, RB_E_CREDENTIALS,
                            "the source profile '%s' has neither keys nor a way to get any",
                            profile)
               : rc;
}

static enum rb_code check_chain(struct chain *c, const char *profile, const char *source,
                                struct rb_err *err)
{
    if (!rb_profiles_has(c->p, source)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "profile '%s': its source_profile '%s' is missing",
                          profile, source);
    }
    bool self_with_keys = rb_str_eq(profile, source) && get(c, source, "aws_access_key_id") != NULL;
    for (unsigned i = 0; i < c->n && !self_with_keys; i++) {
        if (rb_str_eq(c->seen[i], source)) {
            return rb_err_set(err, RB_E_CREDENTIALS,
                              "profile '%s': source_profile '%s' leads back in a circle", profile,
                              source);
        }
    }
    return RB_OK;
}

static enum rb_code find_base(struct chain *c, const char *profile, struct rb_credentials *ret_c,
                              struct rb_err *err)
{
    const char *source = get(c, profile, "source_profile");
    const char *named = get(c, profile, "credential_source");

    if ((source == NULL) == (named == NULL)) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "profile '%s' has role_arn and needs either source_profile or "
                          "credential_source%s",
                          profile, source == NULL ? "" : ", not both");
    }
    if (get(c, profile, "mfa_serial") != NULL) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "profile '%s' has mfa_serial: a service cannot type an MFA code",
                          profile);
    }
    if (source == NULL) {
        return of_source(c, profile, named, ret_c, err);
    }
    if (c->n == CHAIN_MAX) {
        return rb_err_set(err, RB_E_CREDENTIALS, "more than %d profiles behind each other",
                          CHAIN_MAX);
    }
    c->seen[c->n++] = profile;
    enum rb_code rc = check_chain(c, profile, source, err);
    return rc == RB_OK ? of_profile(c, source, ret_c, err) : rc;
}

static enum rb_code assume(struct chain *c, const char *profile, struct rb_credentials *ret_c,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials base = {.access_key = NULL};
    const char *duration = get(c, profile, "duration_seconds");
    uint64_t seconds = 0;

    if (duration != NULL && !rb_parse_u64(rb_slice_str(duration), &seconds)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "profile '%s': duration_seconds is no number",
                          profile);
    }
    enum rb_code rc = find_base(c, profile, &base, err);
    if (rc != RB_OK) {
        return rc;
    }
    const struct rb_assume what = {.role_arn = get(c, profile, "role_arn"),
                                   .session_name = get(c, profile, "role_session_name"),
                                   .external_id = get(c, profile, "external_id"),
                                   .duration_seconds = duration};
    rc = rb_sts_assume_role(c->aws, &base, &what, ret_c, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "profile '%s'", profile);
    }
    rb_credentials_source(ret_c, "profile '%.60s': %.160s", profile, what.role_arn);
    return RB_OK;
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = NULL;
    bool named = false;
    const char *profile = rb_profile_name(aws, &named);

    enum rb_code rc = rb_profiles_load(&p, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (named && !rb_profiles_has(p, profile)) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "profile '%s' is in neither the credentials nor the config file",
                          profile);
    }
    struct chain c = {.aws = aws, .p = p};
    if (!has_role(&c, profile)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "profile '%s' has no role_arn", profile);
    }
    return assume(&c, profile, ret_c, err);
}

const struct rb_provider rb_provider_role = {.name = "assume-role", .fetch = fetch};
