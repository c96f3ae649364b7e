/* batch.c - the call that was never made, for a failed build that is part of a batch.
 *
 * A retry of one build alone would not change its batch, so RetryBuildBatch runs all failed builds
 * of the batch again. The effect is the batch and its run: of the retries of its failed builds one
 * leads and makes the call, the others end as its duplicates (lead.c). CodeBuild refuses to retry a
 * batch that runs, so the leader waits for its end. That a build is part of a batch is not in its
 * events: the look before the call shows it.
 *
 * Each failed build was judged by the rules for itself, so the first one that they let through
 * leads; what it asks for (RetryBuild or StartBuild) makes no difference here. The next attempt of
 * the chain is made by the follower, when the batch has ended again.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#define RB_BATCH_NOTE_BYTES 600

static const char together[] = "the failed builds of the batch are run again together by";

static bool by_person(const struct rb_retry *r)
{
    return r->requested_by != NULL;
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
    char note[RB_BATCH_NOTE_BYTES];
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
    snprintf(note, sizeof(note), "this run of the batch is followed, and judged as a whole, by %s",
             owner);
    return rc == RB_OK ? rb_work_finish(k, RB_STATE_SUPERSEDED, note, err) : rc;
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
    return rb_lead_join(k, leader, together, err);
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
    char what[RB_KEY_BYTES + 32];
    snprintf(what, sizeof(what), "run of a batch %s", k->build_key);
    rc = rb_lead_take(k, what, together, &leads, err);
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
