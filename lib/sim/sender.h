/* sender.h - events on their way out, as EventBridge's API destinations send them. */
#ifndef RB_SIM_SENDER_H
#define RB_SIM_SENDER_H

#include <retrybuild/err.h>
#include <retrybuild/sim.h>

#include "script.h"

struct sim_sender;

enum rb_code sim_sender_start(const struct rb_sim_target *targets, size_t n,
                              const struct sim_event_knobs *knobs, struct sim_sender **ret_sender,
                              struct rb_err *err);
/* sim_sender_post - queue a copy of @body for every target. Blocks: never on the network. */
void sim_sender_post(struct sim_sender *s, const char *body);
void sim_sender_clear(struct sim_sender *s); /* forget what is queued */
/* sim_sender_stop - cut what is under way, join, free. NULL accepted. */
void sim_sender_stop(struct sim_sender *s);

#endif
