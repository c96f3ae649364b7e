/* aws_state.h - what all calls of a process share. */
#ifndef RB_AWS_STATE_H
#define RB_AWS_STATE_H

#include "internal.h"

struct rb_aws {
    const struct rb_clock *clock;
    char *endpoint_url; /* NULL = by the rules */
    _Atomic int64_t offset_ms;
    atomic_bool offset_known;

    pthread_mutex_t lock; /* guards what follows; not held over a provider's I/O */
    pthread_cond_t pause; /* never signalled: a wait with a deadline */
    struct rb_rates *rates;
    struct rb_credentials cached; /* access_key NULL = none */
    bool stale;                   /* AWS refused the cached ones */
};

#endif
