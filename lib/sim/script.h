/* script.h - what the simulator was told to do: outcomes by project and position, faults, knobs.
 *
 * A struct sim_script owns the document it was read from; every string and json_t in its parts is
 * borrowed from there. It never changes after loading, so any thread may read it.
 */
#ifndef RB_SIM_SCRIPT_H
#define RB_SIM_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <retrybuild/err.h>

#define SIM_SCRIPT_MAX_BYTES (1024 * 1024)
#define SIM_FAULT_MAX_NTH 64

enum sim_phase {
    SIM_SUBMITTED,
    SIM_QUEUED,
    SIM_PROVISIONING,
    SIM_DOWNLOAD_SOURCE,
    SIM_INSTALL,
    SIM_PRE_BUILD,
    SIM_BUILD,
    SIM_POST_BUILD,
    SIM_UPLOAD_ARTIFACTS,
    SIM_FINALIZING,
    SIM_COMPLETED,
    SIM_PHASE_COUNT
};

struct sim_outcome {
    const char *status;                /* terminal StatusType; "SUCCEEDED" when not given */
    enum sim_phase phase;              /* that does not succeed; SIM_COMPLETED: none */
    const char *phase_status;          /* of that phase; open string (CLIENT_ERROR) */
    const char *status_code, *message; /* of its context; never NULL when a phase fails */
    char *own_message;                 /* owned, when message had to be composed */
    int64_t exit_code;                 /* -1: none */
    json_t *log;                       /* array of lines or one string; NULL: a made-up log */
    int64_t durations_ms[SIM_PHASE_COUNT];
};

/* One build of a batch. */
struct sim_member_rule {
    const char *identifier;
    bool ignore_failure;
    struct sim_outcome *outcomes; /* by attempt; none: the project's */
    size_t n_outcomes;
};

struct sim_rule {
    const char *name; /* glob */
    json_t *settings; /* members of CreateProject for a project made from this rule; or NULL */
    struct sim_outcome *outcomes;
    size_t n_outcomes;
    struct sim_member_rule *batch; /* never empty: "build" when the script names none */
    size_t n_batch;
};

enum sim_fault_action {
    SIM_FAULT_NONE, /* only latency, delay or date_skew */
    SIM_FAULT_ERROR,
    SIM_FAULT_STATUS,
    SIM_FAULT_RESET,
    SIM_FAULT_HALF_REPLY,
    SIM_FAULT_LOSE_REPLY,
};

struct sim_fault {
    const char *operation; /* glob */
    const char *project;   /* glob, or NULL: any */
    uint64_t nth[SIM_FAULT_MAX_NTH];
    size_t n_nth;
    uint64_t every;     /* 0: not given */
    double probability; /* < 0: not given */
    uint64_t times;     /* hits after which the row is spent; 0: no limit */
    enum sim_fault_action action;
    const char *error, *message; /* message may be NULL */
    int64_t status;              /* 0: that of the error */
    const char *body;            /* NULL: none */
    int64_t retry_after_s;       /* header Retry-After; -1: none */
    int64_t latency_ms;          /* before the answer leaves, after the effect */
    int64_t delay_ms;            /* before the request is looked at */
    int64_t date_skew_ms;        /* added to the Date header */
    bool effect;                 /* an error or status is answered though the effect happened */
    /* guarded by the core's lock */
    uint64_t seen, hits;
};

enum sim_dates { SIM_DATES_KEYED, SIM_DATES_ALWAYS, SIM_DATES_NEVER };

struct sim_event_knobs {
    bool phase_changes;
    bool plain_failed;      /* events call TIMED_OUT and FAULT builds FAILED */
    double duplicate, drop; /* probabilities */
    int64_t delay_ms, timeout_ms, retry_base_ms, retry_cap_ms, max_age_ms;
    int64_t max_attempts;
};

struct sim_script {
    json_t *doc;
    struct sim_rule *rules;
    size_t n_rules;
    struct sim_fault *faults; /* the rows as written; the core works on copies */
    size_t n_faults;
    int64_t durations_ms[SIM_PHASE_COUNT];
    const char *initiator;         /* template; {access_key} is replaced */
    const char *session_initiator; /* of assumed roles; {role} and {session} too */
    json_t *initiators;            /* access key -> initiator, or NULL */
    int64_t token_window_ms, signature_window_ms, lag_ms, clock_offset_ms, account_limit;
    int64_t history_ms;
    int64_t concurrent_builds; /* -1: no limit */
    int64_t queue_limit;       /* -1: five times that */
    const char *mismatch_error, *mismatch_message;
    enum sim_dates signature_dates;
    bool token_replay, retry_running, retry_succeeded, retry_arn, retry_keeps_source;
    bool retry_stopped, retry_batch_member, retry_codepipeline, retry_keeps_auto_retry, auto_retry;
    bool retry_succeeded_batch, retry_new_batch, retry_busy_stage;
    struct sim_event_knobs events;
};

/* sim_script_load - @path, or @text when @path is NULL, or the defaults when both are NULL. */
enum rb_code sim_script_load(const char *path, const char *text, struct sim_script **ret_script,
                             struct rb_err *err);
void sim_script_free(struct sim_script *s);
void sim_script_freep(struct sim_script **s);
/* sim_script_outcome - the outcome of a build of @project that is @depth retries deep. Never NULL.
 */
const struct sim_outcome *sim_script_outcome(const struct sim_script *s, const char *project,
                                             size_t depth);

/* sim_script_rule - the first rule that fits; never NULL. */
const struct sim_rule *sim_script_rule(const struct sim_script *s, const char *project);

/* sim_yaml_to_json - one YAML document; plain true, false, null and numbers keep their type. */
enum rb_code sim_yaml_to_json(const char *text, size_t len, json_t **ret_json, struct rb_err *err);

/* sim_knobs_parse - everything in s->doc but durations, projects and faults; checks its keys. */
enum rb_code sim_knobs_parse(struct sim_script *s, struct rb_err *err);

/* sim_pipelines_check - "pipelines" of s->doc, which are read where they are used. */
enum rb_code sim_pipelines_check(const struct sim_script *s, struct rb_err *err);

/* sim_faults_parse - rows of "faults"; strings stay borrowed from @rows. */
enum rb_code sim_faults_parse(json_t *rows, struct sim_fault **ret_faults, size_t *ret_n,
                              struct rb_err *err);

const char *sim_phase_name(enum sim_phase phase);
/* sim_phase_find - SIM_PHASE_COUNT when no phase has this name. */
enum sim_phase sim_phase_find(const char *name);

/* Readers of one optional member: absent leaves *ret alone. @where names the object in errors. */
struct sim_in {
    json_t *obj;
    const char *where;
    struct rb_err *err;
};
enum rb_code sim_in_keys(const struct sim_in *in, const char *const *known, size_t n);
enum rb_code sim_in_str(const struct sim_in *in, const char *key, const char **ret_s);
enum rb_code sim_in_bool(const struct sim_in *in, const char *key, bool *ret_b);
enum rb_code sim_in_int(const struct sim_in *in, const char *key, int64_t min, int64_t max,
                        int64_t *ret_n);
enum rb_code sim_in_probability(const struct sim_in *in, const char *key, double *ret_p);
/* A leading '-' is taken when @negative. */
enum rb_code sim_in_duration(const struct sim_in *in, const char *key, bool negative,
                             int64_t *ret_ms);
/* sim_parse_span - "6m", "-90s". */
bool sim_parse_span(const char *s, int64_t *ret_ms);

#endif
