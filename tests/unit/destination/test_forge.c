/* The git hosts' APIs: what is asked, with which proof, and what an answer means. */
#include <pthread.h>

#include "forge_world.h"

#define REPOSITORY "octo-org/widgets"

static const char *vectors;

static const struct host {
    const char *type, *repository;
    const char *permission, *proof, *answer;
    enum rb_permission means;
    const char *pull, *pull_answer;
} hosts[] = {
    {"github", REPOSITORY, "GET /api/repos/octo-org/widgets/collaborators/al%20ice/permission",
     "Authorization: Bearer " TOKEN, "{\"permission\":\"write\",\"role_name\":\"maintain\"}",
     RB_PERMISSION_WRITE, "GET /api/repos/octo-org/widgets/pulls/12",
     "{\"state\":\"open\",\"head\":{\"sha\":\"abc1234\",\"ref\":\"fix\"}}"},
    {"gitea", "o/r", "GET /api/repos/o/r/collaborators/al%20ice/permission",
     "Authorization: token " TOKEN, "{\"permission\":\"owner\"}", RB_PERMISSION_ADMIN,
     "GET /api/repos/o/r/pulls/12",
     "{\"state\":\"open\",\"head\":{\"sha\":\"abc1234\",\"ref\":\"fix\"}}"},
    {"forgejo", "o/r", "GET /api/repos/o/r/collaborators/al%20ice/permission",
     "Authorization: token " TOKEN, "{\"permission\":\"read\"}", RB_PERMISSION_READ,
     "GET /api/repos/o/r/pulls/12",
     "{\"state\":\"open\",\"head\":{\"sha\":\"abc1234\",\"ref\":\"fix\"}}"},
    {"gitlab", "group/sub/p", "GET /api/projects/group%2Fsub%2Fp/members/all/42",
     "PRIVATE-TOKEN: " TOKEN, "{\"id\":42,\"access_level\":30}", RB_PERMISSION_WRITE,
     "GET /api/projects/group%2Fsub%2Fp/merge_requests/12",
     "{\"state\":\"opened\",\"sha\":\"abc1234\",\"source_branch\":\"fix\"}"},
    {"bitbucket", "ws/r", "GET /api/repositories/ws/r/permissions-config/users/42",
     "Authorization: Bearer " TOKEN, "{\"permission\":\"admin\"}", RB_PERMISSION_ADMIN,
     "GET /api/repositories/ws/r/pullrequests/12",
     "{\"state\":\"OPEN\",\"source\":{\"commit\":{\"hash\":\"abc1234\"},\"branch\":{\"name\":"
     "\"fix\"}}}"},
    {"bitbucket-server", "KEY/r", "GET /api/projects/KEY/repos/r/permissions/users?filter=al%20ice",
     "Authorization: Bearer " TOKEN,
     "{\"values\":[{\"user\":{\"name\":\"al ice\"},\"permission\":\"REPO_ADMIN\"}]}",
     RB_PERMISSION_ADMIN, "GET /api/projects/KEY/repos/r/pull-requests/12",
     "{\"state\":\"OPEN\",\"fromRef\":{\"latestCommit\":\"abc1234\",\"displayId\":\"fix\"}}"},
};

static void each_host_tells_permission_and_head_in_its_own_words(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(hosts); i++) {
        const struct host *h = &hosts[i];
        enum rb_permission p = RB_PERMISSION_NONE;
        struct rb_forge_pull pull = {.commit = NULL};
        w->forge.type = h->type;
        script_server_push_json(w->server, 200, "", h->answer);
        assert_int_equal(rb_forge_permission(&w->forge, h->repository, "42", "al ice", &p, NULL),
                         RB_OK);
        assert_int_equal(p, h->means);
        need_request(w, 2 * i, h->permission, h->proof);
        script_server_push_json(w->server, 200, "", h->pull_answer);
        assert_int_equal(rb_forge_pull(&w->forge, h->repository, 12, &w->arena, &pull, NULL),
                         RB_OK);
        assert_string_equal(pull.commit, "abc1234");
        assert_string_equal(pull.branch, "fix");
        assert_true(pull.open);
        need_request(w, 2 * i + 1, h->pull, h->proof);
    }
}

static void who_is_not_known_has_no_permission(void **state)
{
    struct world *w = *state;
    enum rb_permission p = RB_PERMISSION_ADMIN;
    script_server_push_json(w->server, 404, "", "{\"message\":\"Not Found\"}");
    assert_int_equal(rb_forge_permission(&w->forge, REPOSITORY, "1", "bob", &p, NULL), RB_OK);
    assert_int_equal(p, RB_PERMISSION_NONE);
}

static void an_answer_is_judged_by_what_it_says(void **state)
{
    static const struct {
        int status;
        const char *headers, *body;
        enum rb_code rc;
    } cases[] = {
        {401, "", "{}", RB_E_CREDENTIALS},
        {403, "", "{\"message\":\"Resource not accessible\"}", RB_E_DENIED},
        {403, "X-RateLimit-Remaining: 0\r\n", "{}", RB_E_THROTTLED},
        {403, "Retry-After: 5\r\n", "{}", RB_E_THROTTLED},
        {403, "", "{\"message\":\"You have exceeded a secondary rate limit\"}", RB_E_THROTTLED},
        {429, "", "Retry later", RB_E_THROTTLED},
        {500, "", "<html>", RB_E_UNAVAIL},
        {503, "", "", RB_E_UNAVAIL},
        {422, "", "{}", RB_E_REFUSED},
        {200, "", "<html>hello</html>", RB_E_UNAVAIL},
        {200, "", "{\"permission\":7.5}", RB_E_UNAVAIL},
        {200, "", "{\"permission\":\"emperor\"}", RB_E_UNAVAIL},
        {302, "Location: http://127.0.0.1:1/\r\n", "", RB_E_REFUSED},
    };
    struct world *w = *state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(cases); i++) {
        struct rb_err err = {.code = RB_OK};
        enum rb_permission p = RB_PERMISSION_NONE;
        script_server_push_json(w->server, cases[i].status, cases[i].headers, cases[i].body);
        enum rb_code rc = rb_forge_permission(&w->forge, REPOSITORY, "1", "bob", &p, &err);
        if (rc != cases[i].rc) {
            fail_msg("%d %s%s gives %s: %s", cases[i].status, cases[i].headers, cases[i].body,
                     rb_code_name(rc), err.msg);
        }
        assert_int_equal(p, RB_PERMISSION_NONE);
        assert_null(strstr(err.msg, "canary"));
        assert_null(strstr(err.msg, "/repos"));
    }
}

static void names_from_outside_lead_nowhere_else(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"../admin", "..", ".", "", "a/../../b"};
    enum rb_permission p = RB_PERMISSION_NONE;
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        assert_int_equal(rb_forge_permission(&w->forge, bad[i], "1", "bob", &p, NULL),
                         RB_E_INVALID);
        assert_int_equal(rb_forge_permission(&w->forge, REPOSITORY, bad[i], bad[i], &p, NULL),
                         RB_E_INVALID);
    }
    assert_int_equal(script_server_requests(w->server), 0);
    script_server_push_json(w->server, 200, "", "{\"permission\":\"none\"}");
    assert_int_equal(rb_forge_permission(&w->forge, REPOSITORY, "1", "a?b#c/d", &p, NULL), RB_OK);
    need_request(w, 0, "GET /api/repos/octo-org/widgets/collaborators/a%3Fb%23c%2Fd/permission",
                 NULL);
}

static void push_statuses(struct world *w, unsigned n, const char *last)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(1024 * 1024);
    rb_buf_adds(&b, "{\"statuses\":[");
    for (unsigned i = 0; i < n; i++) {
        rb_buf_addf(&b, "%s{\"state\":\"success\",\"context\":\"c%u\",\"target_url\":null}",
                    i == 0 ? "" : ",", i);
    }
    rb_buf_addf(&b, "%s%s]}", n > 0 && last[0] != '\0' ? "," : "", last);
    script_server_push_json(w->server, 200, "", rb_buf_str(&b));
}

static void failed_statuses_of_all_pages_are_found(void **state)
{
    struct world *w = *state;
    struct rb_forge_status *s = NULL;
    unsigned n = 0;
    push_statuses(w, 99, "{\"state\":\"error\",\"context\":\"one\",\"target_url\":\"https://x\"}");
    push_statuses(w, 3, "{\"state\":\"failure\",\"context\":\"two\",\"target_url\":null}");
    assert_int_equal(rb_forge_failed(&w->forge, REPOSITORY, "abc1234", &w->arena, &s, &n, NULL),
                     RB_OK);
    assert_int_equal(n, 2);
    assert_string_equal(s[0].context, "one");
    assert_string_equal(s[0].link, "https://x");
    assert_string_equal(s[1].context, "two");
    assert_null(s[1].link);
    need_request(w, 0, "GET /api/repos/octo-org/widgets/commits/abc1234/status?per_page=100&page=1",
                 NULL);
    need_request(w, 1, "GET /api/repos/octo-org/widgets/commits/abc1234/status?per_page=100&page=2",
                 NULL);
}

static void of_gitlabs_statuses_the_newest_of_a_name_counts(void **state)
{
    struct world *w = *state;
    struct rb_forge_status *s = NULL;
    unsigned n = 0;
    w->forge.type = "gitlab";
    script_server_push_json(
        w->server, 200, "",
        "[{\"id\":9,\"name\":\"a\",\"status\":\"success\"},{\"id\":7,\"name\":\"a\",\"status\":"
        "\"failed\"},{\"id\":3,\"name\":\"b\",\"status\":\"running\"},{\"id\":8,\"name\":\"b\","
        "\"status\":\"failed\",\"target_url\":\"https://y\"}]");
    assert_int_equal(rb_forge_failed(&w->forge, "5", "abc1234", &w->arena, &s, &n, NULL), RB_OK);
    assert_int_equal(n, 1);
    assert_string_equal(s[0].context, "b");
    assert_string_equal(s[0].link, "https://y");
}

static void a_reaction_goes_where_the_comment_is(void **state)
{
    struct world *w = *state;
    script_server_push_json(w->server, 201, "", "{\"id\":1}");
    assert_int_equal(rb_forge_react(&w->forge, REPOSITORY, "issues/comments", "777", "eyes", NULL),
                     RB_OK);
    need_request(w, 0, "POST /api/repos/octo-org/widgets/issues/comments/777/reactions",
                 "Bearer " TOKEN);
    assert_string_equal(script_server_body(w->server, 0), "{\"content\":\"eyes\"}");
    w->forge.type = "gitlab";
    script_server_push_json(w->server, 404, "", "{\"message\":\"404 Award Emoji Name has taken\"}");
    assert_int_equal(rb_forge_react(&w->forge, "5", "merge_requests/12/notes", "8", "rocket", NULL),
                     RB_OK);
    need_request(w, 1, "POST /api/projects/5/merge_requests/12/notes/8/award_emoji", NULL);
    w->forge.type = "bitbucket";
    assert_int_equal(rb_forge_react(&w->forge, "ws/r", "comments", "8", "rocket", NULL), RB_OK);
    assert_int_equal(script_server_requests(w->server), 2);
}

/* ---- apps ---- */

static void become_app(struct world *w, const char *installation)
{
    json_error_t why;
    RB_CLEANUP(rb_json_decrefp) json_t *v = json_load_file(vectors, 0, &why);
    assert_non_null(v);
    const char *pem = json_string_value(json_object_get(v, "private_key_pem"));
    w->api.app_id = "99";
    w->api.app_key = rb_secret_new(pem, strlen(pem));
    w->api.app_installation = installation;
}

static void push_token(struct world *w, const char *token, const char *until)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(65536);
    rb_buf_addf(&b, "{\"token\":\"%s\",\"expires_at\":\"%s\"}", token, until);
    script_server_push_json(w->server, 201, "", rb_buf_str(&b));
}

static enum rb_code ask(struct world *w)
{
    enum rb_permission p = RB_PERMISSION_NONE;
    script_server_push_json(w->server, 200, "", "{\"permission\":\"write\"}");
    return rb_forge_permission(&w->forge, REPOSITORY, "1", "bob", &p, NULL);
}

static void an_app_fetches_its_token_once_for_all_of_an_owners_repositories(void **state)
{
    struct world *w = *state;
    char token[2001];
    char proof[2100];
    memset(token, 't', 2000); /* of any length */
    token[2000] = '\0';
    become_app(w, NULL);
    script_server_push_json(w->server, 200, "", "{\"id\":1234}");
    push_token(w, token, "2099-01-01T00:00:00Z");
    assert_int_equal(ask(w), RB_OK);
    assert_int_equal(ask(w), RB_OK);
    (void)snprintf(proof, sizeof(proof), "Authorization: Bearer %s\r\n", token);
    need_request(w, 0, "GET /api/repos/octo-org/widgets/installation", "Bearer ey");
    need_request(w, 1, "POST /api/app/installations/1234/access_tokens", "Bearer ey");
    need_request(w, 2, "GET /api/repos/octo-org/widgets/collaborators/bob/permission", proof);
    need_request(w, 3, "GET /api/repos/octo-org/widgets/collaborators/bob/permission", proof);
    assert_int_equal(script_server_requests(w->server), 4);
}

static void a_token_that_is_about_to_expire_is_fetched_anew(void **state)
{
    struct world *w = *state;
    become_app(w, "77");
    push_token(w, "old", "2020-01-01T00:00:00Z");
    assert_int_equal(ask(w), RB_OK);
    push_token(w, "new", "2099-01-01T00:00:00Z");
    assert_int_equal(ask(w), RB_OK);
    need_request(w, 2, "POST /api/app/installations/77/access_tokens", NULL);
    need_request(w, 3, "GET /api/repos/octo-org/widgets/collaborators/bob/permission",
                 "Bearer new");
}

static void a_token_that_the_host_does_not_accept_is_fetched_anew_once(void **state)
{
    struct world *w = *state;
    enum rb_permission p = RB_PERMISSION_NONE;
    become_app(w, "77");
    push_token(w, "revoked", "2099-01-01T00:00:00Z");
    script_server_push_json(w->server, 401, "", "{}");
    push_token(w, "fresh", "2099-01-01T00:00:00Z");
    assert_int_equal(ask(w), RB_OK);
    need_request(w, 3, "GET /api/repos/octo-org/widgets/collaborators/bob/permission",
                 "Bearer fresh");
    script_server_push_json(w->server, 401, "", "{}");
    push_token(w, "fresher", "2099-01-01T00:00:00Z");
    script_server_push_json(w->server, 401, "", "{}");
    assert_int_equal(rb_forge_permission(&w->forge, REPOSITORY, "1", "bob", &p, NULL),
                     RB_E_CREDENTIALS);
    assert_int_equal(script_server_requests(w->server), 7);
}

static void an_app_without_a_key_or_with_a_wrong_one_says_so(void **state)
{
    struct world *w = *state;
    enum rb_permission p = RB_PERMISSION_NONE;
    w->api.app_id = "99";
    assert_int_equal(rb_forge_permission(&w->forge, REPOSITORY, "1", "bob", &p, NULL),
                     RB_E_INVALID);
    w->api.app_key = rb_secret_new("x", 1);
    assert_int_equal(rb_forge_permission(&w->forge, REPOSITORY, "1", "bob", &p, NULL),
                     RB_E_INVALID);
    assert_int_equal(script_server_requests(w->server), 0);
}

struct asker {
    struct world *w;
    struct rb_forge forge;
    enum rb_code rc;
};

static void *ask_in_thread(void *arg)
{
    struct asker *k = arg;
    struct rb_arena a;
    const char *header = NULL;
    rb_arena_init(&a, 65536);
    k->rc = rb_forge_authorization(&k->forge, REPOSITORY, &a, &header, NULL);
    if (k->rc == RB_OK && !rb_str_eq(header, "Authorization: Bearer shared")) {
        k->rc = RB_E_INTERNAL;
    }
    rb_arena_release(&a);
    return NULL;
}

static void threads_that_need_a_token_at_once_share_one_call(void **state)
{
    struct world *w = *state;
    struct asker askers[6];
    pthread_t threads[RB_ARRAY_LEN(askers)];
    become_app(w, "77");
    push_token(w, "shared", "2099-01-01T00:00:00Z");
    for (size_t i = 0; i < RB_ARRAY_LEN(askers); i++) {
        askers[i] = (struct asker){.w = w, .forge = w->forge, .rc = RB_E_INTERNAL};
        assert_int_equal(rb_httpc_new(&w->settings, &askers[i].forge.http, NULL), RB_OK);
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_thread, &askers[i]), 0);
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(askers); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].rc, RB_OK);
        rb_httpc_free(askers[i].forge.http);
    }
    assert_int_equal(script_server_requests(w->server), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(each_host_tells_permission_and_head_in_its_own_words),
        T(who_is_not_known_has_no_permission),
        T(an_answer_is_judged_by_what_it_says),
        T(names_from_outside_lead_nowhere_else),
        T(failed_statuses_of_all_pages_are_found),
        T(of_gitlabs_statuses_the_newest_of_a_name_counts),
        T(a_reaction_goes_where_the_comment_is),
        T(an_app_fetches_its_token_once_for_all_of_an_owners_repositories),
        T(a_token_that_is_about_to_expire_is_fetched_anew),
        T(a_token_that_the_host_does_not_accept_is_fetched_anew_once),
        T(an_app_without_a_key_or_with_a_wrong_one_says_so),
        T(threads_that_need_a_token_at_once_share_one_call),
    };
    vectors = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
