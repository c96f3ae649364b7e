/* References, derived members and keys of builds; the closed sets of words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/model.h>

#define UUID "5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77"
#define COMMIT "3b1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f901"

static struct rb_arena arena;

static int set_up(void **state)
{
    (void)state;
    rb_arena_init(&arena, 65536);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rb_arena_release(&arena);
    return 0;
}

static void an_arn_gives_every_part(void **state)
{
    (void)state;
    struct rb_build b = RB_BUILD_INIT;
    assert_int_equal(
        rb_build_parse_ref("arn:aws-cn:codebuild:cn-north-1:123456789012:build/web:" UUID, &arena,
                           &b, NULL),
        RB_OK);
    assert_string_equal(b.partition, "aws-cn");
    assert_string_equal(b.region, "cn-north-1");
    assert_string_equal(b.account, "123456789012");
    assert_string_equal(b.project, "web");
    assert_string_equal(b.id, "web:" UUID);
    assert_string_equal(b.arn, "arn:aws-cn:codebuild:cn-north-1:123456789012:build/web:" UUID);
}

static void a_short_reference_leaves_account_and_region_open(void **state)
{
    (void)state;
    struct rb_build b = RB_BUILD_INIT;
    assert_int_equal(rb_build_parse_ref("web-api_2::" UUID, &arena, &b, NULL), RB_OK);
    assert_string_equal(b.id, "web-api_2:" UUID);
    assert_null(b.account);
    assert_null(b.region);
    assert_null(b.arn);
    b.account = "123456789012";
    b.region = "us-gov-west-1";
    assert_true(rb_build_make_arn(&b, &arena));
    assert_string_equal(
        b.arn, "arn:aws-us-gov:codebuild:us-gov-west-1:123456789012:build/web-api_2:" UUID);
}

static void malformed_references_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "web",
        "web:",
        ":" UUID,
        "w:" UUID,
        "-web:" UUID,
        "we b:" UUID,
        "web:" UUID " ",
        "web:a/b",
        "web:a:b",
        "web:0123456789012345678901234567890123456789012345678901234567890123x",
        "arn:",
        "arn:aws:codebuild:us-east-1:12345678901:build/web:" UUID,
        "arn:aws:codebuild:us-east-1:12345678901x:build/web:" UUID,
        "arn:aws:codebuild:US-EAST-1:123456789012:build/web:" UUID,
        "arn:aws:codebuild::123456789012:build/web:" UUID,
        "arn:aws:codebuild:us-east-1:123456789012:build-batch/web:" UUID,
        "arn:aws:codebuild:us-east-1:123456789012:project/web",
        "arn:aws:s3:us-east-1:123456789012:build/web:" UUID,
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_build b = RB_BUILD_INIT;
        struct rb_err err = {0};
        assert_int_equal(rb_build_parse_ref(bad[i], &arena, &b, &err), RB_E_INVALID);
        assert_null(b.id);
        assert_string_not_equal(err.msg, "");
    }
    struct rb_build b = RB_BUILD_INIT;
    assert_int_equal(rb_build_parse_ref(NULL, &arena, &b, NULL), RB_E_INVALID);
}

static void branch_pull_request_and_commit_come_from_the_source_version(void **state)
{
    (void)state;
    static const struct {
        const char *version, *branch, *pull_request, *commit;
    } rows[] = {
        {COMMIT, NULL, NULL, COMMIT},
        {"refs/heads/release/1.2", "release/1.2", NULL, NULL},
        {"refs/heads/main^{" COMMIT "}", "main", NULL, COMMIT},
        {"refs/pull/17/head^{" COMMIT "}", NULL, "17", COMMIT},
        {"refs/pull/17/head", NULL, "17", NULL},
        {"pr/12", NULL, "12", NULL},
        {"pr/", NULL, NULL, NULL},
        {"pr/x", NULL, NULL, NULL},
        {"refs/heads/", NULL, NULL, NULL},
        {"main", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_build b = RB_BUILD_INIT;
        b.source_version = rows[i].version;
        rb_build_derive(&b, &arena);
        assert_true(rb_str_eq(b.branch, rows[i].branch));
        assert_true(rb_str_eq(b.pull_request, rows[i].pull_request));
        assert_true(rb_str_eq(rb_build_commit(&b), rows[i].commit));
    }
}

static void a_location_loses_its_password_and_its_suffix(void **state)
{
    (void)state;
    static const struct {
        const char *location, *repository;
    } rows[] = {
        {"https://github.com/o/r.git", "https://github.com/o/r"},
        {"https://user:p@ss@git.example.com/o/r.git/", "https://git.example.com/o/r"},
        {"https://host/o/r?token=abc", "https://host/o/r"},
        {"https://host/o/r@v1.git", "https://host/o/r@v1"},
        {"git@github.com:o/r.git", "git@github.com:o/r"},
        {"bucket/path.zip", "bucket/path.zip"},
        {"", NULL},
        {".git", NULL},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_build b = RB_BUILD_INIT;
        b.repository = rows[i].location;
        rb_build_derive(&b, &arena);
        assert_true(rb_str_eq(b.repository, rows[i].repository));
    }
}

static void the_last_exit_status_of_the_message_counts(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        int code;
    } rows[] = {
        {"COMMAND_EXECUTION_ERROR: Error while executing command: make. Reason: exit status 75",
         75},
        {"echo exit status 3. Reason: exit status 2", 2},
        {"exit status 4294967295", -1},
        {"exit status ", -1},
        {"exit status -1", -1},
        {"all is well", -1},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_build b = RB_BUILD_INIT;
        b.message = rows[i].message;
        rb_build_derive(&b, &arena);
        assert_int_equal(b.exit_code, rows[i].code);
    }
}

static void a_long_message_is_cut_at_a_code_point(void **state)
{
    (void)state;
    char text[RB_MESSAGE_MAX_BYTES + 10];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text + RB_MESSAGE_MAX_BYTES - 1, "\xE2\x82\xAC", 3);
    struct rb_build b = RB_BUILD_INIT;
    b.message = text;
    rb_build_derive(&b, &arena);
    assert_int_equal(strlen(b.message), RB_MESSAGE_MAX_BYTES - 1);
    assert_true(rb_utf8_valid(b.message, strlen(b.message)));
}

static void keys_tell_builds_accounts_and_kinds_apart(void **state)
{
    (void)state;
    struct rb_build b = RB_BUILD_INIT;
    b.account = "123456789012";
    b.region = "us-east-1";
    b.project = "web";
    b.id = "web:1";
    b.source_version = "v";
    struct rb_build other = b;
    other.account = "123456789013";
    struct rb_build unknown = b;
    unknown.account = NULL; /* of who asks by the id alone */
    struct rb_build elsewhere = b;
    elsewhere.region = "eu-west-1";
    char keys[7][RB_KEY_BYTES];
    rb_build_key(&b, keys[0]);
    rb_build_key(&other, keys[1]);
    rb_intent_key(&b, keys[2]);
    rb_intent_key(&other, keys[3]);
    rb_scoped_key("web", "1", 1, keys[4]);
    rb_build_key(&unknown, keys[5]);
    rb_build_key(&elsewhere, keys[6]);
    for (size_t i = 0; i < RB_ARRAY_LEN(keys); i++) {
        assert_int_equal(strlen(keys[i]), RB_KEY_BYTES - 1);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(keys[i], keys[j]);
        }
    }
    char again[RB_KEY_BYTES];
    b.status = "FAILED";
    rb_build_key(&b, again);
    assert_string_equal(again, keys[0]);
}

static void shards_spread_projects_over_all_thirty_two(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "project-%u", i);
        struct rb_build b = RB_BUILD_INIT;
        b.account = "123456789012";
        b.region = "us-east-1";
        b.project = name;
        unsigned shard = rb_build_shard(&b);
        assert_in_range(shard, 0, 31);
        seen |= 1U << shard;
    }
    assert_int_equal(seen, UINT32_MAX);
}

static void a_copy_shares_no_memory_with_its_original(void **state)
{
    (void)state;
    char project[] = "web";
    struct rb_build b = RB_BUILD_INIT;
    b.project = project;
    b.number = 7;
    struct rb_build copy = RB_BUILD_INIT;
    assert_true(rb_build_copy(&copy, &b, &arena));
    project[0] = 'X';
    assert_string_equal(copy.project, "web");
    assert_int_equal(copy.number, 7);
    assert_null(copy.id);
}

static void every_word_of_a_closed_set_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < RB_STATE_COUNT; i++) {
        enum rb_state back = RB_STATE_COUNT;
        assert_true(rb_state_parse(rb_state_name((enum rb_state)i), &back));
        assert_int_equal(back, i);
    }
    for (int i = RB_ACTION_RETRY; i <= RB_ACTION_IGNORE; i++) {
        enum rb_action back = RB_ACTION_NONE;
        assert_true(rb_action_parse(rb_action_name((enum rb_action)i), &back));
        assert_int_equal(back, i);
    }
    for (int i = 0; i < RB_STAGE_COUNT; i++) {
        enum rb_stage back = RB_STAGE_COUNT;
        assert_true(rb_stage_parse(rb_stage_name((enum rb_stage)i), &back));
        assert_int_equal(back, i);
    }
    for (int i = 0; i < RB_TASK_KIND_COUNT; i++) {
        assert_string_not_equal(rb_task_kind_name((enum rb_task_kind)i), "unknown");
    }
    enum rb_state s = RB_STATE_HELD;
    assert_false(rb_state_parse("nonsense", &s));
    assert_false(rb_state_parse(NULL, &s));
    assert_int_equal(s, RB_STATE_HELD);
    enum rb_action a = RB_ACTION_ASK;
    assert_false(rb_action_parse("none", &a));
}

static void only_a_dead_retry_leaves_a_terminal_state(void **state)
{
    (void)state;
    for (int from = 0; from < RB_STATE_COUNT; from++) {
        for (int to = 0; to < RB_STATE_COUNT; to++) {
            bool may = rb_state_may((enum rb_state)from, (enum rb_state)to);
            if (from == to) {
                assert_true(may);
            } else if (rb_state_terminal((enum rb_state)from) && from != RB_STATE_DEAD) {
                assert_false(may);
            }
        }
    }
    assert_true(rb_state_may(RB_STATE_DEAD, RB_STATE_SCHEDULED));
    assert_false(rb_state_may(RB_STATE_SUBMITTING, RB_STATE_CANCELLED));
    assert_false(rb_state_may(RB_STATE_RUNNING, RB_STATE_SUBMITTING));
    assert_true(rb_state_may(RB_STATE_RUNNING, RB_STATE_RECOVERED));
    assert_false(rb_state_may(RB_STATE_SCHEDULED, RB_STATE_RECOVERED));
    assert_false(rb_state_may(RB_STATE_COUNT, RB_STATE_DEAD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_arn_gives_every_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_short_reference_leaves_account_and_region_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(malformed_references_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(branch_pull_request_and_commit_come_from_the_source_version,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_location_loses_its_password_and_its_suffix, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_last_exit_status_of_the_message_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_long_message_is_cut_at_a_code_point, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_tell_builds_accounts_and_kinds_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(shards_spread_projects_over_all_thirty_two, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_copy_shares_no_memory_with_its_original, set_up,
                                        tear_down),
        cmocka_unit_test(every_word_of_a_closed_set_has_its_own_name),
        cmocka_unit_test(only_a_dead_retry_leaves_a_terminal_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
