/* faults.h - which fault a call meets. */
#ifndef RB_SIM_FAULTS_H
#define RB_SIM_FAULTS_H

#include "core.h"

/* What one call meets, gathered from every row that fits: the first action, the longest waits. */
struct sim_hit {
    enum sim_fault_action action;
    char error[128]; /* "" unless the action is ERROR */
    char message[SIM_MESSAGE_BYTES];
    char body[4096]; /* of action STATUS; cut there */
    bool html;
    int64_t status, retry_after_s, latency_ms, delay_ms, date_skew_ms;
    bool effect;
};

/* sim_faults_hit - count the call in every row that fits it and gather what strikes. Lock held. */
void sim_faults_hit(struct rb_sim *sim, const char *operation, const char *project,
                    struct sim_hit *ret_hit);
/* sim_faults_set - these rows instead of those in force; on an error nothing changes. Lock held. */
enum rb_code sim_faults_set(struct rb_sim *sim, json_t *rows, struct rb_err *err);

#endif
