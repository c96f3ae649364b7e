/* gate_world.h - failures of projects and what became of their retries, by number. */
#ifndef RB_TEST_GATE_WORLD_H
#define RB_TEST_GATE_WORLD_H

#include "world.h"

extern char gate_ids[8][RB_ID_BYTES];

/* gate_setup - a world whose policy retries once. */
int gate_setup(void **state);
/* gate_fail - a failure of @project on a commit of its own, delivered as number @at. */
struct world_build *gate_fail(struct world *w, const char *project, unsigned at);
void gate_end_child(struct world *w, unsigned at, const char *status);
void gate_expect_refused(struct world *w, unsigned at, const char *reason);
/* gate_expect_stats - @part stands in the answer of GET /v1/stats. */
void gate_expect_stats(struct world *w, const char *part);
/* gate_posted - reports of this stage and state that were posted so far. */
unsigned gate_posted(struct world *w, enum rb_stage stage, enum rb_state state);

#endif
