/* Decisions of tests/data/policy: one file a case, {"settings"?, "build", "input", "expect"}.
 *
 * Settings are by default those of an empty configuration. "expect" names action, rule and state,
 * and, where it matters, limit and reason. Every case is decided twice: as serve does, and with the
 * trace that explain shows; both must say the same.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/policy.h>

#define MINIMUM_CASES 190
#define MAX_RULES 16
#define SUFFIX ".json"

static void closedirp(DIR **d)
{
    if (*d != NULL) {
        (void)closedir(*d);
    }
}

static void policy_freep(struct rb_policy **p)
{
    rb_policy_free(*p);
}

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int64_t whole(const json_t *o, const char *name, int64_t absent)
{
    const json_t *v = json_object_get(o, name);
    return v == NULL ? absent : json_integer_value(v);
}

static struct rb_strings strings(const json_t *o, const char *name, struct rb_arena *a)
{
    const json_t *list = json_object_get(o, name);
    struct rb_strings s = {NULL, (unsigned)json_array_size(list)};
    s.items = rb_arena_alloc(a, (s.n + 1) * sizeof(*s.items));
    assert_non_null(s.items);
    for (unsigned i = 0; i < s.n; i++) {
        s.items[i] = json_string_value(json_array_get(list, i));
        assert_non_null(s.items[i]);
    }
    return s;
}

static enum rb_flaky_is flaky_of(const json_t *when)
{
    const json_t *v = json_object_get(when, "flaky");
    return v == NULL ? RB_FLAKY_ANY : json_is_true(v) ? RB_FLAKY_TRUE : RB_FLAKY_FALSE;
}

static void fill_rule(struct rb_rule_setting *r, const json_t *o, struct rb_arena *a)
{
    const json_t *when = json_object_get(o, "when");
    r->name = text(o, "name");
    assert_true(rb_action_parse(text(o, "then"), &r->then));
    r->limit = whole(o, "limit", 1);
    r->how = rb_str_eq(text(o, "how"), "start")      ? RB_HOW_START
             : rb_str_eq(text(o, "how"), "pipeline") ? RB_HOW_PIPELINE
                                                     : RB_HOW_RETRY;
    const char *mode = text(o, "mode");
    r->mode = mode == NULL              ? RB_RULE_MODE_ANY
              : rb_str_eq(mode, "auto") ? RB_RULE_MODE_AUTO
              : rb_str_eq(mode, "ask")  ? RB_RULE_MODE_ASK
                                        : RB_RULE_MODE_SHADOW;
    r->when = (struct rb_when){
        .project = strings(when, "project", a),
        .repository = strings(when, "repository", a),
        .branch = strings(when, "branch", a),
        .account = strings(when, "account", a),
        .region = strings(when, "region", a),
        .source = strings(when, "source", a),
        .status = strings(when, "status", a),
        .phase = strings(when, "phase", a),
        .phase_status = strings(when, "phase_status", a),
        .initiator = strings(when, "initiator", a),
        .author = strings(when, "author", a),
        .exit_code = strings(when, "exit_code", a),
        .attempt = strings(when, "attempt", a),
        .duration = strings(when, "duration", a),
        .hours = strings(when, "hours", a),
        .flaky = flaky_of(when),
        .message = text(when, "message"),
        .log = text(when, "log"),
    };
}

static struct rb_settings *settings_of(const json_t *o)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 1 << 20);
    s->refs = 1;
    s->builtin_rules = true;
    s->budgets.per_chain = whole(o, "budget_per_chain", 2);
    s->timing.max_event_age_ms = 6 * 3600 * 1000;
    s->aws.account = text(o, "account");
    s->projects_allow = strings(o, "projects_allow", &s->arena);
    s->projects_deny = strings(o, "projects_deny", &s->arena);
    s->projects_ask = strings(o, "projects_ask", &s->arena);
    s->projects_shadow = strings(o, "projects_shadow", &s->arena);
    s->projects_auto = strings(o, "projects_auto", &s->arena);
    if (json_is_false(json_object_get(o, "builtin_rules"))) {
        s->builtin_rules = false;
    }
    const char *mode = text(o, "mode");
    if (mode != NULL) {
        s->mode = rb_str_eq(mode, "ask") ? RB_MODE_ASK : RB_MODE_SHADOW;
    }
    const json_t *rules = json_object_get(o, "rules");
    s->n_rules = (unsigned)json_array_size(rules);
    s->rules = rb_arena_alloc(&s->arena, (s->n_rules + 1) * sizeof(*s->rules));
    assert_non_null(s->rules);
    for (unsigned i = 0; i < s->n_rules; i++) {
        fill_rule(&s->rules[i], json_array_get(rules, i), &s->arena);
    }
    return s;
}

static struct rb_build build_of(const json_t *o)
{
    return (struct rb_build){
        .account = text(o, "account"),
        .region = text(o, "region"),
        .project = text(o, "project"),
        .id = text(o, "id"),
        .status = text(o, "status"),
        .phase = text(o, "phase"),
        .phase_status = text(o, "phase_status"),
        .message = text(o, "message"),
        .initiator = text(o, "initiator"),
        .author = text(o, "author"),
        .source_type = text(o, "source_type"),
        .repository = text(o, "repository"),
        .branch = text(o, "branch"),
        .batch_arn = text(o, "batch_arn"),
        .next_auto_retry = text(o, "next_auto_retry"),
        .exit_code = (int)whole(o, "exit_code", -1),
        .started_ms = whole(o, "started_ms", 0),
        .ended_ms = whole(o, "ended_ms", 0),
        .auto_retry_limit = whole(o, "auto_retry_limit", -1),
        .auto_retry_number = whole(o, "auto_retry_number", -1),
    };
}

static unsigned fill_uses(const json_t *o, struct rb_rule_use *uses)
{
    unsigned n = 0;
    const char *rule = NULL;
    json_t *count = NULL;
    json_object_foreach(json_object_get(o, "rule_uses"), rule, count)
    {
        uses[n++] = (struct rb_rule_use){.rule = rule, .count = json_integer_value(count)};
    }
    return n;
}

static bool same(const struct rb_decision *a, const struct rb_decision *b)
{
    return a->action == b->action && a->state == b->state && a->limit == b->limit &&
           rb_str_eq(a->rule, b->rule) && rb_str_eq(a->reason, b->reason) &&
           a->delay.kind == b->delay.kind && a->start == b->start && a->needs_log == b->needs_log;
}

static bool is_rule(const struct rb_rule_trace *rows, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++) {
        if (rb_str_eq(rows[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* trace_holds - exactly the rule that decided is marked (where a check decided before all rules:
 * the one that would have), all before it failed by a condition. */
static bool trace_holds(const struct rb_rule_trace *rows, unsigned n, const struct rb_decision *d)
{
    bool matched = false;
    bool by_rule = is_rule(rows, n, d->rule);
    for (unsigned i = 0; i < n; i++) {
        bool right = rows[i].matched == (matched ? -1 : rows[i].matched) && rows[i].name != NULL &&
                     (rows[i].failed != NULL) == (rows[i].matched == 0);
        if (!right || (by_rule && rows[i].matched == 1 && !rb_str_eq(rows[i].name, d->rule))) {
            return false;
        }
        matched = matched || rows[i].matched == 1;
    }
    return true;
}

static bool as_expected(const struct rb_decision *d, const json_t *expect)
{
    const char *reason = text(expect, "reason");
    return rb_str_eq(rb_action_name(d->action), text(expect, "action")) &&
           rb_str_eq(d->rule, text(expect, "rule")) &&
           rb_str_eq(rb_state_name(d->state), text(expect, "state")) &&
           d->start == rb_str_eq(text(expect, "how"), "start") &&
           d->needs_log == json_is_true(json_object_get(expect, "needs_log")) &&
           d->pipeline == rb_str_eq(text(expect, "how"), "pipeline") &&
           d->limit == whole(expect, "limit", d->limit) && !rb_str_empty(d->reason) &&
           (reason == NULL || rb_str_eq(d->reason, reason));
}

static bool run_case(const char *path)
{
    json_error_t where;
    RB_CLEANUP(rb_json_decrefp) json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (o == NULL) {
        fail_msg("%s: %s", path, where.text);
    }
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s = settings_of(json_object_get(o, "settings"));
    RB_CLEANUP(policy_freep) struct rb_policy *p = NULL;
    struct rb_err err = {0};
    if (rb_policy_new(s, &p, &err) != RB_OK) {
        fail_msg("%s: %s", path, err.msg);
    }
    const json_t *in_json = json_object_get(o, "input");
    struct rb_build b = build_of(json_object_get(o, "build"));
    struct rb_rule_use uses[RB_RULE_USES_MAX];
    struct rb_policy_input in = {
        .build = &b,
        .source = text(in_json, "source"),
        .event_at_ms = whole(in_json, "event_at_ms", 0),
        .now_ms = whole(in_json, "now_ms", 0),
        .attempt = whole(in_json, "attempt", 0),
        .rule_uses = uses,
        .n_rule_uses = fill_uses(in_json, uses),
        .flaky = json_is_true(json_object_get(in_json, "flaky")),
        .log = text(in_json, "log"),
        .log_known = json_object_get(in_json, "log") != NULL,
        .person = json_is_true(json_object_get(in_json, "person")),
        .force = json_is_true(json_object_get(in_json, "force")),
    };
    struct rb_arena a;
    rb_arena_init(&a, 65536);
    struct rb_decision d = {.action = RB_ACTION_NONE};
    struct rb_decision explained = {.action = RB_ACTION_NONE};
    struct rb_rule_trace rows[MAX_RULES];
    rb_policy_decide(p, &in, &a, &d);
    unsigned n = rb_policy_trace(p, &in, &a, rows, MAX_RULES, &explained);
    assert_true(n <= MAX_RULES);
    bool good = as_expected(&d, json_object_get(o, "expect")) && same(&d, &explained) &&
                trace_holds(rows, n, &d);
    if (!good) {
        (void)fprintf(stderr, "%s: got %s by '%s', %s, limit %lld: %s\n", path,
                      rb_action_name(d.action), d.rule, rb_state_name(d.state), (long long)d.limit,
                      d.reason);
    }
    rb_arena_release(&a);
    return good;
}

static void every_case_is_decided_as_it_says(void **state)
{
    (void)state;
    RB_CLEANUP(closedirp) DIR *dir = opendir(RB_CASES);
    assert_non_null(dir);
    unsigned n = 0;
    unsigned wrong = 0;
    for (struct dirent *e = NULL; (e = readdir(dir)) != NULL;) {
        if (rb_str_ends(e->d_name, SUFFIX)) {
            char path[512];
            (void)snprintf(path, sizeof(path), "%s/%s", RB_CASES, e->d_name);
            n++;
            wrong += run_case(path) ? 0 : 1;
        }
    }
    assert_true(n >= MINIMUM_CASES);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_is_decided_as_it_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
