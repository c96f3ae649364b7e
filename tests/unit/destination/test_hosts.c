/* Commit statuses, check runs and comments: what arrives at the hosts, and what they answer. */
#include <stdio.h>
#include <string.h>

#include "told.h"

#define SHA "0123456789abcdef0123456789abcdef01234567"
#define BRIEF "Recovered on retry 1 of 2 (rule provisioning: no capacity)"

static void a_status_is_what_the_host_reads(void **state)
{
    static const struct {
        const char *type, *repository, *line, *header, *credential, *body;
    } rows[] = {
        {"github-status", "https://github.com/acme/web", "POST /repos/acme/web/statuses/" SHA,
         "Authorization", "Bearer canary-token",
         "{\"state\":\"success\",\"target_url\":\"$\",\"description\":\"" BRIEF
         "\",\"context\":\"retrybuild/web-app\"}"},
        {"gitlab-status", "https://gitlab.com/acme/tools/web",
         "POST /projects/acme%2Ftools%2Fweb/statuses/" SHA, "PRIVATE-TOKEN", "canary-token",
         "{\"state\":\"success\",\"target_url\":\"$\",\"description\":\"" BRIEF
         "\",\"name\":\"retrybuild/web-app\",\"ref\":\"main\"}"},
        {"bitbucket-status", "https://bitbucket.org/acme/web",
         "POST /repositories/acme/web/commit/" SHA "/statuses/build", "Authorization",
         "Bearer canary-token",
         "{\"state\":\"SUCCESSFUL\",\"url\":\"$\",\"description\":\"" BRIEF
         "\",\"key\":\"retrybuild/web-app\",\"name\":\"retrybuild/web-app\",\"refname\":\"main\"}"},
        {"bitbucket-server-status", "https://git.corp.example/scm/ACME/web",
         "POST /projects/ACME/repos/web/commits/" SHA "/builds", "Authorization",
         "Bearer canary-token",
         "{\"state\":\"SUCCESSFUL\",\"url\":\"$\",\"description\":\"" BRIEF
         "\",\"key\":\"retrybuild/web-app\",\"name\":\"retrybuild/web-app\","
         "\"ref\":\"refs/heads/main\"}"},
        {"gitea-status", "https://git.corp.example/gitea/acme/web",
         "POST /repos/acme/web/statuses/" SHA, "Authorization", "token canary-token",
         "{\"state\":\"success\",\"target_url\":\"$\",\"description\":\"" BRIEF
         "\",\"context\":\"retrybuild/web-app\"}"},
    };
    struct told *t = *state;

    told_by_api(t, "x");
    for (unsigned i = 0; i < RB_ARRAY_LEN(rows); i++) {
        t->f->destination.type = rows[i].type;
        t->f->retry->build.repository = rows[i].repository;
        assert_true(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED));
        told_answer(t, 201, "", "{}");
        assert_int_equal(told_post(t), RB_POST_DELIVERED);
        told_line(t, i, rows[i].line);
        told_header(t, i, rows[i].header, rows[i].credential);
        told_body(t, i, rows[i].body);
    }
}

static void each_state_is_the_hosts_own_word(void **state)
{
    static const struct {
        enum rb_state state;
        const char *word[5];
    } rows[] = {
        {RB_STATE_HELD, {"pending", "pending", "INPROGRESS", "INPROGRESS", "pending"}},
        {RB_STATE_RUNNING, {"pending", "running", "INPROGRESS", "INPROGRESS", "pending"}},
        {RB_STATE_RECOVERED, {"success", "success", "SUCCESSFUL", "SUCCESSFUL", "success"}},
        {RB_STATE_FAILED_AGAIN, {"failure", "failed", "FAILED", "FAILED", "failure"}},
        {RB_STATE_REFUSED, {"failure", "failed", "FAILED", "FAILED", "failure"}},
        {RB_STATE_CANCELLED, {"error", "canceled", "STOPPED", "CANCELLED", "error"}},
        {RB_STATE_DEAD, {"error", "failed", "FAILED", "UNKNOWN", "error"}},
    };
    static const char *const types[] = {"github-status", "gitlab-status", "bitbucket-status",
                                        "bitbucket-server-status", "gitea-status"};
    struct told *t = *state;
    unsigned n = 0;

    told_by_api(t, "x");
    t->f->retry->build.repository = "https://git.corp.example/acme/web";
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < RB_ARRAY_LEN(types); k++) {
            told_state(t, rows[i].state, "because");
            t->f->destination.type = types[k];
            told_answer(t, 201, "", "{}");
            assert_int_equal(told_post(t), RB_POST_DELIVERED);
            json_t *j = told_json(t, n++);
            assert_string_equal(json_string_value(json_object_get(j, "state")), rows[i].word[k]);
            json_decref(j);
        }
    }
}

static void the_context_is_a_template_or_codebuilds_own(void **state)
{
    static const struct {
        const char *context, *wanted, *batch;
    } rows[] = {
        {NULL, "retrybuild/web-app", NULL},
        {"ci: <project> in <region>", "ci: web-app in us-east-1", NULL},
        {"original", "AWS CodeBuild us-east-1 (web-app)", NULL},
        {"original", "AWS CodeBuild BuildBatch us-east-1 (web-app)",
         "arn:aws:codebuild:us-east-1:123456789012:build-batch/web-app:1"},
    };
    struct told *t = *state;

    told_by_api(t, "github-status");
    for (unsigned i = 0; i < RB_ARRAY_LEN(rows); i++) {
        t->f->destination.context = rows[i].context;
        t->f->retry->build.batch_arn = rows[i].batch;
        told_answer(t, 201, "", "{}");
        assert_int_equal(told_post(t), RB_POST_DELIVERED);
        json_t *j = told_json(t, i);
        assert_string_equal(json_string_value(json_object_get(j, "context")), rows[i].wanted);
        json_decref(j);
    }
}

static void a_host_is_told_of_its_own_repositories_only(void **state)
{
    static const struct {
        const char *type, *repository;
        bool wanted;
    } rows[] = {
        {"github-status", "https://github.com/acme/web", true},
        {"github-status", "https://gitlab.com/acme/web", false},
        {"github-status", "https://github.com/acme", false},
        {"github-status", "https://github.com/acme/web/more", false},
        {"github-status", NULL, false},
        {"gitlab-status", "https://bitbucket.org/acme/web", false},
        {"bitbucket-status", "https://github.com/acme/web", false},
        {"github-status", "https://ghe.corp.example/acme/web", true},
    };
    struct told *t = *state;

    told_by_api(t, "x");
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        t->f->destination.type = rows[i].type;
        t->f->retry->build.repository = rows[i].repository;
        assert_int_equal(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED),
                         rows[i].wanted);
    }
    t->f->destination.api.url = NULL; /* the public host's API is that of the public host alone */
    t->f->destination.type = "github-status";
    assert_false(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED));
}

static void what_codebuild_tells_itself_is_left_to_it(void **state)
{
    struct told *t = *state;

    told_by_api(t, "github-status");
    told_state(t, RB_STATE_DEFERRED, "AWS retries it");
    assert_false(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_REFUSED));
    told_state(t, RB_STATE_SUPERSEDED, "newer");
    assert_true(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_REFUSED));
    t->f->destination.context = "original";
    assert_false(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_REFUSED));
}

static void a_limit_of_github_is_told_from_a_refusal(void **state)
{
    static const struct {
        int status;
        const char *headers, *body;
        enum rb_report_verdict verdict;
        int64_t from_ms, to_ms;
    } rows[] = {
        {403, "", "{\"message\":\"Resource not accessible\"}", RB_POST_DEAD, 0, 0},
        {403, "Retry-After: 90\r\n", "{}", RB_POST_AGAIN, 90000, 90000},
        {403, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: %lld\r\n", "{}", RB_POST_AGAIN,
         300000, 302000},
        {403, "", "{\"message\":\"You have exceeded a secondary rate limit\"}", RB_POST_AGAIN,
         60000, 60000},
        {429, "", "{}", RB_POST_AGAIN, 60000, 60000},
        {201, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: %lld\r\n", "{}", RB_POST_DELIVERED,
         300000, 302000},
        {201, "x-ratelimit-remaining: 1\r\nx-ratelimit-reset: %lld\r\n", "{}", RB_POST_DELIVERED, 0,
         0},
        {422, "", "{}", RB_POST_DEAD, 0, 0},
    };
    struct told *t = *state;

    told_by_api(t, "github-status");
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        char headers[200];
        const char *at = strstr(rows[i].headers, "%lld");
        if (at == NULL) {
            snprintf(headers, sizeof(headers), "%s", rows[i].headers);
        } else {
            snprintf(headers, sizeof(headers), "%.*s%lld\r\n", (int)(at - rows[i].headers),
                     rows[i].headers, (long long)(FIXTURE_NOW_MS / 1000 + 300));
        }
        told_answer(t, rows[i].status, headers, rows[i].body);
        assert_int_equal(told_post(t), rows[i].verdict);
        assert_in_range(t->result.pause_ms, rows[i].from_ms, rows[i].to_ms);
    }
}

static void gitlabs_refusal_of_a_repeated_state_is_done(void **state)
{
    struct told *t = *state;

    told_by_api(t, "gitlab-status");
    t->f->retry->build.repository = "https://gitlab.com/acme/web";
    told_answer(
        t, 400, "",
        "{\"message\":\"Cannot transition status via :run from :running (Reason(s): ...)\"}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_answer(t, 400, "", "{\"message\":\"name is too long\"}");
    assert_int_equal(told_post(t), RB_POST_DEAD);
}

static void a_long_key_of_bitbucket_stays_within_40(void **state)
{
    struct told *t = *state;
    char keys[2][64];

    told_by_api(t, "bitbucket-status");
    t->f->retry->build.repository = "https://bitbucket.org/acme/web";
    for (unsigned i = 0; i < 2; i++) {
        t->f->destination.context = i == 0
                                        ? "a name that is much too long for a key of Bitbucket 1"
                                        : "a name that is much too long for a key of Bitbucket 2";
        told_answer(t, 201, "", "{}");
        assert_int_equal(told_post(t), RB_POST_DELIVERED);
        json_t *j = told_json(t, i);
        snprintf(keys[i], sizeof(keys[i]), "%s", json_string_value(json_object_get(j, "key")));
        json_decref(j);
        assert_in_range(strlen(keys[i]), 1, 42); /* one character of them is "…" */
    }
    assert_string_not_equal(keys[0], keys[1]);
}

static void a_check_run_is_made_and_then_changed(void **state)
{
    struct told *t = *state;

    told_by_api(t, "github-check");
    told_state(t, RB_STATE_RUNNING, NULL);
    told_answer(t, 201, "", "{\"id\":4711}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 0, "POST /repos/acme/web/check-runs");
    json_t *first = told_json(t, 0);
    assert_string_equal(json_string_value(json_object_get(first, "head_sha")), SHA);
    assert_string_equal(json_string_value(json_object_get(first, "status")), "in_progress");
    assert_null(json_object_get(first, "conclusion"));
    json_decref(first);
    told_state(t, RB_STATE_FAILED_AGAIN, "it failed; no further attempt");
    told_answer(t, 200, "", "{\"id\":4711}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 1, "PATCH /repos/acme/web/check-runs/4711");
    json_t *then = told_json(t, 1);
    assert_string_equal(json_string_value(json_object_get(then, "conclusion")), "failure");
    json_t *button = json_array_get(json_object_get(then, "actions"), 0);
    assert_string_equal(json_string_value(json_object_get(button, "identifier")),
                        "retrybuild_retry");
    assert_string_equal(json_string_value(json_object_get(then, "external_id")),
                        t->f->retry->child.id);
    json_decref(then);
    told_state(t, RB_STATE_HELD, "asked");
    told_answer(t, 404, "", "{}"); /* it is no longer there */
    told_answer(t, 201, "", "{\"id\":4712}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    json_t *held = told_json(t, 3);
    assert_string_equal(json_string_value(json_object_get(held, "conclusion")), "action_required");
    assert_int_equal(json_array_size(json_object_get(held, "actions")), 2);
    assert_string_equal(json_string_value(json_object_get(held, "external_id")), t->f->retry->id);
    assert_string_equal(t->result.receipt, "4712");
    json_decref(held);
}

static const char *comment_of(struct told *t, unsigned n, json_t **ret_j)
{
    *ret_j = told_json(t, n);
    return json_string_value(json_object_get(*ret_j, "body"));
}

static void one_comment_a_chain_is_edited_and_folds_its_attempts(void **state)
{
    struct told *t = *state;
    json_t *j = NULL;

    told_by_api(t, "github-comment");
    told_state(t, RB_STATE_FAILED_AGAIN, "x; rty_01JD3V5T9QK8YB6W2E4R7XCZ5N by rule 'r'");
    told_answer(t, 200, "", "[{\"id\":1,\"body\":\"by somebody else\"}]");
    told_answer(t, 201, "", "{\"id\":99}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    const char *get = "GET /repos/acme/web/issues/12/comments?per_page=100&since=";
    assert_ptr_equal(strstr(script_server_request(t->server, 0), get),
                     script_server_request(t->server, 0));
    told_line(t, 1, "POST /repos/acme/web/issues/12/comments");
    t->f->retry->attempt = 2;
    told_state(t, RB_STATE_RECOVERED, NULL);
    told_answer(t, 200, "", "{\"id\":99}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 2, "PATCH /repos/acme/web/issues/comments/99");
    const char *body = comment_of(t, 2, &j);
    assert_non_null(strstr(body, "| 1 of 2 | failed again | 31 | 32 |\n"
                                 "| 2 of 2 | recovered | 31 | 32 |\n"));
    assert_non_null(strstr(body, "<details>"));
    json_decref(j);
}

static void a_comment_whose_receipt_was_lost_is_found_by_its_mark(void **state)
{
    struct told *t = *state;
    char list[512];
    json_t *j = NULL;

    told_by_api(t, "gitlab-comment");
    t->f->retry->build.repository = "https://gitlab.com/acme/web";
    t->f->retry->attempt = 2;
    snprintf(list, sizeof(list),
             "[{\"id\":7,\"body\":\"<!-- retrybuild hook %s 1,2,failed_again,30,31; -->\\nold\"}]",
             t->f->retry->chain);
    told_answer(t, 200, "", list);
    told_answer(t, 200, "", "{\"id\":7}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_line(t, 1, "PUT /projects/acme%2Fweb/merge_requests/12/notes/7");
    const char *body = comment_of(t, 1, &j);
    assert_non_null(strstr(body, "| 1 of 2 | failed again | 30 | 31 |\n| 2 of 2 | recovered |"));
    json_decref(j);
}

static void a_comment_that_was_deleted_is_written_anew(void **state)
{
    struct told *t = *state;

    told_by_api(t, "github-comment");
    memcpy(t->result.receipt, "12/99 1,2,running,31,;", 23);
    told_answer(t, 404, "", "{}");
    told_answer(t, 201, "", "{\"id\":100}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    assert_ptr_equal(strstr(t->result.receipt, "12/100 1,2,recovered,31,32;"), t->result.receipt);
}

static void no_comment_without_a_pull_request(void **state)
{
    struct told *t = *state;

    told_by_api(t, "github-comment");
    assert_true(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED));
    t->f->retry->build.pull_request = "12/../1";
    assert_false(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED));
    t->f->retry->build.pull_request = t->f->retry->build.resolved_version = NULL;
    assert_true(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED));
    t->f->retry->build.branch = NULL;
    assert_false(rb_destination_wants(&t->f->destination, t->f->retry, RB_STAGE_FINISHED));
}

static void the_request_of_a_commit_or_a_branch_is_asked_for_once(void **state)
{
    static const struct {
        const char *type, *repository, *commit, *ask, *answer, *look, *make, *edit;
    } rows[] = {
        {"gitlab-comment", "https://gitlab.com/acme/web", SHA,
         "GET /projects/acme%2Fweb/repository/commits/" SHA "/merge_requests?per_page=100",
         "[{\"iid\":4,\"state\":\"closed\",\"source_branch\":\"main\"},"
         "{\"iid\":5,\"state\":\"opened\",\"source_branch\":\"other\"},"
         "{\"iid\":6,\"state\":\"opened\",\"source_branch\":\"main\"}]",
         "GET /projects/acme%2Fweb/merge_requests/6/notes?per_page=100&sort=desc"
         "&order_by=created_at",
         "POST /projects/acme%2Fweb/merge_requests/6/notes",
         "PUT /projects/acme%2Fweb/merge_requests/6/notes/9"},
        {"gitlab-comment", "https://gitlab.com/acme/web", NULL,
         "GET /projects/acme%2Fweb/merge_requests?state=opened&per_page=100&source_branch=main",
         "[{\"iid\":6,\"state\":\"opened\",\"source_branch\":\"main\"}]",
         "GET /projects/acme%2Fweb/merge_requests/6/notes?per_page=100&sort=desc"
         "&order_by=created_at",
         "POST /projects/acme%2Fweb/merge_requests/6/notes",
         "PUT /projects/acme%2Fweb/merge_requests/6/notes/9"},
        {"github-comment", "https://github.com/acme/web", SHA,
         "GET /repos/acme/web/commits/" SHA "/pulls?per_page=100",
         "[{\"number\":4,\"state\":\"closed\",\"head\":{\"ref\":\"main\"}},"
         "{\"number\":6,\"state\":\"open\",\"head\":{\"ref\":\"fix\"}}]",
         NULL, "POST /repos/acme/web/issues/6/comments", "PATCH /repos/acme/web/issues/comments/9"},
        {"github-comment", "https://github.com/acme/web", NULL,
         "GET /repos/acme/web/pulls?state=open&per_page=100&head=acme:main",
         "[{\"number\":6,\"state\":\"open\",\"head\":{\"ref\":\"main\"}}]", NULL,
         "POST /repos/acme/web/issues/6/comments", "PATCH /repos/acme/web/issues/comments/9"},
    };
    struct told *t = *state;
    unsigned n = 0;

    told_by_api(t, "x");
    t->f->retry->build.pull_request = NULL;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++, n += 4) {
        t->result.receipt[0] = '\0';
        t->f->destination.type = rows[i].type;
        t->f->retry->build.repository = rows[i].repository;
        t->f->retry->build.resolved_version = rows[i].commit;
        told_answer(t, 200, "", rows[i].answer);
        told_answer(t, 200, "", "[]");
        told_answer(t, 201, "", "{\"id\":9}");
        assert_int_equal(told_post(t), RB_POST_DELIVERED);
        told_line(t, n, rows[i].ask);
        if (rows[i].look != NULL) {
            told_line(t, n + 1, rows[i].look);
        }
        told_line(t, n + 2, rows[i].make);
        told_answer(t, 200, "", "{\"id\":9}");
        assert_int_equal(told_post(t), RB_POST_DELIVERED);
        told_line(t, n + 3, rows[i].edit);
    }
}

static void a_build_that_belongs_to_no_request_is_told_to_nobody(void **state)
{
    struct told *t = *state;

    told_by_api(t, "github-comment");
    t->f->retry->build.pull_request = NULL;
    told_answer(t, 200, "", "[]");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    told_answer(t, 422, "", "{\"message\":\"No commit found for SHA\"}");
    assert_int_equal(told_post(t), RB_POST_DELIVERED);
    assert_int_equal(script_server_requests(t->server), 2);
    assert_string_equal(t->result.receipt, "");
    told_answer(t, 403, "", "{\"message\":\"Resource not accessible\"}");
    assert_int_equal(told_post(t), RB_POST_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD_TEST(a_status_is_what_the_host_reads),
        TOLD_TEST(each_state_is_the_hosts_own_word),
        TOLD_TEST(the_context_is_a_template_or_codebuilds_own),
        TOLD_TEST(a_host_is_told_of_its_own_repositories_only),
        TOLD_TEST(what_codebuild_tells_itself_is_left_to_it),
        TOLD_TEST(a_limit_of_github_is_told_from_a_refusal),
        TOLD_TEST(gitlabs_refusal_of_a_repeated_state_is_done),
        TOLD_TEST(a_long_key_of_bitbucket_stays_within_40),
        TOLD_TEST(a_check_run_is_made_and_then_changed),
        TOLD_TEST(one_comment_a_chain_is_edited_and_folds_its_attempts),
        TOLD_TEST(a_comment_whose_receipt_was_lost_is_found_by_its_mark),
        TOLD_TEST(a_comment_that_was_deleted_is_written_anew),
        TOLD_TEST(no_comment_without_a_pull_request),
        TOLD_TEST(the_request_of_a_commit_or_a_branch_is_asked_for_once),
        TOLD_TEST(a_build_that_belongs_to_no_request_is_told_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
