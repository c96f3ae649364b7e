/* list.h - what the parts of a list share: entries that compare as (creation time, id). */
#ifndef RB_REDIS_LIST_H
#define RB_REDIS_LIST_H

#include "store_redis.h"

#define RLIST_WHOLE 4096
#define RLIST_KEY_BYTES (6 + RKEY_RAW)

struct rlist_entry {
    uint8_t key[RLIST_KEY_BYTES];
};

void rlist_make_entry(struct rlist_entry *e, int64_t created_ms, const void *id);
int rlist_newest_first(const void *a, const void *b); /* for qsort */

/* rlist_of_tasks - entries of the scheduled retries that have a main task, newest first, each once;
 * room for RLIST_WHOLE. */
enum rb_code rlist_of_tasks(struct redis_session *ses, struct rlist_entry *entries, size_t *ret_n,
                            struct rb_err *err);

#endif
