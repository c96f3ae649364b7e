/* aws.h - credentials and what is shared by all calls of a process: provider chain, clock offset to
 * AWS.
 *
 * Threads: any. Blocks: a provider may do I/O (files, a process, HTTP), each with a short
 * limit. A set is refreshed from 15 minutes before its expiry by one thread while the others go on
 * with it, and from 10 minutes before by one thread while the others wait.
 */
#ifndef RETRYBUILD_AWS_H
#define RETRYBUILD_AWS_H

#include <stdint.h>

#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/secret.h>
#include <retrybuild/settings.h>

#define RB_SOURCE_BYTES 256

/* One frozen set; taken once per request so that key, secret and token always belong together. */
struct rb_credentials {
    char *access_key; /* not secret */
    struct rb_secret *secret_key;
    struct rb_secret *session_token; /* NULL = long-term key */
    int64_t expires_ms;              /* 0 = never */
    const char *provider;            /* static name: "environment" */
    char source[RB_SOURCE_BYTES];    /* where from, for people: "profile 'ci' of /x"; no secret */
    bool outlives; /* may be used past its expiry while its provider is away (instance metadata) */
};
void rb_credentials_release(struct rb_credentials *c);

struct rb_aws; /* shared by all threads */

/* rb_aws_settle_region - where neither the file nor the environment says a region: that of the
 * profile, else that of the instance; without either the default stays. Before anybody else uses
 * @s. Blocks: as the instance metadata service does, a second where there is none. */
void rb_aws_settle_region(struct rb_settings *s, const struct rb_clock *clock);

enum rb_code rb_aws_new(struct rb_settings *s, const struct rb_clock *clock,
                        struct rb_aws **ret_aws, struct rb_err *err);
void rb_aws_free(struct rb_aws *aws);
/* rb_aws_credentials - a frozen copy; RB_E_CREDENTIALS says which providers were asked and why none
 * gave any. */
enum rb_code rb_aws_credentials(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err);
/* rb_aws_credentials_for - the set for calls about @account (NULL or "" = our own) in @region.
 * Without aws.accounts, and for our own account, the same as rb_aws_credentials; else a session of
 * the account's role, cached and refreshed as all sets are. RB_E_REFUSED: not configured, the
 * message says what to add. */
#define RB_ACCOUNT_BYTES 13
enum rb_code rb_aws_credentials_for(struct rb_aws *aws, const char *account, const char *region,
                                    struct rb_credentials *ret_c, struct rb_err *err);
/* rb_aws_session_initiator - what CodeBuild calls a caller who signs with a session of that name
 * for an account with `exact`: "ROLE/NAME", in @a. NULL for other accounts. */
enum rb_code rb_aws_session_initiator(struct rb_aws *aws, const char *account, const char *session,
                                      struct rb_arena *a, const char **ret_initiator,
                                      struct rb_err *err);
/* rb_aws_credentials_as - a session of that name of the account's role; kept for a while, so that
 * what follows soon is signed by the same. Also for an account without `exact`: a copy of a call
 * must be signed in the name of the copies before it. RB_E_REFUSED: the account has no role here.
 */
enum rb_code rb_aws_credentials_as(struct rb_aws *aws, const char *account, const char *region,
                                   const char *session, struct rb_credentials *ret_c,
                                   struct rb_err *err);
/* rb_aws_caller - who our own credentials are, by STS; strings in @a. */
enum rb_code rb_aws_caller(struct rb_aws *aws, struct rb_arena *a, const char **ret_account,
                           const char **ret_arn, struct rb_err *err);
/* rb_aws_credentials_refused - AWS did not accept them: refresh before the next use. */
void rb_aws_credentials_refused(struct rb_aws *aws);
/* Clock offset: AWS's Date minus ours, measured on every answer; 0 until one came, and where the
 * two agree as far as a Date's whole seconds can tell (2 s). */
int64_t rb_aws_offset_ms(const struct rb_aws *aws);
bool rb_aws_offset_known(const struct rb_aws *aws);
void rb_aws_note_date(struct rb_aws *aws, int64_t their_ms, int64_t our_ms);
/* rb_aws_now_ms - our clock corrected by the offset. */
int64_t rb_aws_now_ms(const struct rb_aws *aws);
/* rb_aws_endpoint - "https://codebuild.<region>.<suffix>" by partition rules, or the override
 * (settings, AWS_ENDPOINT_URL_CODEBUILD, AWS_ENDPOINT_URL). RB_E_INVALID for a region that no
 * partition knows and no override. */
enum rb_code rb_aws_endpoint(const struct rb_aws *aws, const char *service, const char *region,
                             struct rb_arena *a, const char **ret_url, struct rb_err *err);

#endif
