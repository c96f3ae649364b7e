/* admit.c - the blocking way in: all chunks of a batch in one pipeline, then the second halves. */
#include <stdlib.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

static enum rb_code send_stage(struct redis_session *ses, struct ritem **items, unsigned n,
                               int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    unsigned calls = 0;
    rses_next(ses);
    for (unsigned at = 0; at < n && rc == RB_OK; at += RCHUNK, calls++) {
        unsigned size = n - at < RCHUNK ? n - at : RCHUNK;
        rc = ritems_send(ses->store, &ses->cmd, &ses->scratch, items + at, size, now_ms, err);
    }
    if (rc == RB_OK) {
        rc = rses_run(ses, calls, true, err);
    }
    for (unsigned at = 0, i = 0; at < n && rc == RB_OK; at += RCHUNK, i++) {
        unsigned size = n - at < RCHUNK ? n - at : RCHUNK;
        rc = ritems_receive(ses->replies[i], items + at, size, err);
    }
    return rc;
}

static unsigned pick(struct ritem *items, unsigned n, enum ritem_stage stage, struct ritem **ret_of)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        if (items[i].stage == stage) {
            ret_of[found++] = &items[i];
        }
    }
    return found;
}

static enum rb_code run_stages(struct redis_session *ses, struct ritem *items, struct ritem **of,
                               unsigned n, int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = rses_begin(ses, err);
    for (int stage = RITEM_FIRST; stage < RITEM_DONE && rc == RB_OK; stage++) {
        unsigned found = pick(items, n, (enum ritem_stage)stage, of);
        if (found > 0) {
            rc = send_stage(ses, of, found, now_ms, err);
        }
    }
    return rc;
}

enum rb_code redis_admit(struct rb_store_session *base, struct rb_admission **list, unsigned n,
                         int64_t now_ms, struct rb_err *err)
{
    struct redis_session *ses = rses(base);
    RB_CLEANUP(rb_freep) struct ritem *items = calloc(n, sizeof(*items));
    RB_CLEANUP(rb_freep) struct ritem **of = calloc(n, sizeof(*of));
    if (items == NULL || of == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a batch");
    }
    enum rb_code rc = RB_OK;
    for (unsigned i = 0; i < n; i++) {
        if (!ritem_init(&items[i], list[i])) {
            rc = rb_err_set(err, RB_E_INVALID, "admission: '%.40s' is no id", list[i]->retry->id);
        }
    }
    if (rc == RB_OK) {
        rc = run_stages(ses, items, of, n, now_ms, err);
    }
    for (unsigned i = 0; i < n; i++) {
        if (rc != RB_OK) {
            list[i]->rc = rc;
        } else {
            ritem_finish(&items[i]);
        }
    }
    return rc;
}
