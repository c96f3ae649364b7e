/* model.h - the nouns of the product as plain data: build, event, decision, retry, task, report.
 *
 * Strings are `const char *`, NUL-terminated UTF-8, borrowed from the arena of the thing that holds
 * them (rb_retry and rb_event own one); NULL = absent. Times are milliseconds since 1970 UTC, 0 =
 * absent. No I/O, no clock. Threads: one owner at a time.
 */
#ifndef RETRYBUILD_MODEL_H
#define RETRYBUILD_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/random.h>
#include <retrybuild/str.h>
#include <retrybuild/tracecontext.h>

/* ---- states ---- */
enum rb_state {
    RB_STATE_RECEIVED,   /* known, not decided: an inspect task asks AWS */
    RB_STATE_SCHEDULED,  /* decided; a submit task is due at due_ms */
    RB_STATE_SUBMITTING, /* intent written; the call may be under way or its outcome unknown */
    RB_STATE_RUNNING,    /* the child is known */
    RB_STATE_HELD,       /* a person is asked */
    RB_STATE_RECOVERED,  /* terminal from here on */
    RB_STATE_FAILED_AGAIN,
    RB_STATE_IGNORED,
    RB_STATE_REFUSED,
    RB_STATE_SUPERSEDED,
    RB_STATE_DEFERRED,
    RB_STATE_CANCELLED,
    RB_STATE_DEAD,
    RB_STATE_COUNT
};
const char *rb_state_name(enum rb_state s);
bool rb_state_parse(const char *name, enum rb_state *ret_s);
bool rb_state_terminal(enum rb_state s);
/* rb_state_may - the transition table; a state may always be written over itself. */
bool rb_state_may(enum rb_state from, enum rb_state to);

enum rb_action { RB_ACTION_NONE, RB_ACTION_RETRY, RB_ACTION_ASK, RB_ACTION_IGNORE };
const char *rb_action_name(enum rb_action a); /* "retry" "ask" "ignore"; NONE: "none" */
bool rb_action_parse(const char *name, enum rb_action *ret_a);

enum rb_task_kind {
    RB_TASK_NONE,
    RB_TASK_INSPECT,
    RB_TASK_SUBMIT,
    RB_TASK_FOLLOW,
    RB_TASK_REPORT,
    RB_TASK_KIND_COUNT
};
const char *rb_task_kind_name(enum rb_task_kind k);

enum rb_stage {
    RB_STAGE_HELD,
    RB_STAGE_STARTED,
    RB_STAGE_FINISHED,
    RB_STAGE_REFUSED,
    RB_STAGE_COUNT
};
const char *rb_stage_name(enum rb_stage s);
bool rb_stage_parse(const char *name, enum rb_stage *ret_s);
/* rb_stage_of - the stage that reaching @s means; false when it is not reported (received,
 * scheduled, submitting, ignored). HELD: held; RUNNING: started; RECOVERED, FAILED_AGAIN, DEAD,
 * CANCELLED: finished; REFUSED, SUPERSEDED, DEFERRED: refused. */
bool rb_stage_of(enum rb_state s, enum rb_stage *ret_stage);

/* ---- builds ---- */
struct rb_build {
    const char *partition; /* "aws" when not said */
    const char *account;   /* 12 digits */
    const char *region;
    const char *project;
    const char *id;     /* project:uuid */
    const char *arn;    /* build ARN */
    int64_t number;     /* 0 = unknown */
    const char *status; /* FAILED, FAULT, TIMED_OUT, SUCCEEDED, STOPPED, IN_PROGRESS; open set */
    const char *phase;  /* first phase whose status is not SUCCEEDED and is known */
    const char *phase_status;
    const char
        *message; /* that phase's context text, at most RB_MESSAGE_MAX_BYTES, cut at a code point */
    const char *url; /* log deep link, https only */
    const char *initiator;
    const char *author;      /* of the commit, as the git host names it */
    const char *source_type; /* GITHUB, CODEPIPELINE, ... */
    const char *source_version;
    const char *resolved_version; /* commit id */
    const char *repository;       /* source location without ".git" */
    const char *branch;
    const char *pull_request;
    const char *batch_arn;
    const char *status_context; /* the project's own name for the commit status that CodeBuild
                                   writes; NULL = CodeBuild's, or not known */
    int exit_code;              /* of "exit status N" in the message; -1 = none */
    int64_t started_ms, ended_ms;
    int64_t auto_retry_limit, auto_retry_number; /* -1 = not told (events do not carry them) */
    const char *next_auto_retry;                 /* build ARN */
    const char *compute_type;                    /* BUILD_GENERAL1_SMALL, ...; open set */
    int64_t run_ms; /* of a batch, or of the batch it is part of: when the run began that is meant
                       (a batch keeps its id when it is run again); 0 = not known */
};
#define RB_MESSAGE_MAX_BYTES 1024
#define RB_BUILD_INIT                                                    \
    {                                                                    \
        .exit_code = -1, .auto_retry_limit = -1, .auto_retry_number = -1 \
    }

/* rb_build_parse_ref - "arn:<partition>:codebuild:<region>:<account>:build/<project>:<uuid>" or
 * "<project>:<uuid>" (then account and region stay NULL). Lenient about a double colon before the
 * uuid, strict about characters: project [A-Za-z0-9][A-Za-z0-9_-]{1,254}, account 12 digits, region
 * [a-z0-9-]+, uuid [0-9A-Za-z-]{1,64}. Fills partition, account, region, project, id, arn. */
enum rb_code rb_build_parse_ref(const char *s, struct rb_arena *a, struct rb_build *ret_b,
                                struct rb_err *err);
/* rb_build_make_arn - set b->arn from the parts; false without memory or parts. */
bool rb_build_make_arn(struct rb_build *b, struct rb_arena *a);
/* rb_build_failed - FAILED, FAULT, TIMED_OUT. rb_build_ended - any status but IN_PROGRESS and NULL.
 */
bool rb_build_failed(const struct rb_build *b);
bool rb_build_ended(const struct rb_build *b);
/* rb_build_copy - deep copy into @a. */
bool rb_build_copy(struct rb_build *dst, const struct rb_build *src, struct rb_arena *a);
/* rb_build_derive - fill exit_code from message, branch/pull_request/commit from source_version
 * ("refs/heads/x", "pr/12", 40 hex) where they are absent, repository from a location URL (drops
 * ".git", userinfo). */
void rb_build_derive(struct rb_build *b, struct rb_arena *a);
const char *rb_build_commit(const struct rb_build *b); /* resolved_version, else a source_version
                                                          that is 40 hex, else NULL */

/* rb_build_add_link - the build's page in the console; nothing without region, project or id. */
void rb_build_add_link(const struct rb_build *b, struct rb_buf *out);
/* rb_build_is_batch - @b is a whole batch build: its ARN is that of the batch. */
bool rb_build_is_batch(const struct rb_build *b);

/* rb_repository_same - @a and @b, each a clone URL (https, ssh, git@host:path) or the repository's
 * page, are of one repository: without scheme, user, ".git", and in any case, as git hosts compare
 * them. Ports count between two of https. False when one of them is no such address. */
bool rb_repository_same(const char *a, const char *b);
/* rb_repository_is - @text is such an address (what S3 has is none). */
bool rb_repository_is(const char *text);

#define RB_KEY_BYTES 33 /* 32 hex digits (128 bits of SHA-256) + NUL */
/* rb_build_key - key of (account, region, build id), of a batch also its run: effect keys and the
 * child index. Without the account, which who asks by an id alone may not know, it is another key:
 * such a retry takes the one that belongs to it once the account is known (rb_settle.take_effect).
 */
void rb_build_key(const struct rb_build *b, char ret_key[RB_KEY_BYTES]);
/* rb_intent_key - key of (account, region, project, source version): one open intent each. */
void rb_intent_key(const struct rb_build *b, char ret_key[RB_KEY_BYTES]);
/* rb_scoped_key - key of (scope, text), e.g. (source name, delivery id) or (caller, idempotency
 * token). */
void rb_scoped_key(const char *scope, const char *text, size_t text_len,
                   char ret_key[RB_KEY_BYTES]);
/* rb_build_shard - 0..31 from account, region, project: the last character of ids, and the shard of
 * a clustered store. */
unsigned rb_build_shard(const struct rb_build *b);

/* ---- events ---- */
enum rb_event_kind {
    RB_EVENT_FAILURE, /* a build ended in FAILED, FAULT or TIMED_OUT */
    RB_EVENT_ENDED,   /* a build ended otherwise: may settle a child, never starts a retry */
    RB_EVENT_NONE,    /* valid but irrelevant; `why` says it */
};

struct rb_event {
    enum rb_event_kind kind;
    const char *why; /* NONE: "detail-type 'X' is not followed", "build is in progress", … */
    struct rb_build build;
    bool needs_inspection; /* the event lacks what the policy needs: ask AWS first */
    int64_t at_ms;         /* when the sender says it happened; 0 = not said */
    bool bad;              /* NONE: a part of a batch that is not what this sender sends */
    const char *token;     /* explicit idempotency token; NULL = none */
    const char *traceparent, *tracestate; /* as sent with it; NULL = none, not checked yet */

    /* FAILURE without a build id: where to look for it before it is admitted */
    enum rb_find {
        RB_FIND_NOTHING,  /* nothing is missing but, at most, account and region */
        RB_FIND_COMMIT,   /* a failed build of build.project with build.resolved_version */
        RB_FIND_STATUSES, /* in the git host's statuses of that commit */
        RB_FIND_BATCH,    /* what made the batch build.id fail; without id, the newest batch of
                             build.project with build.resolved_version */
    } find;
    const char *find_in; /* STATUSES: the repository, as the host's API wants it */
};

struct rb_delivery {
    const char *source; /* configured name */
    const char *type;
    const char *key;    /* the sender's id, as sent (at most 256 bytes), or the body's SHA-256 */
    const char *proved; /* what a repetition is known by where anybody could write another key; NULL
                           = the key; not kept with a record */
    int64_t at_ms;
};

/* ---- decisions ---- */
enum rb_delay_kind { RB_DELAY_JITTER, RB_DELAY_FIXED, RB_DELAY_LIST };
#define RB_DELAY_LIST_MAX 16
struct rb_delay {
    enum rb_delay_kind kind;
    int64_t base_ms, cap_ms;            /* JITTER */
    int64_t list_ms[RB_DELAY_LIST_MAX]; /* FIXED uses [0]; LIST: by attempt, the last repeats */
    unsigned n_list;
};

struct rb_decision {
    enum rb_action action;
    const char *rule;   /* configured or built-in name */
    const char *reason; /* one sentence for a person */
    int64_t limit;      /* of the rule, for this chain */
    struct rb_delay delay;
    bool start;          /* how: StartBuild with the original's settings, not RetryBuild */
    bool pipeline;       /* how: CodePipeline's RetryStageExecution, for a build it started */
    enum rb_state state; /* what the retry becomes: SCHEDULED, HELD, IGNORED, REFUSED, DEFERRED */
    bool needs_log;      /* a rule would have to read the build's log; not recorded */
};

/* ---- retries ---- */
struct rb_history_entry {
    int64_t at_ms;
    enum rb_state state;
    const char *note; /* NULL = none */
};
#define RB_HISTORY_MAX 64    /* older middle entries are dropped beyond this */
#define RB_DELIVERIES_MAX 20 /* listed; duplicates counts all */

enum rb_report_state {
    RB_REPORT_PENDING,
    RB_REPORT_DELIVERED,
    RB_REPORT_SUPERSEDED,
    RB_REPORT_DEAD
};
const char *rb_report_state_name(enum rb_report_state s);

struct rb_report {
    const char *destination;
    enum rb_stage stage;
    enum rb_report_state state;
    int64_t attempts;
    const char *last_error;
};

struct rb_rule_use { /* how often a rule has let this chain be retried, this retry included */
    const char *rule;
    int64_t count;
};
#define RB_RULE_USES_MAX 16

struct rb_retry {
    struct rb_arena arena; /* owns every string below */
    char id[RB_ID_BYTES];
    char chain[RB_ID_BYTES];
    char
        previous[RB_ID_BYTES]; /* the retry whose child is our build; "" for the first of a chain */
    enum rb_state state;
    int64_t attempt; /* 1 for the first retry of a chain */
    int64_t limit;   /* most retries the rule allows this chain */
    struct rb_build build;
    bool has_child;
    struct rb_build child;
    struct rb_delivery source; /* the first delivery */
    struct rb_decision decision;
    const char *cancelled_by;   /* who asked to stop the child; NULL = nobody */
    const char *requested_by;   /* token name, or NULL for events */
    const char *request_reason; /* what the person said */
    const char *callback_url;
    const char *channel; /* of the chat in which it was asked for; NULL = elsewhere */
    const char *reply;   /* the source's handle for answers to who asked; a secret, never shown */
    bool force;
    /* The trace that the first failure of the chain came in, as a header of version 00; NULL: none
     * came, the chain has one of its own. Its tracestate, NULL = none. */
    const char *traceparent, *tracestate;
    int64_t created_ms, due_ms, submitted_ms, finished_ms;
    struct rb_rule_use rule_uses[RB_RULE_USES_MAX];
    unsigned n_rule_uses;
    struct rb_history_entry history[RB_HISTORY_MAX];
    unsigned n_history;

    /* the once-only call (design, section 5) */
    struct {
        int64_t issue;          /* 0 = no intent yet; counts tokens issued (1, 2, …) */
        int64_t unknowns;       /* issues given up as "certainly none"; two at most */
        int64_t date_ms;        /* T0, the one signature date of this issue, by AWS's clock */
        int64_t written_ms;     /* our own clock when the intent was written */
        int64_t low_water;      /* highest build number of the project known before the call */
        bool ambiguous;         /* a copy may have reached AWS */
        int64_t sends;          /* of this issue */
        const char *access_key; /* id of the key that signed first (initiator hints); not secret */
        /* of a call to CodePipeline: the execution, and where in it the failed build stands */
        const char *execution, *stage, *action;
        bool taken; /* CodePipeline answered that it does it; its new build is looked for */
        /* "ROLE/<id>": what AWS calls every copy of this issue, all of which are signed by a
         * session that is named after the retry; NULL: by the account's usual credentials */
        const char *initiator;
    } intent;

    /* fields of the record that a newer release wrote and this one does not know; written back as
     * they came, so that replicas of two releases can share a store while one replaces the other */
    struct rb_slice foreign;

    /* kept by the store beside the record, filled by get, list and claim; not part of the record */
    uint64_t version;
    int64_t duplicates;
    struct rb_delivery deliveries[RB_DELIVERIES_MAX]; /* [0] = source */
    unsigned n_deliveries;
    struct rb_report *reports; /* in the arena */
    unsigned n_reports;
};
#define RB_RETRY_MAX_BYTES (64 * 1024) /* arena of one retry */

struct rb_retry *rb_retry_new(void); /* empty; NULL without memory */
void rb_retry_free(struct rb_retry *r);
void rb_retry_freep(struct rb_retry **r);
/* rb_retry_enter - change the state (asserts rb_state_may), append history, set finished_ms on
 * terminal states. */
void rb_retry_enter(struct rb_retry *r, enum rb_state s, int64_t now_ms, const char *note);
/* rb_retry_note - history entry without a change of state. */
void rb_retry_note(struct rb_retry *r, int64_t now_ms, const char *note);
/* rb_retry_set_decision - deep copy. */
bool rb_retry_set_decision(struct rb_retry *r, const struct rb_decision *d);
/* rb_retry_take_trace - the trace that came with a failure: an invalid @traceparent counts as none,
 * an invalid @tracestate is left out (both may be NULL). False without memory. */
bool rb_retry_take_trace(struct rb_retry *r, const char *traceparent, const char *tracestate);
/* rb_retry_inherit_trace - that of the chain's retry @from. False without memory. */
bool rb_retry_inherit_trace(struct rb_retry *r, const struct rb_retry *from);
/* rb_retry_trace - trace and parent span that came; else the trace of the chain, whose id follows
 * from the chain's, without a parent span (""), sampled by @ratio. True: it came. */
bool rb_retry_trace(const struct rb_retry *r, double ratio, struct rb_trace *ret_t);
/* rb_retry_span_id - the id of the one span of the kind @what ("retry", "delivery", ...) that the
 * retry @id has; whoever makes it, it is the same. */
void rb_retry_span_id(const char *id, const char *what, char ret_id[RB_SPAN_ID_BYTES]);
/* rb_retry_token - the deterministic idempotency token of (id, attempt, issue): 64 hex digits. */
void rb_retry_token(const struct rb_retry *r, char ret_token[65]);

#endif
