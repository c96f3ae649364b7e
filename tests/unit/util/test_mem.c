/* test_mem.c - arenas and descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>

static void allocations_are_zeroed_aligned_and_distinct(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    unsigned char *last = NULL;
    for (size_t len = 0; len < 300; len++) {
        unsigned char *p = rb_arena_alloc(&a, len);
        assert_non_null(p);
        assert_ptr_not_equal(p, last);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < len; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xAA, len);
        last = p;
    }
    rb_arena_release(&a);
}

static void an_arena_refuses_what_is_beyond_its_maximum(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 100);
    assert_null(rb_arena_alloc(&a, 101));
    assert_null(rb_arena_alloc(&a, SIZE_MAX));
    assert_non_null(rb_arena_alloc(&a, 60));
    assert_null(rb_arena_alloc(&a, 41));
    assert_non_null(rb_arena_alloc(&a, 40));
    assert_null(rb_arena_strdup(&a, ""));
    assert_int_equal(a.used_bytes, 100);
    rb_arena_release(&a);
}

static void memory_reused_after_a_reset_is_zeroed_again(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    for (size_t round = 0; round < 3; round++) {
        for (size_t len = 1; len < 40000; len = len * 2 + round) {
            unsigned char *p = rb_arena_alloc(&a, len);
            assert_non_null(p);
            for (size_t i = 0; i < len; i++) {
                assert_int_equal(p[i], 0);
            }
            memset(p, 0xFF, len);
        }
        rb_arena_reset(&a);
        assert_int_equal(a.used_bytes, 0);
    }
    rb_arena_release(&a);
}

static void what_fits_some_kilobytes_stands_at_one_place_after_each_reset(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    const void *first = NULL;
    for (int round = 0; round < 6; round++) {
        const void *p = rb_arena_alloc(&a, 100);
        for (int i = 0; i < 30; i++) {
            assert_non_null(rb_arena_alloc(&a, 100));
        }
        assert_true(round < 4 || p == first);
        first = p;
        rb_arena_reset(&a);
    }
    rb_arena_release(&a);
    rb_arena_release(&a);
    rb_arena_release(NULL);
}

static void copies_are_terminated_and_null_stays_null(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 1 << 16);
    assert_string_equal(rb_arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(rb_arena_strdup(&a, "xyz"), "xyz");
    assert_int_equal((uintptr_t)rb_arena_alloc(&a, 8) % _Alignof(max_align_t), 0);
    assert_null(rb_arena_strdup(&a, NULL));
    assert_null(rb_arena_strndup(&a, NULL, 0));
    rb_arena_release(&a);
}

static void joined_parts_stand_one_behind_the_other(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 16);
    const struct rb_slice parts[] = {
        RB_SLICE_LIT("ab"), {NULL, 0}, RB_SLICE_LIT(""), RB_SLICE_LIT("c")};
    const struct rb_slice large[] = {RB_SLICE_LIT("0123456"), {"", SIZE_MAX}};
    assert_string_equal(rb_arena_join(&a, parts, 4), "abc");
    assert_string_equal(rb_arena_join(&a, parts, 0), "");
    assert_null(rb_arena_join(&a, large, 2));
    assert_null(rb_arena_join(&a, (struct rb_slice[]){RB_SLICE_LIT("0123456789ab")}, 1));
    assert_string_equal(rb_arena_join(&a, (struct rb_slice[]){RB_SLICE_LIT("0123456789")}, 1),
                        "0123456789");
    rb_arena_release(&a);
}

static void formatted_text_may_be_short_or_long(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 1 << 16);
    assert_string_equal(rb_arena_printf(&a, "%s-%d", "x", 7), "x-7");
    const char *text = rb_arena_printf(&a, "%0*d", 5000, 1);
    assert_int_equal(strlen(text), 5000);
    assert_int_equal(text[4999], '1');
    assert_null(rb_arena_printf(&a, "%0*d", 70000, 1));
    rb_arena_release(&a);
}

static void taking_a_pointer_leaves_null_behind(void **state)
{
    (void)state;
    char *p = malloc(4);
    char *q = RB_TAKE(p);
    assert_null(p);
    RB_CLEANUP(rb_freep) char *owner = q;
    assert_non_null(owner);
}

static void a_descriptor_is_closed_once_at_the_end_of_its_scope(void **state)
{
    (void)state;
    int kept = -1;
    {
        RB_CLEANUP(rb_closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        kept = fd;
        assert_true(fcntl(kept, F_GETFD) >= 0);
    }
    assert_int_equal(fcntl(kept, F_GETFD), -1);
    int none = -1;
    rb_closep(&none);
    assert_int_equal(none, -1);
}

int main(void)
{
    rb_tune_malloc();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_aligned_and_distinct),
        cmocka_unit_test(an_arena_refuses_what_is_beyond_its_maximum),
        cmocka_unit_test(memory_reused_after_a_reset_is_zeroed_again),
        cmocka_unit_test(what_fits_some_kilobytes_stands_at_one_place_after_each_reset),
        cmocka_unit_test(copies_are_terminated_and_null_stays_null),
        cmocka_unit_test(joined_parts_stand_one_behind_the_other),
        cmocka_unit_test(formatted_text_may_be_short_or_long),
        cmocka_unit_test(taking_a_pointer_leaves_null_behind),
        cmocka_unit_test(a_descriptor_is_closed_once_at_the_end_of_its_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
