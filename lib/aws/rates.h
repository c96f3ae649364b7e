/* rates.h - how fast AWS may be called: pure, time is passed in.
 *
 * A bucket for each account, region and operation: AWS limits each by itself. It follows what AWS
 * says: a throttle cuts the rate, which then grows back to the configured one; a throttle that
 * follows a cut with no call accepted in between starts again from a low rate, which doubles every
 * second up to where the trouble began.
 *
 * Not every throttle is about our rate: the account's other callers, or a service in trouble, can
 * have a part of the calls throttled however rarely we call. Cutting for those would end at the
 * lowest rate and help nobody. So each cut is judged by the answers at the rate after it: where as
 * large a part is throttled as before, the cut is taken back, and that part is the floor; from then
 * on only what lies clearly above the floor cuts. The floor sinks as fewer are throttled.
 *
 * A quota for each account and region bounds how much is repeated: a broken AWS is not hammered.
 *
 * Times are milliseconds of the boot clock. Threads: one at a time (rb_aws locks).
 */
#ifndef RB_AWS_RATES_H
#define RB_AWS_RATES_H

#include <stdbool.h>
#include <stdint.h>

/* ---- token bucket ---- */

#define RB_BUCKET_CUT 0.7           /* of the rate, on a throttle */
#define RB_BUCKET_GROWTH 0.05       /* of the rate, a second: a cut is made good in about seven */
#define RB_BUCKET_LOW_PART 16.0     /* of the configured rate: where a slow start begins */
#define RB_BUCKET_REACTION_MS 1000  /* answers to calls made before a cut say nothing new */
#define RB_BUCKET_HOLD_MAX_MS 60000 /* longest pause of an operation that AWS may ask for */
#define RB_BUCKET_SAMPLE 16         /* answers that say something, in no less than the time above */
#define RB_BUCKET_SAMPLE_NO 4       /* throttled ones among them end the judgement of a cut early */
#define RB_BUCKET_JUDGE_MS 5000     /* else it takes this long, for few in a hundred are rare */
#define RB_BUCKET_NO_HELP 0.6       /* of the part throttled before the cut: it did not help */
#define RB_BUCKET_FLOOR_MAX 0.35    /* a larger part is never taken for independent of our rate */
#define RB_BUCKET_FLOOR_MIN 0.002   /* a smaller floor is none */
#define RB_BUCKET_FLOOR_SINKS 8     /* a part of the way, with each sample in which fewer were */
#define RB_BUCKET_EXCESS 1.5        /* times the floor, and this much more, cuts again: */
#define RB_BUCKET_EXCESS_MIN 0.05

struct rb_bucket {
    double ceiling; /* tokens a second as configured; <= 0: no limit */
    double burst;
    double rate;      /* at present; at most the ceiling */
    double threshold; /* a slow start ends here */
    double tokens;    /* negative: reserved by those who wait */
    int64_t filled_boot_ms;
    int64_t cut_boot_ms;      /* of the last cut; at first so long ago that it does not count */
    int64_t hold_boot_ms;     /* nothing before this */
    bool accepted;            /* a call was accepted since the last cut */
    unsigned ok, no;          /* answers at the present rate: accepted, throttled */
    int64_t counted_boot_ms;  /* since then */
    double floor;             /* part that is throttled whatever the rate; 0: none is known */
    double uncut, part_uncut; /* the rate before the cut that is being judged (0: none is), and the
                               * part that was throttled at it */
};
void rb_bucket_init(struct rb_bucket *b, double per_second, double burst, int64_t boot_ms);
/* rb_bucket_take - reserve one token, so that takers are served in their order and wait once each;
 * returns how long to wait for it, -1 when longer than @max_wait_ms (then nothing is reserved). */
int64_t rb_bucket_take(struct rb_bucket *b, int64_t boot_ms, int64_t max_wait_ms);
/* rb_bucket_wait_ms - how long somebody who came now would wait. */
int64_t rb_bucket_wait_ms(struct rb_bucket *b, int64_t boot_ms);
void rb_bucket_accepted(struct rb_bucket *b, int64_t boot_ms);
/* rb_bucket_throttled - @retry_after_ms: what AWS asked for, < 0 = nothing. */
void rb_bucket_throttled(struct rb_bucket *b, int64_t boot_ms, int64_t retry_after_ms);
/* rb_bucket_hold - nothing for this long, at most RB_BUCKET_HOLD_MAX_MS. */
void rb_bucket_hold(struct rb_bucket *b, int64_t boot_ms, int64_t ms);

/* ---- quota of repetitions ---- */

#define RB_QUOTA_FULL 500
#define RB_QUOTA_COST 5         /* of repeating what AWS answered */
#define RB_QUOTA_COST_SILENT 10 /* of repeating what was not answered */

struct rb_quota {
    int64_t left;
};
/* rb_quota_spend - false: spent, do not repeat now. */
bool rb_quota_spend(struct rb_quota *q, int64_t cost);
/* rb_quota_earn - a call was answered well: 1, or what its repetition had cost. */
void rb_quota_earn(struct rb_quota *q, int64_t n);

/* ---- one of each for whom it belongs to ---- */

#define RB_RATES_MAX 256 /* buckets kept; the one unused longest makes room */
#define RB_RATES_KEY_BYTES 128

struct rb_rates {
    double per_second, burst;
    unsigned n_buckets, n_quotas;
    struct {
        char key[RB_RATES_KEY_BYTES];
        int64_t used_boot_ms;
        struct rb_bucket bucket;
    } buckets[RB_RATES_MAX];
    struct {
        char key[RB_RATES_KEY_BYTES];
        int64_t used_boot_ms;
        struct rb_quota quota;
    } quotas[RB_RATES_MAX];
};
struct rb_rates *rb_rates_new(double per_second, double burst); /* NULL without memory */
void rb_rates_free(struct rb_rates *r);
/* rb_rates_bucket, rb_rates_quota - never NULL; valid until the next call of either. @account NULL:
 * the account of the process's own credentials. */
struct rb_bucket *rb_rates_bucket(struct rb_rates *r, const char *account, const char *region,
                                  const char *operation, int64_t boot_ms);
struct rb_quota *rb_rates_quota(struct rb_rates *r, const char *account, const char *region,
                                int64_t boot_ms);

#endif
