/* session.c - GET /v1/session: who a token is; GET /v1/overview: how the service stands, cheap
 * enough to be asked after every event. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "private.h"

#define PAUSED_ARENA_BYTES ((size_t)1024 * 1024)

static const char *mode_name(enum rb_mode mode)
{
    static const char *const names[] = {
        [RB_MODE_AUTO] = "auto", [RB_MODE_ASK] = "ask", [RB_MODE_SHADOW] = "shadow"};
    return names[mode];
}

static void add_time(struct rb_buf *out, const char *key, int64_t ms)
{
    char text[RB_TIME_ISO_BYTES];
    rb_time_iso(ms, text);
    rb_buf_add_json_member(out, key, ms == 0 ? NULL : text);
}

void rb_handle_session(struct rb_exchange *ex)
{
    struct rb_buf *out = &ex->answer;
    rb_buf_addc(out, '{');
    rb_buf_add_json_member(out, "name", ex->actor);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "role", ex->role == RB_ROLE_OPERATOR ? "operator" : "viewer");
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "version", ex->httpd->deps.version);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "mode", mode_name(ex->view->settings->mode));
    rb_buf_adds(out, "}\n");
    rb_answer_json(ex, 200);
}

static void add_counts(struct rb_buf *out, const struct rb_counts *c)
{
    rb_buf_adds(out, ",\"states\":{");
    for (int s = 0; s < RB_STATE_COUNT; s++) {
        rb_buf_addf(out, "%s\"%s\":%lld", s == 0 ? "" : ",", rb_state_name((enum rb_state)s),
                    (long long)c->by_state[s]);
    }
    rb_buf_adds(out, "},\"tasks\":[");
    for (int k = RB_TASK_NONE + 1; k < RB_TASK_KIND_COUNT; k++) {
        rb_buf_adds(out, k == RB_TASK_NONE + 1 ? "{" : ",{");
        rb_buf_add_json_member(out, "kind", rb_task_kind_name((enum rb_task_kind)k));
        rb_buf_addf(out, ",\"count\":%lld,", (long long)c->tasks[k]);
        add_time(out, "oldest_due_at", c->oldest_due_ms[k]);
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, ']');
}

static void overview_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_counts counts;
    struct rb_err err = {.code = RB_OK};
    const char **paused = NULL;
    unsigned n = 0;
    rb_arena_init(&a, PAUSED_ARENA_BYTES);
    enum rb_code rc = rb_store_counts(ses, &counts, &err);
    rc = rc == RB_OK ? rb_store_paused(ses, &a, &paused, &n, &err) : rc;
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    rb_buf_addc(&ex->answer, '{');
    add_time(&ex->answer, "time", rb_now_ms(ex->httpd->deps.clock));
    rb_buf_addc(&ex->answer, ',');
    rb_buf_add_json_member(&ex->answer, "mode", mode_name(ex->view->settings->mode));
    add_counts(&ex->answer, &counts);
    rb_buf_adds(&ex->answer, ",\"paused\":[");
    for (unsigned i = 0; i < n; i++) {
        rb_buf_adds(&ex->answer, i == 0 ? "" : ",");
        rb_buf_add_json_string(&ex->answer, paused[i], strlen(paused[i]));
    }
    rb_buf_adds(&ex->answer, "]}\n");
    rb_answer_json(ex, 200);
}

void rb_handle_overview(struct rb_exchange *ex)
{
    rb_exchange_job(ex, overview_job);
}
