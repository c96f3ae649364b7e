/* What happens around the call: admission, inspection, the sweep, people, reports. */
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

static void who_clicks_twice_gets_one_retry_even_by_force(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");
    struct rb_runtime *rt = rb_runtime_get(w->engine);

    rt->settings->timing.double_click_ms = 10000;
    assert_int_equal(world_ask(w, b, NULL, true, id), RB_ADMIT_NEW);
    w->now_ms += 9999;
    assert_int_equal(world_ask(w, b, NULL, true, other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    w->now_ms += 1;
    assert_int_equal(world_ask(w, b, NULL, true, other_id), RB_ADMIT_NEW);
    rb_runtime_unref(rt);
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

static void a_build_that_may_not_be_seen_spoils_no_other(void **state)
{
    struct world *w = *state;
    char ids[9][RB_ID_BYTES];

    for (int i = 0; i < 9; i++) {
        char key[16];
        struct world_build *b = world_failed(w, i == 4 ? "secret" : "web", "main");
        b->denied = i == 4;
        snprintf(key, sizeof(key), "d%d", i);
        assert_int_equal(world_deliver_bare(w, b, key, ids[i]), RB_ADMIT_NEW);
    }
    assert_true(world_round(&w->inspect));
    for (int i = 0; i < 9; i++) {
        world_expect(w, ids[i], i == 4 ? RB_STATE_REFUSED : RB_STATE_SCHEDULED);
    }
    assert_true(world_noted(w, ids[4], "not authorized"));
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

/* ---- sweep ---- */

static void a_failure_that_nobody_delivered_is_found(void **state)
{
    struct world *w = *state;

    (void)world_failed(w, "web", "main");
    (void)world_started(w, "web", "dev");
    world_pass(w, 20000);
    assert_false(world_round(&w->sweep));
    world_newest(w, id);
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
    world_end(w, world_child_of(w, id), "FAILED");
    struct world_build *old = world_failed(w, "web", "dev");
    old->b.started_ms -= 7 * 3600 * 1000;
    old->b.ended_ms -= 7 * 3600 * 1000;
    world_pass(w, 20000);
    (void)world_round(&w->sweep);
    world_newest(w, other_id);
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
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_APPROVE, "ann", &r, &err),
                     RB_E_CONFLICT);
    world_end(w, world_child_of(w, id), "SUCCEEDED");
    world_work(w, &w->follow, 60000);
    assert_int_equal(rb_engine_act(w->engine, w->ses, id, RB_VERB_CANCEL, "ann", &r, &err),
                     RB_E_CONFLICT);
    assert_non_null(strstr(err.msg, "held or running"));
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
    world_end(w, world_child_of(w, id), "SUCCEEDED");
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
        T(who_clicks_twice_gets_one_retry_even_by_force),
        T(a_token_with_another_build_is_a_mismatch),
        T(a_person_may_retry_what_is_not_the_newest),
        T(a_running_build_is_refused_to_a_person),
        T(a_running_build_is_looked_at_again_for_an_event),
        T(an_unknown_build_is_refused),
        T(a_build_that_may_not_be_seen_spoils_no_other),
        T(a_look_that_fails_is_repeated_until_it_does_not),
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
