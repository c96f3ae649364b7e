/* test_url.c - URLs of all kinds, and percent-encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

struct row {
    const char *text;
    struct rb_url url;
};

static void same(const char *text, const char *a, const char *b)
{
    if (!rb_str_eq(a, b)) {
        fail_msg("%s: '%s' instead of '%s'", text, a == NULL ? "(null)" : a,
                 b == NULL ? "(null)" : b);
    }
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"https://example.com", {"https", NULL, "example.com", 0, "/", NULL, NULL}},
        {"HTTPS://EXAMPLE.com:8443/A/b?q=1&r=?#f#g",
         {"https", NULL, "example.com", 8443, "/A/b", "q=1&r=?", "f#g"}},
        {"http://h?q", {"http", NULL, "h", 0, "/", "q", NULL}},
        {"http://h#f", {"http", NULL, "h", 0, "/", NULL, "f"}},
        {"http://h/?", {"http", NULL, "h", 0, "/", "", NULL}},
        {"http://u:p@h/x", {"http", "u:p", "h", 0, "/x", NULL, NULL}},
        {"http://h/a@b", {"http", NULL, "h", 0, "/a@b", NULL, NULL}},
        {"http://[2001:DB8::1]:80/", {"http", NULL, "2001:db8::1", 80, "/", NULL, NULL}},
        {"http://[::1]", {"http", NULL, "::1", 0, "/", NULL, NULL}},
        {"http://127.0.0.1:65535/", {"http", NULL, "127.0.0.1", 65535, "/", NULL, NULL}},
        {"http://my_host.local/", {"http", NULL, "my_host.local", 0, "/", NULL, NULL}},
        {"redis://user:pa%40ss@h:6379/0", {"redis", "user:pa%40ss", "h", 6379, "/0", NULL, NULL}},
        {"redis://h", {"redis", NULL, "h", 0, "", NULL, NULL}},
        {"redis+unix:///run/r.sock", {"redis+unix", NULL, "", 0, "/run/r.sock", NULL, NULL}},
        {"sqlite:retrybuild.db", {"sqlite", NULL, "", 0, "retrybuild.db", NULL, NULL}},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_arena a;
        rb_arena_init(&a, 4096);
        struct rb_url u = {0};
        struct rb_err err = {0};
        if (rb_url_parse(rows[i].text, strlen(rows[i].text), &a, &u, &err) != RB_OK) {
            fail_msg("%s: %s", rows[i].text, err.msg);
        }
        same(rows[i].text, u.scheme, rows[i].url.scheme);
        same(rows[i].text, u.userinfo, rows[i].url.userinfo);
        same(rows[i].text, u.host, rows[i].url.host);
        assert_int_equal(u.port, rows[i].url.port);
        same(rows[i].text, u.path, rows[i].url.path);
        same(rows[i].text, u.query, rows[i].url.query);
        same(rows[i].text, u.fragment, rows[i].url.fragment);
        rb_arena_release(&a);
    }
}

static void what_two_readers_could_understand_differently_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "example.com",
        "//example.com/",
        "/path",
        "://h",
        "1http://h",
        "ht tp://h",
        "http:",
        "http:/h",
        "http:h",
        "http://",
        "http:///x",
        "http://?q",
        "http://u@/",
        "http://h:/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:-1/",
        "http://h:8a/",
        "http://h:000080/",
        "http://:80/",
        "http://a@b@h/",
        "http://h\\@evil/",
        "http://h /",
        "http://h/a b",
        "http://h/\n",
        "http://h/\x7f",
        "http://h\xC3\xA4/",
        "http://h%41/",
        "http://h,i/",
        "http://.h/",
        "http://[::1",
        "http://[::1]x/",
        "http://[::1%25eth0]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://[]/",
        "http://::1/",
        "redis://:6379/",
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_arena a;
        rb_arena_init(&a, 4096);
        struct rb_url u = {.scheme = "kept"};
        struct rb_err err = {0};
        if (rb_url_parse(bad[i], strlen(bad[i]), &a, &u, &err) != RB_E_INVALID) {
            fail_msg("'%s' was not refused", bad[i]);
        }
        assert_string_equal(u.scheme, "kept");
        rb_arena_release(&a);
    }
}

static void errors_show_no_part_of_the_url(void **state)
{
    (void)state;
    static const char *const bad[] = {"http://user:hunter2@h:99999/", "http://h/ ?t=hunter2",
                                      "http://hunter2@a@b/", "hunter2"};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_arena a;
        rb_arena_init(&a, 4096);
        struct rb_url u;
        struct rb_err err = {0};
        assert_int_equal(rb_url_parse(bad[i], strlen(bad[i]), &a, &u, &err), RB_E_INVALID);
        assert_null(strstr(err.msg, "hunter2"));
        rb_arena_release(&a);
    }
}

static void lengths_and_memory_are_bounded(void **state)
{
    (void)state;
    char text[RB_URL_MAX_BYTES + 1];
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://h/", 9);
    struct rb_arena a;
    struct rb_url u;
    rb_arena_init(&a, 2 * sizeof(text));
    assert_int_equal(rb_url_parse(text, sizeof(text) - 1, &a, &u, NULL), RB_OK);
    assert_int_equal(rb_url_parse(text, sizeof(text), &a, &u, NULL), RB_E_TOO_LARGE);
    rb_arena_release(&a);
    rb_arena_init(&a, 8);
    assert_int_equal(rb_url_parse("http://example.com/", 19, &a, &u, NULL), RB_E_NOMEM);
    rb_arena_release(&a);
}

static void default_ports_are_known(void **state)
{
    (void)state;
    assert_int_equal(rb_url_default_port("http"), 80);
    assert_int_equal(rb_url_default_port("https"), 443);
    assert_int_equal(rb_url_default_port("redis"), 0);
}

static void only_unreserved_bytes_stay_when_encoding(void **state)
{
    (void)state;
    struct rb_buf b = RB_BUF_INIT(100);
    rb_url_encode(&b, "aZ09-._~ /+%\xC3\xA4:\0", 16);
    assert_string_equal(rb_buf_str(&b), "aZ09-._~%20%2F%2B%25%C3%A4%3A%00");
    rb_buf_release(&b);
}

static void decoding_undoes_encoding_and_refuses_bad_escapes(void **state)
{
    (void)state;
    struct rb_arena a;
    rb_arena_init(&a, 4096);
    assert_string_equal(rb_url_decode("a%20b%2f+%C3%a4", 15, false, &a), "a b/+\xC3\xA4");
    assert_string_equal(rb_url_decode("a+b%2B", 6, true, &a), "a b+");
    assert_string_equal(rb_url_decode("", 0, true, &a), "");
    static const char *const bad[] = {"%", "%2", "%2g", "%g2", "a%00b", "%%20"};
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        assert_null(rb_url_decode(bad[i], strlen(bad[i]), false, &a));
    }
    assert_null(rb_url_decode("a\0b", 3, false, &a));
    assert_null(rb_url_decode("%20", 2, false, &a));
    assert_null(rb_url_decode(NULL, 0, false, &a));
    rb_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(what_two_readers_could_understand_differently_is_refused),
        cmocka_unit_test(errors_show_no_part_of_the_url),
        cmocka_unit_test(lengths_and_memory_are_bounded),
        cmocka_unit_test(default_ports_are_known),
        cmocka_unit_test(only_unreserved_bytes_stay_when_encoding),
        cmocka_unit_test(decoding_undoes_encoding_and_refuses_bad_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
