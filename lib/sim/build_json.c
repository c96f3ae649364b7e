/* build_json.c - a build as the API shows it. Source: the Build shape, and the AWS CLI's examples
 * for which members a fresh and a finished build have. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/str.h>

#include "batch.h"
#include "core.h"

static json_t *phase_json(const struct sim_build *b, const struct sim_phase_run *run)
{
    json_t *out = json_pack("{s:s, s:f}", "phaseType", sim_phase_name(run->phase), "startTime",
                            sim_time_s(run->start_ms));
    if (run->status == NULL) {
        return out;
    }
    json_object_set_new(out, "phaseStatus", json_string(run->status));
    json_object_set_new(out, "endTime", json_real(sim_time_s(run->end_ms)));
    json_object_set_new(out, "durationInSeconds",
                        json_integer((run->end_ms - run->start_ms) / 1000));
    bool failed = run->phase == b->outcome->phase && strcmp(run->status, "STOPPED") != 0;
    if (run->phase > SIM_QUEUED || failed) {
        json_object_set_new(out, "contexts",
                            json_pack("[{s:s, s:s}]", "statusCode",
                                      failed ? b->outcome->status_code : "", "message",
                                      failed ? b->outcome->message : ""));
    }
    return out;
}

static json_t *logs_json(const struct rb_sim *sim, const struct sim_build *b)
{
    bool there = b->n_phases > 0 && b->phases[b->n_phases - 1].phase >= SIM_PROVISIONING;
    json_t *out = json_object();
    json_t *s3 = json_object_get(b->logs_config, "s3Logs");
    const char *name = b->project->name;
    json_object_set(out, "cloudWatchLogs", json_object_get(b->logs_config, "cloudWatchLogs"));
    json_object_set(out, "s3Logs", s3);
    if (!there) {
        json_object_set_new(out, "deepLink",
                            json_sprintf("https://console.aws.amazon.com/cloudwatch/home?region=%s"
                                         "#logEvent:group=null;stream=null",
                                         sim->region));
        json_object_set_new(out, "cloudWatchLogsArn",
                            json_sprintf("arn:%s:logs:%s:%s:log-group:null:log-stream:null",
                                         sim->partition, sim->region, sim->account));
        return out;
    }
    json_object_set_new(out, "groupName", json_sprintf("/aws/codebuild/%s", name));
    json_object_set_new(out, "streamName", json_string(b->uuid));
    json_object_set_new(out, "deepLink",
                        json_sprintf("https://console.aws.amazon.com/cloudwatch/home?region=%s"
                                     "#logsV2:log-groups/log-group/$252Faws$252Fcodebuild$252F%s/"
                                     "log-events/%s",
                                     sim->region, name, b->uuid));
    json_object_set_new(out, "cloudWatchLogsArn",
                        json_sprintf("arn:%s:logs:%s:%s:log-group:/aws/codebuild/%s:log-stream:%s",
                                     sim->partition, sim->region, sim->account, name, b->uuid));
    if (rb_str_eq(json_string_value(json_object_get(s3, "status")), "ENABLED")) {
        const char *where = json_string_value(json_object_get(s3, "location"));
        json_object_set_new(out, "s3LogsArn",
                            json_sprintf("arn:%s:s3:::%s/%s.gz", sim->partition,
                                         where == NULL ? "" : where, b->uuid));
        json_object_set_new(out, "s3DeepLink",
                            json_sprintf("https://s3.console.aws.amazon.com/s3/object/%s/%s.gz"
                                         "?region=%s",
                                         where == NULL ? "" : where, b->uuid, sim->region));
    }
    return out;
}

/* Checksums appear once an artifact was uploaded. */
static json_t *artifacts_json(const struct sim_build *b)
{
    json_t *out = json_copy(json_object_get(b->base, "artifacts"));
    bool uploaded = false;
    for (size_t i = 0; i < b->n_phases; i++) {
        uploaded = uploaded || (b->phases[i].phase == SIM_UPLOAD_ARTIFACTS &&
                                rb_str_eq(b->phases[i].status, "SUCCEEDED"));
    }
    if (uploaded && !rb_str_empty(json_string_value(json_object_get(out, "location")))) {
        char hex[RB_SHA256_HEX_BYTES];
        rb_sha256_hex(b->id, strlen(b->id), hex);
        json_object_set_new(out, "sha256sum", json_string(hex));
        json_object_set_new(out, "md5sum", json_stringn(hex, 32));
    }
    return out;
}

static void set_auto_retry(const struct sim_build *b, json_t *out)
{
    if (b->auto_limit == 0 && !b->automatic) {
        return;
    }
    json_t *config = json_pack("{s:I, s:I}", "autoRetryLimit", (json_int_t)b->auto_limit,
                               "autoRetryNumber", (json_int_t)b->auto_number);
    if (b->auto_next != NULL) {
        json_object_set_new(config, "nextAutoRetry", json_string(b->auto_next->arn));
    }
    if (b->automatic) {
        json_object_set_new(config, "previousAutoRetry", json_string(b->parent->arn));
    }
    json_object_set_new(out, "autoRetryConfig", config);
}

json_t *sim_build_json(const struct rb_sim *sim, const struct sim_build *b)
{
    json_t *out = json_copy(b->base);
    json_t *phases = json_array();
    for (size_t i = 0; i < b->n_phases; i++) {
        json_array_append_new(phases, phase_json(b, &b->phases[i]));
    }
    json_object_set_new(out, "id", json_string(b->id));
    json_object_set_new(out, "arn", json_string(b->arn));
    json_object_set_new(out, "buildNumber", json_integer(b->number));
    json_object_set_new(out, "startTime", json_real(sim_time_s(b->start_ms)));
    json_object_set_new(out, "currentPhase",
                        json_string(sim_phase_name(b->phases[b->n_phases - 1].phase)));
    json_object_set_new(out, "buildStatus", json_string(b->status));
    json_object_set_new(out, "buildComplete", json_boolean(b->complete));
    json_object_set_new(out, "initiator", json_string(b->initiator));
    json_object_set_new(out, "phases", phases);
    json_object_set_new(out, "logs", logs_json(sim, b));
    json_object_set_new(out, "artifacts", artifacts_json(b));
    if (b->complete) {
        json_object_set_new(out, "endTime", json_real(sim_time_s(b->end_ms)));
    }
    if (b->debug_session) {
        json_object_set_new(out, "debugSession",
                            json_pack("{s:b, s:s}", "sessionEnabled", 1, "sessionTarget", ""));
    }
    if (b->batch != NULL) {
        json_object_set_new(out, "buildBatchArn", json_string(b->batch->arn));
    }
    set_auto_retry(b, out);
    return out;
}
