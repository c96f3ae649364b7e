/* conditions.c - the conditions of a rule that are more than globs: ranges, hours, and globs that
 * can never match. */
#include <retrybuild/cleanup.h>
#include <retrybuild/range.h>

#include "place.h"
#include "validate.h"

static void check_ranges(struct rb_conversion *c, unsigned i, const char *name,
                         const struct rb_strings *items, enum rb_range_of of)
{
    for (unsigned k = 0; k < items->n; k++) {
        struct rb_range range;
        struct rb_err err = {.code = RB_OK};
        if (rb_range_parse(items->items[k], of, &range, &err) != RB_OK) {
            rb_wrong(c, rb_path(c, "rules[%u].when.%s", i, name), "%s", err.msg);
        }
    }
}

static void check_hours(struct rb_conversion *c, unsigned i, const struct rb_strings *items)
{
    for (unsigned k = 0; k < items->n; k++) {
        struct rb_hours hours = {.zone = NULL};
        struct rb_err err = {.code = RB_OK};
        if (rb_hours_parse(items->items[k], &hours, &err) != RB_OK) {
            rb_wrong(c, rb_path(c, "rules[%u].when.hours", i), "%s", err.msg);
        }
        rb_hours_release(&hours);
    }
}

/* check_attempt - retries are counted from 1. */
static void check_attempt(struct rb_conversion *c, unsigned i, const struct rb_strings *items)
{
    for (unsigned k = 0; k < items->n; k++) {
        struct rb_range r = {.from = 1};
        if (rb_range_parse(items->items[k], RB_RANGE_OF_NUMBERS, &r, NULL) == RB_OK &&
            !r.not &&r.to < 1) {
            rb_wrong(c, rb_path(c, "rules[%u].when.attempt", i),
                     "'%.60s' never happens: the first retry of a chain is 1", items->items[k]);
        }
    }
}

void rb_validate_conditions(struct rb_conversion *c, unsigned i)
{
    const struct rb_when *when = &c->settings->rules[i].when;
    check_ranges(c, i, "exit_code", &when->exit_code, RB_RANGE_OF_NUMBERS);
    check_ranges(c, i, "attempt", &when->attempt, RB_RANGE_OF_NUMBERS);
    check_ranges(c, i, "duration", &when->duration, RB_RANGE_OF_DURATIONS);
    check_attempt(c, i, &when->attempt);
    check_hours(c, i, &when->hours);
}
