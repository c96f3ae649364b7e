/* explain.c - a decision with every rule that was tried, of a build, a payload or a past retry. */
#include "internal.h"

#include <string.h>

#include <retrybuild/config.h>
#include <retrybuild/explain.h>

#define RB_EXPLAIN_ARENA_BYTES ((size_t)8 * 1024 * 1024)

enum rb_code rb_explain(const struct rb_policy *p, const struct rb_settings *s,
                        const struct rb_policy_input *in, struct rb_arena *a,
                        struct rb_explanation *ret_x, struct rb_err *err)
{
    struct rb_decision d = {.action = RB_ACTION_NONE};
    unsigned n = rb_policy_trace(p, in, a, NULL, 0, &d);
    struct rb_rule_trace *rows = rb_arena_alloc(a, (n + 1) * sizeof(*rows));
    if (rows == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an explanation");
    }
    *ret_x = (struct rb_explanation){.build = in->build,
                                     .made = rb_policy_made(in),
                                     .most = s->budgets.per_chain,
                                     .rules = rows};
    ret_x->n_rules = rb_policy_trace(p, in, a, rows, n, &ret_x->decision);
    if (ret_x->decision.needs_log) {
        ret_x->note = "a rule asks for the build's log, which serve would read before it decides";
    }
    return RB_OK;
}

/* ---- payloads ---- */

/* defaults_of - a source of @type as an otherwise empty configuration would have it. */
static enum rb_code defaults_of(const char *type, struct rb_settings **ret_s, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1024);
    RB_CLEANUP(rb_problems_release) struct rb_problems problems = {.items = NULL};
    rb_buf_addf(&text,
                "sources: [{name: explained, type: %s, secrets: [{value: not-used-to-explain}]}]\n",
                type);
    enum rb_code rc =
        rb_config_parse(rb_buf_str(&text), text.len, "defaults", NULL, ret_s, &problems, err);
    if (rc == RB_E_INVALID && problems.n > 0) {
        return rb_err_set(err, RB_E_INVALID,
                          "type '%s' needs settings: configure a source of it (%s)", type,
                          problems.items[0].text);
    }
    return rc;
}

static const struct rb_source_setting *find_source(const struct rb_settings *s, const char *source)
{
    for (unsigned i = 0; i < s->n_sources; i++) {
        if (rb_str_eq(s->sources[i].name, source)) {
            return &s->sources[i];
        }
    }
    for (unsigned i = 0; i < s->n_sources; i++) {
        if (rb_str_eq(s->sources[i].type, source)) {
            return &s->sources[i];
        }
    }
    return NULL;
}

static enum rb_code no_source(const char *source, struct rb_err *err)
{
    const char *const *names = rb_source_type_names();
    size_t n = 0;
    while (names[n] != NULL) {
        n++;
    }
    const char *near = rb_nearest(source, names, n);
    return rb_err_set(err, RB_E_NOT_FOUND,
                      "there is no source or source type '%.64s'; did you mean '%s'?", source,
                      near == NULL ? names[0] : near);
}

/* none_to_retry - a payload without a failure: no rule is asked, all are shown as not tried. */
static void none_to_retry(struct rb_explanation *x, const char *why)
{
    x->decision = (struct rb_decision){
        .action = RB_ACTION_IGNORE, .rule = "no-failure", .reason = why, .state = RB_STATE_IGNORED};
    for (unsigned i = 0; i < x->n_rules; i++) {
        x->rules[i].matched = -1;
        x->rules[i].failed = NULL;
    }
}

static enum rb_code explain_event(const struct rb_policy *p, const struct rb_settings *s,
                                  const char *source, const struct rb_event *ev, int64_t now_ms,
                                  bool flaky, struct rb_arena *a, struct rb_explanation *ret_x,
                                  struct rb_err *err)
{
    const struct rb_policy_input in = {.build = &ev->build,
                                       .source = source,
                                       .event_at_ms = ev->at_ms,
                                       .now_ms = now_ms,
                                       .flaky = flaky};
    enum rb_code rc = rb_explain(p, s, &in, a, ret_x, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (ev->kind == RB_EVENT_NONE) {
        ret_x->build = NULL;
        none_to_retry(ret_x, ev->why == NULL ? "The payload tells of no build." : ev->why);
    } else if (ev->kind == RB_EVENT_ENDED) {
        const char *why = rb_arena_printf(a, "The build ended as %s: there is nothing to retry.",
                                          ev->build.status == NULL ? "?" : ev->build.status);
        none_to_retry(ret_x, why == NULL ? "There is nothing to retry." : why);
    } else if (ev->needs_inspection) {
        ret_x->note = "the payload does not say enough: serve would ask CodeBuild about the build "
                      "before it decides";
    }
    return RB_OK;
}

enum rb_code rb_explain_payload(const struct rb_policy *p, const struct rb_settings *s,
                                const char *source, const struct rb_request *req, bool flaky,
                                struct rb_arena *a, struct rb_explanation *ret_x,
                                struct rb_err *err)
{
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *defaults = NULL;
    static const struct rb_event nothing = {
        .kind = RB_EVENT_NONE, .build = RB_BUILD_INIT, .why = "The payload tells of no build."};
    const struct rb_source_setting *setting = find_source(s, source);
    struct rb_events events = {.items = NULL};
    enum rb_code rc = RB_OK;
    if (setting == NULL) {
        if (rb_source_type_find(source) == NULL) {
            return no_source(source, err);
        }
        rc = defaults_of(source, &defaults, err);
        if (rc != RB_OK) {
            return rc;
        }
        setting = &defaults->sources[0];
    }
    const struct rb_source_type *type = rb_source_type_find(setting->type);
    if (type == NULL) {
        return no_source(setting->type, err);
    }
    struct rb_as_sent sent;
    struct rb_request whole;
    rb_as_sent_init(type, req, a, &sent, &whole);
    rc = type->parse(setting, &whole, a, &events, err);
    if (rc != RB_OK) {
        return rc;
    }
    const struct rb_event *ev = events.n == 0 ? &nothing : &events.items[0];
    for (unsigned i = events.n; i > 0; i--) {
        if (events.items[i - 1].kind == RB_EVENT_FAILURE) {
            ev = &events.items[i - 1];
        }
    }
    const char *name =
        rb_arena_strdup(a, setting == find_source(s, source) ? setting->name : source);
    return explain_event(p, s, name, ev, req->now_ms, flaky, a, ret_x, err);
}

/* ---- past retries ---- */

enum rb_code rb_explain_retry(const struct rb_policy *p, const struct rb_settings *s,
                              const struct rb_retry *r, bool flaky, struct rb_arena *a,
                              struct rb_explanation *ret_x, struct rb_err *err)
{
    struct rb_rule_use uses[RB_RULE_USES_MAX];
    bool counted = r->decision.state == RB_STATE_SCHEDULED || r->decision.state == RB_STATE_HELD;
    for (unsigned i = 0; i < r->n_rule_uses; i++) {
        uses[i] = r->rule_uses[i]; /* as they were before this retry */
        if (counted && rb_str_eq(uses[i].rule, r->decision.rule)) {
            uses[i].count--;
        }
    }
    const struct rb_policy_input in = {
        .build = &r->build,
        .source = r->source.source,
        .event_at_ms = r->requested_by != NULL ? 0 : r->build.ended_ms,
        .now_ms = r->created_ms, /* hours and age as they were */
        .attempt = r->attempt - 1,
        .rule_uses = uses,
        .n_rule_uses = r->n_rule_uses,
        .flaky = flaky,
        .auto_retry_overdue = rb_work_count_notes(r, RB_NOTE_NOT_BY_AWS) > 0,
        .person = r->requested_by != NULL,
        .force = r->force,
    };
    return rb_explain(p, s, &in, a, ret_x, err);
}

/* ---- as JSON ---- */

static void add_duration(struct rb_buf *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    for (size_t i = 0; i < RB_ARRAY_LEN(units); i++) {
        if (ms % units[i].ms == 0 && (ms >= units[i].ms || units[i].ms == 1000)) {
            rb_buf_addf(out, "\"%lld%s\"", (long long)(ms / units[i].ms), units[i].unit);
            return;
        }
    }
}

static void add_delay(struct rb_buf *out, const struct rb_decision *d)
{
    rb_buf_adds(out, "\"delay\":");
    if (d->state != RB_STATE_SCHEDULED) {
        rb_buf_adds(out, "null");
    } else if (d->delay.kind == RB_DELAY_JITTER) {
        rb_buf_adds(out, "{\"base\":");
        add_duration(out, d->delay.base_ms);
        rb_buf_adds(out, ",\"cap\":");
        add_duration(out, d->delay.cap_ms);
        rb_buf_addc(out, '}');
    } else if (d->delay.kind == RB_DELAY_FIXED) {
        rb_buf_adds(out, "{\"fixed\":");
        add_duration(out, d->delay.list_ms[0]);
        rb_buf_addc(out, '}');
    } else {
        rb_buf_adds(out, "{\"list\":[");
        for (unsigned i = 0; i < d->delay.n_list; i++) {
            rb_buf_adds(out, i == 0 ? "" : ",");
            add_duration(out, d->delay.list_ms[i]);
        }
        rb_buf_adds(out, "]}");
    }
}

static void add_rules(struct rb_buf *out, const struct rb_explanation *x)
{
    rb_buf_adds(out, "\"rules\":[");
    for (unsigned i = 0; i < x->n_rules; i++) {
        const struct rb_rule_trace *row = &x->rules[i];
        rb_buf_adds(out, i == 0 ? "{" : ",{");
        rb_buf_add_json_member(out, "name", row->name);
        rb_buf_addf(out, ",\"matched\":%s,",
                    row->matched < 0    ? "null"
                    : row->matched == 1 ? "true"
                                        : "false");
        rb_buf_add_json_member(out, "failed", row->failed);
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, ']');
}

static void add_build(struct rb_buf *out, const struct rb_build *b)
{
    rb_buf_adds(out, "\"build\":");
    if (b == NULL) {
        rb_buf_adds(out, "null");
        return;
    }
    rb_buf_addc(out, '{');
    rb_buf_add_json_member(out, "id", b->id);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "status", b->status);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "phase", b->phase);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "message", b->message);
    rb_buf_addc(out, '}');
}

static void add_budgets(struct rb_buf *out, const struct rb_explanation *x)
{
    rb_buf_addf(out, "\"budgets\":{\"chain\":{\"used\":%lld,\"limit\":", (long long)x->made);
    if (x->most > 0) {
        rb_buf_addf(out, "%lld,\"left\":%lld}", (long long)x->most,
                    (long long)(x->made >= x->most ? 0 : x->most - x->made));
    } else {
        rb_buf_adds(out, "null,\"left\":null}");
    }
    const struct rb_standing *s = x->standing;
    const struct {
        const char *name;
        const struct rb_standing_budget *b;
    } others[] = {{"commit", s == NULL ? NULL : &s->commit},
                  {"project", s == NULL ? NULL : &s->project},
                  {"account", s == NULL ? NULL : &s->account},
                  {"minutes", s == NULL ? NULL : &s->minutes}};
    for (size_t i = 0; s != NULL && i < RB_ARRAY_LEN(others); i++) {
        const struct rb_budget b = {.used = others[i].b->used, .limit = others[i].b->limit};
        rb_buf_addf(out, ",\"%s\":", others[i].name);
        rb_budget_write_json(&b, out);
    }
    rb_buf_addc(out, '}');
}

static void add_breakers(struct rb_buf *out, const struct rb_standing *s)
{
    rb_buf_adds(out, "\"breakers\":[");
    if (s != NULL) {
        rb_buf_addc(out, '{');
        rb_buf_add_json_member(out, "scope", s->project_scope);
        rb_buf_addc(out, ',');
        rb_buf_add_json_member(out, "state", s->project_breaker);
        rb_buf_adds(out, "},{");
        rb_buf_add_json_member(out, "scope", s->account_scope);
        rb_buf_addc(out, ',');
        rb_buf_add_json_member(out, "state", s->account_breaker);
        rb_buf_addc(out, '}');
    }
    rb_buf_adds(out, "],");
    rb_buf_add_json_member(out, "incident", s == NULL ? NULL : s->incident);
}

void rb_explanation_write_json(const struct rb_explanation *x, struct rb_buf *out)
{
    const struct rb_decision *d = &x->decision;
    rb_buf_adds(out, "{\"decision\":{");
    rb_buf_add_json_member(out, "action", rb_action_name(d->action));
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "rule", d->rule);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "reason", d->reason);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "state", rb_state_name(d->state));
    rb_buf_addf(out, "},\"limit\":%lld,", (long long)d->limit);
    add_delay(out, d);
    rb_buf_addc(out, ',');
    add_rules(out, x);
    rb_buf_addc(out, ',');
    add_budgets(out, x);
    rb_buf_addc(out, ',');
    add_breakers(out, x->standing);
    rb_buf_addc(out, ',');
    add_build(out, x->build);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "note", x->note);
    rb_buf_adds(out, "}\n");
}

enum rb_code rb_engine_explain(struct rb_engine *e, struct rb_store_session *ses,
                               const char *source, const struct rb_request *req,
                               const char *retry_id, struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_explanation x = {.build = NULL};
    struct rb_arena a;
    enum rb_code rc;

    rb_arena_init(&a, RB_EXPLAIN_ARENA_BYTES);
    if (req != NULL) {
        rc = rb_explain_payload(rt->policy, rt->settings, source, req, false, &a, &x, err);
        if (rc == RB_OK && x.build != NULL && rb_engine_flaky(e, rt->policy, x.build)) {
            rc = rb_explain_payload(rt->policy, rt->settings, source, req, true, &a, &x, err);
        }
    } else {
        rc = rb_store_get(ses, retry_id, &r, err);
        if (rc == RB_OK) {
            bool flaky = rb_engine_flaky(e, rt->policy, &r->build);
            rc = rb_explain_retry(rt->policy, rt->settings, r, flaky, &a, &x, err);
        }
    }
    struct rb_standing standing;
    if (rc == RB_OK && x.build != NULL) {
        rc = rb_gate_standing(e, rt->settings, ses, x.build, &a, &standing, err);
        x.standing = &standing;
    }
    if (rc == RB_OK) {
        rb_explanation_write_json(&x, out);
    }
    rb_arena_release(&a);
    return rc;
}
