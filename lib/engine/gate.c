/* gate.c - may this retry go now? Incident hold, breakers and budgets, looked at right before the
 * intent is written, and what they count.
 *
 * A retry counts once, whatever crashes: its mark is written in the same step as the counts. People
 * are let through, which is noted; their retries count like any other. The outcome is counted
 * before the retry is settled, under the same mark. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#include "sheets.h"

#define GATE_TRIES 200
#define GATE_NOTE_BYTES 400
#define GATE_PAUSE_MS 20
#define GATE_AGAIN_MS 1000
#define RESERVED_S 300 /* for a build of which nobody knows how long it runs */
#define RESERVED_MIN_S 60

struct gate {
    struct rb_set set;
    struct rb_mark_sheet mark;
    struct rb_scope_sheet project, account;
    struct rb_count_sheet builds, minutes;
    struct rb_incident_sheet incident;
    struct rb_commit_sheet commit;
    bool has_commit;
    unsigned at_mark, at_project, at_account, at_minutes, at_incident, at_commit;
};

static void gate_init(struct gate *g, const struct rb_retry *r, struct rb_arena *a)
{
    const struct rb_build *b = &r->build;
    const char *account = rb_name_or_dash(b->account);
    const char *region = rb_name_or_dash(b->region);
    const char *project = rb_name_or_dash(b->project);
    const char *commit = rb_build_commit(b);

    rb_set_init(&g->set, a);
    g->at_mark = rb_set_add(&g->set, RB_SHEET_MARK, &g->mark, "k:%s", r->id);
    g->at_project = rb_set_add(&g->set, RB_SHEET_SCOPE, &g->project, "p:" RB_SHEET_OF_PROJECT,
                               account, region, project);
    g->at_account = rb_set_add(&g->set, RB_SHEET_SCOPE, &g->account, "a:%s", account);
    g->at_incident = rb_set_add(&g->set, RB_SHEET_INCIDENT, &g->incident, "i");
    g->at_minutes = rb_set_add(&g->set, RB_SHEET_COUNT, &g->minutes, "m");
    (void)rb_set_add(&g->set, RB_SHEET_COUNT, &g->builds, "b:" RB_SHEET_OF_PROJECT, account, region,
                     project);
    g->has_commit = commit != NULL;
    if (g->has_commit) {
        g->at_commit = rb_set_add(&g->set, RB_SHEET_COMMIT, &g->commit, "c:%s/%s", account, commit);
    }
}

static struct rb_budget_sheets budget_sheets(struct gate *g)
{
    return (struct rb_budget_sheets){.project = &g->project,
                                     .account = &g->account,
                                     .builds = &g->builds,
                                     .minutes = &g->minutes,
                                     .commit = g->has_commit ? &g->commit : NULL};
}

/* What stands in the way, as a note; "" = nothing. */
struct obstacle {
    char note[GATE_NOTE_BYTES];
    bool refuses;
    int64_t wait_ms;
};

static struct obstacle waits_for(const struct rb_wait *w, const char *what, const char *name)
{
    struct obstacle o = {.wait_ms = w->ms};
    (void)snprintf(o.note, sizeof(o.note), "%s:%s", what, name);
    return o;
}

static struct obstacle find_obstacle(const struct rb_settings *s, struct gate *g,
                                     const struct rb_retry *r, int64_t now_ms)
{
    const struct rb_incident_row *row = rb_incident_active(s, &g->incident, now_ms);
    struct rb_wait w = {.waits = false};
    struct obstacle none = {.note = ""};

    if (row != NULL) {
        w = rb_incident_judge(s, row, r->id, now_ms);
        if (w.waits) {
            return waits_for(&w, "incident", row->phase);
        }
    }
    w = rb_breaker_judge(s, &g->project, r->id, now_ms);
    if (w.waits) {
        return waits_for(&w, "breaker:project", rb_name_or_dash(r->build.project));
    }
    w = rb_breaker_judge(s, &g->account, r->id, now_ms);
    if (w.waits) {
        return waits_for(&w, "breaker:account", rb_name_or_dash(r->build.account));
    }
    if (g->mark.taken == 0) {
        struct rb_budget_sheets x = budget_sheets(g);
        struct rb_budgets b;
        rb_budgets_of(s, &x, now_ms, &b);
        const char *spent = rb_budgets_spent(&b);
        if (spent != NULL) {
            none.refuses = true;
            (void)snprintf(none.note, sizeof(none.note), "budget:%s", spent);
        }
    }
    return none;
}

static enum rb_code obey(struct rb_work *k, const struct obstacle *o, struct rb_err *err)
{
    if (!o->refuses) {
        int64_t jitter_ms = o->wait_ms / 4 + GATE_PAUSE_MS;
        return rb_work_later(k, o->wait_ms + rb_engine_jitter_ms(k->e, 0, jitter_ms), o->note, err);
    }
    k->r->decision.reason = rb_arena_strdup(&k->r->arena, o->note);
    rb_log(RB_LOG_WARN, "budget.spent", RB_F("budget", o->note), RB_F("retry", k->r->id),
           RB_F("project", k->r->build.project));
    return rb_work_finish(k, RB_STATE_REFUSED, o->note, err);
}

static enum rb_code store_said(struct rb_work *k, enum rb_code rc, struct rb_err *err)
{
    rb_engine_store_state(k->e, rc, err);
    return rc;
}

enum rb_code rb_gate_look(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(k->e);
    struct gate g;

    if (k->r->requested_by != NULL) {
        return RB_OK;
    }
    enum rb_code rc = rb_tally_flush(k->w, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    gate_init(&g, k->r, &k->arena);
    rc = store_said(k, rb_set_read(&g.set, k->w->ses, now_ms, err), err);
    if (rc != RB_OK) {
        return rc;
    }
    struct obstacle o = find_obstacle(k->rt->settings, &g, k->r, now_ms);
    if (o.note[0] == '\0') {
        return RB_OK;
    }
    *ret_ended = true;
    return obey(k, &o, err);
}

static int64_t build_seconds(const struct rb_build *b)
{
    return b->started_ms > 0 && b->ended_ms > b->started_ms ? (b->ended_ms - b->started_ms) / 1000
                                                            : -1;
}

/* count - the retry goes: everything that it changes. */
static void count(const struct rb_settings *s, struct gate *g, const struct rb_retry *r,
                  int64_t now_ms)
{
    const struct rb_incident_row *row = rb_incident_active(s, &g->incident, now_ms);
    bool person = r->requested_by != NULL;

    if (row != NULL && !person) {
        rb_incident_pass(&g->incident, row, r->id, now_ms);
        g->set.slots[g->at_incident].changed = true;
    }
    if (rb_breaker_pass(s, &g->project, r->id, now_ms)) {
        g->set.slots[g->at_project].changed = true;
    }
    if (rb_breaker_pass(s, &g->account, r->id, now_ms)) {
        g->set.slots[g->at_account].changed = true;
    }
    if (g->mark.taken != 0) {
        return;
    }
    struct rb_budget_sheets x = budget_sheets(g);
    int64_t seconds = build_seconds(&r->build);
    g->mark.taken = 1;
    g->mark.reserved_s = seconds < 0                ? RESERVED_S
                         : seconds < RESERVED_MIN_S ? RESERVED_MIN_S
                                                    : seconds;
    rb_budgets_take(s, &x, g->mark.reserved_s, now_ms);
    g->set.slots[g->at_mark].changed = true;
    g->set.slots[g->at_project].changed = true;
    g->set.slots[g->at_account].changed |= s->budgets.per_account > 0;
    g->set.slots[g->at_minutes].changed |= s->budgets.minutes_per_day > 0;
    if (g->has_commit) {
        g->set.slots[g->at_commit].changed = true;
    }
}

/* A person passes; the history says what was passed. */
static void note_passing(struct rb_work *k, const struct obstacle *o)
{
    char note[GATE_NOTE_BYTES + 64];
    (void)snprintf(note, sizeof(note), "passes %s: %s asked%s", o->note, k->r->requested_by,
                   k->r->force ? " by force" : "");
    const char *last = rb_work_last_note(k->r);
    if (last == NULL || strcmp(last, note) != 0) {
        rb_retry_note(k->r, rb_engine_now_ms(k->e), note);
    }
}

enum rb_code rb_gate_take(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    const struct rb_settings *s = k->rt->settings;
    struct gate g;

    for (unsigned tries = 0; tries < GATE_TRIES; tries++) {
        int64_t now_ms = rb_engine_now_ms(k->e);
        gate_init(&g, k->r, &k->arena);
        enum rb_code rc = store_said(k, rb_set_read(&g.set, k->w->ses, now_ms, err), err);
        if (rc != RB_OK) {
            return rc;
        }
        struct obstacle o = find_obstacle(s, &g, k->r, now_ms);
        if (o.note[0] != '\0' && k->r->requested_by == NULL) {
            *ret_ended = true;
            return obey(k, &o, err);
        }
        count(s, &g, k->r, now_ms);
        rc = rb_set_write(&g.set, k->w->ses, k->e->random, now_ms, err);
        if (rc == RB_OK && o.note[0] != '\0') {
            note_passing(k, &o);
        }
        if (rc != RB_E_CONFLICT) {
            return store_said(k, rc, err);
        }
        if (tries > 0 && !rb_engine_pause(k->e, rb_engine_jitter_ms(k->e, 1, GATE_PAUSE_MS))) {
            return rb_err_set(err, RB_E_CLOSED, "stopping");
        }
    }
    *ret_ended = true;
    return rb_work_later(k, GATE_AGAIN_MS, "the budgets are in high demand", err);
}

/* ---- outcomes ---- */

struct verdict {
    struct gate gate;
    struct rb_flake_sheet flakes;
    struct rb_rules_sheet rules;
    unsigned at_flakes, at_rules;
    bool opened_project, opened_account, ended_hold;
};

static void tell(const struct rb_work *k, const struct verdict *v)
{
    if (v->opened_project) {
        rb_log(RB_LOG_WARN, "breaker.opened", RB_F("scope", "project"),
               RB_F("name", k->r->build.project), RB_F("retry", k->r->id));
    }
    if (v->opened_account) {
        rb_log(RB_LOG_WARN, "breaker.opened", RB_F("scope", "account"),
               RB_F("name", k->r->build.account), RB_F("retry", k->r->id));
    }
    if (v->ended_hold) {
        rb_log(RB_LOG_INFO, "incident.probe_ended", RB_F("retry", k->r->id));
    }
}

static void settle_flakes(struct verdict *v, const struct rb_retry *r, enum rb_outcome outcome,
                          int64_t now_ms)
{
    bool recovered = outcome == RB_OUTCOME_RECOVERED;
    int64_t lost_s = build_seconds(&r->build);
    int64_t spent_s = build_seconds(&r->child);
    lost_s = lost_s < 0 ? 0 : lost_s;
    spent_s = spent_s < 0 ? 0 : spent_s;
    /* A flake costs its failed build; a retry that failed again costs itself. What a recovered one
     * spared is the run that a person would have had to start. */
    int64_t cost_s = recovered ? lost_s : spent_s;
    rb_flake_outcome(&v->flakes, &r->build, recovered, cost_s, spent_s, now_ms);
    struct rb_rule_row *row = rb_rule_row(&v->rules, rb_name_or_dash(r->decision.rule), now_ms);
    row->tried++;
    row->recovered += recovered ? 1 : 0;
    v->rules.lost_s += cost_s;
    v->rules.saved_s += recovered ? spent_s : 0;
    v->gate.set.slots[v->at_flakes].changed = true;
    v->gate.set.slots[v->at_rules].changed = true;
}

static void settle_all(const struct rb_settings *s, struct verdict *v, const struct rb_retry *r,
                       enum rb_outcome outcome, int64_t now_ms)
{
    struct gate *g = &v->gate;
    bool mine = strcmp(g->project.probe.id, r->id) == 0;
    bool accounts = strcmp(g->account.probe.id, r->id) == 0;
    bool counts = outcome != RB_OUTCOME_NONE;

    v->opened_project =
        rb_breaker_outcome(s, &g->project, rb_breaker_minimum(s, false), r->id, outcome, now_ms);
    v->opened_account =
        rb_breaker_outcome(s, &g->account, rb_breaker_minimum(s, true), r->id, outcome, now_ms);
    v->ended_hold = rb_incident_outcome(s, &g->incident, r->id, outcome, now_ms);
    g->set.slots[g->at_project].changed |= mine || (counts && s->breaker.minimum > 0);
    g->set.slots[g->at_account].changed |= accounts || (counts && s->breaker.minimum > 0);
    g->set.slots[g->at_incident].changed |= v->ended_hold;
    if (g->mark.taken != 0 && s->budgets.minutes_per_day > 0 && build_seconds(&r->child) >= 0) {
        rb_series_add(&g->minutes.counted, RB_DAY_MS, now_ms,
                      build_seconds(&r->child) - g->mark.reserved_s, 0);
        g->set.slots[g->at_minutes].changed = true;
    }
    if (counts) {
        settle_flakes(v, r, outcome, now_ms);
    }
    g->mark.settled = 1;
    g->set.slots[g->at_mark].changed = true;
}

enum rb_code rb_gate_outcome(struct rb_work *k, enum rb_outcome outcome, struct rb_err *err)
{
    const struct rb_build *b = &k->r->build;
    struct verdict v;

    for (unsigned tries = 0; tries < GATE_TRIES; tries++) {
        int64_t now_ms = rb_engine_now_ms(k->e);
        v = (struct verdict){.opened_project = false};
        gate_init(&v.gate, k->r, &k->arena);
        v.at_flakes = rb_set_add(&v.gate.set, RB_SHEET_FLAKES, &v.flakes, "l:" RB_SHEET_OF_PROJECT,
                                 rb_name_or_dash(b->account), rb_name_or_dash(b->region),
                                 rb_name_or_dash(b->project));
        v.at_rules = rb_set_add(&v.gate.set, RB_SHEET_RULES, &v.rules, "r");
        enum rb_code rc = store_said(k, rb_set_read(&v.gate.set, k->w->ses, now_ms, err), err);
        if (rc != RB_OK || v.gate.mark.settled != 0) {
            return rc;
        }
        settle_all(k->rt->settings, &v, k->r, outcome, now_ms);
        rc = rb_set_write(&v.gate.set, k->w->ses, k->e->random, now_ms, err);
        if (rc == RB_OK) {
            tell(k, &v);
        }
        if (rc != RB_E_CONFLICT) {
            return store_said(k, rc, err);
        }
    }
    return RB_OK; /* counted or not, the retry ends */
}

enum rb_code rb_engine_release_incident(struct rb_engine *e, struct rb_store_session *ses,
                                        unsigned *ret_n, struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    struct rb_incident_sheet sheet;
    struct rb_arena a;
    struct rb_set set;
    enum rb_code rc = RB_E_CONFLICT;

    rb_arena_init(&a, (size_t)4 * 1024 * 1024);
    for (unsigned tries = 0; tries < GATE_TRIES && rc == RB_E_CONFLICT; tries++) {
        int64_t now_ms = rb_engine_now_ms(e);
        rb_arena_reset(&a);
        rb_set_init(&set, &a);
        unsigned at = rb_set_add(&set, RB_SHEET_INCIDENT, &sheet, "i");
        rc = rb_set_read(&set, ses, now_ms, err);
        if (rc == RB_OK) {
            *ret_n = rb_incident_release(rt->settings, &sheet, now_ms);
            set.slots[at].changed = sheet.n > 0;
            rc = rb_set_write(&set, ses, e->random, now_ms, err);
        }
    }
    rb_arena_release(&a);
    if (rc == RB_OK && *ret_n > 0) {
        rb_log(RB_LOG_INFO, "incident.released", RB_FI("holds", *ret_n));
    }
    return rc;
}
