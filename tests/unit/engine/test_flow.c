/* What happens around the call: admission, inspection, following, chains, the sweep. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/counters.h>

static char id[RB_ID_BYTES], other_id[RB_ID_BYTES];

/* ---- admission ---- */

static void a_decision_to_ignore_is_stored_and_ends_it(void **state)
{
    struct world *w = *state;
    double before = rb_metric_value(rb_metric_cell(RB_M_DECISIONS, "ignore", "everything-else"));

    w->decision = (struct rb_decision){.action = RB_ACTION_IGNORE,
                                       .rule = "everything-else",
                                       .reason = "looks like a real failure",
                                       .state = RB_STATE_IGNORED};
    struct world_build *b = world_failed(w, "web", "main");
    assert_int_equal(world_deliver(w, b, "d1", id), RB_ADMIT_NEW);
    world_expect(w, id, RB_STATE_IGNORED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->decision.rule, "everything-else");
    assert_true(r->finished_ms > 0);
    assert_int_equal(world_deliver(w, b, "d2", other_id), RB_ADMIT_DUPLICATE);
    assert_true(rb_metric_value(rb_metric_cell(RB_M_DECISIONS, "ignore", "everything-else")) ==
                before + 1);
    world_work(w, &w->submit, 10000);
    assert_int_equal(w->n_calls, 0);
}

static void a_decision_to_ask_is_held_and_reported(void **state)
{
    struct world *w = *state;
    struct rb_err err;

    w->decision.action = RB_ACTION_ASK;
    w->decision.state = RB_STATE_HELD;
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_expect(w, id, RB_STATE_HELD);
    world_work(w, &w->report, 1000);
    assert_int_equal(w->n_posts, 1);
    assert_int_equal(w->posts[0].stage, RB_STAGE_HELD);
    world_work(w, &w->submit, 600000);
    assert_int_equal(w->n_calls, 0);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_APPROVE, "ann", &r, &err), RB_OK);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    assert_true(world_noted(w, id, "approved by ann"));
}

static void an_event_without_relevance_is_no_admission(void **state)
{
    struct world *w = *state;
    struct rb_admission *a = (struct rb_admission *)w;
    struct rb_err err;
    const struct rb_event ev = {.kind = RB_EVENT_NONE, .why = "in progress"};
    const struct rb_delivery d = {.source = "eventbridge", .type = "eventbridge", .key = "k"};

    assert_int_equal(rb_engine_admission_new(w->engine, &ev, &d, &a, &err), RB_OK);
    assert_null(a);
}

static void a_delay_of_the_rule_is_waited(void **state)
{
    struct world *w = *state;

    w->decision.delay.list_ms[0] = 30000;
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    world_work(w, &w->submit, 29000);
    assert_int_equal(w->n_calls, 0);
    world_work(w, &w->submit, 2000);
    world_expect(w, id, RB_STATE_RUNNING);
}

/* ---- inspect ---- */

static void a_bare_event_is_inspected_and_then_decided(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    assert_int_equal(world_deliver_bare(w, b, "d1", id), RB_ADMIT_NEW);
    world_expect(w, id, RB_STATE_RECEIVED);
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_SCHEDULED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->build.phase, "PROVISIONING");
    assert_int_equal(r->build.number, 1);
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_person_is_answered_at_once(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    w->decision.state = RB_STATE_IGNORED; /* rules are not asked for a person */
    assert_int_equal(world_ask(w, b, "t1", false, id), RB_ADMIT_NEW);
    assert_int_equal(world_ask(w, b, "t1", false, other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    assert_true(world_round(&w->inspect));
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->requested_by, "ops");
    assert_string_equal(r->request_reason, "it was the network");
}

static void a_token_with_another_build_is_a_mismatch(void **state)
{
    struct world *w = *state;
    struct world_build *a = world_failed(w, "web", "main"), *b = world_failed(w, "web", "main");

    assert_int_equal(world_ask(w, a, "t1", false, id), RB_ADMIT_NEW);
    assert_int_equal(world_ask(w, b, "t1", false, other_id), RB_ADMIT_MISMATCH);
}

static void a_person_may_retry_what_is_not_the_newest(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_started(w, "web", "main");
    (void)world_ask(w, b, NULL, false, id);
    assert_true(world_round(&w->inspect));
    assert_true(world_round(&w->submit));
    world_expect(w, id, RB_STATE_RUNNING);
}

static void a_running_build_is_refused_to_a_person(void **state)
{
    struct world *w = *state;

    (void)world_ask(w, world_started(w, "web", "main"), NULL, false, id);
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_REFUSED);
}

static void a_running_build_is_looked_at_again_for_an_event(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_deliver_bare(w, b, "d1", id);
    b->b.status = "IN_PROGRESS"; /* CodeBuild lags behind its event */
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_RECEIVED);
    b->b.status = "FAILED";
    world_work(w, &w->inspect, 2000);
    world_expect(w, id, RB_STATE_SCHEDULED);
    b = world_failed(w, "web", "dev");
    (void)world_deliver_bare(w, b, "d2", id);
    b->b.status = "IN_PROGRESS";
    world_work(w, &w->inspect, 20000);
    world_expect(w, id, RB_STATE_IGNORED);
}

static void an_unknown_build_is_refused(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    b->hidden = true;
    (void)world_ask(w, b, NULL, false, id);
    world_work(w, &w->inspect, 20000);
    world_expect(w, id, RB_STATE_REFUSED);
    assert_true(world_noted(w, id, "CodeBuild does not know this build"));
}

static void a_look_that_fails_is_repeated_until_it_does_not(void **state)
{
    struct world *w = *state;

    (void)world_deliver_bare(w, world_failed(w, "web", "main"), "d1", id);
    w->get_rc = RB_E_UNAVAIL;
    world_work(w, &w->inspect, 600000);
    world_expect(w, id, RB_STATE_RECEIVED);
    w->get_rc = RB_OK;
    world_work(w, &w->inspect, 60000);
    world_expect(w, id, RB_STATE_SCHEDULED);
}

/* ---- follow and chains ---- */

static struct world_build *child_of(struct world *w, const char *retry)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, retry);
    assert_int_equal(r->state, RB_STATE_RUNNING);
    return world_find(w, r->child.id);
}

static void newest_of_chain(struct world *w, char ret_id[RB_ID_BYTES])
{
    struct rb_retry *items[1] = {NULL};
    char next[RB_CURSOR_BYTES];
    const struct rb_filter f = {.limit = 1};
    struct rb_err err;
    unsigned n = 0;

    assert_int_equal(rb_store_list(w->ses, &f, items, &n, next, &err), RB_OK);
    assert_int_equal(n, 1);
    memcpy(ret_id, items[0]->id, RB_ID_BYTES);
    rb_retry_free(items[0]);
}

static void a_child_that_fails_is_the_next_attempt(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_end(w, child_of(w, id), "FAILED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    newest_of_chain(w, other_id);
    assert_string_not_equal(id, other_id);
    {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *a = world_get(w, id);
        RB_CLEANUP(rb_retry_freep) struct rb_retry *b = world_get(w, other_id);
        assert_string_equal(a->chain, b->chain);
        assert_string_equal(b->previous, a->id);
        assert_int_equal(b->attempt, 2);
        assert_string_equal(b->build.id, a->child.id);
        assert_int_equal(b->n_rule_uses, 1);
        assert_int_equal(b->rule_uses[0].count, 2);
    }
    assert_true(world_round(&w->submit));
    world_end(w, child_of(w, other_id), "FAULT");
    world_work(w, &w->follow, 20000);
    world_expect(w, other_id, RB_STATE_FAILED_AGAIN);
    assert_true(world_noted(w, other_id, "the limit of the chain is reached"));
    world_work(w, &w->submit, 600000);
    assert_int_equal(w->n_effects, 2);
}

static void the_event_of_a_childs_failure_starts_no_chain(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    struct world_build *child = child_of(w, id);
    world_end(w, child, "FAILED");
    assert_int_equal(world_deliver(w, child, "d2", other_id), RB_ADMIT_CHILD);
    assert_string_equal(id, other_id);
    assert_true(world_round(&w->follow)); /* woken at once */
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    assert_true(world_round(&w->submit));
    assert_int_equal(w->n_effects, 2);
    assert_int_equal(world_deliver(w, child, "d3", NULL), RB_ADMIT_DUPLICATE);
}

static void the_event_of_a_childs_success_wakes_the_follower(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    struct world_build *child = child_of(w, id);
    assert_false(world_round(&w->follow)); /* not due */
    world_end(w, child, "SUCCEEDED");
    assert_int_equal(world_deliver(w, child, "d2", NULL), RB_ADMIT_CHILD);
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_RECOVERED);
}

static void a_woken_follower_asks_again_soon(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    struct world_build *child = child_of(w, id);
    child->b.status = "SUCCEEDED";
    assert_int_equal(world_deliver(w, child, "d2", NULL), RB_ADMIT_CHILD);
    child->b.status = "IN_PROGRESS"; /* look-ups lag */
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_RUNNING);
    world_pass(w, 1000);
    assert_true(world_round(&w->follow));
    child->b.status = "SUCCEEDED";
    world_pass(w, 1000);
    assert_true(world_round(&w->follow));
    world_expect(w, id, RB_STATE_RECOVERED);
}

static void a_stopped_child_ends_the_chain(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_end(w, child_of(w, id), "STOPPED");
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    assert_true(world_noted(w, id, "STOPPED"));
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_effects, 1);
}

static void a_child_that_vanished_is_dead_in_the_end(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    child_of(w, id)->hidden = true;
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_work(w, &w->follow, 600000);
    world_expect(w, id, RB_STATE_DEAD);
}

static void many_children_are_asked_for_in_one_call(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "d%d", i);
        (void)world_deliver(w, world_failed(w, "web", NULL), key, id);
        world_work(w, &w->submit, 0);
    }
    assert_int_equal(w->n_effects, 20);
    unsigned gets = w->n_gets;
    world_pass(w, 20000);
    assert_true(world_round(&w->follow));
    assert_int_equal(w->n_gets, gets + 1);
}

/* The child fails before its parent knows that it is its own: its event makes a retry of its own,
 * which must neither double nor end the chain. */
static void a_child_that_fails_before_it_is_known_stays_in_its_chain(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_find(w, "web:0000-0002");
    world_end(w, child, "FAILED");
    assert_int_equal(world_deliver(w, child, "d2", other_id), RB_ADMIT_NEW);
    assert_true(world_round(&w->submit)); /* must wait: the parent has the intent */
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    assert_int_equal(w->n_effects, 1);
    world_work(w, &w->submit, 10000); /* the parent adopts, the other sees whose child it is */
    world_expect(w, id, RB_STATE_RUNNING);
    world_expect(w, other_id, RB_STATE_SUPERSEDED);
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_work(w, &w->submit, 10000);
    newest_of_chain(w, other_id);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_int_equal(r->attempt, 2);
    assert_string_equal(r->previous, id);
    assert_int_equal(w->n_effects, 2);
}

static void the_retry_of_an_early_failure_takes_the_chain_over(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", NULL), "d1", id);
    world_answer_next(w, RB_E_AMBIGUOUS, true);
    assert_true(world_round(&w->submit));
    struct world_build *child = world_find(w, "web:0000-0002");
    world_end(w, child, "FAILED");
    w->decision.delay.list_ms[0] = 120000; /* the other is not due while the parent ends */
    (void)world_deliver(w, child, "d2", other_id);
    w->decision.delay.list_ms[0] = 0;
    world_work(w, &w->submit, 10000);
    world_expect(w, id, RB_STATE_RUNNING);
    world_work(w, &w->follow, 20000);
    world_expect(w, id, RB_STATE_FAILED_AGAIN);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    world_work(w, &w->submit, 120000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_int_equal(r->attempt, 2);
    assert_string_equal(r->previous, id);
    assert_int_equal(w->n_effects, 2);
}

/* ---- sweep ---- */

static void a_failure_that_nobody_delivered_is_found(void **state)
{
    struct world *w = *state;

    (void)world_failed(w, "web", "main");
    (void)world_started(w, "web", "dev");
    world_pass(w, 20000);
    assert_false(world_round(&w->sweep));
    newest_of_chain(w, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->source.type, "sweep");
    assert_int_equal(r->state, RB_STATE_SCHEDULED);
    for (int i = 0; i < 3; i++) {
        world_pass(w, 300000);
        (void)world_round(&w->sweep);
    }
    RB_CLEANUP(rb_retry_freep) struct rb_retry *again = world_get(w, id);
    assert_int_equal(again->duplicates, 0);
    world_work(w, &w->submit, 10000);
    assert_int_equal(w->n_effects, 1);
}

static void a_delivery_gets_its_fair_chance_before_the_sweep(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    (void)world_round(&w->sweep);
    assert_int_equal(world_deliver(w, b, "d1", id), RB_ADMIT_NEW);
}

static void the_sweep_knows_our_children_and_old_builds(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_end(w, child_of(w, id), "FAILED");
    struct world_build *old = world_failed(w, "web", "dev");
    old->b.started_ms -= 7 * 3600 * 1000;
    old->b.ended_ms -= 7 * 3600 * 1000;
    world_pass(w, 20000);
    (void)world_round(&w->sweep);
    newest_of_chain(w, other_id);
    assert_string_equal(id, other_id);
}

/* ---- people ---- */

static void verbs_are_refused_where_the_state_does_not_allow_them(void **state)
{
    struct world *w = *state;
    struct rb_retry *r = NULL;
    struct rb_err err;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_APPROVE, "ann", &r, &err),
                     RB_E_CONFLICT);
    assert_non_null(strstr(err.msg, "scheduled"));
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_DENY, "ann", &r, &err),
                     RB_E_CONFLICT);
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_REQUEUE, "ann", &r, &err),
                     RB_E_CONFLICT);
    assert_true(world_round(&w->submit));
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_CANCEL, "ann", &r, &err),
                     RB_E_CONFLICT);
    assert_int_equal(rb_engine_act(w->engine, w->ses, "rty_01M3252NK02632RV3AT1JH32WD",
                                   RB_VERB_CANCEL, "ann", &r, &err),
                     RB_E_NOT_FOUND);
    assert_null(r);
}

static void a_cancelled_retry_makes_no_call_and_is_reported(void **state)
{
    struct world *w = *state;
    struct rb_err err;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_CANCEL, "ann", &r, &err), RB_OK);
    assert_int_equal(r->state, RB_STATE_CANCELLED);
    world_work(w, &w->submit, 60000);
    assert_int_equal(w->n_calls, 0);
    world_work(w, &w->report, 1000);
    assert_int_equal(w->n_posts, 1);
    assert_int_equal(w->posts[0].stage, RB_STAGE_FINISHED);
}

/* ---- reports ---- */

static void every_stage_is_reported_in_order(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    world_work(w, &w->report, 1000);
    world_end(w, child_of(w, id), "SUCCEEDED");
    world_work(w, &w->follow, 20000);
    world_work(w, &w->report, 1000);
    assert_int_equal(w->n_posts, 2);
    assert_int_equal(w->posts[0].stage, RB_STAGE_STARTED);
    assert_int_equal(w->posts[0].state, RB_STATE_RUNNING);
    assert_int_equal(w->posts[1].stage, RB_STAGE_FINISHED);
    assert_int_equal(w->posts[1].state, RB_STATE_RECOVERED);
    assert_string_not_equal(w->posts[0].message_id, w->posts[1].message_id);
}

static void a_receiver_that_is_down_is_asked_again_with_the_same_message(void **state)
{
    struct world *w = *state;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    w->verdict = WORLD_AGAIN;
    world_work(w, &w->report, 11000);
    assert_int_equal(w->n_posts, 3);
    w->verdict = WORLD_DELIVERED;
    world_work(w, &w->report, 10000);
    assert_int_equal(w->n_posts, 4);
    assert_string_equal(w->posts[0].message_id, w->posts[3].message_id);
    world_work(w, &w->report, 100000);
    assert_int_equal(w->n_posts, 4);
}

static void a_dead_report_can_be_requeued(void **state)
{
    struct world *w = *state;
    struct rb_err err;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;

    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    assert_true(world_round(&w->submit));
    w->verdict = WORLD_DEAD;
    world_work(w, &w->report, 100000);
    assert_int_equal(w->n_posts, 1);
    w->verdict = WORLD_DELIVERED;
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_REQUEUE, "ann", &r, &err), RB_OK);
    world_work(w, &w->report, 1000);
    assert_int_equal(w->n_posts, 2);
}

static void who_asked_is_called_back(void **state)
{
    struct world *w = *state;
    unsigned callbacks = 0;

    (void)world_ask(w, world_failed(w, "web", "main"), NULL, false, id);
    assert_true(world_round(&w->inspect));
    assert_true(world_round(&w->submit));
    world_work(w, &w->report, 1000);
    for (unsigned i = 0; i < w->n_posts; i++) {
        callbacks += strcmp(w->posts[i].destination, RB_CALLBACK_DESTINATION) == 0 ? 1 : 0;
    }
    assert_int_equal(callbacks, 1);
    assert_int_equal(w->n_posts, 2);
}

/* ---- threads ---- */

static void workers_start_and_stop_in_time(void **state)
{
    struct world *w = *state;
    struct rb_err err;

    assert_int_equal(rb_engine_start(w->engine, &err), RB_OK);
    assert_true(rb_engine_stop(w->engine, 10000));
    assert_true(w->engine->n_workers > 10);
}

static void settings_can_be_changed_while_in_use(void **state)
{
    struct world *w = *state;
    struct rb_err err;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *before = rb_engine_settings(w->engine);

    assert_int_equal(rb_engine_reload(w->engine, w->settings, &err), RB_OK);
    assert_int_equal(w->engine->runtime->generation, 2);
    assert_ptr_equal(before, w->settings);
    assert_int_equal(w->submit.rt->generation, 1); /* work under way keeps the old ones */
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_decision_to_ignore_is_stored_and_ends_it),
        T(a_decision_to_ask_is_held_and_reported),
        T(an_event_without_relevance_is_no_admission),
        T(a_delay_of_the_rule_is_waited),
        T(a_bare_event_is_inspected_and_then_decided),
        T(a_person_is_answered_at_once),
        T(a_token_with_another_build_is_a_mismatch),
        T(a_person_may_retry_what_is_not_the_newest),
        T(a_running_build_is_refused_to_a_person),
        T(a_running_build_is_looked_at_again_for_an_event),
        T(an_unknown_build_is_refused),
        T(a_look_that_fails_is_repeated_until_it_does_not),
        T(a_child_that_fails_is_the_next_attempt),
        T(the_event_of_a_childs_failure_starts_no_chain),
        T(the_event_of_a_childs_success_wakes_the_follower),
        T(a_woken_follower_asks_again_soon),
        T(a_stopped_child_ends_the_chain),
        T(a_child_that_vanished_is_dead_in_the_end),
        T(many_children_are_asked_for_in_one_call),
        T(a_child_that_fails_before_it_is_known_stays_in_its_chain),
        T(the_retry_of_an_early_failure_takes_the_chain_over),
        T(a_failure_that_nobody_delivered_is_found),
        T(a_delivery_gets_its_fair_chance_before_the_sweep),
        T(the_sweep_knows_our_children_and_old_builds),
        T(verbs_are_refused_where_the_state_does_not_allow_them),
        T(a_cancelled_retry_makes_no_call_and_is_reported),
        T(every_stage_is_reported_in_order),
        T(a_receiver_that_is_down_is_asked_again_with_the_same_message),
        T(a_dead_report_can_be_requeued),
        T(who_asked_is_called_back),
        T(workers_start_and_stop_in_time),
        T(settings_can_be_changed_while_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
