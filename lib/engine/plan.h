/* plan.h - the once-only call as decisions: pure functions of (record, what AWS showed, now).
 *
 * The submit worker does the I/O; every "what next" of it is answered here, so that the same code
 * is tested by table and by simulation. Four rules (ARCHITECTURE.md, "Calling RetryBuild once"):
 * intent first; one signature date for an issue; mark before the wire, resend only inside the
 * window; "it did not happen" only when every copy is dead and a look showed nothing. All times are
 * milliseconds by AWS's clock unless said. Threads: any. Blocks: never.
 */
#ifndef RB_ENGINE_PLAN_H
#define RB_ENGINE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/err.h>
#include <retrybuild/model.h>
#include <retrybuild/settings.h>

#define RB_PLAN_MAX_UNKNOWNS 2       /* issues given up as "certainly none" before DEAD */
#define RB_PLAN_EARLY_START_MS 60000 /* a child may have started this long before T0 */
#define RB_PLAN_LOOK_EVERY_MS 15000  /* between looks while copies may live */
#define RB_PLAN_DENIED_PATIENCE_MS \
    3600000                       /* looks that AWS denies, beyond the windows: then HELD */
#define RB_PLAN_MAX_SKEW_MS 30000 /* T0 may lie this far in the future of a corrected clock */

struct rb_plan_windows {
    int64_t resend_ms; /* resend only while now - T0 <= resend */
    int64_t dead_ms;   /* longer of token and signature window: after it every copy is dead */
    int64_t grace_ms;  /* a started build shows within this */
    int64_t margin_ms; /* T0 lies this long before now: AWS's clock is known with an error */
    bool one_shot;     /* signatures outlive the token: an issue is sent once */
};
void rb_plan_windows_from(const struct rb_timing *t, struct rb_plan_windows *ret_w);

/* What the record says about the call. */
struct rb_plan_state {
    bool
        open; /* an intent is open: state SUBMITTING, or a copy of an earlier life may still live */
    bool ambiguous;
    int64_t issue, unknowns, date_ms, sends;
};
void rb_plan_state_of(const struct rb_retry *r, struct rb_plan_state *ret_s);

/* rb_plan_date - T0 of an issue written at @now_ms: earlier by the margin, whole seconds. */
int64_t rb_plan_date(const struct rb_plan_windows *w, int64_t now_ms);
/* rb_plan_may_send - is the resend window of T0 open? */
bool rb_plan_may_send(const struct rb_plan_windows *w, const struct rb_plan_state *s,
                      int64_t now_ms);
/* rb_plan_dead_at - from here on every copy of the issue is dead and its child would show, also
 * when our idea of AWS's clock is wrong by the margin. */
int64_t rb_plan_dead_at(const struct rb_plan_windows *w, const struct rb_plan_state *s);

/* ---- an open intent ---- */
enum rb_look_status {
    RB_LOOK_OK,     /* every build since the low-water mark was seen */
    RB_LOOK_CUT,    /* more builds than we list */
    RB_LOOK_FAILED, /* AWS did not answer, or told us to slow down */
    RB_LOOK_DENIED, /* AWS answered a definite no */
};
struct rb_look_result {
    enum rb_look_status status;
    int64_t began_ms;      /* when the look was begun */
    unsigned n_candidates; /* unclaimed builds that may be ours */
    bool named;            /* they are ours by the initiator's name, whatever else there is */
};

enum rb_plan_step {
    RB_PLAN_SEND,    /* the same token, the same date */
    RB_PLAN_ADOPT,   /* the one candidate is the child */
    RB_PLAN_HOLD,    /* a person must say which, or whether */
    RB_PLAN_REISSUE, /* certainly none: close the issue, start a fresh one */
    RB_PLAN_RESTART, /* nothing ever left us: close the issue, start a fresh one */
    RB_PLAN_GIVE_UP, /* certainly none once too often: dead */
    RB_PLAN_WAIT,    /* look again after wait_ms */
};
struct rb_plan {
    enum rb_plan_step step;
    int64_t wait_ms;
};
struct rb_plan rb_plan_resume(const struct rb_plan_windows *w, const struct rb_plan_state *s,
                              const struct rb_look_result *look, int64_t now_ms);

/* ---- an answer of RetryBuild ---- */
enum rb_sent {
    RB_SENT_NOTHING, /* no byte left: what the record said before this send holds again */
    RB_SENT_COPY,    /* the record was marked, bytes may have left */
};
enum rb_answer_step {
    RB_ANSWER_RUNNING,   /* the child is known */
    RB_ANSWER_AGAIN,     /* a definite "not now" to the only copy: close, scheduled again */
    RB_ANSWER_REFUSED,   /* a definite no to the only copy */
    RB_ANSWER_ALARM,     /* the token is known with other parameters: dead, and a bug of ours */
    RB_ANSWER_UNSENT,    /* the same intent, as it was before */
    RB_ANSWER_AMBIGUOUS, /* stay submitting, look soon */
};
/* rb_plan_answer - @s as the record stands after marking this send. */
enum rb_answer_step rb_plan_answer(const struct rb_plan_state *s, enum rb_code rc,
                                   enum rb_sent sent);
/* rb_plan_ambiguous_wait_ms - until the next look: half a second, growing with the age of the
 * intent. */
int64_t rb_plan_ambiguous_wait_ms(int64_t age_ms);
/* rb_plan_backoff_ms - full jitter in (0, min(cap, base * 2^(n-1))], at least a tenth of base. */
int64_t rb_plan_backoff_ms(int64_t n, int64_t base_ms, int64_t cap_ms, uint64_t random64);

/* ---- builds ---- */
/* rb_plan_candidate - may @b be the child that the open intent of @r started? @initiator: what AWS
 * calls the key that signed, NULL = not known. Where the initiator names a session, that decides.
 * Whoever claims it already is not asked here. */
bool rb_plan_candidate(const struct rb_retry *r, const struct rb_build *b, const char *initiator);
/* rb_plan_rerun - is @b the batch of @r in another run than the one @r is about? A batch keeps its
 * id when its failed builds are run again, so who restarted it cannot be seen: whoever it was, what
 * the open intent wants has begun. */
bool rb_plan_rerun(const struct rb_retry *r, const struct rb_build *b);
/* rb_plan_named - does the initiator of @b say whose it is? Every copy of an issue with
 * intent.initiator is signed by a session that is named after the retry. OURS and OTHER are
 * certain; UNKNOWN: AWS shows the role without the session, or no initiator. */
enum rb_plan_name { RB_NAME_UNKNOWN, RB_NAME_OURS, RB_NAME_OTHER };
enum rb_plan_name rb_plan_named(const struct rb_retry *r, const struct rb_build *b);
/* rb_plan_newer - does @b, a newer build of the project, make a retry of @own pointless? @strict:
 * our memory begins after @own ended, so that @b may be the work of a life we do not remember. */
bool rb_plan_newer(const struct rb_build *own, const struct rb_build *b, bool strict);
/* rb_plan_runs_again - somebody runs the ended build again: @b was started since of the same
 * commit, by no push. rb_plan_by_hand - and by somebody else than the one who started the failed
 * one, so that it is no build of its own. */
bool rb_plan_runs_again(const struct rb_build *own, const struct rb_build *b);
bool rb_plan_by_hand(const struct rb_build *own, const struct rb_build *b);
/* rb_plan_auto_retry - will AWS's own auto-retry do it, or did it already? */
bool rb_plan_auto_retry(const struct rb_build *b);
/* rb_plan_quarantine_until - by our own clock: 0 = may be submitted now, else when. @ended_ms: when
 * the build ended by our clock (or the retry's creation, when unknown). */
int64_t rb_plan_quarantine_until(int64_t ended_ms, int64_t birth_ms, int64_t quarantine_ms,
                                 int64_t now_ms);

#endif
