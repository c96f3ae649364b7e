/* aws_state.h - what all calls of a process share. */
#ifndef RB_AWS_STATE_H
#define RB_AWS_STATE_H

#include "internal.h"

/* One set of credentials that is kept fresh. All members but account: guarded by the lock. */
struct rb_slot {
    const struct rb_account_setting *account; /* NULL: our own; set before the first use */
    const char *session;                      /* its name; NULL = ours. Set before the first use */
    struct rb_credentials cached;             /* access_key NULL = none */
    bool stale;                               /* AWS refused the cached ones */
    bool refreshing;                          /* by one thread, which does not hold the lock */
    uint64_t rounds;                          /* refreshes that ended */
    int64_t pause_until_ms;                   /* no early refresh before; after a failed one */
    enum rb_code last_rc;                     /* how the last refresh ended */
    struct rb_err last_err;
};

/* A slot of one retry's session. All members but slot: guarded by the lock; slot.session is name.
 */
#define RB_SESSION_NAME_BYTES 65
struct rb_session_slot {
    struct rb_slot slot;
    char name[RB_SESSION_NAME_BYTES]; /* "" = free */
    unsigned users;                   /* threads that are in it now */
    uint64_t used;                    /* the order of uses */
};

struct rb_aws {
    const struct rb_clock *clock;
    struct rb_arena kept;     /* owns the texts that follow; none changes after start */
    const char *endpoint_url; /* NULL = by the rules */
    const char *region, *profile, *proxy, *ca_file; /* NULL = none */
    bool imds_v1;
    int64_t provider_pause_ms; /* between the tries of a provider */
    _Atomic int64_t offset_ms;
    atomic_bool offset_known;

    pthread_mutex_t lock; /* guards what follows; not held over a provider's I/O */
    pthread_cond_t pause; /* never signalled: a wait with a deadline */
    pthread_cond_t refreshed;
    struct rb_rates *rates;
    struct rb_slot own;
    struct rb_slot *accounts; /* the array itself does not change */
    unsigned n_accounts;
    struct rb_session_slot *sessions; /* RB_SESSIONS of them, made at the first use */
    uint64_t session_uses;
    char own_account[RB_ACCOUNT_BYTES]; /* "" = not known yet */
};

enum rb_code rb_slot_get(struct rb_aws *aws, struct rb_slot *s, struct rb_credentials *ret_c,
                         struct rb_err *err);
void rb_slot_release(struct rb_slot *s);
/* sessions.c: as many as threads may submit at once */
#define RB_SESSIONS 256
void rb_sessions_release(struct rb_aws *aws);
void rb_sessions_refused_locked(struct rb_aws *aws);
/* rb_account_find - the row of @account, NULL = none; RB_E_REFUSED when not in that region. */
enum rb_code rb_account_find(struct rb_aws *aws, const char *account, const char *region,
                             struct rb_slot **ret_s, struct rb_err *err);
/* rb_account_fetch - a new session of the slot's account. */
enum rb_code rb_account_fetch(struct rb_aws *aws, const struct rb_slot *s,
                              struct rb_credentials *ret_c, struct rb_err *err);

#endif
