/* Generated histories: rules, builds and chains of every kind. Whatever they are, no limit is ever
 * passed, and auto, shadow and explain say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/policy.h>

#define ROUNDS 200
#define MAX_RULES 4
#define NOW INT64_C(1793714900000)

static uint64_t seed = UINT64_C(88172645463325252);

static unsigned below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static const char *pick(const char *const *words, unsigned n)
{
    return words[below(n)];
}

static const char *const phases[] = {"PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "BUILD", NULL};
static const char *const statuses[] = {"FAILED", "FAULT", "TIMED_OUT", "STOPPED"};
static const char *const messages[] = {"connection reset by peer", "exit status 1", "", NULL};
static const char *const hours[] = {"Mon-Fri 08:00-18:00 UTC", "Sat,Sun", "00:00-24:00"};
static const char *const ranges[] = {"1", "2-", "!3", "-2"};

static struct rb_strings everywhere;

struct case_ {
    struct rb_settings *s;
    struct rb_policy *p;
    char names[MAX_RULES][16];
    const char *words[MAX_RULES][3];
};

static void policy_freep(struct rb_policy **p)
{
    rb_policy_free(*p);
}

static struct rb_strings one(const char **at, const char *word)
{
    *at = word;
    return (struct rb_strings){.items = at, .n = word == NULL ? 0 : 1};
}

static void make_rule(struct case_ *c, unsigned i)
{
    struct rb_rule_setting *r = &c->s->rules[i];
    (void)snprintf(c->names[i], sizeof(c->names[i]), "r%u", i);
    *r = (struct rb_rule_setting){.name = c->names[i],
                                  .then = (enum rb_action)(RB_ACTION_RETRY + (int)below(3)),
                                  .limit = below(4)};
    if (below(2) == 0) {
        r->when.phase = one(&c->words[i][0], pick(phases, 4));
    }
    if (below(3) == 0) {
        r->when.hours = one(&c->words[i][1], pick(hours, 3));
    }
    if (below(3) == 0) {
        r->when.attempt = one(&c->words[i][2], pick(ranges, 4));
    }
    r->when.flaky = (enum rb_flaky_is)below(3);
    r->when.message = below(3) == 0 ? "reset" : NULL;
    r->mode = below(2) == 0 ? RB_RULE_MODE_ANY : (enum rb_rule_mode)below(4);
}

static struct rb_settings *make_settings(struct case_ *c)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 65536);
    c->s = s;
    s->refs = 1;
    s->builtin_rules = below(2) == 0;
    s->budgets.per_chain = below(5);
    s->mode = (enum rb_mode)below(3);
    s->projects_ask = below(4) == 0 ? everywhere : s->projects_ask;
    s->projects_auto = below(4) == 0 ? everywhere : s->projects_auto;
    s->n_rules = below(MAX_RULES + 1);
    s->rules = rb_arena_alloc(&s->arena, (MAX_RULES + 1) * sizeof(*s->rules));
    assert_non_null(s->rules);
    for (unsigned i = 0; i < s->n_rules; i++) {
        make_rule(c, i);
    }
    return s;
}

static void use(struct rb_rule_use *uses, unsigned *n, const char *rule, int64_t limit)
{
    for (unsigned i = 0; i < *n; i++) {
        if (rb_str_eq(uses[i].rule, rule)) {
            uses[i].count++;
            assert_true(uses[i].count <= limit);
            return;
        }
    }
    assert_true(limit >= 1);
    uses[(*n)++] = (struct rb_rule_use){.rule = rule, .count = 1};
}

static void same_everywhere(struct case_ *c, const struct rb_policy_input *in,
                            const struct rb_decision *d, struct rb_arena *a)
{
    struct rb_decision again = {.action = RB_ACTION_NONE};
    struct rb_rule_trace rows[16];
    unsigned n = rb_policy_trace(c->p, in, a, rows, 16, &again);
    assert_true(n <= 16);
    assert_int_equal(again.state, d->state);
    assert_string_equal(again.rule, d->rule);
    assert_string_equal(again.reason, d->reason);
    const struct rb_strings none = {.n = 0};
    c->s->projects_shadow = everywhere;
    rb_policy_decide(c->p, in, a, &again);
    c->s->projects_shadow = none;
    assert_string_equal(again.rule, d->rule);
    /* what only a mode makes a question, shadow would have retried */
    assert_true(again.action == d->action ||
                (d->action == RB_ACTION_ASK && again.action == RB_ACTION_RETRY));
    assert_true(again.state != RB_STATE_SCHEDULED && again.state != RB_STATE_HELD);
}

static void run_chain(struct case_ *c, struct rb_arena *a)
{
    struct rb_rule_use uses[RB_RULE_USES_MAX];
    unsigned n = 0;
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        struct rb_build b = RB_BUILD_INIT;
        b.project = "web";
        b.status = pick(statuses, 4);
        b.phase = pick(phases, 5);
        b.message = pick(messages, 4);
        b.exit_code = (int)below(80) - 1;
        if (below(8) == 0) {
            b.auto_retry_limit = 2;
            b.auto_retry_number = (int64_t)below(3);
        }
        const struct rb_policy_input in = {.build = &b,
                                           .source = "eb",
                                           .now_ms = NOW + below(1000000000),
                                           .attempt = attempt,
                                           .rule_uses = uses,
                                           .n_rule_uses = n,
                                           .auto_retry_overdue = below(2) == 0,
                                           .person = below(10) == 0,
                                           .flaky = below(2) == 0};
        struct rb_decision d = {.action = RB_ACTION_NONE};
        rb_policy_decide(c->p, &in, a, &d);
        same_everywhere(c, &in, &d, a);
        if (d.state != RB_STATE_SCHEDULED && d.state != RB_STATE_HELD) {
            return;
        }
        if (in.person) {
            continue; /* who asks has no limit of rules; the gate has one for everybody */
        }
        assert_true(c->s->budgets.per_chain == 0 || rb_policy_made(&in) < c->s->budgets.per_chain);
        use(uses, &n, d.rule, d.limit);
        assert_true(n < RB_RULE_USES_MAX);
    }
}

static void no_history_passes_a_limit_or_is_decided_in_two_ways(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    const char *glob[] = {"*"};
    everywhere = (struct rb_strings){.items = glob, .n = 1};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct case_ c;
        RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = make_settings(&c);
        RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
        assert_int_equal(rb_policy_new(s, &p, NULL), RB_OK);
        c.p = p;
        run_chain(&c, &a);
        rb_arena_reset(&a);
    }
    rb_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_history_passes_a_limit_or_is_decided_in_two_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
