/* internal.h - what the files of lib/aws share. */
#ifndef RB_AWS_INTERNAL_H
#define RB_AWS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include <retrybuild/aws.h>
#include <retrybuild/codebuild.h>
#include <retrybuild/httpc.h>
#include <retrybuild/random.h>

#include "rates.h"

/* ---- credential providers: one file each, one row in providers.c ---- */

struct rb_provider {
    const char *name;
    /* RB_E_NOT_FOUND: not configured, the next one is asked; any other failure ends the search,
     * because a provider that was configured and fails must not be replaced in silence. */
    enum rb_code (*fetch)(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err);
};
extern const struct rb_provider rb_provider_environment, rb_provider_role, rb_provider_web_identity,
    rb_provider_shared_file, rb_provider_process, rb_provider_config_file, rb_provider_container,
    rb_provider_instance;

/* rb_providers_fetch - ask the providers in their order. RB_E_CREDENTIALS names them. */
enum rb_code rb_providers_fetch(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err);
/* rb_providers_walk - the same, and @told hears of each provider that was asked: what it said
 * (RB_OK, RB_E_NOT_FOUND, other) and why; of those behind, RB_E_CLOSED. */
struct rb_providers_ear {
    void (*told)(void *arg, const char *provider, enum rb_code rc, const char *why);
    void *arg;
};
enum rb_code rb_providers_walk(struct rb_aws *aws, const struct rb_providers_ear *ear,
                               struct rb_credentials *ret_c, struct rb_err *err);

/* ---- pace: what the rates of rates.h are asked and told ---- */

struct rb_aws_scope {
    const char *account; /* NULL = of the process's own credentials */
    const char *region;
    const char *operation;
};
/* rb_aws_pass - wait for a token of the scope, shared by all workers. RB_E_THROTTLED when it would
 * take longer than @max_wait_ms (*ret_wait_ms is how long), RB_E_CLOSED when *cancel becomes true.
 */
enum rb_code rb_aws_pass(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t max_wait_ms,
                         const atomic_bool *cancel, int64_t *ret_wait_ms, struct rb_err *err);
/* rb_aws_told - what AWS answered; @retry_after_ms: -1 = nothing said. */
void rb_aws_told(struct rb_aws *aws, const struct rb_aws_scope *s, enum rb_code rc,
                 int64_t retry_after_ms);
/* rb_aws_may_repeat - pay for a repetition; false: the quota is spent. rb_aws_repeated_well gives
 * the price back. */
bool rb_aws_may_repeat(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t cost);
void rb_aws_repeated_well(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t cost);
/* rb_aws_pause - wait @ms; false when *cancel (may be NULL) became true. */
bool rb_aws_pause(struct rb_aws *aws, int64_t ms, const atomic_bool *cancel);
const struct rb_clock *rb_aws_clock(const struct rb_aws *aws);

/* Where a request goes, as it is signed and as it is sent. */
struct rb_aws_target {
    const char *url, *path, *host; /* host with its port when that is not the scheme's own */
};
/* rb_aws_target - the endpoint of a service taken apart; a base path is kept. Strings in @a.
 * rb_aws_target_at - the same of a URL. */
enum rb_code rb_aws_target(const struct rb_aws *aws, const char *service, const char *region,
                           struct rb_arena *a, struct rb_aws_target *ret_t, struct rb_err *err);
enum rb_code rb_aws_target_at(const char *url, const char *service, struct rb_arena *a,
                              struct rb_aws_target *ret_t, struct rb_err *err);

/* ---- one signed request ---- */

struct rb_codebuild {
    struct rb_aws *aws;
    struct rb_httpc *http;
    int64_t timeout_ms, usual_timeout_ms;
    const atomic_bool *cancel; /* may be NULL */
    const struct rb_random *random;
    char account[RB_ACCOUNT_BYTES]; /* whose builds the next call is about; "" = our own */
};

/* rb_codebuild_scope - of the client's calls: an account without a row in aws.accounts is our own.
 */
struct rb_aws_scope rb_codebuild_scope(const struct rb_codebuild *c, const char *region,
                                       const char *operation);

struct rb_aws_service {
    const char *name;   /* of the endpoint and of the signature */
    const char *target; /* what stands before the operation in X-Amz-Target; NULL: the service takes
                         * forms and answers XML (query protocol) */
};
extern const struct rb_aws_service rb_aws_logs; /* CloudWatch Logs */

struct rb_aws_call {
    const struct rb_aws_service *service; /* NULL = CodeBuild */
    const char *operation;
    const char *region;
    const char *endpoint_url; /* NULL = the service's own */
    const struct rb_buf *body;
    int64_t date_ms;     /* X-Amz-Date; 0 = now, by AWS's clock */
    const char *session; /* that signs; NULL = the account's usual credentials */
    int64_t timeout_ms;  /* for everything: waiting for a token, connecting, the answer */
    bool changes;        /* the call has an effect: lost answers count as ambiguous */
    enum rb_code (*last_check)(void *arg, struct rb_err *err); /* may be NULL */
    void *arg;
    struct rb_http_answer *ret_answer; /* may be NULL; else any complete answer, of any status, is
                                          moved here, and *ret_json is not made */
};

struct rb_aws_fate {
    char access_key[129];
    int64_t retry_after_ms; /* what AWS, or our own rate, asks for; -1 = nothing said */
    bool answered;          /* by a complete HTTP answer, whatever it said */
};

/* rb_aws_send - sign, check, send once, judge. RB_OK: *ret_json is an object, caller decrefs. */
enum rb_code rb_aws_send(struct rb_codebuild *c, const struct rb_aws_call *call,
                         struct rb_aws_fate *ret_fate, json_t **ret_json, struct rb_err *err);

/* rb_aws_look_up - for what may be done again without harm: up to three tries, as long as there is
 * quota for them, within the client's time. @what: operation, region, body. */
enum rb_code rb_aws_look_up(struct rb_codebuild *c, const struct rb_aws_call *what,
                            json_t **ret_json, struct rb_err *err);
/* rb_aws_add_member - ,"name":"value" - or without the comma at the start of an object. */
void rb_aws_add_member(struct rb_buf *out, const char *name, const char *value);

/* rb_aws_batch_get - BatchGetBuilds, BatchGetBuildBatches: 1 to 100 ids. rb_aws_list - a page of
 * ListBuildsForProject, ListBuildBatchesForProject. */
enum rb_code rb_aws_batch_get(struct rb_codebuild *c, const char *operation, const char *region,
                              const char *const *ids, unsigned n, json_t **ret_json,
                              struct rb_err *err);
enum rb_code rb_aws_list(struct rb_codebuild *c, const char *operation, const char *region,
                         const char *project, const char *next, struct rb_arena *a,
                         const char ***ret_ids, unsigned *ret_n, const char **ret_next,
                         struct rb_err *err);

/* rb_codebuild_read - one Build as CodeBuild tells it, variables and all; caller decrefs. */
enum rb_code rb_codebuild_read(struct rb_codebuild *c, const char *region, const char *id,
                               json_t **ret_build, struct rb_err *err);
/* rb_start_body - the StartBuild that repeats @build, a Build as CodeBuild tells it (pure); may
 * hold its variables. rb_start_read - the same for the call's build, which is asked for first. */
enum rb_code rb_start_body(const json_t *build, const char *token, struct rb_buf *out,
                           struct rb_err *err);
enum rb_code rb_start_read(struct rb_codebuild *c, const struct rb_retry_call *call,
                           struct rb_buf *out, struct rb_err *err);

/* rb_aws_judge - the class of an answer that is no 200 (pure). @body may be anything.
 * rb_aws_refused
 * - the same of an error that was read already: its name and text. */
enum rb_code rb_aws_judge(const char *operation, const struct rb_http_answer *answer,
                          struct rb_err *err);
enum rb_code rb_aws_refused(const char *operation, long status, const char *type, const char *text,
                            struct rb_err *err);
/* rb_aws_error_type - AWS's type of an error answer without the suffix "Exception", in @a; "" when
 * it names none. */
const char *rb_aws_error_type(const struct rb_http_answer *answer, struct rb_arena *a);

#endif
