/* batch.h - admissions that travel together: their calls, and what was answered to them. */
#ifndef RB_REDIS_BATCH_H
#define RB_REDIS_BATCH_H

#include "store_redis.h"

struct rbatch_call { /* one EVALSHA */
    unsigned first, n;
};
#define RBATCH_CALLS (RB_ADMIT_BATCH_MAX / RCHUNK + 3)

enum rbatch_state {
    RBATCH_FREE,
    RBATCH_SENT,
    RBATCH_FORGOTTEN /* the server lacked our scripts: to be sent again */
};

struct rbatch {
    enum rbatch_state state;
    struct ritem items[RB_ADMIT_BATCH_MAX];
    unsigned n;
    struct ritem *order[RB_ADMIT_BATCH_MAX];
    struct rbatch_call calls[RBATCH_CALLS];
    unsigned n_calls, n_answered;
    bool waits, forgotten, confirmed;
    unsigned repeats;    /* because the scripts were forgotten */
    int64_t deadline_ms; /* boot clock */
};

/* rbatch_send - append the calls of @b. Items that cannot be encoded are done at once, with their
 * code. On an error nothing was appended. */
enum rb_code rbatch_send(struct rbatch *b, const struct redis_store *s, struct rb_buf *out,
                         struct rb_buf *scratch, int64_t now_ms, struct rb_err *err);
/* rbatch_answer - the next answer to @b; *ret_last: it was the last one. */
enum rb_code rbatch_answer(struct rbatch *b, const redisReply *r, bool *ret_last,
                           struct rb_err *err);

#endif
