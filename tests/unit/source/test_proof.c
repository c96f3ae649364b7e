/* The proof of an EventBridge delivery: one header, compared with every secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/source.h>

#define NOW 1793714828000

struct headers {
    const char *name, *value;
    unsigned n;
};

static const char *get_header(const void *arg, const char *name, unsigned *ret_n)
{
    const struct headers *h = arg;
    bool found = rb_str_eq(h->name, name) && h->n > 0;
    if (ret_n != NULL) {
        *ret_n = found ? h->n : 0;
    }
    return found ? h->value : NULL;
}

static enum rb_code verify(const struct rb_source_setting *s, struct headers h, struct rb_err *err)
{
    struct rb_request req = {
        .method = "POST", .path = "/v1/hooks/eb", .header = get_header, .arg = &h, .now_ms = NOW};
    return rb_source_type_find("eventbridge")->verify(s, &req, err);
}

static struct rb_secret_entry entries[3];

static int set_up(void **state)
{
    static struct rb_source_setting setting;
    entries[0] = (struct rb_secret_entry){rb_secret_new("old", 3), NOW - 1};
    entries[1] = (struct rb_secret_entry){rb_secret_new("new", 3), 0};
    entries[2] = (struct rb_secret_entry){rb_secret_new("soon over", 9), NOW};
    setting = (struct rb_source_setting){
        .name = "eb", .type = "eventbridge", .secrets = {.items = entries, .n = 3}};
    *state = &setting;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(entries); i++) {
        rb_secret_freep(&entries[i].secret);
    }
    return 0;
}

static void any_secret_in_force_is_a_proof(void **state)
{
    const struct rb_source_setting *s = *state;
    assert_int_equal(verify(s, (struct headers){"x-retrybuild-key", "new", 1}, NULL), RB_OK);
    assert_int_equal(verify(s, (struct headers){"x-retrybuild-key", "soon over", 1}, NULL), RB_OK);
}

static void every_bad_proof_is_refused_with_one_text(void **state)
{
    const struct rb_source_setting *s = *state;
    static const struct headers bad[] = {
        {"x-retrybuild-key", "old", 1},   {"x-retrybuild-key", "wrong", 1},
        {"x-retrybuild-key", "", 1},      {"x-retrybuild-key", "new", 2},
        {"x-retrybuild-key", "new ", 1},  {"x-retrybuild-key", "NEW", 1},
        {"x-retrybuild-key", "new", 0},   {"authorization", "new", 1},
        {"x-retrybuild-key", "newer", 1}, {"x-retrybuild-key", "ne", 1},
    };
    struct rb_err first = {0};
    assert_int_equal(verify(s, bad[0], &first), RB_E_DENIED);
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_err err = {0};
        assert_int_equal(verify(s, bad[i], &err), RB_E_DENIED);
        assert_string_equal(err.msg, first.msg);
    }
}

static void without_a_secret_nothing_is_a_proof(void **state)
{
    (void)state;
    const struct rb_source_setting none = {.name = "eb", .type = "eventbridge"};
    assert_int_equal(verify(&none, (struct headers){"x-retrybuild-key", "", 1}, NULL), RB_E_DENIED);
    assert_int_equal(verify(&none, (struct headers){"x-retrybuild-key", "", 0}, NULL), RB_E_DENIED);
}

static void the_header_of_the_setting_counts(void **state)
{
    struct rb_source_setting s = *(const struct rb_source_setting *)*state;
    s.header = "x-key";
    assert_int_equal(verify(&s, (struct headers){"x-key", "new", 1}, NULL), RB_OK);
    assert_int_equal(verify(&s, (struct headers){"x-retrybuild-key", "new", 1}, NULL), RB_E_DENIED);
}

static void what_sign_adds_is_what_verify_wants(void **state)
{
    const struct rb_source_setting *s = *state;
    struct rb_arena a;
    rb_arena_init(&a, 4096);
    const char *lines[4] = {"", "", "", ""};
    const struct rb_source_type *type = rb_source_type_find("eventbridge");
    assert_int_equal(type->sign(entries[1].secret, NULL, RB_SLICE_LIT("{}"), NOW, &a, lines, NULL),
                     RB_OK);
    assert_string_equal(lines[0], "x-retrybuild-key: new");
    assert_null(lines[1]);
    const char *value = strchr(lines[0], ' ') + 1;
    assert_int_equal(verify(s, (struct headers){"x-retrybuild-key", value, 1}, NULL), RB_OK);
    assert_int_equal(
        type->sign(entries[1].secret, "x-key", RB_SLICE_LIT("{}"), NOW, &a, lines, NULL), RB_OK);
    assert_string_equal(lines[0], "x-key: new");
    RB_CLEANUP(rb_secret_freep) struct rb_secret *split = rb_secret_new("a\r\nb: c", 7);
    struct rb_err err = {0};
    assert_int_equal(type->sign(split, NULL, RB_SLICE_LIT("{}"), NOW, &a, lines, &err),
                     RB_E_INVALID);
    assert_null(strstr(err.msg, "b: c"));
    rb_arena_release(&a);
}

static void types_are_found_by_name_and_all_are_named(void **state)
{
    (void)state;
    assert_null(rb_source_type_find("carrier-pigeon"));
    assert_null(rb_source_type_find(NULL));
    unsigned n = 0;
    for (const char *const *name = rb_source_type_names(); *name != NULL; name++) {
        const struct rb_source_type *type = rb_source_type_find(*name);
        assert_non_null(type);
        assert_string_equal(type->type, *name);
        n++;
    }
    assert_true(n >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_secret_in_force_is_a_proof, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_bad_proof_is_refused_with_one_text, set_up,
                                        tear_down),
        cmocka_unit_test(without_a_secret_nothing_is_a_proof),
        cmocka_unit_test_setup_teardown(the_header_of_the_setting_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_sign_adds_is_what_verify_wants, set_up, tear_down),
        cmocka_unit_test(types_are_found_by_name_and_all_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
