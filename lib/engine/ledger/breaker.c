/* breaker.c - retries of a project or account that fail again and again stop for a while; then one
 * goes to see. */
#include <stdio.h>
#include <string.h>

#include "ledger.h"

#define LOOK_MIN_MS 250
#define LOOK_MAX_MS 10000

int64_t rb_breaker_minimum(const struct rb_settings *s, bool of_account)
{
    return s->breaker.minimum * (of_account ? 2 : 1);
}

enum rb_breaker_state rb_breaker_state(const struct rb_settings *s, const struct rb_scope_sheet *x,
                                       int64_t now_ms)
{
    if (x->opened_ms == 0 || s->breaker.minimum <= 0) {
        return RB_BREAKER_CLOSED;
    }
    return now_ms < x->opened_ms + s->breaker.open_ms ? RB_BREAKER_OPEN : RB_BREAKER_HALF_OPEN;
}

const char *rb_breaker_state_name(enum rb_breaker_state st)
{
    static const char *const names[] = {"closed", "open", "half-open"};
    return names[st];
}

/* A probe of which nothing was heard for a whole window does not block for ever. */
static bool probe_is_out(const struct rb_settings *s, const struct rb_probe *p, int64_t now_ms)
{
    return p->id[0] != '\0' && now_ms < p->at_ms + s->breaker.window_ms;
}

struct rb_wait rb_breaker_judge(const struct rb_settings *s, const struct rb_scope_sheet *x,
                                const char *retry_id, int64_t now_ms)
{
    int64_t look_ms = s->breaker.open_ms / 4;
    look_ms = look_ms < LOOK_MIN_MS ? LOOK_MIN_MS : look_ms;
    look_ms = look_ms > LOOK_MAX_MS ? LOOK_MAX_MS : look_ms;
    switch (rb_breaker_state(s, x, now_ms)) {
    case RB_BREAKER_OPEN:
        return (struct rb_wait){.waits = true, .ms = x->opened_ms + s->breaker.open_ms - now_ms};
    case RB_BREAKER_HALF_OPEN:
        return (struct rb_wait){.waits = probe_is_out(s, &x->probe, now_ms) &&
                                         strcmp(x->probe.id, retry_id) != 0,
                                .ms = look_ms};
    case RB_BREAKER_CLOSED:
        break;
    }
    return (struct rb_wait){.waits = false};
}

bool rb_breaker_pass(const struct rb_settings *s, struct rb_scope_sheet *x, const char *retry_id,
                     int64_t now_ms)
{
    if (rb_breaker_state(s, x, now_ms) != RB_BREAKER_HALF_OPEN ||
        probe_is_out(s, &x->probe, now_ms)) {
        return false;
    }
    (void)snprintf(x->probe.id, sizeof(x->probe.id), "%s", retry_id);
    x->probe.at_ms = now_ms;
    return true;
}

static bool should_open(const struct rb_settings *s, const struct rb_scope_sheet *x,
                        int64_t minimum, int64_t now_ms)
{
    int64_t failed = 0;
    int64_t recovered = 0;
    rb_series_sum(&x->outcomes, s->breaker.window_ms, now_ms, &failed, &recovered);
    return minimum > 0 && failed + recovered >= minimum &&
           (double)failed >= s->breaker.failed * (double)(failed + recovered);
}

bool rb_breaker_outcome(const struct rb_settings *s, struct rb_scope_sheet *x, int64_t minimum,
                        const char *retry_id, enum rb_ending outcome, int64_t now_ms)
{
    bool probe = strcmp(x->probe.id, retry_id) == 0;
    enum rb_breaker_state state = rb_breaker_state(s, x, now_ms);
    if (probe) {
        x->probe = (struct rb_probe){.id = ""};
    }
    if (outcome == RB_ENDING_NONE) {
        return false;
    }
    rb_series_add(&x->outcomes, s->breaker.window_ms, now_ms, outcome == RB_ENDING_FAILED ? 1 : 0,
                  outcome == RB_ENDING_RECOVERED ? 1 : 0);
    if (outcome == RB_ENDING_RECOVERED && state == RB_BREAKER_HALF_OPEN) {
        x->opened_ms = 0;
        x->outcomes.n = 0; /* what was before counts no more */
        return false;
    }
    if (outcome == RB_ENDING_FAILED && state == RB_BREAKER_HALF_OPEN) {
        x->opened_ms = now_ms;
        return true;
    }
    if (state == RB_BREAKER_CLOSED && should_open(s, x, minimum, now_ms)) {
        x->opened_ms = now_ms;
        return true;
    }
    return false;
}
