/* core.h - the simulator's state and the parts that work on it.
 *
 * One lock guards all state; handlers run with it held and do no I/O. Events are rendered under it
 * and handed to the sender, which has its own lock and threads. The ledger's file has a lock of its
 * own, so that waiting for the disk stops nobody who only reads.
 */
#ifndef RB_SIM_CORE_H
#define RB_SIM_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <retrybuild/buf.h>
#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/secret.h>
#include <retrybuild/sim.h>

#include "script.h"

#define SIM_UUID_BYTES 37
#define SIM_PAGE 100
#define SIM_MESSAGE_BYTES 1024

struct sim_sender;
struct sim_build;
struct sim_batch;
struct sim_pipeline;

struct sim_project {
    char *name;
    json_t *body; /* the members of Project, times excepted; replaced as a whole, never changed */
    int64_t created_ms, modified_ms;
    int64_t last_number; /* of its newest build; goes on after a deletion */
    int64_t last_batch_number;
    bool deleted;
    struct sim_build **builds; /* by number, from 1 on; borrowed from the core */
    size_t n_builds, cap_builds;
};

struct sim_phase_run {
    enum sim_phase phase;
    const char *status; /* NULL while it runs, and for COMPLETED */
    int64_t start_ms, end_ms;
};

struct sim_build {
    char *id, *arn;   /* project:uuid */
    const char *uuid; /* inside id */
    struct sim_project *project;
    const struct sim_build *parent; /* what RetryBuild restarted; NULL for a first build */
    struct sim_build *auto_next;    /* what CodeBuild's own auto-retry started, or NULL */
    bool automatic;                 /* started by auto-retry: parent is previousAutoRetry */
    const struct sim_batch *batch;  /* it is a member of, or NULL */
    size_t depth;                   /* retries deep */
    int64_t number, start_ms, end_ms, visible_ms, auto_limit, auto_number;
    char *initiator;
    json_t *base;        /* members of Build that never change; shared with replies */
    json_t *logs_config; /* LogsConfig */
    bool debug_session;
    const struct sim_outcome *outcome;
    struct sim_phase_run phases[SIM_PHASE_COUNT];
    size_t n_phases;
    int64_t due_ms;     /* when the running phase ends */
    bool held;          /* waits for a slot: due_ms is when it gives up */
    bool active;        /* holds a slot: past QUEUED and not complete */
    const char *status; /* StatusType */
    bool complete;
};

/* Sessions handed out; the functions on it are in identity.h. */
struct sim_session {
    char key[24], secret[48], token[80];
    char arn[256]; /* …:assumed-role/ROLE/SESSION */
    char account[13];
    int64_t expires_ms;
};

/* What tests steer by POST /_sim/identity. */
struct sim_identity {
    struct sim_session *sessions;
    size_t n, cap;
    int64_t life_ms;       /* of new sessions */
    bool metadata_away;    /* the metadata service answers 503 */
    bool metadata_v1_only; /* no tokens: PUT is 404 */
};

struct sim_key {
    char *id;
    struct rb_secret *secret;
};

struct rb_sim {
    /* never change after start */
    struct sim_script *script;
    char *region, *account, *url;
    const char *partition;
    double speed;
    struct sim_key *keys;
    size_t n_keys;
    const struct rb_clock *clock;
    struct sim_sender *sender; /* NULL: nobody listens to events */
    struct MHD_Daemon *daemon;
    uint16_t port;
    pthread_t ticker;
    bool has_ticker;
    uint64_t seed;
    bool has_seed;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a build started, the clock moved, or stop */
    /* guarded by lock */
    bool stopping;
    int64_t advance_ms;
    uint64_t random_state;
    struct sim_project **projects;
    size_t n_projects, cap_projects;
    json_t *project_index; /* name -> position */
    struct sim_build **builds;
    size_t n_builds, cap_builds;
    json_t *build_index; /* id -> position */
    struct sim_build **running;
    size_t n_running, cap_running;
    size_t n_active; /* of those running, how many hold a slot */
    struct sim_batch **batches;
    size_t n_batches, cap_batches;
    json_t *batch_index; /* id -> position */
    struct sim_batch **open_batches;
    size_t n_open_batches, cap_open_batches;
    struct sim_pipeline *pipelines;
    size_t n_pipelines;
    json_t *tokens; /* hash of operation, caller, token -> {build, params, at} */
    json_t *effects;
    struct sim_fault *faults;
    size_t n_faults;
    struct sim_identity identity;
    json_t *fault_rows; /* owns the strings of rows set at run time */

    pthread_mutex_t ledger_lock;
    int ledger_fd;         /* guarded by ledger_lock; -1: no file */
    size_t ledger_written; /* guarded by ledger_lock: effects that are in the file */
};

/* One call of an operation. in: the parsed body. out: set by the handler, or error and message. */
struct sim_call {
    struct rb_sim *sim;
    json_t *in;
    const char *operation;
    const char *access_key; /* NULL: unsigned */
    int64_t now_ms;
    json_t *out;
    const char *error; /* exception name; NULL: fine */
    int status;        /* HTTP; 0: that of the error's table row, or 200 */
    char message[SIM_MESSAGE_BYTES];
};

/* clock.c, in the simulator's time */
int64_t sim_now_locked(struct rb_sim *sim);
/* sim_wait - sleep @ms of real time or until stop; false: stopping. Lock not held. */
bool sim_wait(struct rb_sim *sim, int64_t ms);
double sim_time_s(int64_t unix_ms); /* AWS's wire form: seconds with milliseconds */
uint64_t sim_random_locked(struct rb_sim *sim);
bool sim_chance_locked(struct rb_sim *sim, double probability);
void sim_uuid(char ret_uuid[SIM_UUID_BYTES]);
/* sim_grow - make room for one more pointer in *@items. */
bool sim_grow(void *items, size_t n, size_t *cap);

/* errors.c */
void sim_fail(struct sim_call *c, const char *error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int sim_error_status(const char *error);
const char *sim_error_message(const char *error);

/* project.c */
struct sim_project *sim_project_find(struct rb_sim *sim, const char *name_or_arn);
enum rb_code sim_projects_from_script(struct rb_sim *sim, struct rb_err *err);
void sim_project_free(struct sim_project *p);

/* build.c */
struct sim_build *sim_build_find(struct rb_sim *sim, const char *id);
/* What a new build is made of. */
struct sim_start {
    struct sim_project *project;
    json_t *take_base;
    json_t *logs_config;
    const struct sim_build *parent; /* NULL for a first one */
    char *take_initiator;
    const struct sim_batch *batch;     /* NULL: of none */
    const struct sim_outcome *outcome; /* NULL: the script's for the project and position */
    int64_t now_ms;
};
struct sim_build *sim_build_start(struct rb_sim *sim, const struct sim_start *s);
/* sim_build_gone - older than the history that is kept: no operation sees it any more. */
bool sim_build_gone(struct rb_sim *sim, const struct sim_build *b);
/* sim_initiator - of what this caller starts; sim_service_initiator: of what CodeBuild itself
 * starts with the role of @base. Owned by the caller (free). */
char *sim_initiator(const struct rb_sim *sim, const char *access_key);
char *sim_service_initiator(json_t *base, const char *uuid);
/* sim_id_of - @id, or what follows @mark in it when it is an ARN. */
const char *sim_id_of(const char *id, const char *mark);
/* sim_missing_project - the call's error: there is no such project. */
void sim_missing_project(struct sim_call *c, const char *name);
void sim_build_free(struct sim_build *b);
json_t *sim_build_base(struct rb_sim *sim, const struct sim_project *p, json_t *overrides);
json_t *sim_build_logs_config(const struct sim_project *p, json_t *overrides);
json_t *sim_build_retry_base(json_t *base);

/* phases.c */
void sim_tick_locked(struct rb_sim *sim, int64_t now_ms);
int64_t sim_next_due_locked(const struct rb_sim *sim); /* -1: nothing runs */
void sim_phase_begin(struct rb_sim *sim, struct sim_build *b, int64_t at_ms);
void sim_build_stop(struct rb_sim *sim, struct sim_build *b, int64_t now_ms);

/* queue.c: slots of the account and of projects */
/* sim_queue_refuses - no room for one more build of @p; the call has its error. */
bool sim_queue_refuses(struct sim_call *c, const struct sim_project *p);
/* sim_queue_holds - @b, whose time in QUEUED is over, has to wait on for a slot. */
bool sim_queue_holds(struct rb_sim *sim, struct sim_build *b);
void sim_queue_enter(struct rb_sim *sim, struct sim_build *b);
/* sim_queue_leave - @b is complete; the one that waited longest may have its slot. */
void sim_queue_leave(struct rb_sim *sim, struct sim_build *b, int64_t at_ms);

/* build_json.c */
json_t *sim_build_json(const struct rb_sim *sim, const struct sim_build *b);
/* sim_log_lines - what the build's log says, an array of lines. */
json_t *sim_log_lines(const struct sim_build *b);

/* tokens.c: true = answered (a replay or a mismatch) */
bool sim_token_replay(struct sim_call *c);
void sim_token_keep(struct sim_call *c, const char *id); /* of the build or batch it made */

/* ledger.c */
enum rb_code sim_ledger_open(struct rb_sim *sim, const char *path, struct rb_err *err);
void sim_ledger_add(struct rb_sim *sim, const struct sim_build *b, const char *operation,
                    const char *token, const char *access_key, int64_t now_ms);
/* sim_ledger_row - the same of anything with an id; @parent may be NULL. */
void sim_ledger_row(struct rb_sim *sim, const char *id, const char *parent, const char *operation,
                    const char *token, const char *access_key, int64_t now_ms);
/* sim_ledger_sync - every effect so far is on the disk when it returns. Lock not held. */
enum rb_code sim_ledger_sync(struct rb_sim *sim, struct rb_err *err);

/* events.c: render, and render and post when somebody listens. Lock held. */
json_t *sim_event_state_json(struct rb_sim *sim, const struct sim_build *b, int64_t at_ms);
json_t *sim_event_phase_json(struct rb_sim *sim, const struct sim_build *b,
                             const struct sim_phase_run *run);
void sim_event_state(struct rb_sim *sim, const struct sim_build *b, int64_t at_ms);
void sim_event_phase(struct rb_sim *sim, const struct sim_build *b,
                     const struct sim_phase_run *run);

/* pipeline.c */
enum rb_code sim_pipelines_from_script(struct rb_sim *sim, struct rb_err *err);

/* state.c */
enum rb_code sim_state_init(struct rb_sim *sim, struct rb_err *err); /* also after a reset */
void sim_state_release(struct rb_sim *sim);

/* operations.c */
/* sim_operation_name - of an X-Amz-Target; NULL: none of ours. Static. */
const char *sim_operation_name(const char *target);
/* sim_operation - check the input and run the handler of c->operation. Lock held. */
void sim_operation(struct sim_call *c);

/* handlers, one family a file */
void sim_create_project(struct sim_call *c);
void sim_batch_get_projects(struct sim_call *c);
void sim_list_projects(struct sim_call *c);
void sim_delete_project(struct sim_call *c);
void sim_start_build(struct sim_call *c);
void sim_retry_build(struct sim_call *c);
void sim_stop_build(struct sim_call *c);
void sim_batch_get_builds(struct sim_call *c);
void sim_list_builds(struct sim_call *c);
void sim_list_builds_for_project(struct sim_call *c);
void sim_get_log_events(struct sim_call *c);
void sim_start_build_batch(struct sim_call *c);
void sim_retry_build_batch(struct sim_call *c);
void sim_stop_build_batch(struct sim_call *c);
void sim_batch_get_build_batches(struct sim_call *c);
void sim_start_pipeline_execution(struct sim_call *c);
void sim_get_pipeline_state(struct sim_call *c);
void sim_list_action_executions(struct sim_call *c);
void sim_retry_stage_execution(struct sim_call *c);
void sim_list_build_batches(struct sim_call *c);
void sim_list_build_batches_for_project(struct sim_call *c);

#endif
