/* The rates by themselves: hours of a limited AWS pass in milliseconds, for time is an argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "../../../lib/aws/rates.h"

#define HOUR_MS (3600 * 1000)
#define IN_A_ROW(b, at_ms, n)                                 \
    do {                                                      \
        for (int i_ = 0; i_ < (n); i_++) {                    \
            assert_int_equal(rb_bucket_take(b, at_ms, 0), 0); \
        }                                                     \
        assert_int_equal(rb_bucket_take(b, at_ms, 0), -1);    \
    } while (0)

static void a_burst_passes_and_the_rest_is_spread(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 5, 3, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rb_bucket_take(&b, 0, 1000), 0);
    }
    assert_in_range(rb_bucket_take(&b, 0, 1000), 200, 201);
    assert_in_range(rb_bucket_take(&b, 0, 1000), 400, 401);
    assert_int_equal(rb_bucket_take(&b, 0, 500), -1);
    assert_in_range(rb_bucket_wait_ms(&b, 0), 600, 601);
    assert_in_range(rb_bucket_take(&b, 0, 1000), 600, 601);
    assert_int_equal(rb_bucket_take(&b, 1000, 0), 0);
    assert_int_equal(rb_bucket_take(&b, 1000, 0), 0);
    assert_int_equal(rb_bucket_take(&b, 1000, 0), -1);
    IN_A_ROW(&b, 100000, 3);                        /* never more than the burst */
    assert_int_equal(rb_bucket_take(&b, 0, 0), -1); /* a clock that stands still is no credit */
}

static void no_rate_is_no_limit_but_a_pause_that_aws_asks_for_holds(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 0, 0, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(rb_bucket_take(&b, 0, 0), 0);
    }
    rb_bucket_throttled(&b, 0, 2500);
    assert_int_equal(rb_bucket_take(&b, 0, 0), -1);
    assert_int_equal(rb_bucket_take(&b, 500, 60000), 2000);
    assert_int_equal(rb_bucket_take(&b, 2500, 0), 0);
}

static void a_throttle_cuts_the_rate_once_a_second_and_takes_the_savings(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 10, 20, 0);
    rb_bucket_throttled(&b, 0, -1);
    assert_true(b.rate > 6.99 && b.rate < 7.01);
    assert_int_equal(rb_bucket_take(&b, 0, 0), -1);
    rb_bucket_accepted(&b, 500);
    rb_bucket_throttled(&b, 999, -1); /* was under way when the rate was cut */
    assert_true(b.rate > 6.9);
    rb_bucket_throttled(&b, 1000, -1);
    assert_true(b.rate < 7.5 * RB_BUCKET_CUT);
}

static void what_was_cut_grows_back_to_the_configured_rate_and_not_beyond(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 10, 1, 0);
    rb_bucket_throttled(&b, 0, -1);
    (void)rb_bucket_wait_ms(&b, 3000);
    assert_true(b.rate > 8.1 && b.rate < 8.2);
    (void)rb_bucket_wait_ms(&b, 7200);
    assert_true(b.rate > 9.99 && b.rate <= 10);
    (void)rb_bucket_wait_ms(&b, HOUR_MS);
    assert_true(b.rate <= 10);
}

static void throttles_without_a_success_between_start_again_from_a_low_rate(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 16, 16, 0);
    rb_bucket_throttled(&b, 0, -1);
    rb_bucket_throttled(&b, 1000, -1);
    assert_true(b.rate == 1);
    assert_true(b.threshold > 7 && b.threshold < 9);
    (void)rb_bucket_wait_ms(&b, 3000); /* doubles every second … */
    assert_true(b.rate > 3.99 && b.rate < 4.01);
    (void)rb_bucket_wait_ms(&b, 5000); /* … up to where the trouble began, then slowly */
    assert_true(b.rate > b.threshold && b.rate < b.threshold + 1);
}

static void a_pause_that_aws_asks_for_is_kept_and_bounded(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 10, 10, 0);
    rb_bucket_throttled(&b, 0, 4000);
    assert_int_equal(rb_bucket_take(&b, 0, 3999), -1);
    assert_int_equal(rb_bucket_take(&b, 2000, 1999), -1);
    assert_in_range(rb_bucket_take(&b, 2000, 10000), 2100, 2200); /* and at the rate after it */
    rb_bucket_hold(&b, 10000, INT64_C(86400000));
    assert_in_range(rb_bucket_wait_ms(&b, 10000), RB_BUCKET_HOLD_MAX_MS - 1,
                    RB_BUCKET_HOLD_MAX_MS + 1000);
    rb_bucket_hold(&b, 10001, 5); /* a shorter one does not end it */
    assert_true(rb_bucket_wait_ms(&b, 10001) > RB_BUCKET_HOLD_MAX_MS - 1000);
}

/* An AWS that lets @limit calls a second pass and throttles @part of them whatever the rate. */
struct aws {
    double limit, part;
    double tokens;
    int64_t at_ms;
    uint64_t seed;
};
struct outcome {
    long sent, throttled;
    long most_in_a_second;
};

static double drawn(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static bool lets_pass(struct aws *a, int64_t at_ms)
{
    a->tokens += (double)(at_ms - a->at_ms) * a->limit / 1000.0;
    a->tokens = a->tokens > a->limit ? a->limit : a->tokens;
    a->at_ms = at_ms;
    if (a->tokens < 1 || drawn(&a->seed) < a->part) {
        return false;
    }
    a->tokens -= 1;
    return true;
}

/* Eight takers, from @from_ms on for @seconds; an answer comes after 1 ms. */
static struct outcome live_on(struct rb_bucket *b, struct aws *a, int64_t from_ms, int64_t seconds)
{
    struct outcome o = {0, 0, 0};
    int64_t at_ms = from_ms, second = 0;
    long in_second = 0;

    a->at_ms = from_ms;
    while (at_ms < from_ms + seconds * 1000) {
        int64_t wait_ms = rb_bucket_take(b, at_ms, 5000);
        at_ms += wait_ms < 0 ? 1000 : wait_ms + 1;
        if (wait_ms < 0) {
            continue;
        }
        if (at_ms / 1000 != second) {
            second = at_ms / 1000;
            in_second = 0;
        }
        o.most_in_a_second = ++in_second > o.most_in_a_second ? in_second : o.most_in_a_second;
        o.sent++;
        if (lets_pass(a, at_ms)) {
            rb_bucket_accepted(b, at_ms);
        } else {
            o.throttled++;
            rb_bucket_throttled(b, at_ms, -1);
        }
    }
    return o;
}

static struct outcome live_with(struct rb_bucket *b, double limit, int hours)
{
    struct aws a = {.limit = limit, .tokens = limit, .seed = 1};
    return live_on(b, &a, 0, (int64_t)hours * 3600);
}

static void hours_below_the_limit_of_aws_use_the_whole_configured_rate(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 5, 10, 0);
    struct outcome o = live_with(&b, 100, 3);
    assert_int_equal(o.throttled, 0);
    assert_in_range(o.sent, 3 * 3600 * 5 * 99 / 100, 3 * 3600 * 5 + 10);
    assert_true(o.most_in_a_second <= 15); /* the burst, once */
}

static void hours_above_the_limit_of_aws_use_most_of_it_with_few_throttles(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 50, 50, 0);
    struct outcome o = live_with(&b, 5, 3);
    long passed = o.sent - o.throttled;
    print_message("  %ld calls in 3 h, %ld throttled, limit 5/s\n", o.sent, o.throttled);
    assert_true(passed > 3 * 3600 * 5 * 8 / 10);
    assert_true(o.throttled * 12 < o.sent);
}

static void an_aws_that_throttles_everything_is_asked_rarely_and_comes_back(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 16, 16, 0);
    struct outcome o = live_with(&b, 0, 1);
    assert_int_equal(o.throttled, o.sent);
    assert_true(o.sent < 3600 * 3); /* not 16 a second */
    rb_bucket_accepted(&b, HOUR_MS);
    (void)rb_bucket_wait_ms(&b, HOUR_MS + 60000);
    assert_true(b.rate == 16);
}

static void throttles_at_random_leave_most_of_the_configured_rate(void **state)
{
    static const double rates[] = {5, 50, 500};
    static const double parts[] = {0.01, 0.05, 0.1, 0.2};

    (void)state;
    for (size_t r = 0; r < RB_ARRAY_LEN(rates); r++) {
        for (size_t p = 0; p < RB_ARRAY_LEN(parts); p++) {
            struct rb_bucket b;
            struct aws a = {.limit = 1e6, .tokens = 1e6, .part = parts[p], .seed = r * 10 + p};
            rb_bucket_init(&b, rates[r], 10, 0);
            struct outcome o = live_on(&b, &a, 0, 3600);
            double share = (double)o.sent / (3600 * rates[r]);
            /* A taker waits whole milliseconds, and one more for the answer. */
            double most = 1000 / (1000 / rates[r] + 1) / rates[r];
            print_message("  %.0f%% of %.0f/s throttled: %.0f%% of the rate\n", 100 * parts[p],
                          rates[r], 100 * share);
            assert_true(share > 0.75 * most);
        }
    }
}

static void a_limit_beside_throttles_at_random_is_found_and_kept(void **state)
{
    struct rb_bucket b;
    struct aws a = {.limit = 20, .tokens = 20, .part = 0.1, .seed = 3};

    (void)state;
    rb_bucket_init(&b, 100, 10, 0);
    struct outcome o = live_on(&b, &a, 0, 3600);
    print_message("  %ld calls in 1 h, %ld throttled, limit 20/s beside 10%%\n", o.sent,
                  o.throttled);
    assert_true(o.sent - o.throttled > 3600 * 20 * 7 / 10);
    assert_true(o.throttled * 3 < o.sent);
}

static void a_limit_that_comes_after_throttles_at_random_is_found_within_a_minute(void **state)
{
    struct rb_bucket b;
    struct aws a = {.limit = 1e6, .tokens = 1e6, .part = 0.2, .seed = 4};

    (void)state;
    rb_bucket_init(&b, 100, 10, 0);
    (void)live_on(&b, &a, 0, 600);
    assert_true(b.rate > 65);
    a.limit = a.tokens = 10;
    a.part = 0;
    (void)live_on(&b, &a, 600000, 60);
    struct outcome o = live_on(&b, &a, 660000, 3600);
    print_message("  then %ld calls in 1 h, %ld throttled, limit 10/s\n", o.sent, o.throttled);
    assert_true(o.sent - o.throttled > 3600 * 10 * 3 / 4);
    assert_true(o.throttled * 10 < o.sent);
}

static void when_throttles_at_random_end_the_first_one_counts_again(void **state)
{
    struct rb_bucket b;
    struct aws a = {.limit = 1e6, .tokens = 1e6, .part = 0.2, .seed = 5};

    (void)state;
    rb_bucket_init(&b, 50, 10, 0);
    (void)live_on(&b, &a, 0, 600);
    assert_true(b.floor > 0.05);
    a.part = 0;
    (void)live_on(&b, &a, 600000, 60);
    assert_true(b.floor == 0);
    double before = b.rate;
    rb_bucket_throttled(&b, 700000, -1);
    assert_true(b.rate < before * (RB_BUCKET_CUT + 0.01));
}

static void a_clock_far_ahead_of_the_last_call_is_no_trouble(void **state)
{
    struct rb_bucket b;

    (void)state;
    rb_bucket_init(&b, 5, 10, 0);
    rb_bucket_throttled(&b, 0, -1);
    IN_A_ROW(&b, INT64_C(1000) * 365 * 24 * HOUR_MS, 10);
    assert_true(b.rate == 5);
}

static void the_quota_is_spent_by_repetitions_and_earned_by_answers(void **state)
{
    struct rb_quota q = {.left = RB_QUOTA_FULL};
    int paid = 0;

    (void)state;
    while (rb_quota_spend(&q, RB_QUOTA_COST)) {
        paid++;
    }
    assert_int_equal(paid, RB_QUOTA_FULL / RB_QUOTA_COST);
    assert_false(rb_quota_spend(&q, RB_QUOTA_COST));
    for (int i = 0; i < RB_QUOTA_COST; i++) {
        rb_quota_earn(&q, 1);
    }
    assert_true(rb_quota_spend(&q, RB_QUOTA_COST));
    rb_quota_earn(&q, 100000);
    assert_int_equal(q.left, RB_QUOTA_FULL);
}

static void each_has_its_own_and_the_one_unused_longest_makes_room(void **state)
{
    struct rb_rates *r = rb_rates_new(5, 1);
    char region[32];

    (void)state;
    assert_non_null(r);
    assert_int_equal(rb_bucket_take(rb_rates_bucket(r, NULL, "a", "X", 0), 0, 0), 0);
    assert_int_equal(rb_bucket_take(rb_rates_bucket(r, NULL, "a", "X", 0), 0, 0), -1);
    assert_int_equal(rb_bucket_take(rb_rates_bucket(r, NULL, "a", "Y", 0), 0, 0), 0);
    assert_int_equal(rb_bucket_take(rb_rates_bucket(r, "1", "a", "X", 0), 0, 0), 0);
    assert_true(rb_quota_spend(rb_rates_quota(r, NULL, "a", 0), RB_QUOTA_FULL));
    assert_false(rb_quota_spend(rb_rates_quota(r, NULL, "a", 0), 1));
    assert_true(rb_quota_spend(rb_rates_quota(r, "1", "a", 0), 1));
    for (int i = 0; i < 3 * RB_RATES_MAX; i++) {
        snprintf(region, sizeof(region), "region-%d", i);
        assert_int_equal(rb_bucket_take(rb_rates_bucket(r, NULL, region, "X", 1 + i), 1 + i, 0), 0);
        (void)rb_rates_quota(r, NULL, region, 1 + i);
        (void)rb_rates_bucket(r, NULL, "a", "X", 1 + i); /* in use: stays */
        (void)rb_rates_quota(r, NULL, "a", 1 + i);
    }
    assert_true(rb_rates_bucket(r, NULL, "a", "X", 0)->filled_boot_ms == 0);
    assert_false(rb_quota_spend(rb_rates_quota(r, NULL, "a", 0), 1));
    rb_rates_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_the_rest_is_spread),
        cmocka_unit_test(no_rate_is_no_limit_but_a_pause_that_aws_asks_for_holds),
        cmocka_unit_test(a_throttle_cuts_the_rate_once_a_second_and_takes_the_savings),
        cmocka_unit_test(what_was_cut_grows_back_to_the_configured_rate_and_not_beyond),
        cmocka_unit_test(throttles_without_a_success_between_start_again_from_a_low_rate),
        cmocka_unit_test(a_pause_that_aws_asks_for_is_kept_and_bounded),
        cmocka_unit_test(hours_below_the_limit_of_aws_use_the_whole_configured_rate),
        cmocka_unit_test(hours_above_the_limit_of_aws_use_most_of_it_with_few_throttles),
        cmocka_unit_test(an_aws_that_throttles_everything_is_asked_rarely_and_comes_back),
        cmocka_unit_test(throttles_at_random_leave_most_of_the_configured_rate),
        cmocka_unit_test(a_limit_beside_throttles_at_random_is_found_and_kept),
        cmocka_unit_test(a_limit_that_comes_after_throttles_at_random_is_found_within_a_minute),
        cmocka_unit_test(when_throttles_at_random_end_the_first_one_counts_again),
        cmocka_unit_test(a_clock_far_ahead_of_the_last_call_is_no_trouble),
        cmocka_unit_test(the_quota_is_spent_by_repetitions_and_earned_by_answers),
        cmocka_unit_test(each_has_its_own_and_the_one_unused_longest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
