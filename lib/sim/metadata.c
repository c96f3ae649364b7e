/* metadata.c - where instances and containers get their credentials, and how tests steer it.
 *
 * The instance metadata service is under /latest/, as on an instance; the container endpoint is
 * /container, and wants the Authorization `sim-container-token`. POST /_sim/identity takes
 * {"life": "20s", "metadata_away": true, "metadata_v1_only": true}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "identity.h"

#define ROLE "sim-instance-role"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define REGION "/latest/meta-data/placement/region"
#define METADATA_TOKEN "sim-metadata-token"
#define CONTAINER_TOKEN "sim-container-token"

static void text(struct sim_reply *reply, int status, const char *body)
{
    free(reply->body);
    reply->body = strdup(body);
    reply->body_len = reply->body == NULL ? 0 : strlen(body);
    reply->content_type = "text/plain";
    reply->status = status;
}

static void reply_session(struct rb_sim *sim, const char *name, bool instance,
                          struct sim_reply *reply)
{
    struct sim_session s;
    char role[128], expires[RB_TIME_ISO_BYTES], now[RB_TIME_ISO_BYTES];

    snprintf(role, sizeof role, "arn:%s:iam::%s:role/%s", sim->partition, sim->account, name);
    pthread_mutex_lock(&sim->lock);
    int64_t now_ms = sim_now_locked(sim);
    bool ok = sim_session_new(sim, role, "i-0123456789abcdef0", now_ms, &s);
    pthread_mutex_unlock(&sim->lock);
    if (!ok) {
        text(reply, 500, "no session");
        return;
    }
    rb_time_iso(s.expires_ms, expires);
    rb_time_iso(now_ms, now);
    json_t *out = json_pack("{s:s, s:s, s:s, s:s}", "AccessKeyId", s.key, "SecretAccessKey",
                            s.secret, "Token", s.token, "Expiration", expires);
    if (instance) {
        json_object_set_new(out, "Code", json_string("Success"));
        json_object_set_new(out, "Type", json_string("AWS-HMAC"));
        json_object_set_new(out, "LastUpdated", json_string(now));
    }
    sim_reply_json(reply, 200, out);
}

static void container(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    if (!rb_str_eq(r->header(r, "Authorization"), CONTAINER_TOKEN)) {
        sim_reply_json(reply, 401, json_pack("{s:s}", "message", "Authorization is not the token"));
        return;
    }
    reply_session(sim, "sim-task-role", false, reply);
}

static void instance(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    pthread_mutex_lock(&sim->lock);
    bool away = sim->identity.metadata_away, v1_only = sim->identity.metadata_v1_only;
    pthread_mutex_unlock(&sim->lock);
    const char *token = r->header(r, "X-aws-ec2-metadata-token");
    bool put = strcmp(r->method, "PUT") == 0;

    if (away) {
        text(reply, 503, "away");
    } else if (put && strcmp(r->path, "/latest/api/token") == 0 && !v1_only) {
        bool good = r->header(r, "X-aws-ec2-metadata-token-ttl-seconds") != NULL;
        text(reply, good ? 200 : 400, good ? METADATA_TOKEN : "no ttl");
    } else if (put || (!rb_str_starts(r->path, ROLES) && strcmp(r->path, REGION) != 0)) {
        text(reply, 404, "not found");
    } else if (v1_only ? token != NULL : !rb_str_eq(token, METADATA_TOKEN)) {
        text(reply, 401, "unauthorized");
    } else if (strcmp(r->path, REGION) == 0) {
        text(reply, 200, sim->region);
    } else if (strcmp(r->path, ROLES) == 0) {
        text(reply, 200, ROLE);
    } else if (strcmp(r->path, ROLES ROLE) == 0) {
        reply_session(sim, ROLE, true, reply);
    } else {
        text(reply, 404, "not found");
    }
}

static void steer(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    RB_CLEANUP(rb_json_decrefp) json_t *in = NULL;
    int64_t life_ms = 0;

    if (rb_json_load(r->body, r->body_len, &in, NULL) != RB_OK || !json_is_object(in)) {
        sim_reply_json(reply, 400, json_pack("{s:s}", "message", "the body is no JSON object"));
        return;
    }
    const char *life = json_string_value(json_object_get(in, "life"));
    if (life != NULL && !rb_parse_duration_ms(rb_slice_str(life), &life_ms)) {
        sim_reply_json(reply, 400, json_pack("{s:s}", "message", "life: a duration like 20s"));
        return;
    }
    pthread_mutex_lock(&sim->lock);
    if (life_ms > 0) {
        sim->identity.life_ms = life_ms;
    }
    if (json_object_get(in, "metadata_away") != NULL) {
        sim->identity.metadata_away = json_is_true(json_object_get(in, "metadata_away"));
    }
    if (json_object_get(in, "metadata_v1_only") != NULL) {
        sim->identity.metadata_v1_only = json_is_true(json_object_get(in, "metadata_v1_only"));
    }
    size_t n = sim->identity.n;
    pthread_mutex_unlock(&sim->lock);
    sim_reply_json(reply, 200, json_pack("{s:I}", "sessions", (json_int_t)n));
}

bool sim_metadata(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    if (rb_str_starts(r->path, "/latest/")) {
        instance(sim, r, reply);
    } else if (strcmp(r->path, "/container") == 0) {
        container(sim, r, reply);
    } else if (strcmp(r->path, "/_sim/identity") == 0) {
        steer(sim, r, reply);
    } else {
        return false;
    }
    return true;
}
