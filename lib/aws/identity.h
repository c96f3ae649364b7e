/* identity.h - what the credential providers share: HTTP with short timeouts, STS, profiles, XML.
 *
 * Everything here may block on files, processes or HTTP, and is called with no lock held. Secrets
 * go from the answer into a struct rb_secret; what held them before is wiped.
 */
#ifndef RB_AWS_IDENTITY_H
#define RB_AWS_IDENTITY_H

#include "aws_state.h"

#define RB_ROLE_SESSION_NAME "retrybuild"

/* rb_credentials_make - one set from its texts. @token NULL or "" = none. Refused, without showing
 * anything, when a text could not stand in a header or is missing. */
enum rb_code rb_credentials_make(const char *key_id, const char *secret, const char *token,
                                 int64_t expires_ms, struct rb_credentials *ret_c,
                                 struct rb_err *err);
/* rb_credentials_source - where they come from, cut to its room; a set has none at first. */
void rb_credentials_source(struct rb_credentials *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* rb_credentials_from_json - {"AccessKeyId","SecretAccessKey",<token_name>,"Expiration"} (pure). */
enum rb_code rb_credentials_from_json(const json_t *j, const char *token_name,
                                      bool expiration_required, struct rb_credentials *ret_c,
                                      struct rb_err *err);

/* ---- HTTP of the credential endpoints ---- */

struct rb_identity_call {
    const char *method, *url;
    const char *const *headers; /* NULL-terminated */
    const char *body;
    size_t body_len;
    bool local; /* metadata and container endpoints: never through the proxy */
    int64_t timeout_ms;
};
/* rb_identity_http - any complete answer is RB_OK. The address guard does not judge these calls:
 * each provider has its own host rules. */
enum rb_code rb_identity_http(struct rb_aws *aws, const struct rb_identity_call *call,
                              struct rb_http_answer *ret_answer, struct rb_err *err);
/* rb_identity_answer_release - wipes the body first. */
void rb_identity_answer_release(struct rb_http_answer *a);

void rb_identity_wiped_release(struct rb_buf *b); /* for RB_CLEANUP: wipe, then release */
/* rb_identity_read_raw - a small file as it is, last line break and all. */
enum rb_code rb_identity_read_raw(const char *path, struct rb_buf *out, struct rb_err *err);

/* ---- STS (query protocol, XML answers) ---- */

struct rb_assume {
    const char *role_arn;
    const char *session_name;     /* NULL = RB_ROLE_SESSION_NAME */
    const char *external_id;      /* NULL = none */
    const char *duration_seconds; /* NULL = STS's default */
    const char *region;           /* of the STS that is asked */
};
/* rb_sts_assume_role - signed with @by. */
enum rb_code rb_sts_assume_role(struct rb_aws *aws, const struct rb_credentials *by,
                                const struct rb_assume *assume, struct rb_credentials *ret_c,
                                struct rb_err *err);
/* rb_sts_web_identity - unsigned; the token of @token_file, read now. */
enum rb_code rb_sts_web_identity(struct rb_aws *aws, const struct rb_assume *assume,
                                 const char *token_file, struct rb_credentials *ret_c,
                                 struct rb_err *err);
/* rb_sts_caller - who @by is; strings in @a. */
enum rb_code rb_sts_caller(struct rb_aws *aws, const struct rb_credentials *by, struct rb_arena *a,
                           const char **ret_account, const char **ret_arn, struct rb_err *err);

/* rb_xml_read - the text of the elements named "Parent/Name" (pure). The document is at most 64
 * KiB, well formed, 16 deep, without a DOCTYPE, comment or CDATA; a path found twice is refused.
 * What is absent is NULL in @ret_values. Strings in @a. */
enum rb_code rb_xml_read(const char *doc, size_t len, const char *const *paths, size_t n,
                         struct rb_arena *a, const char **ret_values, struct rb_err *err);

/* ---- profiles: the shared credentials file and the config file ---- */

struct rb_profiles;
enum rb_profile_file { RB_PROFILE_CREDENTIALS, RB_PROFILE_CONFIG, RB_PROFILE_EITHER };

/* rb_profiles_load - both files, a missing one is empty. Errors name file and line, never content.
 */
enum rb_code rb_profiles_load(struct rb_profiles **ret_p, struct rb_err *err);
void rb_profiles_freep(struct rb_profiles **p); /* wipes */
bool rb_profiles_has(const struct rb_profiles *p, const char *profile);
/* rb_profiles_get - NULL when absent or empty; of EITHER the credentials file wins. */
const char *rb_profiles_get(const struct rb_profiles *p, const char *profile, const char *key,
                            enum rb_profile_file file);
/* rb_profiles_keys - the static keys of a profile; RB_E_NOT_FOUND when it has none. */
enum rb_code rb_profiles_keys(const struct rb_profiles *p, const char *profile,
                              enum rb_profile_file file, struct rb_credentials *ret_c,
                              struct rb_err *err);
/* rb_profile_name - settings, AWS_PROFILE, AWS_DEFAULT_PROFILE, "default"; *ret_named: not the
 * last.
 */
const char *rb_profile_name(const struct rb_aws *aws, bool *ret_named);

/* ---- providers that others build upon ---- */

enum rb_code rb_web_identity_of_profile(struct rb_aws *aws, const struct rb_profiles *p,
                                        const char *profile, struct rb_credentials *ret_c,
                                        struct rb_err *err);
/* rb_environment_keys - RB_E_NOT_FOUND when AWS_ACCESS_KEY_ID is not set. */
enum rb_code rb_environment_keys(struct rb_credentials *ret_c, struct rb_err *err);
/* rb_process_run - "credential_process": no shell, no stdin, stderr dropped, @timeout_ms. */
enum rb_code rb_process_run(const char *command, int64_t timeout_ms, struct rb_credentials *ret_c,
                            struct rb_err *err);
/* rb_process_split - words as a POSIX shell would cut them (quotes and backslashes, nothing else),
 * NULL-terminated, in @a. */
enum rb_code rb_process_split(const char *command, struct rb_arena *a, char ***ret_argv,
                              struct rb_err *err);
/* rb_instance_region - the instance's own region, in @a. */
enum rb_code rb_instance_region(struct rb_aws *aws, struct rb_arena *a, const char **ret_region,
                                struct rb_err *err);
/* rb_container_url - the endpoint by the environment, with the host rules. RB_E_NOT_FOUND: none. */
enum rb_code rb_container_url(struct rb_arena *a, const char **ret_url, struct rb_err *err);

#endif
