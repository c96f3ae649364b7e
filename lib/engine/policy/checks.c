/* checks.c - what is decided before any rule is tried, in this order: whose build it is, who else
 * takes care of it, whether it is still news.
 *
 * A build that is part of a batch is retried with it (batch.c), except for the AWS front door,
 * whose answer is one Build. A person is held by the first four alone. The others protect against
 * machines: against a late redelivery, and against doing what AWS does already.
 */
#include <retrybuild/cleanup.h>

#include "rules.h"

static bool say_no(struct rb_decision *d, enum rb_state state, const char *rule, const char *reason)
{
    *d = (struct rb_decision){
        .action = RB_ACTION_IGNORE, .rule = rule, .reason = reason, .state = state};
    return true;
}

static const char *or_else(const char *s, const char *otherwise)
{
    return s == NULL ? otherwise : s;
}

static bool check_project(const struct rb_policy *p, const struct rb_policy_input *in,
                          struct rb_arena *a, struct rb_decision *d)
{
    const struct rb_settings *s = p->settings;
    const char *project = in->build->project;
    bool allowed = s->projects_allow.n == 0 || rb_globs_match(&s->projects_allow, project);
    bool denied = s->projects_deny.n > 0 && rb_globs_match(&s->projects_deny, project);
    if (allowed && !denied) {
        return false;
    }
    const char *reason =
        rb_arena_printf(a, "Project '%.255s' is %s.", or_else(project, "unknown"),
                        denied ? "denied by projects.deny" : "not among those of projects.allow");
    return say_no(d, RB_STATE_REFUSED, denied ? "projects-deny" : "projects-allow",
                  or_else(reason, "The project is not allowed."));
}

static bool check_account(const struct rb_policy *p, const struct rb_policy_input *in,
                          struct rb_arena *a, struct rb_decision *d)
{
    const char *own = p->settings->aws.account;
    const char *account = in->build->account;
    if (rb_str_empty(own) || account == NULL || rb_str_eq(own, account)) {
        return false;
    }
    for (unsigned i = 0; i < p->settings->aws.n_accounts; i++) {
        if (rb_str_eq(p->settings->aws.accounts[i].id, account)) {
            return false; /* which of its regions, the client knows */
        }
    }
    return say_no(d, RB_STATE_REFUSED, "foreign-account",
                  or_else(rb_arena_printf(a,
                                          "The build is of account %.12s; this service may only "
                                          "retry builds of account %.12s%s.",
                                          account, own,
                                          p->settings->aws.n_accounts == 0
                                              ? ""
                                              : " and of those in aws.accounts: add it there"),
                          "The build is of another account."));
}

bool rb_of_pipeline(const struct rb_build *b)
{
    return rb_str_eq(b->source_type, "CODEPIPELINE") ||
           (b->initiator != NULL && rb_str_starts(b->initiator, "codepipeline/"));
}

/* The user's first rule that matches says whether the pipeline may be touched; also for a person,
 * who needs that consent of the configuration like everybody. */
bool rb_pipeline_consent(const struct rb_policy *p, const struct rb_policy_input *in)
{
    for (unsigned i = 0; i < p->settings->n_rules; i++) {
        bool needs_log = false; /* one that would have to be read is no consent */
        if (rb_when_failed(p, i, in, &needs_log) == NULL) {
            return p->settings->rules[i].how == RB_HOW_PIPELINE;
        }
    }
    return false;
}

static bool check_pipeline(const struct rb_policy *p, const struct rb_policy_input *in,
                           struct rb_arena *a, struct rb_decision *d)
{
    (void)a;
    return rb_of_pipeline(in->build) && !rb_pipeline_consent(p, in) &&
           say_no(d, RB_STATE_REFUSED, "codepipeline",
                  "CodePipeline started this build, and a retry of the build alone would not move "
                  "the pipeline: retry the failed stage in CodePipeline, or let a rule with "
                  "`how: pipeline` do it.");
}

static bool check_batch(const struct rb_policy *p, const struct rb_policy_input *in,
                        struct rb_arena *a, struct rb_decision *d)
{
    (void)p;
    (void)a;
    return in->build->batch_arn != NULL && in->person && rb_str_eq(in->source, "front-door") &&
           say_no(d, RB_STATE_REFUSED, "batch-member",
                  "The build is part of a batch, whose failed builds are run again together: the "
                  "answer to RetryBuild cannot name a build of its own. Ask by POST /v1/retries.");
}

/* check_age - a person who asks is news, however old the build is. */
static bool check_age(const struct rb_policy *p, const struct rb_policy_input *in,
                      struct rb_arena *a, struct rb_decision *d)
{
    int64_t max_ms = p->settings->timing.max_event_age_ms;
    int64_t at_ms = in->event_at_ms;
    if (at_ms == 0 && !in->person) {
        at_ms = in->build->ended_ms;
    }
    if (in->force || max_ms <= 0 || at_ms <= 0 || in->now_ms - at_ms <= max_ms) {
        return false;
    }
    return say_no(
        d, RB_STATE_IGNORED, "too-old",
        or_else(rb_arena_printf(a,
                                "The failure is %lld minutes old; what is older than %lld "
                                "minutes is not retried.",
                                (long long)((in->now_ms - at_ms) / 60000),
                                (long long)(max_ms / 60000)),
                "The failure is too old."));
}

static bool check_auto_retry(const struct rb_policy *p, const struct rb_policy_input *in,
                             struct rb_arena *a, struct rb_decision *d)
{
    (void)p;
    const struct rb_build *b = in->build;
    bool known = b->auto_retry_limit >= 0 && b->auto_retry_number >= 0;
    bool pending = known && b->auto_retry_number < b->auto_retry_limit && !in->auto_retry_overdue;
    if (in->person || (!pending && b->next_auto_retry == NULL)) {
        return false;
    }
    static const char plain[] = "CodeBuild's own auto-retry has run this build again already.";
    if (b->next_auto_retry != NULL) {
        return say_no(d, RB_STATE_DEFERRED, "auto-retry", plain);
    }
    return say_no(d, RB_STATE_DEFERRED, "auto-retry",
                  or_else(rb_arena_printf(
                              a, "CodeBuild's own auto-retry runs this build again (%lld of %lld).",
                              (long long)b->auto_retry_number + 1, (long long)b->auto_retry_limit),
                          "CodeBuild's own auto-retry runs this build again."));
}

bool rb_check_first(const struct rb_policy *p, const struct rb_policy_input *in, struct rb_arena *a,
                    struct rb_decision *ret_d)
{
    static bool (*const checks[])(const struct rb_policy *, const struct rb_policy_input *,
                                  struct rb_arena *, struct rb_decision *) = {
        check_project, check_account, check_pipeline, check_batch, check_age, check_auto_retry,
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(checks); i++) {
        if (checks[i](p, in, a, ret_d)) {
            return true;
        }
    }
    return false;
}
