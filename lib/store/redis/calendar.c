/* calendar.c - main tasks that are due later than the present slot of time.
 *
 * Putting a member into a sorted set of a million costs more than all the rest of an admission;
 * appending to a list costs next to nothing. So an admission whose task is due in a later slot
 * appends it to that slot's list, and whoever claims moves the slots that have begun into the task
 * index, which stays small. A record with the flag FAR has its task here; a task that is moved or
 * ended meanwhile loses the flag, and its entry is dropped when its slot begins.
 */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "store_redis.h"

#define PROMOTE_AT_ONCE 256
#define PROMOTE_ROUNDS 4 /* of one claim; the next one goes on */

int64_t rslot(int64_t at_ms)
{
    return at_ms - at_ms % RSLOT_MS;
}

bool rcalendar_takes(const struct rb_admission *a, int64_t now_ms)
{
    return a->mode != RB_ADMIT_ENDED && a->task == RB_TASK_SUBMIT &&
           rslot(a->retry->due_ms) > rslot(now_ms);
}

void rcalendar_key(struct rb_buf *out, int64_t slot_ms)
{
    uint8_t raw[6];
    rput48(raw, slot_ms);
    rcmd_key(out, 'b', raw, sizeof(raw));
}

void rcalendar_put_first(struct rb_buf *out)
{
    rcmd_begin(out, 4);
    rcmd_str(out, "ZRANGE");
    rcmd_key(out, 'g', "", 0);
    rcmd_int(out, 0);
    rcmd_int(out, 0);
}

int64_t rcalendar_first(const redisReply *r)
{
    int64_t slot_ms = 0;
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 1) {
        (void)rb_parse_i64(rb_slice_str(r->element[0]->str), &slot_ms);
    }
    return slot_ms;
}

void rcalendar_put_entries(struct rb_buf *out, int64_t slot_ms, int64_t max)
{
    rcmd_begin(out, 4);
    rcmd_str(out, "LRANGE");
    rcalendar_key(out, slot_ms);
    rcmd_int(out, 0);
    rcmd_int(out, max - 1);
}

static enum rb_code promote(struct redis_session *ses, int64_t slot_ms, struct rb_err *err)
{
    uint8_t entries[PROMOTE_AT_ONCE][RSLOT_ENTRY_BYTES];
    unsigned n = 0;
    rses_next(ses);
    rcalendar_put_entries(&ses->cmd, slot_ms, PROMOTE_AT_ONCE);
    enum rb_code rc = rses_run(ses, 1, false, err);
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *list = ses->replies[0];
    for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i < list->elements; i++) {
        if (list->element[i]->len != RSLOT_ENTRY_BYTES || n == PROMOTE_AT_ONCE) {
            return rses_odd(err);
        }
        memcpy(entries[n++], list->element[i]->str, RSLOT_ENTRY_BYTES);
    }
    rses_next(ses);
    rscript_begin(&ses->cmd, RSCRIPT_PROMOTE, 5 + n, 3);
    rcmd_key(&ses->cmd, 'g', "", 0);
    rcmd_key(&ses->cmd, 'f', "", 0);
    rcalendar_key(&ses->cmd, slot_ms);
    rcmd_key(&ses->cmd, 'z', "", 0);
    rcmd_key(&ses->cmd, 'k', "", 0);
    for (unsigned i = 0; i < n; i++) {
        rcmd_key(&ses->cmd, 'r', entries[i] + 6, RKEY_RAW);
    }
    rcmd_int(&ses->cmd, slot_ms);
    rcmd_int(&ses->cmd, RB_TASK_SUBMIT);
    rcmd_arg(&ses->cmd, entries, (size_t)n * RSLOT_ENTRY_BYTES);
    return rses_run(ses, 1, true, err);
}

enum rb_code rcalendar_turn(struct redis_session *ses, int64_t slot_ms, int64_t now_ms,
                            struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    for (int round = 0; round < PROMOTE_ROUNDS && rc == RB_OK && slot_ms > 0 && slot_ms <= now_ms;
         round++) {
        rc = promote(ses, slot_ms, err);
        if (rc == RB_OK) {
            rses_next(ses);
            rcalendar_put_first(&ses->cmd);
            rc = rses_run(ses, 1, false, err);
        }
        slot_ms = rc == RB_OK ? rcalendar_first(ses->replies[0]) : 0;
    }
    return rc;
}
