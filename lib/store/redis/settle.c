/* settle.c - the one step that ends, moves or keeps a main task. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>

#include "store_redis.h"

#define OPEN 1
#define CLOSE 2
#define NO_CHILD 4
#define NEW_CHILD 8
#define NEXT 16
#define NEXT_DELIVERY 32
#define TAKE 64
#define ROUNDS 3 /* the effect key and a vanished holder may each be learnt once */

struct settling {
    struct redis_session *ses;
    struct rb_settle *s;
    int64_t now_ms;
    uint8_t id[RKEY_RAW], effect[RKEY_RAW], previous[RKEY_RAW], next_id[RKEY_RAW];
    uint8_t build[RKEY_RAW]; /* the effect key of the record as it is now */
    bool has_previous;
    uint8_t gone[RKEY_RAW]; /* a holder of the intent that no longer exists */
    bool has_gone;
    unsigned flags;
    bool is_repeat; /* the answer to the same write was lost */
};

static void put_report_keys(struct rb_buf *out, const uint8_t id[RKEY_RAW], const char *chain_id)
{
    uint8_t chain[RKEY_RAW] = {0};
    (void)rid_raw(chain_id, chain);
    rcmd_key(out, 'o', "", 0);
    rcmd_key(out, 'q', id, RKEY_RAW);
    rcmd_key(out, 'y', id, RKEY_RAW);
    rcmd_key(out, 'h', chain, RKEY_RAW);
}

static void put_reports(struct rb_buf *out, const struct rb_report_task *reports, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char stage = (char)reports[i].stage;
        rcmd_arg(out, &stage, 1);
        rcmd_str(out, reports[i].destination);
        rcmd_int(out, reports[i].due_ms);
    }
}

static void count_parts(const struct settling *g, size_t *ret_keys, size_t *ret_args)
{
    const struct rb_settle *s = g->s;
    size_t keys = 6;
    size_t args = 11;
    static const struct {
        unsigned flag, args;
    } parts[] = {{OPEN, 1}, {CLOSE, 0}, {NO_CHILD, 0}, {NEW_CHILD, 1}, {TAKE, 2}};
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        if ((g->flags & parts[i].flag) != 0) {
            keys++;
            args += parts[i].args;
        }
    }
    keys += s->n_reports > 0 ? 4 : 0;
    args += 3 * (size_t)s->n_reports;
    if ((g->flags & NEXT) != 0) {
        keys += 3u + ((g->flags & NEXT_DELIVERY) != 0 ? 1u : 0u) +
                (s->follow_on->n_reports > 0 ? 4u : 0u);
        args +=
            6u + ((g->flags & NEXT_DELIVERY) != 0 ? 2u : 0u) + 3u * (size_t)s->follow_on->n_reports;
    }
    *ret_keys = keys;
    *ret_args = args;
}

static void put_keys(const struct settling *g, struct rb_buf *out)
{
    const struct rb_settle *s = g->s;
    rcmd_key(out, 'r', g->id, RKEY_RAW);
    rcmd_key(out, 'z', "", 0);
    rcmd_key(out, 's', "", 0);
    rcmd_key(out, 'k', "", 0);
    rcmd_key(out, 'e', g->effect, RKEY_RAW);
    rcmd_key(out, 'f', "", 0);
    if ((g->flags & OPEN) != 0) {
        rcmd_hex_key(out, 'i', s->open_intent);
    }
    if ((g->flags & CLOSE) != 0) {
        rcmd_hex_key(out, 'i', s->close_intent);
    }
    if ((g->flags & NO_CHILD) != 0) {
        rcmd_hex_key(out, 'c', s->not_a_child);
    }
    if ((g->flags & NEW_CHILD) != 0) {
        rcmd_hex_key(out, 'c', s->child_key);
    }
    if ((g->flags & TAKE) != 0) {
        rcmd_key(out, 'e', g->build, RKEY_RAW);
    }
    if (s->n_reports > 0) {
        put_report_keys(out, g->id, s->retry->chain);
    }
    if ((g->flags & NEXT) == 0) {
        return;
    }
    const struct rb_admission *next = s->follow_on;
    rcmd_key(out, 'a', "", 0);
    rcmd_key(out, 'r', g->next_id, RKEY_RAW);
    rcmd_hex_key(out, 'e', next->build_key);
    if ((g->flags & NEXT_DELIVERY) != 0) {
        rcmd_hex_key(out, 'd', next->delivery_key);
    }
    if (next->n_reports > 0) {
        put_report_keys(out, g->next_id, next->retry->chain);
    }
}

static enum rb_code put_record(struct settling *g, struct rb_buf *out, struct rb_err *err)
{
    rb_buf_clear(&g->ses->scratch);
    enum rb_code rc = rb_record_encode(g->s->retry, &g->ses->scratch, err);
    if (rc == RB_OK) {
        rcmd_arg(out, g->ses->scratch.data, g->ses->scratch.len);
    }
    return rc;
}

static enum rb_code put_next(struct settling *g, struct rb_buf *out, struct rb_err *err)
{
    const struct rb_admission *next = g->s->follow_on;
    const struct redis_store *store = g->ses->store;
    uint8_t build[RKEY_RAW];
    uint8_t value[RKEY_RAW + 6];
    rkey_raw(next->build_key, build);
    rcmd_arg(out, g->next_id, RKEY_RAW);
    rb_buf_clear(&g->ses->scratch);
    rhead_new(&g->ses->scratch, next->retry, next->task, false, build);
    enum rb_code rc = rb_record_encode(next->retry, &g->ses->scratch, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_arg(out, g->ses->scratch.data, g->ses->scratch.len);
    uint8_t tail[RENTRY_TAIL];
    rentry_tail(next->retry, tail);
    rcmd_arg(out, tail, sizeof(tail));
    rcmd_int(out, next->task * RSPAN + next->retry->due_ms);
    rcmd_int(out, next->retry->state * RSPAN + next->retry->created_ms);
    reffect_value(store, g->next_id, next->retry->state, g->now_ms, value);
    rcmd_arg(out, value, sizeof(value));
    if ((g->flags & NEXT_DELIVERY) != 0) {
        rcmd_int(out, rdelivery_ttl_ms(store));
        memcpy(value, g->next_id, RKEY_RAW);
        rput48(value + RKEY_RAW, g->now_ms + rdelivery_ttl_ms(store));
        rcmd_arg(out, value, sizeof(value));
    }
    put_reports(out, next->reports, next->n_reports);
    return RB_OK;
}

/* Of a holder that has ended its key tells until when it is held: one that is held no longer than
 * this is not in the way. '' = nobody is. */
static void put_held_until(const struct settling *g, struct rb_buf *out)
{
    const struct rb_settle *s = g->s;
    if (s->take_effect == RB_EFFECT_FORCE) {
        rcmd_arg(out, "", 0);
    } else {
        rcmd_int(out, s->ended_after_ms + reffect_ttl_ms(g->ses->store));
    }
}

static void put_flagged(const struct settling *g, struct rb_buf *out)
{
    const struct rb_settle *s = g->s;
    if ((g->flags & OPEN) != 0) {
        rcmd_arg(out, g->gone, g->has_gone ? RKEY_RAW : 0);
    }
    if ((g->flags & NEW_CHILD) != 0) {
        uint8_t raw[RKEY_RAW];
        rkey_raw(s->child_key, raw);
        rcmd_arg(out, raw, RKEY_RAW);
    }
    if ((g->flags & TAKE) != 0) {
        rcmd_arg(out, g->build, RKEY_RAW);
        put_held_until(g, out);
    }
    put_reports(out, s->reports, s->n_reports);
}

static enum rb_code put_args(struct settling *g, struct rb_buf *out, struct rb_err *err)
{
    const struct rb_settle *s = g->s;
    const struct rb_retry *r = s->retry;
    const struct rb_admission *next = s->follow_on;
    const uint8_t meta[10] = {
        s->task != NULL,
        s->keep_lease,
        (uint8_t)s->next,
        (uint8_t)r->state,
        (uint8_t)g->flags,
        (uint8_t)s->n_reports,
        next == NULL ? 0 : (uint8_t)next->n_reports,
        next == NULL ? 0 : (uint8_t)next->task,
        next == NULL ? 0 : (uint8_t)next->retry->state,
        g->is_repeat,
    };
    uint8_t value[RKEY_RAW + 6];
    rcmd_arg(out, meta, sizeof(meta));
    rcmd_arg(out, g->id, RKEY_RAW);
    rcmd_int(out, g->now_ms);
    rcmd_str(out, RKEY_CHANNEL);
    if (s->task != NULL) {
        rcmd_arg(out, &s->task->fence, sizeof(s->task->fence));
    } else {
        rcmd_int(out, (int64_t)r->version);
    }
    enum rb_code rc = put_record(g, out, err);
    if (rc != RB_OK) {
        return rc;
    }
    rcmd_int(out, s->next_due_ms);
    rcmd_int(out, r->state * RSPAN + r->created_ms);
    rcmd_arg(out, g->effect, RKEY_RAW);
    reffect_value(g->ses->store, g->id, r->state, g->now_ms, value);
    if (s->give_effect && rb_state_terminal(r->state)) {
        rput48(value + RKEY_RAW, g->now_ms);
    }
    rcmd_arg(out, value, sizeof(value));
    rcmd_arg(out, g->previous, g->has_previous ? RKEY_RAW : 0);
    put_flagged(g, out);
    return (g->flags & NEXT) != 0 ? put_next(g, out, err) : RB_OK;
}

/* Whether the retry that holds the intent still exists. */
static enum rb_code holder_exists(struct settling *g, const char *holder, bool *ret_exists,
                                  struct rb_err *err)
{
    uint8_t id[RKEY_RAW];
    memcpy(id, holder, RKEY_RAW);
    rses_next(g->ses);
    rcmd_begin(&g->ses->cmd, 2);
    rcmd_str(&g->ses->cmd, "EXISTS");
    rcmd_key(&g->ses->cmd, 'r', id, RKEY_RAW);
    enum rb_code rc = rses_run(g->ses, 1, false, err);
    if (rc == RB_OK) {
        *ret_exists = g->ses->replies[0]->integer != 0;
        memcpy(g->gone, id, RKEY_RAW);
    }
    return rc;
}

static enum rb_code conflict(struct settling *g, enum rb_settle_conflict c, const char *other,
                             struct rb_err *err)
{
    g->s->conflict = c;
    if (other != NULL) {
        rid_text(other, g->s->other_id);
    }
    return rb_err_set(err, RB_E_CONFLICT,
                      c == RB_CONFLICT_INTENT   ? "'%s' waits: '%s' has an open intent"
                      : c == RB_CONFLICT_CHILD  ? "'%s': the build is the child of '%s'"
                      : c == RB_CONFLICT_EFFECT ? "'%s': its build is being retried by '%s'"
                                                : "'%s' was changed meanwhile%s",
                      g->s->retry->id, g->s->other_id);
}

static void finish_next(struct settling *g, const redisReply *r)
{
    struct rb_admission *next = g->s->follow_on;
    bool is_new = r->str[1] == 'N';
    next->rc = RB_OK;
    next->result = is_new ? RB_ADMIT_NEW : RB_ADMIT_DUPLICATE;
    rid_text(is_new ? (const char *)g->next_id : r->str + 2, next->retry_id);
    next->retry_state = is_new ? next->retry->state : RB_STATE_RECEIVED;
}

/* One try. *ret_again: what was missing is known now. */
static enum rb_code settle_once(struct settling *g, bool *ret_again, struct rb_err *err)
{
    size_t keys = 0;
    size_t args = 0;
    *ret_again = false;
    count_parts(g, &keys, &args);
    rses_next(g->ses);
    rscript_begin(&g->ses->cmd, RSCRIPT_SETTLE, keys, args);
    put_keys(g, &g->ses->cmd);
    enum rb_code rc = put_args(g, &g->ses->cmd, err);
    if (rc == RB_OK) {
        rc = rses_run(g->ses, 1, true, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const redisReply *r = g->ses->replies[0];
    char code = r->type == REDIS_REPLY_STRING && r->len > 0 ? r->str[0] : '?';
    bool has_id = r->type == REDIS_REPLY_STRING && r->len == 1 + RKEY_RAW;
    switch (code) {
    case 'O':
        if (g->s->follow_on != NULL && (r->len == 2 || r->len == 2 + RKEY_RAW)) {
            finish_next(g, r);
        }
        return RB_OK;
    case 'F':
        return rb_err_set(err, RB_E_FENCED, "the lease of '%s' has passed to another",
                          g->s->retry->id);
    case 'V':
        return conflict(g, RB_CONFLICT_VERSION, NULL, err);
    case 'X':
        return rb_err_set(err, RB_E_NOT_FOUND, "no retry '%s'", g->s->retry->id);
    default:
        break;
    }
    if (!has_id) {
        return rses_odd(err);
    }
    if (code == 'E') {
        memcpy(g->effect, r->str + 1, RKEY_RAW);
        *ret_again = true;
        return RB_OK;
    }
    if (code == 'K' || code == 'L') {
        return conflict(g, code == 'K' ? RB_CONFLICT_CHILD : RB_CONFLICT_EFFECT, r->str + 1, err);
    }
    bool exists = true;
    char holder[RKEY_RAW];
    memcpy(holder, r->str + 1, RKEY_RAW);
    rc = holder_exists(g, holder, &exists, err);
    if (rc == RB_OK && exists) {
        return conflict(g, RB_CONFLICT_INTENT, holder, err);
    }
    g->has_gone = true;
    *ret_again = true;
    return rc;
}

static unsigned flags_of(const struct rb_settle *s)
{
    return (s->open_intent != NULL ? OPEN : 0u) | (s->close_intent != NULL ? CLOSE : 0u) |
           (s->not_a_child != NULL ? NO_CHILD : 0u) | (s->child_key != NULL ? NEW_CHILD : 0u) |
           (s->follow_on != NULL ? NEXT : 0u) | (s->take_effect != RB_EFFECT_KEEP ? TAKE : 0u) |
           (s->follow_on != NULL && s->follow_on->delivery_key != NULL ? NEXT_DELIVERY : 0u);
}

enum rb_code redis_settle(struct rb_store_session *base, struct rb_settle *s, int64_t now_ms,
                          struct rb_err *err)
{
    struct settling g = {.ses = rses(base), .s = s, .now_ms = now_ms, .flags = flags_of(s)};
    char key[RB_KEY_BYTES];
    if (!rid_raw(s->retry->id, g.id) ||
        (s->follow_on != NULL && !rid_raw(s->follow_on->retry->id, g.next_id))) {
        return rb_err_set(err, RB_E_INVALID, "settle: '%.40s' is no id", s->retry->id);
    }
    g.has_previous = rid_raw(s->retry->previous, g.previous);
    rb_build_key(&s->retry->build, key);
    rkey_raw(key, g.effect);
    rkey_raw(key, g.build);
    uint64_t mark = s->task != NULL ? s->task->fence : s->retry->version;
    enum rb_code rc = rses_begin(g.ses, err);
    if (rc != RB_OK) {
        return rc; /* nothing was sent */
    }
    bool again = true;
    g.is_repeat = rses_is_repeat(g.ses, g.id, mark);
    for (int round = 0; round < ROUNDS && again && rc == RB_OK; round++) {
        rc = settle_once(&g, &again, err);
    }
    rses_note_outcome(g.ses, g.id, mark, rc);
    return rc == RB_OK && again ? rses_odd(err) : rc;
}
