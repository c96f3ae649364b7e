/* logs.c - what a build wrote: GetLogEvents of CloudWatch Logs for the group and stream that the
 * build names, so that a reader of logs has something to read. */
#include <string.h>

#include <retrybuild/str.h>

#include "core.h"

#define MAX_EVENTS 10000

static void add_lines(json_t *lines, json_t *log)
{
    if (json_is_array(log)) {
        size_t i;
        json_t *one;
        json_array_foreach(log, i, one)
        {
            if (json_is_string(one)) {
                json_array_append(lines, one);
            }
        }
        return;
    }
    const char *s = json_string_value(log);
    while (s != NULL && *s != '\0') {
        size_t len = strcspn(s, "\n");
        json_array_append_new(lines, json_stringn(s, len));
        s += len + (s[len] == '\n' ? 1 : 0);
    }
}

json_t *sim_log_lines(const struct sim_build *b)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < b->n_phases; i++) {
        const struct sim_phase_run *run = &b->phases[i];
        if (run->phase < SIM_DOWNLOAD_SOURCE || run->phase > SIM_UPLOAD_ARTIFACTS) {
            continue;
        }
        json_array_append_new(
            lines, json_sprintf("[Container] Entering phase %s", sim_phase_name(run->phase)));
        bool told = b->outcome->phase == run->phase ||
                    (b->outcome->phase == SIM_COMPLETED && run->phase == SIM_BUILD);
        if (told) {
            add_lines(lines, b->outcome->log);
        }
        if (run->status != NULL) {
            bool failed = b->outcome->phase == run->phase;
            json_array_append_new(lines, json_sprintf("[Container] Phase complete: %s State: %s",
                                                      sim_phase_name(run->phase), run->status));
            json_array_append_new(
                lines, json_sprintf("[Container] Phase context status code: %s Message: %s",
                                    failed ? b->outcome->status_code : "",
                                    failed ? b->outcome->message : ""));
        }
    }
    return lines;
}

void sim_get_log_events(struct sim_call *c)
{
    const char *group = json_string_value(json_object_get(c->in, "logGroupName"));
    const char *stream = json_string_value(json_object_get(c->in, "logStreamName"));
    const char *prefix = "/aws/codebuild/";
    if (group == NULL || stream == NULL) {
        sim_fail(c, "InvalidParameterException", "logGroupName and logStreamName are required");
        return;
    }
    struct rb_buf id = RB_BUF_INIT(1024);
    rb_buf_addf(&id, "%s:%s", rb_str_starts(group, prefix) ? group + strlen(prefix) : "", stream);
    const struct sim_build *b = sim_build_find(c->sim, rb_buf_str(&id));
    rb_buf_release(&id);
    if (b == NULL || b->phases[b->n_phases - 1].phase < SIM_PROVISIONING) {
        sim_fail(c, "ResourceNotFoundException", "The specified log stream does not exist.");
        return;
    }
    json_t *limit = json_object_get(c->in, "limit");
    size_t most = json_is_integer(limit) && json_integer_value(limit) > 0
                      ? (size_t)json_integer_value(limit)
                      : MAX_EVENTS;
    json_t *lines = sim_log_lines(b);
    json_t *events = json_array();
    size_t n = json_array_size(lines);
    bool from_head = json_is_true(json_object_get(c->in, "startFromHead"));
    /* one page holds it all: a token means "after the last event", where nothing is */
    bool past = json_is_string(json_object_get(c->in, "nextToken"));
    size_t first = !from_head && n > most ? n - most : 0;
    for (size_t i = first; !past && i < n && i - first < most; i++) {
        json_array_append_new(events,
                              json_pack("{s:I, s:I, s:O}", "timestamp", (json_int_t)b->start_ms,
                                        "ingestionTime", (json_int_t)b->start_ms, "message",
                                        json_array_get(lines, i)));
    }
    json_decref(lines);
    c->out = json_pack("{s:o, s:s, s:s}", "events", events, "nextForwardToken", "f/end",
                       "nextBackwardToken", "b/start");
}
