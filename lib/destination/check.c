/* github-check - a check run on the commit that was built, one a chain, with buttons. For GitHub
 * Apps only: GitHub tells a pressed button to the app that made the run.
 *
 * The receipt is the run's id. external_id is what a button is about: the build that failed last,
 * or the retry that waits for a decision. Source: facts on integrations, 2.1.
 */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "hosts.h"
#include "internal.h"

#define TEXT_MAX_BYTES 32768
#define NAME_MAX_CHARS 255
#define SUMMARY_MAX_CHARS 16000
#define ID_MAX_BYTES 32

static const char *const conclusions[RB_OUTCOME_COUNT] = {
    [RB_OUTCOME_QUEUED] = "action_required", [RB_OUTCOME_RUNNING] = NULL,
    [RB_OUTCOME_SUCCESS] = "success",        [RB_OUTCOME_FAILURE] = "failure",
    [RB_OUTCOME_STOPPED] = "cancelled",      [RB_OUTCOME_ERROR] = "failure",
};

static json_t *button(const char *label, const char *description, const char *identifier)
{
    return json_pack("{s:s, s:s, s:s}", "label", label, "description", description, "identifier",
                     identifier);
}

static json_t *buttons(const struct rb_retry *r)
{
    json_t *list = json_array();

    if (r->state == RB_STATE_HELD) {
        (void)json_array_append_new(
            list, button("Approve", "Run the failed build again", "retrybuild_approve"));
        (void)json_array_append_new(list,
                                    button("Deny", "Leave the build failed", "retrybuild_deny"));
    } else if (rb_render_retryable(r)) {
        (void)json_array_append_new(
            list, button("Retry", "Run the failed build again", "retrybuild_retry"));
    }
    return list;
}

static json_t *output(const struct rb_report_view *v)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf title = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf summary = RB_BUF_INIT(TEXT_MAX_BYTES);

    rb_text_title(v, &title);
    rb_text_summary(v, RB_MARKUP_MARKDOWN, &summary);
    rb_buf_adds(&summary, "\n\n");
    rb_text_next(v, RB_MARKUP_MARKDOWN, &summary);
    return json_pack("{s:o, s:o}", "title", rb_text_json(&title, NAME_MAX_CHARS), "summary",
                     rb_text_json(&summary, SUMMARY_MAX_CHARS));
}

static json_t *body_of(struct rb_poster *p, bool first)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf name = RB_BUF_INIT(TEXT_MAX_BYTES);
    const struct rb_retry *r = p->v->retry;
    const char *conclusion = conclusions[rb_githost_outcome(r->state)];
    const char *link = rb_githost_link(r, p->a);
    char now[RB_TIME_ISO_BYTES];

    rb_time_iso(r->finished_ms != 0 ? r->finished_ms : p->v->now_ms, now);
    rb_githost_context(p->d, p->v, &name);
    json_t *body =
        json_pack("{s:o, s:s, s:s, s:o, s:o}", "name", rb_text_json(&name, NAME_MAX_CHARS),
                  "external_id", r->state == RB_STATE_HELD ? r->id : rb_render_target(r), "status",
                  conclusion == NULL ? "in_progress" : "completed", "output", output(p->v),
                  "actions", buttons(r));
    if (conclusion != NULL) {
        (void)json_object_set_new(body, "conclusion", json_string(conclusion));
        (void)json_object_set_new(body, "completed_at", json_string(now));
    }
    if (link != NULL) {
        (void)json_object_set_new(body, "details_url", json_string(link));
    }
    if (first) {
        (void)json_object_set_new(body, "head_sha", json_string(rb_build_commit(&r->build)));
    }
    return body;
}

static void make(struct rb_poster *p, const char *url)
{
    char id[ID_MAX_BYTES];

    if (!rb_githost_call(p, RB_HOST_GITHUB, "POST", url, body_of(p, true))) {
        return;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *j = rb_poster_json(p);
    const json_t *number = json_object_get(j, "id");
    if (json_is_integer(number)) {
        (void)snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(number));
        (void)rb_poster_keep(p, id);
    }
}

static void post(struct rb_poster *p)
{
    const char *repository = rb_githost_repository(RB_HOST_GITHUB, p->d, p->v->retry, p->a);
    const char *id = p->v->receipt;

    if (repository == NULL || rb_build_commit(&p->v->retry->build) == NULL) {
        rb_poster_fail(p, "the build has no commit in a repository of this host");
        return;
    }
    const char *all = rb_githost_url(RB_HOST_GITHUB, p->d, p->a, "repos/%s/check-runs", repository);
    if (rb_str_empty(id) || strspn(id, "0123456789") != strlen(id)) {
        make(p, all);
        return;
    }
    const char *one =
        rb_githost_url(RB_HOST_GITHUB, p->d, p->a, "repos/%s/check-runs/%s", repository, id);
    if (!rb_githost_call(p, RB_HOST_GITHUB, "PATCH", one, body_of(p, false)) &&
        p->answer.status == 404) {
        make(p, all); /* GitHub deletes old runs */
    }
}

static bool applies(const struct rb_destination_setting *d, const struct rb_retry *r,
                    enum rb_stage stage)
{
    (void)stage;
    return rb_githost_applies_commit(RB_HOST_GITHUB, d, r);
}

static enum rb_code check(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err)
{
    if (d->api.app_id == NULL && d->api.url == NULL) {
        *ret_key = "api.app";
        return rb_err_set(err, RB_E_INVALID,
                          "github-check needs api.app: GitHub lets only apps make check runs");
    }
    return rb_githost_check(RB_HOST_GITHUB, d, ret_key, err);
}

static const char *const own_keys[] = {"api", "context", NULL};

const struct rb_destination_type rb_destination_github_check = {
    .type = "github-check",
    .keys = own_keys,
    .check = check,
    .post = post,
    .judge = rb_githost_judge_github,
    .applies = applies,
    .pace_ms = 1000,
};
