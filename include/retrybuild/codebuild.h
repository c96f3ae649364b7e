/* codebuild.h - the CodeBuild calls: RetryBuild, BatchGetBuilds, ListBuildsForProject.
 *
 * A client belongs to a thread (it owns its rb_httpc). Each call is signed by sigv4.h with one
 * frozen set of credentials; each answer updates the clock offset and the metrics
 * (retrybuild_codebuild_requests_total, …). Blocks: at most connect + total timeout. Errors, by
 * AWS's type in the body (or x-amzn-ErrorType), never by status alone (facts on AWS, 1.7):
 *   RB_E_THROTTLED, RB_E_LATER (AccountLimitExceeded), RB_E_CREDENTIALS, RB_E_CLOCK (signature
 * expired or in the future), RB_E_REFUSED (InvalidInput, AccessDenied, any other 4xx),
 * RB_E_NOT_FOUND (ResourceNotFound), RB_E_MISMATCH (token with other parameters), RB_E_UNAVAIL
 * (nothing was sent), RB_E_AMBIGUOUS (timeout or cut after sending, 5xx, half or unreadable
 * answer).
 */
#ifndef RETRYBUILD_CODEBUILD_H
#define RETRYBUILD_CODEBUILD_H

#include <stdatomic.h>
#include <stdint.h>

#include <jansson.h>

#include <retrybuild/aws.h>
#include <retrybuild/model.h>

struct rb_codebuild;

enum rb_code rb_codebuild_new(struct rb_aws *aws, const struct rb_settings *s,
                              struct rb_codebuild **ret_c, struct rb_err *err);
void rb_codebuild_free(struct rb_codebuild *c);
/* rb_codebuild_cancel_on - calls end soon with RB_E_CLOSED (nothing sent) or RB_E_AMBIGUOUS when
 * *flag becomes true. */
void rb_codebuild_cancel_on(struct rb_codebuild *c, const atomic_bool *flag);
/* rb_codebuild_of_account - the calls from here on are about builds of @account (NULL or "" = our
 * own): they are signed with the session of its row in aws.accounts. Calls for an account or region
 * that is not configured, when any is, are RB_E_REFUSED with what to add. */
void rb_codebuild_of_account(struct rb_codebuild *c, const char *account);

struct rb_retry_call {
    const char *region;
    const char *build_id; /* project:uuid, never an ARN */
    const char *token;
    int64_t date_ms; /* the one signature date of this issue; also X-Amz-Date */
    /* last_check - called after signing, right before the first byte leaves; anything but RB_OK
     * aborts with that code, nothing sent. */
    enum rb_code (*last_check)(void *arg, struct rb_err *err);
    void *arg;
};
/* rb_codebuild_retry - the child lives in @a. *ret_access_key (may be NULL): the key id that
 * signed, in @a. *ret_retry_after_ms: what AWS asked for on a throttle, -1 = nothing. */
enum rb_code rb_codebuild_retry(struct rb_codebuild *c, const struct rb_retry_call *call,
                                struct rb_arena *a, struct rb_build *ret_child,
                                const char **ret_access_key, int64_t *ret_retry_after_ms,
                                struct rb_err *err);

/* rb_codebuild_get - up to 100 ids (project:uuid) of one region; found builds in any order, unknown
 * ids are left out. */
enum rb_code rb_codebuild_get(struct rb_codebuild *c, const char *region, const char *const *ids,
                              unsigned n, struct rb_arena *a, struct rb_build **ret_builds,
                              unsigned *ret_n, struct rb_err *err);
/* rb_codebuild_list - one page of ids, newest first (never a sortOrder); *ret_next NULL on the last
 * page. */
enum rb_code rb_codebuild_list(struct rb_codebuild *c, const char *region, const char *project,
                               const char *next, struct rb_arena *a, const char ***ret_ids,
                               unsigned *ret_n, const char **ret_next, struct rb_err *err);
/* rb_codebuild_build_from_json - a Build object of any answer into the model (pure). */
enum rb_code rb_codebuild_build_from_json(const json_t *j, const char *region, struct rb_arena *a,
                                          struct rb_build *ret_b, struct rb_err *err);

#endif
