/* trend.c - how a project went by the hour and by the day, and how often each rule, source and
 * destination was used: for people to look at. Nothing is decided by it. */
#include <stdio.h>
#include <string.h>

#include "ledger.h"

/* step_for - the step of now; where there is no room, the oldest goes. A clock that went back a
 * little counts into the newest. */
static struct rb_trend_step *step_for(struct rb_trend_step *steps, unsigned *n, unsigned max,
                                      int64_t width_ms, int64_t now_ms)
{
    int64_t at_ms = now_ms - now_ms % width_ms;
    if (*n > 0 && steps[*n - 1].at_ms >= at_ms) {
        return &steps[*n - 1];
    }
    unsigned old = 0;
    while (old < *n && steps[old].at_ms <= at_ms - (int64_t)max * width_ms) {
        old++;
    }
    old = old == 0 && *n == max ? 1 : old;
    *n -= old;
    memmove(steps, steps + old, *n * sizeof(*steps));
    steps[*n] = (struct rb_trend_step){.at_ms = at_ms};
    return &steps[(*n)++];
}

static void count(struct rb_trend_step *step, const struct rb_trend_step *what)
{
    step->builds += what->builds;
    step->failed += what->failed;
    step->recovered += what->recovered;
    step->failed_again += what->failed_again;
    step->saved_s += what->saved_s;
    step->lost_s += what->lost_s;
}

void rb_trend_add(struct rb_trend_sheet *x, const struct rb_trend_step *what, int64_t now_ms)
{
    count(step_for(x->hours, &x->n_hours, RB_TREND_HOURS, RB_HOUR_MS, now_ms), what);
    count(step_for(x->days, &x->n_days, RB_TREND_DAYS, RB_DAY_MS, now_ms), what);
}

static int64_t latest(const struct rb_use_row *row)
{
    return row->last_ms > row->last_bad_ms ? row->last_ms : row->last_bad_ms;
}

static struct rb_use_row *row_for(struct rb_uses_sheet *x, const char *name)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < x->n; i++) {
        if (strcmp(x->rows[i].name, name) == 0) {
            return &x->rows[i];
        }
        oldest = latest(&x->rows[i]) < latest(&x->rows[oldest]) ? i : oldest;
    }
    struct rb_use_row *row = x->n < RB_USE_ROWS ? &x->rows[x->n++] : &x->rows[oldest];
    *row = (struct rb_use_row){.good = 0};
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

void rb_use_add(struct rb_uses_sheet *x, const struct rb_use_row *what)
{
    struct rb_use_row *row = row_for(x, what->name);
    row->good += what->good;
    row->bad += what->bad;
    row->last_ms = what->last_ms > row->last_ms ? what->last_ms : row->last_ms;
    if (what->last_bad_ms > row->last_bad_ms) {
        row->last_bad_ms = what->last_bad_ms;
        (void)snprintf(row->error, sizeof(row->error), "%s", what->error);
    }
}
