/* stats.c - what the ledger knows, as JSON for GET /v1/stats and as gauges; and the set of failures
 * that are known to be flaky, for the rules that ask for it. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/timefmt.h>

#include "off.h"
#include "sheets.h"

#define AT_ONCE 12 /* of five sheets each */
#define PROJECTS_MAX 500
#define RECENT_MS (7 * RB_DAY_MS)
#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

/* ---- project by project ---- */

struct standing {
    const struct rb_project_seen *seen;
    struct rb_scope_sheet project, account;
    struct rb_count_sheet builds;
    struct rb_census_sheet census;
    struct rb_flake_sheet flakes;
};

struct visit {
    struct rb_engine *e;
    const struct rb_settings *settings;
    int64_t now_ms;
    struct rb_count_sheet minutes, swept;
    void (*see)(struct visit *v, const struct standing *x);
    /* of the visitors */
    struct rb_buf *budgets, *breakers, *projects, *of_accounts;
    const char *accounts[PROJECTS_MAX]; /* seen so far */
    unsigned n_accounts;
    uint64_t *flaky;
    unsigned n_flaky, max_flaky;
};

static enum rb_code visit_some(struct visit *v, struct rb_store_session *ses,
                               const struct rb_project_seen *seen, unsigned n, struct rb_arena *a,
                               struct rb_err *err)
{
    struct standing *all = rb_arena_alloc(a, n * sizeof(*all));
    struct rb_set set;

    if (all == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the ledger");
    }
    rb_set_init(&set, a);
    for (unsigned i = 0; i < n; i++) {
        const char *account = rb_name_or_dash(seen[i].account);
        const char *region = rb_name_or_dash(seen[i].region);
        all[i].seen = &seen[i];
        (void)rb_set_add(&set, RB_SHEET_SCOPE, &all[i].project, "p:" RB_SHEET_OF_PROJECT, account,
                         region, seen[i].project);
        (void)rb_set_add(&set, RB_SHEET_COUNT, &all[i].builds, "b:" RB_SHEET_OF_PROJECT, account,
                         region, seen[i].project);
        (void)rb_set_add(&set, RB_SHEET_CENSUS, &all[i].census, "v:" RB_SHEET_OF_PROJECT, account,
                         region, seen[i].project);
        (void)rb_set_add(&set, RB_SHEET_FLAKES, &all[i].flakes, "l:" RB_SHEET_OF_PROJECT, account,
                         region, seen[i].project);
        (void)rb_set_add(&set, RB_SHEET_SCOPE, &all[i].account, "a:%s", account);
    }
    enum rb_code rc = rb_set_read(&set, ses, v->now_ms, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        v->see(v, &all[i]);
    }
    return rc;
}

static enum rb_code visit_all(struct visit *v, struct rb_store_session *ses, struct rb_arena *a,
                              struct rb_err *err)
{
    struct rb_project_seen *seen = NULL;
    unsigned n = 0;

    enum rb_code rc =
        rb_store_projects(ses, v->now_ms - RECENT_MS, a, PROJECTS_MAX, &seen, &n, err);
    for (unsigned at = 0; at < n && rc == RB_OK; at += AT_ONCE) {
        rc = visit_some(v, ses, seen + at, n - at < AT_ONCE ? n - at : AT_ONCE, a, err);
    }
    return rc;
}

static struct rb_budget project_budget(const struct visit *v, const struct standing *x)
{
    /* Read only: the sheets are not changed by asking. */
    struct rb_scope_sheet project = x->project;
    struct rb_scope_sheet account = x->account;
    struct rb_count_sheet builds = x->builds;
    struct rb_count_sheet minutes = v->minutes;
    struct rb_census_sheet census = x->census;
    const struct rb_budget_sheets sheets = {.project = &project,
                                            .account = &account,
                                            .builds = &builds,
                                            .minutes = &minutes,
                                            .census = &census};
    struct rb_budgets b;
    rb_budgets_of(v->settings, &sheets, v->now_ms, &b);
    return b.project;
}

static bool first_of_account(struct visit *v, const char *account)
{
    for (unsigned i = 0; i < v->n_accounts; i++) {
        if (rb_str_eq(v->accounts[i], account)) {
            return false;
        }
    }
    if (v->n_accounts < PROJECTS_MAX) {
        v->accounts[v->n_accounts++] = account;
    }
    return true;
}

/* ---- JSON ---- */

static void add_time(struct rb_buf *out, const char *key, int64_t ms)
{
    char text[RB_TIME_ISO_BYTES];
    rb_time_iso(ms, text);
    rb_buf_add_json_member(out, key, ms == 0 ? NULL : text);
}

void rb_budget_write_json(const struct rb_budget *b, struct rb_buf *out)
{
    rb_buf_addf(out, "{\"used\":%lld,\"limit\":", (long long)b->used);
    if (b->limit > 0) {
        rb_buf_addf(out, "%lld,\"left\":%lld}", (long long)b->limit,
                    (long long)(b->used >= b->limit ? 0 : b->limit - b->used));
    } else {
        rb_buf_adds(out, "null,\"left\":null}");
    }
}

static void add_breaker(struct visit *v, const struct rb_scope_sheet *x, const char *kind,
                        const char *name)
{
    enum rb_breaker_state st = rb_breaker_state(v->settings, x, v->now_ms);
    int64_t failed = 0;
    int64_t recovered = 0;
    rb_series_sum(&x->outcomes, v->settings->breaker.window_ms, v->now_ms, &failed, &recovered);
    if (st == RB_BREAKER_CLOSED && failed + recovered == 0) {
        return;
    }
    rb_buf_addf(v->breakers, "%s{\"scope\":", v->breakers->len == 0 ? "" : ",");
    RB_CLEANUP(rb_buf_release) struct rb_buf scope = RB_BUF_INIT(512);
    rb_buf_addf(&scope, "%s:%s", kind, rb_name_or_dash(name));
    rb_buf_add_json_string(v->breakers, rb_buf_str(&scope), scope.len);
    rb_buf_addc(v->breakers, ',');
    rb_buf_add_json_member(v->breakers, "state", rb_breaker_state_name(st));
    rb_buf_addf(v->breakers, ",\"failed\":%lld,\"recovered\":%lld,", (long long)failed,
                (long long)recovered);
    add_time(v->breakers, "until",
             st == RB_BREAKER_OPEN ? x->opened_ms + v->settings->breaker.open_ms : 0);
    rb_buf_addc(v->breakers, '}');
}

static void add_place(struct rb_buf *out, const struct rb_project_seen *p)
{
    rb_buf_add_json_member(out, "project", p->project);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "account", p->account);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "region", p->region);
}

static void add_flakes(struct visit *v, const struct standing *x)
{
    struct rb_buf *out = v->projects;
    rb_buf_adds(out, out->len == 0 ? "{" : ",{");
    add_place(out, x->seen);
    rb_buf_adds(out, ",\"flakes\":[");
    for (unsigned i = 0; i < x->flakes.n; i++) {
        const struct rb_flake_row *row = &x->flakes.rows[i];
        double flakes = rb_flake_decayed(row->flakes, row->decayed_ms, v->now_ms);
        double failures = rb_flake_decayed(row->failures, row->decayed_ms, v->now_ms);
        rb_buf_adds(out, i == 0 ? "{" : ",{");
        rb_buf_add_json_member(out, "phase", row->phase);
        rb_buf_addc(out, ',');
        rb_buf_add_json_member(out, "class", row->class);
        rb_buf_addf(out, ",\"count\":%.3f,\"failures\":%.3f,\"rate\":%.3f,", flakes, failures,
                    failures > 0 ? flakes / failures : 0.0);
        add_time(out, "last_seen", row->last_ms);
        rb_buf_addf(out, ",\"minutes_lost\":%.1f,\"minutes_saved\":%.1f}",
                    (double)row->lost_s / 60.0, (double)row->saved_s / 60.0);
    }
    rb_buf_adds(out, "]}");
}

static void add_account(struct visit *v, const struct standing *x)
{
    struct rb_budget b = {.limit = v->settings->budgets.per_account};
    rb_series_sum(&x->account.takes, RB_HOUR_MS, v->now_ms, &b.used, NULL);
    rb_buf_adds(v->of_accounts, v->of_accounts->len == 0 ? "{" : ",{");
    rb_buf_add_json_member(v->of_accounts, "account", x->seen->account);
    rb_buf_adds(v->of_accounts, ",\"hour\":");
    rb_budget_write_json(&b, v->of_accounts);
    rb_buf_addc(v->of_accounts, '}');
}

static void see_for_json(struct visit *v, const struct standing *x)
{
    struct rb_budget b = project_budget(v, x);
    rb_buf_adds(v->budgets, v->budgets->len == 0 ? "{" : ",{");
    add_place(v->budgets, x->seen);
    rb_buf_adds(v->budgets, ",\"hour\":");
    rb_budget_write_json(&b, v->budgets);
    rb_buf_addc(v->budgets, '}');
    add_breaker(v, &x->project, "project", x->seen->project);
    if (first_of_account(v, x->seen->account)) {
        add_breaker(v, &x->account, "account", x->seen->account);
        add_account(v, x);
    }
    add_flakes(v, x);
}

static void add_incident(struct rb_buf *out, const struct visit *v,
                         const struct rb_incident_sheet *sheet)
{
    const struct rb_incident_row *row = rb_incident_active(v->settings, sheet, v->now_ms);
    if (row == NULL) {
        rb_buf_adds(out, "null");
        return;
    }
    rb_buf_addc(out, '{');
    rb_buf_add_json_member(out, "phase", row->phase);
    rb_buf_addc(out, ',');
    add_time(out, "since", row->since_ms);
    rb_buf_addc(out, ',');
    add_time(out, "until", row->until_ms);
    rb_buf_addf(out, ",\"projects\":%u,", row->n);
    rb_buf_add_json_member(out, "probe", row->probe.id[0] == '\0' ? NULL : row->probe.id);
    rb_buf_addc(out, '}');
}

static void add_totals(struct rb_buf *out, const struct visit *v, const struct rb_counts *c,
                       const struct rb_rules_sheet *r)
{
    int64_t swept = 0;
    rb_series_sum(&v->swept.counted, RB_SWEPT_MS, v->now_ms, &swept, NULL);
    int64_t shadowed = 0;
    int64_t shadow_recovered = 0;
    for (unsigned i = 0; i < r->n; i++) {
        shadowed += r->rows[i].shadowed;
        shadow_recovered += r->rows[i].shadow_recovered;
    }
    rb_buf_addc(out, '{');
    for (int s = 0; s < RB_STATE_COUNT; s++) {
        rb_buf_addf(out, "\"%s\":%lld,", rb_state_name((enum rb_state)s),
                    (long long)c->by_state[s]);
    }
    rb_buf_addf(out,
                "\"minutes_lost\":%.1f,\"minutes_saved\":%.1f,\"shadowed\":%lld,"
                "\"shadow_recovered\":%lld,\"swept\":%lld}",
                (double)r->lost_s / 60.0, (double)r->saved_s / 60.0, (long long)shadowed,
                (long long)shadow_recovered, (long long)swept);
}

static void add_rules(struct rb_buf *out, const struct rb_rules_sheet *r)
{
    rb_buf_addc(out, '[');
    for (unsigned i = 0; i < r->n; i++) {
        const struct rb_rule_row *row = &r->rows[i];
        rb_buf_adds(out, i == 0 ? "{" : ",{");
        rb_buf_add_json_member(out, "rule", row->name);
        rb_buf_addf(out,
                    ",\"retries\":%lld,\"recovered\":%lld,\"shadowed\":%lld,"
                    "\"shadow_recovered\":%lld,",
                    (long long)row->tried, (long long)row->recovered, (long long)row->shadowed,
                    (long long)row->shadow_recovered);
        add_time(out, "last_at", row->last_ms);
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, ']');
}

static void write_all(struct rb_buf *out, struct visit *v, const struct rb_counts *c,
                      const struct rb_rules_sheet *rules, const struct rb_incident_sheet *incident)
{
    static const char *const modes[] = {"auto", "ask", "shadow"};
    int64_t seconds = 0;
    rb_series_sum(&v->minutes.counted, RB_DAY_MS, v->now_ms, &seconds, NULL);
    const struct rb_budget minutes = {.used = seconds / 60,
                                      .limit = v->settings->budgets.minutes_per_day};
    rb_buf_addf(out, "{\"mode\":\"%s\",\"totals\":", modes[v->settings->mode]);
    add_totals(out, v, c, rules);
    rb_buf_addf(out, ",\"budgets\":{\"per_chain\":%lld,\"per_commit\":%lld,\"minutes\":",
                (long long)v->settings->budgets.per_chain,
                (long long)v->settings->budgets.per_commit);
    rb_budget_write_json(&minutes, out);
    rb_buf_addf(out, ",\"accounts\":[%s],\"projects\":[%s]},\"breakers\":[%s],\"incident\":",
                rb_buf_str(v->of_accounts), rb_buf_str(v->budgets), rb_buf_str(v->breakers));
    add_incident(out, v, incident);
    rb_buf_addf(out, ",\"projects\":[%s],\"rules\":", rb_buf_str(v->projects));
    add_rules(out, rules);
    rb_buf_adds(out, "}\n");
}

enum rb_code rb_engine_stats(struct rb_engine *e, struct rb_store_session *ses, struct rb_buf *out,
                             struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    RB_CLEANUP(rb_buf_release) struct rb_buf budgets = RB_BUF_INIT(4 << 20);
    RB_CLEANUP(rb_buf_release) struct rb_buf breakers = RB_BUF_INIT(4 << 20);
    RB_CLEANUP(rb_buf_release) struct rb_buf projects = RB_BUF_INIT(4 << 20);
    RB_CLEANUP(rb_buf_release) struct rb_buf accounts = RB_BUF_INIT(4 << 20);
    struct visit v = {.e = e,
                      .settings = rt->settings,
                      .now_ms = rb_engine_now_ms(e),
                      .see = see_for_json,
                      .of_accounts = &accounts,
                      .budgets = &budgets,
                      .breakers = &breakers,
                      .projects = &projects};
    struct rb_incident_sheet incident;
    struct rb_rules_sheet rules;
    struct rb_counts counts;
    struct rb_arena a;
    struct rb_set set;

    rb_arena_init(&a, ARENA_BYTES);
    rb_set_init(&set, &a);
    (void)rb_set_add(&set, RB_SHEET_COUNT, &v.minutes, "m");
    (void)rb_set_add(&set, RB_SHEET_COUNT, &v.swept, RB_SHEET_OF_SWEEP);
    (void)rb_set_add(&set, RB_SHEET_INCIDENT, &incident, "i");
    (void)rb_set_add(&set, RB_SHEET_RULES, &rules, "r");
    enum rb_code rc = rb_set_read(&set, ses, v.now_ms, err);
    if (rc == RB_OK) {
        rc = rb_store_counts(ses, &counts, err);
    }
    if (rc == RB_OK) {
        rc = visit_all(&v, ses, &a, err);
    }
    if (rc == RB_OK) {
        rc = rb_off_show(ses, rt->settings, v.now_ms, v.breakers, err);
    }
    if (rc == RB_OK) {
        write_all(out, &v, &counts, &rules, &incident);
    }
    rb_arena_release(&a);
    return rc;
}

/* ---- gauges, and what is flaky ---- */

static uint64_t flaky_number(const char *project, const char *phase, const char *class)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    const char *const parts[] = {project, phase, class};
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        for (const char *p = rb_name_or_dash(parts[i]); *p != '\0'; p++) {
            h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
        }
        h = (h ^ '/') * UINT64_C(0x100000001b3);
    }
    return h;
}

static void keep_flaky(struct visit *v, const struct standing *x)
{
    for (unsigned i = 0; i < x->flakes.n && v->n_flaky < v->max_flaky; i++) {
        const struct rb_flake_row *row = &x->flakes.rows[i];
        if (rb_flake_lately(row, v->now_ms)) {
            v->flaky[v->n_flaky++] = flaky_number(x->seen->project, row->phase, row->class);
        }
    }
}

static void see_for_gauges(struct visit *v, const struct standing *x)
{
    struct rb_budget b = project_budget(v, x);
    char scope[300];
    if (b.limit > 0) {
        rb_gauge(RB_M_BUDGET_REMAINING, x->seen->project,
                 b.used >= b.limit ? 0.0 : (double)(b.limit - b.used));
    }
    if (x->project.outcomes.n > 0 || x->project.opened_ms > 0) {
        (void)snprintf(scope, sizeof(scope), "project:%s", x->seen->project);
        rb_gauge(RB_M_BREAKER_OPEN, scope,
                 rb_breaker_state(v->settings, &x->project, v->now_ms) == RB_BREAKER_CLOSED ? 0.0
                                                                                            : 1.0);
    }
    if (x->account.outcomes.n > 0 && first_of_account(v, x->seen->account)) {
        (void)snprintf(scope, sizeof(scope), "account:%s", rb_name_or_dash(x->seen->account));
        rb_gauge(RB_M_BREAKER_OPEN, scope,
                 rb_breaker_state(v->settings, &x->account, v->now_ms) == RB_BREAKER_CLOSED ? 0.0
                                                                                            : 1.0);
    }
    keep_flaky(v, x);
}

enum rb_code rb_stats_show(struct rb_worker *w, struct rb_err *err)
{
    struct rb_engine *e = w->e;
    struct visit v = {.e = e,
                      .settings = w->rt->settings,
                      .now_ms = rb_engine_now_ms(e),
                      .see = see_for_gauges,
                      .max_flaky = PROJECTS_MAX * RB_FLAKE_ROWS};
    struct rb_arena a;

    v.flaky = calloc(v.max_flaky, sizeof(*v.flaky));
    if (v.flaky == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the ledger");
    }
    rb_arena_init(&a, ARENA_BYTES);
    enum rb_code rc = visit_all(&v, w->ses, &a, err);
    if (rc == RB_OK) {
        pthread_mutex_lock(&e->lock);
        uint64_t *old = e->flaky;
        e->flaky = v.flaky;
        e->n_flaky = v.n_flaky;
        v.flaky = old;
        pthread_mutex_unlock(&e->lock);
    }
    free(v.flaky);
    rb_arena_release(&a);
    return rc;
}

bool rb_engine_flaky(struct rb_engine *e, const struct rb_policy *p, const struct rb_build *b)
{
    bool found = false;
    if (!rb_policy_asks_flaky(p)) {
        return false;
    }
    uint64_t number = flaky_number(b->project, b->phase, rb_message_class(b));
    pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < e->n_flaky && !found; i++) {
        found = e->flaky[i] == number;
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}
