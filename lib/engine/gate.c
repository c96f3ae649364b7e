/* gate.c - may this retry go now? Incident hold, breakers and budgets, looked at right before the
 * intent is written, and what they count.
 *
 * A retry counts once, whatever crashes: its mark is written in the same step as the counts. A
 * person passes by force, which is noted, and is else told how; their retries count like any other.
 * The outcome is counted before the retry is settled, under the same mark. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/explain.h>
#include <retrybuild/log.h>

#include "ledger/desk.h"
#include "sheets.h"

#define GATE_TRIES 200
#define GATE_PAUSE_MS 20
#define GATE_AGAIN_MS 1000

struct gate {
    struct rb_set set;
    struct rb_desk desk;
    unsigned slots[RB_DESK_COUNT]; /* in the set; RB_SET_MAX = not read */
};

static void put(struct gate *g, enum rb_desk_sheet which, unsigned slot)
{
    g->slots[which] = slot;
}

static void gate_init(struct gate *g, const char *retry_id, const struct rb_build *b, bool outcome,
                      struct rb_arena *a)
{
    const char *account = rb_name_or_dash(b->account);
    const char *region = rb_name_or_dash(b->region);
    const char *project = rb_name_or_dash(b->project);
    const char *commit = rb_build_commit(b);
    struct rb_desk *d = &g->desk;
    struct rb_set *s = &g->set;

    *g = (struct gate){.desk.has_commit = commit != NULL};
    rb_set_init(s, a);
    for (int i = 0; i < RB_DESK_COUNT; i++) {
        g->slots[i] = RB_SET_MAX;
    }
    put(g, RB_DESK_MARK, rb_set_add(s, RB_SHEET_MARK, &d->mark, "k:%s", retry_id));
    put(g, RB_DESK_PROJECT,
        rb_set_add(s, RB_SHEET_SCOPE, &d->project, "p:" RB_SHEET_OF_PROJECT, account, region,
                   project));
    put(g, RB_DESK_ACCOUNT, rb_set_add(s, RB_SHEET_SCOPE, &d->account, "a:%s", account));
    put(g, RB_DESK_INCIDENT, rb_set_add(s, RB_SHEET_INCIDENT, &d->incident, "i"));
    put(g, RB_DESK_MINUTES, rb_set_add(s, RB_SHEET_COUNT, &d->minutes, "m"));
    if (outcome) {
        put(g, RB_DESK_FLAKES,
            rb_set_add(s, RB_SHEET_FLAKES, &d->flakes, "l:" RB_SHEET_OF_PROJECT, account, region,
                       project));
        put(g, RB_DESK_RULES, rb_set_add(s, RB_SHEET_RULES, &d->rules, "r"));
        return;
    }
    put(g, RB_DESK_BUILDS,
        rb_set_add(s, RB_SHEET_COUNT, &d->builds, "b:" RB_SHEET_OF_PROJECT, account, region,
                   project));
    put(g, RB_DESK_CENSUS,
        rb_set_add(s, RB_SHEET_CENSUS, &d->census, "v:" RB_SHEET_OF_PROJECT, account, region,
                   project));
    if (commit != NULL) {
        put(g, RB_DESK_COMMIT,
            rb_set_add(s, RB_SHEET_COMMIT, &d->commit, "c:%s/%s", account, commit));
    }
}

static enum rb_code gate_write(struct gate *g, struct rb_work *k, int64_t now_ms,
                               struct rb_err *err)
{
    for (int i = 0; i < RB_DESK_COUNT; i++) {
        if (g->slots[i] < RB_SET_MAX) {
            g->set.slots[g->slots[i]].changed = g->desk.changed[i];
        }
    }
    return rb_set_write(&g->set, k->w->ses, k->e->random, now_ms, err);
}

/* refuse - a spent budget is told a chat once in an hour. A chain that was told of before is told
 * of to its end, and so is who asked. */
static enum rb_code refuse(struct rb_work *k, const struct rb_obstacle *o, const char *note,
                           struct rb_err *err)
{
    const struct rb_build *b = &k->r->build;
    const char *commit = rb_build_commit(b);
    bool of_project = rb_str_eq(o->note, "budget:project");
    const struct rb_notice spent = {
        .about = rb_arena_printf(&k->arena, "%s/%s/%s/%s", o->note, rb_name_or_dash(b->account),
                                 of_project ? rb_name_or_dash(b->region) : "-",
                                 of_project                            ? rb_name_or_dash(b->project)
                                 : rb_str_eq(o->note, "budget:commit") ? rb_name_or_dash(commit)
                                                                       : "-"),
        .since_ms = rb_engine_now_ms(k->e) - RB_HOUR_MS,
        .chats = true,
    };
    k->r->decision.reason = rb_arena_strdup(&k->r->arena, o->note);
    bool own = k->r->previous[0] != '\0' || k->r->requested_by != NULL || spent.about == NULL;
    k->spent = own ? NULL : &spent;
    rb_log(RB_LOG_WARN, "budget.spent", RB_F("budget", o->note), RB_F("retry", k->r->id),
           RB_F("project", k->r->build.project));
    enum rb_code rc = rb_work_finish(k, RB_STATE_REFUSED, note, err);
    k->spent = NULL;
    return rc;
}

static enum rb_code obey(struct rb_work *k, const struct gate *g, const struct rb_obstacle *o,
                         struct rb_err *err)
{
    char note[RB_DESK_NOTE_BYTES + 64];

    (void)snprintf(note, sizeof(note), "%s%s", o->note,
                   k->r->requested_by == NULL ? "" : ": ask again with force to pass it");
    if (!o->refuses) {
        const struct rb_incident_row *row =
            rb_incident_active(k->rt->settings, &g->desk.incident, rb_engine_now_ms(k->e));
        bool tells = row != NULL && rb_str_starts(o->note, "incident:") &&
                     rb_work_count_notes(k->r, o->note) == 0;
        enum rb_code rc = tells ? rb_notice_of_hold(k, row, err) : RB_OK;
        if (rc != RB_OK) {
            return rc;
        }
        int64_t jitter_ms = o->wait_ms / 4 + GATE_PAUSE_MS;
        return rb_work_later(k, o->wait_ms + rb_engine_jitter_ms(k->e, 0, jitter_ms), note, err);
    }
    return refuse(k, o, note, err);
}

static enum rb_code store_said(struct rb_work *k, enum rb_code rc, struct rb_err *err)
{
    rb_engine_store_state(k->e, rc, err);
    return rc;
}

/* gate_see - the sheets, and what stands in the way by them. */
static enum rb_code gate_see(struct gate *g, struct rb_work *k, int64_t now_ms,
                             struct rb_obstacle *ret_o, struct rb_err *err)
{
    gate_init(g, k->r->id, &k->r->build, false, &k->arena);
    enum rb_code rc = store_said(k, rb_set_read(&g->set, k->w->ses, now_ms, err), err);
    if (rc == RB_OK) {
        rb_desk_obstacle(k->rt->settings, &g->desk, k->r->id, &k->r->build, now_ms, ret_o);
    }
    return rc;
}

/* gate_count - nothing is refused for a part of builds that nobody has counted. */
static enum rb_code gate_count(struct gate *g, struct rb_work *k, int64_t now_ms, bool *ret_ended,
                               struct rb_err *err)
{
    struct rb_budgets b;
    rb_desk_budgets(k->rt->settings, &g->desk, now_ms, &b);
    return rb_census_take(k, rb_budgets_enough(k->rt->settings, &b.project), ret_ended, err);
}

enum rb_code rb_gate_look(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(k->e);
    struct rb_obstacle o;
    struct gate g;

    if (rb_desk_passes(k->r)) {
        return RB_OK;
    }
    enum rb_code rc = rb_tally_flush(k->w, false, err);
    if (rc == RB_OK) {
        rc = gate_see(&g, k, now_ms, &o, err);
    }
    if (rc == RB_OK && o.uncounted) {
        rc = gate_count(&g, k, now_ms, ret_ended, err);
        if (rc == RB_OK && !*ret_ended) {
            rc = gate_see(&g, k, now_ms, &o, err);
        }
    }
    if (rc != RB_OK || *ret_ended || o.note[0] == '\0') {
        return rc;
    }
    *ret_ended = true;
    return obey(k, &g, &o, err);
}

/* A person passes; the history says what was passed. */
static void note_passing(struct rb_work *k, const struct rb_obstacle *o)
{
    char note[RB_DESK_NOTE_BYTES + 64];
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
        struct rb_obstacle o;
        enum rb_code rc = gate_see(&g, k, now_ms, &o, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (o.uncounted && !rb_desk_passes(k->r)) {
            rc = gate_count(&g, k, now_ms, ret_ended, err);
            if (rc != RB_OK || *ret_ended) {
                return rc;
            }
            continue;
        }
        if (o.note[0] != '\0' && !rb_desk_passes(k->r)) {
            *ret_ended = true;
            return obey(k, &g, &o, err);
        }
        rb_desk_count(s, &g.desk, k->r, now_ms);
        rc = gate_write(&g, k, now_ms, err);
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

enum rb_code rb_gate_standing(struct rb_engine *e, const struct rb_settings *s,
                              struct rb_store_session *ses, const struct rb_build *b,
                              struct rb_arena *a, struct rb_standing *ret_x, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(e);
    struct rb_budgets budgets;
    struct gate g;

    gate_init(&g, "-", b, false, a);
    enum rb_code rc = rb_set_read(&g.set, ses, now_ms, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_desk_budgets(s, &g.desk, now_ms, &budgets);
    const struct rb_incident_row *row = rb_incident_active(s, &g.desk.incident, now_ms);
    *ret_x = (struct rb_standing){
        .commit = {budgets.commit.used, budgets.commit.limit},
        .project = {budgets.project.used, budgets.project.limit},
        .account = {budgets.account.used, budgets.account.limit},
        .minutes = {budgets.minutes.used, budgets.minutes.limit},
        .project_scope = rb_arena_printf(a, "project:%s", rb_name_or_dash(b->project)),
        .account_scope = rb_arena_printf(a, "account:%s", rb_name_or_dash(b->account)),
        .project_breaker = rb_breaker_state_name(rb_breaker_state(s, &g.desk.project, now_ms)),
        .account_breaker = rb_breaker_state_name(rb_breaker_state(s, &g.desk.account, now_ms)),
        .incident = row == NULL ? NULL : rb_arena_strdup(a, row->phase),
    };
    return RB_OK;
}

/* ---- outcomes ---- */

static void tell(const struct rb_work *k, const struct rb_desk *d)
{
    if (d->opened_project) {
        rb_log(RB_LOG_WARN, "breaker.opened", RB_F("scope", "project"),
               RB_F("name", k->r->build.project), RB_F("retry", k->r->id));
    }
    if (d->opened_account) {
        rb_log(RB_LOG_WARN, "breaker.opened", RB_F("scope", "account"),
               RB_F("name", k->r->build.account), RB_F("retry", k->r->id));
    }
    if (d->ended_probe) {
        rb_log(RB_LOG_INFO, "incident.probe_ended", RB_F("retry", k->r->id));
    }
}

enum rb_code rb_gate_outcome(struct rb_work *k, enum rb_ending outcome, struct rb_err *err)
{
    struct gate g;

    for (unsigned tries = 0; tries < GATE_TRIES; tries++) {
        int64_t now_ms = rb_engine_now_ms(k->e);
        gate_init(&g, k->r->id, &k->r->build, true, &k->arena);
        enum rb_code rc = store_said(k, rb_set_read(&g.set, k->w->ses, now_ms, err), err);
        if (rc != RB_OK || g.desk.mark.settled != 0) {
            return rc;
        }
        rb_desk_settle(k->rt->settings, &g.desk, k->r, outcome, now_ms);
        rc = gate_write(&g, k, now_ms, err);
        if (rc == RB_OK) {
            tell(k, &g.desk);
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
