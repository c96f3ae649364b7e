/* The once-only call on the real store: what comes before it, and workers that lose their lease. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

static void one_source_version_has_one_open_intent(void **state)
{
    struct world *w = *state;
    struct world_build *a = world_failed(w, "web", NULL), *b = world_failed(w, "web", NULL);

    (void)world_deliver(w, a, "d1", id);
    (void)world_deliver(w, b, "d2", other_id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SUBMITTING);
    assert_true(world_round(&w->submit));
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_calls, 1);
    world_work(w, &w->submit, 30000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_expect(w, other_id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 2);
}

static void a_newer_build_of_the_branch_supersedes(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id);
    (void)world_started(w, "web", "dev");
    (void)world_started(w, "web", "main");
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_true(world_noted(w, id, "web:0000-0003"));
    assert_int_equal(w->n_calls, 0);
}

static void our_own_child_does_not_supersede(void **state)
{
    struct world *w = *state;
    struct world_build *a = world_failed(w, "web", "main");

    (void)world_ask(w, a, NULL, true, id);
    world_work(w, &w->inspect, 0);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    (void)world_deliver(w, a, "d1", other_id); /* the event of the same failure comes later */
    (void)world_ask(w, a, NULL, true, other_id);
    world_work(w, &w->inspect, 0);
    world_work(w, &w->submit, 10000);
    world_expect(w, other_id, RB_STATE_RUNNING);
}

/* A child whose parent is still looking for it must not count as somebody's newer build. */
static void an_unwritten_child_of_another_retry_does_not_supersede(void **state)
{
    struct world *w = *state;
    struct world_build *a = world_failed(w, "web", "pr/7");
    char first[RB_ID_BYTES];

    (void)world_deliver(w, a, "d1", first);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit)); /* started web:0000-0002, not written */
    w->builds[1].b.number = 2;
    struct world_build *b = world_failed(w, "web", "pr/7");
    b->b.number = 1; /* an older failure of the same pull request, delivered late */
    a->b.number = 0;
    (void)world_deliver(w, b, "d2", id);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_effects, 1);
}

static void auto_retry_of_the_project_defers(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id); /* events do not tell of it */
    b->b.auto_retry_limit = 2;
    b->b.auto_retry_number = 0;
    b->b.next_auto_retry = "arn:aws:codebuild:us-east-1:123456789012:build/web:0000-0002";
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_DEFERRED);
    assert_int_equal(w->n_calls, 0);
}

static void a_build_that_codebuild_does_not_know_is_refused(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id);
    b->hidden = true;
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_REFUSED);
    assert_int_equal(w->n_calls, 0);
}

static void a_project_that_codebuild_does_not_know_is_refused(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    w->list_rc = RB_E_NOT_FOUND;
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_REFUSED);
}

static void a_build_that_succeeded_after_all_is_refused(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver(w, b, "d1", id);
    b->b.status = "SUCCEEDED";
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_REFUSED);
}

static void what_failed_before_the_memory_began_waits_out_the_quarantine(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);

    b->b.started_ms = WORLD_START - 120000;
    b->b.ended_ms = WORLD_START - 60000;
    (void)world_deliver(w, b, "d1", id);
    world_work(w, &w->submit, 300000);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_calls, 0);
    world_work(w, &w->submit, 100000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_noted(w, id, "before the store's memory begins"));
}

/* An event tells whole seconds: just after the birth its build seems to have ended before it. */
static void what_failed_in_the_first_second_is_judged_by_the_end_that_codebuild_tells(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);

    b->b.started_ms = WORLD_START - 120000;
    b->b.ended_ms = WORLD_START + 10;
    (void)world_started(w, "web", NULL); /* somebody else's of the same project */
    struct world_build told = *b;
    told.b.ended_ms = WORLD_START - 1000;
    world_pass(w, 500);
    (void)world_deliver(w, &told, "d1", id);
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void what_a_forgotten_call_started_is_not_started_again(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", NULL);

    b->b.started_ms = WORLD_START - 120000;
    b->b.ended_ms = WORLD_START - 60000;
    (void)world_started(w, "web", NULL); /* by a life of the store that was lost */
    (void)world_deliver(w, b, "d1", id);
    world_work(w, &w->submit, 600000);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_int_equal(w->n_calls, 0);
}

static void a_pause_lets_nothing_out(void **state)
{
    struct world *w = *state;
    struct rb_err err;

    assert_int_equal(rb_store_pause(w->ses, "web", true, &err), RB_OK);
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_work(w, &w->submit, 60000);
    world_expect(w, id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_calls, 0);
    {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
        assert_int_equal(rb_work_count_notes(r, "paused"), 1);
    }
    assert_int_equal(rb_store_pause(w->ses, "web", false, &err), RB_OK);
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
}

static void an_unknown_clock_lets_nothing_out(void **state)
{
    struct world *w = *state;

    w->offset_ms = -300000; /* ours is five minutes ahead */
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    /* The look came first and told the clock: the date is AWS's. */
    assert_true(w->calls[0].date_ms <= w->now_ms - 300000);
    assert_true(w->calls[0].date_ms > w->now_ms - 300000 - 32000);
}

/* ---- zombies ---- */

static void second_worker_finishes(struct world *w)
{
    w->now_ms += 31000;
    assert_true(world_round(&w->other_submit));
}

static void a_worker_that_lost_its_lease_before_the_intent_sends_nothing(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    w->in_list = second_worker_finishes;
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 1);
}

static void a_worker_that_lost_its_lease_during_the_call_writes_nothing(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    w->in_call = second_worker_finishes; /* marked, not sent; the other resends the same token */
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
    assert_int_equal(w->n_calls, 2);
    assert_string_equal(w->calls[0].token, w->calls[1].token);
    assert_int_equal(w->calls[0].date_ms, w->calls[1].date_ms);
}

static void cancel_it(struct world *w)
{
    struct rb_retry *r = NULL;
    struct rb_err err;
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_CANCEL, "ann", &r, &err), RB_OK);
    rb_retry_free(r);
}

static void a_cancel_beats_the_intent(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    w->in_list = cancel_it;
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_CANCELLED);
    assert_int_equal(w->n_calls, 0);
}

static void a_restart_goes_on_where_it_was(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    world_restart(w);
    world_work(w, &w->submit, 40000);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void a_record_that_ends_a_hundred_workers_is_dead(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    for (int i = 0; i < 100; i++) { /* workers that die right after their claim */
        struct rb_task *t = NULL;
        struct rb_err err;
        unsigned n = 0;
        assert_int_equal(
            rb_store_claim(w->ses, RB_TASK_SUBMIT, 1, 30000, w->now_ms, &t, &n, NULL, &err), RB_OK);
        assert_int_equal(n, 1);
        rb_task_free(t);
        world_pass(w, 31000);
    }
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_DEAD);
    /* Requeued by a person it is a fresh call. */
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_err err;
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_REQUEUE, "ann", &r, &err), RB_OK);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_source_version_has_one_open_intent),
        T(a_newer_build_of_the_branch_supersedes),
        T(our_own_child_does_not_supersede),
        T(an_unwritten_child_of_another_retry_does_not_supersede),
        T(auto_retry_of_the_project_defers),
        T(a_build_that_codebuild_does_not_know_is_refused),
        T(a_project_that_codebuild_does_not_know_is_refused),
        T(a_build_that_succeeded_after_all_is_refused),
        T(what_failed_before_the_memory_began_waits_out_the_quarantine),
        T(what_failed_in_the_first_second_is_judged_by_the_end_that_codebuild_tells),
        T(what_a_forgotten_call_started_is_not_started_again),
        T(a_pause_lets_nothing_out),
        T(an_unknown_clock_lets_nothing_out),
        T(a_worker_that_lost_its_lease_before_the_intent_sends_nothing),
        T(a_worker_that_lost_its_lease_during_the_call_writes_nothing),
        T(a_cancel_beats_the_intent),
        T(a_restart_goes_on_where_it_was),
        T(a_record_that_ends_a_hundred_workers_is_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
