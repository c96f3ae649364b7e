/* Builds that somebody else started: CodeBuild's own auto-retry is watched, a hand's retry is
 * noticed, and both are links of the chain. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define COMMIT "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

static struct world_build *auto_retried(struct world *w, int64_t number)
{
    struct world_build *b = world_failed(w, "web", COMMIT);
    b->b.resolved_version = COMMIT;
    b->b.auto_retry_limit = 2;
    b->b.auto_retry_number = number;
    return b;
}

/* by_aws - CodeBuild runs @b again by itself. */
static struct world_build *by_aws(struct world *w, struct world_build *b)
{
    struct world_build *next = world_started(w, "web", COMMIT);
    next->b.resolved_version = COMMIT;
    next->b.initiator = "codebuild-service-role/AWSCodeBuild";
    next->b.auto_retry_limit = b->b.auto_retry_limit;
    next->b.auto_retry_number = b->b.auto_retry_number + 1;
    (void)snprintf(b->next_auto_retry, sizeof(b->next_auto_retry), "%s", next->arn);
    b->b.next_auto_retry = b->next_auto_retry;
    return next;
}

/* event - the failure as EventBridge tells it: without what CodeBuild's own auto-retry does. */
static void event(struct world *w, struct world_build *b, const char *key, char *ret_id)
{
    struct rb_build all = b->b;
    b->b.auto_retry_limit = b->b.auto_retry_number = -1;
    b->b.next_auto_retry = NULL;
    assert_int_equal(world_deliver(w, b, key, ret_id), RB_ADMIT_NEW);
    b->b = all;
}

/* ---- CodeBuild's own auto-retry ---- */

static void what_codebuild_is_to_run_again_is_waited_for(void **state)
{
    struct world *w = *state;
    struct world_build *b = auto_retried(w, 0);
    event(w, b, "d1", id);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_true(world_noted(w, id, "waiting for it"));
    struct world_build *next = by_aws(w, b);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_DEFERRED);
    assert_int_equal(w->n_calls, 0);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_true(r->has_child);
    assert_string_equal(r->child.id, next->id);
}

static void what_codebuild_does_not_run_again_we_do(void **state)
{
    struct world *w = *state;
    event(w, auto_retried(w, 0), "d1", id);
    world_work(w, &w->submit, 10 * 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_noted(w, id, RB_NOTE_NOT_BY_AWS));
    assert_int_equal(w->n_effects, 1);
}

static void the_inspector_waits_for_codebuild_too(void **state)
{
    struct world *w = *state;
    struct world_build *b = auto_retried(w, 0);
    struct world_build *lost = auto_retried(w, 0);
    lost->b.project = "api";
    (void)world_deliver_bare(w, b, "d1", id);
    (void)world_deliver_bare(w, lost, "d2", other_id);
    world_work(w, &w->inspect, 60000);
    world_expect(w, id, RB_STATE_RECEIVED);
    (void)by_aws(w, b);
    world_work(w, &w->inspect, 10 * 60000);
    world_expect(w, id, RB_STATE_DEFERRED);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    world_work(w, &w->submit, 60000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    assert_true(world_noted(w, other_id, RB_NOTE_NOT_BY_AWS));
}

static void a_failure_of_codebuilds_own_retry_is_the_next_attempt(void **state)
{
    struct world *w = *state;
    struct world_build *b = auto_retried(w, 1);
    struct world_build *next = by_aws(w, b);
    w->limit = 2;
    event(w, b, "d1", id);
    world_work(w, &w->submit, 1000);
    world_end(w, next, "FAILED");
    event(w, next, "d2", other_id);
    world_work(w, &w->submit, 60000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *a = world_get(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_string_equal(r->chain, a->chain);
    assert_string_equal(r->previous, a->id);
    assert_int_equal(r->attempt, 2);
    world_end(w, world_child_of(w, other_id), "FAILED");
    world_work(w, &w->follow, 60000);
    world_expect(w, other_id, RB_STATE_FAILED_AGAIN); /* and no third */
    assert_int_equal(w->n_effects, 1);
}

static void a_child_of_ours_that_codebuild_runs_again_stays_in_its_chain(void **state)
{
    struct world *w = *state;
    (void)world_deliver(w, world_failed(w, "web", COMMIT), "d1", id);
    world_work(w, &w->submit, 1000);
    struct world_build *child = world_child_of(w, id);
    child->b.auto_retry_limit = 1;
    child->b.auto_retry_number = 0;
    world_end(w, child, "FAILED");
    (void)by_aws(w, child);
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_newest(w, other_id);
    world_work(w, &w->inspect, 60000);
    world_expect(w, other_id, RB_STATE_DEFERRED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *a = world_get(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_string_equal(r->chain, a->chain);
    assert_int_equal(r->attempt, 2);
}

/* ---- a hand in the console ---- */

static struct world_build *by_hand(struct world *w, const struct world_build *b, const char *who)
{
    struct world_build *again = world_started(w, b->b.project, b->b.source_version);
    again->b.resolved_version = b->b.resolved_version;
    again->b.initiator = who;
    return again;
}

static struct world_build *pushed(struct world *w)
{
    struct world_build *b = world_failed(w, "web", COMMIT);
    b->b.resolved_version = COMMIT;
    b->b.initiator = "GitHub-Hookshot/9f2c1ab";
    return b;
}

static void a_build_that_somebody_ran_again_is_not_run_once_more(void **state)
{
    struct world *w = *state;
    struct world_build *b = pushed(w);
    (void)world_deliver(w, b, "d1", id);
    world_pass(w, 1000);
    struct world_build *again = by_hand(w, b, "AWSReservedSSO_Dev/ann");
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, id, "AWSReservedSSO_Dev/ann has run this build again"));
    assert_int_equal(w->n_calls, 0);
    world_end(w, again, "FAILED");
    assert_int_equal(world_deliver(w, again, "d2", other_id), RB_ADMIT_NEW);
    world_work(w, &w->submit, 60000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *a = world_get(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_string_equal(r->chain, a->chain);
    assert_int_equal(r->attempt, 2);
    assert_string_equal(a->child.id, again->id);
}

static void hands_and_retries_share_one_limit(void **state)
{
    struct world *w = *state;
    struct world_build *b = pushed(w);
    w->limit = 2;
    for (unsigned i = 0; i < 2; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "d%u", i);
        (void)world_deliver(w, b, key, id);
        world_pass(w, 1000);
        struct world_build *again = by_hand(w, b, i == 0 ? "ann" : "bob");
        world_work(w, &w->submit, 1000);
        world_expect(w, id, RB_STATE_SUPERSEDED);
        world_end(w, again, "FAILED");
        b = again;
    }
    (void)world_deliver(w, b, "last", id);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_REFUSED);
    assert_int_equal(w->n_effects, 0);
}

static void a_build_of_its_own_on_the_same_commit_is_in_nobodys_way(void **state)
{
    struct world *w = *state;
    struct world_build *b = pushed(w);
    (void)world_deliver(w, b, "d1", id);
    world_pass(w, 1000);
    (void)by_hand(w, b, "GitHub-Hookshot/9f2c1ab"); /* another event of the host */
    struct world_build *other = by_hand(w, b, "ann");
    other->b.resolved_version = "ffffffffffbbbbbbbbbbccccccccccdddddddddd";
    other->b.source_version = other->b.resolved_version;
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void one_principals_builds_of_a_commit_are_builds_of_their_own(void **state)
{
    struct world *w = *state;
    struct world_build *b = pushed(w);
    b->b.initiator = "ci-role/nightly";
    (void)world_deliver(w, b, "d1", id);
    world_pass(w, 1000);
    (void)by_hand(w, b, "ci-role/nightly");
    world_work(w, &w->submit, 1000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_persons_retry_of_such_a_link_is_of_its_chain(void **state)
{
    struct world *w = *state;
    struct world_build *b = pushed(w);
    (void)world_deliver(w, b, "d1", id);
    world_pass(w, 1000);
    struct world_build *again = by_hand(w, b, "ann");
    world_work(w, &w->submit, 1000);
    world_end(w, again, "FAILED");
    (void)world_ask(w, again, "t", false, other_id);
    world_work(w, &w->inspect, 1000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *a = world_get(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_string_equal(r->chain, a->chain);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_codebuild_is_to_run_again_is_waited_for),
        T(what_codebuild_does_not_run_again_we_do),
        T(the_inspector_waits_for_codebuild_too),
        T(a_failure_of_codebuilds_own_retry_is_the_next_attempt),
        T(a_child_of_ours_that_codebuild_runs_again_stays_in_its_chain),
        T(a_build_that_somebody_ran_again_is_not_run_once_more),
        T(hands_and_retries_share_one_limit),
        T(a_build_of_its_own_on_the_same_commit_is_in_nobodys_way),
        T(one_principals_builds_of_a_commit_are_builds_of_their_own),
        T(a_persons_retry_of_such_a_link_is_of_its_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
