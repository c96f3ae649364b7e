/* send.c - one copy of the RetryBuild call of an open intent, and what its answer means.
 *
 * Order at the wire: signed by the client, then last_check: lease and resend window once more, then
 * the record is marked as ambiguous (fenced), then the bytes leave. A worker that lost its lease
 * cannot mark, so it cannot send.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#include "fault.h"
#include "spans.h"

#define RB_AGAIN_SOON_MS 250
#define RB_LATER_MIN_MS 60000
#define RB_LATER_MAX_MS 300000
#define RB_THROTTLE_BASE_MS 1000
#define RB_THROTTLE_CAP_MS 20000
#define RB_RETRY_AFTER_MAX_MS (10 * 60 * 1000)
#define RB_CREDENTIALS_CAP_MS 60000

struct send_context {
    struct rb_work *k;
    unsigned marks;     /* how often the record was marked: a copy may have left each time */
    enum rb_code check; /* what last_check said */
    bool was_ambiguous;
    int64_t sends_before;
};

/* How long ago the intent was written, by our own clock. */
static int64_t intent_age_ms(const struct rb_work *k)
{
    return rb_engine_now_ms(k->e) - k->r->intent.written_ms;
}

static void unmark(struct send_context *c)
{
    c->k->r->intent.ambiguous = c->was_ambiguous;
    c->k->r->intent.sends = c->sends_before;
}

static enum rb_code check_and_mark(struct send_context *c, struct rb_err *err)
{
    struct rb_work *k = c->k;
    struct rb_plan_state state;
    int64_t left_ms = k->boot_deadline_ms - rb_boot_ms(k->e->clock);

    if (left_ms < k->rt->settings->timing.call_timeout_ms) {
        return rb_err_set(err, RB_E_TIMEOUT, "only %lld ms of the lease are left",
                          (long long)left_ms);
    }
    if (atomic_load(&k->e->cancel_calls)) {
        return rb_err_set(err, RB_E_CLOSED, "stopping");
    }
    rb_plan_state_of(k->r, &state);
    if (!rb_plan_may_send(&k->rt->windows, &state, rb_aws_now_ms(k->e->aws))) {
        return rb_err_set(err, RB_E_TIMEOUT, "the resend window of this issue has passed");
    }
    k->r->intent.ambiguous = true;
    k->r->intent.sends++;
    struct rb_settle s = {.keep_lease = true, .open_intent = k->intent_key};
    enum rb_code rc = rb_work_settle(k, &s, false, err);
    if (rc != RB_OK) {
        k->r->intent.sends--;
        k->r->intent.ambiguous = c->marks > 0 || c->was_ambiguous;
        return rc;
    }
    c->marks++;
    RB_FAULT_POINT("submit.after_mark");
    return RB_OK;
}

static enum rb_code last_check(void *arg, struct rb_err *err)
{
    struct send_context *c = arg;
    c->check = check_and_mark(c, err);
    return c->check;
}

/* ---- what follows ---- */

static int64_t again_wait_ms(const struct rb_work *k, enum rb_code rc, int64_t retry_after_ms)
{
    uint64_t random64 = rb_engine_random(k->e);
    int64_t n = k->r->intent.issue;

    if (retry_after_ms > 0 && rc != RB_E_LATER) {
        return retry_after_ms < RB_RETRY_AFTER_MAX_MS ? retry_after_ms : RB_RETRY_AFTER_MAX_MS;
    }
    switch ((int)rc) {
    case RB_E_LATER:
        return rb_engine_jitter_ms(k->e, RB_LATER_MIN_MS, RB_LATER_MAX_MS);
    case RB_E_CREDENTIALS:
    case RB_E_CLOCK:
        /* The first time the cause is mended by now; after that it takes a person. */
        return n <= 1 ? RB_AGAIN_SOON_MS
                      : rb_plan_backoff_ms(n, RB_THROTTLE_BASE_MS, RB_CREDENTIALS_CAP_MS, random64);
    default:
        return rb_plan_backoff_ms(n, RB_THROTTLE_BASE_MS, RB_THROTTLE_CAP_MS, random64);
    }
}

static const char *who_answers(const struct rb_work *k)
{
    return k->r->decision.pipeline ? "CodePipeline" : "CodeBuild";
}

static const char *again_why(enum rb_code rc)
{
    switch ((int)rc) {
    case RB_E_LATER:
        return "the account's limit of builds is reached";
    case RB_E_CREDENTIALS:
        return " did not accept the credentials";
    case RB_E_CLOCK:
        return " did not accept the date of the signature";
    default:
        return " asked to slow down";
    }
}

/* A definite "not now" to the only copy: nothing happened, the issue ends here. */
static enum rb_code answer_again(struct rb_work *k, enum rb_code rc, const struct rb_err *why,
                                 int64_t retry_after_ms, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(k->e);
    int64_t wait_ms = again_wait_ms(k, rc, retry_after_ms);
    /* which limit, and how high it is; which key, and what is wrong with it */
    bool says_more = rc == RB_E_LATER || rc == RB_E_CREDENTIALS;
    char note[RB_ERR_MESSAGE_BYTES + 160];

    snprintf(note, sizeof(note), "%s%s; nothing was started, again in %lld.%lld s%s%s",
             rc == RB_E_LATER ? "" : who_answers(k), again_why(rc), (long long)(wait_ms / 1000),
             (long long)(wait_ms % 1000 / 100), says_more ? ": " : "", says_more ? why->msg : "");
    k->r->intent.ambiguous = false;
    k->r->intent.sends = 0;
    rb_retry_enter(k->r, RB_STATE_SCHEDULED, now_ms, note);
    k->r->due_ms = now_ms + wait_ms;
    struct rb_settle s = {
        .next = RB_TASK_SUBMIT, .next_due_ms = k->r->due_ms, .close_intent = k->intent_key};
    return rb_work_settle(k, &s, true, err);
}

static enum rb_code answer_refused(struct rb_work *k, const struct rb_err *why, struct rb_err *err)
{
    char note[RB_ERR_MESSAGE_BYTES + 64];

    snprintf(note, sizeof(note), "%s refused the call: %s", who_answers(k), why->msg);
    k->r->intent.ambiguous = false;
    k->r->intent.sends = 0;
    return rb_work_finish(k, RB_STATE_REFUSED, note, err);
}

static enum rb_code answer_alarm(struct rb_work *k, const struct rb_err *why, struct rb_err *err)
{
    rb_log(RB_LOG_ERROR, "submit.token_mismatch", RB_F("retry", k->r->id),
           RB_FI("issue", k->r->intent.issue), RB_F("error", why->msg));
    return rb_work_finish(k, RB_STATE_DEAD,
                          "CodeBuild knows the token of this call with other parameters", err);
}

/* No byte left us: the record says again what it said before this send. */
static enum rb_code answer_unsent(struct send_context *c, enum rb_code rc, const struct rb_err *why,
                                  int64_t retry_after_ms, struct rb_err *err)
{
    struct rb_work *k = c->k;
    char note[RB_ERR_MESSAGE_BYTES + 64];

    if (c->marks == 0 && (rc == RB_E_FENCED || rc == RB_E_NOT_FOUND)) {
        return rb_err_set(err, rc, "%s", why->msg);
    }
    bool was_marked = c->marks > 0;
    unmark(c);
    if (!was_marked && !c->was_ambiguous && (rc == RB_E_INVALID || rc == RB_E_BLOCKED)) {
        return answer_refused(k, why, err);
    }
    int64_t wait_ms = rc == RB_E_CLOSED ? 0 : rb_plan_ambiguous_wait_ms(intent_age_ms(k));
    if (rc == RB_E_THROTTLED && retry_after_ms > wait_ms) {
        /* Our own rate: some later than others, so that they do not all come back at once. */
        int64_t most_ms =
            retry_after_ms < RB_RETRY_AFTER_MAX_MS ? retry_after_ms : RB_RETRY_AFTER_MAX_MS;
        wait_ms = rb_engine_jitter_ms(k->e, most_ms, most_ms + most_ms / 4 + 1);
    }
    snprintf(note, sizeof(note), "the call could not be sent: %s", why->msg);
    if (rc == RB_E_CREDENTIALS) {
        rb_aws_credentials_refused(k->e->aws);
    }
    /* Where the record was marked it must be written again, so the note is written again too. */
    if (was_marked) {
        rb_retry_note(k->r, rb_engine_now_ms(k->e), note);
        k->r->due_ms = rb_engine_now_ms(k->e) + wait_ms;
        struct rb_settle s = {.next = RB_TASK_SUBMIT, .next_due_ms = k->r->due_ms};
        return rb_work_settle(k, &s, true, err);
    }
    return rb_work_later(k, wait_ms, rc == RB_E_CLOSED ? NULL : note, err);
}

static enum rb_code answer_ambiguous(struct rb_work *k, const struct rb_err *why,
                                     struct rb_err *err)
{
    char note[RB_ERR_MESSAGE_BYTES + 96];

    rb_log(RB_LOG_WARN, "submit.ambiguous", RB_F("retry", k->r->id), RB_F("build", k->r->build.id),
           RB_FI("issue", k->r->intent.issue), RB_FI("sends", k->r->intent.sends),
           RB_F("error", why->msg));
    snprintf(note, sizeof(note), "no clear answer to the call, looking for its build: %s",
             why->msg);
    return rb_work_later(k, rb_plan_ambiguous_wait_ms(intent_age_ms(k)), note, err);
}

/* The answer shows what AWS makes of a session's name. If it is not there, it cannot be missed
 * elsewhere either: from here on this process goes by what it looks at otherwise. */
static void check_name(struct rb_work *k, const struct rb_build *child)
{
    if (rb_str_empty(child->initiator) || rb_plan_named(k->r, child) == RB_NAME_OURS ||
        atomic_exchange(&k->e->unnamed, true)) {
        return;
    }
    rb_log(RB_LOG_ERROR, "submit.unnamed", RB_F("retry", k->r->id), RB_F("child", child->id),
           RB_F("initiator", child->initiator), RB_F("expected", k->r->intent.initiator));
}

static enum rb_code answer_running(struct rb_work *k, const struct rb_build *child,
                                   const char *access_key, struct rb_err *err)
{
    char note[256];
    enum rb_code rc;

    if (k->r->intent.initiator == NULL) {
        rb_engine_learn_initiator(k->e, access_key, child->initiator);
    } else {
        check_name(k, child);
    }
    if (k->r->build.batch_arn != NULL) {
        snprintf(note, sizeof(note), "CodeBuild runs the failed builds of batch %s again",
                 child->id);
    } else {
        snprintf(note, sizeof(note), "CodeBuild started %s%s", child->id,
                 k->r->decision.start ? " anew, with the settings of the original" : "");
    }
    rc = rb_submit_running(k, child, note, err);
    if (rc == RB_E_CONFLICT) {
        /* Somebody took our build for theirs; it runs, so the failure is being retried. */
        rb_log(RB_LOG_ERROR, "submit.child_taken", RB_F("retry", k->r->id),
               RB_F("child", child->id), RB_F("error", err->msg));
        return rb_work_finish(k, RB_STATE_DEAD,
                              "the build that CodeBuild started is claimed by "
                              "another retry",
                              err);
    }
    return rc;
}

enum rb_code rb_submit_running(struct rb_work *k, const struct rb_build *child, const char *note,
                               struct rb_err *err)
{
    struct rb_retry *r = k->r;
    int64_t now_ms = rb_engine_now_ms(k->e);
    __typeof__(r->intent) intent = r->intent;
    enum rb_state state = r->state;
    unsigned n_history = r->n_history;
    char child_key[RB_KEY_BYTES];

    if (!rb_build_copy(&r->child, child, &r->arena)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the build of '%s'", r->id);
    }
    if (r->child.account == NULL) {
        r->child.account = r->build.account;
    }
    if (r->child.region == NULL) {
        r->child.region = r->build.region;
    }
    if (r->child.project == NULL) {
        r->child.project = r->build.project;
    }
    if (rb_build_is_batch(&r->child) && rb_str_eq(r->child.arn, r->build.batch_arn) &&
        r->child.run_ms == r->build.run_ms) {
        r->child.run_ms = 0; /* not shown yet: the follower sees it begin */
    }
    bool known = !rb_build_is_batch(&r->child) || r->child.run_ms != 0;
    rb_build_key(&r->child, child_key);
    r->has_child = true;
    r->submitted_ms = now_ms;
    r->intent.ambiguous = false;
    rb_retry_enter(r, RB_STATE_RUNNING, now_ms, note);
    r->due_ms = now_ms + k->rt->settings->timing.follow_poll_ms;
    struct rb_settle s = {
        .next = RB_TASK_FOLLOW,
        .next_due_ms = r->due_ms,
        .close_intent = k->intent_key,
        .child_key = known ? child_key : NULL,
    };
    enum rb_code rc = rb_work_settle(k, &s, true, err);
    if (rc == RB_E_CONFLICT) {
        /* Nothing was written: the record in hand goes back to what the store has. */
        r->state = state;
        r->intent = intent;
        r->n_history = n_history < r->n_history ? n_history : r->n_history - 1;
        r->has_child = false;
        return rb_err_set(err, RB_E_CONFLICT, "build '%s' is the child of %s", child->id,
                          s.other_id);
    }
    RB_FAULT_POINT("submit.after_running");
    return rc;
}

static void note_key(struct rb_work *k, const char *session)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    struct rb_retry *r = k->r;
    struct rb_err ignored;

    enum rb_code rc =
        session == NULL
            ? rb_aws_credentials_for(k->e->aws, r->build.account, r->build.region, &c, &ignored)
            : rb_aws_credentials_as(k->e->aws, r->build.account, r->build.region, session, &c,
                                    &ignored);
    if (rc != RB_OK || c.access_key == NULL) {
        return; /* the call itself will say it */
    }
    if (r->intent.sends == 0) {
        r->intent.access_key = rb_arena_strdup(&r->arena, c.access_key);
    } else if (!rb_str_eq(r->intent.access_key, c.access_key)) {
        r->intent.access_key = NULL; /* copies by two keys: the initiator proves nothing */
    }
}

enum rb_code rb_submit_send(struct rb_work *k, struct rb_err *err)
{
    const struct rb_timing *t = &k->rt->settings->timing;
    struct rb_err why = {.code = RB_OK};
    struct rb_build child = RB_BUILD_INIT;
    const char *access_key = NULL;
    int64_t retry_after_ms = -1;
    char token[65];

    const char *batch_id = rb_batch_id(k->r->build.batch_arn);
    bool start = k->r->decision.start && batch_id == NULL;
    /* All copies of an issue are signed in one name, whatever the configuration says by now. */
    const char *session = k->r->intent.initiator == NULL ? NULL : k->r->id;

    /* StartBuild reads the build first, a session is asked for. */
    int64_t calls = 1 + (start ? 1 : 0) + (session != NULL ? 1 : 0);
    int64_t need_ms = calls * t->call_timeout_ms + k->lease_ms / 6;
    enum rb_code rc = rb_work_keep(k, need_ms, err);
    if (rc != RB_OK) {
        return rc;
    }
    note_key(k, session);
    rb_retry_token(k->r, token);
    struct send_context c = {
        .k = k,
        .check = RB_OK,
        .was_ambiguous = k->r->intent.ambiguous,
        .sends_before = k->r->intent.sends,
    };
    const struct rb_retry_call call = {
        .region = k->r->build.region,
        .batch_id = batch_id,
        .build_id = k->r->build.id,
        .token = token,
        .date_ms = k->r->intent.date_ms,
        .session = session,
        .start = start,
        .repeats = k->r->intent.sends > 0,
        .last_check = last_check,
        .arg = &c,
    };
    rb_codebuild_of_account(k->w->codebuild, k->r->build.account);
    int64_t began_ms = rb_engine_now_ms(k->e);
    rc = k->r->decision.pipeline
             ? rb_pipeline_call(k, last_check, &c, &access_key, &retry_after_ms, &why)
             : rb_codebuild_retry(k->w->codebuild, &call, &k->arena, &child, &access_key,
                                  &retry_after_ms, &why);
    RB_FAULT_POINT("submit.after_answer");
    if (c.marks > 1 || (c.marks == 1 && c.check != RB_OK)) {
        /* The client went to the wire more than once: "not sent" speaks for the last time only. */
        rc = rc == RB_E_UNAVAIL || rc == RB_E_CLOSED ? RB_E_AMBIGUOUS : rc;
    }
    if (c.marks > 0) {
        rb_spans_called(k, began_ms, rc, &why);
    }
    struct rb_plan_state state;
    rb_plan_state_of(k->r, &state);
    switch (rb_plan_answer(&state, rc, c.marks > 0 ? RB_SENT_COPY : RB_SENT_NOTHING)) {
    case RB_ANSWER_RUNNING:
        if (k->r->decision.pipeline) {
            return rb_pipeline_taken(k, err);
        }
        return answer_running(k, &child, access_key, err);
    case RB_ANSWER_AGAIN:
        if (rc == RB_E_CREDENTIALS) {
            rb_aws_credentials_refused(k->e->aws);
        }
        return answer_again(k, rc, &why, retry_after_ms, err);
    case RB_ANSWER_REFUSED:
        return answer_refused(k, &why, err);
    case RB_ANSWER_ALARM:
        return answer_alarm(k, &why, err);
    case RB_ANSWER_UNSENT:
        return answer_unsent(&c, rc, &why, retry_after_ms, err);
    case RB_ANSWER_AMBIGUOUS:
    default:
        return answer_ambiguous(k, &why, err);
    }
}
