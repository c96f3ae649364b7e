/* admit.c - a verified event, or a person's wish, becomes one admission: decision, record, first
 * task, reports and keys. The hot path of the listener: two allocations, no I/O. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/digest.h>

#define RB_ENDED_ARENA_BYTES 4096
#define RB_AHEAD_MS 60000 /* a sender's clock may be ahead by this much */

struct admission_box {
    struct rb_admission a; /* first: the box is found from it */
    struct rb_engine *e;
    struct rb_retry *retry;
    struct rb_build ended; /* of an ENDED admission: what names the build */
    struct rb_arena arena; /* strings of an ENDED admission, which has no record */
    struct rb_delivery delivery;
    char delivery_key[RB_KEY_BYTES], token_key[RB_KEY_BYTES], fingerprint[RB_KEY_BYTES],
        build_key[RB_KEY_BYTES], intent_key[RB_KEY_BYTES];
};

static struct admission_box *box_new(struct rb_engine *e)
{
    struct admission_box *box = calloc(1, sizeof(*box));
    if (box != NULL) {
        box->e = e;
        rb_arena_init(&box->arena, RB_ENDED_ARENA_BYTES);
    }
    return box;
}

/* Decisions and final outcomes count when they were stored, not when a duplicate was thought
 * about. */
static void count_stored(const struct admission_box *box)
{
    const struct rb_admission *a = &box->a;
    const struct rb_retry *r = box->retry;
    if (a->rc != RB_OK || a->result != RB_ADMIT_NEW || r == NULL) {
        return;
    }
    if (r->decision.rule != NULL) {
        rb_count(RB_M_DECISIONS, rb_action_name(r->decision.action), r->decision.rule);
        rb_engine_used(box->e, RB_USE_RULE, r->decision.rule, NULL);
    }
    if (rb_state_terminal(r->state)) {
        rb_count(RB_M_RETRIES_TOTAL, rb_state_name(r->state), NULL);
    }
}

/* The same for the ledger: an ended build counts once, whoever tells of it. */
static void tally_stored(const struct admission_box *box)
{
    const struct rb_admission *a = &box->a;
    const struct rb_build *b = box->retry != NULL ? &box->retry->build : &box->ended;
    if (a->rc != RB_OK || a->result == RB_ADMIT_DUPLICATE || a->result == RB_ADMIT_MISMATCH ||
        (a->mode != RB_ADMIT_EVENT && a->mode != RB_ADMIT_ENDED)) {
        return;
    }
    rb_tally_ended(box->e, b);
    if (a->result == RB_ADMIT_UNKNOWN && rb_str_eq(b->status, "SUCCEEDED")) {
        rb_tally_success(box->e, b);
    } else if (a->result == RB_ADMIT_NEW && box->retry != NULL) {
        rb_tally_left(box->e, box->retry);
    }
    if (a->result == RB_ADMIT_NEW && box->retry != NULL) {
        rb_tally_failure(box->e, box->retry);
    }
}

void rb_engine_admission_free(struct rb_admission *a)
{
    if (a == NULL) {
        return;
    }
    struct admission_box *box = (struct admission_box *)a;
    count_stored(box);
    tally_stored(box);
    rb_retry_free(box->retry);
    rb_arena_release(&box->arena);
    free(box);
}

void rb_engine_admission_freep(struct rb_admission **a)
{
    rb_engine_admission_free(*a);
    *a = NULL;
}

static bool copy_delivery(struct rb_delivery *dst, const struct rb_delivery *src,
                          struct rb_arena *a)
{
    dst->source = rb_arena_strdup(a, src->source);
    dst->type = rb_arena_strdup(a, src->type);
    dst->key = rb_arena_strdup(a, src->key);
    dst->at_ms = src->at_ms;
    return (dst->source != NULL || src->source == NULL) &&
           (dst->type != NULL || src->type == NULL) && (dst->key != NULL || src->key == NULL);
}

struct rb_retry *rb_engine_retry_new(struct rb_engine *e, const struct rb_build *build,
                                     const struct rb_delivery *delivery, const char *chain,
                                     int64_t now_ms)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    unsigned shard = rb_build_shard(build);

    if (r == NULL || !rb_build_copy(&r->build, build, &r->arena) ||
        !copy_delivery(&r->source, delivery, &r->arena)) {
        return NULL;
    }
    if (r->build.arn == NULL) {
        (void)rb_build_make_arn(&r->build, &r->arena); /* without an account it has none yet */
    }
    rb_id_make(e->random, "rty_", now_ms, shard, r->id);
    if (chain != NULL) {
        memcpy(r->chain, chain, sizeof(r->chain));
    } else {
        rb_id_make(e->random, "chn_", now_ms, shard, r->chain);
    }
    r->attempt = 1;
    r->created_ms = now_ms;
    r->due_ms = now_ms;
    return RB_TAKE(r);
}

static bool add_rule_use(struct rb_retry *r, const char *rule)
{
    for (unsigned i = 0; i < r->n_rule_uses; i++) {
        if (rb_str_eq(r->rule_uses[i].rule, rule)) {
            r->rule_uses[i].count++;
            return true;
        }
    }
    if (rule == NULL || r->n_rule_uses == RB_RULE_USES_MAX) {
        return true;
    }
    const char *copy = rb_arena_strdup(&r->arena, rule);
    if (copy == NULL) {
        return false;
    }
    r->rule_uses[r->n_rule_uses++] = (struct rb_rule_use){.rule = copy, .count = 1};
    return true;
}

bool rb_engine_take_decision(struct rb_engine *e, struct rb_retry *r, const struct rb_decision *d,
                             int64_t now_ms)
{
    if (!rb_retry_set_decision(r, d)) {
        return false;
    }
    r->limit = d->limit;
    r->due_ms = now_ms;
    if (d->state == RB_STATE_SCHEDULED) {
        r->due_ms += rb_policy_delay_ms(&d->delay, r->attempt, rb_engine_random(e));
    }
    if ((d->state == RB_STATE_SCHEDULED || d->state == RB_STATE_HELD) &&
        !add_rule_use(r, d->rule)) {
        return false;
    }
    /* A scheduled one says why by its decision; where it ends or waits for a person, the history
     * says it too. */
    rb_retry_enter(r, d->state, now_ms, d->state == RB_STATE_SCHEDULED ? NULL : r->decision.reason);
    return true;
}

/* decide_or_inspect - what an event does not say, and a log that a rule wants, AWS is asked for. */
static bool decide_or_inspect(struct rb_engine *e, const struct rb_runtime *rt, struct rb_retry *r,
                              const struct rb_event *ev, int64_t now_ms)
{
    struct rb_decision d = {.needs_log = ev->needs_inspection};
    const struct rb_policy_input in = {
        .build = &r->build,
        .source = r->source.source,
        .event_at_ms = ev->at_ms,
        .now_ms = now_ms,
        .flaky = rb_engine_flaky(e, rt->policy, &r->build),
    };
    if (!ev->needs_inspection) {
        rb_policy_decide(rt->policy, &in, &r->arena, &d);
    }
    if (d.needs_log || d.state == RB_STATE_DEFERRED) { /* the inspector watches that AWS does it */
        rb_retry_enter(r, RB_STATE_RECEIVED, now_ms, NULL);
        return true;
    }
    return rb_engine_take_decision(e, r, &d, now_ms);
}

/* The common end of every admission that carries a record. */
static bool box_finish(struct admission_box *box, const struct rb_runtime *rt, int64_t now_ms)
{
    struct rb_retry *r = box->retry;

    rb_build_key(&r->build, box->build_key);
    rb_intent_key(&r->build, box->intent_key);
    box->a.build_key = box->build_key;
    box->a.intent_key = box->intent_key;
    box->a.delivery = &r->source;
    box->a.retry = r;
    box->a.task = RB_TASK_NONE;
    if (r->state == RB_STATE_RECEIVED) {
        box->a.task = RB_TASK_INSPECT;
    } else if (r->state == RB_STATE_SCHEDULED) {
        box->a.task = RB_TASK_SUBMIT;
    }
    return rb_engine_reports(rt->settings, r, now_ms, &r->arena, &box->a.reports,
                             &box->a.n_reports);
}

static void set_delivery_key(struct admission_box *box, const struct rb_delivery *d)
{
    const char *known_by = d->proved != NULL ? d->proved : d->key;
    if (known_by != NULL) {
        rb_scoped_key(d->source == NULL ? "" : d->source, known_by, strlen(known_by),
                      box->delivery_key);
        box->a.delivery_key = box->delivery_key;
    }
}

/* Whether the effect key alone tells a repeated delivery of @ev: it is held until the end of the
 * retry and effect_ttl beyond, and by then the event, whose time a repetition cannot change, is too
 * old to start anything. That saves the store a key of each delivery. */
static bool known_by_effect(const struct rb_timing *t, const struct rb_event *ev, int64_t now_ms)
{
    return ev->kind == RB_EVENT_FAILURE && !ev->needs_inspection && ev->at_ms > 0 &&
           ev->at_ms <= now_ms + RB_AHEAD_MS &&
           t->max_event_age_ms + RB_AHEAD_MS <= t->effect_ttl_ms;
}

/* A token that the sender of an event gave: known in its source alone, good for that build only. */
static void set_event_token(struct admission_box *box, const struct rb_event *ev,
                            const struct rb_delivery *d)
{
    const char *source = d->source == NULL ? "" : d->source;
    const struct rb_slice parts[] = {rb_slice_str(ev->build.id), rb_slice_str(ev->build.account),
                                     rb_slice_str(ev->build.region)};
    uint8_t digest[RB_SHA256_BYTES];
    rb_scoped_key("\nevent", source, strlen(source), box->token_key);
    rb_scoped_key(box->token_key, ev->token, strlen(ev->token), box->token_key);
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, (RB_KEY_BYTES - 1) / 2, box->fingerprint);
    box->a.token_key = box->token_key;
    box->a.token_fingerprint = box->fingerprint;
}

static bool box_ended(struct admission_box *box, const struct rb_event *ev,
                      const struct rb_delivery *delivery)
{
    box->a.mode = RB_ADMIT_ENDED;
    rb_build_key(&ev->build, box->build_key);
    box->a.build_key = box->build_key;
    box->a.delivery = &box->delivery;
    box->ended.account = rb_arena_strdup(&box->arena, ev->build.account);
    box->ended.region = rb_arena_strdup(&box->arena, ev->build.region);
    box->ended.project = rb_arena_strdup(&box->arena, ev->build.project);
    box->ended.id = rb_arena_strdup(&box->arena, ev->build.id);
    box->ended.status = rb_arena_strdup(&box->arena, ev->build.status);
    box->ended.source_version = rb_arena_strdup(&box->arena, ev->build.source_version);
    box->ended.resolved_version = rb_arena_strdup(&box->arena, ev->build.resolved_version);
    return copy_delivery(&box->delivery, delivery, &box->arena);
}

static bool box_failure(struct rb_engine *e, const struct rb_runtime *rt, struct admission_box *box,
                        const struct rb_event *ev, const struct rb_delivery *delivery,
                        int64_t now_ms)
{
    struct rb_retry *r = rb_engine_retry_new(e, &ev->build, delivery, NULL, now_ms);

    box->retry = r;
    box->a.mode = RB_ADMIT_EVENT;
    if (r == NULL) {
        return false;
    }
    return decide_or_inspect(e, rt, r, ev, now_ms) && box_finish(box, rt, now_ms);
}

enum rb_code rb_engine_admission_new(struct rb_engine *e, const struct rb_event *ev,
                                     const struct rb_delivery *delivery,
                                     struct rb_admission **ret_a, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(e);
    bool ok = false;

    if (ev->kind == RB_EVENT_NONE) {
        *ret_a = NULL;
        return RB_OK;
    }
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    struct admission_box *box = box_new(e);
    if (box == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a delivery");
    }
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = &box->a;
    a->rc = RB_E_INTERNAL; /* nothing is stored yet */
    if (ev->kind == RB_EVENT_ENDED) {
        ok = box_ended(box, ev, delivery);
    } else {
        ok = box_failure(e, rt, box, ev, delivery, now_ms);
    }
    if (!ok) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a delivery");
    }
    if (!known_by_effect(&rt->settings->timing, ev, now_ms)) {
        set_delivery_key(box, delivery);
    }
    if (!rb_str_empty(ev->token)) {
        set_event_token(box, ev, delivery);
    }
    *ret_a = RB_TAKE(a);
    return RB_OK;
}

static void person_fingerprint(const struct rb_person_request *p, char ret_key[RB_KEY_BYTES])
{
    const struct rb_slice parts[] = {
        rb_slice_str(p->build->id),
        rb_slice_str(p->build->account),
        rb_slice_str(p->build->region),
        rb_slice_str(p->callback_url),
        p->force ? RB_SLICE_LIT("force") : RB_SLICE_LIT(""),
    };
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, (RB_KEY_BYTES - 1) / 2, ret_key);
}

static bool fill_person(struct rb_retry *r, const struct rb_person_request *p)
{
    const char *who = rb_str_empty(p->caller) ? "api" : p->caller;

    r->requested_by = rb_arena_strdup(&r->arena, who);
    r->request_reason = rb_arena_strdup(&r->arena, p->reason);
    r->callback_url = rb_arena_strdup(&r->arena, p->callback_url);
    r->reply = rb_arena_strdup(&r->arena, p->reply);
    r->channel = rb_arena_strdup(&r->arena, p->channel);
    r->force = p->force;
    return r->requested_by != NULL && (r->request_reason != NULL || p->reason == NULL) &&
           (r->callback_url != NULL || p->callback_url == NULL) &&
           (r->reply != NULL || p->reply == NULL) && (r->channel != NULL || p->channel == NULL);
}

/* Whoever asks the same again within a moment has clicked twice: without a token of its own a
 * request has one that is known for that moment, so that the second is the first, though that may
 * have ended or be forced. A line end keeps it apart from the tokens of any caller. */
static void set_double_click(struct admission_box *box, const struct rb_person_request *p,
                             int64_t window_ms)
{
    if (window_ms <= 0) {
        return;
    }
    person_fingerprint(p, box->fingerprint);
    rb_scoped_key("\ndouble click", box->retry->requested_by, strlen(box->retry->requested_by),
                  box->token_key);
    rb_scoped_key(box->token_key, box->fingerprint, strlen(box->fingerprint), box->token_key);
    box->a.token_key = box->token_key;
    box->a.token_fingerprint = box->fingerprint;
    box->a.token_ttl_ms = window_ms;
}

enum rb_code rb_engine_person_new(struct rb_engine *e, const struct rb_person_request *p,
                                  struct rb_admission **ret_a, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(e);
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    struct admission_box *box = box_new(e);
    if (box == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = &box->a;
    a->rc = RB_E_INTERNAL;
    a->mode = p->force ? RB_ADMIT_FORCE : RB_ADMIT_PERSON;
    box->retry = rb_engine_retry_new(e, p->build, &p->delivery, NULL, now_ms);
    if (box->retry == NULL || !fill_person(box->retry, p)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    rb_retry_enter(box->retry, RB_STATE_RECEIVED, now_ms, NULL);
    if (!rb_str_empty(p->token)) {
        rb_scoped_key(box->retry->requested_by, p->token, strlen(p->token), box->token_key);
        person_fingerprint(p, box->fingerprint);
        a->token_key = box->token_key;
        a->token_fingerprint = box->fingerprint;
    } else {
        set_double_click(box, p, rt->settings->timing.double_click_ms);
    }
    if (!box_finish(box, rt, now_ms)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    *ret_a = RB_TAKE(a);
    return RB_OK;
}

void rb_engine_person_continue(struct rb_admission *a, const struct rb_retry *parent)
{
    struct rb_retry *r = ((struct admission_box *)a)->retry;

    memcpy(r->previous, parent->id, sizeof(r->previous));
    memcpy(r->chain, parent->chain, sizeof(r->chain));
    r->attempt = parent->attempt + 1;
    a->rc = RB_E_INTERNAL;
}

/* What the parent of an attempt hands on. */
static bool inherit(struct rb_retry *next, const struct rb_retry *r)
{
    memcpy(next->previous, r->id, sizeof(next->previous));
    next->attempt = r->attempt + 1;
    for (unsigned i = 0; i < r->n_rule_uses; i++) {
        const char *rule = rb_arena_strdup(&next->arena, r->rule_uses[i].rule);
        if (rule == NULL) {
            return false;
        }
        next->rule_uses[i] = (struct rb_rule_use){.rule = rule, .count = r->rule_uses[i].count};
    }
    next->n_rule_uses = r->n_rule_uses;
    next->callback_url = rb_arena_strdup(&next->arena, r->callback_url);
    next->reply = rb_arena_strdup(&next->arena, r->reply);
    next->channel = rb_arena_strdup(&next->arena, r->channel);
    return (next->callback_url != NULL || r->callback_url == NULL) &&
           (next->reply != NULL || r->reply == NULL) &&
           (next->channel != NULL || r->channel == NULL);
}

enum rb_code rb_engine_follow_on(struct rb_engine *e, const struct rb_runtime *rt,
                                 const struct rb_retry *r, const struct rb_build *child,
                                 const struct rb_decision *d, int64_t now_ms,
                                 struct rb_admission **ret_a, struct rb_err *err)
{
    struct admission_box *box = box_new(e);
    if (box == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the next attempt");
    }
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = &box->a;
    a->rc = RB_E_INTERNAL;
    a->mode = RB_ADMIT_EVENT;
    box->retry = rb_engine_retry_new(e, child, &r->source, r->chain, now_ms);
    bool ok = box->retry != NULL && inherit(box->retry, r);
    if (ok && d->state == RB_STATE_DEFERRED) {
        rb_retry_enter(box->retry, RB_STATE_RECEIVED, now_ms, NULL);
    } else {
        ok = ok && rb_engine_take_decision(e, box->retry, d, now_ms);
    }
    if (!ok || !box_finish(box, rt, now_ms)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the next attempt");
    }
    *ret_a = RB_TAKE(a);
    return RB_OK;
}
