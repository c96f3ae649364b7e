/* bucket.c - a token bucket that follows what AWS says; see rates.h. */
#include <math.h>

#include "rates.h"

void rb_bucket_init(struct rb_bucket *b, double per_second, double burst, int64_t boot_ms)
{
    *b = (struct rb_bucket){.ceiling = per_second,
                            .burst = burst < 1 ? 1 : burst,
                            .rate = per_second,
                            .threshold = per_second,
                            .tokens = burst < 1 ? 1 : burst,
                            .filled_boot_ms = boot_ms,
                            .cut_boot_ms = INT64_MIN,
                            .hold_boot_ms = INT64_MIN,
                            .accepted = true};
}

/* Doubling every second up to the threshold, then slowly; in proportion, so that a rate configured
 * far too high does no harm. */
static void grow(struct rb_bucket *b, double seconds)
{
    if (b->rate < b->threshold) {
        double needed = log2(b->threshold / b->rate);
        if (seconds < needed) {
            b->rate *= exp2(seconds);
            return;
        }
        b->rate = b->threshold;
        seconds -= needed;
    }
    b->rate = fmin(b->ceiling, b->rate * exp(seconds * RB_BUCKET_GROWTH));
}

static void fill(struct rb_bucket *b, int64_t boot_ms)
{
    int64_t from_ms = b->filled_boot_ms < b->hold_boot_ms ? b->hold_boot_ms : b->filled_boot_ms;

    if (boot_ms <= from_ms) {
        return;
    }
    double seconds = (double)(boot_ms - from_ms) / 1000.0;
    double before = b->rate;
    grow(b, seconds);
    double most = fmax(1, b->burst * b->rate / b->ceiling);
    b->tokens = fmin(most, b->tokens + seconds * (before + b->rate) / 2);
    b->filled_boot_ms = boot_ms;
}

static double wait_ms(struct rb_bucket *b, int64_t boot_ms)
{
    double held_ms = b->hold_boot_ms > boot_ms ? (double)(b->hold_boot_ms - boot_ms) : 0;

    if (b->ceiling <= 0) {
        return held_ms;
    }
    fill(b, boot_ms);
    return held_ms + (b->tokens >= 1 ? 0 : (1 - b->tokens) * 1000.0 / b->rate);
}

int64_t rb_bucket_wait_ms(struct rb_bucket *b, int64_t boot_ms)
{
    return (int64_t)ceil(wait_ms(b, boot_ms));
}

int64_t rb_bucket_take(struct rb_bucket *b, int64_t boot_ms, int64_t max_wait_ms)
{
    double ms = wait_ms(b, boot_ms);

    if (ms > (double)max_wait_ms) {
        return -1;
    }
    b->tokens -= b->ceiling > 0 ? 1 : 0;
    return (int64_t)ceil(ms);
}

void rb_bucket_accepted(struct rb_bucket *b)
{
    b->accepted = true;
}

void rb_bucket_throttled(struct rb_bucket *b, int64_t boot_ms, int64_t retry_after_ms)
{
    if (retry_after_ms > 0) {
        rb_bucket_hold(b, boot_ms, retry_after_ms);
    }
    if (b->ceiling <= 0 ||
        (b->cut_boot_ms != INT64_MIN && boot_ms - b->cut_boot_ms < RB_BUCKET_REACTION_MS)) {
        return;
    }
    fill(b, boot_ms);
    double low = b->ceiling / RB_BUCKET_LOW_PART;
    b->threshold = fmax(low, b->rate * RB_BUCKET_CUT);
    b->rate = b->accepted ? b->threshold : low;
    b->tokens = fmin(b->tokens, 0); /* what was saved up was too much */
    b->cut_boot_ms = boot_ms;
    b->accepted = false;
}

void rb_bucket_hold(struct rb_bucket *b, int64_t boot_ms, int64_t ms)
{
    int64_t until_ms = boot_ms + (ms < RB_BUCKET_HOLD_MAX_MS ? ms : RB_BUCKET_HOLD_MAX_MS);

    if (b->ceiling > 0) {
        fill(b, boot_ms);
    }
    if (until_ms > b->hold_boot_ms) {
        b->hold_boot_ms = until_ms;
    }
}
