/* metrics.h - what counters.c keeps and metrics_text.c renders. Private to lib/util. */
#ifndef RB_UTIL_METRICS_H
#define RB_UTIL_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/counters.h>

#define METRIC_MAX_BOUNDS 13

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
    const char *name; /* with the prefix */
    const char *help;
    enum metric_type type;
    const char *label[RB_METRIC_MAX_LABELS]; /* NULL = none */
    const double *bounds;                    /* histograms: upper bounds, ascending */
    size_t n_bounds;
};

struct rb_metric_cell {
    const struct metric_family *family;
    char *label[RB_METRIC_MAX_LABELS]; /* values; NULL where the family has no such label */
    uint32_t hash;
    _Atomic int64_t count;                         /* counter: its value */
    _Atomic uint64_t bits;                         /* gauge: value, histogram: sum; a double */
    _Atomic int64_t bucket[METRIC_MAX_BOUNDS + 1]; /* histogram: not cumulative; last is +Inf */
};

const struct metric_family *metric_family(enum rb_metric m);
/* metric_nth - the @n-th cell of the family in order of creation, NULL behind the last one. */
struct rb_metric_cell *metric_nth(enum rb_metric m, size_t n);
double metric_double(const _Atomic uint64_t *bits);

#endif
