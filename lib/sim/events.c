/* events.c - EventBridge events of a build, member for member as they arrive: kebab case, ARNs for
 * ids, US-style times without a zone inside, and the values of PLAINTEXT variables. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "core.h"
#include "sender.h"

#define US_TIME_BYTES 40

static void set_us_time(json_t *obj, const char *key, int64_t unix_ms)
{
    char text[US_TIME_BYTES];
    rb_time_format_aws_us(unix_ms, text);
    json_object_set_new(obj, key, json_string(text));
}

/* Copies members under their event names; absent ones stay absent. */
struct rename {
    const char *from, *to;
};

static void rename_members(json_t *from, json_t *to, const struct rename *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_object_get(from, table[i].from);
        if (v != NULL && !json_is_null(v)) {
            json_object_set(to, table[i].to, v);
        }
    }
}

static json_t *source_event(json_t *source)
{
    static const struct rename table[] = {{"type", "type"},
                                          {"location", "location"},
                                          {"buildspec", "buildspec"},
                                          {"gitCloneDepth", "git-clone-depth"},
                                          {"reportBuildStatus", "report-build-status"},
                                          {"auth", "auth"}};
    json_t *out = json_object();
    rename_members(source, out, table, RB_ARRAY_LEN(table));
    json_t *submodules = json_object_get(source, "gitSubmodulesConfig");
    if (submodules != NULL) {
        json_object_set_new(
            out, "git-submodules-config",
            json_pack("{s:O}", "fetch-submodules", json_object_get(submodules, "fetchSubmodules")));
    }
    return out;
}

static json_t *environment_event(json_t *environment)
{
    static const struct rename table[] = {
        {"image", "image"},
        {"privilegedMode", "privileged-mode"},
        {"imagePullCredentialsType", "image-pull-credentials-type"},
        {"computeType", "compute-type"},
        {"type", "type"},
        {"environmentVariables", "environment-variables"}};
    json_t *out = json_object();
    rename_members(environment, out, table, RB_ARRAY_LEN(table));
    return out;
}

static bool own_failure(const struct sim_build *b, const struct sim_phase_run *run)
{
    return run->phase == b->outcome->phase && run->status != NULL &&
           strcmp(run->status, "STOPPED") != 0;
}

static json_t *phase_event(const struct sim_build *b, const struct sim_phase_run *run)
{
    json_t *out = json_pack("{s:s}", "phase-type", sim_phase_name(run->phase));
    set_us_time(out, "start-time", run->start_ms);
    if (run->status == NULL) {
        return out; /* the last one, unfinished: a type and a start, nothing else */
    }
    set_us_time(out, "end-time", run->end_ms);
    json_t *context = json_array();
    if (own_failure(b, run)) {
        json_array_append_new(context,
                              json_sprintf("%s: %s", b->outcome->status_code, b->outcome->message));
    } else if (run->phase > SIM_QUEUED) {
        json_array_append_new(context, json_string(": "));
    }
    json_object_set_new(out, "phase-context", context);
    json_object_set_new(out, "phase-status", json_string(run->status));
    json_object_set_new(out, "duration-in-seconds",
                        json_integer((run->end_ms - run->start_ms) / 1000));
    return out;
}

static void set_vpc(json_t *base, json_t *info)
{
    json_t *vpc = json_object_get(base, "vpcConfig");
    json_t *eni = json_object_get(base, "networkInterface");
    if (vpc == NULL) {
        return;
    }
    json_t *subnets = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(vpc, "subnets"), i, one)
    {
        json_array_append_new(subnets, json_pack("{s:O, s:s, s:s}", "subnet-id", one, "customer-az",
                                                 "use1-az1", "build-fleet-az", "use1-az1"));
    }
    json_object_set_new(info, "vpc-config",
                        json_pack("{s:O*, s:o, s:O*}", "vpc-id", json_object_get(vpc, "vpcId"),
                                  "subnets", subnets, "security-group-ids",
                                  json_object_get(vpc, "securityGroupIds")));
    json_object_set_new(info, "network-interface",
                        json_pack("{s:O*, s:O*}", "subnet-id", json_object_get(eni, "subnetId"),
                                  "eni-id", json_object_get(eni, "networkInterfaceId")));
}

static json_t *information(json_t *build, const struct sim_build *b)
{
    static const struct rename plain[] = {{"buildNumber", "build-number"},
                                          {"timeoutInMinutes", "timeout-in-minutes"},
                                          {"queuedTimeoutInMinutes", "queued-timeout-in-minutes"},
                                          {"buildComplete", "build-complete"},
                                          {"initiator", "initiator"},
                                          {"sourceVersion", "source-version"},
                                          {"fileSystemLocations", "project-file-system-locations"}};
    static const struct rename artifact[] = {
        {"location", "location"}, {"md5sum", "md5sum"}, {"sha256sum", "sha256sum"}};
    static const struct rename logs[] = {
        {"groupName", "group-name"}, {"streamName", "stream-name"}, {"deepLink", "deep-link"}};
    static const struct rename cache[] = {{"type", "type"}, {"location", "location"}};
    json_t *info = json_object();
    json_t *parts[] = {json_object(), json_object(), json_object(), json_array()};
    rename_members(build, info, plain, RB_ARRAY_LEN(plain));
    rename_members(json_object_get(build, "artifacts"), parts[0], artifact, RB_ARRAY_LEN(artifact));
    rename_members(json_object_get(build, "logs"), parts[1], logs, RB_ARRAY_LEN(logs));
    rename_members(json_object_get(build, "cache"), parts[2], cache, RB_ARRAY_LEN(cache));
    for (size_t i = 0; i < b->n_phases; i++) {
        json_array_append_new(parts[3], phase_event(b, &b->phases[i]));
    }
    json_object_set_new(info, "artifact", parts[0]);
    json_object_set_new(info, "logs", parts[1]);
    json_object_set_new(info, "cache", parts[2]);
    json_object_set_new(info, "phases", parts[3]);
    json_object_set_new(info, "source", source_event(json_object_get(build, "source")));
    json_object_set_new(info, "environment",
                        environment_event(json_object_get(build, "environment")));
    set_us_time(info, "build-start-time", b->start_ms);
    set_vpc(b->base, info);
    return info;
}

static json_t *detail_of(struct rb_sim *sim, const struct sim_build *b)
{
    json_t *build = sim_build_json(sim, b);
    json_t *detail =
        json_pack("{s:s, s:s, s:o, s:s}", "project-name", b->project->name, "build-id", b->arn,
                  "additional-information", information(build, b), "version", "1");
    json_decref(build);
    return detail;
}

static json_t *envelope(struct rb_sim *sim, const struct sim_build *b, const char *type,
                        json_t *take_detail, int64_t time_ms)
{
    char id[SIM_UUID_BYTES];
    char time[RB_TIME_ISO_BYTES];
    sim_uuid(id);
    rb_time_iso(time_ms, time);
    memcpy(strchr(time, '.'), "Z", 2); /* the envelope's time has whole seconds */
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[s], s:o}", "version", "0", "id", id,
                     "detail-type", type, "source", "aws.codebuild", "account", sim->account,
                     "time", time, "region", sim->region, "resources", b->arn, "detail",
                     take_detail);
}

json_t *sim_event_state_json(struct rb_sim *sim, const struct sim_build *b, int64_t at_ms)
{
    json_t *detail = detail_of(sim, b);
    const char *phase = sim_phase_name(b->phases[b->n_phases - 1].phase);
    bool plain = sim->script->events.plain_failed &&
                 (strcmp(b->status, "TIMED_OUT") == 0 || strcmp(b->status, "FAULT") == 0);
    json_object_set_new(detail, "build-status", json_string(plain ? "FAILED" : b->status));
    json_object_set_new(detail, "current-phase", json_string(phase));
    json_object_set_new(detail, "current-phase-context", json_string(b->complete ? "[: ]" : "[]"));
    return envelope(sim, b, "CodeBuild Build State Change", detail, at_ms);
}

json_t *sim_event_phase_json(struct rb_sim *sim, const struct sim_build *b,
                             const struct sim_phase_run *run)
{
    json_t *detail = detail_of(sim, b);
    json_t *context = json_string(run->phase > SIM_QUEUED ? "[: ]" : "[]");
    if (own_failure(b, run)) {
        json_decref(context);
        context = json_sprintf("[%s: %s]", b->outcome->status_code, b->outcome->message);
    }
    json_object_set_new(detail, "completed-phase", json_string(sim_phase_name(run->phase)));
    json_object_set_new(detail, "completed-phase-status", json_string(run->status));
    json_object_set_new(detail, "completed-phase-context", context);
    json_object_set_new(detail, "completed-phase-duration-seconds",
                        json_integer((run->end_ms - run->start_ms) / 1000));
    set_us_time(detail, "completed-phase-start", run->start_ms);
    set_us_time(detail, "completed-phase-end", run->end_ms);
    return envelope(sim, b, "CodeBuild Build Phase Change", detail, run->start_ms);
}

static void publish(struct rb_sim *sim, json_t *take_event)
{
    RB_CLEANUP(rb_freep) char *text = json_dumps(take_event, JSON_COMPACT);
    json_decref(take_event);
    const struct sim_event_knobs *k = &sim->script->events;
    if (text == NULL || (k->drop > 0 && sim_chance_locked(sim, k->drop))) {
        return;
    }
    sim_sender_post(sim->sender, text);
    if (k->duplicate > 0 && sim_chance_locked(sim, k->duplicate)) {
        sim_sender_post(sim->sender, text);
    }
}

void sim_event_state(struct rb_sim *sim, const struct sim_build *b, int64_t at_ms)
{
    if (sim->sender != NULL) {
        publish(sim, sim_event_state_json(sim, b, at_ms));
    }
}

void sim_event_phase(struct rb_sim *sim, const struct sim_build *b, const struct sim_phase_run *run)
{
    if (sim->sender != NULL && sim->script->events.phase_changes) {
        publish(sim, sim_event_phase_json(sim, b, run));
    }
}
