/* series.c - counts in a sliding window, a few steps of it kept. */
#include <string.h>

#include "ledger.h"

#define STEPS_A_WINDOW 60

static void drop(struct rb_series *s, unsigned n)
{
    s->n -= n;
    memmove(s->steps, s->steps + n, s->n * sizeof(s->steps[0]));
}

static int64_t width(int64_t window_ms)
{
    return window_ms / STEPS_A_WINDOW > 0 ? window_ms / STEPS_A_WINDOW : 1;
}

/* A step counts until the last of it is out of the window, so that a limit holds in every window.
 */
static bool counts(int64_t at_ms, int64_t window_ms, int64_t now_ms)
{
    return at_ms + width(window_ms) > now_ms - window_ms;
}

void rb_series_add(struct rb_series *s, int64_t window_ms, int64_t now_ms, int64_t a, int64_t b)
{
    int64_t width_ms = width(window_ms);
    int64_t at_ms = now_ms - now_ms % width_ms;
    unsigned old = 0;
    while (old < s->n && !counts(s->steps[old].at_ms, window_ms, now_ms)) {
        old++;
    }
    drop(s, old);
    if (s->n > 0 && s->steps[s->n - 1].at_ms >= at_ms) { /* also when a clock went back a little */
        s->steps[s->n - 1].a += a;
        s->steps[s->n - 1].b += b;
        return;
    }
    if (s->n == RB_SERIES_STEPS) { /* the window became longer meanwhile: the oldest two are one */
        s->steps[1].a += s->steps[0].a;
        s->steps[1].b += s->steps[0].b;
        drop(s, 1);
    }
    s->steps[s->n].at_ms = at_ms;
    s->steps[s->n].a = a;
    s->steps[s->n].b = b;
    s->n++;
}

void rb_series_sum(const struct rb_series *s, int64_t window_ms, int64_t now_ms, int64_t *ret_a,
                   int64_t *ret_b)
{
    int64_t a = 0;
    int64_t b = 0;
    for (unsigned i = 0; i < s->n; i++) {
        if (counts(s->steps[i].at_ms, window_ms, now_ms)) {
            a += s->steps[i].a;
            b += s->steps[i].b;
        }
    }
    *ret_a = a;
    if (ret_b != NULL) {
        *ret_b = b;
    }
}
