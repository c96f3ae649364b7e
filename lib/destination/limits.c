/* Rate limits as receivers tell them in headers. */
#include <math.h>
#include <stdlib.h>

#include <retrybuild/cleanup.h>

#include "poster.h"

#define ARENA_MAX_BYTES 4096
/* Seconds beyond this are a date, not a span. */
#define SPAN_MOST_S 1e9
#define RESET_MARGIN_MS 1000

/* Digits, perhaps with a fraction; -1 = neither. */
static double seconds(const char *text)
{
    char *end = NULL;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return -1;
    }
    double s = strtod(text, &end);
    return *end == '\0' && isfinite(s) && s >= 0 ? s : -1;
}

static int64_t until_reset_ms(double s, int64_t now_ms)
{
    if (s < 0) {
        return -1;
    }
    if (s < SPAN_MOST_S) {
        return (int64_t)(s * 1000);
    }
    if (s > 1e12) {
        return -1;
    }
    int64_t ms = (int64_t)(s * 1000) + RESET_MARGIN_MS - now_ms;
    return ms > 0 ? ms : 0;
}

static int64_t spent(const struct rb_http_answer *a, const char *remaining, const char *reset,
                     const char *reset_after, int64_t now_ms, struct rb_arena *arena)
{
    const char *left = rb_http_answer_header(a, remaining, arena);

    if (left == NULL || seconds(left) != 0) {
        return -1;
    }
    const char *after = reset_after == NULL ? NULL : rb_http_answer_header(a, reset_after, arena);
    if (after != NULL) {
        return until_reset_ms(seconds(after), now_ms);
    }
    return until_reset_ms(seconds(rb_http_answer_header(a, reset, arena)), now_ms);
}

int64_t rb_limits_pause_ms(const struct rb_http_answer *a, bool refused, int64_t now_ms)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena arena;
    int64_t ms = refused ? rb_http_retry_after_ms(a, now_ms) : -1;

    rb_arena_init(&arena, ARENA_MAX_BYTES);
    if (ms < 0) {
        ms = spent(a, "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-reset-after",
                   now_ms, &arena);
    }
    if (ms < 0) {
        ms = spent(a, "ratelimit-remaining", "ratelimit-reset", NULL, now_ms, &arena);
    }
    return ms;
}
