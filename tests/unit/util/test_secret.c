/* test_secret.c - secrets in memory, from files and from the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/secret.h>

static char path[64];

/* write_file - a file of its own with these bytes; its name is in `path`. */
static void write_file(const void *data, size_t len)
{
    snprintf(path, sizeof(path), "/tmp/rb-secret-XXXXXX");
    RB_CLEANUP(rb_closep) int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
}

static enum rb_code load(const void *data, size_t len, struct rb_secret **ret_s, struct rb_err *err)
{
    write_file(data, len);
    enum rb_code rc = rb_secret_load_file(path, ret_s, err);
    assert_int_equal(unlink(path), 0);
    return rc;
}

static void a_secret_equals_its_bytes_and_nothing_else(void **state)
{
    (void)state;
    RB_CLEANUP(rb_secret_freep) struct rb_secret *s = rb_secret_new("se\0cret", 7);
    assert_int_equal(rb_secret_len(s), 7);
    assert_int_equal(rb_secret_data(s)[7], '\0');
    assert_true(rb_secret_equal(s, "se\0cret", 7));
    assert_false(rb_secret_equal(s, "se\0creT", 7));
    assert_false(rb_secret_equal(s, "se\0cre", 6));
    assert_false(rb_secret_equal(s, "se\0crets", 8));
    assert_false(rb_secret_equal(s, "", 0));
    assert_false(rb_secret_equal(NULL, "", 0));
    assert_false(rb_secret_equal(s, NULL, 0));
}

static void a_reference_keeps_a_secret_alive(void **state)
{
    (void)state;
    struct rb_secret *s = rb_secret_new("x", 1);
    RB_CLEANUP(rb_secret_freep) struct rb_secret *again = rb_secret_ref(s);
    rb_secret_free(s);
    assert_string_equal(rb_secret_data(again), "x");
    assert_null(rb_secret_ref(NULL));
    rb_secret_free(NULL);
}

static void one_trailing_newline_of_a_file_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *file, *secret;
    } rows[] = {{"key", "key"},
                {"key\n", "key"},
                {"key\n\n", "key\n"},
                {"key\r\n", "key"},
                {" key ", " key "}};
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_secret_freep) struct rb_secret *s = NULL;
        assert_int_equal(load(rows[i].file, strlen(rows[i].file), &s, NULL), RB_OK);
        assert_string_equal(rb_secret_data(s), rows[i].secret);
    }
}

static void a_file_that_cannot_serve_is_named(void **state)
{
    (void)state;
    struct rb_secret *s = NULL;
    struct rb_err err = {0};
    assert_int_equal(rb_secret_load_file("/nonexistent/key", &s, &err), RB_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/key"));
    assert_int_equal(rb_secret_load_file("/", &s, &err), RB_E_IO);
    assert_int_equal(load("", 0, &s, &err), RB_E_INVALID);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(load("\n", 1, &s, &err), RB_E_INVALID);
    assert_null(s);
}

static void the_size_limit_is_exact(void **state)
{
    (void)state;
    RB_CLEANUP(rb_freep) char *data = malloc(RB_SECRET_MAX_BYTES + 2);
    memset(data, 'k', RB_SECRET_MAX_BYTES + 2);
    data[RB_SECRET_MAX_BYTES] = '\n';
    RB_CLEANUP(rb_secret_freep) struct rb_secret *s = NULL;
    assert_int_equal(load(data, RB_SECRET_MAX_BYTES + 1, &s, NULL), RB_OK);
    assert_int_equal(rb_secret_len(s), RB_SECRET_MAX_BYTES);
    data[RB_SECRET_MAX_BYTES] = 'k';
    struct rb_secret *none = NULL;
    struct rb_err err = {0};
    assert_int_equal(load(data, RB_SECRET_MAX_BYTES + 1, &none, &err), RB_E_TOO_LARGE);
    assert_null(strstr(err.msg, "kkk"));
    assert_null(rb_secret_new(data, RB_SECRET_MAX_BYTES + 1));
    assert_null(none);
}

static void blanks_are_no_secret(void **state)
{
    (void)state;
    static const char *const blanks[] = {" \n", "\n\n", "\t \r\n", "   "};
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
        struct rb_secret *none = NULL;
        struct rb_err err = {0};
        assert_int_equal(load(blanks[i], strlen(blanks[i]), &none, &err), RB_E_INVALID);
        assert_non_null(strstr(err.msg, "blanks"));
        assert_int_equal(setenv("RB_TEST_SECRET", blanks[i], 1), 0);
        assert_int_equal(rb_secret_load_env("RB_TEST_SECRET", &none, &err), RB_E_INVALID);
        assert_null(none);
    }
}

static void a_variable_must_be_set_and_not_empty(void **state)
{
    (void)state;
    struct rb_err err = {0};
    struct rb_secret *none = NULL;
    assert_int_equal(unsetenv("RB_TEST_SECRET"), 0);
    assert_int_equal(rb_secret_load_env("RB_TEST_SECRET", &none, &err), RB_E_NOT_FOUND);
    assert_int_equal(setenv("RB_TEST_SECRET", "", 1), 0);
    assert_int_equal(rb_secret_load_env("RB_TEST_SECRET", &none, &err), RB_E_NOT_FOUND);
    assert_null(none);
    assert_int_equal(setenv("RB_TEST_SECRET", "v", 1), 0);
    RB_CLEANUP(rb_secret_freep) struct rb_secret *s = NULL;
    assert_int_equal(rb_secret_load_env("RB_TEST_SECRET", &s, &err), RB_OK);
    assert_true(rb_secret_equal(s, "v", 1));
}

static void wiping_clears_every_byte(void **state)
{
    (void)state;
    char data[] = "secret";
    rb_wipe(data, sizeof(data));
    for (size_t i = 0; i < sizeof(data); i++) {
        assert_int_equal(data[i], 0);
    }
    rb_wipe(NULL, 0);
}

static void a_hardened_process_dumps_no_core_and_gains_no_privilege(void **state)
{
    (void)state;
    rb_process_harden();
    struct rlimit limit = {.rlim_cur = 1};
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L), 0);
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_equals_its_bytes_and_nothing_else),
        cmocka_unit_test(a_reference_keeps_a_secret_alive),
        cmocka_unit_test(one_trailing_newline_of_a_file_is_dropped),
        cmocka_unit_test(a_file_that_cannot_serve_is_named),
        cmocka_unit_test(the_size_limit_is_exact),
        cmocka_unit_test(blanks_are_no_secret),
        cmocka_unit_test(a_variable_must_be_set_and_not_empty),
        cmocka_unit_test(wiping_clears_every_byte),
    };
    /* apart: a process that cannot be traced cannot be checked for leaks either */
    const struct CMUnitTest last[] = {
        cmocka_unit_test(a_hardened_process_dumps_no_core_and_gains_no_privilege),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed += cmocka_run_group_tests(last, NULL, NULL);
    (void)prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);
    return failed;
}
