/* store.h - everything that must survive: records, keys, tasks, indexes. One ops table, two
 * backends (SQLite, Redis).
 *
 * Atomicity: every function below is one atomic step; it happened or it did not. RB_E_UNAVAIL and
 * RB_E_TIMEOUT on a write mean "may have happened": repeat it as it is (each is idempotent or
 * fenced). Time comes from the caller (now_ms). Leases: a claimed task is leased until now +
 * lease_ms and carries a random 64-bit fence; each write of the worker names it and is refused with
 * RB_E_FENCED when it is no longer the current one (lease passed on, task ended, record changed by
 * a person). The due index is never popped: a lease moves the score. A retry has at most one main
 * task (inspect, submit or follow), and any number of report tasks. Threads: struct rb_store any; a
 * session one thread at a time; an admitter belongs to its loop. Blocks: sessions at most the
 * store's deadline (2 s); the admitter never. No lock is held meanwhile. Source: ARCHITECTURE.md,
 * "Leases and fences".
 */
#ifndef RETRYBUILD_STORE_H
#define RETRYBUILD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/model.h>
#include <retrybuild/settings.h>

struct rb_store;         /* shared by all threads */
struct rb_store_session; /* one thread's handle */
struct rb_admitter;      /* a loop's asynchronous way in */

/* ---- opening ---- */
struct rb_store_backend {
    const char *const *schemes; /* "sqlite", …; NULL-terminated */
    const struct rb_store_ops *ops;
};
extern const struct rb_store_backend rb_store_backend_sqlite;
extern const struct rb_store_backend rb_store_backend_redis;

/* rb_store_open - pick the backend by the URL's scheme. SQLite: creates or upgrades the file,
 * checks it, refuses a second process (RB_E_CONFLICT). Redis: does not fail because the server is
 * away (it connects in the background and rb_store_up tells), but refuses a bad URL, and later a
 * maxmemory-policy other than noeviction. @settings is referenced. */
enum rb_code rb_store_open(const struct rb_store_backend *const *backends,
                           struct rb_settings *settings, const struct rb_clock *clock,
                           struct rb_store **ret_store, struct rb_err *err);
void rb_store_close(
    struct rb_store *s); /* sessions and admitters are closed before; NULL accepted */
bool rb_store_up(const struct rb_store *s);
/* rb_store_on_due - @fn is called (from a thread of the store, quickly, no calls back into the
 * store) when a task of @kind may have become due because of an admission or settle in this or, for
 * Redis, any process. Set before sessions are opened; NULL when nobody listens any more: on return
 * no call is under way, and @arg may go. */
void rb_store_on_due(struct rb_store *s, void (*fn)(void *arg, enum rb_task_kind kind), void *arg);

/* ---- looking from outside ---- */
struct rb_store_health {
    const char *kind;      /* "sqlite", "redis" */
    const char *place;     /* file, or host and port; never a user or password */
    bool held;             /* SQLite: a running service has the file, so nothing else is known */
    bool absent;           /* SQLite: there is no file yet; `serve` makes it */
    const char *version;   /* NULL = not told */
    const char *policy;    /* Redis: maxmemory-policy; NULL = not told */
    int64_t replicas;      /* Redis: attached ones; -1 = there is no such thing */
    int64_t round_trip_us; /* Redis: of one PING; -1 = there is no such thing */
    int64_t birth_ms;      /* of the epoch; 0 = no service has been here yet */
    const char *notice;    /* what a person should know; NULL = nothing */
};
/* rb_store_examine - ask the store without opening it: nothing is made, written or locked. Strings
 * of *ret_h in @a; kind and place are set also on errors (kind NULL: no such backend).
 * RB_E_INVALID: a bad URL, or the file of another program or a newer version; RB_E_UNAVAIL: away,
 * or must not be used (the message says why); RB_E_CORRUPT; RB_E_IO. Blocks: at most the store's
 * deadline, and name resolution. */
enum rb_code rb_store_examine(const struct rb_store_backend *const *backends,
                              struct rb_settings *settings, const struct rb_clock *clock,
                              struct rb_arena *a, struct rb_store_health *ret_h,
                              struct rb_err *err);

enum rb_code rb_store_session_open(struct rb_store *s, struct rb_store_session **ret_ses,
                                   struct rb_err *err);
void rb_store_session_close(struct rb_store_session *ses); /* NULL accepted */

/* ---- admission ---- */
enum rb_admit_mode {
    RB_ADMIT_EVENT,  /* an effect key that is held: duplicate, whatever the state of its retry */
    RB_ADMIT_PERSON, /* held and its retry lives: duplicate; ended: a new one takes the key over */
    RB_ADMIT_FORCE,  /* always a new one (a repeated delivery or token is still a duplicate) */
    RB_ADMIT_ENDED,  /* never creates: wakes the follow task of the retry whose child this build is
                      */
};
enum rb_admit_result {
    RB_ADMIT_NEW,
    RB_ADMIT_DUPLICATE, /* of retry_id (delivery, token or effect key known); counted and listed
                           there */
    RB_ADMIT_CHILD,     /* the build is the child of retry_id; its follow task was made due now */
    RB_ADMIT_MISMATCH,  /* the token is known with another fingerprint */
    RB_ADMIT_UNKNOWN,   /* ENDED: nobody's child */
};

struct rb_report_task {
    const char *destination;
    enum rb_stage stage;
    int64_t due_ms;
};

struct rb_admission {
    enum rb_admit_mode mode;
    const char *delivery_key;      /* RB_KEY_BYTES text, NULL = none */
    const char *token_key;         /* explicit idempotency token, NULL = none */
    const char *token_fingerprint; /* key text of the parameters */
    int64_t token_ttl_ms;          /* how long the token is known; 0 = timing.delivery_ttl */
    const char *build_key;         /* rb_build_key of the failed (or ended) build */
    const char *intent_key;        /* unused by ENDED */
    /* listed and counted when this turns out a duplicate; NULL: neither (a sweep, which is no
     * delivery) */
    const struct rb_delivery *delivery;
    const struct rb_retry *retry; /* the record to create; NULL for ENDED */
    enum rb_task_kind
        task; /* its main task, due at retry->due_ms; NONE for terminal or held records */
    const struct rb_report_task *reports;
    unsigned n_reports;
    /* out */
    enum rb_code rc; /* RB_OK, or why nothing happened (UNAVAIL, TIMEOUT, FULL, …) */
    enum rb_admit_result result;
    char retry_id[RB_ID_BYTES];
    enum rb_state retry_state; /* of that retry, for DUPLICATE, CHILD and NEW */
    void *user;                /* the caller's */
};

/* rb_store_admit - a batch, each admission atomic by itself; per-item outcome in a->rc and
 * a->result. The order of checks: token, delivery key, effect key, child index, create. Returns
 * RB_OK when every item has an outcome, else what broke (items then carry it too). Keys: delivery
 * and token live timing.delivery_ttl; the effect key while its retry lives and timing.effect_ttl
 * beyond. */
enum rb_code rb_store_admit(struct rb_store_session *ses, struct rb_admission **items, unsigned n,
                            int64_t now_ms, struct rb_err *err);

/* The asynchronous way for an event loop. Batching is natural: what is added while a batch is under
 * way is the next batch.
 * @done is called from rb_admitter_pump for each finished item; @epoll_fd is the loop's, events
 * arrive with data.ptr = @tag. */
enum rb_code rb_admitter_open(struct rb_store *s, int epoll_fd, void *tag,
                              void (*done)(void *arg, struct rb_admission *a), void *arg,
                              struct rb_admitter **ret_adm, struct rb_err *err);
/* rb_admitter_close - items still under way complete with RB_E_CLOSED. */
void rb_admitter_close(struct rb_admitter *adm);
/* rb_admitter_add - @a stays with the caller until done. RB_E_FULL: too many under way.
 * RB_E_UNAVAIL: store is away (at once, not queued). */
enum rb_code rb_admitter_add(struct rb_admitter *adm, struct rb_admission *a, struct rb_err *err);
/* rb_admitter_pump - call when @tag's event fired, after adds, and when the timeout ran out: reads
 * what arrived, completes items, sends the next batch. Never blocks. */
void rb_admitter_pump(struct rb_admitter *adm, int64_t now_ms);
int rb_admitter_timeout_ms(
    const struct rb_admitter *adm); /* until pump wants to run without an event; -1 = none */
unsigned rb_admitter_in_flight(const struct rb_admitter *adm);

/* ---- tasks ---- */
#define RB_RECEIPT_BYTES 512 /* with its NUL */
struct rb_task {
    enum rb_task_kind kind;
    uint64_t fence;
    int64_t tries;  /* claims since the last settle, this one included */
    int64_t due_ms; /* when it became due */
    int64_t lease_until_ms;
    bool woken;             /* FOLLOW: an event said that the child ended */
    struct rb_retry *retry; /* owned; for REPORT the snapshot taken when the report was made */
    /* REPORT only */
    char destination[64];
    enum rb_stage stage;
    int64_t attempts;     /* posts made before this one */
    int64_t first_due_ms; /* give_up counts from here */
    char message_id[64];  /* same on every attempt */
    /* What the receiver gave for this chain's last report to this destination, such as a message's
     * id; "" = nothing. What stands here at rb_store_report_settle is kept for the chain's next
     * report in the same step, whatever the outcome; "" leaves what there is. */
    char receipt[RB_RECEIPT_BYTES];
};
void rb_task_free(struct rb_task *t);
void rb_task_freep(struct rb_task **t);

/* rb_store_claim - lease up to @max (1..128) due tasks of @kind, oldest first. RB_OK with *ret_n ==
 * 0: none due; *ret_next_ms (may be NULL) is then when to ask again, at most the due time of the
 * next one, 0 = none. A record that does not decode is set aside as dead, counted, and not
 * returned. */
enum rb_code rb_store_claim(struct rb_store_session *ses, enum rb_task_kind kind, unsigned max,
                            int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                            unsigned *ret_n, int64_t *ret_next_ms, struct rb_err *err);
enum rb_code rb_store_renew(struct rb_store_session *ses, struct rb_task *t, int64_t lease_ms,
                            int64_t now_ms, struct rb_err *err);
/* rb_store_release - give the lease back unworked; due again at @due_ms; the claim is not counted
 * in tries. */
enum rb_code rb_store_release(struct rb_store_session *ses, const struct rb_task *t, int64_t due_ms,
                              int64_t now_ms, struct rb_err *err);

enum rb_settle_conflict {
    RB_CONFLICT_NONE,
    RB_CONFLICT_INTENT, /* another retry has an open intent for the same project and source version
                         */
    RB_CONFLICT_CHILD,  /* child_key belongs to another retry already; or not_a_child: our own build
                           is somebody's child */
    RB_CONFLICT_VERSION,
    RB_CONFLICT_EFFECT, /* an ended retry was to live again, but another lives for its effect key;
                           or take_effect: another retry holds it */
};

/* rb_store_settle - one atomic step: the new record, this main task's end or next time, new report
 * tasks, the child index, the next attempt. By fence (task) for workers, by version (task == NULL)
 * for people. A record that is terminal and becomes what is not takes its effect key back. */
enum rb_effect_take {
    RB_EFFECT_KEEP,  /* the key that the retry was admitted with, or took last */
    RB_EFFECT_TAKE,  /* that of retry->build in its place, of which more is known by now */
    RB_EFFECT_FORCE, /* the same, whoever holds it: as RB_ADMIT_FORCE does */
};
struct rb_settle {
    const struct rb_task *task;
    const struct rb_retry
        *retry; /* the new record (its id; with task == NULL its version is what is expected) */
    enum rb_task_kind next; /* main task afterwards; NONE when terminal or held */
    int64_t next_due_ms;
    bool keep_lease;  /* a write in mid-task: the lease and its fence stay; next and next_due_ms are
                         ignored */
    bool give_effect; /* an end that says nothing of the failure: the effect key is free at once, as
                         if its time beyond the end were over */
    enum rb_effect_take take_effect;
    int64_t ended_after_ms;   /* RB_EFFECT_TAKE: who holds the key and has ended by then is not in
                                 the way */
    const char *open_intent;  /* intent key to take: conflict when another retry holds it */
    const char *close_intent; /* intent key to give up, if we hold it */
    const char *not_a_child;  /* build key that must not be in the child index, unless it points at
                                 retry->previous */
    const char *child_key; /* build key to enter in the child index for this retry; same retry again
                              is fine */
    const struct rb_report_task *reports;
    unsigned n_reports;
    struct rb_admission *follow_on; /* the next attempt, created in the same step (mode EVENT; if
                                       its effect key is held it is left out: result) */
    /* out */
    enum rb_settle_conflict conflict;
    char other_id[RB_ID_BYTES]; /* who is in the way */
};
/* Errors: RB_E_FENCED; RB_E_CONFLICT with s->conflict; RB_E_NOT_FOUND (trimmed); RB_E_UNAVAIL.
 * Updates retry->version on success only in the store; read again if you need it. */
enum rb_code rb_store_settle(struct rb_store_session *ses, struct rb_settle *s, int64_t now_ms,
                             struct rb_err *err);

/* Reports. Per destination and chain in order: only the oldest undelivered one is due. A later
 * stage of the same retry supersedes an earlier one that is not under way. */
enum rb_report_outcome { RB_REPORT_DONE, RB_REPORT_AGAIN, RB_REPORT_GIVE_UP };
enum rb_code rb_store_report_settle(struct rb_store_session *ses, const struct rb_task *t,
                                    enum rb_report_outcome outcome, int64_t again_ms,
                                    const char *last_error, int64_t now_ms, struct rb_err *err);
/* rb_store_report_requeue - dead reports of a retry become due now; *ret_n says how many. */
enum rb_code rb_store_report_requeue(struct rb_store_session *ses, const char *retry_id,
                                     int64_t now_ms, unsigned *ret_n, struct rb_err *err);

/* ---- reading ---- */
enum rb_code rb_store_get(struct rb_store_session *ses, const char *retry_id,
                          struct rb_retry **ret_r, struct rb_err *err); /* RB_E_NOT_FOUND */
/* rb_store_child_of - the retry whose child is this build, "" = nobody's. */
enum rb_code rb_store_child_of(struct rb_store_session *ses, const char *build_key,
                               char ret_retry_id[RB_ID_BYTES], struct rb_err *err);

struct rb_filter {
    bool by_state;
    enum rb_state state;
    const char *project, *source; /* exact; NULL = any */
    int64_t since_ms;             /* created at or after; 0 = any */
    int64_t before_ms;            /* created before; 0 = any; only without a cursor */
    unsigned limit;               /* 1..200 */
    const char *cursor; /* ret_next of the page before; NULL = first page (newest first) */
};
#define RB_CURSOR_BYTES 64
/* rb_store_list - newest first. Each *ret_items[i] is the caller's. ret_next[0] == 0: last page.
 * Else a page may be short, even empty: it looks for a moment only. RB_E_INVALID: bad cursor. */
enum rb_code rb_store_list(struct rb_store_session *ses, const struct rb_filter *f,
                           struct rb_retry **ret_items, unsigned *ret_n,
                           char ret_next[RB_CURSOR_BYTES], struct rb_err *err);

/* rb_store_cursor - where a list goes on behind @r. */
void rb_store_cursor(const struct rb_retry *r, char ret_next[RB_CURSOR_BYTES]);

struct rb_counts {
    int64_t by_state[RB_STATE_COUNT];
    int64_t tasks[RB_TASK_KIND_COUNT];
    int64_t oldest_due_ms[RB_TASK_KIND_COUNT]; /* 0 = none */
};
enum rb_code rb_store_counts(struct rb_store_session *ses, struct rb_counts *ret_c,
                             struct rb_err *err);

/* ---- switches, projects, epoch, retention ---- */
enum rb_code rb_store_pause(struct rb_store_session *ses, const char *project /* NULL = all */,
                            bool on, struct rb_err *err);
/* rb_store_paused - names into @a; "*" = everything. */
enum rb_code rb_store_paused(struct rb_store_session *ses, struct rb_arena *a,
                             const char ***ret_names, unsigned *ret_n, struct rb_err *err);

struct rb_project_seen {
    const char *account, *region, *project;
    int64_t last_ms;
};
/* rb_store_projects - those of admissions since @since_ms, at most @max. */
enum rb_code rb_store_projects(struct rb_store_session *ses, int64_t since_ms, struct rb_arena *a,
                               unsigned max, struct rb_project_seen **ret_items, unsigned *ret_n,
                               struct rb_err *err);

/* ---- the ledger's sheets: small documents of the policy, by name ----
 *
 * What budgets, breakers and the flake ledger count is read, changed and written back, if nobody
 * was faster: then it is read again. So every rule about it is plain code above the store, and a
 * change of several sheets is one atomic step on any number of replicas. */
#define RB_SHEET_NAME_MAX_BYTES 400
#define RB_SHEET_MAX_BYTES (64 * 1024)
#define RB_SHEETS_MAX 64
struct rb_sheet {
    const char *name;
    uint64_t version; /* as read; 0 = there is none */
    const uint8_t *data;
    size_t len;
    uint64_t next;  /* put: its new version, random; 0 = it is only compared */
    int64_t ttl_ms; /* put: how long it is kept unless it is written again */
};
/* rb_store_sheets_get - fills version, data (in @a) and len of 1..RB_SHEETS_MAX sheets. */
enum rb_code rb_store_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets, unsigned n,
                                 int64_t now_ms, struct rb_arena *a, struct rb_err *err);
/* rb_store_sheets_put - all or none. RB_E_CONFLICT: one is not of the version that was read. A
 * repeat of a write that came through is RB_OK; a name may stand there once. */
enum rb_code rb_store_sheets_put(struct rb_store_session *ses, const struct rb_sheet *sheets,
                                 unsigned n, int64_t now_ms, struct rb_err *err);

/* rb_store_epoch - birth of this store's memory: made on first use (now_ms), kept by restarts, new
 * after a loss; moved to the time of a Redis failover when one is noticed. */
enum rb_code rb_store_epoch(struct rb_store_session *ses, int64_t now_ms, int64_t *ret_birth_ms,
                            struct rb_err *err);
/* rb_store_trim - delete terminal retries created before @before_ms, whose reports have ended, and
 * expired keys; at most @max; *ret_n deleted. */
enum rb_code rb_store_trim(struct rb_store_session *ses, int64_t before_ms, unsigned max,
                           int64_t now_ms, unsigned *ret_n, struct rb_err *err);

#endif
