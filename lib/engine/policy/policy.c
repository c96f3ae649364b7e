/* policy.c - the walk: checks, the user's rules, the built-in rules, budget, mode.
 *
 * Pure: everything it looks at comes in. The first rule that matches decides, also when it says no
 * because its limit for this chain is used up: a later, broader rule must not undo it.
 */
#include <stdlib.h>

#include <retrybuild/cleanup.h>

#include "rules.h"

#define DEFAULT_BASE_MS 30000
#define DEFAULT_CAP_MS (15 * 60 * 1000)

static enum rb_code compile_table(bool of_download, struct pattern **ret_p, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) char *text = rb_transient_pattern(of_download);
    if (text == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the table of transient messages");
    }
    return rb_pattern_new(text, true, false, ret_p, err);
}

static void policy_freep(struct rb_policy **p)
{
    rb_policy_free(*p);
}

enum rb_code rb_policy_new(struct rb_settings *s, struct rb_policy **ret_p, struct rb_err *err)
{
    RB_CLEANUP(policy_freep) struct rb_policy *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the policy");
    }
    p->settings = rb_settings_ref(s);
    p->rules = calloc(s->n_rules + 1U, sizeof(*p->rules));
    if (p->rules == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the policy");
    }
    enum rb_code rc = compile_table(true, &p->download, err);
    if (rc == RB_OK) {
        rc = compile_table(false, &p->commands, err);
    }
    for (unsigned i = 0; rc == RB_OK && i < s->n_rules; i++) {
        rc = rb_conditions_new(&s->rules[i], &p->rules[i], err);
    }
    if (rc == RB_OK) {
        *ret_p = RB_TAKE(p);
    }
    return rc;
}

void rb_policy_free(struct rb_policy *p)
{
    if (p == NULL) {
        return;
    }
    for (unsigned i = 0; p->rules != NULL && i < p->settings->n_rules; i++) {
        rb_conditions_release(&p->rules[i]);
    }
    free(p->rules);
    rb_pattern_free(p->download);
    rb_pattern_free(p->commands);
    rb_settings_unref(p->settings);
    free(p);
}

static const char *or_else(const char *s, const char *otherwise)
{
    return s == NULL ? otherwise : s;
}

static int64_t uses_of(const struct rb_policy_input *in, const char *rule)
{
    for (unsigned i = 0; i < in->n_rule_uses; i++) {
        if (rb_str_eq(in->rule_uses[i].rule, rule)) {
            return in->rule_uses[i].count;
        }
    }
    return 0;
}

/* A matching rule of either kind. */
struct match {
    const char *name;
    enum rb_action then;
    int64_t limit;
    struct rb_delay delay;
    bool start, pipeline;
    const char *reason;
};

static void apply(const struct match *m, const struct rb_policy_input *in, struct rb_arena *a,
                  struct rb_decision *d)
{
    *d = (struct rb_decision){.action = m->then,
                              .rule = m->name,
                              .reason = m->reason,
                              .limit = m->limit,
                              .delay = m->delay,
                              .start = m->start,
                              .pipeline = m->pipeline,
                              .state = RB_STATE_IGNORED};
    if (m->then == RB_ACTION_IGNORE || m->then == RB_ACTION_NONE) {
        d->action = RB_ACTION_IGNORE;
        d->limit = 0;
    } else if (m->limit <= 0) {
        d->action = RB_ACTION_IGNORE;
        d->reason = or_else(rb_arena_printf(a, "rule %s never retries: its limit is 0", m->name),
                            "the rule's limit is 0");
    } else if (uses_of(in, m->name) >= m->limit) {
        d->action = RB_ACTION_IGNORE;
        d->reason = or_else(
            rb_arena_printf(a, "limit %lld of rule %s reached", (long long)m->limit, m->name),
            "the rule's limit is reached");
    } else {
        d->state = m->then == RB_ACTION_ASK ? RB_STATE_HELD : RB_STATE_SCHEDULED;
    }
}

static const char *user_reason(const struct rb_rule_setting *r, const struct rb_policy_input *in,
                               struct rb_arena *a)
{
    if (r->then == RB_ACTION_IGNORE) {
        return or_else(rb_arena_printf(a, "Rule '%s' ignores this failure.", r->name),
                       "A rule ignores this failure.");
    }
    const char *what = r->then == RB_ACTION_ASK    ? "asks a person about"
                       : r->how == RB_HOW_START    ? "starts the build anew for"
                       : r->how == RB_HOW_PIPELINE ? "has CodePipeline retry the stage of"
                                                   : "retries";
    return or_else(rb_arena_printf(a, "Rule '%s' %s this failure (%lld of %lld in this chain).",
                                   r->name, what, (long long)uses_of(in, r->name) + 1,
                                   (long long)r->limit),
                   "A rule matches this failure.");
}

struct walk {
    struct rb_rule_trace *rows; /* NULL: only the decision counts */
    unsigned max, n;
    bool decided;
    bool needs_log;
    enum rb_rule_mode mode; /* of the rule that decided */
};

static void trace(struct walk *w, const char *name, int matched, const char *failed)
{
    if (w->rows != NULL && w->n < w->max) {
        w->rows[w->n] = (struct rb_rule_trace){.name = name, .matched = matched, .failed = failed};
    }
    w->n++;
}

static void try_user_rule(const struct rb_policy *p, unsigned i, const struct rb_policy_input *in,
                          struct rb_arena *a, struct walk *w, struct rb_decision *d)
{
    const struct rb_rule_setting *r = &p->settings->rules[i];
    if (w->decided) {
        trace(w, r->name, -1, NULL);
        return;
    }
    const char *failed = rb_when_failed(p, i, in, &w->needs_log);
    trace(w, r->name, failed == NULL ? 1 : 0, failed);
    if (failed == NULL) {
        struct match m = {.name = r->name,
                          .then = r->then,
                          .limit = r->limit,
                          .delay = r->delay,
                          .start = r->how == RB_HOW_START,
                          .pipeline = r->how == RB_HOW_PIPELINE};
        m.reason = user_reason(r, in, a);
        apply(&m, in, a, d);
        w->mode = r->mode;
        w->decided = true;
    }
}

static void try_builtin(const struct rb_policy *p, const struct builtin *b,
                        const struct rb_policy_input *in, struct rb_arena *a, struct walk *w,
                        struct rb_decision *d)
{
    if (w->decided) {
        trace(w, b->name, -1, NULL);
        return;
    }
    struct rb_slice hit = {NULL, 0};
    const char *failed = b->failed(p, in->build, &hit);
    trace(w, b->name, failed == NULL ? 1 : 0, failed);
    if (failed == NULL) {
        struct match m = {.name = b->name, .then = b->then, .limit = b->limit};
        m.delay = (struct rb_delay){
            .kind = RB_DELAY_JITTER, .base_ms = DEFAULT_BASE_MS, .cap_ms = DEFAULT_CAP_MS};
        m.reason = b->reason(in->build, hit, a);
        apply(&m, in, a, d);
        w->decided = true;
    }
}

static void walk_rules(const struct rb_policy *p, const struct rb_policy_input *in,
                       struct rb_arena *a, struct walk *w, struct rb_decision *d)
{
    for (unsigned i = 0; i < p->settings->n_rules; i++) {
        try_user_rule(p, i, in, a, w, d);
    }
    for (unsigned i = 0; p->settings->builtin_rules && i < rb_policy_n_builtins; i++) {
        try_builtin(p, &rb_policy_builtins[i], in, a, w, d);
    }
    if (!w->decided) {
        *d = (struct rb_decision){.action = RB_ACTION_IGNORE,
                                  .rule = "no-rule",
                                  .reason = "No rule matches this failure.",
                                  .state = RB_STATE_IGNORED};
    }
}

int64_t rb_policy_made(const struct rb_policy_input *in)
{
    int64_t by_aws = in->build->auto_retry_number;
    return by_aws > in->attempt ? by_aws : in->attempt;
}

static void apply_budget(const struct rb_policy *p, const struct rb_policy_input *in,
                         struct rb_decision *d)
{
    int64_t budget = p->settings->budgets.per_chain;
    bool wants = d->state == RB_STATE_SCHEDULED || d->state == RB_STATE_HELD;
    if (wants && !in->person && budget > 0 && rb_policy_made(in) >= budget) {
        d->state = RB_STATE_REFUSED;
        d->reason = "budget:chain";
    }
}

static bool is_in(const struct rb_strings *globs, const char *project)
{
    return globs->n > 0 && rb_globs_match(globs, project);
}

/* mode_of - the rule's own, else the project's, else the global one; but projects.ask and
 * projects.shadow hold whatever a rule says. *ret_why: the list that says it, NULL = none. */
static enum rb_mode mode_of(const struct rb_policy *p, const struct rb_policy_input *in,
                            enum rb_rule_mode of_rule, const char **ret_why)
{
    const struct rb_settings *s = p->settings;
    enum rb_mode mode = is_in(&s->projects_auto, in->build->project) ? RB_MODE_AUTO : s->mode;
    if (of_rule != RB_RULE_MODE_ANY) {
        mode = of_rule == RB_RULE_MODE_AUTO  ? RB_MODE_AUTO
               : of_rule == RB_RULE_MODE_ASK ? RB_MODE_ASK
                                             : RB_MODE_SHADOW;
    }
    *ret_why = NULL;
    if (is_in(&s->projects_shadow, in->build->project)) {
        *ret_why = "projects.shadow";
        return RB_MODE_SHADOW;
    }
    if (mode != RB_MODE_SHADOW && is_in(&s->projects_ask, in->build->project)) {
        *ret_why = "projects.ask";
        return RB_MODE_ASK;
    }
    return mode;
}

static void apply_mode(const struct rb_policy *p, const struct rb_policy_input *in,
                       enum rb_rule_mode of_rule, struct rb_arena *a, struct rb_decision *d)
{
    const char *why = NULL;
    enum rb_mode mode = mode_of(p, in, of_rule, &why);
    bool wants = d->state == RB_STATE_SCHEDULED || d->state == RB_STATE_HELD;
    if (!wants || mode == RB_MODE_AUTO) {
        return;
    }
    if (mode == RB_MODE_SHADOW) {
        const char *would = d->state == RB_STATE_HELD ? "ask" : "retry";
        d->reason = or_else(rb_arena_printf(a, "shadow: would %s: %s", would, d->reason),
                            "shadow: would retry");
        d->state = RB_STATE_IGNORED;
        return;
    }
    if (d->state == RB_STATE_HELD || in->person) {
        return;
    }
    d->action = RB_ACTION_ASK;
    d->state = RB_STATE_HELD;
    if (why != NULL) {
        d->reason = or_else(
            rb_arena_printf(a, "%s A person decides: the project is one of %s.", d->reason, why),
            "A person decides: the project is one of projects.ask.");
    }
}

static void decide(const struct rb_policy *p, const struct rb_policy_input *in, struct rb_arena *a,
                   struct walk *w, struct rb_decision *d)
{
    bool by_check = rb_check_first(p, in, a, d);
    w->decided = by_check;
    if (!by_check && in->person) {
        w->decided = true;
        *d = (struct rb_decision){.action = RB_ACTION_RETRY,
                                  .rule = "request",
                                  .reason = "A person asked for this retry.",
                                  .limit = in->attempt + 1,
                                  .delay = {.kind = RB_DELAY_FIXED, .n_list = 1},
                                  .pipeline = rb_of_pipeline(in->build),
                                  .state = RB_STATE_SCHEDULED};
    }
    if (w->decided && w->rows == NULL) {
        apply_mode(p, in, RB_RULE_MODE_ANY, a, d);
        return;
    }
    struct rb_decision by_rules = {.action = RB_ACTION_NONE};
    bool decided = w->decided;
    w->decided = decided && !by_check; /* what the rules would say is shown all the same */
    walk_rules(p, in, a, w, &by_rules);
    *d = decided ? *d : by_rules;
    d->needs_log = w->needs_log && !decided;
    apply_budget(p, in, d);
    apply_mode(p, in, decided ? RB_RULE_MODE_ANY : w->mode, a, d);
}

bool rb_policy_shadows(const struct rb_policy *p)
{
    const struct rb_settings *s = p->settings;
    for (unsigned i = 0; i < s->n_rules; i++) {
        if (s->rules[i].mode == RB_RULE_MODE_SHADOW) {
            return true;
        }
    }
    return s->mode == RB_MODE_SHADOW || s->projects_shadow.n > 0;
}

void rb_policy_decide(const struct rb_policy *p, const struct rb_policy_input *in,
                      struct rb_arena *a, struct rb_decision *ret_d)
{
    struct walk w = {.rows = NULL};
    decide(p, in, a, &w, ret_d);
}

unsigned rb_policy_trace(const struct rb_policy *p, const struct rb_policy_input *in,
                         struct rb_arena *a, struct rb_rule_trace *rows, unsigned max,
                         struct rb_decision *ret_d)
{
    struct rb_rule_trace none;
    struct walk w = {.rows = rows == NULL ? &none : rows, .max = rows == NULL ? 0 : max};
    decide(p, in, a, &w, ret_d);
    return w.n;
}
