/* resume.c - an intent that is open already: the worker before died, or got no clear answer.
 *
 * First the builds that may be the child are looked for; then plan.c says what follows: adopt, send
 * the same token and date again, wait until every copy is dead, begin afresh, or ask a person.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#include "fault.h"

#define RB_PAUSED_AGAIN_MS 5000
#define RB_CLOCK_AGAIN_MS 15000
#define RB_MAX_CANDIDATES 32
#define RB_NOTE_BYTES 600
#define RB_NOTE_FULL 280 /* what a note of the history can show */

struct candidates {
    const struct rb_build *builds[RB_MAX_CANDIDATES];
    unsigned n;
    bool named; /* all of them, by their initiator */
};

/* One that is ours by name leaves those that only might be behind. */
static void add_candidate(struct rb_work *k, struct candidates *c, const struct rb_build *b)
{
    bool named = rb_plan_named(k->r, b) == RB_NAME_OURS;

    if (c->named && !named) {
        return;
    }
    if (named && !c->named) {
        c->n = 0;
    }
    c->named = named;
    c->builds[c->n++] = b;
}

static enum rb_code find_among(struct rb_work *k, const struct rb_look *look,
                               struct candidates *ret, struct rb_err *err)
{
    /* Copies by a named session have no key in common. */
    const char *initiator = k->r->intent.initiator != NULL
                                ? NULL
                                : rb_engine_initiator_of(k->e, k->r->intent.access_key, &k->arena);

    *ret = (struct candidates){.n = 0};
    for (unsigned i = 0; i < look->n_builds && ret->n < RB_MAX_CANDIDATES; i++) {
        char key[RB_KEY_BYTES], owner[RB_ID_BYTES];
        struct rb_build named = *look->builds[i];

        if (!k->r->decision.pipeline && !rb_plan_rerun(k->r, look->builds[i]) &&
            !rb_plan_candidate(k->r, look->builds[i], initiator)) {
            continue;
        }
        named.account = k->r->build.account;
        named.region = k->r->build.region;
        rb_build_key(&named, key);
        enum rb_code rc = rb_store_child_of(k->w->ses, key, owner, err);
        rb_engine_store_state(k->e, rc, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (owner[0] == '\0' || strcmp(owner, k->r->id) == 0) {
            add_candidate(k, ret, look->builds[i]);
        }
    }
    return RB_OK;
}

/* Where AWS does not show the name, that it is missing says nothing. */
static enum rb_code find_candidates(struct rb_work *k, const struct rb_look *look,
                                    struct candidates *ret, struct rb_err *err)
{
    const char *kept = k->r->intent.initiator;

    if (atomic_load(&k->e->unnamed)) {
        k->r->intent.initiator = NULL;
    }
    enum rb_code rc = find_among(k, look, ret, err);
    k->r->intent.initiator = kept;
    return rc;
}

/* A note holds a few names: all candidates are named, in as many notes as it takes. */
static void name_candidates(struct rb_work *k, const struct candidates *c)
{
    for (unsigned i = 0; i < c->n;) {
        RB_CLEANUP(rb_buf_release) struct rb_buf note = RB_BUF_INIT(RB_NOTE_BYTES);
        rb_buf_adds(&note, "may be the build of our call:");
        do {
            rb_buf_addf(&note, " %s", c->builds[i++]->id);
        } while (i < c->n && note.len + strlen(c->builds[i]->id) < RB_NOTE_FULL);
        rb_retry_note(k->r, rb_engine_now_ms(k->e), rb_buf_str(&note));
    }
}

static enum rb_code hold(struct rb_work *k, const struct rb_look *look, const struct candidates *c,
                         const struct rb_err *why, struct rb_err *err)
{
    char note[RB_NOTE_BYTES];

    if (look->status == RB_LOOK_OK) {
        name_candidates(k, c);
        snprintf(note, sizeof(note),
                 "%u builds may be the one that our call started: a person must look", c->n);
    } else if (look->status == RB_LOOK_CUT) {
        snprintf(note, sizeof(note),
                 "whether our call started a build cannot be seen: too many newer ones");
    } else {
        snprintf(note, sizeof(note), "whether our call started a build cannot be seen: %s",
                 why->msg);
    }
    rb_log(RB_LOG_WARN, "submit.held", RB_F("retry", k->r->id), RB_FI("candidates", c->n));
    return rb_work_finish(k, RB_STATE_HELD, note, err);
}

static enum rb_code reissue(struct rb_work *k, bool unknown, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(k->e);

    k->r->intent.unknowns += unknown ? 1 : 0;
    k->r->intent.ambiguous = false;
    k->r->intent.sends = 0;
    rb_retry_enter(k->r, RB_STATE_SCHEDULED, now_ms,
                   unknown ? "the call certainly started nothing: a new one is made"
                           : "the call never left us and its date is old: a new one is made");
    k->r->due_ms = now_ms;
    struct rb_settle s = {
        .next = RB_TASK_SUBMIT, .next_due_ms = now_ms, .close_intent = k->intent_key};
    rb_log(RB_LOG_WARN, "submit.reissue", RB_F("retry", k->r->id),
           RB_FI("issue", k->r->intent.issue), RB_FI("unknowns", k->r->intent.unknowns));
    return rb_work_settle(k, &s, true, err);
}

static enum rb_code adopt(struct rb_work *k, const struct rb_build *b, struct rb_err *err)
{
    char note[RB_NOTE_BYTES];
    enum rb_code rc;

    snprintf(note, sizeof(note), "found the build that our call started: %s", b->id);
    rc = rb_submit_running(k, b, note, err);
    if (rc == RB_OK) {
        rb_log(RB_LOG_INFO, "submit.adopted", RB_F("retry", k->r->id), RB_F("child", b->id));
    }
    return rc;
}

static enum rb_code send_again(struct rb_work *k, struct rb_err *err)
{
    if (rb_engine_is_paused(k->w, k->r->build.project)) {
        return rb_work_later(k, RB_PAUSED_AGAIN_MS, "paused: waiting for `resume`", err);
    }
    if (!rb_aws_offset_known(k->e->aws)) {
        return rb_work_later(k, RB_CLOCK_AGAIN_MS, NULL, err);
    }
    return rb_submit_send(k, err);
}

static enum rb_code follow_plan(struct rb_work *k, const struct rb_look *look, struct candidates *c,
                                const struct rb_err *why, struct rb_err *err)
{
    for (;;) {
        struct rb_plan_state state;
        struct rb_look_result seen = {.status = look->status,
                                      .began_ms = look->began_ms,
                                      .n_candidates = c->n,
                                      .named = c->named};
        rb_plan_state_of(k->r, &state);
        struct rb_plan_windows windows = k->rt->windows;
        windows.one_shot |= k->r->decision.pipeline; /* CodePipeline has no tokens */
        struct rb_plan plan = rb_plan_resume(&windows, &state, &seen, rb_aws_now_ms(k->e->aws));
        enum rb_code rc;

        if (k->r->intent.taken && plan.step != RB_PLAN_ADOPT && plan.step != RB_PLAN_HOLD) {
            return rb_pipeline_wait(k, err);
        }

        switch (plan.step) {
        case RB_PLAN_ADOPT:
            rc = adopt(k, c->builds[0], err);
            if (rc != RB_E_CONFLICT) {
                return rc;
            }
            c->n = 0; /* somebody else's after all */
            continue;
        case RB_PLAN_SEND:
            return send_again(k, err);
        case RB_PLAN_HOLD:
            return hold(k, look, c, why, err);
        case RB_PLAN_REISSUE:
            return reissue(k, true, err);
        case RB_PLAN_RESTART:
            return reissue(k, false, err);
        case RB_PLAN_GIVE_UP:
            k->r->intent.ambiguous = false;
            k->r->intent.unknowns++;
            return rb_work_finish(k, RB_STATE_DEAD,
                                  "unknown outcome: three calls got no clear answer and started "
                                  "nothing that shows",
                                  err);
        case RB_PLAN_WAIT:
        default:
            return rb_work_later(k, plan.wait_ms, NULL, err);
        }
    }
}

/* A memory that begins after the intent may be an older one that came back: that the call was sent
 * can be among what it lost. */
static enum rb_code distrust(struct rb_work *k, struct rb_err *err)
{
    int64_t birth_ms = 0;
    enum rb_code rc = rb_store_epoch(k->w->ses, rb_engine_now_ms(k->e), &birth_ms, err);

    rb_engine_store_state(k->e, rc, err);
    if (rc == RB_OK && k->r->intent.date_ms - rb_aws_offset_ms(k->e->aws) < birth_ms) {
        k->r->intent.ambiguous = true;
    }
    return rc;
}

enum rb_code rb_submit_resume(struct rb_work *k, struct rb_err *err)
{
    struct rb_look look;
    struct candidates c = {.n = 0};
    struct rb_err why = {.code = RB_OK};

    if (k->r->state != RB_STATE_SUBMITTING) {
        rb_retry_enter(k->r, RB_STATE_SUBMITTING, rb_engine_now_ms(k->e),
                       "a copy of the last call may still be under way");
    }
    if (k->r->decision.pipeline) {
        rb_pipeline_look_since(k, &look, &why);
    } else if (k->r->build.batch_arn != NULL) {
        rb_batch_look_since(k, &look, &why);
    } else {
        rb_look_since(k, &look, &why);
    }
    RB_FAULT_POINT("submit.after_search");
    if (look.rc == RB_E_CLOSED || look.rc == RB_E_FENCED) {
        return rb_err_set(err, look.rc, "%s", why.msg);
    }
    bool by_name = look.status == RB_LOOK_CUT && k->r->intent.initiator != NULL;
    if (look.status == RB_LOOK_OK || by_name) {
        enum rb_code rc = find_candidates(k, &look, &c, err);
        if (rc != RB_OK) {
            return rc;
        }
    } else if (look.status != RB_LOOK_CUT) {
        rb_log(RB_LOG_WARN, "submit.look_failed", RB_F("retry", k->r->id), RB_F("error", why.msg));
    }
    if (!rb_aws_offset_known(k->e->aws)) {
        return rb_work_later(k, RB_CLOCK_AGAIN_MS, NULL, err);
    }
    enum rb_code rc = distrust(k, err);
    if (rc != RB_OK) {
        return rc;
    }
    return follow_plan(k, &look, &c, &why, err);
}
