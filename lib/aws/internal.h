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

/* ---- token bucket (pure) ---- */

struct rb_bucket {
    double per_second; /* <= 0: no limit */
    double burst, tokens;
    int64_t filled_boot_ms;
};
void rb_bucket_init(struct rb_bucket *b, double per_second, double burst, int64_t boot_ms);
/* rb_bucket_take - reserve one token; returns how long to wait for it, -1 when longer than
 * @max_wait_ms (then nothing is reserved). */
int64_t rb_bucket_take(struct rb_bucket *b, int64_t boot_ms, int64_t max_wait_ms);

/* ---- shared by all clients ---- */

/* rb_aws_pass - wait for a token of the process. RB_E_THROTTLED when it would take longer than
 * @max_wait_ms, RB_E_CLOSED when *cancel becomes true. */
enum rb_code rb_aws_pass(struct rb_aws *aws, int64_t max_wait_ms, const atomic_bool *cancel,
                         struct rb_err *err);
/* rb_aws_pause - wait @ms; false when *cancel (may be NULL) became true. */
bool rb_aws_pause(struct rb_aws *aws, int64_t ms, const atomic_bool *cancel);
const struct rb_clock *rb_aws_clock(const struct rb_aws *aws);

/* Where a request goes, as it is signed and as it is sent. */
struct rb_aws_target {
    const char *url, *path, *host; /* host with its port when that is not the scheme's own */
};
/* rb_aws_target - the endpoint of a service taken apart; a base path is kept. Strings in @a. */
enum rb_code rb_aws_target(const struct rb_aws *aws, const char *service, const char *region,
                           struct rb_arena *a, struct rb_aws_target *ret_t, struct rb_err *err);

/* ---- one signed request ---- */

struct rb_codebuild {
    struct rb_aws *aws;
    struct rb_httpc *http;
    int64_t timeout_ms;
    const atomic_bool *cancel; /* may be NULL */
    const struct rb_random *random;
    char account[RB_ACCOUNT_BYTES]; /* whose builds the next call is about; "" = our own */
};

struct rb_aws_call {
    const char *operation;
    const char *region;
    const struct rb_buf *body;
    int64_t date_ms;    /* X-Amz-Date; 0 = now, by AWS's clock */
    int64_t timeout_ms; /* for everything: waiting for a token, connecting, the answer */
    bool changes;       /* the call has an effect: lost answers count as ambiguous */
    enum rb_code (*last_check)(void *arg, struct rb_err *err); /* may be NULL */
    void *arg;
};

struct rb_aws_fate {
    char access_key[129];
    int64_t retry_after_ms; /* -1 = nothing said */
};

/* rb_aws_send - sign, check, send once, judge. RB_OK: *ret_json is an object, caller decrefs. */
enum rb_code rb_aws_send(struct rb_codebuild *c, const struct rb_aws_call *call,
                         struct rb_aws_fate *ret_fate, json_t **ret_json, struct rb_err *err);

/* rb_aws_judge - the class of an answer that is no 200 (pure). @body may be anything. */
enum rb_code rb_aws_judge(const char *operation, const struct rb_http_answer *answer,
                          struct rb_err *err);

#endif
