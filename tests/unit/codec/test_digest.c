/* test_digest.c - hashes, MACs and text forms against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/thread.h>

static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
            char hex[RB_SHA256_HEX_BYTES];
            rb_sha256_hex(rows[i].text, strlen(rows[i].text), hex);
            assert_string_equal(hex, rows[i].hex);
        }
    }
}

static void expect_hmac(const void *key, size_t key_len, const char *text, const char *expected)
{
    uint8_t mac[RB_SHA256_BYTES];
    char hex[2 * RB_SHA256_BYTES + 1];
    rb_hmac_sha256(key, key_len, text, strlen(text), mac);
    rb_hex(mac, sizeof(mac), hex);
    assert_string_equal(hex, expected);
}

/* Source: RFC 4231, test cases 1, 2 and 6; the empty key: of the empty text. */
static void hmac_gives_the_published_codes_whatever_key_came_before(void **state)
{
    (void)state;
    unsigned char key[131];
    for (int round = 0; round < 2; round++) {
        memset(key, 0x0b, 20);
        expect_hmac(key, 20, "Hi There",
                    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        expect_hmac("Jefe", 4, "what do ya want for nothing?",
                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        memset(key, 0xaa, sizeof(key));
        expect_hmac(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First",
                    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        expect_hmac("", 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
        expect_hmac(NULL, 0, "",
                    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    }
}

static void parts_are_told_apart(void **state)
{
    (void)state;
    const struct rb_slice rows[][2] = {
        {RB_SLICE_LIT("ab"), RB_SLICE_LIT("c")},
        {RB_SLICE_LIT("a"), RB_SLICE_LIT("bc")},
        {RB_SLICE_LIT("abc"), RB_SLICE_LIT("")},
        {RB_SLICE_LIT("abc"), {.ptr = NULL, .len = 0}},
        {{.ptr = NULL, .len = 0}, RB_SLICE_LIT("abc")},
    };
    uint8_t digest[RB_ARRAY_LEN(rows)][RB_SHA256_BYTES];
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        rb_sha256_parts(rows[i], 2, digest[i]);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(digest[i], digest[j], RB_SHA256_BYTES);
        }
    }
    const char whole[] = "\0\0\0\0\0\0\0\x02"
                         "ab"
                         "\0\0\0\0\0\0\0\x01"
                         "c";
    uint8_t expected[RB_SHA256_BYTES];
    rb_sha256(whole, sizeof(whole) - 1, expected);
    assert_memory_equal(digest[0], expected, RB_SHA256_BYTES);
}

static void equality_looks_at_every_byte(void **state)
{
    (void)state;
    assert_true(rb_const_eq("abc", "abc", 3));
    assert_false(rb_const_eq("abc", "abd", 3));
    assert_false(rb_const_eq("xbc", "abc", 3));
    assert_true(rb_const_eq("abc", "abd", 2));
}

static void hexadecimal_goes_both_ways(void **state)
{
    (void)state;
    char hex[9];
    uint8_t bytes[4] = {1, 2, 3, 4};
    rb_hex("\x00\x1f\xab\xff", 4, hex);
    assert_string_equal(hex, "001fabff");
    assert_true(rb_unhex("001FabfF", 8, bytes, 4));
    assert_memory_equal(bytes, "\x00\x1f\xab\xff", 4);
    assert_false(rb_unhex("001fabf", 7, bytes, 3));
    assert_false(rb_unhex("001fabf", 7, bytes, 4));
    assert_false(rb_unhex("001fabff", 8, bytes, 3));
    assert_false(rb_unhex("001fabfg", 8, bytes, 4));
    assert_false(rb_unhex("0x1fabff", 8, bytes, 4));
    assert_false(rb_unhex(NULL, 0, bytes, 0));
    assert_memory_equal(bytes, "\x00\x1f\xab\xff", 4);
}

static void base64_goes_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base64;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xff\xfb\xfe", "//v+"}};
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_buf b = RB_BUF_INIT(100);
        rb_base64(rows[i].text, strlen(rows[i].text), &b);
        assert_string_equal(rb_buf_str(&b), rows[i].base64);
        rb_buf_clear(&b);
        assert_true(rb_unbase64(rows[i].base64, strlen(rows[i].base64), &b));
        assert_string_equal(rb_buf_str(&b), rows[i].text);
        rb_buf_release(&b);
    }
}

static void stray_base64_is_refused_and_adds_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Zg",       "Zg=",  "Zg===", "Z===",     "====", "Zm9v\n",   "Zm9vYg=A",
        "Zg==Zg==", "Zm-_", "Zh==",  "Zm9vZm9=", "=m9v", "Zm9v Zg=", "\xC3\xA4=="};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_buf b = RB_BUF_INIT(100);
        rb_buf_adds(&b, "kept");
        if (rb_unbase64(bad[i], strlen(bad[i]), &b)) {
            fail_msg("'%s' was accepted", bad[i]);
        }
        assert_string_equal(rb_buf_str(&b), "kept");
        rb_buf_release(&b);
    }
}

static void *hash_in_a_thread(void *arg)
{
    uint8_t *mac = arg;
    for (int i = 0; i < 100; i++) {
        rb_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    }
    return arg;
}

static void threads_hash_beside_each_other(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint8_t macs[RB_ARRAY_LEN(threads)][RB_SHA256_BYTES];
    uint8_t expected[RB_SHA256_BYTES];
    (void)hash_in_a_thread(expected);
    for (size_t i = 0; i < RB_ARRAY_LEN(threads); i++) {
        assert_int_equal(rb_thread_start(&threads[i], "hash", hash_in_a_thread, macs[i], NULL),
                         RB_OK);
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_memory_equal(macs[i], expected, RB_SHA256_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(hmac_gives_the_published_codes_whatever_key_came_before),
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(equality_looks_at_every_byte),
        cmocka_unit_test(hexadecimal_goes_both_ways),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(stray_base64_is_refused_and_adds_nothing),
        cmocka_unit_test(threads_hash_beside_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
