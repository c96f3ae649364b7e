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
                            .cut_boot_ms = boot_ms - RB_BUCKET_REACTION_MS,
                            .counted_boot_ms = boot_ms,
                            .hold_boot_ms = boot_ms,
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

static double throttled_part(const struct rb_bucket *b)
{
    unsigned n = b->ok + b->no;
    return n == 0 ? 0 : (double)b->no / n;
}

static void begin_counting(struct rb_bucket *b, int64_t boot_ms)
{
    b->ok = b->no = 0;
    b->counted_boot_ms = boot_ms;
}

static void cut(struct rb_bucket *b, int64_t boot_ms)
{
    double part = throttled_part(b);

    fill(b, boot_ms);
    double low = b->ceiling / RB_BUCKET_LOW_PART;
    bool judged = b->accepted && part <= RB_BUCKET_FLOOR_MAX;
    b->uncut = judged ? b->rate : 0;
    b->part_uncut = b->no > 0 ? (double)(b->no - 1) / (b->ok + b->no) : 0; /* but for this one */
    b->floor = judged ? b->floor : 0;
    b->threshold = fmax(low, b->rate * RB_BUCKET_CUT);
    b->rate = b->accepted ? b->threshold : low;
    b->tokens = fmin(b->tokens, 0); /* what was saved up was too much */
    b->cut_boot_ms = boot_ms;
    b->accepted = false;
    begin_counting(b, boot_ms + RB_BUCKET_REACTION_MS);
}

/* Did the last cut help? A limit of AWS is gone below it: at the cut rate fewer are throttled. If
 * as many are as before, it has nothing to do with our rate, and the cut is taken back. */
static void judge_cut(struct rb_bucket *b, double part, int64_t boot_ms)
{
    if (part > b->part_uncut * RB_BUCKET_NO_HELP && part <= RB_BUCKET_FLOOR_MAX) {
        fill(b, boot_ms);
        b->threshold = fmax(b->threshold, b->uncut);
        b->rate = fmax(b->rate, b->uncut);
    }
    b->floor = part <= RB_BUCKET_FLOOR_MAX ? part : 0;
    b->uncut = 0;
}

/* Enough answers at the present rate to say something. */
static void judge_answers(struct rb_bucket *b, int64_t boot_ms)
{
    double part = throttled_part(b);

    if (b->uncut > 0) {
        judge_cut(b, part, boot_ms);
    } else if (part > b->floor * RB_BUCKET_EXCESS + RB_BUCKET_EXCESS_MIN) {
        cut(b, boot_ms);
        return;
    } else if (part < b->floor) {
        b->floor -= (b->floor - part) / RB_BUCKET_FLOOR_SINKS;
        b->floor = b->floor < RB_BUCKET_FLOOR_MIN ? 0 : b->floor;
    }
    begin_counting(b, boot_ms);
}

/* Answers to calls made before a cut say nothing about the rate after it. */
static bool counts(const struct rb_bucket *b, int64_t boot_ms)
{
    return b->ceiling > 0 && boot_ms - b->cut_boot_ms >= RB_BUCKET_REACTION_MS;
}

static void judge_if_enough(struct rb_bucket *b, int64_t boot_ms)
{
    int64_t ms = boot_ms - b->counted_boot_ms;
    int64_t enough_ms =
        b->uncut > 0 && b->no < RB_BUCKET_SAMPLE_NO ? RB_BUCKET_JUDGE_MS : RB_BUCKET_REACTION_MS;

    if (b->ok + b->no >= RB_BUCKET_SAMPLE && ms >= enough_ms) {
        judge_answers(b, boot_ms);
    }
}

void rb_bucket_accepted(struct rb_bucket *b, int64_t boot_ms)
{
    b->accepted = true;
    if (counts(b, boot_ms)) {
        b->ok++;
        judge_if_enough(b, boot_ms);
    }
}

void rb_bucket_throttled(struct rb_bucket *b, int64_t boot_ms, int64_t retry_after_ms)
{
    if (retry_after_ms > 0) {
        rb_bucket_hold(b, boot_ms, retry_after_ms);
    }
    if (!counts(b, boot_ms)) {
        return;
    }
    b->no++;
    bool expected = b->floor > 0 || b->uncut > 0;
    bool most = b->ok + b->no >= RB_BUCKET_SAMPLE / 2 && b->no > b->ok;
    if (!b->accepted || !expected || most) {
        cut(b, boot_ms);
    } else {
        judge_if_enough(b, boot_ms);
    }
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
