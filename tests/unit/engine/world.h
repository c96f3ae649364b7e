/* world.h - the engine's workers, run round by round on the real SQLite store, in a world that the
 * test owns: clock, CodeBuild, policy and receivers. No threads of the engine, no network. */
#ifndef RB_TEST_WORLD_H
#define RB_TEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

#define WORLD_BUILDS 256
#define WORLD_BATCHES 16
#define WORLD_ANSWERS 16
#define WORLD_POSTS 1024
#define WORLD_ACCOUNT "123456789012"
#define WORLD_REGION "us-east-1"
#define WORLD_START 1790000000000LL

struct world_build {
    struct rb_build b; /* id NULL = free */
    char id[80], arn[160], next_auto_retry[160], parent[80], initiator[80];
    bool hidden;    /* not in lists and look-ups yet */
    bool elsewhere; /* other accounts are asked for it and do not show it */
    bool denied;    /* we may not look at it: a look-up that names it fails as a whole */
};

struct world_batch {
    char id[80], arn[160];
    int64_t number, started_ms, run_ms, ended_ms;
    const char *status, *version, *initiator;
    struct world_build *members[8]; /* of this run, one a group */
    struct world_build *prior[8];   /* the run before */
    unsigned n_members;
    bool hidden;
};

/* One stage of one pipeline, with up to three actions that run builds. */
struct world_action {
    const char *name;
    struct world_build *runs[6]; /* oldest first */
    unsigned n_runs;
};
struct world_stage {
    struct world_action actions[3];
    unsigned n_actions, n_calls;
    bool newer;   /* another execution has come to the stage */
    bool unnamed; /* the new builds are not named yet */
    bool never;   /* the call is taken, and no build starts */
};

/* What the next call of RetryBuild does; the default is a child at once. */
struct world_answer {
    enum rb_code rc;
    bool effect;    /* the build starts, whatever the answer */
    bool unchecked; /* fails before last_check */
    int64_t retry_after_ms;
};

struct world_effect {
    char parent[80], child[80], token[65];
    int64_t date_ms;
};

struct world {
    pthread_mutex_t lock; /* of CodeBuild and the receivers: test_threads has real workers */
    bool real_clock;
    unsigned chaos_percent; /* of the calls that go wrong, one way or another */
    int64_t now_ms;         /* ours */
    int64_t offset_ms;      /* AWS's clock minus ours */
    bool offset_known;
    struct world_build builds[WORLD_BUILDS];
    unsigned n_builds;
    struct world_batch batches[WORLD_BATCHES];
    unsigned n_batches, n_batch_calls, n_batch_gets, n_batch_stops;
    struct world_stage stage;
    bool new_batch;   /* a retry makes another batch, else the batch runs again */
    bool stale_batch; /* CodeBuild does not show the new run yet */
    struct world_answer answers[WORLD_ANSWERS];
    unsigned n_answers, at_answer;
    struct world_effect calls[WORLD_BUILDS]; /* every copy that reached last_check and passed */
    unsigned n_calls, n_effects, n_gets, n_lists, n_refused_credentials;
    enum rb_code get_rc, list_rc; /* of every look-up, while not RB_OK */
    enum rb_code stop_rc;         /* of every StopBuild, while not RB_OK */
    bool slow_stop;               /* a build goes on for a while after StopBuild */
    bool exact;            /* the account has a role, and calls are signed in the retry's name */
    bool sessions_unnamed; /* this CodeBuild does not show it */
    unsigned n_sessions, n_named;
    unsigned n_stops, n_starts;
    const char *initiator;
    void (*in_list)(struct world *w); /* called inside a look-up, once */
    void (*in_call)(struct world *w); /* called after last_check, before the effect, once */
    /* the git host */
    const char *head; /* of every branch and pull request; NULL = it cannot be asked */
    enum rb_code head_rc;
    unsigned n_heads;
    char head_asked[80]; /* the newest question: "type repository branch-or-number" */
    void (*in_head)(struct world *w);
    /* policy */
    struct rb_decision decision;
    int64_t limit;
    bool person_refused;
    const char *log;        /* of every build, NULL = it has none */
    enum rb_code log_rc;    /* of reading it */
    const char *log_wanted; /* the policy wants a log, and retries where it holds this */
    unsigned n_logs;
    bool flaky_wanted; /* rule flaky-one decides about what the ledger calls flaky */
    /* receivers */
    enum rb_report_verdict_ { WORLD_DELIVERED, WORLD_AGAIN, WORLD_DEAD } verdict;
    struct {
        char destination[64], message_id[64];
        enum rb_stage stage;
        enum rb_state state;
    } posts[WORLD_POSTS];
    unsigned n_posts;

    const char *destinations; /* of the configuration, as YAML; NULL = one hook for every stage */
    char dir[64];
    struct rb_settings *settings;
    struct rb_store *store;
    struct rb_engine *engine;
    struct rb_store_session *ses;
    struct rb_worker submit, other_submit, inspect, follow, report, sweep, keep;
};

extern struct world *the_world;

/* world_setup/world_teardown - for cmocka; *state is the world. */
int world_setup(void **state);
int world_teardown(void **state);
/* The parts of these: the world without a process, a process in it, the end of both. */
void world_prepare(struct world *w);
void world_open(struct world *w);
void world_close(struct world *w);
void world_cleanup(struct world *w);
/* world_restart - the process ends and starts again on the same file. */
void world_restart(struct world *w);

/* world_failed - a build that ended a second ago in FAILED; the one returned is CodeBuild's. */
struct world_build *world_failed(struct world *w, const char *project, const char *version);
struct world_build *world_started(struct world *w, const char *project, const char *version);
struct world_build *world_find(struct world *w, const char *id);
/* world_move - the build is another account's. */
void world_move(struct world_build *b, const char *account);
void world_end(struct world *w, struct world_build *b, const char *status);
/* world_action - one more action of the stage, whose build runs. */
struct world_build *world_action(struct world *w, const char *name, const char *project);
/* world_take_answer - what the next call does. */
struct world_answer world_take_answer(struct world *w);
/* world_batch - a batch of @n builds that runs; they run too. world_batch_end - when all have
 * ended: the batch ends as they do. */
struct world_batch *world_batch(struct world *w, const char *project, const char *version,
                                unsigned n);
void world_batch_end(struct world *w, struct world_batch *b);
/* world_batch_again - a new run of those that failed; by whoever. */
struct world_batch *world_batch_again(struct world *w, struct world_batch *b);
/* world_answers - what the next calls do. */
void world_answer_next(struct world *w, enum rb_code rc, bool effect);

/* world_deliver - the failure of @b as an event through @source; the result of its admission. */
enum rb_admit_result world_deliver(struct world *w, const struct world_build *b, const char *key,
                                   char ret_id[RB_ID_BYTES]);
enum rb_admit_result world_deliver_bare(struct world *w, const struct world_build *b,
                                        const char *key, char ret_id[RB_ID_BYTES]);
enum rb_admit_result world_ask(struct world *w, const struct world_build *b, const char *token,
                               bool force, char ret_id[RB_ID_BYTES]);
int64_t world_now_ms(const struct world *w);
void world_pass(struct world *w, int64_t ms);
/* world_retry_batch - RetryBuildBatch, once the call has passed its last check. Lock held. */
enum rb_code world_retry_batch(struct world *w, const struct rb_retry_call *call,
                               const struct world_answer *answer, struct rb_arena *a,
                               struct rb_build *ret_child);
/* world_round - one round of a worker; true when it found work. */
bool world_round(struct rb_worker *k);
/* world_work - rounds of a worker while there is something due, letting time pass up to @ms. */
void world_work(struct world *w, struct rb_worker *k, int64_t ms);
struct rb_retry *world_get(struct world *w, const char *id); /* caller frees */
void world_expect(struct world *w, const char *id, enum rb_state state);
struct world_build *world_child_of(struct world *w, const char *retry);
void world_newest(struct world *w, char ret_id[RB_ID_BYTES]); /* the retry created last */
bool world_noted(struct world *w, const char *id, const char *part);

#endif
