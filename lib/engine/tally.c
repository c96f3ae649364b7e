/* tally.c - counting in memory, and the way of the counts into the ledger. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/log.h>

#include "sheets.h"

#define FLUSH_TRIES 20
#define FLUSH_AT_ONCE 48
#define FLUSH_ARENA_BYTES ((size_t)32 * 1024 * 1024)

static uint64_t hash_text(uint64_t h, const char *s)
{
    for (const char *p = rb_name_or_dash(s); *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    }
    return (h ^ '/') * UINT64_C(0x100000001b3);
}

static uint64_t project_hash(const struct rb_build *b)
{
    uint64_t h = hash_text(UINT64_C(0xcbf29ce484222325), b->account);
    return hash_text(hash_text(h, b->region), b->project);
}

/* seen_before - and from now on it is. */
static bool seen_before(struct rb_tally *t, uint64_t build)
{
    uint64_t *slot = &t->seen[build & (RB_TALLY_SEEN - 1)];
    bool known = *slot == build;
    *slot = build;
    return known;
}

static void add_build(struct rb_tally_counts *c, const struct rb_build *b, uint64_t hash)
{
    unsigned i = 0;
    while (i < c->n_projects && c->projects[i].hash != hash) {
        i++;
    }
    if (i == RB_TALLY_PROJECTS) {
        return; /* more projects in some seconds: their budgets are a little smaller */
    }
    if (i == c->n_projects) {
        (void)snprintf(c->projects[i].name, sizeof(c->projects[i].name), RB_SHEET_OF_PROJECT,
                       rb_name_or_dash(b->account), rb_name_or_dash(b->region),
                       rb_name_or_dash(b->project));
        c->projects[i].hash = hash;
        c->projects[i].builds = 0;
        c->n_projects++;
    }
    c->projects[i].builds++;
}

void rb_tally_ended(struct rb_engine *e, const struct rb_build *b)
{
    uint64_t hash = project_hash(b);
    uint64_t build = hash_text(hash, b->id);

    pthread_mutex_lock(&e->tally->lock);
    if (!seen_before(e->tally, build)) {
        add_build(&e->tally->now, b, hash);
    }
    pthread_mutex_unlock(&e->tally->lock);
}

static void add_failure(struct rb_tally_counts *c, const char *phase, uint64_t project,
                        int64_t at_ms)
{
    for (unsigned i = 0; i < c->n_failures; i++) {
        if (c->failures[i].project == project && strcmp(c->failures[i].phase, phase) == 0) {
            c->failures[i].at_ms = at_ms > c->failures[i].at_ms ? at_ms : c->failures[i].at_ms;
            return;
        }
    }
    if (c->n_failures < RB_TALLY_FAILURES && strlen(phase) < RB_WORD_BYTES) {
        (void)snprintf(c->failures[c->n_failures].phase, RB_WORD_BYTES, "%s", phase);
        c->failures[c->n_failures].project = project;
        c->failures[c->n_failures].at_ms = at_ms;
        c->n_failures++;
    }
}

void rb_tally_failure(struct rb_engine *e, const struct rb_retry *r)
{
    int64_t now_ms = rb_engine_now_ms(e);
    bool worth = r->state == RB_STATE_SCHEDULED || r->state == RB_STATE_HELD;

    if (!worth || r->build.phase == NULL || r->requested_by != NULL) {
        return;
    }
    int64_t at_ms =
        r->build.ended_ms > 0 && r->build.ended_ms < now_ms ? r->build.ended_ms : now_ms;
    pthread_mutex_lock(&e->tally->lock);
    add_failure(&e->tally->now, r->build.phase, project_hash(&r->build), at_ms);
    pthread_mutex_unlock(&e->tally->lock);
}

void rb_tally_shadow(struct rb_engine *e, const struct rb_build *b, const char *rule)
{
    const char *version = b->resolved_version != NULL ? b->resolved_version : b->source_version;
    struct rb_tally_counts *c = &e->tally->now;

    if (version == NULL) {
        return; /* the default branch: another commit each time */
    }
    pthread_mutex_lock(&e->tally->lock);
    if (c->n_shadows < RB_TALLY_SHADOWS) {
        struct rb_tally_shadow *s = &c->shadows[c->n_shadows++];
        (void)snprintf(s->name, sizeof(s->name), RB_SHEET_OF_PROJECT "/%.48s",
                       rb_name_or_dash(b->account), rb_name_or_dash(b->region),
                       rb_name_or_dash(b->project), version);
        (void)snprintf(s->rule, sizeof(s->rule), "%s", rule == NULL ? "" : rule);
    }
    pthread_mutex_unlock(&e->tally->lock);
}

void rb_tally_shadowed(struct rb_engine *e, const struct rb_retry *r)
{
    if (r->decision.reason != NULL && rb_str_starts(r->decision.reason, "shadow: would ")) {
        rb_tally_shadow(e, &r->build, r->decision.rule);
    }
}

/* ---- into the ledger ---- */

static struct rb_tally_counts *take_counts(struct rb_engine *e, bool all)
{
    struct rb_tally_counts *c = NULL;
    struct rb_tally_counts *now = &e->tally->now;

    pthread_mutex_lock(&e->tally->lock);
    bool any = now->n_failures > 0 || (all && (now->n_projects > 0 || now->n_shadows > 0));
    pthread_mutex_unlock(&e->tally->lock);
    if (!any) {
        return NULL;
    }
    c = malloc(sizeof(*c));
    if (c == NULL) {
        return NULL; /* they stay where they are */
    }
    pthread_mutex_lock(&e->tally->lock);
    *c = *now;
    now->n_projects = 0;
    now->n_failures = 0;
    now->n_shadows = 0;
    pthread_mutex_unlock(&e->tally->lock);
    return c;
}

/* What could not be written is counted again. */
static void give_back(struct rb_engine *e, const struct rb_tally_counts *c)
{
    struct rb_tally_counts *now = &e->tally->now;

    pthread_mutex_lock(&e->tally->lock);
    for (unsigned i = 0; i < c->n_failures; i++) {
        add_failure(now, c->failures[i].phase, c->failures[i].project, c->failures[i].at_ms);
    }
    for (unsigned i = 0; i < c->n_shadows && now->n_shadows < RB_TALLY_SHADOWS; i++) {
        now->shadows[now->n_shadows++] = c->shadows[i];
    }
    for (unsigned i = 0; i < c->n_projects; i++) {
        unsigned k = 0;
        while (k < now->n_projects && now->projects[k].hash != c->projects[i].hash) {
            k++;
        }
        if (k == now->n_projects && k < RB_TALLY_PROJECTS) {
            now->projects[now->n_projects++] = c->projects[i];
        } else if (k < now->n_projects) {
            now->projects[k].builds += c->projects[i].builds;
        }
    }
    pthread_mutex_unlock(&e->tally->lock);
}

static enum rb_code flush_failures(struct rb_worker *w, struct rb_tally_counts *c,
                                   struct rb_arena *a, struct rb_err *err)
{
    const struct rb_settings *s = w->rt->settings;
    struct rb_incident_sheet sheet;
    struct rb_set set;
    enum rb_code rc = RB_E_CONFLICT;

    for (unsigned tries = 0; tries < FLUSH_TRIES && rc == RB_E_CONFLICT && c->n_failures > 0;
         tries++) {
        int64_t now_ms = rb_engine_now_ms(w->e);
        const char *began = NULL;
        rb_arena_reset(a);
        rb_set_init(&set, a);
        unsigned at = rb_set_add(&set, RB_SHEET_INCIDENT, &sheet, "i");
        rc = rb_set_read(&set, w->ses, now_ms, err);
        for (unsigned i = 0; i < c->n_failures && rc == RB_OK; i++) {
            if (rb_incident_note(s, &sheet, c->failures[i].phase, c->failures[i].project,
                                 c->failures[i].at_ms, now_ms)) {
                began = c->failures[i].phase;
            }
            set.slots[at].changed = s->incident.projects > 0;
        }
        if (rc == RB_OK) {
            rc = rb_set_write(&set, w->ses, w->e->random, now_ms, err);
        }
        if (rc == RB_OK && began != NULL) {
            rb_log(RB_LOG_WARN, "incident.began", RB_F("phase", began),
                   RB_F("what", "several projects fail in this phase: automatic retries wait"));
        }
    }
    if (rc == RB_OK || c->n_failures == 0) {
        c->n_failures = 0;
        return RB_OK;
    }
    return rc;
}

static enum rb_code flush_builds(struct rb_worker *w, struct rb_tally_counts *c, struct rb_arena *a,
                                 struct rb_err *err)
{
    struct rb_count_sheet *sheets = rb_arena_alloc(a, FLUSH_AT_ONCE * sizeof(*sheets));
    struct rb_set set;
    enum rb_code rc = RB_OK;

    if (sheets == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the counts of builds");
    }
    for (unsigned tries = 0; tries < FLUSH_TRIES && c->n_projects > 0; tries++) {
        int64_t now_ms = rb_engine_now_ms(w->e);
        unsigned n = c->n_projects < FLUSH_AT_ONCE ? c->n_projects : FLUSH_AT_ONCE;
        unsigned from = c->n_projects - n;
        rb_set_init(&set, a);
        for (unsigned i = 0; i < n; i++) {
            (void)rb_set_add(&set, RB_SHEET_COUNT, &sheets[i], "b:%s", c->projects[from + i].name);
        }
        rc = rb_set_read(&set, w->ses, now_ms, err);
        for (unsigned i = 0; i < n && rc == RB_OK; i++) {
            rb_series_add(&sheets[i].counted, RB_HOUR_MS, now_ms, c->projects[from + i].builds, 0);
            set.slots[i].changed = true;
        }
        if (rc == RB_OK) {
            rc = rb_set_write(&set, w->ses, w->e->random, now_ms, err);
        }
        if (rc == RB_OK) {
            c->n_projects = from;
            tries = 0;
        } else if (rc != RB_E_CONFLICT) {
            break;
        }
    }
    return rc;
}

/* apply_shadow - true when the sheets changed. */
static bool apply_shadow(const struct rb_tally_shadow *s, struct rb_shadow_sheet *sheet,
                         struct rb_rules_sheet *rules, int64_t now_ms)
{
    if (s->rule[0] != '\0') {
        if (sheet->rule[0] != '\0') {
            return false; /* failed again: still one that would have been retried */
        }
        (void)snprintf(sheet->rule, sizeof(sheet->rule), "%s", s->rule);
        rb_rule_row(rules, s->rule, now_ms)->shadowed++;
        return true;
    }
    if (sheet->rule[0] == '\0' || sheet->recovered != 0) {
        return false;
    }
    sheet->recovered = 1;
    rb_rule_row(rules, sheet->rule, now_ms)->shadow_recovered++;
    return true;
}

/* One after the other: a failure and its success may have come together. */
static enum rb_code flush_shadows(struct rb_worker *w, struct rb_tally_counts *c,
                                  struct rb_arena *a, struct rb_err *err)
{
    enum rb_code rc = RB_OK;

    for (unsigned i = 0; i < c->n_shadows && rc == RB_OK; i++) {
        rc = RB_E_CONFLICT;
        for (unsigned tries = 0; tries < FLUSH_TRIES && rc == RB_E_CONFLICT; tries++) {
            int64_t now_ms = rb_engine_now_ms(w->e);
            struct rb_shadow_sheet sheet;
            struct rb_rules_sheet rules;
            struct rb_set set;
            rb_arena_reset(a);
            rb_set_init(&set, a);
            unsigned at = rb_set_add(&set, RB_SHEET_SHADOW, &sheet, "s:%s", c->shadows[i].name);
            unsigned at_rules = rb_set_add(&set, RB_SHEET_RULES, &rules, "r");
            rc = rb_set_read(&set, w->ses, now_ms, err);
            if (rc == RB_OK && apply_shadow(&c->shadows[i], &sheet, &rules, now_ms)) {
                set.slots[at].changed = set.slots[at_rules].changed = true;
                rc = rb_set_write(&set, w->ses, w->e->random, now_ms, err);
            }
        }
    }
    if (rc == RB_OK) {
        c->n_shadows = 0;
    }
    return rc;
}

enum rb_code rb_tally_flush(struct rb_worker *w, bool all, struct rb_err *err)
{
    struct rb_tally_counts *c = take_counts(w->e, all);
    struct rb_arena a;

    if (c == NULL) {
        return RB_OK;
    }
    rb_arena_init(&a, FLUSH_ARENA_BYTES);
    enum rb_code rc = flush_failures(w, c, &a, err);
    if (rc == RB_OK && all) {
        rc = flush_builds(w, c, &a, err);
    }
    if (rc == RB_OK && all) {
        rc = flush_shadows(w, c, &a, err);
    }
    give_back(w->e, c);
    rb_arena_release(&a);
    free(c);
    rb_engine_store_state(w->e, rc, err);
    return rc == RB_E_CONFLICT ? RB_OK : rc; /* the next one will come through */
}

struct rb_tally *rb_tally_new(void)
{
    struct rb_tally *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        pthread_mutex_init(&t->lock, NULL);
    }
    return t;
}

void rb_tally_free(struct rb_tally *t)
{
    if (t != NULL) {
        pthread_mutex_destroy(&t->lock);
        free(t);
    }
}
