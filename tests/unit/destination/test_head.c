/* The head of a branch or pull request: which host is asked, in its own words. */
#include "forge_world.h"

#define REPOSITORY "octo-org/widgets"

static void each_host_tells_the_head_of_a_branch_in_its_own_words(void **state)
{
    static const struct {
        const char *type, *repository, *line, *answer;
    } cases[] = {
        {"github", REPOSITORY, "GET /api/repos/octo-org/widgets/git/ref/heads/fix/a%20b",
         "{\"ref\":\"refs/heads/fix/a b\",\"object\":{\"type\":\"commit\",\"sha\":\"abc1234\"}}"},
        {"gitea", "o/r", "GET /api/repos/o/r/branches/fix/a%20b",
         "{\"name\":\"fix/a b\",\"commit\":{\"id\":\"abc1234\"}}"},
        {"forgejo", "o/r", "GET /api/repos/o/r/branches/fix/a%20b",
         "{\"name\":\"fix/a b\",\"commit\":{\"id\":\"abc1234\"}}"},
        {"gitlab", "group/sub/p",
         "GET /api/projects/group%2Fsub%2Fp/repository/branches/fix%2Fa%20b",
         "{\"name\":\"fix/a b\",\"commit\":{\"id\":\"abc1234\"}}"},
        {"bitbucket", "ws/r", "GET /api/repositories/ws/r/refs/branches/fix/a%20b",
         "{\"name\":\"fix/a b\",\"target\":{\"hash\":\"abc1234\"}}"},
        {"bitbucket-server", "KEY/r",
         "GET /api/projects/KEY/repos/r/commits?limit=1&until=refs/heads/fix%2Fa%20b",
         "{\"values\":[{\"id\":\"abc1234\"}]}"},
    };
    struct world *w = *state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(cases); i++) {
        const struct rb_head_place place = {.repository = cases[i].repository, .branch = "fix/a b"};
        const char *commit = NULL;
        w->forge.type = cases[i].type;
        script_server_push_json(w->server, 200, "", cases[i].answer);
        assert_int_equal(rb_forge_head(&w->forge, &place, &w->arena, &commit, NULL), RB_OK);
        assert_string_equal(commit, "abc1234");
        const char *raw = script_server_request(w->server, i);
        size_t len = strlen(cases[i].line);
        assert_int_equal(strncmp(raw, cases[i].line, len), 0);
        assert_int_equal(raw[len], ' ');
    }
}

static void a_head_that_the_host_does_not_tell_is_an_error(void **state)
{
    struct world *w = *state;
    const struct rb_head_place branch = {.repository = REPOSITORY, .branch = "main"};
    const struct rb_head_place away = {.repository = REPOSITORY, .branch = "../../user"};
    const struct rb_head_place pull = {.repository = REPOSITORY, .number = 12};
    const char *commit = NULL;
    script_server_push_json(w->server, 404, "", "{\"message\":\"Not Found\"}");
    assert_int_equal(rb_forge_head(&w->forge, &branch, &w->arena, &commit, NULL), RB_E_NOT_FOUND);
    script_server_push_json(w->server, 200, "", "[{\"ref\":\"refs/heads/main2\"}]");
    assert_int_equal(rb_forge_head(&w->forge, &branch, &w->arena, &commit, NULL), RB_E_UNAVAIL);
    assert_int_equal(rb_forge_head(&w->forge, &away, &w->arena, &commit, NULL), RB_E_INVALID);
    assert_null(commit);
    script_server_push_json(w->server, 200, "",
                            "{\"state\":\"open\",\"head\":{\"sha\":\"abc1234\",\"ref\":\"fix\"}}");
    assert_int_equal(rb_forge_head(&w->forge, &pull, &w->arena, &commit, NULL), RB_OK);
    assert_string_equal(commit, "abc1234");
    assert_int_equal(script_server_requests(w->server), 3);
}

/* ---- which of them is asked ---- */

static void the_api_of_the_repositorys_own_host_goes_before_others(void **state)
{
    struct world *w = *state;
    struct rb_api_setting own = {.url = "https://git.example/api/v3"};
    struct rb_api_setting sub = {.url = "https://api.hub.example", .token = w->api.token};
    struct rb_source_setting sources[] = {
        {.name = "a", .type = "github", .api = w->api},
        {.name = "b", .type = "github", .api = own},
        {.name = "c", .type = "github"}, /* has none */
    };
    struct rb_destination_setting destinations[] = {
        {.name = "d", .type = "github-check", .api = sub},
        {.name = "e", .type = "webhook"},
    };
    struct rb_settings s = {.sources = sources,
                            .n_sources = RB_ARRAY_LEN(sources),
                            .destinations = destinations,
                            .n_destinations = RB_ARRAY_LEN(destinations)};
    struct rb_head_place p = {.type = NULL};
    struct rb_build b = RB_BUILD_INIT;
    b.branch = "main";
    b.repository = "https://git.example/o/r";
    assert_true(rb_head_place(&s, &b, &w->arena, &p));
    assert_ptr_equal(p.api, &sources[1].api);
    b.repository = "https://hub.example/o/r";
    assert_true(rb_head_place(&s, &b, &w->arena, &p));
    assert_ptr_equal(p.api, &destinations[0].api);
    assert_string_equal(p.type, "github");
    b.repository = "https://other.example/o/r";
    assert_false(rb_head_place(&s, &b, &w->arena, &p)); /* any of three */
    s.n_sources = 1;
    s.n_destinations = 0;
    assert_true(rb_head_place(&s, &b, &w->arena, &p)); /* the only one: said to be of it */
    assert_string_equal(p.repository, "o/r");
    b.repository = "https://gitlab.com/o/r";
    assert_false(rb_head_place(&s, &b, &w->arena, &p)); /* is no GitHub */
    b.repository = "arn:aws:s3:::bucket/app.zip";
    assert_false(rb_head_place(&s, &b, &w->arena, &p));
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_host_tells_the_head_of_a_branch_in_its_own_words),
        T(a_head_that_the_host_does_not_tell_is_an_error),
        T(the_api_of_the_repositorys_own_host_goes_before_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
