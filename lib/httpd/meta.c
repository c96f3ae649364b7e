/* meta.c - what operators and probes ask: pause and resume, liveness, readiness, metrics. */
#include <string.h>

#include <retrybuild/json.h>
#include <retrybuild/log.h>

#include <retrybuild/cleanup.h>

#include "private.h"

/* pause_target - the project named in the body, NULL = everything; false after a problem was
 * answered. */
static bool pause_target(struct rb_exchange *ex, const char **ret_project)
{
    if (ex->body.len == 0) {
        return true;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *body = NULL;
    struct rb_err err = {.code = RB_OK};
    if (rb_json_load(ex->body.data, ex->body.len, &body, &err) != RB_OK) {
        rb_answer_problem(ex, 400, "%s", err.msg);
        return false;
    }
    const json_t *project = json_object_get(body, "project");
    if (!json_is_object(body) || json_object_size(body) > (project != NULL ? 1 : 0)) {
        rb_answer_problem(ex, 400, "the body must be {} or {\"project\": \"name\"}");
        return false;
    }
    if (project == NULL || json_is_null(project)) {
        return true;
    }
    if (!json_is_string(project) || json_string_length(project) == 0 ||
        json_string_length(project) > 255) {
        rb_answer_problem(ex, 400, "'project' must be a project's name");
        return false;
    }
    *ret_project = rb_arena_strdup(&ex->arena, json_string_value(project));
    return true;
}

static void switch_pause(struct rb_exchange *ex, struct rb_store_session *ses, bool on)
{
    const char *project = NULL;
    if (!pause_target(ex, &project)) {
        return;
    }
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_store_pause(ses, project, on, &err);
    unsigned holds = 0;
    if (rc == RB_OK && !on && project == NULL) {
        rc = rb_engine_release_incident(ex->httpd->deps.engine, ses, &holds, &err);
    }
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    rb_log(RB_LOG_INFO, on ? "api.pause" : "api.resume",
           RB_F("project", project == NULL ? "*" : project), RB_F("who", ex->actor));
    rb_buf_addf(&ex->answer, "{\"paused\":%s,\"project\":", on ? "true" : "false");
    rb_buf_add_json_string(&ex->answer, project, project == NULL ? 0 : strlen(project));
    rb_buf_adds(&ex->answer, "}\n");
    rb_answer_json(ex, 200);
}

static void pause_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    switch_pause(ex, ses, true);
}

static void resume_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    switch_pause(ex, ses, false);
}

void rb_handle_pause(struct rb_exchange *ex)
{
    rb_exchange_job(ex, pause_job);
}

void rb_handle_resume(struct rb_exchange *ex)
{
    rb_exchange_job(ex, resume_job);
}

static void plain(struct rb_exchange *ex, unsigned status, const char *text)
{
    rb_buf_adds(&ex->answer, text);
    ex->status = status;
    ex->content_type = "text/plain; charset=utf-8";
}

void rb_handle_livez(struct rb_exchange *ex)
{
    plain(ex, 200, "ok\n");
}

void rb_handle_readyz(struct rb_exchange *ex)
{
    if (atomic_load(&ex->httpd->draining)) {
        plain(ex, 503, "stopping\n");
    } else if (!rb_store_up(ex->httpd->deps.store)) {
        plain(ex, 503, "store is away\n");
    } else {
        plain(ex, 200, "ready\n");
    }
}

void rb_handle_metrics(struct rb_exchange *ex)
{
    rb_gauge(RB_M_STORE_UP, NULL, rb_store_up(ex->httpd->deps.store) ? 1.0 : 0.0);
    rb_metrics_render(&ex->answer);
    ex->status = 200;
    ex->content_type = "text/plain; version=0.0.4; charset=utf-8";
}
