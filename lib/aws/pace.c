/* pace.c - the rates of a process: taken before each call, told what became of it. */
#include <retrybuild/thread.h>

#include "aws_state.h"

#define PAUSE_SLICE_MS 50 /* how soon a pause sees that it is cancelled */

bool rb_aws_pause(struct rb_aws *aws, int64_t ms, const atomic_bool *cancel)
{
    while (ms > 0) {
        int64_t slice_ms = ms < PAUSE_SLICE_MS ? ms : PAUSE_SLICE_MS;
        if (cancel != NULL && atomic_load(cancel)) {
            return false;
        }
        pthread_mutex_lock(&aws->lock);
        (void)rb_cond_wait_ms(&aws->pause, &aws->lock, slice_ms);
        pthread_mutex_unlock(&aws->lock);
        ms -= slice_ms;
    }
    return cancel == NULL || !atomic_load(cancel);
}

static struct rb_bucket *bucket_of(struct rb_aws *aws, const struct rb_aws_scope *s,
                                   int64_t boot_ms)
{
    return rb_rates_bucket(aws->rates, s->account, s->region, s->operation, boot_ms);
}

/* One token and the wait for it; *ret_wait_ms is what it would take when there is none in time. */
static bool take(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t max_wait_ms,
                 int64_t *ret_wait_ms)
{
    int64_t boot_ms = rb_boot_ms(aws->clock);

    pthread_mutex_lock(&aws->lock);
    struct rb_bucket *b = bucket_of(aws, s, boot_ms);
    int64_t wait_ms = rb_bucket_take(b, boot_ms, max_wait_ms);
    *ret_wait_ms = wait_ms >= 0 ? wait_ms : rb_bucket_wait_ms(b, boot_ms);
    pthread_mutex_unlock(&aws->lock);
    return wait_ms >= 0;
}

/* AWS asked for a pause while we waited. */
static bool held(struct rb_aws *aws, const struct rb_aws_scope *s)
{
    int64_t boot_ms = rb_boot_ms(aws->clock);

    pthread_mutex_lock(&aws->lock);
    bool is = bucket_of(aws, s, boot_ms)->hold_boot_ms > boot_ms;
    pthread_mutex_unlock(&aws->lock);
    return is;
}

enum rb_code rb_aws_pass(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t max_wait_ms,
                         const atomic_bool *cancel, int64_t *ret_wait_ms, struct rb_err *err)
{
    int64_t until_boot_ms = rb_boot_ms(aws->clock) + max_wait_ms;
    int64_t left_ms = max_wait_ms;

    for (;;) {
        int64_t wait_ms = 0;
        if (!take(aws, s, left_ms, &wait_ms)) {
            *ret_wait_ms = wait_ms;
            return rb_err_set(err, RB_E_THROTTLED,
                              "too many calls of %s are waiting for their turn", s->operation);
        }
        if (!rb_aws_pause(aws, wait_ms, cancel)) {
            return rb_err_set(err, RB_E_CLOSED, "stopping");
        }
        if (wait_ms == 0 || !held(aws, s)) {
            return RB_OK;
        }
        left_ms = until_boot_ms - rb_boot_ms(aws->clock);
    }
}

void rb_aws_told(struct rb_aws *aws, const struct rb_aws_scope *s, enum rb_code rc,
                 int64_t retry_after_ms)
{
    int64_t boot_ms = rb_boot_ms(aws->clock);

    pthread_mutex_lock(&aws->lock);
    struct rb_bucket *b = bucket_of(aws, s, boot_ms);
    if (rc == RB_E_THROTTLED) {
        rb_bucket_throttled(b, boot_ms, retry_after_ms);
    } else if (rc == RB_OK) {
        rb_bucket_accepted(b, boot_ms);
        rb_quota_earn(rb_rates_quota(aws->rates, s->account, s->region, boot_ms), 1);
    } else if (rc == RB_E_AMBIGUOUS && retry_after_ms > 0) {
        rb_bucket_hold(b, boot_ms, retry_after_ms); /* a 503 that says when to come again */
    }
    pthread_mutex_unlock(&aws->lock);
}

bool rb_aws_may_repeat(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t cost)
{
    pthread_mutex_lock(&aws->lock);
    bool may = rb_quota_spend(
        rb_rates_quota(aws->rates, s->account, s->region, rb_boot_ms(aws->clock)), cost);
    pthread_mutex_unlock(&aws->lock);
    return may;
}

void rb_aws_repeated_well(struct rb_aws *aws, const struct rb_aws_scope *s, int64_t cost)
{
    pthread_mutex_lock(&aws->lock);
    rb_quota_earn(rb_rates_quota(aws->rates, s->account, s->region, rb_boot_ms(aws->clock)), cost);
    pthread_mutex_unlock(&aws->lock);
}
