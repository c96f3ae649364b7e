/* admission.c - admissions as arguments of a script, and its answer back into them. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>

#include "store_redis.h"

#define ANSWER_BYTES (1 + RKEY_RAW)
#define GONE 255
#define KEYS_FIXED 8
#define ARGS_FIXED 12
#define META_BYTES 10
#define COLUMNS 4 /* arguments that every item has: see admit.lua */

bool ritem_init(struct ritem *it, struct rb_admission *a)
{
    *it = (struct ritem){.a = a};
    return a->mode == RB_ADMIT_ENDED || rid_raw(a->retry->id, it->id);
}

/* ---- the first half ---- */

/* The projects of the items that create a record, each once. */
static unsigned distinct_projects(struct ritem *const *items, unsigned n,
                                  const struct rb_build *ret_b[RCHUNK])
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        if (items[i]->a->mode == RB_ADMIT_ENDED || items[i]->a->retry->build.project == NULL) {
            continue;
        }
        const struct rb_build *b = &items[i]->a->retry->build;
        unsigned at = 0;
        while (at < found && !(rb_str_eq(ret_b[at]->project, b->project) &&
                               rb_str_eq(ret_b[at]->account, b->account) &&
                               rb_str_eq(ret_b[at]->region, b->region))) {
            at++;
        }
        if (at == found) {
            ret_b[found++] = b;
        }
    }
    return found;
}

static void put_project_seen(struct rb_buf *out, struct rb_buf *scratch, const struct rb_build *b)
{
    rb_buf_clear(scratch);
    rb_buf_adds(scratch, b->account);
    rb_buf_addc(scratch, '\0');
    rb_buf_adds(scratch, b->region);
    rb_buf_addc(scratch, '\0');
    rb_buf_adds(scratch, b->project);
    rcmd_arg(out, scratch->data, scratch->len);
}

static bool has_previous(const struct rb_admission *a)
{
    return a->mode != RB_ADMIT_ENDED && a->retry->previous[0] != '\0';
}

/* Whether the record itself is looked up: a person's or a forced admission that is sent again may
 * find its effect key in other hands. */
static bool looks_up_record(const struct rb_admission *a)
{
    return a->mode == RB_ADMIT_PERSON || a->mode == RB_ADMIT_FORCE;
}

/* The slots of the calendar that a call appends to, each once. */
struct slots {
    int64_t start_ms[RCHUNK];
    unsigned n;
    uint8_t of[RCHUNK]; /* by item, from 1; 0 = its task goes into the task index */
};

static void find_slots(struct slots *s, struct ritem *const *items, unsigned n, int64_t now_ms)
{
    s->n = 0;
    for (unsigned i = 0; i < n; i++) {
        s->of[i] = 0;
        if (rcalendar_takes(items[i]->a, now_ms)) {
            int64_t start_ms = rslot(items[i]->a->retry->due_ms);
            unsigned at = 0;
            while (at < s->n && s->start_ms[at] != start_ms) {
                at++;
            }
            s->start_ms[at] = start_ms;
            s->n = at == s->n ? at + 1 : s->n;
            s->of[i] = (uint8_t)(at + 1);
        }
    }
}

struct first_counts {
    size_t lookups, keys, args;
};

static void count_first(struct first_counts *c, const struct ritem *it)
{
    const struct rb_admission *a = it->a;
    c->lookups += 1u + (ritem_has_token(a) ? 1u : 0u) + (ritem_has_delivery(a) ? 1u : 0u) +
                  (looks_up_record(a) ? 1u : 0u);
    c->args += COLUMNS + (ritem_has_token(a) ? 1u : 0u) + (has_previous(a) ? 1u : 0u);
    if (a->mode != RB_ADMIT_ENDED) {
        c->lookups += 1;
        c->keys += 1u + (a->n_reports > 0 ? 3u : 0u);
        c->args += (a->retry->state == RB_STATE_SCHEDULED ? 0u : 1u) + 3u * (size_t)a->n_reports;
    }
}

static void put_lookups(struct rb_buf *out, const struct ritem *it)
{
    const struct rb_admission *a = it->a;
    if (ritem_has_token(a)) {
        rcmd_hex_key(out, 't', a->token_key);
    }
    if (ritem_has_delivery(a)) {
        rcmd_hex_key(out, 'd', a->delivery_key);
    }
    if (a->mode != RB_ADMIT_ENDED) {
        rcmd_hex_key(out, 'e', a->build_key);
    }
    rcmd_hex_key(out, 'c', a->build_key);
    if (looks_up_record(a)) {
        rcmd_key(out, 'r', it->id, RKEY_RAW);
    }
}

static void put_keys(struct rb_buf *out, const struct ritem *it)
{
    const struct rb_admission *a = it->a;
    if (a->mode == RB_ADMIT_ENDED) {
        return;
    }
    rcmd_key(out, 'r', it->id, RKEY_RAW);
    if (a->n_reports > 0) {
        uint8_t chain[RKEY_RAW] = {0};
        (void)rid_raw(a->retry->chain, chain);
        rcmd_key(out, 'q', it->id, RKEY_RAW);
        rcmd_key(out, 'y', it->id, RKEY_RAW);
        rcmd_key(out, 'h', chain, RKEY_RAW);
    }
}

static void put_metas(struct rb_buf *out, struct ritem *const *items, unsigned n,
                      const struct slots *slots, int64_t now_ms)
{
    uint8_t metas[RCHUNK * META_BYTES] = {0};
    for (unsigned i = 0; i < n; i++) {
        const struct rb_admission *a = items[i]->a;
        uint8_t *m = metas + (size_t)i * META_BYTES;
        m[0] = (uint8_t)a->mode;
        m[1] = ritem_has_token(a);
        m[2] = ritem_has_delivery(a);
        m[3] = has_previous(a);
        m[4] = looks_up_record(a);
        if (a->mode != RB_ADMIT_ENDED) {
            m[5] = (uint8_t)a->task;
            m[6] = (uint8_t)a->retry->state;
            m[7] = a->retry->due_ms <= now_ms;
            m[8] = slots->of[i];
            m[9] = (uint8_t)a->n_reports;
        }
    }
    rcmd_arg(out, metas, (size_t)n * META_BYTES);
}

static bool same_key(const char *a, const char *b)
{
    return a != NULL && b != NULL && memcmp(a, b, RB_KEY_BYTES) == 0;
}

/* Whether two items have a key in common; then they must see each other's writes. */
static bool share_keys(struct ritem *const *items, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        const struct rb_admission *a = items[i]->a;
        for (unsigned k = 0; k < i; k++) {
            const struct rb_admission *b = items[k]->a;
            if (same_key(a->build_key, b->build_key) ||
                same_key(a->delivery_key, b->delivery_key) ||
                same_key(a->token_key, b->token_key) ||
                memcmp(items[i]->id, items[k]->id, RKEY_RAW) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* is_plain - an event of which nothing but its effect can be known, for the calendar. */
static bool is_plain(const struct ritem *it, bool far)
{
    const struct rb_admission *a = it->a;
    return far && a->mode == RB_ADMIT_EVENT && !ritem_has_token(a) && !ritem_has_delivery(a) &&
           !has_previous(a) && a->n_reports == 0 && a->retry->state == RB_STATE_SCHEDULED;
}

/* shape_of - 2: all are plain, 1: some share keys, 0: neither. */
static int shape_of(struct ritem *const *items, unsigned n, const struct slots *slots)
{
    bool plain = true;
    for (unsigned i = 0; i < n && plain; i++) {
        plain = is_plain(items[i], slots->of[i] > 0);
    }
    return share_keys(items, n) ? 1 : plain ? 2 : 0;
}

/* What only some items have. */
static void put_args(const struct redis_store *s, struct rb_buf *out, const struct ritem *it,
                     int64_t now_ms)
{
    const struct rb_admission *a = it->a;
    uint8_t raw[RKEY_RAW] = {0};
    if (has_previous(a)) {
        (void)rid_raw(a->retry->previous, raw);
        rcmd_arg(out, raw, RKEY_RAW);
    }
    if (ritem_has_token(a)) {
        uint8_t tail[6 + RKEY_RAW];
        rput48(tail, now_ms + rtoken_ttl_ms(s, a));
        rkey_raw(a->token_fingerprint, tail + 6);
        rcmd_arg(out, tail, sizeof(tail));
    }
    if (a->mode == RB_ADMIT_ENDED) {
        return;
    }
    const struct rb_retry *r = a->retry;
    if (r->state != RB_STATE_SCHEDULED) {
        rcmd_int(out, r->state * RSPAN + r->created_ms);
    }
    for (unsigned i = 0; i < a->n_reports; i++) {
        const char stage = (char)a->reports[i].stage;
        rcmd_arg(out, &stage, 1);
        rcmd_str(out, a->reports[i].destination);
        rcmd_int(out, a->reports[i].due_ms);
    }
}

static enum rb_code send_first(const struct redis_store *s, struct rb_buf *out,
                               struct rb_buf *scratch, struct ritem *const *items, unsigned n,
                               int64_t now_ms, struct rb_err *err)
{
    const struct rb_build *projects[RCHUNK];
    unsigned n_projects = distinct_projects(items, n, projects);
    struct slots slots;
    find_slots(&slots, items, n, now_ms);
    struct first_counts c = {.keys = KEYS_FIXED + slots.n,
                             .args = ARGS_FIXED + slots.n + 2 * (size_t)n_projects};
    for (unsigned i = 0; i < n; i++) {
        count_first(&c, items[i]);
    }
    rscript_begin(out, RSCRIPT_ADMIT, c.keys + c.lookups, c.args);
    for (const char *letter = "zsakjogf"; *letter != '\0'; letter++) {
        rcmd_key(out, *letter, "", 0);
    }
    for (unsigned i = 0; i < slots.n; i++) {
        rcalendar_key(out, slots.start_ms[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        put_lookups(out, items[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        put_keys(out, items[i]);
    }
    uint8_t until[6] = {0};
    rcmd_int(out, now_ms);
    if (s->max_waiting > 0) {
        rcmd_int(out, s->max_waiting);
    } else {
        rcmd_str(out, "");
    }
    rcmd_str(out, RKEY_CHANNEL);
    rcmd_int(out, rdelivery_ttl_ms(s));
    rput48(until, now_ms + rdelivery_ttl_ms(s));
    rcmd_arg(out, until, sizeof(until));
    rcmd_int(out, slots.n);
    rcmd_int(out, n);
    rcmd_int(out, n_projects);
    rcmd_int(out, (int64_t)c.lookups);
    rcmd_int(out, shape_of(items, n, &slots));
    put_metas(out, items, n, &slots, now_ms);
    rcmd_arg(out, slots.of, n);
    for (unsigned i = 0; i < slots.n; i++) {
        rcmd_int(out, slots.start_ms[i]);
    }
    for (unsigned i = 0; i < n_projects; i++) {
        rcmd_int(out, now_ms);
        put_project_seen(out, scratch, projects[i]);
    }
    enum rb_code rc = rcolumns_put(s, out, scratch, items, n, slots.of, now_ms, err);
    for (unsigned i = 0; i < n; i++) {
        put_args(s, out, items[i], now_ms);
    }
    return rc;
}

static void new_one(struct ritem *it)
{
    memcpy(it->found, it->id, RKEY_RAW);
    it->what = 'N';
    it->rc = RB_OK;
    it->stage = RITEM_DONE;
    it->result = RB_ADMIT_NEW;
    it->state = it->a->retry->state;
}

static enum rb_code receive_first(const redisReply *r, struct ritem *const *items, unsigned n,
                                  struct rb_err *err)
{
    if (rreply_is(r, REDIS_REPLY_STRING) && r->len == 1 && r->str[0] == 'A') {
        for (unsigned i = 0; i < n; i++) {
            new_one(items[i]);
        }
        return RB_OK;
    }
    if (r->type != REDIS_REPLY_STRING || r->len != (size_t)n * ANSWER_BYTES) {
        return rses_odd(err);
    }
    for (unsigned i = 0; i < n; i++) {
        struct ritem *it = items[i];
        const char *answer = r->str + (size_t)i * ANSWER_BYTES;
        memcpy(it->found, answer + 1, RKEY_RAW);
        it->what = answer[0];
        it->rc = RB_OK;
        it->stage = RITEM_DONE;
        switch (answer[0]) {
        case 'N':
            new_one(it);
            break;
        case 'M':
            it->result = RB_ADMIT_MISMATCH;
            break;
        case 'U':
            it->result = RB_ADMIT_UNKNOWN;
            break;
        case 'F':
            it->rc = RB_E_FULL;
            break;
        default:
            it->stage = RITEM_SECOND;
            break;
        }
    }
    return RB_OK;
}

enum rb_code ritems_send(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                         struct ritem *const *items, unsigned n, int64_t now_ms, struct rb_err *err)
{
    if (items[0]->stage == RITEM_FIRST) {
        return send_first(s, out, scratch, items, n, now_ms, err);
    }
    ritems_send_second(s, out, scratch, items, n, now_ms);
    return RB_OK;
}

enum rb_code ritems_receive(const redisReply *r, struct ritem *const *items, unsigned n,
                            struct rb_err *err)
{
    if (rreply_is(r, REDIS_REPLY_ERROR)) {
        return rreply_error(r, err);
    }
    return items[0]->stage == RITEM_FIRST ? receive_first(r, items, n, err)
                                          : ritems_receive_second(r, items, n, err);
}

enum rb_code ritem_check(const struct ritem *it, struct rb_buf *scratch, struct rb_err *err)
{
    rb_buf_clear(scratch);
    return it->a->mode == RB_ADMIT_ENDED ? RB_OK : rb_record_encode(it->a->retry, scratch, err);
}

void ritem_finish(const struct ritem *it)
{
    struct rb_admission *a = it->a;
    a->rc = it->rc;
    a->retry_id[0] = '\0';
    if (it->rc != RB_OK) {
        return;
    }
    a->result = it->result;
    if (it->result != RB_ADMIT_UNKNOWN) {
        rid_text(it->found, a->retry_id);
        a->retry_state = it->state;
    }
}
