/* explain.h - why: every rule in order with the condition that did not hold, and the decision. By
 * the walk that `serve` decides with, without effect.
 *
 * Threads: any. Blocks: never. Strings are in the arena
 * that is passed in, or borrowed from the input.
 */
#ifndef RETRYBUILD_EXPLAIN_H
#define RETRYBUILD_EXPLAIN_H

#include <retrybuild/policy.h>
#include <retrybuild/source.h>

/* What stands in the way besides the rules, as the store knows it. Limit 0: none. */
struct rb_standing_budget {
    int64_t used, limit;
};
struct rb_standing {
    struct rb_standing_budget commit, project, account, minutes;
    const char *project_scope, *account_scope;     /* of the breakers */
    const char *project_breaker, *account_breaker; /* closed, open, half-open */
    const char *incident;                          /* the phase, NULL = none */
};

struct rb_explanation {
    const struct rb_build *build; /* NULL: the payload has none */
    struct rb_decision decision;
    const char *note;   /* what serve would do first, or cannot be known here; NULL = nothing */
    int64_t made, most; /* retries made in the chain, and those that budgets.per_chain allows */
    const struct rb_standing *standing; /* NULL: the store was not asked */
    struct rb_rule_trace *rules;
    unsigned n_rules;
};

/* rb_explain - @in as for rb_policy_decide. RB_E_NOMEM. */
enum rb_code rb_explain(const struct rb_policy *p, const struct rb_settings *s,
                        const struct rb_policy_input *in, struct rb_arena *a,
                        struct rb_explanation *ret_x, struct rb_err *err);
/* rb_explain_payload - what a source would make of @req; @source is the name of a configured one,
 * or a type (then the first configured one of it, else with its defaults). Of several events the
 * first failure. @flaky: what the ledger knows of it. RB_E_NOT_FOUND: no such source or type;
 * RB_E_INVALID: not what it sends. */
enum rb_code rb_explain_payload(const struct rb_policy *p, const struct rb_settings *s,
                                const char *source, const struct rb_request *req, bool flaky,
                                struct rb_arena *a, struct rb_explanation *ret_x,
                                struct rb_err *err);
/* rb_explain_retry - the decision on @r's build, by the rules and budgets of now, with the history
 * of its chain before it. */
enum rb_code rb_explain_retry(const struct rb_policy *p, const struct rb_settings *s,
                              const struct rb_retry *r, bool flaky, struct rb_arena *a,
                              struct rb_explanation *ret_x, struct rb_err *err);
/* rb_explanation_write_json - the answer of POST /v1/explain. */
void rb_explanation_write_json(const struct rb_explanation *x, struct rb_buf *out);

#endif
