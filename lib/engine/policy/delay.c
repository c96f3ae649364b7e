/* delay.c - when a retry is due: full jitter, a fixed time, or a list. */
#include <retrybuild/policy.h>

/* ceiling - min(cap, base * 2^(attempt-1)) without overflow; a cap of 0 caps nothing. */
static int64_t ceiling_ms(const struct rb_delay *d, int64_t attempt)
{
    int64_t cap = d->cap_ms > 0 ? d->cap_ms : INT64_MAX;
    int64_t ms = d->base_ms > 0 ? d->base_ms : 0;
    for (int64_t i = 1; i < attempt && ms < cap && ms > 0; i++) {
        ms = ms > INT64_MAX / 2 ? INT64_MAX : ms * 2;
    }
    return ms < cap ? ms : cap;
}

int64_t rb_policy_delay_ms(const struct rb_delay *d, int64_t attempt, uint64_t random64)
{
    int64_t n_list = d->n_list < RB_DELAY_LIST_MAX ? d->n_list : RB_DELAY_LIST_MAX;
    int64_t at = attempt < 1 ? 0 : attempt - 1;
    switch (d->kind) {
    case RB_DELAY_JITTER: /* the bias of the remainder is below one in a thousand million */
        return (int64_t)(random64 % ((uint64_t)ceiling_ms(d, attempt) + 1U));
    case RB_DELAY_FIXED:
        return d->list_ms[0];
    case RB_DELAY_LIST:
        if (n_list == 0) {
            return 0;
        }
        return d->list_ms[at < n_list ? at : n_list - 1];
    }
    return 0;
}
