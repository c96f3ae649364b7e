/* visit.h - the projects of the last days with their sheets, some at a time: for what shows or sums
 * up the ledger. Reads only.
 */
#ifndef RB_ENGINE_VISIT_H
#define RB_ENGINE_VISIT_H

#include "sheets.h"

#define RB_VISIT_PROJECTS_MAX 500

struct rb_standing {
    const struct rb_project_seen *seen;
    struct rb_scope_sheet project, account;
    struct rb_count_sheet builds;
    struct rb_census_sheet census;
    struct rb_flake_sheet flakes;
    struct rb_trend_sheet trend; /* with_trend */
};

struct rb_visit {
    struct rb_engine *e;
    const struct rb_settings *settings;
    int64_t now_ms;
    struct rb_count_sheet minutes, swept;
    bool with_trend;
    void (*see)(struct rb_visit *v, const struct rb_standing *x);
    const char *accounts[RB_VISIT_PROJECTS_MAX]; /* seen so far */
    unsigned n_accounts;
    /* of the visitors */
    struct rb_buf *budgets, *breakers, *projects, *of_accounts;
    uint64_t *flaky;
    unsigned n_flaky, max_flaky;
};

/* rb_visit_all - v->see for each; memory of @a grows with the number of projects. */
enum rb_code rb_visit_all(struct rb_visit *v, struct rb_store_session *ses, struct rb_arena *a,
                          struct rb_err *err);
struct rb_budget rb_visit_budget(const struct rb_visit *v, const struct rb_standing *x);
/* rb_visit_new_account - no project of it was seen before. */
bool rb_visit_new_account(struct rb_visit *v, const char *account);
/* rb_add_json_time - a member; 0 = null. */
void rb_add_json_time(struct rb_buf *out, const char *key, int64_t ms);

#endif
