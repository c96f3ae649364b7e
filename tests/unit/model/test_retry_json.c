/* The JSON of a retry: the contract's members in their order, valid whatever stands in it. */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "some.h"

static void the_json_has_the_members_of_the_contract_in_their_order(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = waiting_retry();
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(65536);
    rb_retry_write_json(r, &text);
    assert_false(rb_buf_failed(&text));
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    assert_int_equal(rb_json_load(text.data, text.len, &j, NULL), RB_OK);
    static const char *const members[] = {
        "id",         "state",      "chain",  "attempt",      "limit",       "project",
        "account",    "region",     "build",  "child",        "source",      "deliveries",
        "repository", "commit",     "branch", "pull_request", "decision",    "requested_by",
        "duplicates", "created_at", "due_at", "submitted_at", "finished_at", "reports",
        "history",    "trace_id",
    };
    assert_int_equal(json_object_size(j), RB_ARRAY_LEN(members));
    void *it = json_object_iter(j);
    for (size_t i = 0; i < RB_ARRAY_LEN(members); i++) {
        assert_string_equal(json_object_iter_key(it), members[i]);
        it = json_object_iter_next(j, it);
    }
    assert_string_equal(json_string_value(json_object_get(j, "state")), "scheduled");
    assert_string_equal(json_string_value(json_object_get(j, "created_at")),
                        "2026-11-03T14:07:08.000Z");
    assert_true(json_is_null(json_object_get(j, "child")));
    assert_true(json_is_null(json_object_get(j, "finished_at")));
    json_t *delivery = json_array_get(json_object_get(j, "deliveries"), 0);
    assert_string_equal(json_string_value(json_object_get(delivery, "key")),
                        "8b0f7c56-1d3e-4a92-b7c4-0e5d9a61f2c8");
    json_t *build = json_object_get(j, "build");
    assert_int_equal(json_integer_value(json_object_get(build, "number")), 42);
}

static void any_retry_is_valid_json(void **state)
{
    (void)state;
    some_seed(5);
    for (int round = 0; round < 300; round++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = some_retry();
        r->created_ms = 1793714828000;
        r->due_ms = r->submitted_ms = r->finished_ms = r->source.at_ms = 0;
        r->n_history = 0;
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1 << 20);
        rb_retry_write_json(r, &text);
        RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
        struct rb_err err = {0};
        if (rb_json_load(text.data, text.len, &j, &err) != RB_OK) {
            fail_msg("%s: %s", err.msg, text.data);
        }
        const char *message =
            json_string_value(json_object_get(json_object_get(j, "build"), "message"));
        assert_true(rb_str_eq(r->build.message, message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_has_the_members_of_the_contract_in_their_order),
        cmocka_unit_test(any_retry_is_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
