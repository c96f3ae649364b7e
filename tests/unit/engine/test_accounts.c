/* Builds of several accounts: every call is made for the account of its build. The world's stand-in
 * of CodeBuild fails a test whose call names a build of another account. */
#include "world.h"

#include <string.h>

#include <retrybuild/cleanup.h>

#define THERE "210987654321"
#define FAR "333333333333"

static const char *const accounts[] = {WORLD_ACCOUNT, THERE, FAR};
static char ids[RB_ARRAY_LEN(accounts)][RB_ID_BYTES];

static void each_step_of_a_retry_is_for_the_account_of_its_build(void **state)
{
    static const char *const keys[] = {"d1", "d2", "d3"};
    struct world *w = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(accounts); i++) {
        struct world_build *b = world_failed(w, "web", NULL);
        world_move(b, accounts[i]);
        (void)world_deliver_bare(w, b, keys[i], ids[i]); /* to be inspected, all in one batch */
    }
    world_work(w, &w->inspect, 10000);
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 3);
    for (size_t i = 0; i < RB_ARRAY_LEN(accounts); i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[i]);
        assert_int_equal(r->state, RB_STATE_RUNNING);
        assert_string_equal(r->child.account, accounts[i]);
        struct world_build *child = world_find(w, r->child.id);
        assert_string_equal(child->b.account, accounts[i]);
        world_end(w, child, "SUCCEEDED");
    }
    world_work(w, &w->follow, 60000);
    for (size_t i = 0; i < RB_ARRAY_LEN(accounts); i++) {
        world_expect(w, ids[i], RB_STATE_RECOVERED);
    }
}

static void a_stop_goes_to_the_account_of_the_child(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;

    world_move(b, FAR);
    (void)world_deliver(w, b, "d1", ids[0]);
    assert_true(world_round(&w->submit));
    (void)world_deliver(w, world_failed(w, "api", NULL), "d2", ids[1]); /* ours, in between */
    assert_true(world_round(&w->submit));
    assert_int_equal(rb_engine_act(w->engine, w->ses, ids[0], RB_VERB_CANCEL, "ann", &r, NULL),
                     RB_OK);
    world_work(w, &w->follow, 10000);
    assert_int_equal(w->n_stops, 1);
    world_expect(w, ids[0], RB_STATE_CANCELLED);
}

/* A project of one name in three accounts, one failure in each that nobody delivers. */
static void the_sweep_finds_what_each_account_has(void **state)
{
    static const char *const keys[] = {"d1", "d2", "d3"};
    struct world *w = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(accounts); i++) {
        struct world_build *b = world_failed(w, "web", NULL);
        world_move(b, accounts[i]);
        (void)world_deliver(w, b, keys[i], ids[i]); /* so the project is known */
    }
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 3);
    world_pass(w, 60000);
    struct world_build *missed[RB_ARRAY_LEN(accounts)];
    for (size_t i = 0; i < RB_ARRAY_LEN(accounts); i++) {
        missed[i] = world_failed(w, "web", NULL);
        world_move(missed[i], accounts[i]);
    }
    world_pass(w, 10 * 60000);
    (void)world_round(&w->sweep);
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 6);
    for (size_t i = 0; i < RB_ARRAY_LEN(accounts); i++) {
        unsigned found = 0;
        for (unsigned n = 0; n < w->n_builds; n++) {
            found += strcmp(w->builds[n].parent, missed[i]->id) == 0 &&
                             strcmp(w->builds[n].b.account, accounts[i]) == 0
                         ? 1
                         : 0;
        }
        assert_int_equal(found, 1);
    }
}

static void a_swept_name_of_ours_is_not_the_one_of_another_account(void **state)
{
    static const char *swept[] = {"web"};
    static struct rb_account_setting row[] = {{.id = THERE, .role_arn = "r"}};
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);

    w->settings->sweep_projects = (struct rb_strings){.items = swept, .n = 1};
    w->settings->aws.accounts = row;
    w->settings->aws.n_accounts = 1;
    world_move(b, THERE);
    (void)world_deliver(w, b, "d1", ids[0]); /* "web" is known, as one of the other account */
    world_work(w, &w->submit, 60000);
    struct world_build *ours = world_failed(w, "web", NULL);
    world_pass(w, 10 * 60000);
    (void)world_round(&w->sweep);
    world_newest(w, ids[1]);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, ids[1]);
    assert_string_equal(r->build.id, ours->id);
    w->settings->sweep_projects.n = 0;
    w->settings->aws.n_accounts = 0;
}

/* Asked for by its id alone, while nobody could say whose it is. */
static void a_build_without_an_account_is_looked_for_in_each(void **state)
{
    static struct rb_account_setting rows[] = {{.id = THERE, .role_arn = "r"},
                                               {.id = FAR, .role_arn = "r"}};
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);
    struct world_build bare;

    w->settings->aws.accounts = rows;
    w->settings->aws.n_accounts = RB_ARRAY_LEN(rows);
    world_move(b, FAR);
    b->elsewhere = true;
    bare = *b;
    bare.b.account = NULL;
    bare.b.arn = NULL;
    assert_int_equal(world_ask(w, &bare, NULL, false, ids[0]), RB_ADMIT_NEW);
    assert_true(world_round(&w->inspect));
    world_work(w, &w->submit, 1000);
    world_expect(w, ids[0], RB_STATE_RUNNING);
    assert_int_equal(world_deliver(w, b, "d1", ids[1]), RB_ADMIT_DUPLICATE);
    assert_string_equal(ids[1], ids[0]);
    w->settings->aws.n_accounts = 0;
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_step_of_a_retry_is_for_the_account_of_its_build),
        T(a_stop_goes_to_the_account_of_the_child),
        T(the_sweep_finds_what_each_account_has),
        T(a_swept_name_of_ours_is_not_the_one_of_another_account),
        T(a_build_without_an_account_is_looked_for_in_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
