/* plan.c - the decisions of the once-only call; see plan.h. No clock, no random, no I/O. */
#include "plan.h"

#include <string.h>

#include <retrybuild/random.h>
#include <retrybuild/str.h>

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void rb_plan_windows_from(const struct rb_timing *t, struct rb_plan_windows *ret_w)
{
    *ret_w = (struct rb_plan_windows){
        .resend_ms = t->resend_window_ms,
        .dead_ms = max64(t->token_window_ms, t->signature_window_ms),
        .grace_ms = t->visibility_grace_ms,
        /* A copy dies at T0 + signature window, the token at its first use + token window. The
         * first use is never before T0 as long as the error of our idea of AWS's clock is smaller
         * than this margin; otherwise a late copy could arrive between the two. */
        .margin_ms =
            min64(RB_PLAN_MAX_SKEW_MS, min64(t->signature_window_ms / 10, t->resend_window_ms / 8)),
        .one_shot = t->signature_window_ms > t->token_window_ms,
    };
}

void rb_plan_state_of(const struct rb_retry *r, struct rb_plan_state *ret_s)
{
    *ret_s = (struct rb_plan_state){
        .open = r->state == RB_STATE_SUBMITTING || (r->intent.issue > 0 && r->intent.ambiguous),
        .ambiguous = r->intent.ambiguous,
        .issue = r->intent.issue,
        .unknowns = r->intent.unknowns,
        .date_ms = r->intent.date_ms,
        .sends = r->intent.sends,
    };
}

int64_t rb_plan_date(const struct rb_plan_windows *w, int64_t now_ms)
{
    int64_t t = now_ms - w->margin_ms;
    return t - t % 1000;
}

bool rb_plan_may_send(const struct rb_plan_windows *w, const struct rb_plan_state *s,
                      int64_t now_ms)
{
    int64_t age_ms = now_ms - s->date_ms;
    return age_ms >= -RB_PLAN_MAX_SKEW_MS && age_ms <= w->resend_ms;
}

int64_t rb_plan_dead_at(const struct rb_plan_windows *w, const struct rb_plan_state *s)
{
    return s->date_ms + w->dead_ms + w->grace_ms + w->margin_ms;
}

/* Nothing seen (or nothing to be seen) and copies may live: when to look again. */
static struct rb_plan wait_for_death(const struct rb_plan_windows *w, const struct rb_plan_state *s,
                                     int64_t now_ms)
{
    int64_t left_ms = rb_plan_dead_at(w, s) - now_ms + 1;
    return (struct rb_plan){
        .step = RB_PLAN_WAIT,
        .wait_ms = left_ms <= 0 ? RB_PLAN_LOOK_EVERY_MS : min64(left_ms, RB_PLAN_LOOK_EVERY_MS),
    };
}

static struct rb_plan certainly_none(const struct rb_plan_state *s)
{
    return (struct rb_plan){
        .step = s->unknowns + 1 > RB_PLAN_MAX_UNKNOWNS ? RB_PLAN_GIVE_UP : RB_PLAN_REISSUE,
    };
}

static struct rb_plan resume_ambiguous(const struct rb_plan_windows *w,
                                       const struct rb_plan_state *s,
                                       const struct rb_look_result *look, int64_t now_ms)
{
    bool may_send = rb_plan_may_send(w, s, now_ms) && !w->one_shot;
    /* A look speaks for the time when it began: what arrived since may not be in it. */
    bool copies_dead = look->began_ms > rb_plan_dead_at(w, s);

    bool seen = look->status == RB_LOOK_OK || (look->status == RB_LOOK_CUT && look->named);
    if (seen && look->n_candidates == 1) {
        return (struct rb_plan){.step = RB_PLAN_ADOPT};
    }
    if (may_send) {
        /* AWS itself says which build is ours, by the token; also when we see several. */
        return (struct rb_plan){.step = RB_PLAN_SEND};
    }
    switch (look->status) {
    case RB_LOOK_OK:
        if (look->n_candidates > 1) {
            return (struct rb_plan){.step = RB_PLAN_HOLD};
        }
        return copies_dead ? certainly_none(s) : wait_for_death(w, s, now_ms);
    case RB_LOOK_CUT:
        if (copies_dead) {
            return (struct rb_plan){.step = RB_PLAN_HOLD};
        }
        return wait_for_death(w, s, now_ms);
    case RB_LOOK_DENIED:
        if (look->began_ms > rb_plan_dead_at(w, s) + RB_PLAN_DENIED_PATIENCE_MS) {
            return (struct rb_plan){.step = RB_PLAN_HOLD};
        }
        return wait_for_death(w, s, now_ms);
    case RB_LOOK_FAILED:
    default:
        return wait_for_death(w, s, now_ms);
    }
}

struct rb_plan rb_plan_resume(const struct rb_plan_windows *w, const struct rb_plan_state *s,
                              const struct rb_look_result *look, int64_t now_ms)
{
    if (s->ambiguous) {
        return resume_ambiguous(w, s, look, now_ms);
    }
    /* Not marked: no copy ever left us, and none can (its fence is stale). */
    if (rb_plan_may_send(w, s, now_ms)) {
        return (struct rb_plan){.step = RB_PLAN_SEND};
    }
    return (struct rb_plan){.step = RB_PLAN_RESTART};
}

/* Definite answers: nothing happened by this copy. */
static bool answer_is_not_now(enum rb_code rc)
{
    return rc == RB_E_THROTTLED || rc == RB_E_LATER || rc == RB_E_CREDENTIALS || rc == RB_E_CLOCK;
}

static bool answer_is_no(enum rb_code rc)
{
    return rc == RB_E_REFUSED || rc == RB_E_NOT_FOUND;
}

enum rb_answer_step rb_plan_answer(const struct rb_plan_state *s, enum rb_code rc,
                                   enum rb_sent sent)
{
    bool only_copy = s->sends <= 1;

    if (rc == RB_OK) {
        return RB_ANSWER_RUNNING;
    }
    if (sent == RB_SENT_NOTHING || rc == RB_E_UNAVAIL || rc == RB_E_CLOSED) {
        return RB_ANSWER_UNSENT;
    }
    if (rc == RB_E_MISMATCH) {
        return RB_ANSWER_ALARM;
    }
    if (answer_is_not_now(rc)) {
        return only_copy ? RB_ANSWER_AGAIN : RB_ANSWER_AMBIGUOUS;
    }
    if (answer_is_no(rc)) {
        return only_copy ? RB_ANSWER_REFUSED : RB_ANSWER_AMBIGUOUS;
    }
    return RB_ANSWER_AMBIGUOUS;
}

int64_t rb_plan_ambiguous_wait_ms(int64_t age_ms)
{
    return max64(500, min64(age_ms / 4, RB_PLAN_LOOK_EVERY_MS));
}

int64_t rb_plan_backoff_ms(int64_t n, int64_t base_ms, int64_t cap_ms, uint64_t random64)
{
    int64_t top_ms = base_ms;
    for (int64_t i = 1; i < n && top_ms < cap_ms; i++) {
        top_ms *= 2;
    }
    top_ms = max64(min64(top_ms, cap_ms), 1);
    int64_t pick_ms = (int64_t)(random64 % (uint64_t)top_ms) + 1;
    return max64(pick_ms, min64(base_ms / 10, cap_ms));
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool is_commit(const char *s)
{
    return s != NULL && strlen(s) == 40 && strspn(s, "0123456789abcdefABCDEF") == 40;
}

/* Wide on purpose: what we do not recognise here could be our own child. A retry may keep the
 * branch or pin the commit it resolved to. */
static bool maybe_same_source(const struct rb_build *own, const struct rb_build *b)
{
    if (same_text(own->source_version, b->source_version)) {
        return true;
    }
    if (own->resolved_version == NULL) {
        return false;
    }
    return same_text(own->resolved_version, b->source_version) ||
           same_text(own->resolved_version, b->resolved_version);
}

/* "role/session": the session of one role may differ between copies of one issue, the role not. */
static bool same_principal(const char *a, const char *b)
{
    size_t a_len = strcspn(a, "/");
    size_t b_len = strcspn(b, "/");
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static const char *last_part(const char *initiator)
{
    const char *slash = strrchr(initiator, '/');
    return slash == NULL ? initiator : slash + 1;
}

enum rb_plan_name rb_plan_named(const struct rb_retry *r, const struct rb_build *b)
{
    const char *ours = r->intent.initiator;

    if (b->initiator == NULL || b->initiator[0] == '\0') {
        return RB_NAME_UNKNOWN;
    }
    if (r->id[0] != '\0' && strstr(b->initiator, r->id) != NULL) {
        return RB_NAME_OURS;
    }
    const char *last = last_part(b->initiator);
    if (rb_id_shard("rty_", last) >= 0) {
        return RB_NAME_OTHER; /* another retry's session */
    }
    if (ours == NULL) {
        return RB_NAME_UNKNOWN;
    }
    /* A role that is shown without its session could be ours. */
    size_t role_len = strcspn(ours, "/");
    return strlen(last) == role_len && memcmp(last, ours, role_len) == 0 ? RB_NAME_UNKNOWN
                                                                         : RB_NAME_OTHER;
}

bool rb_plan_candidate(const struct rb_retry *r, const struct rb_build *b, const char *initiator)
{
    static const char *const foreign[] = {"GitHub-Hookshot/", "codepipeline/"};

    if (b->id == NULL || same_text(b->id, r->build.id)) {
        return false;
    }
    /* A batch starts batches and its own members, and what is of no batch starts neither. */
    if ((b->batch_arn != NULL || r->build.batch_arn != NULL) &&
        (!rb_build_is_batch(b) || r->build.batch_arn == NULL)) {
        return false;
    }
    enum rb_plan_name named = rb_plan_named(r, b);
    if (named != RB_NAME_UNKNOWN) {
        return named == RB_NAME_OURS;
    }
    if (b->number != 0 && b->number <= r->intent.low_water) {
        return false;
    }
    if (b->started_ms != 0 && b->started_ms < r->intent.date_ms - RB_PLAN_EARLY_START_MS) {
        return false;
    }
    if (!maybe_same_source(&r->build, b)) {
        return false;
    }
    if (b->initiator == NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        if (strncmp(b->initiator, foreign[i], strlen(foreign[i])) == 0) {
            return false;
        }
    }
    return initiator == NULL || same_principal(initiator, b->initiator);
}

bool rb_plan_rerun(const struct rb_retry *r, const struct rb_build *b)
{
    return rb_build_is_batch(b) && same_text(b->arn, r->build.batch_arn) && r->build.run_ms != 0 &&
           b->run_ms != r->build.run_ms;
}

bool rb_plan_newer(const struct rb_build *own, const struct rb_build *b, bool strict)
{
    if (b->number <= own->number || same_text(own->id, b->id) ||
        !same_text(own->source_version, b->source_version)) {
        return false;
    }
    bool named = own->source_version != NULL && own->source_version[0] != '\0' &&
                 !is_commit(own->source_version);
    if (named) {
        return true;
    }
    /* A commit, or the default branch: a newer build of it says nothing by itself. One that was
     * started after ours had ended, before our memory begins, may be the retry we do not remember.
     */
    return strict && own->ended_ms > 0 && b->started_ms >= own->ended_ms;
}

static bool same_commit(const struct rb_build *own, const struct rb_build *b)
{
    const char *ours = rb_build_commit(own);
    const char *theirs = rb_build_commit(b);
    return ours != NULL && theirs != NULL && strcmp(ours, theirs) == 0;
}

static bool by_a_push(const struct rb_build *b)
{
    return b->initiator == NULL || strstr(b->initiator, "Hookshot/") != NULL ||
           strncmp(b->initiator, "codepipeline/", strlen("codepipeline/")) == 0;
}

bool rb_plan_runs_again(const struct rb_build *own, const struct rb_build *b)
{
    if (own->batch_arn != NULL || b->batch_arn != NULL || same_text(own->id, b->id) ||
        b->number <= own->number || own->ended_ms <= 0 || b->started_ms < own->ended_ms) {
        return false;
    }
    return same_commit(own, b) && maybe_same_source(own, b) && !by_a_push(b);
}

bool rb_plan_by_hand(const struct rb_build *own, const struct rb_build *b)
{
    return rb_plan_runs_again(own, b) && own->initiator != NULL &&
           !same_text(own->initiator, b->initiator);
}

bool rb_plan_auto_retry(const struct rb_build *b)
{
    if (b->next_auto_retry != NULL && b->next_auto_retry[0] != '\0') {
        return true;
    }
    return b->auto_retry_limit > 0 && b->auto_retry_number < b->auto_retry_limit;
}

int64_t rb_plan_quarantine_until(int64_t ended_ms, int64_t birth_ms, int64_t quarantine_ms,
                                 int64_t now_ms)
{
    if (ended_ms >= birth_ms || now_ms >= birth_ms + quarantine_ms) {
        return 0;
    }
    return birth_ms + quarantine_ms;
}
