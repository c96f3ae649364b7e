/* What a person may do at a git host by a group, and who is in one. */
#include "forge_world.h"

static enum rb_permission permission(struct world *w, const char *type)
{
    enum rb_permission p = RB_PERMISSION_NONE;
    struct rb_err err = {.code = RB_OK};
    w->forge.type = type;
    if (rb_forge_permission(&w->forge, "KEY/r", "{42}", "al", &p, &err) != RB_OK) {
        fail_msg("%s: %s", type, err.msg);
    }
    return p;
}

#define NOBODY "{\"values\":[]}"
#define ALICE "{\"values\":[{\"name\":\"alice\"},{\"name\":\"AL\"}]}"

static void at_bitbucket_groups_count_too(void **state)
{
    struct world *w = *state;
    script_server_push_json(w->server, 404, "", "{}");
    script_server_push_json(w->server, 200, "",
                            "{\"values\":[{\"permission\":\"admin\",\"user\":{\"uuid\":\"{41}\"}},"
                            "{\"permission\":\"write\",\"user\":{\"uuid\":\"{42}\"}}]}");
    assert_int_equal(permission(w, "bitbucket"), RB_PERMISSION_WRITE);
    need_request(w, 1,
                 "GET /api/workspaces/KEY/permissions/repositories/r?pagelen=100&"
                 "q=user.uuid%3D%22%7B42%7D%22",
                 "Bearer " TOKEN);
    script_server_push_json(w->server, 200, "", NOBODY);
    script_server_push_json(w->server, 200, "", NOBODY);
    script_server_push_json(w->server, 200, "", ALICE);
    assert_int_equal(permission(w, "bitbucket-server"), RB_PERMISSION_WRITE);
    need_request(w, 4,
                 "GET /api/users?limit=1000&filter=al&permission.1=REPO_WRITE&"
                 "permission.1.projectKey=KEY&permission.1.repositorySlug=r",
                 "Bearer " TOKEN);
}

static void a_name_that_holds_the_users_is_not_the_user(void **state)
{
    struct world *w = *state;
    script_server_push_json(
        w->server, 200, "",
        "{\"values\":[{\"user\":{\"name\":\"alice\"},\"permission\":\"REPO_ADMIN\"}]}");
    for (int i = 0; i < 3; i++) {
        script_server_push_json(w->server, 200, "", "{\"values\":[{\"name\":\"alice\"}]}");
    }
    assert_int_equal(permission(w, "bitbucket-server"), RB_PERMISSION_NONE);
    script_server_push_json(w->server, 200, "", "{\"permission\":\"none\"}");
    script_server_push_json(w->server, 200, "", NOBODY);
    assert_int_equal(permission(w, "bitbucket"), RB_PERMISSION_NONE);
}

static void what_is_known_counts_where_groups_are_not_told(void **state)
{
    struct world *w = *state;
    script_server_push_json(w->server, 200, "", "{\"permission\":\"write\"}");
    script_server_push_json(w->server, 403, "", "{}");
    assert_int_equal(permission(w, "bitbucket"), RB_PERMISSION_WRITE);
}

static void each_host_tells_who_is_in_a_group(void **state)
{
    static const struct {
        const char *type, *group, *asked;
        int status;
        const char *answer;
        bool member;
    } rows[] = {
        {"github", "org/team", "GET /api/orgs/org/teams/team/memberships/al", 200,
         "{\"state\":\"active\"}", true},
        {"github", "org/team", "GET /api/orgs/org/teams/team/memberships/al", 200,
         "{\"state\":\"pending\"}", false},
        {"github", "org/team", "GET /api/orgs/org/teams/team/memberships/al", 404, "{}", false},
        {"gitlab", "g/sub", "GET /api/groups/g%2Fsub/members/all/42", 200,
         "{\"state\":\"active\",\"access_level\":30}", true},
        {"gitea", "7", "GET /api/teams/7/members/al", 200, "{\"login\":\"al\"}", true},
        {"bitbucket-server", "dev ops", "GET /api/users?limit=1000&filter=al&group=dev%20ops", 200,
         ALICE, true},
        {"bitbucket-server", "ops", "GET /api/users?limit=1000&filter=al&group=ops", 200,
         "{\"values\":[{\"name\":\"alice\"}]}", false},
    };
    struct world *w = *state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(rows); i++) {
        bool member = !rows[i].member;
        w->forge.type = rows[i].type;
        script_server_push_json(w->server, rows[i].status, "", rows[i].answer);
        assert_int_equal(rb_forge_member(&w->forge, rows[i].group, "42", "al", &member, NULL),
                         RB_OK);
        assert_int_equal(member, rows[i].member);
        need_request(w, i, rows[i].asked, NULL);
    }
    bool member = false;
    w->forge.type = "bitbucket";
    assert_int_equal(rb_forge_member(&w->forge, "devs", "42", "al", &member, NULL), RB_E_INVALID);
    w->forge.type = "github";
    assert_int_equal(rb_forge_member(&w->forge, "org", "42", "al", &member, NULL), RB_E_INVALID);
    assert_int_equal(rb_forge_member(&w->forge, "../x", "42", "al", &member, NULL), RB_E_INVALID);
    assert_false(member);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(at_bitbucket_groups_count_too),
        T(a_name_that_holds_the_users_is_not_the_user),
        T(what_is_known_counts_where_groups_are_not_told),
        T(each_host_tells_who_is_in_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
