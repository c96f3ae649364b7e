/* batch.c - see batch.h. */
#include "batch.h"

/* Put the items in order of sending, and cut them into calls. */
static void plan(struct rbatch *b)
{
    unsigned at = 0;
    b->n_calls = 0;
    b->n_answered = 0;
    for (int stage = RITEM_SECOND; stage >= RITEM_FIRST; stage--) {
        unsigned from = at;
        for (unsigned i = 0; i < b->n; i++) {
            if (b->items[i].stage == (enum ritem_stage)stage) {
                b->order[at++] = &b->items[i];
            }
        }
        for (; from < at; from += b->calls[b->n_calls - 1].n) {
            b->calls[b->n_calls++] =
                (struct rbatch_call){.first = from, .n = at - from < RCHUNK ? at - from : RCHUNK};
        }
    }
}

/* An item that cannot be encoded would fail everybody's batch: it becomes one that is done. */
static void drop_bad(struct rbatch *b, struct rb_buf *scratch)
{
    for (unsigned i = 0; i < b->n; i++) {
        enum rb_code rc = ritem_check(&b->items[i], scratch, NULL);
        if (rc != RB_OK) {
            b->items[i].rc = rc;
            b->items[i].stage = RITEM_DONE;
        }
    }
}

static enum rb_code put_calls(struct rbatch *b, const struct redis_store *s, struct rb_buf *out,
                              struct rb_buf *scratch, int64_t now_ms, struct rb_err *err)
{
    size_t before = out->len;
    enum rb_code rc = RB_OK;
    plan(b);
    for (unsigned i = 0; i < b->n_calls && rc == RB_OK; i++) {
        rc = ritems_send(s, out, scratch, b->order + b->calls[i].first, b->calls[i].n, now_ms, err);
    }
    if (rc != RB_OK) {
        rb_buf_truncate(out, before);
    }
    return rc;
}

enum rb_code rbatch_send(struct rbatch *b, const struct redis_store *s, struct rb_buf *out,
                         struct rb_buf *scratch, int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = put_calls(b, s, out, scratch, now_ms, err);
    if (rc != RB_OK) {
        drop_bad(b, scratch);
        rc = put_calls(b, s, out, scratch, now_ms, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    /* A batch of which nothing is left to send is answered too, so that its items end in turn. */
    b->waits = atomic_load(&s->replicas) > 0 || b->n_calls == 0;
    b->confirmed = !b->waits;
    if (b->waits) {
        rcmd_words(out, "WAIT", b->n_calls == 0 ? "0" : RWAIT_REPLICAS, RWAIT_MS,
                   (const char *)NULL);
    }
    b->state = RBATCH_SENT;
    b->forgotten = false;
    return RB_OK;
}

enum rb_code rbatch_answer(struct rbatch *b, const redisReply *r, bool *ret_last,
                           struct rb_err *err)
{
    unsigned at = b->n_answered++;
    enum rb_code rc = RB_OK;
    if (at >= b->n_calls) {
        b->confirmed = r->type == REDIS_REPLY_INTEGER && (r->integer >= 1 || b->n_calls == 0);
    } else if (rreply_is_noscript(r)) {
        b->forgotten = true;
    } else {
        rc = ritems_receive(r, b->order + b->calls[at].first, b->calls[at].n, err);
    }
    *ret_last = b->n_answered == b->n_calls + (b->waits ? 1 : 0);
    return rc;
}
