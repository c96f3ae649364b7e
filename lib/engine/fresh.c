/* fresh.c - a call that was never made: everything that is looked at before, then the intent.
 *
 * Nothing here calls RetryBuild without a look at AWS that succeeded, and without an intent in the
 * store. What ends a retry before its call: paused, quarantine, not known, still running, AWS's own
 * auto-retry, a newer build, a build that is somebody's child.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#include "fault.h"

#define RB_PAUSED_AGAIN_MS 5000
#define RB_NOT_SHOWN_TIMES 2
#define RB_NOT_SHOWN_AGAIN_MS 1000
#define RB_BUSY_FROM_MS 200
#define RB_BUSY_TO_MS 2000
#define RB_BUSY_MOST_MS 5000
#define RB_CLOCK_AGAIN_MS 15000
#define RB_NOTE_BYTES 600

static bool by_person(const struct rb_retry *r)
{
    return r->requested_by != NULL;
}

static int64_t waited_ms(const struct rb_work *k)
{
    int64_t ms = rb_engine_now_ms(k->e) - k->r->due_ms;
    return ms < 0 ? 0 : ms;
}

/* Another retry has the intent for this project and source version: soon, then less often. */
enum rb_code rb_fresh_busy(struct rb_work *k, struct rb_err *err)
{
    int64_t most_ms = waited_ms(k) / 2;
    most_ms = most_ms < RB_BUSY_TO_MS ? RB_BUSY_TO_MS : most_ms;
    most_ms = most_ms > RB_BUSY_MOST_MS ? RB_BUSY_MOST_MS : most_ms;
    return rb_work_later(k, rb_engine_jitter_ms(k->e, RB_BUSY_FROM_MS, most_ms),
                         "another retry of this project and source version is being submitted",
                         err);
}

/* AWS could not be asked: with growing pauses, for ever; the note is written once. */
enum rb_code rb_fresh_look_failed(struct rb_work *k, const struct rb_look *look,
                                  const struct rb_err *why, struct rb_err *err)
{
    char note[RB_NOTE_BYTES];

    if (look->rc == RB_E_CLOSED || look->rc == RB_E_FENCED) {
        return rb_err_set(err, look->rc, "%s", why->msg);
    }
    int64_t most_ms = waited_ms(k) / 2;
    most_ms = most_ms < 1000 ? 1000 : most_ms;
    most_ms = most_ms > 30000 ? 30000 : most_ms;
    rb_work_not_asked(look->rc, why, note, sizeof(note));
    rb_log(RB_LOG_WARN, "submit.look_failed", RB_F("retry", k->r->id), RB_F("error", why->msg));
    return rb_work_later(k, rb_engine_jitter_ms(k->e, 300, most_ms), note, err);
}

enum rb_code rb_fresh_not_shown(struct rb_work *k, const char *what, const char *end,
                                struct rb_err *err)
{
    char note[RB_NOTE_BYTES];
    unsigned n = rb_work_count_notes(k->r, what);

    if (n < RB_NOT_SHOWN_TIMES) {
        snprintf(note, sizeof(note), "%s, asking again (%u of %d)", what, n + 1,
                 RB_NOT_SHOWN_TIMES);
        return rb_work_later(k, RB_NOT_SHOWN_AGAIN_MS, note, err);
    }
    return rb_work_finish(k, RB_STATE_REFUSED, end, err);
}

static int64_t ended_by_our_clock(const struct rb_work *k)
{
    const struct rb_build *b = &k->r->build;
    return b->ended_ms > 0 ? b->ended_ms - rb_aws_offset_ms(k->e->aws) : k->r->created_ms;
}

/* An event tells whole seconds, and so does the Date that the clocks are compared by. */
#define UNSURE_MS 2000

struct epoch_view {
    bool strict;      /* the build ended before the store's memory begins */
    bool unsure;      /* the end is known too coarsely to say: CodeBuild is asked first */
    int64_t until_ms; /* the quarantine's end, 0 = none */
};

/* Did the store lose its memory since the build ended? Then copies of a call that nobody remembers
 * may still live. Asked anew each time: a memory can be lost between two submits. */
static enum rb_code check_epoch(struct rb_work *k, struct epoch_view *ret, struct rb_err *err)
{
    int64_t birth_ms = 0;
    int64_t now_ms = rb_engine_now_ms(k->e);
    enum rb_code rc = rb_store_epoch(k->w->ses, now_ms, &birth_ms, err);

    rb_engine_store_state(k->e, rc, err);
    if (rc != RB_OK) {
        return rc;
    }
    int64_t ended_ms = ended_by_our_clock(k);
    ret->strict = ended_ms < birth_ms;
    ret->until_ms =
        rb_plan_quarantine_until(ended_ms, birth_ms, k->rt->settings->timing.quarantine_ms, now_ms);
    ret->unsure =
        ret->until_ms > 0 && k->r->build.ended_ms % 1000 == 0 && birth_ms - ended_ms < UNSURE_MS;
    return RB_OK;
}

static enum rb_code quarantined(struct rb_work *k, const struct epoch_view *v, struct rb_err *err)
{
    return rb_work_later(k, v->until_ms - rb_engine_now_ms(k->e),
                         "the build ended before the store's memory begins: waiting until no "
                         "earlier call can be under way",
                         err);
}

static bool is_branch_like(const char *v)
{
    return !rb_str_empty(v) && !(strlen(v) == 40 && strspn(v, "0123456789abcdefABCDEF") == 40);
}

/* Everything that ends a submit before its call; *ret_ended when it did. */
static enum rb_code judge_build(struct rb_work *k, const struct rb_look *look, bool strict,
                                bool *ret_ended, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    char note[RB_NOTE_BYTES];

    *ret_ended = true;
    if (look->own == NULL) {
        return rb_fresh_not_shown(k, "CodeBuild does not show the build",
                                  "CodeBuild does not know this build", err);
    }
    if (!rb_facts_merge(&r->build, look->own, &r->arena)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the facts of '%s'", r->id);
    }
    rb_intent_key(&r->build, k->intent_key);
    if (!rb_build_ended(&r->build)) {
        return rb_fresh_not_shown(k, "CodeBuild shows the build as still running",
                                  "the build is still running", err);
    }
    if (!rb_build_failed(&r->build) && !by_person(r)) {
        snprintf(note, sizeof(note), "the build ended as %s: there is nothing to retry",
                 r->build.status);
        return rb_work_finish(k, RB_STATE_REFUSED, note, err);
    }
    bool joined = false;
    enum rb_code rc = rb_lineage_join(k, &joined, err);
    *ret_ended = false;
    if (rc == RB_OK && !r->force) {
        rc = rb_lineage_left_to_aws(k, ret_ended, err);
    }
    if (rc == RB_OK && joined && !*ret_ended) {
        bool go_on = true;
        rc = rb_chain_decide_again(k, &go_on, err);
        *ret_ended = !go_on;
    }
    if (rc != RB_OK || *ret_ended) {
        return rc;
    }
    if (by_person(r) || r->build.batch_arn != NULL) {
        return RB_OK; /* what is newer than a batch, its own look shows */
    }
    if (strict && look->status == RB_LOOK_CUT) {
        *ret_ended = true;
        return rb_work_finish(k, RB_STATE_HELD,
                              "too many newer builds to see whether one of them is a retry that "
                              "was forgotten",
                              err);
    }
    return rb_fresh_check_newer(k, &r->build, look, strict, ret_ended, err);
}

/* Our own build turns out to be somebody's child. */
static enum rb_code own_is_child(struct rb_work *k, const char *owner, bool *ret_again,
                                 struct rb_err *err)
{
    enum rb_code rc = rb_chain_join(k, owner, ret_again, err);
    if (rc == RB_OK && *ret_again) {
        rc = rb_chain_decide_again(k, ret_again, err);
    }
    return rc;
}

/* In whose name every copy of the new issue is signed. */
static enum rb_code choose_initiator(struct rb_work *k, const char **ret_initiator,
                                     struct rb_err *err)
{
    *ret_initiator = NULL;
    /* A batch shows who started it first, CodePipeline signs for itself. */
    if (atomic_load(&k->e->unnamed) || k->r->decision.pipeline || k->r->build.batch_arn != NULL) {
        return RB_OK;
    }
    return rb_aws_session_initiator(k->e->aws, k->r->build.account, k->r->id, &k->r->arena,
                                    ret_initiator, err);
}

static enum rb_code write_intent(struct rb_work *k, int64_t low_water, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    int64_t now_ms = rb_engine_now_ms(k->e);
    const char *initiator = NULL;

    enum rb_code chosen = choose_initiator(k, &initiator, err);
    if (chosen != RB_OK) {
        return chosen;
    }
    for (;;) {
        __typeof__(r->intent) was = r->intent;
        unsigned n_history = r->n_history;
        bool again = false;

        r->intent.issue++;
        r->intent.date_ms = rb_plan_date(&k->rt->windows, rb_aws_now_ms(k->e->aws));
        r->intent.written_ms = now_ms;
        r->intent.low_water = low_water;
        r->intent.ambiguous = false;
        r->intent.sends = 0;
        r->intent.access_key = NULL;
        r->intent.initiator = initiator;
        rb_retry_enter(r, RB_STATE_SUBMITTING, now_ms, NULL);
        struct rb_settle s = {
            .keep_lease = true,
            .open_intent = k->intent_key,
            .not_a_child = k->build_key,
        };
        /* Not stubborn: a copy of this write that comes late must find another fence. */
        enum rb_code rc = rb_work_settle(k, &s, false, err);
        if (rc != RB_E_CONFLICT) {
            return rc;
        }
        r->state = k->state_stored;
        r->intent = was;
        r->n_history = n_history < r->n_history ? n_history : r->n_history - 1;
        if (s.conflict == RB_CONFLICT_INTENT) {
            rc = rb_fresh_busy(k, err);
            return rc == RB_OK ? RB_E_CONFLICT : rc;
        }
        if (s.conflict != RB_CONFLICT_CHILD) {
            return rb_err_set(err, RB_E_INTERNAL, "intent of '%s' was refused", r->id);
        }
        rc = own_is_child(k, s.other_id, &again, err);
        if (rc != RB_OK || !again) {
            return rc == RB_OK ? RB_E_CONFLICT : rc;
        }
    }
}

enum rb_code rb_fresh_intent_and_send(struct rb_work *k, int64_t low_water, struct rb_err *err)
{
    bool ended = false;
    enum rb_code rc = rb_head_check(k, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    rc = rb_gate_take(k, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    rc = write_intent(k, low_water, err);
    if (rc != RB_OK) {
        return rc == RB_E_CONFLICT ? RB_OK : rc; /* dealt with */
    }
    RB_FAULT_POINT("submit.after_intent");
    return rb_submit_send(k, err);
}

static enum rb_code look_and_judge(struct rb_work *k, bool strict, struct rb_look *look,
                                   bool *ret_ended, struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};
    char note[RB_NOTE_BYTES];
    bool all = !by_person(k->r) && (strict || is_branch_like(k->r->build.source_version));

    *ret_ended = true;
    rb_look_fresh(k, all, look, &why);
    if (look->status == RB_LOOK_OK && !all && !by_person(k->r) && look->own != NULL &&
        is_branch_like(look->own->source_version)) {
        rb_look_fresh(k, true, look, &why); /* only now it is known to be a branch */
    }
    if (look->status == RB_LOOK_FAILED) {
        return rb_fresh_look_failed(k, look, &why, err);
    }
    if (look->status == RB_LOOK_DENIED) {
        snprintf(note, sizeof(note), "CodeBuild does not show the build: %s", why.msg);
        return rb_work_finish(k, RB_STATE_REFUSED, note, err);
    }
    RB_FAULT_POINT("submit.after_look");
    enum rb_code rc = judge_build(k, look, strict, ret_ended, err);
    if (rc != RB_OK || *ret_ended) {
        return rc;
    }
    if (!rb_aws_offset_known(k->e->aws)) {
        *ret_ended = true;
        return rb_work_later(k, RB_CLOCK_AGAIN_MS,
                             "CodeBuild's answers carry no date: the clocks cannot be compared",
                             err);
    }
    return RB_OK;
}

/* Whether the build ended before our memory began is a question for one clock: the first submit of
 * a process asks AWS something first, to learn how the clocks differ. */
static enum rb_code learn_clock(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    struct rb_fetch f = {
        .account = k->r->build.account, .region = k->r->build.region, .id = k->r->build.id};
    struct rb_look look = {.status = RB_LOOK_FAILED};

    if (rb_aws_offset_known(k->e->aws)) {
        return RB_OK;
    }
    rb_fetch_builds(k->w, &f, 1, &k->arena);
    if (f.rc == RB_OK || rb_aws_offset_known(k->e->aws)) {
        return RB_OK;
    }
    *ret_ended = true;
    look.rc = f.rc;
    return rb_fresh_look_failed(k, &look, &f.err, err);
}

/* The end in whole seconds lies too close to the birth: CodeBuild tells it to the millisecond. */
static enum rb_code learn_end(struct rb_work *k, struct epoch_view *v, bool *ret_ended,
                              struct rb_err *err)
{
    struct rb_fetch f = {
        .account = k->r->build.account, .region = k->r->build.region, .id = k->r->build.id};

    rb_fetch_builds(k->w, &f, 1, &k->arena);
    if (f.rc != RB_OK) {
        const struct rb_look look = {.status = RB_LOOK_FAILED, .rc = f.rc};
        *ret_ended = true;
        return rb_fresh_look_failed(k, &look, &f.err, err);
    }
    if (f.build != NULL && !rb_facts_merge(&k->r->build, f.build, &k->r->arena)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the facts of '%s'", k->r->id);
    }
    return check_epoch(k, v, err);
}

enum rb_code rb_submit_fresh(struct rb_work *k, struct rb_err *err)
{
    struct rb_look look;
    struct epoch_view epoch = {.strict = false};
    bool ended = false;

    if (rb_engine_is_paused(k->w, k->r->build.project)) {
        return rb_work_later(k, RB_PAUSED_AGAIN_MS, "paused: waiting for `resume`", err);
    }
    enum rb_code rc = learn_clock(k, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    rc = check_epoch(k, &epoch, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (epoch.unsure) {
        rc = learn_end(k, &epoch, &ended, err);
        if (rc != RB_OK || ended) {
            return rc;
        }
    }
    if (epoch.until_ms > 0) {
        return quarantined(k, &epoch, err);
    }
    rc = rb_gate_look(k, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    if (k->r->decision.pipeline) {
        return rb_pipeline_fresh(k, err);
    }
    if (k->r->build.batch_arn != NULL) {
        return rb_batch_fresh(k, epoch.strict, err);
    }
    rc = look_and_judge(k, epoch.strict, &look, &ended, err);
    if (rc != RB_OK || ended) {
        return rc;
    }
    /* Events do not say that a build is part of a batch: the look did. */
    return k->r->build.batch_arn != NULL ? rb_batch_fresh(k, epoch.strict, err)
                                         : rb_fresh_intent_and_send(k, look.highest, err);
}
