/* counters.c - the table of metric families, and their cells.
 *
 * Cells of a family stand in an open hash table that only grows: a look-up reads slots without a
 * lock, only making a cell takes one. A cell is complete before its slot shows it. The cell named
 * "other" is static, so that there is one when memory or the bound is exhausted.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "metrics.h"

#define SLOTS 1024 /* a power of two, twice RB_METRIC_MAX_CELLS */

_Static_assert(SLOTS >= 2 * RB_METRIC_MAX_CELLS, "probing needs free slots");

static const double seconds_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                        0.1,    0.25,  0.5,    1,     2.5,  10};
static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};

_Static_assert(RB_ARRAY_LEN(seconds_bounds) <= METRIC_MAX_BOUNDS, "room for every bucket");
_Static_assert(RB_ARRAY_LEN(batch_bounds) <= METRIC_MAX_BOUNDS, "room for every bucket");

#define COUNTER(n, h, ...)                                                                     \
    {                                                                                          \
        .name = "retrybuild_" n, .help = (h), .type = METRIC_COUNTER, .label = { __VA_ARGS__ } \
    }
#define GAUGE(n, h, ...)                                                                     \
    {                                                                                        \
        .name = "retrybuild_" n, .help = (h), .type = METRIC_GAUGE, .label = { __VA_ARGS__ } \
    }
#define HISTOGRAM(n, h, b, ...)                                                        \
    {                                                                                  \
        .name = "retrybuild_" n, .help = (h), .type = METRIC_HISTOGRAM, .bounds = (b), \
        .n_bounds = RB_ARRAY_LEN(b), .label = {                                        \
            __VA_ARGS__                                                                \
        }                                                                              \
    }

static const struct metric_family families[RB_METRIC_COUNT] = {
    [RB_M_DELIVERIES] =
        COUNTER("deliveries_total", "Deliveries by source and answer.", "source", "result"),
    [RB_M_DELIVERY_DURATION] =
        HISTOGRAM("delivery_duration_seconds",
                  "Time from a delivery's complete body to its answer.", seconds_bounds, NULL),
    [RB_M_SIGNATURE_FAILURES] = COUNTER("signature_failures_total",
                                        "Deliveries whose proof was wrong or missing.", "source"),
    [RB_M_DECISIONS] =
        COUNTER("decisions_total", "Decisions by action and rule.", "action", "rule"),
    [RB_M_RETRIES_TOTAL] =
        COUNTER("retries_total", "Retries that reached their end, by outcome.", "outcome"),
    [RB_M_RETRIES] = GAUGE("retries", "Retries kept, by state.", "state"),
    [RB_M_TASKS] = GAUGE("tasks", "Tasks in the queue, by kind.", "kind"),
    [RB_M_OLDEST_TASK_AGE] =
        GAUGE("oldest_task_age_seconds", "How long the oldest due task has waited.", "kind"),
    [RB_M_CODEBUILD_REQUESTS] = COUNTER("codebuild_requests_total",
                                        "Requests to CodeBuild by result.", "operation", "result"),
    [RB_M_CODEBUILD_DURATION] =
        HISTOGRAM("codebuild_request_duration_seconds", "Duration of requests to CodeBuild.",
                  seconds_bounds, "operation"),
    [RB_M_REPORTS] =
        COUNTER("reports_total", "Reports by destination and result.", "destination", "result"),
    [RB_M_STORE_UP] = GAUGE("store_up", "1 while the store answers.", NULL),
    [RB_M_STORE_SET_BACK] =
        COUNTER("store_set_back_total", "Times the store was found to have lost writes.", NULL),
    [RB_M_STORE_BATCH_SIZE] =
        HISTOGRAM("store_batch_size", "Admissions in one store round trip.", batch_bounds, NULL),
    [RB_M_CONFIG_RELOAD_OK] = GAUGE("config_last_reload_successful",
                                    "1 when the last reload of the configuration succeeded.", NULL),
    [RB_M_BUILD_INFO] =
        GAUGE("build_info", "Always 1; the labels say what runs.", "version", "revision"),
    [RB_M_BUDGET_REMAINING] =
        GAUGE("budget_remaining", "Retries that the project's budget still allows.", "project"),
    [RB_M_BREAKER_OPEN] =
        GAUGE("breaker_open", "1 while the breaker of the scope is open.", "scope"),
    [RB_M_SPANS] = COUNTER("spans_total", "Spans for the collector of telemetry.", "result"),
};

static struct {
    struct rb_metric_cell *_Atomic slot[SLOTS];
    struct rb_metric_cell *_Atomic order[RB_METRIC_MAX_CELLS];
    _Atomic size_t n_cells;
    struct rb_metric_cell other;
    _Atomic bool other_used;
} cells[RB_METRIC_COUNT];

static pthread_mutex_t make_lock = PTHREAD_MUTEX_INITIALIZER; /* guards every change of cells */
static char other_label[] = "other";

const struct metric_family *metric_family(enum rb_metric m)
{
    return &families[m];
}

double metric_double(const _Atomic uint64_t *bits)
{
    uint64_t u = atomic_load_explicit(bits, memory_order_relaxed);
    double v = 0;
    memcpy(&v, &u, sizeof(v));
    return v;
}

static uint64_t bits_of(double v)
{
    uint64_t u = 0;
    memcpy(&u, &v, sizeof(u));
    return u;
}

static void add_double(_Atomic uint64_t *bits, double v)
{
    uint64_t before = atomic_load_explicit(bits, memory_order_relaxed);
    double sum = 0;
    do {
        memcpy(&sum, &before, sizeof(sum));
        sum += v;
    } while (!atomic_compare_exchange_weak_explicit(bits, &before, bits_of(sum),
                                                    memory_order_relaxed, memory_order_relaxed));
}

/* wanted_label - the value that counts for the family's @i-th label; NULL when it has none. */
static const char *wanted_label(const struct metric_family *f, size_t i, const char *value)
{
    if (f->label[i] == NULL) {
        return NULL;
    }
    return value == NULL ? "" : value;
}

static uint32_t hash_labels(const char *const label[RB_METRIC_MAX_LABELS])
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < RB_METRIC_MAX_LABELS; i++) {
        for (const char *c = label[i]; c != NULL && *c != '\0'; c++) {
            h = (h ^ (unsigned char)*c) * 16777619U;
        }
        h = (h ^ 0xFFU) * 16777619U; /* a byte no text holds: ("a", "b") is not ("ab", "") */
    }
    return h;
}

static bool same_label(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* find - the cell, or NULL and in *ret_slot where it belongs. */
static struct rb_metric_cell *find(enum rb_metric m, const char *const label[], uint32_t hash,
                                   size_t *ret_slot)
{
    for (size_t at = hash & (SLOTS - 1);; at = (at + 1) & (SLOTS - 1)) {
        struct rb_metric_cell *c = atomic_load_explicit(&cells[m].slot[at], memory_order_acquire);
        if (c == NULL) {
            *ret_slot = at;
            return NULL;
        }
        if (c->hash == hash && same_label(c->label[0], label[0]) &&
            same_label(c->label[1], label[1])) {
            return c;
        }
    }
}

static void free_cell(struct rb_metric_cell *c)
{
    if (c != NULL) {
        free(c->label[0]);
        free(c->label[1]);
        free(c);
    }
}

static struct rb_metric_cell *make_cell(enum rb_metric m, const char *const label[], uint32_t hash)
{
    struct rb_metric_cell *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->family = &families[m];
    c->hash = hash;
    for (size_t i = 0; i < RB_METRIC_MAX_LABELS; i++) {
        if (label[i] != NULL) {
            c->label[i] = strdup(label[i]);
            if (c->label[i] == NULL) {
                free_cell(c);
                return NULL;
            }
        }
    }
    return c;
}

/* other_cell - where a family counts beyond its bound; make_lock is held. */
static struct rb_metric_cell *other_cell(enum rb_metric m)
{
    struct rb_metric_cell *c = &cells[m].other;
    if (!atomic_load_explicit(&cells[m].other_used, memory_order_relaxed)) {
        c->family = &families[m];
        for (size_t i = 0; i < RB_METRIC_MAX_LABELS; i++) {
            c->label[i] = families[m].label[i] == NULL ? NULL : other_label;
        }
        atomic_store_explicit(&cells[m].other_used, true, memory_order_release);
    }
    return c;
}

static struct rb_metric_cell *find_or_make(enum rb_metric m, const char *const label[],
                                           uint32_t hash)
{
    size_t slot = 0;
    struct rb_metric_cell *c = find(m, label, hash, &slot);
    if (c != NULL) {
        return c;
    }
    size_t n = atomic_load_explicit(&cells[m].n_cells, memory_order_relaxed);
    c = n < RB_METRIC_MAX_CELLS ? make_cell(m, label, hash) : NULL;
    if (c == NULL) {
        return other_cell(m);
    }
    atomic_store_explicit(&cells[m].order[n], c, memory_order_relaxed);
    atomic_store_explicit(&cells[m].n_cells, n + 1, memory_order_release);
    atomic_store_explicit(&cells[m].slot[slot], c, memory_order_release);
    return c;
}

struct rb_metric_cell *rb_metric_cell(enum rb_metric m, const char *label_1, const char *label_2)
{
    const char *const label[RB_METRIC_MAX_LABELS] = {
        wanted_label(&families[m], 0, label_1),
        wanted_label(&families[m], 1, label_2),
    };
    uint32_t hash = hash_labels(label);
    size_t slot = 0;
    struct rb_metric_cell *c = find(m, label, hash, &slot);
    if (c == NULL) {
        (void)pthread_mutex_lock(&make_lock);
        c = find_or_make(m, label, hash);
        (void)pthread_mutex_unlock(&make_lock);
    }
    return c;
}

struct rb_metric_cell *metric_nth(enum rb_metric m, size_t n)
{
    size_t n_cells = atomic_load_explicit(&cells[m].n_cells, memory_order_acquire);
    if (n < n_cells) {
        return atomic_load_explicit(&cells[m].order[n], memory_order_relaxed);
    }
    bool other = atomic_load_explicit(&cells[m].other_used, memory_order_acquire);
    return n == n_cells && other ? &cells[m].other : NULL;
}

void rb_metric_add(struct rb_metric_cell *c, int64_t n)
{
    if (c->family->type == METRIC_COUNTER) {
        atomic_fetch_add_explicit(&c->count, n, memory_order_relaxed);
    } else if (c->family->type == METRIC_GAUGE) {
        add_double(&c->bits, (double)n);
    }
}

void rb_metric_set(struct rb_metric_cell *c, double v)
{
    if (c->family->type == METRIC_COUNTER) {
        atomic_store_explicit(&c->count, (int64_t)v, memory_order_relaxed);
    } else if (c->family->type == METRIC_GAUGE) {
        atomic_store_explicit(&c->bits, bits_of(v), memory_order_relaxed);
    }
}

void rb_metric_observe(struct rb_metric_cell *c, double v)
{
    const struct metric_family *f = c->family;
    if (f->type != METRIC_HISTOGRAM) {
        return;
    }
    size_t i = 0;
    while (i < f->n_bounds && !(v <= f->bounds[i])) {
        i++;
    }
    atomic_fetch_add_explicit(&c->bucket[i], 1, memory_order_relaxed);
    add_double(&c->bits, v);
}

double rb_metric_value(struct rb_metric_cell *c)
{
    if (c->family->type == METRIC_COUNTER) {
        return (double)atomic_load_explicit(&c->count, memory_order_relaxed);
    }
    return metric_double(&c->bits);
}

void rb_count(enum rb_metric m, const char *label_1, const char *label_2)
{
    rb_metric_add(rb_metric_cell(m, label_1, label_2), 1);
}

void rb_gauge(enum rb_metric m, const char *label_1, double v)
{
    rb_metric_set(rb_metric_cell(m, label_1, NULL), v);
}

void rb_metrics_reset_for_test(void)
{
    (void)pthread_mutex_lock(&make_lock);
    for (size_t m = 0; m < RB_METRIC_COUNT; m++) {
        size_t n = atomic_load_explicit(&cells[m].n_cells, memory_order_relaxed);
        for (size_t i = 0; i < n; i++) {
            free_cell(atomic_load_explicit(&cells[m].order[i], memory_order_relaxed));
        }
        memset(&cells[m], 0, sizeof(cells[m]));
    }
    (void)pthread_mutex_unlock(&make_lock);
}
