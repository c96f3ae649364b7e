/* http.h - one request and its answer, apart from the HTTP library. */
#ifndef RB_SIM_HTTP_H
#define RB_SIM_HTTP_H

#include "core.h"
#include "faults.h"

struct sim_request {
    const char *method, *path; /* path as sent, without the query */
    const char *query;         /* raw, without '?'; "" when absent */
    const char *body;
    size_t body_len;
    /* sim_header - value of a request header (any case), or NULL */
    const char *(*header)(const struct sim_request *r, const char *name);
    void *arg;
};

enum sim_wire { SIM_WIRE_WHOLE, SIM_WIRE_HALF, SIM_WIRE_CLOSE, SIM_WIRE_RESET };

struct sim_reply {
    int status;
    const char *content_type;
    char *body; /* owned */
    size_t body_len;
    char error_type[128]; /* header x-amzn-ErrorType; "" none */
    char request_id[SIM_UUID_BYTES];
    int64_t retry_after_s; /* -1: none */
    int64_t date_ms;
    enum sim_wire wire;
};

/* sim_dispatch - one request from the body to the answer, waits of faults included. */
void sim_dispatch(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *ret_reply);
/* sim_control - requests under /_sim/. */
void sim_control(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply);
void sim_reply_json(struct sim_reply *reply, int status, json_t *take_json);

/* auth.c: NULL = allowed, *ret_access_key set (owned by the caller) or NULL when unsigned;
 * otherwise the error's name, with its sentence in @message. */
const char *sim_auth(struct rb_sim *sim, const struct sim_request *r, int64_t now_ms,
                     char **ret_access_key, char message[SIM_MESSAGE_BYTES]);

enum rb_code sim_server_start(struct rb_sim *sim, const char *listen, struct rb_err *err);
void sim_server_stop(struct rb_sim *sim);

#endif
