/* Right before the call the git host is asked whether the head moved: what is asked, what of it
 * ends a retry, and that nothing else does. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
#define MOVED "ddddddd0000000000000000000000000000000000"

static char id[RB_ID_BYTES];

static const char hosts[] =
    "  - {name: hook, type: webhook, url: 'https://example.com/x'}\n"
    "  - {name: hub, type: github-status, api: {token: t}}\n"
    "  - {name: lab, type: gitlab-status, api: {token: t, url: 'https://lab.example/api/v4'}}\n"
    "  - {name: tea, type: gitea-status, api: {token: t, url: 'https://tea.example/api/v1'}}\n"
    "  - {name: bucket, type: bitbucket-status, api: {token: t}}\n"
    "  - {name: center, type: bitbucket-server-status,"
    " api: {token: t, url: 'https://center.example/rest/api/1.0'}}\n";

static int setup_with(void **state, const char *destinations)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->destinations = destinations;
    world_prepare(w);
    world_open(w);
    w->now_ms += 60000;
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, hosts);
}

static int setup_stale(void **state)
{
    static char text[sizeof(hosts) + 32];
    (void)snprintf(text, sizeof(text), "%sstale: retry\n", hosts);
    return setup_with(state, text);
}

static struct world_build *failed(struct world *w, const char *version)
{
    struct world_build *b = world_failed(w, "web", version);
    b->b.resolved_version = COMMIT;
    b->b.repository = "https://github.com/acme/web";
    return b;
}

static void deliver(struct world *w, const struct world_build *b)
{
    struct world_build named = *b;
    struct rb_arena a;
    rb_arena_init(&a, 4096);
    rb_build_derive(&named.b, &a); /* as every source does */
    assert_int_equal(world_deliver(w, &named, b->id, id), RB_ADMIT_NEW);
    rb_arena_release(&a);
}

/* submit - the failure of @b, up to what its first submit comes to. */
static void submit(struct world *w, const struct world_build *b)
{
    deliver(w, b);
    world_work(w, &w->submit, 1000);
}

static void a_retry_whose_branch_moved_is_superseded(void **state)
{
    struct world *w = *state;
    w->head = MOVED;
    submit(w, failed(w, "refs/heads/main"));
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, id, "the head of main moved from aaaaaaa to ddddddd"));
    assert_string_equal(w->head_asked, "github acme/web main");
    assert_int_equal(w->n_heads, 1);
    assert_int_equal(w->n_calls, 0);
}

static void a_retry_whose_pull_request_moved_is_superseded(void **state)
{
    struct world *w = *state;
    w->head = MOVED;
    submit(w, failed(w, "pr/12"));
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, id, "the head of pull request 12 moved from aaaaaaa to ddddddd"));
    assert_string_equal(w->head_asked, "github acme/web 12");
}

static void a_retry_of_the_head_is_made(void **state)
{
    static const char *const heads[] = {COMMIT, "aaaaaaaaaabb", /* as Bitbucket cuts them */
                                        "AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDD"};
    struct world *w = *state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(heads); i++) {
        w->head = heads[i];
        struct world_build *b = failed(w, "refs/heads/main");
        b->b.project = i == 0 ? "web" : i == 1 ? "api" : "docs";
        submit(w, b);
        world_expect(w, id, RB_STATE_RUNNING);
        assert_int_equal(w->n_heads, i + 1);
    }
}

static void each_host_is_asked_in_the_place_of_its_own(void **state)
{
    static const struct {
        const char *project, *repository, *asked; /* NULL = nobody */
    } cases[] = {
        {"a1", "https://github.com/acme/web", "github acme/web main"},
        {"a2", "https://lab.example/group/sub/web", "gitlab group/sub/web main"},
        {"a3", "https://tea.example/acme/web", "gitea acme/web main"},
        {"a4", "https://bitbucket.org/ws/web", "bitbucket ws/web main"},
        {"a5", "https://center.example/scm/KEY/web", "bitbucket-server KEY/web main"},
        {"a6", "https://other.example/acme/web", NULL}, /* could be any of them */
        {"a7", NULL, NULL},
    };
    struct world *w = *state;
    w->head = MOVED;
    for (unsigned i = 0; i < RB_ARRAY_LEN(cases); i++) {
        struct world_build *b = failed(w, "refs/heads/main");
        b->b.project = cases[i].project;
        b->b.repository = cases[i].repository;
        w->n_heads = 0;
        submit(w, b);
        assert_int_equal(w->n_heads, cases[i].asked == NULL ? 0 : 1);
        if (cases[i].asked != NULL) {
            assert_string_equal(w->head_asked, cases[i].asked);
        }
        world_expect(w, id, cases[i].asked == NULL ? RB_STATE_RUNNING : RB_STATE_SUPERSEDED);
    }
}

static void a_host_that_cannot_be_asked_stands_in_no_retrys_way(void **state)
{
    static const enum rb_code rcs[] = {RB_E_UNAVAIL,   RB_E_TIMEOUT, RB_E_CREDENTIALS,
                                       RB_E_NOT_FOUND, RB_E_DENIED,  RB_E_THROTTLED};
    static const char *const projects[] = {"a1", "a2", "a3", "a4", "a5", "a6"};
    struct world *w = *state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(rcs); i++) {
        w->head_rc = rcs[i];
        struct world_build *b = failed(w, "refs/heads/main");
        b->b.project = projects[i];
        submit(w, b);
        world_expect(w, id, RB_STATE_RUNNING);
        assert_int_equal(w->n_heads, i + 1);
    }
}

static void what_names_no_head_is_not_asked_about(void **state)
{
    static const char *const versions[] = {COMMIT, "refs/tags/v1", "refs/pull/12/merge", "abc1234",
                                           "HEAD~1"};
    static const char *const projects[] = {"a1", "a2", "a3", "a4", "a5"};
    struct world *w = *state;
    w->head = MOVED;
    for (unsigned i = 0; i < RB_ARRAY_LEN(versions); i++) {
        struct world_build *b = failed(w, versions[i]);
        b->b.project = projects[i];
        submit(w, b);
        world_expect(w, id, RB_STATE_RUNNING);
    }
    assert_int_equal(w->n_heads, 0);
    struct world_build *b = failed(w, "fix/it"); /* a branch, as people name it */
    submit(w, b);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_string_equal(w->head_asked, "github acme/web fix/it");
}

static void a_person_gets_the_retry_of_an_old_head(void **state)
{
    struct world *w = *state;
    w->head = MOVED;
    assert_int_equal(world_ask(w, failed(w, "refs/heads/main"), "t1", true, id), RB_ADMIT_NEW);
    world_work(w, &w->inspect, 1000);
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_heads, 0);
}

static void with_stale_retry_nobody_is_asked(void **state)
{
    struct world *w = *state;
    w->head = MOVED;
    submit(w, failed(w, "refs/heads/main"));
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_heads, 0);
}

static void nothing_is_written_while_the_host_thinks(struct world *w)
{
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_calls, 0);
}

static void the_question_comes_before_the_intent_and_never_again(void **state)
{
    struct world *w = *state;
    w->head = COMMIT;
    w->in_head = nothing_is_written_while_the_host_thinks;
    world_answer_next(w, RB_E_AMBIGUOUS, false);
    submit(w, failed(w, "refs/heads/main"));
    assert_null(w->in_head);
    w->head = MOVED; /* from here on it is AWS's word that counts */
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_heads, 1);
    assert_int_equal(w->n_effects, 1);
}

static void a_stop_gives_the_task_back(void **state)
{
    struct world *w = *state;
    w->head_rc = RB_E_CLOSED;
    deliver(w, failed(w, "refs/heads/main"));
    (void)world_round(&w->submit);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_calls, 0);
    w->head = COMMIT;
    world_work(w, &w->submit, 120000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_newer_build_is_told_of_without_a_question(void **state)
{
    struct world *w = *state;
    w->head = MOVED;
    struct world_build *b = failed(w, "refs/heads/main");
    (void)world_started(w, "web", "refs/heads/main");
    submit(w, b);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, id, "is newer"));
    assert_int_equal(w->n_heads, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_retry_whose_branch_moved_is_superseded),
        T(a_retry_whose_pull_request_moved_is_superseded),
        T(a_retry_of_the_head_is_made),
        T(each_host_is_asked_in_the_place_of_its_own),
        T(a_host_that_cannot_be_asked_stands_in_no_retrys_way),
        T(what_names_no_head_is_not_asked_about),
        T(a_person_gets_the_retry_of_an_old_head),
        T(the_question_comes_before_the_intent_and_never_again),
        T(a_stop_gives_the_task_back),
        T(a_newer_build_is_told_of_without_a_question),
        cmocka_unit_test_setup_teardown(with_stale_retry_nobody_is_asked, setup_stale,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
