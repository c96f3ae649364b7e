/* policy.h - should this failure be retried? A pure function of (event, rules, history, now).
 *
 * The same function serves `serve`, shadow mode, `explain` and the tests. No clock (but for the
 * time limit of a user's expression), no random, no I/O. Threads: a policy is read-only after
 * rb_policy_new.
 */
#ifndef RETRYBUILD_POLICY_H
#define RETRYBUILD_POLICY_H

#include <retrybuild/err.h>
#include <retrybuild/model.h>
#include <retrybuild/settings.h>

struct rb_policy; /* compiled rules; keeps a reference on the settings */

/* rb_policy_new - compiles every pattern (PCRE2, match and depth limits set). RB_E_INVALID names
 * the rule. */
enum rb_code rb_policy_new(struct rb_settings *s, struct rb_policy **ret_p, struct rb_err *err);
void rb_policy_free(struct rb_policy *p);

struct rb_policy_input {
    const struct rb_build *build;
    const char *source;  /* name of the source */
    int64_t event_at_ms; /* 0 = unknown */
    int64_t now_ms;
    /* history of the chain so far */
    int64_t attempt; /* retries already made in this chain */
    const struct rb_rule_use *rule_uses;
    unsigned n_rule_uses;
    bool flaky;      /* what the ledger knows of failures like this one */
    const char *log; /* end of the build's log; NULL with @log_known: it has none */
    bool log_known;
    bool
        auto_retry_overdue; /* CodeBuild's own auto-retry was to run the build again, and did not */
    /* a person asked: rules are not consulted, deny lists and CodePipeline are */
    bool person;
    bool force;
};

/* rb_policy_decide - always gives a decision with rule and reason (strings in @a). Order: project
 * deny/allow, foreign account, CodePipeline initiator, batch member, too old, AWS's own auto-retry,
 * mode, user rules, built-in rules, budget per chain. A rule whose last open condition is the log,
 * which is not known, does not match: @ret_d->needs_log asks for it and for another decision. */
void rb_policy_decide(const struct rb_policy *p, const struct rb_policy_input *in,
                      struct rb_arena *a, struct rb_decision *ret_d);

/* rb_policy_asks_flaky - does any rule in force have the condition? */
bool rb_policy_asks_flaky(const struct rb_policy *p);

/* rb_policy_shadows - may a decision be in shadow mode, by whatever key? */
bool rb_policy_shadows(const struct rb_policy *p);

/* rb_policy_made - retries made in the chain, for its budget: those that CodeBuild's own auto-retry
 * made count too, as far as the build tells. */
int64_t rb_policy_made(const struct rb_policy_input *in);

/* rb_policy_delay_ms - when to submit, from now: full jitter uniform in [0, min(cap, base *
 * 2^(attempt-1))], fixed, or list. @random64 is passed in. */
int64_t rb_policy_delay_ms(const struct rb_delay *d, int64_t attempt, uint64_t random64);

struct rb_rule_trace {
    const char *name;
    int matched;        /* 1, 0, -1 = not tried */
    const char *failed; /* the condition that did not hold, NULL when matched */
};
/* rb_policy_trace - the same walk, every rule in order; fills at most @max rows, returns how many
 * there are. */
unsigned rb_policy_trace(const struct rb_policy *p, const struct rb_policy_input *in,
                         struct rb_arena *a, struct rb_rule_trace *rows, unsigned max,
                         struct rb_decision *ret_d);

#endif
