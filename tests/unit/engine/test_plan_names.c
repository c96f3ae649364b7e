/* Builds whose initiator names the retry that started them. Times are seconds after T0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "plan.h"

#define T0 1000000000LL
#define S(seconds) (T0 + (int64_t)((seconds)*1000))

static struct rb_plan_windows windows(void)
{
    static const struct rb_timing timing = {
        .resend_window_ms = 240000,
        .token_window_ms = 300000,
        .signature_window_ms = 300000,
        .visibility_grace_ms = 120000,
    };
    struct rb_plan_windows w;
    rb_plan_windows_from(&timing, &w);
    return w;
}

#define OURS "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define OTHERS "rty_01ARZ3NDEKTSV4RRFFQ69G5FAW"

struct name_row {
    const char *name;
    const char *intent, *initiator;
    enum rb_plan_name expected;
};

static const struct name_row name_rows[] = {
    {"our_session", "role/" OURS, "role/" OURS, RB_NAME_OURS},
    {"our_session_by_another_role", "role/" OURS, "moved/" OURS, RB_NAME_OURS},
    {"our_session_in_an_arn", "role/" OURS, "arn:aws:sts::1:assumed-role/role/" OURS, RB_NAME_OURS},
    {"our_session_by_an_issue_of_before", NULL, "role/" OURS, RB_NAME_OURS},
    {"another_retry_s_session", "role/" OURS, "role/" OTHERS, RB_NAME_OTHER},
    {"another_retry_s_session_without_names", NULL, "role/" OTHERS, RB_NAME_OTHER},
    {"our_role_in_the_usual_session", "role/" OURS, "role/retrybuild", RB_NAME_OTHER},
    {"a_person_by_our_role", "role/" OURS, "role/ann", RB_NAME_OTHER},
    {"a_person", "role/" OURS, "ann", RB_NAME_OTHER},
    {"a_hook", "role/" OURS, "GitHub-Hookshot/e1a2", RB_NAME_OTHER},
    {"a_role_with_a_longer_name", "role/" OURS, "role2", RB_NAME_OTHER},
    {"our_role_without_a_session", "role/" OURS, "role", RB_NAME_UNKNOWN},
    {"our_role_s_arn", "role/" OURS, "arn:aws:iam::1:role/role", RB_NAME_UNKNOWN},
    {"nobody_is_told", "role/" OURS, NULL, RB_NAME_UNKNOWN},
    {"nobody", "role/" OURS, "", RB_NAME_UNKNOWN},
    {"a_person_without_names", NULL, "ann", RB_NAME_UNKNOWN},
    {"something_like_an_id", NULL, "role/rty_1", RB_NAME_UNKNOWN},
};

static void an_initiator_that_names_a_retry_decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(name_rows); i++) {
        const struct name_row *row = &name_rows[i];
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
        struct rb_build b = RB_BUILD_INIT;
        assert_non_null(r);
        memcpy(r->id, OURS, sizeof(OURS));
        r->build.id = "web:own";
        r->build.source_version = "main";
        r->intent.low_water = 10;
        r->intent.date_ms = T0;
        r->intent.initiator = row->intent;
        b.id = "web:other";
        b.number = 9; /* a name counts more than number, version and time */
        b.source_version = "dev";
        b.started_ms = S(-900);
        b.initiator = row->initiator;
        if (rb_plan_named(r, &b) != row->expected ||
            rb_plan_candidate(r, &b, NULL) != (row->expected == RB_NAME_OURS)) {
            fail_msg("%s", row->name);
        }
        b.number = 11;
        b.source_version = "main";
        b.started_ms = S(1);
        bool hook = row->initiator != NULL && strncmp(row->initiator, "GitHub", 6) == 0;
        if (!hook && rb_plan_candidate(r, &b, NULL) != (row->expected != RB_NAME_OTHER)) {
            fail_msg("%s, like ours otherwise", row->name);
        }
        b.id = "web:own";
        assert_false(rb_plan_candidate(r, &b, NULL));
    }
}

static void a_build_that_names_our_retry_is_adopted_though_the_look_was_cut(void **state)
{
    const struct rb_plan_windows w = windows();
    const struct rb_plan_state s = {
        .open = true, .ambiguous = true, .issue = 1, .date_ms = T0, .sends = 1};
    struct rb_look_result look = {
        .status = RB_LOOK_CUT, .began_ms = S(10), .n_candidates = 1, .named = true};

    (void)state;
    assert_int_equal(rb_plan_resume(&w, &s, &look, S(300)).step, RB_PLAN_ADOPT);
    look.n_candidates = 0;
    look.named = false;
    look.began_ms = S(900);
    assert_int_equal(rb_plan_resume(&w, &s, &look, S(900)).step, RB_PLAN_HOLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_initiator_that_names_a_retry_decides),
        cmocka_unit_test(a_build_that_names_our_retry_is_adopted_though_the_look_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
