/* contract_keys.c - idempotency tokens, and how long keys are remembered (by the caller's time). */
#include <string.h>

#include "harness.h"

static void a_repeated_token_gives_the_same_retry(void **state)
{
    struct fix *f = *state;
    struct entry e[2];
    for (unsigned i = 0; i < 2; i++) {
        entry_init(&e[i], "web", 1, 0, T0 + i);
        entry_token(&e[i], "abc", "web:1");
        e[i].a.mode = RB_ADMIT_FORCE;
        assert_int_equal(admit(f, &e[i], T0 + i), i == 0 ? RB_ADMIT_NEW : RB_ADMIT_DUPLICATE);
    }
    assert_string_equal(e[1].a.retry_id, e[0].retry->id);
    struct rb_retry *r = get(f, e[0].retry->id);
    assert_int_equal(r->duplicates, 1);
    rb_retry_free(r);
    entry_release(&e[0]);
    entry_release(&e[1]);
}

static void a_repeated_token_with_other_parameters_is_a_mismatch(void **state)
{
    struct fix *f = *state;
    struct entry first;
    struct entry other;
    entry_init(&first, "web", 1, 0, T0);
    entry_init(&other, "web", 2, 2, T0);
    entry_token(&first, "abc", "web:1");
    entry_token(&other, "abc", "web:2");
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    assert_int_equal(admit(f, &other, T0), RB_ADMIT_MISMATCH);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 1);
    /* and nothing of it was remembered */
    struct entry third;
    entry_init(&third, "web", 2, 2, T0);
    assert_int_equal(admit(f, &third, T0), RB_ADMIT_NEW);
    entry_release(&first);
    entry_release(&other);
    entry_release(&third);
}

static void the_token_is_looked_at_before_the_delivery(void **state)
{
    struct fix *f = *state;
    struct entry first;
    struct entry other;
    entry_init(&first, "web", 1, 1, T0);
    entry_init(&other, "web", 1, 1, T0);
    entry_token(&first, "abc", "web:1");
    entry_token(&other, "abc", "else");
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    assert_int_equal(admit(f, &other, T0), RB_ADMIT_MISMATCH);
    entry_release(&first);
    entry_release(&other);
}

static void a_token_of_a_duplicate_is_remembered_too(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 0, T0);
    e.a.mode = RB_ADMIT_PERSON;
    entry_token(&e, "abc", "web:1");
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    entry_release(&e);
    entry_init(&e, "web", 2, 0, T0);
    entry_token(&e, "abc", "web:2");
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_MISMATCH);
    entry_release(&e);
}

static void tokens_and_deliveries_of_one_text_are_apart(void **state)
{
    struct fix *f = *state;
    struct entry first;
    struct entry other;
    entry_init(&first, "web", 1, 1, T0);
    entry_init(&other, "web", 2, 0, T0);
    entry_token(&other, "abc", "web:2");
    memcpy(other.token_key, first.delivery_key, sizeof(other.token_key));
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    assert_int_equal(admit(f, &other, T0), RB_ADMIT_NEW);
    entry_release(&first);
    entry_release(&other);
}

/* A delivery key is known for 96 hours. The build differs, so that only the key can tell. */
static enum rb_admit_result repeat_delivery_after(struct fix *f, int64_t after_ms)
{
    struct entry first;
    struct entry again;
    entry_init(&first, "web", 1, 1, T0);
    entry_init(&again, "web", 2, 1, T0 + after_ms);
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    enum rb_admit_result result = admit(f, &again, T0 + after_ms);
    entry_release(&first);
    entry_release(&again);
    return result;
}

static void a_delivery_is_known_for_its_time(void **state)
{
    assert_int_equal(repeat_delivery_after(*state, 96 * HOUR - 1), RB_ADMIT_DUPLICATE);
}

static void a_delivery_is_forgotten_after_its_time(void **state)
{
    assert_int_equal(repeat_delivery_after(*state, 96 * HOUR), RB_ADMIT_NEW);
}

static enum rb_admit_result repeat_token_after(struct fix *f, int64_t after_ms)
{
    struct entry first;
    struct entry again;
    entry_init(&first, "web", 1, 0, T0);
    entry_init(&again, "web", 2, 0, T0 + after_ms);
    entry_token(&first, "abc", "x");
    entry_token(&again, "abc", "y");
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    enum rb_admit_result result = admit(f, &again, T0 + after_ms);
    entry_release(&first);
    entry_release(&again);
    return result;
}

static void a_token_is_known_for_its_time(void **state)
{
    assert_int_equal(repeat_token_after(*state, 96 * HOUR - 1), RB_ADMIT_MISMATCH);
}

static void a_token_is_forgotten_after_its_time(void **state)
{
    assert_int_equal(repeat_token_after(*state, 96 * HOUR), RB_ADMIT_NEW);
}

/* What a person asks twice: the first has ended, the token is known for ten seconds. */
static enum rb_admit_result click_again_after(struct fix *f, int64_t after_ms)
{
    struct entry e[3];
    for (unsigned i = 0; i < 3; i++) {
        entry_init(&e[i], "web", 1, 0, T0);
        entry_token(&e[i], "click", "web:1");
        e[i].a.mode = RB_ADMIT_FORCE;
        e[i].a.token_ttl_ms = 10 * SECOND;
    }
    assert_int_equal(admit(f, &e[0], T0), RB_ADMIT_NEW);
    finish(f, e[0].retry->id, T0);
    assert_int_equal(admit(f, &e[1], T0 + 5 * SECOND), RB_ADMIT_DUPLICATE); /* prolongs nothing */
    assert_string_equal(e[1].a.retry_id, e[0].retry->id);
    enum rb_admit_result result = admit(f, &e[2], T0 + after_ms);
    for (unsigned i = 0; i < 3; i++) {
        entry_release(&e[i]);
    }
    return result;
}

static void a_token_of_a_moment_is_known_for_that_moment(void **state)
{
    assert_int_equal(click_again_after(*state, 10 * SECOND - 1), RB_ADMIT_DUPLICATE);
}

static void a_token_of_a_moment_is_forgotten_after_it(void **state)
{
    assert_int_equal(click_again_after(*state, 10 * SECOND), RB_ADMIT_NEW);
}

static enum rb_admit_result event_after_end(struct fix *f, int64_t after_ms)
{
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0 + HOUR);
    entry_init(&e, "web", 1, 0, T0 + HOUR + after_ms);
    enum rb_admit_result result = admit(f, &e, T0 + HOUR + after_ms);
    entry_release(&e);
    return result;
}

static void an_effect_key_is_held_a_day_beyond_the_end(void **state)
{
    assert_int_equal(event_after_end(*state, 24 * HOUR - 1), RB_ADMIT_DUPLICATE);
}

static void an_effect_key_is_free_a_day_after_the_end(void **state)
{
    assert_int_equal(event_after_end(*state, 24 * HOUR), RB_ADMIT_NEW);
}

static void an_effect_key_that_is_given_back_is_free_at_once(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct rb_task *task = NULL;
    struct rb_err err = {.code = RB_OK};
    unsigned n = 0;
    admit_new(f, "web", 1, T0, id);
    assert_int_equal(
        rb_store_claim(f->ses, RB_TASK_SUBMIT, 1, 30 * SECOND, T0, &task, &n, NULL, &err), RB_OK);
    assert_int_equal(n, 1);
    rb_retry_enter(task->retry, RB_STATE_REFUSED, T0, "not so");
    struct rb_settle s = {.task = task, .retry = task->retry, .give_effect = true};
    assert_int_equal(rb_store_settle(f->ses, &s, T0, &err), RB_OK);
    rb_task_free(task);
    struct entry e[2];
    for (unsigned i = 0; i < 2; i++) {
        entry_init(&e[i], "web", 1, 0, T0);
        assert_int_equal(admit(f, &e[i], T0), i == 0 ? RB_ADMIT_NEW : RB_ADMIT_DUPLICATE);
    }
    assert_string_not_equal(e[0].a.retry_id, id);
    assert_string_equal(e[1].a.retry_id, e[0].a.retry_id);
    entry_release(&e[0]);
    entry_release(&e[1]);
}

static void an_effect_key_is_held_as_long_as_its_retry_lives(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 0, T0 + 300 * DAY);
    assert_int_equal(admit(f, &e, T0 + 300 * DAY), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, id);
    entry_release(&e);
}

static void keys_survive_a_restart(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    fix_reopen(f);
    entry_init(&e, "web", 2, 1, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    entry_release(&e);
    entry_init(&e, "web", 1, 2, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    entry_release(&e);
}

static void give_up(struct fix *f, int64_t now)
{
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, now);
    rb_retry_enter(t->retry, RB_STATE_DEAD, now, "unknown outcome");
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, now), RB_OK);
    rb_task_free(t);
}

static enum rb_code revive(struct fix *f, const char *id, struct rb_settle *s)
{
    struct rb_retry *r = get(f, id);
    rb_retry_enter(r, RB_STATE_SCHEDULED, T0 + HOUR, "requeued by ops");
    *s = (struct rb_settle){.retry = r, .next = RB_TASK_SUBMIT, .next_due_ms = T0 + HOUR};
    enum rb_code rc = settle(f, NULL, s, T0 + HOUR);
    rb_retry_free(r);
    return rc;
}

static void an_ended_retry_does_not_live_again_beside_another_of_its_build(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], other_id[RB_ID_BYTES];
    struct rb_settle s;
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    give_up(f, T0);
    entry_init(&e, "web", 1, 0, T0 + SECOND);
    e.a.mode = RB_ADMIT_PERSON;
    assert_int_equal(admit(f, &e, T0 + SECOND), RB_ADMIT_NEW);
    memcpy(other_id, e.retry->id, sizeof(other_id));
    entry_release(&e);
    assert_int_equal(revive(f, id, &s), RB_E_CONFLICT);
    assert_int_equal(s.conflict, RB_CONFLICT_EFFECT);
    assert_string_equal(s.other_id, other_id);
    assert_int_equal(state_of(f, id), RB_STATE_DEAD);
    give_up(f, T0 + SECOND);
    assert_int_equal(revive(f, id, &s), RB_OK);
    assert_int_equal(revive(f, other_id, &s), RB_E_CONFLICT); /* the key is the first one's again */
    assert_string_equal(s.other_id, id);
    entry_init(&e, "web", 1, 0, T0 + HOUR);
    e.a.mode = RB_ADMIT_PERSON;
    assert_int_equal(admit(f, &e, T0 + HOUR), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, id);
    entry_release(&e);
}

/* Admissions enough that keys whose time is over are put out of mind on the way. */
static void pass_days(struct fix *f, int64_t until)
{
    int64_t birth = 0;
    for (unsigned i = 0; i < 40; i++) {
        struct entry e;
        entry_init(&e, "busy", 1000 + i, 1000 + i, until - 40 + i);
        entry_state(&e, RB_STATE_IGNORED, RB_TASK_NONE);
        assert_int_equal(admit(f, &e, until - 40 + i), RB_ADMIT_NEW);
        entry_release(&e);
    }
    assert_int_equal(rb_store_epoch(f->ses, until, &birth, NULL), RB_OK);
}

static void a_key_whose_time_is_over_goes_to_another_and_back(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], other_id[RB_ID_BYTES];
    int64_t later = T0 + 6 * DAY;
    struct rb_settle s;
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    give_up(f, T0);
    pass_days(f, later);
    admit_new(f, "web", 1, later, other_id);
    for (unsigned restarts = 0; restarts < 2; restarts++) {
        entry_init(&e, "web", 1, 77 + restarts, later + SECOND);
        assert_int_equal(admit(f, &e, later + SECOND), RB_ADMIT_DUPLICATE);
        assert_string_equal(e.a.retry_id, other_id);
        entry_release(&e);
        assert_int_equal(revive(f, id, &s), RB_E_CONFLICT);
        assert_string_equal(s.other_id, other_id);
        fix_reopen(f);
    }
    finish(f, other_id, later + SECOND);
    assert_int_equal(revive(f, id, &s), RB_OK);
    fix_reopen(f);
    entry_init(&e, "web", 1, 79, later + SECOND);
    assert_int_equal(admit(f, &e, later + SECOND), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, id);
    entry_release(&e);
}

const struct CMUnitTest contract_keys_tests[] = {
    STORE_TEST(a_repeated_token_gives_the_same_retry),
    STORE_TEST(a_repeated_token_with_other_parameters_is_a_mismatch),
    STORE_TEST(the_token_is_looked_at_before_the_delivery),
    STORE_TEST(a_token_of_a_duplicate_is_remembered_too),
    STORE_TEST(tokens_and_deliveries_of_one_text_are_apart),
    STORE_TEST(a_delivery_is_known_for_its_time),
    STORE_TEST(a_delivery_is_forgotten_after_its_time),
    STORE_TEST(a_token_is_known_for_its_time),
    STORE_TEST(a_token_is_forgotten_after_its_time),
    STORE_TEST(a_token_of_a_moment_is_known_for_that_moment),
    STORE_TEST(a_token_of_a_moment_is_forgotten_after_it),
    STORE_TEST(an_effect_key_is_held_a_day_beyond_the_end),
    STORE_TEST(an_effect_key_is_free_a_day_after_the_end),
    STORE_TEST(an_effect_key_that_is_given_back_is_free_at_once),
    STORE_TEST(an_effect_key_is_held_as_long_as_its_retry_lives),
    STORE_TEST(keys_survive_a_restart),
    STORE_TEST(an_ended_retry_does_not_live_again_beside_another_of_its_build),
    STORE_TEST(a_key_whose_time_is_over_goes_to_another_and_back),
    {0},
};
