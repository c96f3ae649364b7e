/* desk.c - one retry over its sheets. */
#include "desk.h"

#include <stdio.h>
#include <string.h>

#define RESERVED_S 300 /* for a build of which nobody knows how long it runs */
#define RESERVED_MIN_S 60
#define CENSUS_FRESH_MS (5 * 60000)

const char *rb_name_or_dash(const char *s)
{
    return rb_str_empty(s) ? "-" : s;
}

static struct rb_budget_sheets budget_sheets(struct rb_desk *d)
{
    return (struct rb_budget_sheets){.project = &d->project,
                                     .account = &d->account,
                                     .builds = &d->builds,
                                     .census = &d->census,
                                     .minutes = &d->minutes,
                                     .commit = d->has_commit ? &d->commit : NULL};
}

bool rb_desk_passes(const struct rb_retry *r)
{
    return r->requested_by != NULL && (r->force || rb_str_eq(r->source.type, "front-door"));
}

void rb_desk_budgets(const struct rb_settings *s, struct rb_desk *d, int64_t now_ms,
                     struct rb_budgets *ret_b)
{
    struct rb_budget_sheets x = budget_sheets(d);
    rb_budgets_of(s, &x, now_ms, ret_b);
}

static bool waits_for(struct rb_obstacle *o, struct rb_wait w, const char *what, const char *name)
{
    if (w.waits) {
        o->wait_ms = w.ms;
        (void)snprintf(o->note, sizeof(o->note), "%s:%s", what, name);
    }
    return w.waits;
}

void rb_desk_obstacle(const struct rb_settings *s, struct rb_desk *d, const char *retry_id,
                      const struct rb_build *b, int64_t now_ms, struct rb_obstacle *ret_o)
{
    const struct rb_incident_row *row = rb_incident_active(s, &d->incident, now_ms);
    struct rb_budgets budgets;

    *ret_o = (struct rb_obstacle){.note = ""};
    if ((row != NULL &&
         waits_for(ret_o, rb_incident_judge(s, row, retry_id, now_ms), "incident", row->phase)) ||
        waits_for(ret_o, rb_breaker_judge(s, &d->project, retry_id, now_ms), "breaker:project",
                  rb_name_or_dash(b->project)) ||
        waits_for(ret_o, rb_breaker_judge(s, &d->account, retry_id, now_ms), "breaker:account",
                  rb_name_or_dash(b->account))) {
        return;
    }
    if (d->mark.taken != 0) {
        return;
    }
    rb_desk_budgets(s, d, now_ms, &budgets);
    const char *spent = rb_budgets_spent(&budgets);
    if (spent != NULL) {
        ret_o->refuses = true;
        ret_o->uncounted = rb_str_eq(spent, "project") && s->budgets.ratio > 0 &&
                           now_ms - d->census.looked_ms >= CENSUS_FRESH_MS;
        (void)snprintf(ret_o->note, sizeof(ret_o->note), "budget:%s", spent);
    }
}

static int64_t build_seconds(const struct rb_build *b)
{
    return b->started_ms > 0 && b->ended_ms > b->started_ms ? (b->ended_ms - b->started_ms) / 1000
                                                            : -1;
}

static int64_t reserved(const struct rb_build *b)
{
    int64_t seconds = build_seconds(b);
    if (seconds < 0) {
        return RESERVED_S;
    }
    return seconds < RESERVED_MIN_S ? RESERVED_MIN_S : seconds;
}

void rb_desk_count(const struct rb_settings *s, struct rb_desk *d, const struct rb_retry *r,
                   int64_t now_ms)
{
    const struct rb_incident_row *row = rb_incident_active(s, &d->incident, now_ms);

    if (row != NULL && !rb_desk_passes(r)) {
        rb_incident_pass(&d->incident, row, r->id, now_ms);
        d->changed[RB_DESK_INCIDENT] = true;
    }
    d->changed[RB_DESK_PROJECT] |= rb_breaker_pass(s, &d->project, r->id, now_ms);
    d->changed[RB_DESK_ACCOUNT] |= rb_breaker_pass(s, &d->account, r->id, now_ms);
    if (d->mark.taken != 0) {
        return;
    }
    struct rb_budget_sheets x = budget_sheets(d);
    d->mark.taken = 1;
    d->mark.reserved_s = rb_budget_seconds(s, &r->build, reserved(&r->build));
    rb_budgets_take(s, &x, d->mark.reserved_s, now_ms);
    d->changed[RB_DESK_MARK] = true;
    d->changed[RB_DESK_PROJECT] = true;
    d->changed[RB_DESK_ACCOUNT] |= s->budgets.per_account > 0;
    d->changed[RB_DESK_MINUTES] |= s->budgets.minutes_per_day > 0;
    d->changed[RB_DESK_COMMIT] |= d->has_commit;
}

/* A flake costs its failed build; a retry that failed again costs itself. What a recovered one
 * spared is the run that a person would have had to start. */
static void settle_flakes(struct rb_desk *d, const struct rb_retry *r, bool recovered,
                          int64_t now_ms)
{
    int64_t lost_s = build_seconds(&r->build);
    int64_t spent_s = build_seconds(&r->child);
    lost_s = lost_s < 0 ? 0 : lost_s;
    spent_s = spent_s < 0 ? 0 : spent_s;
    int64_t cost_s = recovered ? lost_s : spent_s;
    rb_flake_outcome(&d->flakes, &r->build, recovered, cost_s, spent_s, now_ms);
    struct rb_rule_row *row = rb_rule_row(&d->rules, rb_name_or_dash(r->decision.rule), now_ms);
    row->tried++;
    row->recovered += recovered ? 1 : 0;
    d->rules.lost_s += cost_s;
    d->rules.saved_s += recovered ? spent_s : 0;
    d->changed[RB_DESK_FLAKES] = true;
    d->changed[RB_DESK_RULES] = true;
}

void rb_desk_settle(const struct rb_settings *s, struct rb_desk *d, const struct rb_retry *r,
                    enum rb_ending outcome, int64_t now_ms)
{
    bool counts = outcome != RB_ENDING_NONE;
    int64_t seconds = build_seconds(&r->child);

    d->changed[RB_DESK_PROJECT] |=
        strcmp(d->project.probe.id, r->id) == 0 || (counts && s->breaker.minimum > 0);
    d->changed[RB_DESK_ACCOUNT] |=
        strcmp(d->account.probe.id, r->id) == 0 || (counts && s->breaker.minimum > 0);
    d->opened_project =
        rb_breaker_outcome(s, &d->project, rb_breaker_minimum(s, false), r->id, outcome, now_ms);
    d->opened_account =
        rb_breaker_outcome(s, &d->account, rb_breaker_minimum(s, true), r->id, outcome, now_ms);
    d->ended_probe = rb_incident_outcome(s, &d->incident, r->id, outcome, now_ms);
    d->changed[RB_DESK_INCIDENT] |= d->ended_probe;
    if (d->mark.taken != 0 && s->budgets.minutes_per_day > 0 && seconds >= 0) {
        const struct rb_build *of = r->child.compute_type == NULL ? &r->build : &r->child;
        rb_series_add(&d->minutes.counted, RB_DAY_MS, now_ms,
                      rb_budget_seconds(s, of, seconds) - d->mark.reserved_s, 0);
        d->changed[RB_DESK_MINUTES] = true;
    }
    if (counts) {
        settle_flakes(d, r, outcome == RB_ENDING_RECOVERED, now_ms);
    }
    d->mark.settled = 1;
    d->changed[RB_DESK_MARK] = true;
}
