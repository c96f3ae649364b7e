/* The decisions of the once-only call, row by row. Times are seconds after T0 = 1,000,000 s. */
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

static const struct rb_timing timing = {
    .resend_window_ms = 240000,
    .token_window_ms = 300000,
    .signature_window_ms = 300000,
    .visibility_grace_ms = 120000,
};

static struct rb_plan_windows windows(void)
{
    struct rb_plan_windows w;
    rb_plan_windows_from(&timing, &w);
    return w;
}

/* ---- an open intent ---- */

struct resume_row {
    const char *name;
    bool ambiguous;
    int64_t unknowns;
    enum rb_look_status look;
    unsigned candidates;
    double began, now; /* seconds after T0 */
    enum rb_plan_step step;
};

static const struct resume_row resume_rows[] = {
    /* nothing left us */
    {"unmarked_inside_window_is_sent", false, 0, RB_LOOK_OK, 0, 1, 1, RB_PLAN_SEND},
    {"unmarked_at_window_end_is_sent", false, 0, RB_LOOK_OK, 0, 239, 240, RB_PLAN_SEND},
    {"unmarked_after_window_starts_afresh", false, 0, RB_LOOK_OK, 0, 240, 240.001, RB_PLAN_RESTART},
    {"unmarked_long_after_starts_afresh", false, 0, RB_LOOK_OK, 0, 9000, 9000, RB_PLAN_RESTART},
    {"unmarked_never_counts_as_unknown", false, 2, RB_LOOK_OK, 0, 9000, 9000, RB_PLAN_RESTART},
    {"unmarked_does_not_adopt", false, 0, RB_LOOK_OK, 1, 500, 500, RB_PLAN_RESTART},
    {"unmarked_does_not_hold", false, 0, RB_LOOK_OK, 3, 500, 500, RB_PLAN_RESTART},
    {"unmarked_is_sent_when_look_fails", false, 0, RB_LOOK_FAILED, 0, 1, 1, RB_PLAN_SEND},
    {"unmarked_clock_far_behind_starts_afresh", false, 0, RB_LOOK_OK, 0, -31, -31, RB_PLAN_RESTART},
    {"unmarked_clock_a_little_behind_is_sent", false, 0, RB_LOOK_OK, 0, -29, -29, RB_PLAN_SEND},
    /* one candidate: adopted at any time */
    {"one_candidate_at_once_is_adopted", true, 0, RB_LOOK_OK, 1, 1, 1, RB_PLAN_ADOPT},
    {"one_candidate_in_between_is_adopted", true, 0, RB_LOOK_OK, 1, 300, 300, RB_PLAN_ADOPT},
    {"one_candidate_after_all_is_adopted", true, 0, RB_LOOK_OK, 1, 460, 460, RB_PLAN_ADOPT},
    {"one_candidate_after_days_is_adopted", true, 2, RB_LOOK_OK, 1, 90000, 90000, RB_PLAN_ADOPT},
    {"one_candidate_of_a_cut_look_is_not", true, 0, RB_LOOK_CUT, 1, 500, 500, RB_PLAN_HOLD},
    /* several */
    {"several_inside_window_let_aws_say", true, 0, RB_LOOK_OK, 2, 10, 10, RB_PLAN_SEND},
    {"several_after_window_are_held", true, 0, RB_LOOK_OK, 2, 241, 241, RB_PLAN_HOLD},
    {"several_after_all_are_held", true, 0, RB_LOOK_OK, 5, 900, 900, RB_PLAN_HOLD},
    /* none */
    {"none_inside_window_is_sent_again", true, 0, RB_LOOK_OK, 0, 10, 10, RB_PLAN_SEND},
    {"none_at_window_end_is_sent_again", true, 0, RB_LOOK_OK, 0, 239, 240, RB_PLAN_SEND},
    {"none_after_window_waits", true, 0, RB_LOOK_OK, 0, 240.5, 240.5, RB_PLAN_WAIT},
    {"none_while_signatures_live_waits", true, 0, RB_LOOK_OK, 0, 299, 299, RB_PLAN_WAIT},
    {"none_inside_grace_waits", true, 0, RB_LOOK_OK, 0, 301, 301, RB_PLAN_WAIT},
    {"none_at_end_of_grace_waits", true, 0, RB_LOOK_OK, 0, 420, 420, RB_PLAN_WAIT},
    {"none_inside_clock_margin_waits", true, 0, RB_LOOK_OK, 0, 449, 449, RB_PLAN_WAIT},
    {"look_begun_too_early_does_not_count", true, 0, RB_LOOK_OK, 0, 449, 460, RB_PLAN_WAIT},
    {"none_after_all_is_certain", true, 0, RB_LOOK_OK, 0, 450.1, 450.1, RB_PLAN_REISSUE},
    {"second_certain_none_is_reissued", true, 1, RB_LOOK_OK, 0, 451, 451, RB_PLAN_REISSUE},
    {"third_certain_none_is_given_up", true, 2, RB_LOOK_OK, 0, 451, 451, RB_PLAN_GIVE_UP},
    {"fourth_is_given_up_too", true, 3, RB_LOOK_OK, 0, 451, 451, RB_PLAN_GIVE_UP},
    /* looks that fail: never a new call */
    {"failed_look_inside_window_resends", true, 0, RB_LOOK_FAILED, 0, 10, 10, RB_PLAN_SEND},
    {"failed_look_after_window_waits", true, 0, RB_LOOK_FAILED, 0, 250, 250, RB_PLAN_WAIT},
    {"failed_look_after_all_waits", true, 0, RB_LOOK_FAILED, 0, 460, 460, RB_PLAN_WAIT},
    {"failed_look_after_days_waits", true, 0, RB_LOOK_FAILED, 0, 900000, 900000, RB_PLAN_WAIT},
    {"denied_look_inside_window_resends", true, 0, RB_LOOK_DENIED, 0, 10, 10, RB_PLAN_SEND},
    {"denied_look_after_all_waits", true, 0, RB_LOOK_DENIED, 0, 460, 460, RB_PLAN_WAIT},
    {"denied_look_for_an_hour_is_held", true, 0, RB_LOOK_DENIED, 0, 4051, 4051, RB_PLAN_HOLD},
    {"cut_look_inside_window_resends", true, 0, RB_LOOK_CUT, 0, 10, 10, RB_PLAN_SEND},
    {"cut_look_before_death_waits", true, 0, RB_LOOK_CUT, 0, 400, 400, RB_PLAN_WAIT},
    {"cut_look_after_all_is_held", true, 0, RB_LOOK_CUT, 0, 451, 451, RB_PLAN_HOLD},
    {"clock_far_behind_does_not_send", true, 0, RB_LOOK_OK, 0, -40, -40, RB_PLAN_WAIT},
};

static void every_open_intent_has_its_next_step(void **state)
{
    struct rb_plan_windows w = windows();

    (void)state;
    assert_true(RB_ARRAY_LEN(resume_rows) >= 40);
    for (size_t i = 0; i < RB_ARRAY_LEN(resume_rows); i++) {
        const struct resume_row *row = &resume_rows[i];
        struct rb_plan_state s = {
            .open = true,
            .ambiguous = row->ambiguous,
            .issue = row->unknowns + 1,
            .unknowns = row->unknowns,
            .date_ms = T0,
            .sends = row->ambiguous ? 1 : 0,
        };
        struct rb_look_result look = {
            .status = row->look, .began_ms = S(row->began), .n_candidates = row->candidates};
        struct rb_plan plan = rb_plan_resume(&w, &s, &look, S(row->now));
        if (plan.step != row->step) {
            fail_msg("%s: step %d, expected %d", row->name, (int)plan.step, (int)row->step);
        }
        if (plan.step == RB_PLAN_WAIT && (plan.wait_ms <= 0 || plan.wait_ms > 15000)) {
            fail_msg("%s: waits %lld ms", row->name, (long long)plan.wait_ms);
        }
    }
}

static void signature_that_outlives_the_token_is_sent_once(void **state)
{
    struct rb_timing t = timing;
    struct rb_plan_windows w;
    struct rb_plan_state s = {
        .open = true, .ambiguous = true, .issue = 1, .date_ms = T0, .sends = 1};
    struct rb_look_result look = {.status = RB_LOOK_OK, .began_ms = S(10)};

    (void)state;
    t.signature_window_ms = 900000;
    rb_plan_windows_from(&t, &w);
    assert_true(w.one_shot);
    assert_int_equal(rb_plan_resume(&w, &s, &look, S(10)).step, RB_PLAN_WAIT);
    look.began_ms = S(900 + 120 - 1);
    assert_int_equal(rb_plan_resume(&w, &s, &look, S(900 + 120)).step, RB_PLAN_WAIT);
    s.ambiguous = false;
    s.sends = 0;
    assert_int_equal(rb_plan_resume(&w, &s, &look, S(10)).step, RB_PLAN_SEND);
}

static void date_of_an_issue_is_a_whole_second_before_now(void **state)
{
    struct rb_plan_windows w = windows();
    struct rb_timing t = timing;

    (void)state;
    assert_int_equal(w.margin_ms, 30000);
    for (int64_t now = T0; now < T0 + 3000; now += 7) {
        int64_t date = rb_plan_date(&w, now);
        assert_int_equal(date % 1000, 0);
        assert_true(date <= now - w.margin_ms && date > now - w.margin_ms - 1000);
    }
    t.signature_window_ms = 5000; /* compressed windows keep most of themselves */
    t.resend_window_ms = 4000;
    rb_plan_windows_from(&t, &w);
    assert_int_equal(w.margin_ms, 500);
}

/* ---- answers ---- */

struct answer_row {
    const char *name;
    enum rb_code rc;
    enum rb_sent sent;
    int64_t sends;
    enum rb_answer_step step;
};

static const struct answer_row answer_rows[] = {
    {"child", RB_OK, RB_SENT_COPY, 1, RB_ANSWER_RUNNING},
    {"child_of_a_resend", RB_OK, RB_SENT_COPY, 4, RB_ANSWER_RUNNING},
    {"throttled_only_copy", RB_E_THROTTLED, RB_SENT_COPY, 1, RB_ANSWER_AGAIN},
    {"throttled_resend", RB_E_THROTTLED, RB_SENT_COPY, 2, RB_ANSWER_AMBIGUOUS},
    {"later_only_copy", RB_E_LATER, RB_SENT_COPY, 1, RB_ANSWER_AGAIN},
    {"later_resend", RB_E_LATER, RB_SENT_COPY, 3, RB_ANSWER_AMBIGUOUS},
    {"credentials_only_copy", RB_E_CREDENTIALS, RB_SENT_COPY, 1, RB_ANSWER_AGAIN},
    {"credentials_resend", RB_E_CREDENTIALS, RB_SENT_COPY, 2, RB_ANSWER_AMBIGUOUS},
    {"clock_only_copy", RB_E_CLOCK, RB_SENT_COPY, 1, RB_ANSWER_AGAIN},
    {"clock_resend", RB_E_CLOCK, RB_SENT_COPY, 2, RB_ANSWER_AMBIGUOUS},
    {"refused_only_copy", RB_E_REFUSED, RB_SENT_COPY, 1, RB_ANSWER_REFUSED},
    {"refused_resend", RB_E_REFUSED, RB_SENT_COPY, 2, RB_ANSWER_AMBIGUOUS},
    {"not_found_only_copy", RB_E_NOT_FOUND, RB_SENT_COPY, 1, RB_ANSWER_REFUSED},
    {"not_found_resend", RB_E_NOT_FOUND, RB_SENT_COPY, 2, RB_ANSWER_AMBIGUOUS},
    {"mismatch", RB_E_MISMATCH, RB_SENT_COPY, 1, RB_ANSWER_ALARM},
    {"mismatch_of_a_resend", RB_E_MISMATCH, RB_SENT_COPY, 2, RB_ANSWER_ALARM},
    {"connect_failed", RB_E_UNAVAIL, RB_SENT_COPY, 1, RB_ANSWER_UNSENT},
    {"connect_failed_on_resend", RB_E_UNAVAIL, RB_SENT_COPY, 2, RB_ANSWER_UNSENT},
    {"cancelled_before_bytes", RB_E_CLOSED, RB_SENT_COPY, 1, RB_ANSWER_UNSENT},
    {"lease_too_short", RB_E_TIMEOUT, RB_SENT_NOTHING, 0, RB_ANSWER_UNSENT},
    {"fenced_before_mark", RB_E_FENCED, RB_SENT_NOTHING, 0, RB_ANSWER_UNSENT},
    {"no_credentials_before_mark", RB_E_CREDENTIALS, RB_SENT_NOTHING, 0, RB_ANSWER_UNSENT},
    {"unknown_region_before_mark", RB_E_INVALID, RB_SENT_NOTHING, 0, RB_ANSWER_UNSENT},
    {"timeout_after_sending", RB_E_TIMEOUT, RB_SENT_COPY, 1, RB_ANSWER_AMBIGUOUS},
    {"five_hundred", RB_E_AMBIGUOUS, RB_SENT_COPY, 1, RB_ANSWER_AMBIGUOUS},
    {"cut_answer", RB_E_IO, RB_SENT_COPY, 1, RB_ANSWER_AMBIGUOUS},
    {"answer_too_large", RB_E_TOO_LARGE, RB_SENT_COPY, 1, RB_ANSWER_AMBIGUOUS},
    {"no_memory_for_the_answer", RB_E_NOMEM, RB_SENT_COPY, 1, RB_ANSWER_AMBIGUOUS},
};

static void every_answer_has_its_meaning(void **state)
{
    (void)state;
    assert_true(RB_ARRAY_LEN(answer_rows) >= 25);
    for (size_t i = 0; i < RB_ARRAY_LEN(answer_rows); i++) {
        const struct answer_row *row = &answer_rows[i];
        struct rb_plan_state s = {
            .open = true, .ambiguous = true, .issue = 1, .date_ms = T0, .sends = row->sends};
        enum rb_answer_step step = rb_plan_answer(&s, row->rc, row->sent);
        if (step != row->step) {
            fail_msg("%s: %d, expected %d", row->name, (int)step, (int)row->step);
        }
    }
}

static void waits_grow_and_stay_bounded(void **state)
{
    int64_t before = 0;

    (void)state;
    assert_int_equal(rb_plan_ambiguous_wait_ms(0), 500);
    assert_int_equal(rb_plan_ambiguous_wait_ms(-5000), 500);
    for (int second = 0; second < 400; second++) {
        int64_t wait = rb_plan_ambiguous_wait_ms(second * 1000);
        assert_true(wait >= before && wait <= 15000);
        before = wait;
    }
    assert_int_equal(before, 15000);
    for (int64_t n = 1; n < 70; n++) {
        int64_t most = rb_plan_backoff_ms(n, 1000, 20000, UINT64_MAX);
        int64_t least = rb_plan_backoff_ms(n, 1000, 20000, 0);
        assert_true(least >= 100 && most <= 20000);
    }
    assert_int_equal(rb_plan_backoff_ms(1, 1000, 20000, 999), 1000);
    assert_int_equal(rb_plan_backoff_ms(3, 1000, 20000, 3999), 4000);
}

/* ---- builds ---- */

#define SHA "0123456789abcdef0123456789abcdef01234567"
#define SHA2 "89abcdef0123456789abcdef0123456701234567"

struct candidate_row {
    const char *name;
    const char *own_version, *own_resolved, *version, *resolved;
    int64_t number;
    double started;
    const char *initiator, *known;
    bool expected;
};

static const struct candidate_row candidate_rows[] = {
    {"same_branch", "main", NULL, "main", NULL, 11, 1, NULL, NULL, true},
    {"other_branch", "main", NULL, "dev", NULL, 11, 1, NULL, NULL, false},
    {"both_without_version", NULL, NULL, NULL, NULL, 11, 1, NULL, NULL, true},
    {"empty_is_without", "", NULL, NULL, NULL, 11, 1, NULL, NULL, true},
    {"without_against_branch", NULL, NULL, "main", NULL, 11, 1, NULL, NULL, false},
    {"branch_pinned_to_its_commit", "main", SHA, SHA, NULL, 11, 1, NULL, NULL, true},
    {"same_resolved_commit", "main", SHA, "other", SHA, 11, 1, NULL, NULL, true},
    {"same_branch_moved_on", "main", SHA, "main", SHA2, 11, 1, NULL, NULL, true},
    {"other_commit", SHA, SHA, SHA2, SHA2, 11, 1, NULL, NULL, false},
    {"at_the_low_water_mark", "main", NULL, "main", NULL, 10, 1, NULL, NULL, false},
    {"below_the_low_water_mark", "main", NULL, "main", NULL, 9, 1, NULL, NULL, false},
    {"number_not_told", "main", NULL, "main", NULL, 0, 1, NULL, NULL, true},
    {"started_a_minute_early", "main", NULL, "main", NULL, 11, -60, NULL, NULL, true},
    {"started_too_early", "main", NULL, "main", NULL, 11, -60.001, NULL, NULL, false},
    {"started_late", "main", NULL, "main", NULL, 11, 350, NULL, NULL, true},
    {"by_a_hook", "main", NULL, "main", NULL, 11, 1, "GitHub-Hookshot/e1a2", NULL, false},
    {"by_a_pipeline", "main", NULL, "main", NULL, 11, 1, "codepipeline/deploy", NULL, false},
    {"by_somebody_while_we_know_nobody", "main", NULL, "main", NULL, 11, 1, "ann", NULL, true},
    {"by_us", "main", NULL, "main", NULL, 11, 1, "role/one", "role/one", true},
    {"by_our_role_in_another_session", "main", NULL, "main", NULL, 11, 1, "role/two", "role/one",
     true},
    {"by_another_role", "main", NULL, "main", NULL, 11, 1, "other/one", "role/one", false},
    {"by_a_role_with_a_longer_name", "main", NULL, "main", NULL, 11, 1, "role2/one", "role/one",
     false},
    {"initiator_not_told", "main", NULL, "main", NULL, 11, 1, NULL, "role/one", true},
};

static void a_child_is_recognised_by_every_mark(void **state)
{
    (void)state;
    assert_true(RB_ARRAY_LEN(candidate_rows) >= 20);
    for (size_t i = 0; i < RB_ARRAY_LEN(candidate_rows); i++) {
        const struct candidate_row *row = &candidate_rows[i];
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
        assert_non_null(r);
        r->build.id = "web:own";
        r->build.source_version = row->own_version;
        r->build.resolved_version = row->own_resolved;
        r->intent.low_water = 10;
        r->intent.date_ms = T0;
        struct rb_build b = RB_BUILD_INIT;
        b.id = "web:other";
        b.number = row->number;
        b.source_version = row->version;
        b.resolved_version = row->resolved;
        b.started_ms = S(row->started);
        b.initiator = row->initiator;
        if (rb_plan_candidate(r, &b, row->known) != row->expected) {
            fail_msg("%s", row->name);
        }
        b.id = "web:own";
        assert_false(rb_plan_candidate(r, &b, row->known));
    }
}

struct newer_row {
    const char *name;
    const char *own, *other;
    int64_t number;
    double started;
    bool strict, expected;
};

static const struct newer_row newer_rows[] = {
    {"newer_build_of_the_branch", "main", "main", 11, -500, false, true},
    {"older_build_of_the_branch", "main", "main", 9, 5, false, false},
    {"other_branch", "main", "dev", 11, 5, false, false},
    {"newer_build_of_the_pull_request", "pr/7", "pr/7", 12, 5, false, true},
    {"same_commit", SHA, SHA, 11, 5, false, false},
    {"no_version", NULL, NULL, 11, 5, false, false},
    {"same_commit_beyond_our_memory", SHA, SHA, 11, 5, true, true},
    {"same_commit_started_before_ours_ended", SHA, SHA, 11, -5, true, false},
    {"no_version_beyond_our_memory", NULL, "", 11, 0, true, true},
    {"other_commit_beyond_our_memory", SHA, SHA2, 11, 5, true, false},
};

static void a_newer_build_makes_a_retry_pointless(void **state)
{
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(newer_rows); i++) {
        const struct newer_row *row = &newer_rows[i];
        struct rb_build own = RB_BUILD_INIT, b = RB_BUILD_INIT;
        own.id = "web:own";
        own.number = 10;
        own.source_version = row->own;
        own.ended_ms = T0;
        b.id = "web:other";
        b.number = row->number;
        b.source_version = row->other;
        b.started_ms = S(row->started);
        if (rb_plan_newer(&own, &b, row->strict) != row->expected) {
            fail_msg("%s", row->name);
        }
    }
}

static void auto_retry_of_the_project_is_left_to_aws(void **state)
{
    struct rb_build b = RB_BUILD_INIT;

    (void)state;
    assert_false(rb_plan_auto_retry(&b));
    b.auto_retry_limit = 0;
    b.auto_retry_number = 0;
    assert_false(rb_plan_auto_retry(&b));
    b.auto_retry_limit = 2;
    assert_true(rb_plan_auto_retry(&b));
    b.auto_retry_number = 2;
    assert_false(rb_plan_auto_retry(&b));
    b.next_auto_retry = "arn:aws:codebuild:us-east-1:123456789012:build/web:2";
    assert_true(rb_plan_auto_retry(&b));
}

static void what_ended_before_our_memory_waits(void **state)
{
    const int64_t birth = T0, quarantine = 420000;

    (void)state;
    assert_int_equal(rb_plan_quarantine_until(birth, birth, quarantine, birth + 1), 0);
    assert_int_equal(rb_plan_quarantine_until(birth + 5, birth, quarantine, birth + 6), 0);
    assert_int_equal(rb_plan_quarantine_until(birth - 1, birth, quarantine, birth + 1),
                     birth + quarantine);
    assert_int_equal(rb_plan_quarantine_until(birth - 1, birth, quarantine, birth + quarantine - 1),
                     birth + quarantine);
    assert_int_equal(rb_plan_quarantine_until(birth - 1, birth, quarantine, birth + quarantine), 0);
}

static void an_ambiguous_copy_keeps_the_intent_open_in_any_state(void **state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    struct rb_plan_state s;

    (void)state;
    assert_non_null(r);
    rb_plan_state_of(r, &s);
    assert_false(s.open);
    r->state = RB_STATE_SUBMITTING;
    rb_plan_state_of(r, &s);
    assert_true(s.open);
    r->state = RB_STATE_SCHEDULED;
    r->intent.issue = 1;
    rb_plan_state_of(r, &s);
    assert_false(s.open);
    r->intent.ambiguous = true;
    rb_plan_state_of(r, &s);
    assert_true(s.open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_open_intent_has_its_next_step),
        cmocka_unit_test(signature_that_outlives_the_token_is_sent_once),
        cmocka_unit_test(date_of_an_issue_is_a_whole_second_before_now),
        cmocka_unit_test(every_answer_has_its_meaning),
        cmocka_unit_test(waits_grow_and_stay_bounded),
        cmocka_unit_test(a_child_is_recognised_by_every_mark),
        cmocka_unit_test(a_newer_build_makes_a_retry_pointless),
        cmocka_unit_test(auto_retry_of_the_project_is_left_to_aws),
        cmocka_unit_test(what_ended_before_our_memory_waits),
        cmocka_unit_test(an_ambiguous_copy_keeps_the_intent_open_in_any_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
