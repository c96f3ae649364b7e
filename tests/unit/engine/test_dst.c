/* The simulation of dst.h must start no second build; and it must see one when a rule is off. */
#include "dst.h"

#include <retrybuild/cleanup.h>

#define SEEDS 20000
#define SEEDS_OF_NAMES 2500
#define SEEDS_FOR_A_MUTANT 20000

struct totals {
    unsigned by_state[RB_STATE_COUNT], started, resent, wrongly_adopted;
};

static void live_all(enum naming naming, unsigned seeds, struct totals *t)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    *t = (struct totals){.started = 0};
    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct dst_outcome o = dst_live(seed, NO_MUTANT, naming, scratch);
        if (o.effects > 1) {
            fail_msg("seed %llu starts %u builds", (unsigned long long)seed, o.effects);
        }
        if (!o.ended) {
            fail_msg("seed %llu is %s at the horizon", (unsigned long long)seed,
                     rb_state_name(o.state));
        }
        t->by_state[o.state]++;
        t->started += o.effects;
        t->resent += o.resent ? 1 : 0;
        t->wrongly_adopted += o.wrongly_adopted;
    }
    /* The simulation goes to the places it is about. */
    assert_true(t->started > seeds / 2);
    assert_true(t->resent > seeds / 50);
    assert_true(t->by_state[RB_STATE_RUNNING] > seeds / 2);
    assert_true(t->by_state[RB_STATE_SUPERSEDED] > 0);
    print_message("%u seeds: %u running, %u superseded, %u held, %u refused, %u dead, %u resent, "
                  "%u adopted that were not ours\n",
                  seeds, t->by_state[RB_STATE_RUNNING], t->by_state[RB_STATE_SUPERSEDED],
                  t->by_state[RB_STATE_HELD], t->by_state[RB_STATE_REFUSED],
                  t->by_state[RB_STATE_DEAD], t->resent, t->wrongly_adopted);
}

static void no_seed_starts_two_builds_and_every_life_ends(void **state)
{
    struct totals t;

    (void)state;
    live_all(NO_NAMES, SEEDS, &t);
    assert_true(t.by_state[RB_STATE_HELD] > 0);
}

/* Somebody else's builds of the same version confuse nobody: none is adopted, no person is asked.
 */
static void where_builds_name_their_retry_none_is_taken_for_ours_and_nobody_is_asked(void **state)
{
    struct totals t;

    (void)state;
    live_all(NO_NAMES, SEEDS_OF_NAMES, &t);
    assert_true(t.wrongly_adopted > 0 && t.by_state[RB_STATE_HELD] > 0); /* what names are for */
    live_all(NAMED, SEEDS_OF_NAMES, &t);
    assert_int_equal(t.wrongly_adopted, 0);
    assert_int_equal(t.by_state[RB_STATE_HELD], 0);
}

static void a_codebuild_that_leaves_the_session_out_leads_to_no_second_build(void **state)
{
    struct totals t;

    (void)state;
    live_all(ONLY_THE_ROLE, SEEDS_OF_NAMES, &t);
    assert_int_equal(t.wrongly_adopted, 0); /* "ann" is not the role */
}

static void the_same_seed_lives_the_same_life(void **state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    (void)state;
    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct dst_outcome a = dst_live(seed, NO_MUTANT, NO_NAMES, scratch),
                           b = dst_live(seed, NO_MUTANT, NO_NAMES, scratch);
        assert_int_equal(a.effects, b.effects);
        assert_int_equal(a.state, b.state);
    }
}

/* Names do not stand in for a rule: they are found missing in either naming. */
static void must_find(enum mutant mutant, const char *name)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (enum naming naming = NO_NAMES; naming <= NAMED; naming++) {
        uint64_t seed = 1;
        while (seed <= SEEDS_FOR_A_MUTANT && dst_live(seed, mutant, naming, scratch).effects <= 1) {
            seed++;
        }
        if (seed > SEEDS_FOR_A_MUTANT) {
            fail_msg("%s: nothing found%s", name, naming == NAMED ? " in exact mode" : "");
        }
        print_message("%s: two builds at seed %llu\n", name, (unsigned long long)seed);
    }
}

static void writes_without_a_fence_are_found(void **state)
{
    (void)state;
    must_find(UNFENCED, "unfenced writes");
}

static void calls_before_the_intent_are_found(void **state)
{
    (void)state;
    must_find(INTENT_AFTER, "no intent before the call");
}

static void resends_with_a_new_date_are_found(void **state)
{
    (void)state;
    must_find(RESIGNED, "re-signed resends");
}

static void sends_without_a_mark_are_found(void **state)
{
    (void)state;
    must_find(UNMARKED, "not marked before the wire");
}

static void resends_beyond_the_window_are_found(void **state)
{
    (void)state;
    must_find(ENDLESS_RESEND, "endless resends");
}

static void early_conclusions_are_found(void **state)
{
    (void)state;
    must_find(CONCLUDED_EARLY, "concluded too early");
}

static void conclusions_without_a_look_are_found(void **state)
{
    (void)state;
    must_find(NOT_LOOKED, "concluded without a look");
}

static void a_lost_memory_without_quarantine_is_found(void **state)
{
    (void)state;
    must_find(NO_QUARANTINE, "no quarantine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_seed_starts_two_builds_and_every_life_ends),
        cmocka_unit_test(where_builds_name_their_retry_none_is_taken_for_ours_and_nobody_is_asked),
        cmocka_unit_test(a_codebuild_that_leaves_the_session_out_leads_to_no_second_build),
        cmocka_unit_test(the_same_seed_lives_the_same_life),
        cmocka_unit_test(writes_without_a_fence_are_found),
        cmocka_unit_test(calls_before_the_intent_are_found),
        cmocka_unit_test(resends_with_a_new_date_are_found),
        cmocka_unit_test(sends_without_a_mark_are_found),
        cmocka_unit_test(resends_beyond_the_window_are_found),
        cmocka_unit_test(early_conclusions_are_found),
        cmocka_unit_test(conclusions_without_a_look_are_found),
        cmocka_unit_test(a_lost_memory_without_quarantine_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
