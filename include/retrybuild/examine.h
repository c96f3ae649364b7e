/* examine.h - what AWS is to this installation: who we are there, by which credentials, and what we
 * may do. For `retrybuild doctor`; the service itself needs none of it.
 *
 * Nothing here has an effect at AWS: identities are asked of STS (AssumeRole makes a session and no
 * more), and permissions are tried with builds and projects that cannot exist. Threads: any; a
 * client is its thread's. Blocks: as credentials and calls do. Secrets never stand in a result.
 */
#ifndef RETRYBUILD_EXAMINE_H
#define RETRYBUILD_EXAMINE_H

#include <retrybuild/aws.h>
#include <retrybuild/codebuild.h>

/* ---- credentials ---- */

enum rb_try {
    RB_TRY_GAVE,        /* its set is used */
    RB_TRY_PASSED_OVER, /* not configured */
    RB_TRY_FAILED,      /* configured, and no set: the search ends here */
    RB_TRY_NOT_ASKED,   /* stands behind the one that ended the search */
};
struct rb_provider_try {
    const char *provider; /* static */
    enum rb_try outcome;
    const char *why; /* of passed over and failed; else "" */
};
/* rb_aws_try_providers - ask them anew, in their order; what is cached does not count. Every
 * provider has a row, in @a. Returns what rb_aws_credentials would. */
enum rb_code rb_aws_try_providers(struct rb_aws *aws, struct rb_arena *a,
                                  struct rb_provider_try **ret_tries, unsigned *ret_n,
                                  struct rb_err *err);

struct rb_aws_identity { /* strings in the arena */
    const char *provider, *source, *access_key;
    int64_t expires_ms;        /* 0 = never */
    const char *account, *arn; /* NULL = STS was not asked or did not say */
};
/* rb_aws_identity - the set for calls about @account (NULL = our own), and who it is for STS.
 * What is known is in *ret_i also when STS fails: provider NULL = not even a set. */
enum rb_code rb_aws_identity(struct rb_aws *aws, const char *account, const char *region,
                             struct rb_arena *a, struct rb_aws_identity *ret_i, struct rb_err *err);

/* ---- permissions ---- */

enum rb_probe_answer {
    RB_PROBE_ALLOWED,
    RB_PROBE_DENIED,
    RB_PROBE_UNSURE, /* no answer, or one that says neither */
};
enum rb_probe_of {
    RB_PROBE_OF_PROJECT, /* safe with the name of a real project */
    RB_PROBE_MADE_UP,    /* with a real project the call would have its effect */
};
struct rb_probe {
    const char *action; /* "codebuild:RetryBuild" */
    const char *operation;
    enum rb_probe_of of;
};
/* rb_probes - the table; ends with action NULL. rb_probe_find - by operation, NULL = none. */
extern const struct rb_probe rb_probes[];
const struct rb_probe *rb_probe_find(const char *operation);
/* rb_codebuild_probe - the call with an id that cannot exist: CodeBuild refuses it either because
 * we may not, or because there is no such thing. @project NULL: a made-up one (always for
 * RB_PROBE_MADE_UP), which a policy for named projects only does not cover. *ret_said: AWS's own
 * sentence, in @a. Account: rb_codebuild_of_account. Errors (answer UNSURE): no answer of AWS. */
enum rb_code rb_codebuild_probe(struct rb_codebuild *c, const struct rb_probe *p,
                                const char *region, const char *project, struct rb_arena *a,
                                enum rb_probe_answer *ret_answer, const char **ret_said,
                                struct rb_err *err);

#endif
