/* test_json_data.c - the JSON readers against documents in tests/data/json.
 *
 * Of a valid document jansson and the pull reader must see the same: the pull reader's tokens are
 * built into a jansson value and compared. The folder is the program's argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#define MIN_VALID 25
#define MIN_INVALID 90
#define MIN_LIMITS 8
#define MAX_DOCUMENT ((size_t)1 << 20)

static const char *root;

/* read_document - into memory of exactly its size, so that a sanitizer sees a read beyond it. */
static char *read_document(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    char *wide = malloc(MAX_DOCUMENT);
    *ret_len = fread(wide, 1, MAX_DOCUMENT, f);
    assert_int_equal(fclose(f), 0);
    char *exact = malloc(*ret_len == 0 ? 1 : *ret_len);
    memcpy(exact, wide, *ret_len);
    free(wide);
    return exact;
}

typedef void (*check_fn)(const char *name, const char *data, size_t len);

static void each_document(const char *folder, int minimum, check_fn check)
{
    RB_CLEANUP(rb_freep) char *dir = NULL;
    assert_true(asprintf(&dir, "%s/%s", root, folder) > 0);
    DIR *d = opendir(dir);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (!rb_str_ends(e->d_name, ".json")) {
            continue;
        }
        RB_CLEANUP(rb_freep) char *path = NULL;
        assert_true(asprintf(&path, "%s/%s", dir, e->d_name) > 0);
        size_t len = 0;
        RB_CLEANUP(rb_freep) char *data = read_document(path, &len);
        check(e->d_name, data, len);
        n++;
    }
    assert_int_equal(closedir(d), 0);
    if (n < minimum) {
        fail_msg("%s has %d documents, at least %d are expected", dir, n, minimum);
    }
}

/* build - the value that begins with @t, from the reader's tokens. */
static json_t *build(struct rb_json_reader *r, const struct rb_json_token *t, struct rb_arena *a)
{
    struct rb_json_token next;
    if (t->type == RB_JSON_OBJECT_BEGIN) {
        json_t *object = json_object();
        assert_int_equal(rb_json_next(r, &next, NULL), RB_OK);
        while (next.type == RB_JSON_KEY) {
            const char *key = rb_json_dup(&next, a);
            assert_true(rb_json_key_is(&next, key));
            assert_int_equal(rb_json_next(r, &next, NULL), RB_OK);
            assert_int_equal(json_object_set_new(object, key, build(r, &next, a)), 0);
            assert_int_equal(rb_json_next(r, &next, NULL), RB_OK);
        }
        assert_int_equal(next.type, RB_JSON_OBJECT_END);
        return object;
    }
    if (t->type == RB_JSON_ARRAY_BEGIN) {
        json_t *array = json_array();
        assert_int_equal(rb_json_next(r, &next, NULL), RB_OK);
        while (next.type != RB_JSON_ARRAY_END) {
            assert_int_equal(json_array_append_new(array, build(r, &next, a)), 0);
            assert_int_equal(rb_json_next(r, &next, NULL), RB_OK);
        }
        return array;
    }
    if (t->type == RB_JSON_STRING) {
        return json_string(rb_json_dup(t, a));
    }
    if (t->type == RB_JSON_NUMBER) {
        int64_t v = 0;
        const char *text = rb_json_dup(t, a);
        if (strpbrk(text, ".eE") == NULL) {
            assert_true(rb_json_int(t, &v));
            return json_integer(v);
        }
        return json_real(strtod(text, NULL));
    }
    return t->type == RB_JSON_NULL ? json_null() : json_boolean(t->type == RB_JSON_TRUE);
}

static void check_valid(const char *name, const char *data, size_t len)
{
    struct rb_err err = {0};
    RB_CLEANUP(rb_json_decrefp) json_t *theirs = NULL;
    if (rb_json_load(data, len, &theirs, &err) != RB_OK) {
        fail_msg("%s: load: %s", name, err.msg);
    }
    struct rb_arena a;
    rb_arena_init(&a, 4 * MAX_DOCUMENT);
    struct rb_json_reader r;
    struct rb_json_token t;
    rb_json_reader_init(&r, data, len);
    if (rb_json_next(&r, &t, &err) != RB_OK) {
        fail_msg("%s: %s", name, err.msg);
    }
    RB_CLEANUP(rb_json_decrefp) json_t *ours = build(&r, &t, &a);
    assert_int_equal(rb_json_next(&r, &t, NULL), RB_OK);
    assert_int_equal(t.type, RB_JSON_END);
    if (!json_equal(ours, theirs)) {
        fail_msg("%s: the readers differ", name);
    }
    rb_arena_release(&a);
}

/* refuses - both readers answer @code, the pull reader again and again. */
static void refuses(const char *name, const char *data, size_t len, enum rb_code code)
{
    struct rb_err err = {0};
    struct rb_err again = {0};
    struct rb_json_reader r;
    rb_json_reader_init(&r, data, len);
    enum rb_code rc = rb_json_finish(&r, &err);
    if (rc != code) {
        fail_msg("%s: %s instead of %s (%s)", name, rb_code_name(rc), rb_code_name(code), err.msg);
    }
    assert_int_equal(err.code, code);
    struct rb_json_token t = {.type = RB_JSON_TRUE};
    assert_int_equal(rb_json_next(&r, &t, &again), code);
    assert_string_equal(again.msg, err.msg);
    assert_int_equal(t.type, RB_JSON_TRUE);
    assert_non_null(strstr(err.msg, "line "));
}

static void check_invalid(const char *name, const char *data, size_t len)
{
    refuses(name, data, len, RB_E_INVALID);
    json_t *none = NULL;
    assert_int_equal(rb_json_load(data, len, &none, NULL), RB_E_INVALID);
    assert_null(none);
}

static void check_limits(const char *name, const char *data, size_t len)
{
    refuses(name, data, len, RB_E_TOO_LARGE);
}

static void valid_documents_say_the_same_to_both_readers(void **state)
{
    (void)state;
    each_document("valid", MIN_VALID, check_valid);
}

static void invalid_documents_are_refused_by_both_readers(void **state)
{
    (void)state;
    each_document("invalid", MIN_INVALID, check_invalid);
}

static void documents_beyond_a_bound_are_too_large(void **state)
{
    (void)state;
    each_document("limits", MIN_LIMITS, check_limits);
}

static void check_cut(const char *name, const char *data, size_t len)
{
    if (len > 4096) {
        return; /* every cut of a long one takes too long */
    }
    for (size_t n = 0; n < len; n++) {
        RB_CLEANUP(rb_freep) char *exact = malloc(n == 0 ? 1 : n);
        memcpy(exact, data, n);
        struct rb_json_reader r;
        struct rb_err err = {0};
        rb_json_reader_init(&r, exact, n);
        enum rb_code rc = rb_json_finish(&r, &err);
        bool container = strchr("{[", data[strspn(data, " \t\r\n")]) != NULL;
        bool closed = n > 0 && strspn(data + n, " \t\r\n") >= len - n;
        if (container && !closed && rc != RB_E_INVALID) {
            fail_msg("%s cut at %zu: %s", name, n, rb_code_name(rc));
        }
    }
}

static void check_cut_terminated(const char *name, const char *data, size_t len)
{
    RB_CLEANUP(rb_freep) char *text = calloc(1, len + 1); /* strspn wants an end */
    memcpy(text, data, len);
    check_cut(name, text, len);
}

static void valid_documents_cut_anywhere_are_invalid(void **state)
{
    (void)state;
    each_document("valid", MIN_VALID, check_cut_terminated);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return EINVAL;
    }
    root = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_documents_say_the_same_to_both_readers),
        cmocka_unit_test(invalid_documents_are_refused_by_both_readers),
        cmocka_unit_test(documents_beyond_a_bound_are_too_large),
        cmocka_unit_test(valid_documents_cut_anywhere_are_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
