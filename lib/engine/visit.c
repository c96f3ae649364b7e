/* visit.c - see visit.h. */
#include "internal.h"

#include <retrybuild/timefmt.h>

#include "visit.h"

#define AT_ONCE 10 /* six sheets each */
#define RECENT_MS (7 * RB_DAY_MS)

static enum rb_code visit_some(struct rb_visit *v, struct rb_store_session *ses,
                               const struct rb_project_seen *seen, unsigned n, struct rb_arena *a,
                               struct rb_err *err)
{
    struct rb_standing *all = rb_arena_alloc(a, n * sizeof(*all));
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
        if (v->with_trend) {
            (void)rb_set_add(&set, RB_SHEET_TREND, &all[i].trend, "t:" RB_SHEET_OF_PROJECT, account,
                             region, seen[i].project);
        }
    }
    enum rb_code rc = rb_set_read(&set, ses, v->now_ms, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        v->see(v, &all[i]);
    }
    return rc;
}

enum rb_code rb_visit_all(struct rb_visit *v, struct rb_store_session *ses, struct rb_arena *a,
                          struct rb_err *err)
{
    struct rb_project_seen *seen = NULL;
    unsigned n = 0;

    enum rb_code rc =
        rb_store_projects(ses, v->now_ms - RECENT_MS, a, RB_VISIT_PROJECTS_MAX, &seen, &n, err);
    for (unsigned at = 0; at < n && rc == RB_OK; at += AT_ONCE) {
        rc = visit_some(v, ses, seen + at, n - at < AT_ONCE ? n - at : AT_ONCE, a, err);
    }
    return rc;
}

struct rb_budget rb_visit_budget(const struct rb_visit *v, const struct rb_standing *x)
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

bool rb_visit_new_account(struct rb_visit *v, const char *account)
{
    for (unsigned i = 0; i < v->n_accounts; i++) {
        if (rb_str_eq(v->accounts[i], account)) {
            return false;
        }
    }
    if (v->n_accounts < RB_VISIT_PROJECTS_MAX) {
        v->accounts[v->n_accounts++] = account;
    }
    return true;
}

void rb_add_json_time(struct rb_buf *out, const char *key, int64_t ms)
{
    char text[RB_TIME_ISO_BYTES];
    rb_time_iso(ms, text);
    rb_buf_add_json_member(out, key, ms == 0 ? NULL : text);
}
