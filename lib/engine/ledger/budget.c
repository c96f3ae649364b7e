/* budget.c - how many retries a commit, a project, an account and a day may cost. */
#include <retrybuild/cleanup.h>

#include "ledger.h"

/* Days are short of nothing: what a retry costs is counted in seconds. */
#define SECONDS_A_MINUTE 60

void rb_budgets_of(const struct rb_settings *s, const struct rb_budget_sheets *x, int64_t now_ms,
                   struct rb_budgets *ret_b)
{
    int64_t builds = 0;
    int64_t seconds = 0;
    *ret_b = (struct rb_budgets){.commit.limit = s->budgets.per_commit};
    if (x->commit != NULL) {
        ret_b->commit.used = x->commit->retries;
    } else {
        ret_b->commit.limit = 0;
    }
    rb_series_sum(&x->project->takes, RB_HOUR_MS, now_ms, &ret_b->project.used, NULL);
    rb_series_sum(&x->builds->counted, RB_HOUR_MS, now_ms, &builds, NULL);
    if (x->census != NULL) { /* either may have missed some */
        int64_t shown = 0;
        rb_series_sum(&x->census->shown, RB_HOUR_MS, now_ms, &shown, NULL);
        builds = shown > builds ? shown : builds;
    }
    if (s->budgets.ratio > 0 || s->budgets.floor_per_hour > 0) {
        int64_t limit = s->budgets.floor_per_hour + (int64_t)(s->budgets.ratio * (double)builds);
        ret_b->project.limit = limit > 0 ? limit : 1; /* 0 would mean none */
        if (limit <= 0 && ret_b->project.used < 1) {
            ret_b->project.used = 1;
        }
    }
    rb_series_sum(&x->account->takes, RB_HOUR_MS, now_ms, &ret_b->account.used, NULL);
    ret_b->account.limit = s->budgets.per_account;
    rb_series_sum(&x->minutes->counted, RB_DAY_MS, now_ms, &seconds, NULL);
    ret_b->minutes.used = seconds / SECONDS_A_MINUTE;
    ret_b->minutes.limit = s->budgets.minutes_per_day;
}

const char *rb_budgets_spent(const struct rb_budgets *b)
{
    const struct {
        const char *name;
        const struct rb_budget *budget;
    } all[] = {{"commit", &b->commit},
               {"project", &b->project},
               {"account", &b->account},
               {"minutes", &b->minutes}};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].budget->limit > 0 && all[i].budget->used >= all[i].budget->limit) {
            return all[i].name;
        }
    }
    return NULL;
}

int64_t rb_budgets_enough(const struct rb_settings *s, const struct rb_budget *project)
{
    int64_t wanted = 2 * project->used - s->budgets.floor_per_hour + 1;
    return wanted <= 0 ? 1 : (int64_t)((double)wanted / s->budgets.ratio) + 1;
}

int64_t rb_budget_seconds(const struct rb_settings *s, const struct rb_build *b, int64_t seconds)
{
    for (unsigned i = 0; i < s->budgets.n_prices; i++) {
        const struct rb_price_setting *p = &s->budgets.prices[i];
        if (rb_glob_match(p->compute_type, b->compute_type == NULL ? "" : b->compute_type)) {
            return (int64_t)((double)seconds * p->per_minute + 0.5);
        }
    }
    return seconds;
}

void rb_budgets_take(const struct rb_settings *s, struct rb_budget_sheets *x, int64_t reserved_s,
                     int64_t now_ms)
{
    rb_series_add(&x->project->takes, RB_HOUR_MS, now_ms, 1, 0);
    if (s->budgets.per_account > 0) { /* else nobody asks, and the sheet stays as it is */
        rb_series_add(&x->account->takes, RB_HOUR_MS, now_ms, 1, 0);
    }
    if (s->budgets.minutes_per_day > 0) {
        rb_series_add(&x->minutes->counted, RB_DAY_MS, now_ms, reserved_s, 0);
    }
    if (x->commit != NULL) {
        x->commit->retries++;
    }
}
