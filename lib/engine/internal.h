/* internal.h - what the files of the engine share: the settings in force, workers, one piece of
 * work.
 *
 * A worker is a thread with its own store session and clients; a round of it claims tasks and works
 * them. A piece of work (struct rb_work) is one claimed main task with its lease: every write goes
 * through rb_work_settle, which names the fence and adds the reports that a new state asks for.
 */
#ifndef RB_ENGINE_INTERNAL_H
#define RB_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/codebuild.h>
#include <retrybuild/engine.h>
#include <retrybuild/httpc.h>
#include <retrybuild/thread.h>

#include "ledger/ledger.h"
#include "pace.h"
#include "plan.h"
#include "tally.h"

/* ---- the settings in force ---- */
struct rb_runtime {
    struct rb_settings *settings;
    struct rb_policy *policy;
    struct rb_plan_windows windows;
    uint64_t generation;
    atomic_int refs;
};
struct rb_runtime *rb_runtime_get(struct rb_engine *e); /* a reference */
void rb_runtime_unref(struct rb_runtime *rt);           /* NULL accepted */
void rb_runtime_unrefp(struct rb_runtime **rt);

/* ---- workers ---- */
/* Claims that ended without a settle: the process died in the middle. Restarts in a bad hour add
 * up, so only a record that brings down one process after the other is given up. */
#define RB_MAX_TRIES 100

struct rb_worker;
struct rb_round {
    bool worked;      /* something was claimed: come again at once */
    int64_t next_ms;  /* when nothing was: due time of the next task (unix), 0 = none known */
    int64_t pause_ms; /* > 0: do nothing for this long, whatever is due */
};
struct rb_worker_role {
    const char *name;       /* of the thread, up to 11 bytes */
    enum rb_task_kind kind; /* what wakes it; NONE = only the stop */
    bool needs_codebuild, needs_http;
    bool may_call; /* its AWS calls are cut late in a stop, not at once */
    enum rb_code (*round)(struct rb_worker *w, struct rb_round *ret, struct rb_err *err);
};
extern const struct rb_worker_role rb_role_submit, rb_role_inspect, rb_role_follow, rb_role_report,
    rb_role_sweep, rb_role_keep;

struct rb_worker {
    struct rb_engine *e;
    const struct rb_worker_role *role;
    char name[16];
    pthread_t thread;
    bool started;
    bool ended; /* guarded by e->lock */
    struct rb_store_session *ses;
    struct rb_codebuild *codebuild;
    struct rb_httpc *http;
    struct rb_runtime *rt; /* in force for this round */
    uint64_t clients_generation;
    int64_t backoff_ms; /* of a store that is away */
    void *memory;       /* the role's own; freed by memory_free */
    void (*memory_free)(void *memory);
};

#define RB_MAX_INITIATORS 16

struct rb_engine {
    struct rb_store *store;
    struct rb_aws *aws;
    const struct rb_clock *clock;
    const struct rb_random *random;
    struct rb_forge_tokens *forge_tokens;
    struct rb_tracer *tracer; /* NULL = no spans */

    pthread_mutex_t lock; /* guards the block below */
    struct rb_runtime *runtime;
    struct {
        pthread_cond_t cond;
        uint64_t generation;
    } wake[RB_TASK_KIND_COUNT];
    pthread_cond_t ended;
    struct { /* which principal a key is, as AWS calls it: learned from children */
        char access_key[64];
        char initiator[256];
    } initiators[RB_MAX_INITIATORS];
    unsigned n_initiators;
    struct rb_pace pace; /* turns of the destinations */
    struct {             /* what is known of those that are gone: off.h */
        bool known, looking;
        uint64_t changes;     /* made here, so that an older look is not taken for news */
        uint64_t generation;  /* of the settings that were looked at last */
        int64_t next_boot_ms; /* of the next look */
    } off;
    struct rb_arena paused_arena;
    const char **paused;
    unsigned n_paused;
    int64_t paused_read_ms; /* boot clock; 0 = never */

    struct rb_tally *tally;
    struct rb_uses *uses;
    uint64_t *flaky; /* lock; what the ledger calls flaky, as the keeper saw it last */
    unsigned n_flaky;
    struct rb_worker *workers;
    unsigned n_workers;
    bool cut; /* a worker did not end in time: its memory is left alone */

    atomic_bool stopping;          /* no new claims */
    atomic_int_least64_t birth_ms; /* of the store's memory, as the keeper saw it; 0 = not yet */
    atomic_bool cancel_reads;      /* look-ups end now */
    atomic_bool cancel_calls;      /* RetryBuild calls end now */
    atomic_bool unnamed;           /* AWS does not show the sessions that we name after retries */
    atomic_bool store_away;        /* for the log: told once */
};

int64_t rb_engine_now_ms(const struct rb_engine *e);
uint64_t rb_engine_random(struct rb_engine *e);
int64_t rb_engine_jitter_ms(struct rb_engine *e, int64_t from_ms, int64_t to_ms);
/* rb_engine_wake - one waiting worker of @kind looks again. */
void rb_engine_wake(struct rb_engine *e, enum rb_task_kind kind);
/* rb_engine_pause - wait @ms or until the stop; false when stopping. */
bool rb_engine_pause(struct rb_engine *e, int64_t ms);
void rb_engine_store_state(struct rb_engine *e, enum rb_code rc, const struct rb_err *err);
static inline bool rb_store_gone(enum rb_code rc)
{
    return rc == RB_E_UNAVAIL || rc == RB_E_TIMEOUT;
}
void *rb_worker_main(void *arg);

/* ---- admission ---- */
/* rb_engine_retry_new - an empty record with ids; chain NULL = a new one. */
struct rb_retry *rb_engine_retry_new(struct rb_engine *e, const struct rb_build *build,
                                     const struct rb_delivery *delivery, const char *chain,
                                     int64_t now_ms);
/* rb_engine_take_decision - write what the policy said into @r: decision, limit, state, due time.
 * False without memory. */
bool rb_engine_take_decision(struct rb_engine *e, struct rb_retry *r, const struct rb_decision *d,
                             int64_t now_ms);
/* rb_engine_follow_on - the next attempt of @r's chain for its failed child, as decided. */
enum rb_code rb_engine_follow_on(struct rb_engine *e, const struct rb_runtime *rt,
                                 const struct rb_retry *r, const struct rb_build *child,
                                 const struct rb_decision *d, int64_t now_ms,
                                 struct rb_admission **ret_a, struct rb_err *err);
void rb_engine_admission_freep(struct rb_admission **a);
/* rb_engine_reports - tasks for the destinations that want @r's present state, in @a. False without
 * memory. */
bool rb_engine_reports(const struct rb_settings *s, const struct rb_retry *r, int64_t now_ms,
                       struct rb_arena *a, const struct rb_report_task **ret_t, unsigned *ret_n);
#define RB_CALLBACK_DESTINATION "callback_url"
#define RB_REPLY_DESTINATION "reply"

/* ---- one piece of work ---- */
struct rb_work {
    struct rb_worker *w;
    struct rb_engine *e;
    const struct rb_runtime *rt;
    struct rb_task *task;
    struct rb_retry *r;    /* the task's */
    struct rb_arena arena; /* what AWS told, for this piece of work */
    int64_t lease_ms;
    int64_t boot_deadline_ms;   /* the lease surely lasts until then */
    enum rb_state state_stored; /* what the store has */
    char intent_key[RB_KEY_BYTES];
    char build_key[RB_KEY_BYTES];
    bool intent_taken; /* before the call's: nobody but AWS and the store is asked from here on */
    const struct rb_notice *spent; /* what ends it ends many: chats are told once; NULL = nothing */
    const struct rb_report_task *notices; /* to be told with the next note; in the record's arena */
    unsigned n_notices;
};
/* rb_work_begin - @boot_claimed_ms: boot clock before the claim was made. */
void rb_work_begin(struct rb_work *k, struct rb_worker *w, struct rb_task *task,
                   int64_t boot_claimed_ms, int64_t lease_ms);
void rb_work_end(struct rb_work *k);
/* rb_work_settle - write the record. @stubborn: a store that is away is asked again until the lease
 * ends. Counts outcomes and logs what became of the retry. */
enum rb_code rb_work_settle(struct rb_work *k, struct rb_settle *s, bool stubborn,
                            struct rb_err *err);
/* rb_work_finish - enter a state without a next task (terminal or held), giving up the intent. */
enum rb_code rb_work_finish(struct rb_work *k, enum rb_state state, const char *note,
                            struct rb_err *err);
/* rb_work_disown - as above where what was delivered turned out to be no known failure: it does not
 * stand in the way of one that comes later. */
enum rb_code rb_work_disown(struct rb_work *k, enum rb_state state, const char *note,
                            struct rb_err *err);
/* rb_claim_contradicted - what a delivery asserted of the build is not so, or nothing shows that it
 * is; @ret_note says why. */
bool rb_claim_contradicted(const struct rb_work *k, const struct rb_build *seen, char *ret_note,
                           size_t note_size);
/* rb_work_later - the same kind of task again in @wait_ms; @note (may be NULL) is written unless it
 * is the newest one already. */
enum rb_code rb_work_later(struct rb_work *k, int64_t wait_ms, const char *note,
                           struct rb_err *err);
/* rb_work_keep - renew the lease when less than @need_ms of it is left. */
enum rb_code rb_work_keep(struct rb_work *k, int64_t need_ms, struct rb_err *err);
/* rb_work_done - log what went wrong with a piece of work and give it back if it is still ours. */
void rb_work_done(struct rb_work *k, enum rb_code rc, const struct rb_err *err);
/* rb_work_not_asked - the note for a look-up that got no answer: what a person can mend is told in
 * full, what passes by itself only by its kind, so that one note serves for all its forms. */
void rb_work_not_asked(enum rb_code rc, const struct rb_err *why, char *ret_note, size_t size);
const char *rb_work_last_note(const struct rb_retry *r);
unsigned rb_work_count_notes(const struct rb_retry *r, const char *prefix);

/* ---- facts ---- */
/* rb_facts_merge - what AWS shows over what an event said; what only the event knew stays, and so
 * do id, account, region and project: the keys were made of them. False without memory. */
bool rb_facts_merge(struct rb_build *b, const struct rb_build *seen, struct rb_arena *a);
/* rb_lease_ms - long enough for one call and what follows, however short the setting. */
int64_t rb_lease_ms(const struct rb_timing *t);

/* rb_decide - rb_policy_decide, reading the build's log first where a rule asks for it. A log that
 * cannot be read: RB_E_LATER when @patient, else as if there were none. Strings in @a. */
enum rb_code rb_decide(struct rb_work *k, struct rb_policy_input *in, bool patient,
                       struct rb_arena *a, struct rb_decision *ret_d, struct rb_err *err);

/* ---- budgets, breakers, incidents ---- */
/* rb_gate_look - may the retry go, as things stand? Before CodeBuild is asked. *ret_ended: it waits
 * or is refused (written). */
enum rb_code rb_gate_look(struct rb_work *k, bool *ret_ended, struct rb_err *err);
/* rb_gate_take - the same once more, and it counts; right before the intent is written. */
enum rb_code rb_gate_take(struct rb_work *k, bool *ret_ended, struct rb_err *err);
/* rb_gate_standing - what stands in the way of builds like @b now, for explain. */
struct rb_standing;
enum rb_code rb_gate_standing(struct rb_engine *e, const struct rb_settings *s,
                              struct rb_store_session *ses, const struct rb_build *b,
                              struct rb_arena *a, struct rb_standing *ret_x, struct rb_err *err);
/* rb_gate_outcome - what became of the retry, before that is written; counts once. */
enum rb_code rb_gate_outcome(struct rb_work *k, enum rb_ending outcome, struct rb_err *err);

/* ---- builds of a project, as CodeBuild shows them ---- */
#define RB_CENSUS_MINUTES 60
struct rb_census { /* ended builds of the last hour by their age in minutes */
    int64_t ended[RB_CENSUS_MINUTES], n;
};
void rb_census_see(struct rb_census *c, const struct rb_build *b, int64_t aws_now_ms);
/* rb_census_write - into the ledger, for the project of @of. */
enum rb_code rb_census_write(struct rb_worker *w, const struct rb_build *of,
                             const struct rb_census *c, struct rb_arena *a, struct rb_err *err);
/* rb_census_take - list the builds of the task's project, at most @enough that have ended, and
 * write the count. *ret_ended: CodeBuild could not be asked, the retry waits (written). */
enum rb_code rb_census_take(struct rb_work *k, int64_t enough, bool *ret_ended, struct rb_err *err);

/* ---- one message for many retries ---- */
struct rb_notice {
    const char *about; /* a budget with its scope, a hold */
    int64_t since_ms;  /* who was told since then is told no more */
    bool chats;        /* only chats are spared */
};
/* rb_notice_claim - leaves those of @tasks that this retry is the first to tell. */
enum rb_code rb_notice_claim(struct rb_work *k, const struct rb_notice *what,
                             const struct rb_report_task **tasks, unsigned *n, struct rb_err *err);
/* rb_notice_of_hold - this retry waits for an incident: who has not been told of it will be, with
 * the note of the wait. */
enum rb_code rb_notice_of_hold(struct rb_work *k, const struct rb_incident_row *row,
                               struct rb_err *err);

struct rb_tally *rb_tally_new(void);
void rb_tally_free(struct rb_tally *t); /* NULL accepted */
void rb_tally_ended(struct rb_engine *e, const struct rb_build *b);
void rb_tally_failure(struct rb_engine *e, const struct rb_retry *r);
/* rb_tally_success - @b succeeded, and is no child of ours: somebody may have run again what was
 * left. rb_tally_left - @r was decided, or adopted; what is not retried by us is remembered, and
 * counts as a flake, or for shadow mode, should its commit succeed. */
void rb_tally_success(struct rb_engine *e, const struct rb_build *b);
void rb_tally_left(struct rb_engine *e, const struct rb_retry *r);
/* rb_tally_flush - write the counts into the ledger; without @all only the failures. */
enum rb_code rb_tally_flush(struct rb_worker *w, bool all, struct rb_err *err);

/* ---- uses.c ---- */
struct rb_uses *rb_uses_new(void);
void rb_uses_free(struct rb_uses *u); /* NULL accepted */
enum rb_code rb_uses_flush(struct rb_worker *w, struct rb_err *err);

/* ---- stats.c ---- */
/* rb_stats_show - the gauges of budgets and breakers, and what is flaky. */
enum rb_code rb_stats_show(struct rb_worker *w, struct rb_err *err);
bool rb_engine_flaky(struct rb_engine *e, const struct rb_policy *p, const struct rb_build *b);
void rb_budget_write_json(const struct rb_budget *b, struct rb_buf *out);

/* ---- chains ---- */
/* rb_chain_join - the task's build is the child of @owner: become the next attempt of that chain
 * (*ret_joined; nothing is written yet), wait until @owner has ended, or end as superseded (both
 * written). */
enum rb_code rb_chain_join(struct rb_work *k, const char *owner, bool *ret_joined,
                           struct rb_err *err);
/* rb_chain_input - what the policy is asked about @failed; attempt is left 0. */
void rb_chain_input(const struct rb_retry *r, const struct rb_build *failed, int64_t now_ms,
                    struct rb_policy_input *ret_in);
/* rb_chain_decide_again - the policy's word on a scheduled retry that has joined a chain; without
 * *ret_go_on it has ended or is held (written). */
enum rb_code rb_chain_decide_again(struct rb_work *k, bool *ret_go_on, struct rb_err *err);

/* rb_chain_link - @r becomes the next attempt of @parent's chain, with what its rules have used.
 * False without memory. */
bool rb_chain_link(struct rb_retry *r, const struct rb_retry *parent);

/* ---- builds that somebody else started ---- */
#define RB_NOTE_NOT_BY_AWS "CodeBuild's own auto-retry did not run this build again"
/* rb_lineage_left_to_aws - CodeBuild's own auto-retry is to run the build again, or did:
 * *ret_ended, the retry waits to see it or ends as deferred (written). What it did not do in time
 * is ours. */
enum rb_code rb_lineage_left_to_aws(struct rb_work *k, bool *ret_ended, struct rb_err *err);
/* rb_lineage_overdue - the same of @b without effect: it was to be run again, and was not. */
bool rb_lineage_overdue(const struct rb_work *k, const struct rb_build *b);
/* rb_lineage_join - where the build is one that somebody else started to run a failed one again,
 * its retry becomes the next attempt of that chain (*ret_joined; nothing is written yet). */
enum rb_code rb_lineage_join(struct rb_work *k, bool *ret_joined, struct rb_err *err);

/* ---- looking at AWS ---- */
struct rb_look {
    enum rb_look_status status;
    enum rb_code rc;                /* why status is not OK */
    int64_t began_ms;               /* AWS's clock */
    const struct rb_build *own;     /* NULL: CodeBuild does not know it */
    int64_t highest;                /* build number */
    const struct rb_build **builds; /* newer than asked for, newest first */
    unsigned n_builds;
};
/* rb_look_fresh - our build and the newest of its project; with @all every one newer than ours. */
void rb_look_fresh(struct rb_work *k, bool all, struct rb_look *ret, struct rb_err *err);
/* rb_look_since - the builds above the low-water mark of the open intent. */
void rb_look_since(struct rb_work *k, struct rb_look *ret, struct rb_err *err);

/* rb_look_definite_no - AWS said no, and would again. rb_look_worth_another - after stale
 * credentials or a clock that was off, the first time. */
bool rb_look_definite_no(enum rb_code rc);
bool rb_look_worth_another(struct rb_engine *e, enum rb_code rc, unsigned tries);

struct rb_fetch { /* one build to ask for, with others of its account and region in one call */
    const char *account, *region, *id;
    bool of_batch;                /* @id is of a batch build */
    const struct rb_batch *batch; /* of one that is */
    const struct rb_build *build; /* NULL: not known to AWS, or rc */
    enum rb_code rc;
    struct rb_err err;
};
/* rb_fetch_builds - BatchGetBuilds for all, grouped by account and region. */
void rb_fetch_builds(struct rb_worker *w, struct rb_fetch *items, unsigned n, struct rb_arena *a);

/* ---- one effect that several retries ask for ---- */
/* rb_lead_take - @what names the effect. Without *ret_leads the retry has ended (written): listed
 * with the one that leads, @why and its id are the note. */
enum rb_code rb_lead_take(struct rb_work *k, const char *what, const char *why, bool *ret_leads,
                          struct rb_err *err);
/* rb_lead_join - the same when @leader, which lives, is known. */
enum rb_code rb_lead_join(struct rb_work *k, const struct rb_retry *leader, const char *why,
                          struct rb_err *err);

/* ---- CodePipeline ---- */
/* rb_pipeline_fresh - the call that was never made, for a build that CodePipeline started. */
enum rb_code rb_pipeline_fresh(struct rb_work *k, struct rb_err *err);
/* rb_pipeline_call - RetryStageExecution of the open intent. */
enum rb_code rb_pipeline_call(struct rb_work *k,
                              enum rb_code (*last_check)(void *, struct rb_err *), void *arg,
                              const char **ret_access_key, int64_t *ret_retry_after_ms,
                              struct rb_err *err);
/* rb_pipeline_taken - CodePipeline said yes: from here on its new build is looked for. */
enum rb_code rb_pipeline_taken(struct rb_work *k, struct rb_err *err);
/* rb_pipeline_look_since - the build that the action runs since the open intent, or none. */
void rb_pipeline_look_since(struct rb_work *k, struct rb_look *ret, struct rb_err *err);
/* rb_pipeline_wait - CodePipeline said yes, and no build shows: later, or the end of patience. */
enum rb_code rb_pipeline_wait(struct rb_work *k, struct rb_err *err);

/* ---- batch builds ---- */
/* rb_batch_id - "project:uuid" of the batch in an ARN of a batch build; NULL when it is none. */
const char *rb_batch_id(const char *arn);
struct rb_batch_look {
    struct rb_look look; /* builds: the other batches of the project, newest first */
    const struct rb_batch *own;
};
/* rb_batch_look - the batch of the task's build; with @others also those of its project, down to
 * the number @down_to. */
void rb_batch_look(struct rb_work *k, bool others, int64_t down_to, struct rb_batch_look *ret,
                   struct rb_err *err);
/* rb_batch_look_since - what may have come of the open intent: the batch itself when it has been
 * run again, else the batches above the low-water mark. */
void rb_batch_look_since(struct rb_work *k, struct rb_look *ret, struct rb_err *err);
/* rb_batch_get - BatchGetBuildBatches, for the worker's round. */
enum rb_code rb_batch_get(struct rb_worker *w, const char *account, const char *region,
                          const char *const *ids, unsigned n, struct rb_arena *a,
                          struct rb_batch **ret_batches, unsigned *ret_n, struct rb_err *err);
/* rb_batch_fresh - the call that was never made, for a build that is part of a batch or is one:
 * everything that is looked at before, the intent, the call. */
enum rb_code rb_batch_fresh(struct rb_work *k, bool strict, struct rb_err *err);
/* rb_batch_followed - what a look at the child, a batch, means: *ret_seen is the child with what
 * made it fail; NULL = dealt with (written). */
enum rb_code rb_batch_followed(struct rb_work *k, const struct rb_batch *seen,
                               const struct rb_build **ret_seen, struct rb_err *err);

/* ---- submit ---- */
/* rb_fresh_look_failed - AWS could not be asked: later. rb_fresh_not_shown - ask again a few times,
 * then end as refused. rb_fresh_check_newer - something makes a retry of @own pointless: ended. */
enum rb_code rb_fresh_look_failed(struct rb_work *k, const struct rb_look *look,
                                  const struct rb_err *why, struct rb_err *err);
/* rb_fresh_busy - another retry has the intent: later. */
enum rb_code rb_fresh_busy(struct rb_work *k, struct rb_err *err);
enum rb_code rb_fresh_not_shown(struct rb_work *k, const char *what, const char *end,
                                struct rb_err *err);
enum rb_code rb_fresh_check_newer(struct rb_work *k, const struct rb_build *own,
                                  const struct rb_look *look, bool strict, bool *ret_ended,
                                  struct rb_err *err);
/* rb_head_check - the git host is asked, once, whether the head of the build's branch or pull
 * request moved: *ret_ended, it did, the retry is superseded (written). */
enum rb_code rb_head_check(struct rb_work *k, bool *ret_ended, struct rb_err *err);
/* rb_fresh_intent_and_send - the intent, then the first copy of the call. */
enum rb_code rb_fresh_intent_and_send(struct rb_work *k, int64_t low_water, struct rb_err *err);
void rb_submit_work(struct rb_work *k);
enum rb_code rb_submit_fresh(struct rb_work *k, struct rb_err *err);
enum rb_code rb_submit_resume(struct rb_work *k, struct rb_err *err);
/* rb_submit_send - one RetryBuild of the open intent, and what follows from its answer. */
enum rb_code rb_submit_send(struct rb_work *k, struct rb_err *err);
enum rb_code rb_submit_running(struct rb_work *k, const struct rb_build *child, const char *note,
                               struct rb_err *err);
bool rb_engine_is_paused(struct rb_worker *w, const char *project);
/* What AWS calls the principal of an access key; NULL = not known. In @a. */
const char *rb_engine_initiator_of(struct rb_engine *e, const char *access_key, struct rb_arena *a);
void rb_engine_learn_initiator(struct rb_engine *e, const char *access_key, const char *initiator);

#define RB_AWS_ARENA_BYTES (16u * 1024 * 1024)

#endif
