/* rules.h - the parts of the policy among themselves. */
#ifndef RB_ENGINE_POLICY_RULES_H
#define RB_ENGINE_POLICY_RULES_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <retrybuild/policy.h>
#include <retrybuild/range.h>

struct pattern;

/* rb_pattern_new - RB_E_INVALID says what is wrong with @text and where. */
/* @timed: of a user, so that a search ends after RB_PATTERN_TIME_MS. */
enum rb_code rb_pattern_new(const char *text, bool caseless, bool timed, struct pattern **ret_p,
                            struct rb_err *err);
#define RB_PATTERN_TIME_MS 50
void rb_pattern_free(struct pattern *p); /* NULL accepted */
/* rb_pattern_find - the first match in @s; running into a limit is no match. *ret_hit may be NULL.
 */
bool rb_pattern_find(const struct pattern *p, struct rb_slice s, struct rb_slice *ret_hit);

/* The conditions of one rule that want more than the settings; n == 0 / NULL = absent. */
struct conditions {
    struct pattern *message, *log;
    struct rb_range *exit_code, *attempt, *duration;
    unsigned n_exit_code, n_attempt, n_duration;
    struct rb_hours *hours;
    unsigned n_hours;
};

struct rb_policy {
    struct rb_settings *settings;
    struct conditions *rules;            /* of settings->rules[i] */
    struct pattern *download, *commands; /* known to be transient, by phase */
};

/* rb_conditions_new - compiles those of @r. RB_E_INVALID names rule and condition. */
enum rb_code rb_conditions_new(const struct rb_rule_setting *r, struct conditions *ret_c,
                               struct rb_err *err);
void rb_conditions_release(struct conditions *c);

/* rb_when_failed - the name of the condition of settings->rules[@i] that does not hold; NULL: all
 * do. *ret_needs_log: it is the log, and nobody has read it yet. */
const char *rb_when_failed(const struct rb_policy *p, unsigned i, const struct rb_policy_input *in,
                           bool *ret_needs_log);
/* rb_globs_match - some pattern matches and no "!pattern" does; only exclusions: everything else
 * matches. An absent value matches nothing. */
bool rb_globs_match(const struct rb_strings *globs, const char *value);

/* A rule that is always there. */
struct builtin {
    const char *name;
    enum rb_action then;
    int64_t limit;
    /* failed - as rb_when_failed; *ret_hit: what it found in the message, ptr NULL when nothing. */
    const char *(*failed)(const struct rb_policy *p, const struct rb_build *b,
                          struct rb_slice *ret_hit);
    const char *(*reason)(const struct rb_build *b, struct rb_slice hit, struct rb_arena *a);
};
extern const struct builtin rb_policy_builtins[];
extern const unsigned rb_policy_n_builtins;

/* rb_check_first - what is decided before any rule; false: go on. */
bool rb_check_first(const struct rb_policy *p, const struct rb_policy_input *in, struct rb_arena *a,
                    struct rb_decision *ret_d);

/* rb_of_pipeline - CodePipeline started it. rb_pipeline_consent - a rule lets its stage be retried.
 */
bool rb_of_pipeline(const struct rb_build *b);
bool rb_pipeline_consent(const struct rb_policy *p, const struct rb_policy_input *in);

/* rb_transient_pattern - the table of known transient messages as one expression; the caller frees.
 */
char *rb_transient_pattern(bool of_download);
/* rb_transient_find - by the table for @b's phase, in what happened, not in what the command was.
 */
bool rb_transient_find(const struct rb_policy *p, const struct rb_build *b,
                       struct rb_slice *ret_hit);

#endif
