/* inspect.c - what an event did not say is asked of AWS; then the policy decides.
 *
 * Also the way in for a person's request, of whose build nothing but the name is known.
 */
#include "internal.h"

#include <retrybuild/counters.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "spans.h"

#define RB_INSPECT_AT_ONCE 50
#define RB_INSPECT_AGAIN_MS 1000
#define RB_INSPECT_TIMES 3
#define RB_INSPECT_NOTE_BYTES 600
#define RB_LOG_UNREAD "the build's log could not be read"
#define RB_INSPECT_ARENA_BYTES (16u * 1024 * 1024)

/* Visibility lags a little: what contradicts the event is asked again a few times. */
static enum rb_code again(struct rb_work *k, const char *what, enum rb_state end, const char *why,
                          struct rb_err *err)
{
    char note[RB_INSPECT_NOTE_BYTES];
    unsigned n = rb_work_count_notes(k->r, what);

    if (n < RB_INSPECT_TIMES) {
        snprintf(note, sizeof(note), "%s, asking again (%u of %d)", what, n + 1, RB_INSPECT_TIMES);
        return rb_work_later(k, RB_INSPECT_AGAIN_MS, note, err);
    }
    return rb_work_disown(k, end, why, err);
}

/* The policy leaves it to CodeBuild's own auto-retry, which is waited for: what it does not do is
 * decided anew. */
static enum rb_code left_to_aws(struct rb_work *k, const struct rb_decision *d, struct rb_err *err)
{
    bool ended = false;

    if (!rb_retry_set_decision(k->r, d)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the decision on '%s'", k->r->id);
    }
    enum rb_code rc = rb_lineage_left_to_aws(k, &ended, err);
    if (rc == RB_OK && !ended) { /* the time has run out just now */
        return rb_work_later(k, 1, NULL, err);
    }
    if (rc == RB_OK && k->r->state == RB_STATE_DEFERRED) {
        rb_count(RB_M_DECISIONS, rb_action_name(d->action), d->rule);
    }
    return rc;
}

static enum rb_code decide(struct rb_work *k, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    int64_t now_ms = rb_engine_now_ms(k->e);
    bool person = r->requested_by != NULL;
    struct rb_decision d = {.action = RB_ACTION_NONE};
    struct rb_policy_input in;

    rb_chain_input(r, &r->build, now_ms, &in);
    in.attempt = r->attempt - 1;
    bool patient = rb_work_count_notes(r, RB_LOG_UNREAD) < RB_INSPECT_TIMES;
    enum rb_code rc = rb_decide(k, &in, patient, &r->arena, &d, err);
    if (rc == RB_E_LATER) {
        return again(k, RB_LOG_UNREAD, RB_STATE_IGNORED, RB_LOG_UNREAD, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    if (d.state == RB_STATE_DEFERRED) {
        return left_to_aws(k, &d, err);
    }
    if (in.auto_retry_overdue) {
        rb_retry_note(r, now_ms, RB_NOTE_NOT_BY_AWS);
    }
    if (!rb_engine_take_decision(k->e, r, &d, now_ms)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the decision on '%s'", r->id);
    }
    if (person && r->state == RB_STATE_SCHEDULED) {
        r->due_ms = now_ms;
    }
    struct rb_settle s = {
        .next = r->state == RB_STATE_SCHEDULED ? RB_TASK_SUBMIT : RB_TASK_NONE,
        .next_due_ms = r->due_ms,
    };
    rc = rb_work_settle(k, &s, true, err);
    if (rc == RB_OK && r->decision.rule != NULL) {
        rb_tally_failure(k->e, r);
        rb_tally_left(k->e, r);
        rb_count(RB_M_DECISIONS, rb_action_name(r->decision.action), r->decision.rule);
        rb_engine_used(k->e, RB_USE_RULE, r->decision.rule, NULL);
        rb_spans_decided(k->e, k->rt->settings, r);
    }
    return rc;
}

/* contradicted - the claim ends and gives the failure's key back. Whoever else told of that build
 * in the meantime was answered that it is known: so the build enters again, as CodeBuild shows it.
 * A second claim of the same source does not count. The sweep does as much, minutes later. */
static enum rb_code contradicted(struct rb_work *k, const struct rb_build *seen, const char *note,
                                 struct rb_err *err)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *now = NULL;
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = NULL;
    const struct rb_delivery *other = NULL;
    enum rb_code rc = rb_work_disown(k, RB_STATE_REFUSED, note, err);

    rc = rc == RB_OK ? rb_store_get(k->w->ses, k->r->id, &now, err) : rc;
    for (unsigned i = 0; rc == RB_OK && i < now->n_deliveries; i++) {
        if (!rb_str_eq(now->deliveries[i].source, now->source.source)) {
            other = &now->deliveries[i];
        }
    }
    if (other == NULL) {
        return rc;
    }
    const struct rb_event ev = {.kind = RB_EVENT_FAILURE,
                                .build = *seen,
                                .needs_inspection = true,
                                .at_ms = seen->ended_ms};
    rc = rb_engine_admission_new(k->e, &ev, other, &a, err);
    if (rc == RB_OK) {
        a->delivery_key = NULL; /* it is known already, as one of the claim's */
        rc = rb_store_admit(k->w->ses, &a, 1, rb_engine_now_ms(k->e), err);
        rc = rc == RB_OK ? a->rc : rc;
        rb_engine_wake(k->e, RB_TASK_INSPECT);
    }
    return rc;
}

/* take_effect - who asked by an id alone did not know whose build it is: the retry was admitted
 * under a key without an account, beside that of the event of the same build. From here on it has
 * the same one, or, where the event's retry was there first, ends in its favour. What had ended
 * before somebody asked is in nobody's way. */
static enum rb_code take_effect(struct rb_work *k, bool *ret_go_on, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    char note[RB_INSPECT_NOTE_BYTES];
    int64_t effect_ttl_ms = k->rt->settings->timing.effect_ttl_ms;
    struct rb_settle s = {
        .keep_lease = true,
        .take_effect = r->force ? RB_EFFECT_FORCE : RB_EFFECT_TAKE,
        .ended_after_ms =
            r->requested_by != NULL ? r->created_ms : rb_engine_now_ms(k->e) - effect_ttl_ms,
    };

    *ret_go_on = false;
    rb_build_key(&r->build, k->build_key);
    rb_intent_key(&r->build, k->intent_key);
    enum rb_code rc = rb_work_settle(k, &s, true, err);
    if (rc == RB_E_CONFLICT && s.conflict == RB_CONFLICT_EFFECT) {
        snprintf(note, sizeof(note), "%s is the retry of this build already", s.other_id);
        return rb_work_disown(k, RB_STATE_SUPERSEDED, note, err);
    }
    *ret_go_on = rc == RB_OK;
    return rc;
}

static enum rb_code judge(struct rb_work *k, const struct rb_build *seen, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    bool person = r->requested_by != NULL;
    bool anonymous = r->build.account == NULL;
    char owner[RB_ID_BYTES] = "";
    char note[RB_INSPECT_NOTE_BYTES];

    if (seen == NULL) {
        return again(k, "CodeBuild does not show the build", RB_STATE_REFUSED,
                     "CodeBuild does not know this build", err);
    }
    if (rb_claim_contradicted(k, seen, note, sizeof(note))) {
        return contradicted(k, seen, note, err);
    }
    if (!rb_facts_merge(&r->build, seen, &r->arena)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the facts of '%s'", r->id);
    }
    if (anonymous) {
        bool go_on = false;
        enum rb_code rc = take_effect(k, &go_on, err);
        if (rc != RB_OK || !go_on) {
            return rc;
        }
    }
    if (!rb_build_ended(&r->build)) {
        if (person) {
            return rb_work_disown(k, RB_STATE_REFUSED, "the build is still running", err);
        }
        return again(k, "CodeBuild shows the build as still running", RB_STATE_IGNORED,
                     "the build is still running", err);
    }
    enum rb_code rc = rb_store_child_of(k->w->ses, k->build_key, owner, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (owner[0] != '\0' && strcmp(owner, k->r->previous) != 0) {
        bool go_on = false;
        rc = rb_chain_join(k, owner, &go_on, err);
        if (rc != RB_OK || !go_on) {
            return rc;
        }
    }
    if (!person && !rb_build_failed(&r->build)) {
        snprintf(note, sizeof(note), "the build ended as %s", r->build.status);
        return rb_work_finish(k, RB_STATE_IGNORED, note, err);
    }
    bool joined = false;
    rc = rb_lineage_join(k, &joined, err);
    return rc == RB_OK ? decide(k, err) : rc;
}

static void inspect_one(struct rb_work *k, const struct rb_fetch *f, int64_t began_ms)
{
    struct rb_err err = {.code = RB_OK};
    char note[RB_INSPECT_NOTE_BYTES];
    enum rb_code rc;

    if (k->task->tries > RB_MAX_TRIES) {
        rc = rb_work_finish(k, RB_STATE_DEAD,
                            "a hundred workers took this up and none lived to settle it", &err);
    } else if (f->rc == RB_OK) {
        rc = judge(k, f->build, &err);
    } else if (f->rc == RB_E_CLOSED) {
        rc = rb_err_set(&err, RB_E_CLOSED, "stopping");
    } else if (f->rc == RB_E_REFUSED || f->rc == RB_E_NOT_FOUND || f->rc == RB_E_INVALID) {
        snprintf(note, sizeof(note), "CodeBuild does not show the build: %s", f->err.msg);
        rc = rb_work_disown(k, RB_STATE_REFUSED, note, &err);
    } else {
        rb_work_not_asked(f->rc, &f->err, note, sizeof(note));
        int64_t waited_ms = rb_engine_now_ms(k->e) - k->r->due_ms;
        int64_t most_ms = waited_ms < 2000 ? 1000 : waited_ms / 2;
        rc = rb_work_later(k, rb_engine_jitter_ms(k->e, 300, most_ms > 30000 ? 30000 : most_ms),
                           note, &err);
    }
    rb_spans_inspected(k, began_ms, rc);
    rb_work_done(k, rc, &err);
}

static bool shows_nothing(const struct rb_fetch *f)
{
    return f->build == NULL && (f->rc == RB_OK || f->rc == RB_E_REFUSED || f->rc == RB_E_NOT_FOUND);
}

/* ask_around - a build of which nobody could say whose it is, and which our own account does not
 * show, may be one of any other that is configured. */
static void ask_around(struct rb_worker *w, struct rb_fetch *f, struct rb_arena *a)
{
    const struct rb_settings *s = w->rt->settings;

    for (unsigned i = 0; f->account == NULL && shows_nothing(f) && i < s->aws.n_accounts; i++) {
        struct rb_fetch other = *f;
        other.account = s->aws.accounts[i].id;
        rb_fetch_builds(w, &other, 1, a);
        if (!shows_nothing(&other)) {
            *f = other;
        }
    }
}

static void inspect_batch(struct rb_worker *w, struct rb_task **tasks, unsigned n, int64_t boot_ms,
                          int64_t lease_ms)
{
    struct rb_fetch fetch[RB_INSPECT_AT_ONCE];
    struct rb_arena arena;

    rb_arena_init(&arena, RB_INSPECT_ARENA_BYTES);
    for (unsigned i = 0; i < n; i++) {
        fetch[i] = (struct rb_fetch){.account = tasks[i]->retry->build.account,
                                     .region = tasks[i]->retry->build.region,
                                     .id = tasks[i]->retry->build.id};
    }
    int64_t began_ms = rb_engine_now_ms(w->e);
    rb_fetch_builds(w, fetch, n, &arena);
    for (unsigned i = 0; i < n; i++) {
        ask_around(w, &fetch[i], &arena);
    }
    RB_FAULT_POINT("inspect.after_get");
    for (unsigned i = 0; i < n; i++) {
        struct rb_work k;
        rb_work_begin(&k, w, tasks[i], boot_ms, lease_ms);
        inspect_one(&k, &fetch[i], began_ms);
        rb_work_end(&k);
    }
    rb_arena_release(&arena);
}

static enum rb_code inspect_round(struct rb_worker *w, struct rb_round *ret, struct rb_err *err)
{
    struct rb_task *tasks[RB_INSPECT_AT_ONCE] = {NULL};
    int64_t boot_ms = rb_boot_ms(w->e->clock);
    int64_t lease_ms = rb_lease_ms(&w->rt->settings->timing);
    unsigned n = 0;

    enum rb_code rc = rb_store_claim(w->ses, RB_TASK_INSPECT, RB_INSPECT_AT_ONCE, lease_ms,
                                     rb_engine_now_ms(w->e), tasks, &n, &ret->next_ms, err);
    if (rc != RB_OK || n == 0) {
        return rc;
    }
    ret->worked = true;
    inspect_batch(w, tasks, n, boot_ms, lease_ms);
    for (unsigned i = 0; i < n; i++) {
        rb_task_free(tasks[i]);
    }
    return RB_OK;
}

const struct rb_worker_role rb_role_inspect = {
    .name = "inspect",
    .kind = RB_TASK_INSPECT,
    .needs_codebuild = true,
    .round = inspect_round,
};
