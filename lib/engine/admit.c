/* admit.c - a verified event becomes one admission: decision, record, first task, reports and keys.
 * The hot path of the listener: two allocations, no I/O. A person's wish: admit_person.c. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/digest.h>

#include "admission.h"
#include "spans.h"

#define RB_ENDED_ARENA_BYTES 4096
#define RB_AHEAD_MS 60000 /* a sender's clock may be ahead by this much */

struct admission_box *rb_box_new(struct rb_engine *e)
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
    if (a->rc == RB_OK && a->result == RB_ADMIT_NEW && box->retry != NULL) {
        rb_spans_admitted(box->e, box->retry, !box->follows);
    }
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

bool rb_box_finish(struct admission_box *box, const struct rb_runtime *rt, int64_t now_ms)
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
    if (r == NULL || !rb_retry_take_trace(r, ev->traceparent, ev->tracestate)) {
        return false;
    }
    return decide_or_inspect(e, rt, r, ev, now_ms) && rb_box_finish(box, rt, now_ms);
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
    struct admission_box *box = rb_box_new(e);
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
    return rb_retry_inherit_trace(next, r) &&
           (next->callback_url != NULL || r->callback_url == NULL) &&
           (next->reply != NULL || r->reply == NULL) &&
           (next->channel != NULL || r->channel == NULL);
}

enum rb_code rb_engine_follow_on(struct rb_engine *e, const struct rb_runtime *rt,
                                 const struct rb_retry *r, const struct rb_build *child,
                                 const struct rb_decision *d, int64_t now_ms,
                                 struct rb_admission **ret_a, struct rb_err *err)
{
    struct admission_box *box = rb_box_new(e);
    if (box == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the next attempt");
    }
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = &box->a;
    a->rc = RB_E_INTERNAL;
    a->mode = RB_ADMIT_EVENT;
    box->follows = true;
    box->retry = rb_engine_retry_new(e, child, &r->source, r->chain, now_ms);
    bool ok = box->retry != NULL && inherit(box->retry, r);
    if (ok && d->state == RB_STATE_DEFERRED) {
        rb_retry_enter(box->retry, RB_STATE_RECEIVED, now_ms, NULL);
    } else {
        ok = ok && rb_engine_take_decision(e, box->retry, d, now_ms);
    }
    if (!ok || !rb_box_finish(box, rt, now_ms)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the next attempt");
    }
    *ret_a = RB_TAKE(a);
    return RB_OK;
}
