/* batch.c - the call that was never made, for a failed build that is part of a batch.
 *
 * A retry of one build alone would not change its batch, so RetryBuildBatch runs all failed builds
 * of the batch again. The effect is the batch and its run: of the retries of its failed builds one
 * leads and makes the call, the others end as its duplicates. Who leads is decided by a key of the
 * store, as a token is. CodeBuild refuses to retry a batch that runs, so the leader waits for its
 * end. That a build is part of a batch is not in its events: the look before the call shows it.
 *
 * Each failed build was judged by the rules for itself, so the first one that they let through
 * leads; what it asks for (RetryBuild or StartBuild) makes no difference here. The next attempt of
 * the chain is made by the follower, when the batch has ended again.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#define RB_BATCH_LEADERS 8
#define RB_BATCH_NOTE_BYTES 600

static bool by_person(const struct rb_retry *r)
{
    return r->requested_by != NULL;
}

/* ---- who leads ---- */

/* A key of the store that points at the first retry that asked for it. */
struct claim {
    struct rb_retry *stand_in; /* what would be created if the build's own key had been lost */
    char key[RB_KEY_BYTES], build_key[RB_KEY_BYTES];
    struct rb_admission a;
};

static void claim_release(struct claim *c)
{
    rb_retry_free(c->stand_in);
}

/* @n counts the leaders that ended without a call. */
static enum rb_code claim_init(struct rb_work *k, unsigned n, struct claim *c, struct rb_err *err)
{
    char text[RB_KEY_BYTES + 16];
    int64_t now_ms = rb_engine_now_ms(k->e);

    snprintf(text, sizeof(text), "%s %u", k->build_key, n);
    rb_scoped_key("\nretry of a run of a batch", text, strlen(text), c->key);
    rb_build_key(&k->r->build, c->build_key);
    c->stand_in = rb_engine_retry_new(k->e, &k->r->build, &k->r->source, k->r->chain, now_ms);
    if (c->stand_in == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a claim of '%s'", k->r->id);
    }
    rb_retry_enter(c->stand_in, RB_STATE_SUPERSEDED, now_ms, k->r->id);
    c->a = (struct rb_admission){
        .mode = RB_ADMIT_EVENT,
        .token_key = c->key,
        .token_fingerprint = c->key,
        .build_key = c->build_key,
        .intent_key = k->intent_key,
        .retry = c->stand_in,
    };
    return RB_OK;
}

static enum rb_code claim_ask(struct rb_work *k, struct claim *c, struct rb_err *err)
{
    struct rb_admission *items[] = {&c->a};
    enum rb_code rc = rb_store_admit(k->w->ses, items, 1, rb_engine_now_ms(k->e), err);

    rb_engine_store_state(k->e, rc, err);
    return rc == RB_OK && c->a.rc != RB_OK
               ? rb_err_set(err, c->a.rc, "the store did not take a claim of '%s'", k->r->id)
               : rc;
}

/* The first asking makes our own build's key point at us, and with it the claim; the second says
 * whose it was then: two who ask at once both hear the same. */
static enum rb_code claim_leader(struct rb_work *k, struct claim *c, struct rb_err *err)
{
    enum rb_code rc = claim_ask(k, c, err);
    return rc == RB_OK ? claim_ask(k, c, err) : rc;
}

static enum rb_code superseded_by(struct rb_work *k, const char *why, const char *leader,
                                  struct rb_err *err)
{
    char note[RB_BATCH_NOTE_BYTES];

    snprintf(note, sizeof(note), "%s %s", why, leader);
    return rb_work_finish(k, RB_STATE_SUPERSEDED, note, err);
}

/* Our delivery is listed with the leader, and our own record ends. */
static enum rb_code join(struct rb_work *k, struct claim *c, const struct rb_retry *leader,
                         struct rb_err *err)
{
    if (!rb_str_eq(k->r->source.type, "sweep")) { /* which is no delivery */
        c->a.delivery = &k->r->source;
        enum rb_code rc = claim_ask(k, c, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    rb_log(RB_LOG_INFO, "batch.joined", RB_F("retry", k->r->id), RB_F("leader", leader->id));
    return superseded_by(k, "the failed builds of the batch are run again together by", leader->id,
                         err);
}

/* May another lead though this one has: it ended without a call, or a person asks anew. */
static bool gives_way(const struct rb_work *k, const struct rb_retry *leader)
{
    return rb_state_terminal(leader->state) &&
           (by_person(k->r) || (leader->state == RB_STATE_SUPERSEDED && !leader->has_child));
}

static enum rb_code take_lead(struct rb_work *k, bool *ret_leads, struct rb_err *err)
{
    *ret_leads = false;
    for (unsigned n = 0; n < RB_BATCH_LEADERS; n++) {
        RB_CLEANUP(claim_release) struct claim c = {.stand_in = NULL};
        RB_CLEANUP(rb_retry_freep) struct rb_retry *leader = NULL;

        enum rb_code rc = claim_init(k, n, &c, err);
        if (rc == RB_OK) {
            rc = claim_leader(k, &c, err);
        }
        if (rc != RB_OK) {
            return rc;
        }
        if (strcmp(c.a.retry_id, k->r->id) == 0) {
            *ret_leads = true;
            return RB_OK;
        }
        rc = rb_store_get(k->w->ses, c.a.retry_id, &leader, err);
        if (rc == RB_E_NOT_FOUND || (rc == RB_OK && gives_way(k, leader))) {
            continue;
        }
        return rc == RB_OK ? join(k, &c, leader, err) : rc;
    }
    return rb_work_finish(k, RB_STATE_REFUSED,
                          "the batch was asked to be run again too often without success", err);
}

/* ---- what ends it before the call ---- */

static enum rb_code wake_follower(struct rb_work *k, struct rb_err *err)
{
    struct rb_admission a = {.mode = RB_ADMIT_ENDED, .build_key = k->build_key};
    struct rb_admission *items[] = {&a};
    enum rb_code rc = rb_store_admit(k->w->ses, items, 1, rb_engine_now_ms(k->e), err);

    rb_engine_store_state(k->e, rc, err);
    if (rc == RB_OK) {
        rb_engine_wake(k->e, RB_TASK_FOLLOW);
    }
    return rc;
}

/* The run in which the build failed was started by one of our retries: its follower judges the
 * batch when that has ended, for all of its builds. A person may go on with the chain then. */
static enum rb_code check_owner(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    char owner[RB_ID_BYTES] = "";
    bool joined = false;

    enum rb_code rc = rb_store_child_of(k->w->ses, k->build_key, owner, err);
    rb_engine_store_state(k->e, rc, err);
    if (rc != RB_OK || owner[0] == '\0' || strcmp(owner, k->r->previous) == 0 ||
        strcmp(owner, k->r->id) == 0) {
        return rc;
    }
    if (by_person(k->r)) {
        rc = rb_chain_join(k, owner, &joined, err);
        *ret_ended = !joined;
        return rc;
    }
    *ret_ended = true;
    rc = wake_follower(k, err);
    return rc == RB_OK
               ? superseded_by(k, "this run of the batch is followed, and judged as a whole, by",
                               owner, err)
               : rc;
}

/* Did the batch run this very build again, since it failed? */
static bool is_replaced(const struct rb_retry *r, const struct rb_batch *own)
{
    if (r->build.run_ms != 0 && r->build.run_ms != own->b.run_ms) {
        return true;
    }
    for (unsigned i = 0; i < own->n_members; i++) {
        if (rb_str_eq(own->members[i].id, r->build.id)) {
            return !own->members[i].newest;
        }
    }
    return false;
}

/* Late: the call for this failure was made. Where it was one of ours, it is listed there. */
static enum rb_code replaced(struct rb_work *k, struct rb_err *err)
{
    RB_CLEANUP(claim_release) struct claim c = {.stand_in = NULL};
    RB_CLEANUP(rb_retry_freep) struct rb_retry *leader = NULL;
    char owner[RB_ID_BYTES] = "";

    enum rb_code rc = rb_store_child_of(k->w->ses, k->build_key, owner, err);
    if (rc == RB_OK && owner[0] != '\0') {
        rc = rb_store_get(k->w->ses, owner, &leader, err);
        rc = rc == RB_E_NOT_FOUND ? RB_OK : rc;
    }
    if (rc != RB_OK) {
        rb_engine_store_state(k->e, rc, err);
        return rc;
    }
    if (leader == NULL || rb_state_terminal(leader->state)) {
        return rb_work_finish(k, RB_STATE_SUPERSEDED,
                              "the batch has been run again since this failure", err);
    }
    rc = claim_init(k, 0, &c, err);
    if (rc != RB_OK) {
        return rc;
    }
    c.a.token_key = NULL; /* the leader's own build is its key, while it lives */
    c.a.token_fingerprint = NULL;
    rb_build_key(&leader->build, c.build_key);
    return join(k, &c, leader, err);
}

static enum rb_code judge_run(struct rb_work *k, const struct rb_batch *own, bool *ret_ended,
                              struct rb_err *err)
{
    struct rb_retry *r = k->r;
    bool leads = false;

    *ret_ended = true;
    struct rb_build run = own->b;
    run.account = r->build.account;
    run.region = r->build.region;
    rb_build_key(&run, k->build_key);
    if (is_replaced(r, own)) {
        return replaced(k, err);
    }
    r->build.run_ms = own->b.run_ms;
    *ret_ended = false;
    enum rb_code rc = check_owner(k, ret_ended, err);
    if (rc != RB_OK || *ret_ended) {
        return rc;
    }
    rc = take_lead(k, &leads, err);
    *ret_ended = !leads;
    return rc;
}

static enum rb_code judge_state(struct rb_work *k, const struct rb_batch *own, bool *ret_ended,
                                struct rb_err *err)
{
    char note[RB_BATCH_NOTE_BYTES];

    *ret_ended = true;
    if (!rb_build_ended(&own->b)) {
        return rb_work_later(k, k->rt->settings->timing.follow_poll_ms,
                             "the batch of this build still runs: its failed builds are run again "
                             "together when it has ended",
                             err);
    }
    if (rb_str_eq(own->b.status, "SUCCEEDED") || (!rb_build_failed(&own->b) && !by_person(k->r))) {
        snprintf(note, sizeof(note), "the batch ended as %s: there is nothing to retry",
                 own->b.status);
        return rb_work_finish(k, RB_STATE_REFUSED, note, err);
    }
    *ret_ended = false;
    return RB_OK;
}

/* A look that must show our batch; *ret_ended when the retry was dealt with. */
static enum rb_code look(struct rb_work *k, bool others, struct rb_batch_look *l, bool *ret_ended,
                         struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};
    char note[RB_BATCH_NOTE_BYTES];

    *ret_ended = true;
    rb_batch_look(k, others, 0, l, &why);
    if (l->look.status == RB_LOOK_FAILED) {
        return rb_fresh_look_failed(k, &l->look, &why, err);
    }
    if (l->look.status == RB_LOOK_DENIED) {
        snprintf(note, sizeof(note), "CodeBuild does not show the batch of the build: %s", why.msg);
        return rb_work_finish(k, RB_STATE_REFUSED, note, err);
    }
    if (l->own == NULL) {
        return rb_fresh_not_shown(k, "CodeBuild does not show the batch of the build",
                                  "CodeBuild does not know the batch of this build", err);
    }
    *ret_ended = false;
    return RB_OK;
}

enum rb_code rb_batch_fresh(struct rb_work *k, bool strict, struct rb_err *err)
{
    struct rb_batch_look l;
    bool ended = false;

    if (rb_batch_id(k->r->build.batch_arn) == NULL) {
        return rb_work_finish(k, RB_STATE_REFUSED,
                              "CodeBuild names a batch of this build that cannot be read", err);
    }
    enum rb_code rc = look(k, false, &l, &ended, err);
    if (rc == RB_OK && !ended) {
        rc = judge_run(k, l.own, &ended, err);
    }
    if (rc == RB_OK && !ended) {
        rc = judge_state(k, l.own, &ended, err);
    }
    if (rc == RB_OK && !ended) { /* its number, and those of newer ones */
        rc = look(k, true, &l, &ended, err);
    }
    if (rc != RB_OK || ended) {
        return rc;
    }
    if (l.own->b.run_ms != k->r->build.run_ms || !rb_build_ended(&l.own->b)) {
        return rb_work_later(k, 0, "the batch was run again while we looked", err);
    }
    if (!by_person(k->r)) {
        if (strict && l.look.status == RB_LOOK_CUT) {
            return rb_work_finish(k, RB_STATE_HELD,
                                  "too many newer batches to see whether one of them is a retry "
                                  "that was forgotten",
                                  err);
        }
        rc = rb_fresh_check_newer(k, &l.own->b, &l.look, strict, &ended, err);
        if (rc != RB_OK || ended) {
            return rc;
        }
    }
    return rb_fresh_intent_and_send(k, l.look.highest, err);
}
