/* dispatch.c - the way of one call: who may, which fault, the operation under the lock, the ledger
 * on the disk, the waits, the answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "identity.h"

#define AMZ_JSON "application/x-amz-json-1.1"
#define DUMP_FLAGS \
    (JSON_COMPACT | JSON_REAL_PRECISION(13)) /* 13 digits: seconds with milliseconds */

void sim_reply_json(struct sim_reply *reply, int status, json_t *take_json)
{
    free(reply->body);
    reply->body = json_dumps(take_json, DUMP_FLAGS);
    reply->body_len = reply->body == NULL ? 0 : strlen(reply->body);
    reply->status = status;
    json_decref(take_json);
}

static void reply_error(struct sim_reply *reply, const char *error, int status, const char *message)
{
    snprintf(reply->error_type, sizeof reply->error_type, "%s", error);
    sim_reply_json(reply, status != 0 ? status : sim_error_status(error),
                   json_pack("{s:s, s:s}", "__type", error, "message", message));
}

/* Which project a call is about, for faults that name one. */
static const char *project_of(json_t *in, char *buf, size_t len)
{
    static const char *const named[] = {"projectName", "name"};
    for (size_t i = 0; i < RB_ARRAY_LEN(named); i++) {
        const char *s = json_string_value(json_object_get(in, named[i]));
        if (s != NULL) {
            return s;
        }
    }
    const char *id = json_string_value(json_object_get(in, "id"));
    id = id == NULL ? NULL : sim_id_of(sim_id_of(id, ":build/"), ":build-batch/");
    snprintf(buf, len, "%.*s", id == NULL ? 0 : (int)strcspn(id, ":"), id == NULL ? "" : id);
    return buf;
}

/* The fault's own answer, when it has one. */
static void reply_fault(struct sim_reply *reply, const struct sim_hit *hit)
{
    reply->retry_after_s = hit->retry_after_s;
    if (hit->action == SIM_FAULT_ERROR) {
        reply_error(reply, hit->error, (int)hit->status, hit->message);
        return;
    }
    free(reply->body);
    reply->error_type[0] = '\0';
    reply->body = strdup(hit->body);
    reply->body_len = reply->body == NULL ? 0 : strlen(reply->body);
    reply->status = (int)hit->status;
    reply->content_type = hit->html ? "text/html" : "text/plain";
}

static bool has_effect(const struct sim_hit *hit)
{
    switch (hit->action) {
    case SIM_FAULT_ERROR:
    case SIM_FAULT_STATUS:
        return hit->effect;
    case SIM_FAULT_RESET:
        return false;
    case SIM_FAULT_NONE:
    case SIM_FAULT_HALF_REPLY:
    case SIM_FAULT_LOSE_REPLY:
        break;
    }
    return true;
}

/* The operation itself, authorised and parsed. */
static void perform(struct rb_sim *sim, const char *operation, const char *access_key, json_t *in,
                    struct sim_reply *reply)
{
    struct sim_call c = {.sim = sim, .in = in, .operation = operation, .access_key = access_key};
    pthread_mutex_lock(&sim->lock);
    c.now_ms = sim_now_locked(sim);
    sim_tick_locked(sim, c.now_ms);
    sim_operation(&c);
    pthread_mutex_unlock(&sim->lock);
    struct rb_err err;
    if (c.error != NULL) {
        reply_error(reply, c.error, c.status, c.message);
    } else if (sim_ledger_sync(sim, &err) != RB_OK) {
        reply_error(reply, "InternalFailure", 500, err.msg);
    } else {
        sim_reply_json(reply, 200, RB_TAKE(c.out));
    }
    json_decref(c.out);
}

static void call(struct rb_sim *sim, const struct sim_request *r, const char *operation, json_t *in,
                 struct sim_reply *reply)
{
    struct sim_hit hit;
    char project[256];
    pthread_mutex_lock(&sim->lock);
    sim_faults_hit(sim, operation, project_of(in, project, sizeof project), &hit);
    pthread_mutex_unlock(&sim->lock);
    if (hit.delay_ms > 0 && !sim_wait(sim, hit.delay_ms)) {
        reply->wire = SIM_WIRE_CLOSE;
        return;
    }
    pthread_mutex_lock(&sim->lock);
    int64_t now_ms = sim_now_locked(sim); /* after the delay: a late copy meets the later clock */
    pthread_mutex_unlock(&sim->lock);
    RB_CLEANUP(rb_freep) char *access_key = NULL;
    char message[SIM_MESSAGE_BYTES];
    const char *refused = sim_auth(sim, r, now_ms, &access_key, message);
    if (refused != NULL) {
        reply_error(reply, refused, 0, message);
    } else if (has_effect(&hit)) {
        perform(sim, operation, access_key, in, reply);
    }
    if (hit.action == SIM_FAULT_ERROR || hit.action == SIM_FAULT_STATUS) {
        reply_fault(reply, &hit);
    }
    reply->wire = hit.action == SIM_FAULT_RESET        ? SIM_WIRE_RESET
                  : hit.action == SIM_FAULT_LOSE_REPLY ? SIM_WIRE_CLOSE
                  : hit.action == SIM_FAULT_HALF_REPLY ? SIM_WIRE_HALF
                                                       : SIM_WIRE_WHOLE;
    if (hit.latency_ms > 0 && !sim_wait(sim, hit.latency_ms)) {
        reply->wire = SIM_WIRE_CLOSE;
    }
    reply->date_ms = hit.date_skew_ms;
}

/* STS speaks another protocol on the same path: forms. */
static bool is_form(const struct sim_request *r)
{
    const char *type = r->header(r, "Content-Type");
    return type != NULL && rb_str_starts(type, "application/x-www-form-urlencoded");
}

static void amazon(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    const char *target = r->header(r, "X-Amz-Target");
    const char *operation = sim_operation_name(target);
    reply->content_type = AMZ_JSON;
    if (operation == NULL) {
        reply_error(reply, "UnknownOperationException", 0, "There is no such operation");
        return;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *in = NULL;
    struct rb_err err;
    const char *body = r->body_len == 0 ? "{}" : r->body;
    enum rb_code rc = rb_json_load(body, r->body_len == 0 ? 2 : r->body_len, &in, &err);
    if (rc != RB_OK || !json_is_object(in)) {
        reply_error(reply, "SerializationException", 0, "The request body is not a JSON object");
        return;
    }
    call(sim, r, operation, in, reply);
}

void sim_dispatch(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *ret_reply)
{
    *ret_reply = (struct sim_reply){.content_type = "application/json", .retry_after_s = -1};
    sim_uuid(ret_reply->request_id);
    if (sim_metadata(sim, r, ret_reply)) {
        /* answered: an endpoint of credentials, or steering them */
    } else if (rb_str_starts(r->path, "/_sim/")) {
        sim_control(sim, r, ret_reply);
    } else if (strcmp(r->path, "/") == 0 && strcmp(r->method, "POST") == 0) {
        if (is_form(r)) {
            sim_sts(sim, r, ret_reply);
        } else {
            amazon(sim, r, ret_reply);
        }
    } else {
        sim_reply_json(ret_reply, 404, json_pack("{s:s}", "message", "calls are POST /"));
    }
    pthread_mutex_lock(&sim->lock);
    ret_reply->date_ms += sim_now_locked(sim);
    pthread_mutex_unlock(&sim->lock);
}
