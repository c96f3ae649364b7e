/* identity.h - sessions that the simulator hands out: by STS, a container endpoint and an instance
 * metadata service. All are good for its signature check until they expire by its clock. */
#ifndef RB_SIM_IDENTITY_H
#define RB_SIM_IDENTITY_H

#include <retrybuild/str.h>

#include "http.h"

void sim_identity_init(struct sim_identity *i);
void sim_identity_release(struct sim_identity *i);
/* sim_session_new - for the role of @role_arn; false without memory. Lock held. */
bool sim_session_new(struct rb_sim *sim, const char *role_arn, const char *name, int64_t now_ms,
                     struct sim_session *ret_s);
/* sim_session_secret - the secret of a live session; NULL: @ret_error says why not. Lock held. */
const char *sim_session_secret(struct rb_sim *sim, struct rb_slice key, const char *token,
                               int64_t now_ms, const char **ret_error);
/* sim_session_find - by key; NULL: none. Lock held. */
const struct sim_session *sim_session_find(const struct rb_sim *sim, struct rb_slice key);

/* sim_sts - POST / with a form body. */
void sim_sts(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply);
/* sim_metadata - /latest/ (instance), /container (container), /_sim/identity (steering); false:
 * none of these. */
bool sim_metadata(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply);

#endif
