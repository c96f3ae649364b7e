/* The life of one retry in memory, its token, and the end of a configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/settings.h>

static void a_terminal_state_says_when_and_a_requeue_takes_it_back(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    rb_retry_enter(r, RB_STATE_SCHEDULED, 1000, NULL);
    rb_retry_enter(r, RB_STATE_SUBMITTING, 2000, "sent");
    assert_true(r->finished_ms == 0);
    rb_retry_enter(r, RB_STATE_DEAD, 3000, "outcome unknown");
    assert_true(r->finished_ms == 3000);
    rb_retry_enter(r, RB_STATE_SCHEDULED, 4000, "requeued");
    assert_true(r->finished_ms == 0);
    assert_int_equal(r->n_history, 4);
    assert_string_equal(r->history[2].note, "outcome unknown");
    assert_int_equal(r->history[2].state, RB_STATE_DEAD);
}

static void a_long_history_keeps_its_beginning_and_its_end(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    for (int i = 0; i < 200; i++) {
        rb_retry_note(r, i, NULL);
    }
    assert_int_equal(r->n_history, RB_HISTORY_MAX);
    assert_true(r->history[0].at_ms == 0);
    assert_true(r->history[7].at_ms == 7);
    assert_true(r->history[8].at_ms == 144);
    assert_true(r->history[RB_HISTORY_MAX - 1].at_ms == 199);
}

static void a_note_is_cut_at_a_code_point(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    char note[1001];
    for (size_t i = 0; i + 1 < sizeof(note); i += 2) {
        memcpy(note + i, "\xC3\xA4", 2);
    }
    note[1000] = '\0';
    rb_retry_note(r, 1, note + 1 - 1);
    assert_true(strlen(r->history[0].note) <= 300);
    assert_true(rb_utf8_valid(r->history[0].note, strlen(r->history[0].note)));
}

static void each_issue_of_an_attempt_has_its_own_lasting_token(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    memcpy(r->id, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", 31);
    r->attempt = 1;
    r->intent.issue = 1;
    char first[65];
    char again[65];
    char second[65];
    rb_retry_token(r, first);
    rb_retry_token(r, again);
    assert_int_equal(strlen(first), 64);
    assert_string_equal(first, again);
    r->intent.issue = 2;
    rb_retry_token(r, second);
    assert_string_not_equal(first, second);
    r->intent.issue = 1;
    r->attempt = 2;
    rb_retry_token(r, again);
    assert_string_not_equal(first, again);
    assert_string_not_equal(second, again);
}

static void a_decision_is_copied_deeply(void **state)
{
    (void)state;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    char reason[] = "because";
    struct rb_decision d = {.action = RB_ACTION_ASK, .rule = "r", .reason = reason, .limit = 3};
    assert_true(rb_retry_set_decision(r, &d));
    reason[0] = 'X';
    assert_string_equal(r->decision.reason, "because");
    assert_true(r->decision.limit == 3);
}

static void the_stages_of_states_are_those_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        enum rb_state state;
        int stage; /* -1 = not reported */
    } rows[] = {
        {RB_STATE_RECEIVED, -1},
        {RB_STATE_SCHEDULED, -1},
        {RB_STATE_SUBMITTING, -1},
        {RB_STATE_RUNNING, RB_STAGE_STARTED},
        {RB_STATE_HELD, RB_STAGE_HELD},
        {RB_STATE_RECOVERED, RB_STAGE_FINISHED},
        {RB_STATE_FAILED_AGAIN, RB_STAGE_FINISHED},
        {RB_STATE_IGNORED, -1},
        {RB_STATE_REFUSED, RB_STAGE_REFUSED},
        {RB_STATE_SUPERSEDED, RB_STAGE_REFUSED},
        {RB_STATE_DEFERRED, RB_STAGE_REFUSED},
        {RB_STATE_CANCELLED, RB_STAGE_FINISHED},
        {RB_STATE_DEAD, RB_STAGE_FINISHED},
    };
    assert_int_equal(RB_ARRAY_LEN(rows), RB_STATE_COUNT);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        enum rb_stage stage = RB_STAGE_COUNT;
        assert_int_equal(rb_stage_of(rows[i].state, &stage), rows[i].stage >= 0);
        if (rows[i].stage >= 0) {
            assert_int_equal(stage, rows[i].stage);
        }
    }
}

static void the_last_reference_frees_the_settings_and_their_secrets(void **state)
{
    (void)state;
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 65536);
    s->refs = 1;
    s->store.url = rb_secret_new("redis://x", 9);
    s->sources = rb_arena_alloc(&s->arena, sizeof(*s->sources));
    assert_non_null(s->sources);
    s->n_sources = 1;
    s->sources[0].secrets.items = rb_arena_alloc(&s->arena, sizeof(struct rb_secret_entry));
    assert_non_null(s->sources[0].secrets.items);
    s->sources[0].secrets.n = 1;
    s->sources[0].secrets.items[0].secret = rb_secret_new("k", 1);
    struct rb_settings *other = rb_settings_ref(s);
    assert_ptr_equal(other, s);
    rb_settings_unref(s);
    assert_int_equal(rb_secret_len(other->store.url), 9);
    rb_settings_unrefp(&other); /* the leak checker of the sanitizer build sees what stays */
    rb_settings_unref(NULL);
    assert_null(rb_settings_ref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_state_says_when_and_a_requeue_takes_it_back),
        cmocka_unit_test(a_long_history_keeps_its_beginning_and_its_end),
        cmocka_unit_test(a_note_is_cut_at_a_code_point),
        cmocka_unit_test(each_issue_of_an_attempt_has_its_own_lasting_token),
        cmocka_unit_test(a_decision_is_copied_deeply),
        cmocka_unit_test(the_stages_of_states_are_those_of_the_contract),
        cmocka_unit_test(the_last_reference_frees_the_settings_and_their_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
