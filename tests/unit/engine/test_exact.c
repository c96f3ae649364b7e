/* Calls that are signed in the name of their retry: what is found by that name, and what keeps it.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

static char id[RB_ID_BYTES];

static int exact_setup(void **state)
{
    int rc = world_setup(state);
    struct world *w = *state;

    w->exact = true;
    w->initiator = "retrybuild/retrybuild";
    return rc;
}

static struct world_build *begin(struct world *w, enum rb_code rc, bool effect)
{
    struct world_build *b = world_failed(w, "web", NULL);

    (void)world_deliver(w, b, "d1", id);
    world_answer_next(w, rc, effect);
    assert_true(world_round(&w->submit));
    assert_int_equal(w->n_calls, 1);
    return b;
}

static void expect_child(struct world *w, const char *child)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);

    assert_int_equal(r->state, RB_STATE_RUNNING);
    assert_string_equal(r->child.id, child);
}

static void every_copy_is_signed_in_the_retry_s_name(void **state)
{
    struct world *w = *state;
    char expected[80];

    (void)begin(w, RB_OK, true);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    snprintf(expected, sizeof(expected), "retrybuild/%s", id);
    assert_string_equal(r->intent.initiator, expected);
    assert_string_equal(r->child.initiator, expected);
    assert_int_equal(w->n_named, 1);
}

/* Somebody presses "Retry" at the same moment: without names a person would have to say which. */
static void our_build_is_told_from_others_of_the_same_version(void **state)
{
    struct world *w = *state;

    (void)begin(w, RB_E_AMBIGUOUS, true);
    struct world_build *ours = &w->builds[w->n_builds - 1];
    (void)world_started(w, "web", NULL);
    (void)world_started(w, "web", NULL);
    world_pass(w, 20 * 60 * 1000); /* long after the resend window */
    world_work(w, &w->submit, 60000);
    expect_child(w, ours->id);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 1);
}

static void a_build_of_somebody_else_is_never_taken_for_ours(void **state)
{
    struct world *w = *state;

    (void)begin(w, RB_E_AMBIGUOUS, false); /* the call was lost */
    struct world_build *theirs = world_started(w, "web", NULL);
    world_pass(w, 20 * 60 * 1000);
    world_work(w, &w->submit, 60000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->state, RB_STATE_RUNNING);
    assert_string_not_equal(r->child.id, theirs->id);
    assert_int_equal(r->intent.unknowns, 1); /* certainly none, then a call of its own */
    assert_int_equal(w->n_effects, 1);
}

/* The process dies, the session with it, and meanwhile the configuration has changed: the copy that
 * follows has the same token, date and name, so it is refused or the same call. */
static void a_copy_after_a_crash_is_the_same_call(void **state)
{
    struct world *w = *state;

    (void)begin(w, RB_E_AMBIGUOUS, false);
    world_restart(w);
    w->exact = false;
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_calls, 2);
    assert_int_equal(w->n_named, 2);
    assert_string_equal(w->calls[0].token, w->calls[1].token);
    assert_int_equal(w->calls[0].date_ms, w->calls[1].date_ms);
    assert_true(w->n_sessions >= 2);
    assert_int_equal(w->n_effects, 1);
}

static void an_issue_that_began_without_a_name_goes_on_without(void **state)
{
    struct world *w = *state;

    w->exact = false;
    (void)begin(w, RB_E_AMBIGUOUS, false);
    world_restart(w);
    w->exact = true;
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_calls, 2);
    assert_int_equal(w->n_named, 0);
}

/* Then that no build has our name says nothing, and the wide rules hold. */
static void a_codebuild_that_does_not_show_the_name_is_noticed(void **state)
{
    struct world *w = *state;

    w->sessions_unnamed = true;
    (void)begin(w, RB_OK, true);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(atomic_load(&w->engine->unnamed));
    (void)world_deliver(w, world_failed(w, "api", NULL), "d2", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    assert_int_equal(w->n_named, 1); /* the first one only */
    world_pass(w, 20 * 60 * 1000);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 2);
}

#define T(test) cmocka_unit_test_setup_teardown(test, exact_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_copy_is_signed_in_the_retry_s_name),
        T(our_build_is_told_from_others_of_the_same_version),
        T(a_build_of_somebody_else_is_never_taken_for_ours),
        T(a_copy_after_a_crash_is_the_same_call),
        T(an_issue_that_began_without_a_name_goes_on_without),
        T(a_codebuild_that_does_not_show_the_name_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
