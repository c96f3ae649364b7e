/* knobs.c - the script's settings beside outcomes and faults: windows, visibility, who starts
 * builds, what a retry may do, and how events travel. Each of the product's assumptions about AWS
 * has one. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "script.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

static enum rb_code parse_initiator(struct sim_script *s, struct rb_err *err)
{
    static const char *const known[] = {"default", "keys", "session"};
    json_t *v = json_object_get(s->doc, "initiator");
    s->session_initiator = json_is_string(v) ? json_string_value(v) : "{role}/{session}";
    if (v == NULL || json_is_string(v)) {
        s->initiator = v == NULL ? "codebuild-sim/{access_key}" : json_string_value(v);
        return RB_OK;
    }
    struct sim_in in = {.obj = v, .where = "initiator", .err = err};
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc != RB_OK) {
        return rc;
    }
    s->initiator = "codebuild-sim/{access_key}";
    s->initiators = json_object_get(v, "keys");
    const char *key;
    json_t *one;
    json_object_foreach(s->initiators, key, one)
    {
        if (!json_is_string(one)) {
            return rb_err_set(err, RB_E_INVALID, "initiator.keys.%s: must be text", key);
        }
    }
    rc = sim_in_str(&in, "session", &s->session_initiator);
    return rc == RB_OK ? sim_in_str(&in, "default", &s->initiator) : rc;
}

static enum rb_code parse_dates(const struct sim_in *in, enum sim_dates *ret_dates)
{
    static const char *const names[] = {
        [SIM_DATES_KEYED] = "keyed", [SIM_DATES_ALWAYS] = "always", [SIM_DATES_NEVER] = "never"};
    const char *word = "keyed";
    enum rb_code rc = sim_in_str(in, "signature_dates", &word);
    for (size_t i = 0; rc == RB_OK && i < RB_ARRAY_LEN(names); i++) {
        if (strcmp(names[i], word) == 0) {
            *ret_dates = (enum sim_dates)i;
            return RB_OK;
        }
    }
    return rc != RB_OK ? rc
                       : rb_err_set(in->err, RB_E_INVALID,
                                    "script.signature_dates: must be keyed, always or never");
}

static enum rb_code parse_events(struct sim_script *s, struct rb_err *err)
{
    static const char *const known[] = {"phase_changes", "duplicate",   "drop",      "delay",
                                        "timeout",       "retry_base",  "retry_cap", "max_age",
                                        "max_attempts",  "plain_failed"};
    struct sim_event_knobs *e = &s->events;
    *e = (struct sim_event_knobs){.phase_changes = true,
                                  .timeout_ms = 5000,
                                  .retry_base_ms = 1000,
                                  .retry_cap_ms = 900000,
                                  .max_age_ms = DAY_MS,
                                  .max_attempts = 185};
    json_t *obj = json_object_get(s->doc, "events");
    if (obj == NULL) {
        return RB_OK;
    }
    struct sim_in in = {.obj = obj, .where = "events", .err = err};
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc != RB_OK || (rc = sim_in_bool(&in, "phase_changes", &e->phase_changes)) != RB_OK ||
        (rc = sim_in_bool(&in, "plain_failed", &e->plain_failed)) != RB_OK ||
        (rc = sim_in_probability(&in, "duplicate", &e->duplicate)) != RB_OK ||
        (rc = sim_in_probability(&in, "drop", &e->drop)) != RB_OK ||
        (rc = sim_in_duration(&in, "delay", false, &e->delay_ms)) != RB_OK ||
        (rc = sim_in_duration(&in, "timeout", false, &e->timeout_ms)) != RB_OK ||
        (rc = sim_in_duration(&in, "retry_base", false, &e->retry_base_ms)) != RB_OK ||
        (rc = sim_in_duration(&in, "retry_cap", false, &e->retry_cap_ms)) != RB_OK ||
        (rc = sim_in_duration(&in, "max_age", false, &e->max_age_ms)) != RB_OK) {
        return rc;
    }
    return sim_in_int(&in, "max_attempts", 1, 1000, &e->max_attempts);
}

enum rb_code sim_knobs_parse(struct sim_script *s, struct rb_err *err)
{
    static const char *const known[] = {"projects",
                                        "faults",
                                        "durations",
                                        "initiator",
                                        "token_window",
                                        "token_replay",
                                        "signature_window",
                                        "signature_dates",
                                        "lag",
                                        "clock_offset",
                                        "account_limit",
                                        "retry_running",
                                        "retry_succeeded",
                                        "retry_arn",
                                        "retry_keeps_source",
                                        "events",
                                        "mismatch_error",
                                        "mismatch_message",
                                        "history",
                                        "concurrent_builds",
                                        "queue_limit",
                                        "retry_stopped",
                                        "retry_batch_member",
                                        "retry_codepipeline",
                                        "retry_keeps_auto_retry",
                                        "auto_retry",
                                        "retry_succeeded_batch",
                                        "retry_new_batch",
                                        "retry_busy_stage",
                                        "pipelines"};
    struct sim_in in = {.obj = s->doc, .where = "script", .err = err};
    s->token_window_ms = 5 * 60 * 1000;
    s->signature_window_ms = 5 * 60 * 1000;
    s->token_replay = true;
    s->retry_succeeded = true;
    s->retry_busy_stage = true;
    s->retry_arn = true;
    s->retry_keeps_source = true;
    s->retry_stopped = true;
    s->retry_batch_member = true;
    s->retry_codepipeline = true;
    s->retry_keeps_auto_retry = true;
    s->auto_retry = true;
    s->history_ms = 365 * DAY_MS;
    s->concurrent_builds = -1;
    s->queue_limit = -1;
    s->mismatch_error = "InvalidInputException";
    s->mismatch_message =
        "Parameter mismatch: the idempotency token was used with other parameters before";
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc != RB_OK || (rc = sim_in_duration(&in, "token_window", false, &s->token_window_ms)) ||
        (rc = sim_in_duration(&in, "signature_window", false, &s->signature_window_ms)) ||
        (rc = sim_in_duration(&in, "lag", false, &s->lag_ms)) ||
        (rc = sim_in_duration(&in, "clock_offset", true, &s->clock_offset_ms)) ||
        (rc = sim_in_int(&in, "account_limit", 0, 1000000, &s->account_limit)) ||
        (rc = sim_in_bool(&in, "token_replay", &s->token_replay)) ||
        (rc = sim_in_bool(&in, "retry_running", &s->retry_running)) ||
        (rc = sim_in_bool(&in, "retry_succeeded", &s->retry_succeeded)) ||
        (rc = sim_in_bool(&in, "retry_arn", &s->retry_arn)) ||
        (rc = sim_in_bool(&in, "retry_keeps_source", &s->retry_keeps_source)) ||
        (rc = sim_in_bool(&in, "retry_stopped", &s->retry_stopped)) ||
        (rc = sim_in_bool(&in, "retry_batch_member", &s->retry_batch_member)) ||
        (rc = sim_in_bool(&in, "retry_codepipeline", &s->retry_codepipeline)) ||
        (rc = sim_in_bool(&in, "retry_keeps_auto_retry", &s->retry_keeps_auto_retry)) ||
        (rc = sim_in_bool(&in, "auto_retry", &s->auto_retry)) ||
        (rc = sim_in_bool(&in, "retry_succeeded_batch", &s->retry_succeeded_batch)) ||
        (rc = sim_in_bool(&in, "retry_new_batch", &s->retry_new_batch)) ||
        (rc = sim_in_bool(&in, "retry_busy_stage", &s->retry_busy_stage)) ||
        (rc = sim_pipelines_check(s, err)) ||
        (rc = sim_in_duration(&in, "history", false, &s->history_ms)) ||
        (rc = sim_in_int(&in, "concurrent_builds", -1, 100000, &s->concurrent_builds)) ||
        (rc = sim_in_int(&in, "queue_limit", -1, 1000000, &s->queue_limit)) ||
        (rc = sim_in_str(&in, "mismatch_error", &s->mismatch_error)) ||
        (rc = sim_in_str(&in, "mismatch_message", &s->mismatch_message)) ||
        (rc = parse_dates(&in, &s->signature_dates)) || (rc = parse_initiator(s, err))) {
        return rc;
    }
    return parse_events(s, err);
}
