/* trim.c - retention, in small steps: each call holds the writer for a moment only. */
#include "keys.h"
#include "shelf.h"

#define STEP_MAX 500

struct step {
    int64_t rids[STEP_MAX];
    unsigned n;
};

static void find_old(struct rb_sq_db *db, const struct rb_sq_op *op, enum rb_state state,
                     unsigned max, struct step *s)
{
    const int64_t latest = INT64_MAX >> RB_SQ_RID_SHIFT;
    int64_t before = op->since_ms < 0 ? 0 : op->since_ms > latest ? latest : op->since_ms;
    s->n = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_TRIM_FIND, "iiii", (int64_t)state,
                                   before * ((int64_t)1 << RB_SQ_RID_SHIFT),
                                   op->now_ms - db->effect_ttl_ms, (int64_t)max);
    while (s->n < max && rb_sq_row(db, st)) {
        s->rids[s->n++] = sqlite3_column_int64(st, 0);
    }
    rb_sq_end(st);
}

static void drop(struct rb_sq_db *db, int64_t rid, enum rb_state state)
{
    static const enum rb_sq_stmt steps[] = {SQ_TRIM_CHILD,   SQ_TRIM_INTENT,   SQ_DUP_DROP,
                                            SQ_REPORTS_DROP, SQ_RECEIPTS_DROP, SQ_RECORD_DROP,
                                            SQ_RETRY_DROP};
    rb_sq_keys_forget(db, rid);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        (void)rb_sq_run(db, steps[i], "i", rid);
    }
    rb_sq_tally_state(db, state, RB_STATE_COUNT);
    db->tally.rid_ms = 0; /* the highest number of its millisecond may be free again */
}

enum rb_code rb_sq_op_trim(struct rb_sq_db *db, struct rb_sq_op *op, struct rb_err *err)
{
    (void)err;
    struct step s;
    rb_sq_keys_sweep(db, op->now_ms, 4 * STEP_MAX);
    unsigned left = op->limit > STEP_MAX ? STEP_MAX : op->limit;
    op->number = 0;
    for (int state = 0; state < RB_STATE_COUNT && left > 0; state++) {
        if (!rb_state_terminal((enum rb_state)state) || db->tally.by_state[state] == 0) {
            continue;
        }
        find_old(db, op, (enum rb_state)state, left, &s);
        for (unsigned i = 0; i < s.n && !rb_sq_broken(db); i++) {
            drop(db, s.rids[i], (enum rb_state)state);
        }
        left -= s.n;
        op->number += s.n;
    }
    unsigned n = rb_sq_repeats_trim(db, op->now_ms, left);
    op->number += n;
    left -= n;
    op->number += rb_sq_run(db, SQ_TRIM_TOKENS, "ii", op->now_ms, (int64_t)left);
    (void)rb_sq_run(db, SQ_TRIM_SHEETS, "ii", op->now_ms, (int64_t)STEP_MAX); /* no retries */
    return RB_OK;
}
