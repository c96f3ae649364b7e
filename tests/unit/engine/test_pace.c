/* Turns of destinations: what 500 chains at once cost, and what a dead receiver costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pace.h"

#define CHAINS 500
#define T0 INT64_C(1900000000000)

struct queue { /* reports of one destination, each a chain's; due 0 = delivered */
    int64_t due_ms[CHAINS], first_due_ms;
    unsigned left, claims, posts, seats;
    int64_t starts_ms[2 * CHAINS];
};

static void fill(struct queue *q)
{
    *q = (struct queue){.left = CHAINS, .first_due_ms = T0};
    for (unsigned i = 0; i < CHAINS; i++) {
        q->due_ms[i] = T0;
    }
}

/* One round at @now_ms: everything that is due is claimed; @outcome is what each post brings. */
static void round_at(struct queue *q, struct rb_pace *p, const struct rb_pace_rule *rule,
                     const struct rb_pace_outcome *outcome, int64_t now_ms)
{
    for (unsigned i = 0; i < CHAINS; i++) {
        int64_t wait_ms = 0;
        if (q->due_ms[i] == 0 || q->due_ms[i] > now_ms) {
            continue;
        }
        q->claims++;
        if (rb_pace_take(p, rule, q->due_ms[i] > q->first_due_ms, now_ms, &wait_ms) != RB_TURN_GO) {
            assert_true(wait_ms >= 0);
            q->due_ms[i] = now_ms + (wait_ms > 0 ? wait_ms : 100);
            continue;
        }
        q->starts_ms[q->posts++] = now_ms;
        (void)rb_pace_leave(p, rule, outcome, now_ms);
        if (outcome->failed || outcome->pause_ms > 0) {
            q->due_ms[i] =
                now_ms + (outcome->pause_ms > 0 ? outcome->pause_ms : outcome->again_in_ms);
        } else {
            q->due_ms[i] = 0;
            q->left--;
        }
    }
}

static void a_distance_is_kept_by_500_chains_at_two_claims_each(void **state)
{
    struct queue q;
    struct rb_pace p = {.rows = NULL};
    const struct rb_pace_rule rule = {
        .destination = "ci", .most_in_flight = 4, .distance_ms = 1000};
    const struct rb_pace_outcome good = {.held_ms = 20};

    (void)state;
    fill(&q);
    for (int64_t now_ms = T0; q.left > 0 && now_ms < T0 + 600 * 1000; now_ms += 50) {
        round_at(&q, &p, &rule, &good, now_ms);
    }
    assert_int_equal(q.left, 0);
    for (unsigned i = 1; i < q.posts; i++) {
        assert_true(q.starts_ms[i] - q.starts_ms[i - 1] >= 1000);
    }
    assert_true(q.starts_ms[q.posts - 1] <= T0 + (CHAINS + 10) * INT64_C(1000));
    assert_true(q.claims <= 2 * CHAINS);
    rb_pace_release(&p);
}

static void a_rate_limit_holds_all_chains_without_a_loop(void **state)
{
    struct queue q;
    struct rb_pace p = {.rows = NULL};
    const struct rb_pace_rule rule = {.destination = "ci", .most_in_flight = 4};
    const struct rb_pace_outcome limited = {.pause_ms = 30000}, good = {.held_ms = 20};

    (void)state;
    fill(&q);
    round_at(&q, &p, &rule, &limited, T0);
    assert_int_equal(q.posts, 1); /* the first is refused: the other 499 stay at home */
    for (int64_t now_ms = T0 + 100; now_ms < T0 + 30000; now_ms += 100) {
        round_at(&q, &p, &rule, &good, now_ms);
    }
    assert_int_equal(q.posts, 1);
    assert_int_equal(q.claims, CHAINS);
    for (int64_t now_ms = T0 + 30000; q.left > 0 && now_ms < T0 + 60000; now_ms += 100) {
        round_at(&q, &p, &rule, &good, now_ms);
    }
    assert_int_equal(q.left, 0);
    assert_true(q.claims <= 3 * CHAINS);
    rb_pace_release(&p);
}

static void a_dead_receiver_is_tried_by_one_report_at_a_time(void **state)
{
    struct queue q;
    struct rb_pace p = {.rows = NULL};
    const struct rb_pace_rule rule = {.destination = "ci", .most_in_flight = 4};
    const struct rb_pace_outcome bad = {.failed = true, .again_in_ms = 600000};
    const struct rb_pace_outcome good = {.held_ms = 20};

    (void)state;
    fill(&q);
    for (int64_t now_ms = T0; now_ms < T0 + 600000; now_ms += 100) {
        round_at(&q, &p, &rule, &bad, now_ms);
    }
    assert_in_range(q.posts, RB_PACE_BREAKER_FAILED, RB_PACE_BREAKER_FAILED + 11);
    for (int64_t now_ms = T0 + 600000; q.left > 0 && now_ms < T0 + 1300000; now_ms += 100) {
        round_at(&q, &p, &rule, &good, now_ms);
    }
    assert_int_equal(q.left, 0);
    rb_pace_release(&p);
}

static void the_breaker_opens_and_closes_once(void **state)
{
    struct rb_pace p = {.rows = NULL};
    const struct rb_pace_rule rule = {.destination = "ci", .most_in_flight = 4};
    const struct rb_pace_outcome bad = {.failed = true, .again_in_ms = 1000}, good = {.held_ms = 1};
    int64_t wait_ms = 0, now_ms = T0;

    (void)state;
    for (int i = 1; i <= RB_PACE_BREAKER_FAILED + 2; i++) {
        assert_int_equal(rb_pace_take(&p, &rule, true, now_ms, &wait_ms), RB_TURN_GO);
        assert_int_equal(rb_pace_leave(&p, &rule, &bad, now_ms),
                         i == RB_PACE_BREAKER_FAILED ? RB_PACE_OPENED : RB_PACE_SAME);
        now_ms += 1000;
    }
    assert_int_equal(rb_pace_take(&p, &rule, true, now_ms, &wait_ms), RB_TURN_GO);
    assert_int_equal(rb_pace_take(&p, &rule, true, now_ms, &wait_ms), RB_TURN_WAIT);
    assert_int_equal(rb_pace_leave(&p, &rule, &good, now_ms), RB_PACE_CLOSED);
    assert_int_equal(rb_pace_take(&p, &rule, false, now_ms, &wait_ms), RB_TURN_GO);
    assert_int_equal(rb_pace_take(&p, &rule, false, now_ms, &wait_ms), RB_TURN_GO);
    rb_pace_release(&p);
}

static void what_is_gone_stays_off_until_it_is_switched_on(void **state)
{
    struct rb_pace p = {.rows = NULL};
    struct rb_pace_rule rule = {.destination = "ci", .most_in_flight = 4, .generation = 1};
    const struct rb_pace_rule other = {.destination = "chat", .most_in_flight = 4};
    const struct rb_pace_outcome gone = {.gone = true};
    int64_t wait_ms = 0;

    (void)state;
    assert_int_equal(rb_pace_take(&p, &rule, false, T0, &wait_ms), RB_TURN_GO);
    assert_int_equal(rb_pace_leave(&p, &rule, &gone, T0), RB_PACE_OFF);
    assert_int_equal(rb_pace_take(&p, &rule, false, T0 + 1, &wait_ms), RB_TURN_OFF);
    assert_int_equal(rb_pace_take(&p, &other, false, T0 + 1, &wait_ms), RB_TURN_GO);
    assert_false(rb_pace_set_off(&p, "ci", true)); /* no news */
    rule.generation = 2;
    assert_int_equal(rb_pace_take(&p, &rule, false, T0 + 2, &wait_ms), RB_TURN_OFF);
    assert_true(rb_pace_set_off(&p, "ci", false));
    assert_int_equal(rb_pace_take(&p, &rule, false, T0 + 2, &wait_ms), RB_TURN_GO);
    rule.generation = 3; /* what was posted under older settings says nothing about these */
    assert_int_equal(rb_pace_take(&p, &rule, false, T0 + 2, &wait_ms), RB_TURN_GO);
    rule.generation = 2;
    assert_int_equal(rb_pace_leave(&p, &rule, &gone, T0), RB_PACE_SAME);
    assert_true(rb_pace_set_off(&p, "never posted to", true));
    rb_pace_release(&p);
}

static void one_caller_that_is_gone_says_nothing_about_the_rest(void **state)
{
    struct rb_pace p = {.rows = NULL};
    const struct rb_pace_rule rule = {
        .destination = "callback_url", .most_in_flight = 4, .many_receivers = true};
    const struct rb_pace_outcome gone = {.gone = true, .pause_ms = 60000};
    int64_t wait_ms = 0;

    (void)state;
    assert_int_equal(rb_pace_take(&p, &rule, false, T0, &wait_ms), RB_TURN_GO);
    assert_int_equal(rb_pace_leave(&p, &rule, &gone, T0), RB_PACE_SAME);
    assert_int_equal(rb_pace_take(&p, &rule, false, T0, &wait_ms), RB_TURN_GO);
    rb_pace_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_distance_is_kept_by_500_chains_at_two_claims_each),
        cmocka_unit_test(a_rate_limit_holds_all_chains_without_a_loop),
        cmocka_unit_test(a_dead_receiver_is_tried_by_one_report_at_a_time),
        cmocka_unit_test(the_breaker_opens_and_closes_once),
        cmocka_unit_test(what_is_gone_stays_off_until_it_is_switched_on),
        cmocka_unit_test(one_caller_that_is_gone_says_nothing_about_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
