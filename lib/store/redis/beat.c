/* beat.c - the beats by which a store that was set back in time is found out (scripts/beat.lua).
 *
 * The keeper beats once a second. A session beats whenever it asks for the epoch, so that no call
 * to CodeBuild is made on the word of a memory that nobody has looked at since it came back.
 */
#include <inttypes.h>
#include <stdio.h>

#include <retrybuild/counters.h>
#include <retrybuild/random.h>

#include "store_redis.h"

void rbeat_init(struct redis_store *s)
{
    uint64_t name = 0;
    rb_random_bytes(rb_random_system(), &name, sizeof(name));
    (void)snprintf(s->process, sizeof(s->process), "%016" PRIx64, name);
}

void rbeat_put(struct redis_store *s, struct rb_buf *out, enum rbeat_of of, int64_t now_ms)
{
    if (of == RBEAT_OF_KEEPER) {
        /* In full: a server whose script cache was emptied is not away. */
        const struct rscript_text *script = &rscripts[RSCRIPT_BEAT];
        rcmd_begin(out, 3 + 2 + 4);
        rcmd_str(out, "EVAL");
        rcmd_arg(out, script->text, script->len);
        rcmd_int(out, 2);
    } else {
        rscript_begin(out, RSCRIPT_BEAT, 2, 4);
    }
    rcmd_key(out, 'E', "", 0);
    rcmd_key(out, 'B', "", 0);
    rcmd_int(out, now_ms);
    rcmd_str(out, s->process);
    rcmd_int(out, atomic_load(&s->beat));
    if (of == RBEAT_OF_KEEPER) {
        rcmd_str(out, "");
    } else {
        rcmd_int(out, atomic_load(&s->judged) ? 0 : RB_STORE_SILENCE_MS);
    }
}

enum rb_code rstore_away(const struct redis_store *s, struct rb_err *err)
{
    if (atomic_load(&s->barred)) {
        return rb_err_set(err, RB_E_UNAVAIL,
                          "Redis may delete records: its maxmemory-policy is not noeviction");
    }
    if (atomic_load(&s->full)) {
        return rb_err_set(err, RB_E_NO_SPACE, "Redis has no memory left (maxmemory)");
    }
    return rb_err_set(err, RB_E_UNAVAIL, "Redis is away");
}

enum rb_code rbeat_take(struct redis_store *s, enum rbeat_of of, const redisReply *r,
                        struct rb_err *err)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_INTEGER || r->element[1]->type != REDIS_REPLY_INTEGER) {
        return rses_odd(err);
    }
    int_least64_t known = atomic_load(&s->beat);
    while (known < r->element[0]->integer &&
           !atomic_compare_exchange_weak(&s->beat, &known, r->element[0]->integer)) {
    }
    if (of == RBEAT_OF_SESSION) {
        atomic_store(&s->judged, true);
    }
    if (r->element[1]->integer != 0) {
        rb_count(RB_M_STORE_SET_BACK, NULL, NULL);
    }
    return RB_OK;
}
