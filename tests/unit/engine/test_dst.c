/* The simulation of dst.h must start no second build; and it must see one when a rule is off. */
#include "dst.h"

#include <retrybuild/cleanup.h>

#define SEEDS 20000
#define SEEDS_FOR_A_MUTANT 20000

static void no_seed_starts_two_builds_and_every_life_ends(void **state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();
    unsigned by_state[RB_STATE_COUNT] = {0}, started = 0, resent = 0;

    (void)state;
    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct dst_outcome o = dst_live(seed, NO_MUTANT, scratch);
        if (o.effects > 1) {
            fail_msg("seed %llu starts %u builds", (unsigned long long)seed, o.effects);
        }
        if (!o.ended) {
            fail_msg("seed %llu is %s at the horizon", (unsigned long long)seed,
                     rb_state_name(o.state));
        }
        by_state[o.state]++;
        started += o.effects;
        resent += o.resent ? 1 : 0;
    }
    /* The simulation goes to the places it is about. */
    assert_true(started > SEEDS / 2);
    assert_true(resent > SEEDS / 50);
    assert_true(by_state[RB_STATE_RUNNING] > SEEDS / 2);
    assert_true(by_state[RB_STATE_SUPERSEDED] > 0);
    assert_true(by_state[RB_STATE_HELD] > 0);
    print_message("%u seeds: %u running, %u superseded, %u held, %u refused, %u dead, %u resent\n",
                  (unsigned)SEEDS, by_state[RB_STATE_RUNNING], by_state[RB_STATE_SUPERSEDED],
                  by_state[RB_STATE_HELD], by_state[RB_STATE_REFUSED], by_state[RB_STATE_DEAD],
                  resent);
}

static void the_same_seed_lives_the_same_life(void **state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    (void)state;
    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct dst_outcome a = dst_live(seed, NO_MUTANT, scratch),
                           b = dst_live(seed, NO_MUTANT, scratch);
        assert_int_equal(a.effects, b.effects);
        assert_int_equal(a.state, b.state);
    }
}

static void must_find(enum mutant mutant, const char *name)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *scratch = rb_retry_new();

    assert_non_null(scratch);
    scratch->build.id = "web:own";
    for (uint64_t seed = 1; seed <= SEEDS_FOR_A_MUTANT; seed++) {
        if (dst_live(seed, mutant, scratch).effects > 1) {
            print_message("%s: two builds at seed %llu\n", name, (unsigned long long)seed);
            return;
        }
    }
    fail_msg("%s: nothing found", name);
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
