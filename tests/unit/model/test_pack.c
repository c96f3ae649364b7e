/* Packed texts: each comes back as it was, from memory of exactly the size that was asked for. */
#include <retrybuild/cleanup.h>

#include "pack.h"
#include "some.h"

#define TEXTS 20000

static const struct pack_words words = {
    .word = {[PACK_REGION] = "us-east-1",
             [PACK_PROJECT] = "checkout-api",
             [PACK_UUID] = "3f0c9b52-7d41-4e08-9a6b-51c2d8e7f034",
             [PACK_VERSION] = "refs/heads/main",
             [PACK_RULE] = "x"},
};

/* pack - the packed form in memory that ends where its bound ends. */
static char *pack(const char *text, size_t len, size_t *ret_len)
{
    struct packer packer;
    rb_packer_init(&packer, &words);
    char *exact = malloc(len == 0 ? 1 : len);
    char *out = malloc(len == 0 ? 1 : rb_pack_bound(text, len));
    assert_non_null(exact);
    assert_non_null(out);
    memcpy(exact, text, len);
    *ret_len = (size_t)(rb_pack_text(out, exact, len, &packer) - out);
    assert_true(*ret_len <= rb_pack_bound(text, len));
    free(exact);
    return out;
}

static void same_after_all(const char *text, size_t len)
{
    size_t packed_len = 0;
    RB_CLEANUP(rb_freep) char *packed = pack(text, len, &packed_len);
    RB_CLEANUP(rb_buf_release) struct rb_buf scratch = RB_BUF_INIT(RB_RETRY_MAX_BYTES);
    struct rb_arena a;
    rb_arena_init(&a, RB_RETRY_MAX_BYTES);
    const char *back =
        rb_unpack_text((struct rb_slice){.ptr = packed, .len = packed_len}, &words, &scratch, &a);
    assert_non_null(back);
    assert_string_equal(back, text);
    rb_arena_release(&a);
}

static void texts_by_chance_come_back(void **state)
{
    (void)state;
    static const char *const pieces[] = {"us-east-1",
                                         "checkout-api",
                                         "refs/heads/main",
                                         "refs/heads/",
                                         "FAILED",
                                         "Reason: exit status ",
                                         "3f0c9b52-7d41-4e08-9a6b-51c2d8e7f034",
                                         "3F0C9b52-7d41-4e08-9a6b-51c2d8e7f034",
                                         "3b1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f901",
                                         "3b1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f90",
                                         "01J9ZQ7WX8Y2ABCDEFGHJKMNPQ",
                                         "01J9ZQ7WX8Y2ABCDEFGHJKMNPU",
                                         "deadbeef",
                                         "0",
                                         "x",
                                         " ",
                                         "-",
                                         "/",
                                         "\xC3\xA9"};
    some_seed(20261103);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(4096);
    for (unsigned i = 0; i < TEXTS; i++) {
        rb_buf_clear(&text);
        for (unsigned n = some_below(10); n > 0; n--) {
            if (some_below(5) == 0) {
                rb_buf_addc(&text, (char)(1 + some_below(255)));
            } else {
                rb_buf_adds(&text, pieces[some_below(RB_ARRAY_LEN(pieces))]);
            }
        }
        same_after_all(rb_buf_str(&text), text.len);
    }
}

static void what_a_single_code_stands_for_is_packed_to_that_code(void **state)
{
    (void)state;
    unsigned n = 0;
    RB_CLEANUP(rb_buf_release) struct rb_buf scratch = RB_BUF_INIT(RB_RETRY_MAX_BYTES);
    for (char code = 1; code < 0x20; code++) {
        struct rb_arena a;
        rb_arena_init(&a, RB_RETRY_MAX_BYTES);
        const char *text =
            rb_unpack_text((struct rb_slice){.ptr = &code, .len = 1}, &words, &scratch, &a);
        if (text != NULL && strlen(text) > 1) {
            size_t len = 0;
            RB_CLEANUP(rb_freep) char *packed = pack(text, strlen(text), &len);
            assert_int_equal(len, 1);
            assert_int_equal(packed[0], code);
            n++;
        }
        rb_arena_release(&a);
    }
    assert_in_range(n, 4 + 17, 4 + 22); /* words and phrases */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_by_chance_come_back),
        cmocka_unit_test(what_a_single_code_stands_for_is_packed_to_that_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
