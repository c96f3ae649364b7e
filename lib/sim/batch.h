/* batch.h - batch builds: some builds of one project under one id, retried in place.
 *
 * A batch walks SUBMITTED, DOWNLOAD_BATCHSPEC, IN_PROGRESS (its builds run), COMBINE_ARTIFACTS when
 * the project asks for it, and ends in a phase named like its status. A retry appends a new walk to
 * the same batch. Source: the AWS CLI's example of retry-build-batch.
 */
#ifndef RB_SIM_BATCH_H
#define RB_SIM_BATCH_H

#include "core.h"

enum sim_batch_step { SIM_BATCH_DOWNLOAD, SIM_BATCH_RUN, SIM_BATCH_COMBINE, SIM_BATCH_OVER };

struct sim_batch_group {
    const struct sim_member_rule *rule;
    struct sim_build **runs; /* oldest first; borrowed from the core */
    size_t n_runs, cap_runs;
    size_t before; /* runs in the batch that this one was made from */
    bool again;    /* the walk under way starts a run of it */
};

/* Guarded by the core's lock, as all state. */
struct sim_batch {
    char *id, *arn;   /* project:uuid */
    const char *uuid; /* inside id */
    struct sim_project *project;
    int64_t number, start_ms, end_ms, visible_ms;
    char *initiator;
    json_t *base;        /* as of sim_build_base; its builds have it too */
    json_t *logs_config; /* LogsConfig */
    json_t *config;      /* ProjectBuildBatchConfig; {} when the project has none */
    json_t *phases;      /* BuildBatchPhases; grows */
    bool debug_session;
    struct sim_batch_group *groups;
    size_t n_groups;
    enum sim_batch_step step;
    int64_t due_ms; /* of DOWNLOAD and COMBINE */
    const char *status;
    bool complete;
};

struct sim_batch *sim_batch_find(struct rb_sim *sim, const char *id);
/* sim_batch_start - NULL: out of memory. @in: of StartBuildBatch. */
struct sim_batch *sim_batch_start(struct rb_sim *sim, struct sim_project *p, json_t *in,
                                  char *take_initiator, int64_t now_ms);
/* sim_batch_again - a new walk of one that is complete; @all: of builds that succeeded too. */
bool sim_batch_again(struct rb_sim *sim, struct sim_batch *b, bool all, int64_t now_ms);
/* sim_batch_anew - another batch that begins where @was failed: its builds that succeeded are taken
 * over, unless @all. NULL: out of memory. */
struct sim_batch *sim_batch_anew(struct rb_sim *sim, const struct sim_batch *was, bool all,
                                 char *take_initiator, int64_t now_ms);
void sim_batch_stop(struct rb_sim *sim, struct sim_batch *b, int64_t now_ms);
void sim_batch_free(struct sim_batch *b);

/* sim_batches_tick - every step that is due; true: builds may have to be ticked again. */
bool sim_batches_tick(struct rb_sim *sim, int64_t now_ms);
int64_t sim_batches_next_due(const struct rb_sim *sim); /* -1: nothing is due by itself */

json_t *sim_batch_json(const struct rb_sim *sim, const struct sim_batch *b);

#endif
