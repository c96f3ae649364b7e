/* decide.c - the policy's word on a failed build, with the end of its log where a rule asks for it.
 *
 * The log is read only when everything else of such a rule holds and no rule before it matches. It
 * is matched, never kept.
 */
#include "internal.h"

#include <retrybuild/log.h>

#define RB_LOG_TAIL_BYTES ((size_t)64 * 1024)

static enum rb_code read_log(struct rb_work *k, const struct rb_build *b, const char **ret_text,
                             struct rb_err *err)
{
    struct rb_codebuild *c = k->w->codebuild;
    enum rb_code rc = rb_work_keep(k, k->lease_ms / 2, err);

    if (rc != RB_OK) {
        return rc;
    }
    rb_codebuild_of_account(c, b->account == NULL ? k->r->build.account : b->account);
    rc = rb_codebuild_log_tail(c, b->region == NULL ? k->r->build.region : b->region, b->id,
                               RB_LOG_TAIL_BYTES, &k->arena, ret_text, err);
    return rc == RB_E_NOT_FOUND ? RB_OK : rc; /* it has none, and will have none */
}

enum rb_code rb_decide(struct rb_work *k, struct rb_policy_input *in, bool patient,
                       struct rb_arena *a, struct rb_decision *ret_d, struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};

    in->auto_retry_overdue = rb_lineage_overdue(k, in->build);
    in->flaky = rb_engine_flaky(k->e, k->rt->policy, in->build);
    rb_policy_decide(k->rt->policy, in, a, ret_d);
    if (!ret_d->needs_log) {
        return RB_OK;
    }
    enum rb_code rc = read_log(k, in->build, &in->log, &why);
    if (rc == RB_E_CLOSED || rc == RB_E_FENCED) {
        return rb_err_set(err, rc, "%s", why.msg);
    }
    if (rc != RB_OK) {
        rb_log(RB_LOG_WARN, "policy.log_unread", RB_F("retry", k->r->id),
               RB_F("build", in->build->id), RB_F("error", why.msg));
        if (patient) {
            return rb_err_set(err, RB_E_LATER, "the build's log could not be read: %s",
                              rb_code_name(rc));
        }
    }
    in->log_known = true;
    rb_policy_decide(k->rt->policy, in, a, ret_d);
    return RB_OK;
}
