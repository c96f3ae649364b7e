/* codebuild.h - the CodeBuild calls: RetryBuild, StartBuild, StopBuild, BatchGetBuilds,
 * ListBuildsForProject, the same of batch builds; and the end of a build's log.
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
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <retrybuild/aws.h>
#include <retrybuild/httpc.h>
#include <retrybuild/model.h>

struct rb_codebuild;

enum rb_code rb_codebuild_new(struct rb_aws *aws, const struct rb_settings *s,
                              struct rb_codebuild **ret_c, struct rb_err *err);
void rb_codebuild_free(struct rb_codebuild *c);
/* rb_codebuild_cancel_on - calls end soon with RB_E_CLOSED (nothing sent) or RB_E_AMBIGUOUS when
 * *flag becomes true. */
void rb_codebuild_cancel_on(struct rb_codebuild *c, const atomic_bool *flag);
/* rb_codebuild_within - each call from here on takes at most @timeout_ms; 0 = timing.call_timeout.
 */
void rb_codebuild_within(struct rb_codebuild *c, int64_t timeout_ms);
/* rb_codebuild_of_account - the calls from here on are about builds of @account (NULL or "" = our
 * own): they are signed with the session of its row in aws.accounts. Calls for an account or region
 * that is not configured, when any is, are RB_E_REFUSED with what to add. */
void rb_codebuild_of_account(struct rb_codebuild *c, const char *account);

/* A batch build as a build: its id, ARN (which is its batch_arn too), number, status and run; and
 * the builds of its groups. phase, message and url are absent: they are its builds'. */
struct rb_batch {
    struct rb_build b;
    struct rb_batch_member {
        const char *id; /* project:uuid */
        const char *status;
        bool newest;  /* of its group; else a later run has replaced it */
        bool ignored; /* the batch goes on when it fails */
    } * members;
    unsigned n_members;
};

struct rb_retry_call {
    const char *region;
    const char *batch_id; /* NULL, or RetryBuildBatch of this batch's failed builds; start is not
                             looked at then */
    const char *build_id; /* project:uuid, never an ARN */
    const char *token;
    int64_t date_ms;     /* the one signature date of this issue; also X-Amz-Date */
    const char *session; /* name of the session that signs (rb_aws_credentials_as); NULL = none */
    bool start; /* StartBuild with what the build was started with, read anew for each call, and the
                 * same token; else RetryBuild */
    bool repeats; /* an earlier copy had no clear answer: costs of the quota of repetitions */
    /* last_check - called after signing, right before the first byte leaves; anything but RB_OK
     * aborts with that code, nothing sent. */
    enum rb_code (*last_check)(void *arg, struct rb_err *err);
    void *arg;
};
/* rb_codebuild_retry - the child lives in @a. *ret_access_key (may be NULL): the key id that
 * signed, in @a. With @start an unreadable build is
 * RB_E_INVALID, and nothing was sent. *ret_retry_after_ms (always set): how long AWS, our own rate,
 * or the spent quota of repetitions asks to wait, -1 = nothing. */
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
/* rb_codebuild_stop - StopBuild; a build that has ended already is left as it is, so it is repeated
 * like a look-up. *ret_build as it is then. */
enum rb_code rb_codebuild_stop(struct rb_codebuild *c, const char *region, const char *id,
                               struct rb_arena *a, struct rb_build *ret_build, struct rb_err *err);
/* The same of batch builds. rb_codebuild_retry of one gives the batch as the child: the same batch
 * in a new run, or, should CodeBuild make one, another batch. */
enum rb_code rb_codebuild_get_batches(struct rb_codebuild *c, const char *region,
                                      const char *const *ids, unsigned n, struct rb_arena *a,
                                      struct rb_batch **ret_batches, unsigned *ret_n,
                                      struct rb_err *err);
enum rb_code rb_codebuild_list_batches(struct rb_codebuild *c, const char *region,
                                       const char *project, const char *next, struct rb_arena *a,
                                       const char ***ret_ids, unsigned *ret_n,
                                       const char **ret_next, struct rb_err *err);
enum rb_code rb_codebuild_stop_batch(struct rb_codebuild *c, const char *region, const char *id,
                                     struct rb_arena *a, struct rb_batch *ret_batch,
                                     struct rb_err *err);
/* rb_codebuild_batch_from_json - a BuildBatch object of any answer (pure). */
enum rb_code rb_codebuild_batch_from_json(const json_t *j, const char *region, struct rb_arena *a,
                                          struct rb_batch *ret_b, struct rb_err *err);

/* rb_codebuild_log_tail - the last lines of the build's log (CloudWatch Logs, GetLogEvents), at
 * most
 * @max_bytes of them, newest last, in @a. RB_E_NOT_FOUND: no such build, or it has no log there.
 * The text is the user's and may hold secrets: match it, do not keep it. */
enum rb_code rb_codebuild_log_tail(struct rb_codebuild *c, const char *region, const char *id,
                                   size_t max_bytes, struct rb_arena *a, const char **ret_text,
                                   struct rb_err *err);
/* rb_codebuild_pass - send @body as it is to an @operation (static text) that has no effect, and
 * give AWS's own answer, whatever its status. Repeated once after a refused date or refused
 * credentials, else never. RB_E_CREDENTIALS, RB_E_CLOCK: AWS does not accept our own signature (its
 * text may quote what we signed: the answer is not given); RB_E_THROTTLED: our own rate; others: no
 * answer, or none that is AWS's. */
enum rb_code rb_codebuild_pass(struct rb_codebuild *c, const char *region, const char *operation,
                               const struct rb_buf *body, struct rb_http_answer *ret_answer,
                               struct rb_err *err);
/* rb_codebuild_build_from_json - a Build object of any answer into the model (pure). */
enum rb_code rb_codebuild_build_from_json(const json_t *j, const char *region, struct rb_arena *a,
                                          struct rb_build *ret_b, struct rb_err *err);

#endif
