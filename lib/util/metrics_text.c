/* metrics_text.c - the Prometheus text exposition, format 0.0.4. */
#include <math.h>

#include <retrybuild/str.h>

#include "metrics.h"

static const char *const type_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",
};

static void add_number(struct rb_buf *out, double v)
{
    if (isnan(v)) {
        rb_buf_adds(out, "NaN");
    } else if (isinf(v)) {
        rb_buf_adds(out, v > 0 ? "+Inf" : "-Inf");
    } else {
        rb_buf_addf(out, "%.15g", v);
    }
}

/* add_label_value - escaped as the format wants it; bytes that are not UTF-8 become U+FFFD, for one
 * of them makes the scraper refuse the whole page. */
static void add_label_value(struct rb_buf *out, const char *s)
{
    size_t left = strlen(s);
    while (left > 0) {
        size_t n = rb_utf8_seq(s, left);
        if (n == 0) {
            rb_buf_adds(out, "\xEF\xBF\xBD");
            n = 1;
        } else if (*s == '\n') {
            rb_buf_adds(out, "\\n");
        } else if (*s == '"' || *s == '\\') {
            rb_buf_addc(out, '\\');
            rb_buf_addc(out, *s);
        } else {
            rb_buf_add(out, s, n);
        }
        s += n;
        left -= n;
    }
}

/* add_labels - {a="x",b="y"}, with le="…" last when @le is not NULL; nothing when there is none. */
static void add_labels(struct rb_buf *out, const struct rb_metric_cell *c, const double *le)
{
    char before = '{';
    for (size_t i = 0; i < RB_METRIC_MAX_LABELS; i++) {
        if (c->family->label[i] == NULL) {
            continue;
        }
        rb_buf_addf(out, "%c%s=\"", before, c->family->label[i]);
        add_label_value(out, c->label[i]);
        rb_buf_addc(out, '"');
        before = ',';
    }
    if (le != NULL) {
        rb_buf_addf(out, "%cle=\"", before);
        add_number(out, *le);
        rb_buf_addc(out, '"');
        before = ',';
    }
    if (before == ',') {
        rb_buf_addc(out, '}');
    }
}

static void add_histogram(struct rb_buf *out, const struct rb_metric_cell *c)
{
    const struct metric_family *f = c->family;
    const double infinite = (double)INFINITY;
    int64_t total = 0;
    for (size_t i = 0; i <= f->n_bounds; i++) {
        total += atomic_load_explicit(&c->bucket[i], memory_order_relaxed);
        rb_buf_addf(out, "%s_bucket", f->name);
        add_labels(out, c, i < f->n_bounds ? &f->bounds[i] : &infinite);
        rb_buf_addf(out, " %lld\n", (long long)total);
    }
    rb_buf_addf(out, "%s_sum", f->name);
    add_labels(out, c, NULL);
    rb_buf_addc(out, ' ');
    add_number(out, metric_double(&c->bits));
    /* the count is the sum of the buckets just read, so that the page agrees with itself */
    rb_buf_addf(out, "\n%s_count", f->name);
    add_labels(out, c, NULL);
    rb_buf_addf(out, " %lld\n", (long long)total);
}

static void add_cell(struct rb_buf *out, struct rb_metric_cell *c)
{
    if (c->family->type == METRIC_HISTOGRAM) {
        add_histogram(out, c);
        return;
    }
    rb_buf_adds(out, c->family->name);
    add_labels(out, c, NULL);
    rb_buf_addc(out, ' ');
    add_number(out, rb_metric_value(c));
    rb_buf_addc(out, '\n');
}

void rb_metrics_render(struct rb_buf *out)
{
    for (int m = 0; m < RB_METRIC_COUNT; m++) {
        const struct metric_family *f = metric_family((enum rb_metric)m);
        if (f->type == METRIC_HISTOGRAM && f->label[0] == NULL) {
            (void)rb_metric_cell((enum rb_metric)m, NULL, NULL); /* shown from the start, with 0 */
        }
        rb_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
                    type_names[f->type]);
        struct rb_metric_cell *c = NULL;
        for (size_t i = 0; (c = metric_nth((enum rb_metric)m, i)) != NULL; i++) {
            add_cell(out, c);
        }
    }
}
