/* sweep.c - failures of which no delivery ever came: recent builds of the known projects are listed
 * and enter like any other event.
 *
 * Event delivery is best effort everywhere, so this is what makes "nothing is lost" true. The store
 * knows duplicates and children; what this process has admitted once it does not offer again.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#include "fault.h"
#include "sheets.h"

#define RB_SWEEP_PAGES 10
#define RB_SWEEP_IDS 100
#define RB_SWEEP_TRIES 20
#define RB_SWEEP_PROJECTS 2000
#define RB_SWEEP_RECENT_MS (7LL * 24 * 3600 * 1000)
#define RB_SWEEP_ARENA_BYTES (16u * 1024 * 1024)
#define RB_SWEEP_FAIR_MS 10000
#define RB_SEEN_SLOTS 16384 /* a power of two */
#define RB_SEEN_MOST (RB_SEEN_SLOTS / 4 * 3)

struct seen {
    uint64_t slots[RB_SEEN_SLOTS]; /* 0 = free */
    unsigned n;
    int64_t birth_ms; /* of the store that was offered them */
};

struct sweep {
    struct rb_worker *w;
    struct seen *seen;
    struct rb_arena arena;   /* of one project */
    int64_t now_ms;          /* AWS's clock */
    int64_t oldest_ms;       /* started before: too old; AWS's clock */
    int64_t youngest_ms;     /* ended after: a delivery may still come */
    struct rb_census census; /* of one project */
    unsigned found;
};

static struct seen *seen_of(struct rb_worker *w)
{
    if (w->memory == NULL) {
        w->memory = calloc(1, sizeof(struct seen));
        w->memory_free = free;
    }
    return w->memory;
}

static uint64_t seen_number(const struct rb_build *b)
{
    char key[RB_KEY_BYTES];
    uint64_t v = 0;
    rb_build_key(b, key);
    for (unsigned i = 0; i < 16; i++) {
        unsigned char c = (unsigned char)key[i];
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return v == 0 ? 1 : v;
}

static bool seen_has(const struct seen *s, uint64_t v)
{
    for (uint64_t at = v;; at++) {
        uint64_t slot = s->slots[at & (RB_SEEN_SLOTS - 1)];
        if (slot == v || slot == 0) {
            return slot == v;
        }
    }
}

/* Forgetting costs one duplicate each. */
static void seen_forget(struct seen *s)
{
    memset(s->slots, 0, sizeof(s->slots));
    s->n = 0;
}

/* A store that lost its memory has to be offered everything again. */
static enum rb_code seen_check_epoch(struct rb_worker *w, struct seen *s, struct rb_err *err)
{
    int64_t birth_ms = 0;
    enum rb_code rc = rb_store_epoch(w->ses, rb_engine_now_ms(w->e), &birth_ms, err);

    rb_engine_store_state(w->e, rc, err);
    if (rc == RB_OK && birth_ms != s->birth_ms) {
        seen_forget(s);
        s->birth_ms = birth_ms;
    }
    return rc;
}

static void seen_add(struct seen *s, uint64_t v)
{
    if (s->n >= RB_SEEN_MOST) {
        seen_forget(s);
    }
    uint64_t at = v;
    while (s->slots[at & (RB_SEEN_SLOTS - 1)] != 0) {
        at++;
    }
    s->slots[at & (RB_SEEN_SLOTS - 1)] = v;
    s->n++;
}

static enum rb_code offer(struct sweep *sw, const struct rb_build *b, struct rb_err *err)
{
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = NULL;
    struct rb_engine *e = sw->w->e;
    const struct rb_delivery delivery = {
        .source = "sweep",
        .type = "sweep",
        .key = b->arn != NULL ? b->arn : b->id,
        .at_ms = b->ended_ms,
    };
    const struct rb_event ev = {.kind = RB_EVENT_FAILURE, .build = *b, .at_ms = b->ended_ms};
    uint64_t number = seen_number(b);

    if (seen_has(sw->seen, number)) {
        return RB_OK;
    }
    enum rb_code rc = rb_engine_admission_new(e, &ev, &delivery, &a, err);
    if (rc != RB_OK || a == NULL) {
        return rc;
    }
    a->delivery = NULL; /* nobody delivered anything: a duplicate of this is not counted */
    a->delivery_key = NULL;
    rc = rb_store_admit(sw->w->ses, &a, 1, rb_engine_now_ms(e), err);
    rb_engine_store_state(e, rc, err);
    RB_FAULT_POINT("sweep.after_admit");
    if (rc == RB_OK && a->rc != RB_OK) {
        rc = rb_err_set(err, a->rc, "the store did not take build '%s'", b->id);
    }
    if (rc != RB_OK) {
        return rc;
    }
    seen_add(sw->seen, number);
    if (a->result == RB_ADMIT_NEW) {
        sw->found++;
        rb_count(RB_M_DELIVERIES, "sweep", "accepted");
        rb_log(RB_LOG_INFO, "sweep.found", RB_F("retry", a->retry_id), RB_F("build", b->id),
               RB_F("state", rb_state_name(a->retry_state)));
        if (a->task != RB_TASK_NONE) {
            rb_engine_wake(e, a->task);
        }
    }
    return RB_OK;
}

static enum rb_code sweep_page(struct sweep *sw, const struct rb_project_seen *p,
                               const char *const *ids, unsigned n, bool *ret_past,
                               struct rb_err *err)
{
    struct rb_build *builds = NULL;
    unsigned n_builds = 0;

    rb_codebuild_of_account(sw->w->codebuild, p->account);
    enum rb_code rc =
        rb_codebuild_get(sw->w->codebuild, p->region, ids, n, &sw->arena, &builds, &n_builds, err);
    for (unsigned i = 0; i < n_builds && rc == RB_OK; i++) {
        struct rb_build *b = &builds[i];
        b->account = b->account == NULL ? p->account : b->account;
        b->region = b->region == NULL ? p->region : b->region;
        b->project = b->project == NULL ? p->project : b->project;
        rb_census_see(&sw->census, b, sw->now_ms);
        if (b->started_ms != 0 && b->started_ms < sw->oldest_ms) {
            *ret_past = true;
        } else if (rb_build_failed(b) && b->ended_ms <= sw->youngest_ms && b->account != NULL) {
            rc = offer(sw, b, err);
        }
    }
    return rc;
}

static enum rb_code sweep_project(struct sweep *sw, const struct rb_project_seen *p,
                                  struct rb_err *err)
{
    const char *next = NULL;
    bool past = false;

    rb_codebuild_of_account(sw->w->codebuild, p->account);
    for (unsigned page = 0; page < RB_SWEEP_PAGES && !past; page++) {
        const char **ids = NULL;
        const char *after = NULL;
        unsigned n = 0;
        enum rb_code rc = rb_codebuild_list(sw->w->codebuild, p->region, p->project, next,
                                            &sw->arena, &ids, &n, &after, err);
        for (unsigned at = 0; at < n && rc == RB_OK && !past; at += RB_SWEEP_IDS) {
            unsigned take = n - at < RB_SWEEP_IDS ? n - at : RB_SWEEP_IDS;
            rc = sweep_page(sw, p, (const char *const *)ids + at, take, &past, err);
        }
        if (rc != RB_OK || after == NULL) {
            return rc;
        }
        next = after;
    }
    return RB_OK;
}

/* Configured names are our own account's; where STS has not told which that is, whatever is no
 * account of the configuration counts as it. */
static bool is_ours(const struct rb_settings *s, const char *account)
{
    for (unsigned i = 0; i < s->aws.n_accounts; i++) {
        if (rb_str_eq(s->aws.accounts[i].id, account)) {
            return rb_str_eq(s->aws.account, account);
        }
    }
    return true;
}

static bool already(const struct rb_settings *s, const struct rb_project_seen *items, unsigned n,
                    const char *project)
{
    for (unsigned i = 0; i < n; i++) {
        if (rb_str_eq(items[i].project, project) && rb_str_eq(items[i].region, s->aws.region) &&
            is_ours(s, items[i].account)) {
            return true;
        }
    }
    return false;
}

/* Those of recent deliveries, and the configured names. */
static enum rb_code all_projects(struct rb_worker *w, struct rb_arena *a,
                                 struct rb_project_seen **ret_items, unsigned *ret_n,
                                 struct rb_err *err)
{
    const struct rb_settings *s = w->rt->settings;
    struct rb_project_seen *seen = NULL;
    unsigned n = 0;

    enum rb_code rc = rb_store_projects(w->ses, rb_engine_now_ms(w->e) - RB_SWEEP_RECENT_MS, a,
                                        RB_SWEEP_PROJECTS, &seen, &n, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_project_seen *all = rb_arena_alloc(a, (n + s->sweep_projects.n + 1) * sizeof(*all));
    if (all == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the projects to sweep");
    }
    if (n > 0) {
        memcpy(all, seen, n * sizeof(*all));
    }
    for (unsigned i = 0; i < s->sweep_projects.n; i++) {
        if (!already(s, all, n, s->sweep_projects.items[i])) {
            all[n++] = (struct rb_project_seen){.account = s->aws.account,
                                                .region = s->aws.region,
                                                .project = s->sweep_projects.items[i]};
        }
    }
    *ret_items = all;
    *ret_n = n;
    return RB_OK;
}

static int64_t fair_chance_ms(const struct rb_timing *t)
{
    int64_t ms = t->follow_poll_ms > RB_SWEEP_FAIR_MS ? t->follow_poll_ms : RB_SWEEP_FAIR_MS;
    return ms < t->sweep_every_ms ? ms : t->sweep_every_ms;
}

/* The builds that were seen on the way make the project's budget. */
static enum rb_code write_census(struct sweep *sw, const struct rb_project_seen *p,
                                 struct rb_err *err)
{
    const struct rb_build of = {.account = p->account, .region = p->region, .project = p->project};
    bool wanted = sw->w->rt->settings->budgets.ratio > 0 && sw->census.n > 0 && p->account != NULL;
    return wanted ? rb_census_write(sw->w, &of, &sw->census, &sw->arena, err) : RB_OK;
}

static enum rb_code sweep_all(struct sweep *sw, const struct rb_project_seen *projects, unsigned n,
                              struct rb_err *err)
{
    struct rb_engine *e = sw->w->e;

    for (unsigned i = 0; i < n && !atomic_load(&e->stopping); i++) {
        struct rb_err why = {.code = RB_OK};
        if (projects[i].region == NULL) {
            continue;
        }
        rb_arena_reset(&sw->arena);
        sw->census = (struct rb_census){.n = 0};
        enum rb_code rc = sweep_project(sw, &projects[i], &why);
        if (rc == RB_OK) {
            rc = write_census(sw, &projects[i], &why);
        }
        if (rc == RB_OK) {
            continue;
        }
        if (rb_store_gone(rc) && !rb_store_up(e->store)) {
            return rb_err_set(err, rc, "%s", why.msg);
        }
        if (rc == RB_E_CREDENTIALS) {
            rb_aws_credentials_refused(e->aws);
        }
        rb_log(rc == RB_E_CLOSED ? RB_LOG_DEBUG : RB_LOG_WARN, "sweep.failed",
               RB_F("project", projects[i].project), RB_F("code", rb_code_name(rc)),
               RB_F("error", why.msg));
    }
    return RB_OK;
}

/* How much came by nobody's delivery, for stats; a figure that is lost costs nothing else. */
static void write_found(struct rb_worker *w, unsigned found, struct rb_arena *a)
{
    enum rb_code rc = found == 0 ? RB_OK : RB_E_CONFLICT;
    struct rb_err ignored = {.code = RB_OK};

    for (unsigned tries = 0; tries < RB_SWEEP_TRIES && rc == RB_E_CONFLICT; tries++) {
        int64_t now_ms = rb_engine_now_ms(w->e);
        struct rb_count_sheet sheet;
        struct rb_set set;
        rb_set_init(&set, a);
        unsigned at = rb_set_add(&set, RB_SHEET_COUNT, &sheet, RB_SHEET_OF_SWEEP);
        rc = rb_set_read(&set, w->ses, now_ms, &ignored);
        if (rc == RB_OK) {
            rb_series_add(&sheet.counted, RB_SWEPT_MS, now_ms, found, 0);
            set.slots[at].changed = true;
            rc = rb_set_write(&set, w->ses, w->e->random, now_ms, &ignored);
        }
    }
    rb_engine_store_state(w->e, rc, &ignored);
}

static enum rb_code sweep_round(struct rb_worker *w, struct rb_round *ret, struct rb_err *err)
{
    const struct rb_timing *t = &w->rt->settings->timing;
    int64_t now_ms = rb_aws_now_ms(w->e->aws);
    struct rb_project_seen *projects = NULL;
    struct rb_arena arena;
    unsigned n = 0;
    struct sweep sw = {
        .w = w,
        .seen = seen_of(w),
        .now_ms = now_ms,
        .oldest_ms = now_ms - t->max_event_age_ms,
        .youngest_ms = now_ms - fair_chance_ms(t),
    };

    if (sw.seen == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the sweep");
    }
    rb_arena_init(&arena, RB_SWEEP_ARENA_BYTES);
    rb_arena_init(&sw.arena, RB_SWEEP_ARENA_BYTES);
    enum rb_code rc = seen_check_epoch(w, sw.seen, err);
    if (rc == RB_OK) {
        rc = all_projects(w, &arena, &projects, &n, err);
    }
    if (rc == RB_OK) {
        rc = sweep_all(&sw, projects, n, err);
    }
    write_found(w, sw.found, &arena);
    rb_arena_release(&sw.arena);
    rb_arena_release(&arena);
    if (rc == RB_OK) {
        rb_log(sw.found > 0 ? RB_LOG_INFO : RB_LOG_DEBUG, "sweep.done", RB_FI("projects", n),
               RB_FI("found", sw.found));
        ret->pause_ms = rb_engine_jitter_ms(w->e, t->sweep_every_ms - t->sweep_every_ms / 10,
                                            t->sweep_every_ms + t->sweep_every_ms / 10);
    }
    return rc;
}

const struct rb_worker_role rb_role_sweep = {
    .name = "sweep",
    .kind = RB_TASK_NONE,
    .needs_codebuild = true,
    .round = sweep_round,
};
