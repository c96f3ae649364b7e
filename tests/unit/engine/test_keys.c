/* By which keys a delivery is known when it comes again. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static char id[RB_ID_BYTES];
static char other_id[RB_ID_BYTES];

/* has_delivery_key - does the admission of a failure of @b that says to have happened at @at_ms
 * carry one? */
static bool has_delivery_key(struct world *w, const struct world_build *b, int64_t at_ms, bool bare)
{
    struct rb_admission *a = NULL;
    struct rb_err err;
    const struct rb_event ev = {
        .kind = RB_EVENT_FAILURE, .build = b->b, .needs_inspection = bare, .at_ms = at_ms};
    const struct rb_delivery d = {.source = "eventbridge", .type = "eventbridge", .key = "k"};

    assert_int_equal(rb_engine_admission_new(w->engine, &ev, &d, &a, &err), RB_OK);
    bool has = a->delivery_key != NULL;
    rb_engine_admission_free(a);
    return has;
}

static void an_event_that_says_when_it_was_is_known_by_its_build(void **state)
{
    struct world *w = *state;
    const struct world_build *b = world_failed(w, "web", "main");

    assert_false(has_delivery_key(w, b, w->now_ms - 1000, false));
    assert_int_equal(world_deliver(w, b, "d1", id), RB_ADMIT_NEW);
    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->duplicates, 1);
}

static void one_without_a_time_or_with_one_to_come_is_known_by_its_delivery_too(void **state)
{
    struct world *w = *state;
    const struct world_build *b = world_failed(w, "web", "main");

    assert_true(has_delivery_key(w, b, 0, false));
    assert_true(has_delivery_key(w, b, w->now_ms + 3600000, false));
    assert_true(has_delivery_key(w, b, w->now_ms - 1000, true));
}

static void where_old_events_still_count_each_is_known_by_its_delivery(void **state)
{
    struct world *w = *state;
    const struct world_build *b = world_failed(w, "web", "main");

    w->settings->timing.max_event_age_ms = w->settings->timing.effect_ttl_ms;
    assert_true(has_delivery_key(w, b, w->now_ms - 1000, false));
}

static void a_claim_that_is_not_so_is_in_no_failure_s_way(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");
    const char *commit = b->b.resolved_version;

    b->b.resolved_version = "1111111111111111111111111111111111111111";
    assert_int_equal(world_deliver_bare(w, b, "d1", id), RB_ADMIT_NEW);
    b->b.resolved_version = "2222222222222222222222222222222222222222";
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_REFUSED);
    b->b.resolved_version = commit;
    assert_int_equal(world_deliver(w, b, "d2", other_id), RB_ADMIT_NEW);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
}

/* told_by - what becomes of a failure that only names its build and commit, by another source. */
static enum rb_admit_result told_by(struct world *w, const struct world_build *b,
                                    const char *source, const char *key, char ret_id[RB_ID_BYTES])
{
    struct rb_admission *a = NULL;
    struct rb_err err;
    const struct rb_event ev = {
        .kind = RB_EVENT_FAILURE, .build = b->b, .needs_inspection = true, .at_ms = w->now_ms};
    const struct rb_delivery d = {.source = source, .type = "github", .key = key};

    assert_int_equal(rb_engine_admission_new(w->engine, &ev, &d, &a, &err), RB_OK);
    assert_int_equal(rb_store_admit(w->ses, &a, 1, w->now_ms, &err), RB_OK);
    enum rb_admit_result result = a->result;
    memcpy(ret_id, a->retry_id, RB_ID_BYTES);
    rb_engine_admission_free(a);
    return result;
}

static void who_tells_the_truth_while_a_claim_is_looked_at_is_not_lost(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    b->b.resolved_version = "1111111111111111111111111111111111111111";
    assert_int_equal(told_by(w, b, "github", "d1", id), RB_ADMIT_NEW);
    assert_int_equal(told_by(w, b, "github", "d2", other_id), RB_ADMIT_DUPLICATE);
    b->b.resolved_version = "2222222222222222222222222222222222222222";
    assert_int_equal(world_deliver(w, b, "d3", other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_REFUSED);
    assert_true(world_round(&w->inspect));
    assert_int_equal(world_deliver(w, b, "d4", other_id), RB_ADMIT_DUPLICATE);
    assert_string_not_equal(id, other_id);
    world_expect(w, other_id, RB_STATE_SCHEDULED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, other_id);
    assert_string_equal(r->source.source, "eventbridge");
    assert_string_equal(r->build.id, b->id);
}

static void a_claim_that_comes_twice_is_no_truth(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");

    b->b.resolved_version = "1111111111111111111111111111111111111111";
    assert_int_equal(told_by(w, b, "github", "d1", id), RB_ADMIT_NEW);
    assert_int_equal(told_by(w, b, "github", "d2", other_id), RB_ADMIT_DUPLICATE);
    b->b.resolved_version = "2222222222222222222222222222222222222222";
    assert_true(world_round(&w->inspect));
    world_expect(w, id, RB_STATE_REFUSED);
    assert_false(world_round(&w->inspect));
    assert_int_equal(told_by(w, b, "github", "d3", other_id), RB_ADMIT_NEW);
}

static void a_build_that_still_runs_may_fail_later(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_started(w, "web", "main");

    struct world_build said = *b;
    said.b.status = "FAILED";
    said.b.ended_ms = w->now_ms;
    assert_int_equal(world_deliver_bare(w, &said, "d1", id), RB_ADMIT_NEW);
    world_work(w, &w->inspect, 10000);
    world_expect(w, id, RB_STATE_IGNORED);
    world_end(w, b, "FAILED");
    assert_int_equal(world_deliver(w, b, "d2", other_id), RB_ADMIT_NEW);
}

/* ask - a person asks for @b by its id alone: whose build it is nobody could say. */
static void ask(struct world *w, const struct world_build *b, bool force, char ret_id[RB_ID_BYTES])
{
    struct world_build bare = *b;

    bare.b.account = NULL;
    bare.b.arn = NULL;
    assert_int_equal(world_ask(w, &bare, NULL, force, ret_id), RB_ADMIT_NEW);
}

/* look - CodeBuild is asked, then what is due is done. */
static void look(struct world *w)
{
    world_work(w, &w->inspect, 1000);
    world_work(w, &w->submit, 1000);
}

static void whose_build_it_is_is_learnt_and_its_event_is_known(void **state)
{
    struct world *w = *state;
    const struct world_build *b = world_failed(w, "web", "main");

    ask(w, b, false, id);
    look(w);
    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_DUPLICATE);
    assert_string_equal(id, other_id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_string_equal(r->build.account, WORLD_ACCOUNT);
    assert_int_equal(w->n_effects, 1);
}

/* The event comes while CodeBuild is away: it has a retry of its own, and one of the two goes. */
static void event_and_person_have_one_effect(struct world *w, bool force)
{
    const struct world_build *b = world_failed(w, "web", "main");

    w->get_rc = RB_E_UNAVAIL;
    ask(w, b, force, id);
    world_work(w, &w->inspect, 500);
    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_NEW);
    world_work(w, &w->submit, 500); /* it cannot look either */
    w->get_rc = RB_OK;
    world_work(w, &w->inspect, 120000);
}

static void what_an_event_told_meanwhile_is_not_done_twice(void **state)
{
    struct world *w = *state;
    char note[80];

    event_and_person_have_one_effect(w, false);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    snprintf(note, sizeof(note), "%s is the retry of this build already", other_id);
    assert_true(world_noted(w, id, note));
    world_work(w, &w->submit, 120000);
    assert_int_equal(w->n_effects, 1);
    world_expect(w, other_id, RB_STATE_RUNNING);
}

static void force_is_one_more_also_where_the_account_was_not_said(void **state)
{
    struct world *w = *state;

    event_and_person_have_one_effect(w, true);
    world_work(w, &w->submit, 120000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_not_equal(r->state, RB_STATE_SUPERSEDED);
    assert_true(w->n_effects >= 1);
}

/* The event's retry lived when the person asked, and has ended by the time CodeBuild answers. */
static void what_has_ended_since_somebody_asked_is_not_done_twice(void **state)
{
    struct world *w = *state;
    const struct world_build *b = world_failed(w, "web", "main");

    ask(w, b, false, id);
    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_NEW);
    world_work(w, &w->submit, 1000);
    world_end(w, world_child_of(w, other_id), "SUCCEEDED");
    world_work(w, &w->follow, 120000);
    world_expect(w, other_id, RB_STATE_RECOVERED);
    world_work(w, &w->inspect, 1000);
    world_expect(w, id, RB_STATE_SUPERSEDED);
    assert_int_equal(w->n_effects, 1);
}

/* Who asks for what has ended gets a new one, as with the account. */
static void what_had_ended_before_is_done_again(void **state)
{
    struct world *w = *state;
    const struct world_build *b = world_failed(w, "web", "main");
    char third[RB_ID_BYTES];

    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_NEW);
    world_work(w, &w->submit, 1000);
    world_end(w, world_child_of(w, other_id), "SUCCEEDED");
    world_work(w, &w->follow, 120000);
    world_expect(w, other_id, RB_STATE_RECOVERED);
    world_pass(w, 1000);
    ask(w, b, false, id);
    look(w);
    world_expect(w, id, RB_STATE_RUNNING);
    assert_int_equal(world_deliver(w, b, "d2", third), RB_ADMIT_DUPLICATE);
    assert_string_equal(third, id);
}

static void a_build_that_still_runs_gives_the_key_back(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_started(w, "web", "main");

    ask(w, b, false, id);
    world_work(w, &w->inspect, 1000);
    world_expect(w, id, RB_STATE_REFUSED);
    world_end(w, b, "FAILED");
    assert_int_equal(world_deliver(w, b, "d1", other_id), RB_ADMIT_NEW);
}

static void a_claim_of_another_account_is_in_no_failure_s_way(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");
    struct world_build claim = *b;

    world_move(&claim, "999999999999");
    assert_int_equal(world_deliver_bare(w, &claim, "d1", id), RB_ADMIT_NEW);
    assert_int_equal(world_deliver(w, b, "d2", other_id), RB_ADMIT_NEW);
    assert_string_not_equal(id, other_id);
    world_work(w, &w->submit, 1000);
    world_expect(w, other_id, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_event_that_says_when_it_was_is_known_by_its_build),
        T(one_without_a_time_or_with_one_to_come_is_known_by_its_delivery_too),
        T(where_old_events_still_count_each_is_known_by_its_delivery),
        T(a_claim_that_is_not_so_is_in_no_failure_s_way),
        T(who_tells_the_truth_while_a_claim_is_looked_at_is_not_lost),
        T(a_claim_that_comes_twice_is_no_truth),
        T(a_build_that_still_runs_may_fail_later),
        T(whose_build_it_is_is_learnt_and_its_event_is_known),
        T(what_an_event_told_meanwhile_is_not_done_twice),
        T(force_is_one_more_also_where_the_account_was_not_said),
        T(what_has_ended_since_somebody_asked_is_not_done_twice),
        T(what_had_ended_before_is_done_again),
        T(a_build_that_still_runs_gives_the_key_back),
        T(a_claim_of_another_account_is_in_no_failure_s_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
