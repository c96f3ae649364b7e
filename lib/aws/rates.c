/* rates.c - the bucket and the quota of an account and region; see rates.h. */
#include "rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rb_quota_spend(struct rb_quota *q, int64_t cost)
{
    if (q->left < cost) {
        return false;
    }
    q->left -= cost;
    return true;
}

void rb_quota_earn(struct rb_quota *q, int64_t n)
{
    q->left = q->left + n < RB_QUOTA_FULL ? q->left + n : RB_QUOTA_FULL;
}

struct rb_rates *rb_rates_new(double per_second, double burst)
{
    struct rb_rates *r = calloc(1, sizeof(*r));

    if (r != NULL) {
        r->per_second = per_second;
        r->burst = burst;
    }
    return r;
}

void rb_rates_free(struct rb_rates *r)
{
    free(r);
}

static const char *named(const char *s)
{
    return s == NULL ? "" : s;
}

struct rb_bucket *rb_rates_bucket(struct rb_rates *r, const char *account, const char *region,
                                  const char *operation, int64_t boot_ms)
{
    char key[RB_RATES_KEY_BYTES];
    unsigned at = 0, oldest = 0;

    snprintf(key, sizeof(key), "%s/%s/%s", named(account), named(region), operation);
    for (at = 0; at < r->n_buckets && strcmp(r->buckets[at].key, key) != 0; at++) {
        if (r->buckets[at].used_boot_ms < r->buckets[oldest].used_boot_ms) {
            oldest = at;
        }
    }
    if (at == r->n_buckets) {
        at = r->n_buckets < RB_RATES_MAX ? r->n_buckets++ : oldest;
        memcpy(r->buckets[at].key, key, sizeof(key));
        rb_bucket_init(&r->buckets[at].bucket, r->per_second, r->burst, boot_ms);
    }
    r->buckets[at].used_boot_ms = boot_ms;
    return &r->buckets[at].bucket;
}

struct rb_quota *rb_rates_quota(struct rb_rates *r, const char *account, const char *region,
                                int64_t boot_ms)
{
    char key[RB_RATES_KEY_BYTES];
    unsigned at = 0, oldest = 0;

    snprintf(key, sizeof(key), "%s/%s", named(account), named(region));
    for (at = 0; at < r->n_quotas && strcmp(r->quotas[at].key, key) != 0; at++) {
        if (r->quotas[at].used_boot_ms < r->quotas[oldest].used_boot_ms) {
            oldest = at;
        }
    }
    if (at == r->n_quotas) {
        at = r->n_quotas < RB_RATES_MAX ? r->n_quotas++ : oldest;
        memcpy(r->quotas[at].key, key, sizeof(key));
        r->quotas[at].quota.left = RB_QUOTA_FULL;
    }
    r->quotas[at].used_boot_ms = boot_ms;
    return &r->quotas[at].quota;
}
