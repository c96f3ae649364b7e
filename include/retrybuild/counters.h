/* counters.h - metrics: counters, gauges, histograms, rendered as Prometheus text.
 *
 * A family is static data with its label names; a cell is found or made by label values (bounded:
 * beyond RB_METRIC_MAX_CELLS a family counts into the cell whose labels are all "other"). Updates
 * are atomic adds. Threads: any. Blocks: a short lock when a cell is made. Names and labels are the
 * contract; nothing from outside becomes a label but configured names.
 */
#ifndef RETRYBUILD_COUNTERS_H
#define RETRYBUILD_COUNTERS_H

#include <stdint.h>

#include <retrybuild/buf.h>

#define RB_METRIC_MAX_LABELS 2
#define RB_METRIC_MAX_CELLS 512

/* One per family of the contract; rows (name, type, help, labels) are in lib/util/counters.c. */
enum rb_metric {
    RB_M_DELIVERIES,         /* counter {source,result} */
    RB_M_DELIVERY_DURATION,  /* histogram, seconds */
    RB_M_SIGNATURE_FAILURES, /* counter {source} */
    RB_M_DECISIONS,          /* counter {action,rule} */
    RB_M_RETRIES_TOTAL,      /* counter {outcome} */
    RB_M_RETRIES,            /* gauge {state} */
    RB_M_TASKS,              /* gauge {kind} */
    RB_M_OLDEST_TASK_AGE,    /* gauge {kind}, seconds */
    RB_M_CODEBUILD_REQUESTS, /* counter {operation,result} */
    RB_M_CODEBUILD_DURATION, /* histogram {operation}, seconds */
    RB_M_REPORTS,            /* counter {destination,result} */
    RB_M_STORE_UP,           /* gauge */
    RB_M_STORE_SET_BACK,     /* counter */
    RB_M_STORE_BATCH_SIZE,   /* histogram, admissions a batch */
    RB_M_CONFIG_RELOAD_OK,   /* gauge */
    RB_M_BUILD_INFO,         /* gauge {version,revision} */
    RB_M_BUDGET_REMAINING,   /* gauge {project} */
    RB_M_BREAKER_OPEN,       /* gauge {scope} */
    RB_M_SPANS,              /* counter {result} */
    RB_METRIC_COUNT
};

struct rb_metric_cell;

/* rb_metric_cell - the cell for these label values (NULL for labels the family lacks). Never NULL;
 * lives for ever; cache it on hot paths. */
struct rb_metric_cell *rb_metric_cell(enum rb_metric m, const char *label_1, const char *label_2);
void rb_metric_add(struct rb_metric_cell *c, int64_t n);
void rb_metric_set(struct rb_metric_cell *c, double v);
void rb_metric_observe(struct rb_metric_cell *c, double v); /* histograms */
double rb_metric_value(struct rb_metric_cell *c);           /* counters and gauges, for tests */
/* shorthands */
void rb_count(enum rb_metric m, const char *label_1, const char *label_2);
void rb_gauge(enum rb_metric m, const char *label_1, double v);
/* rb_metrics_render - text exposition 0.0.4 of every family, HELP and TYPE included. */
void rb_metrics_render(struct rb_buf *out);
void rb_metrics_reset_for_test(void);

#endif
