/* test_random.c - numbers below a bound, bytes and ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <retrybuild/random.h>

static uint64_t constant(void *arg)
{
    return *(const uint64_t *)arg;
}

static void numbers_stay_below_their_bound(void **state)
{
    (void)state;
    const struct rb_random *r = rb_random_system();
    unsigned seen = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t v = rb_random_below(r, 7);
        assert_in_range(v, 0, 6);
        seen |= 1U << v;
    }
    assert_int_equal(seen, 127);
    assert_int_equal(rb_random_below(r, 0), 0);
    assert_int_equal(rb_random_below(r, 1), 0);
}

static void a_constant_source_gives_the_ends_and_does_not_loop(void **state)
{
    (void)state;
    uint64_t low = 0;
    uint64_t high = UINT64_MAX;
    const struct rb_random lowest = {.next = constant, .arg = &low};
    const struct rb_random highest = {.next = constant, .arg = &high};
    assert_int_equal(rb_random_below(&lowest, 1000), 0);
    assert_int_equal(rb_random_below(&highest, 1000), 999);
}

static void bytes_of_any_length_are_filled(void **state)
{
    (void)state;
    uint64_t ones = UINT64_MAX;
    const struct rb_random r = {.next = constant, .arg = &ones};
    for (size_t len = 0; len < 20; len++) {
        unsigned char bytes[21] = {0};
        rb_random_bytes(&r, bytes, len);
        for (size_t i = 0; i < sizeof(bytes); i++) {
            assert_int_equal(bytes[i], i < len ? 0xFF : 0);
        }
    }
}

static void an_id_has_prefix_time_and_shard(void **state)
{
    (void)state;
    uint64_t zero = 0;
    const struct rb_random r = {.next = constant, .arg = &zero};
    char id[RB_ID_BYTES];
    rb_id_make(&r, "rty_", 1469918176385, 17, id);
    assert_string_equal(id, "rty_01ARYZ6S41000000000000000H");
    assert_int_equal(rb_id_shard("rty_", id), 17);
}

static void every_shard_comes_back_from_its_id(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 32; shard++) {
        char id[RB_ID_BYTES];
        rb_id_make(rb_random_system(), "chn_", 1793714828123, shard, id);
        assert_int_equal(strlen(id), RB_ID_BYTES - 1);
        assert_int_equal(rb_id_shard("chn_", id), (int)shard);
        assert_int_equal(rb_id_shard("rty_", id), -1);
    }
}

static void ids_of_one_moment_differ_and_later_ones_sort_behind(void **state)
{
    (void)state;
    char a[RB_ID_BYTES];
    char b[RB_ID_BYTES];
    rb_id_make(rb_random_system(), "rty_", 1000, 3, a);
    rb_id_make(rb_random_system(), "rty_", 1000, 3, b);
    assert_string_not_equal(a, b);
    rb_id_make(rb_random_system(), "rty_", 1001, 3, b);
    assert_true(strcmp(a, b) < 0);
}

static void what_is_no_id_has_no_shard(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "rty_",
                                      "rty_01ARYZ6S4100000000000000",
                                      "rty_01ARYZ6S41000000000000000HH",
                                      "rty_01ARYZ6S4100000000000000IH",
                                      "rty_01aryz6s41000000000000000h",
                                      "rty_81ARYZ6S41000000000000000H",
                                      "rty-01ARYZ6S41000000000000000H"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(rb_id_shard("rty_", bad[i]), -1);
    }
    assert_int_equal(rb_id_shard("rty_", NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stay_below_their_bound),
        cmocka_unit_test(a_constant_source_gives_the_ends_and_does_not_loop),
        cmocka_unit_test(bytes_of_any_length_are_filled),
        cmocka_unit_test(an_id_has_prefix_time_and_shard),
        cmocka_unit_test(every_shard_comes_back_from_its_id),
        cmocka_unit_test(ids_of_one_moment_differ_and_later_ones_sort_behind),
        cmocka_unit_test(what_is_no_id_has_no_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
