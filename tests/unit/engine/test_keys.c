/* By which keys a delivery is known when it comes again. */
#include "world.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
