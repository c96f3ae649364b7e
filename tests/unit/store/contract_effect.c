/* contract_effect.c - a retry whose build was not known to the full takes the effect key that
 * belongs to it once it is. */
#include <string.h>

#include "harness.h"

#define ACCOUNT "123456789012"

/* ask - a person asks for build 1 by its id alone: submit task, for a worker to find out more. */
static void ask(struct fix *f, int64_t now, char ret_id[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, "web", 1, 0, now);
    entry_anonymous(&e);
    e.a.mode = RB_ADMIT_PERSON;
    assert_int_equal(admit(f, &e, now), RB_ADMIT_NEW);
    memcpy(ret_id, e.retry->id, RB_ID_BYTES);
    entry_release(&e);
}

/* take - its worker learns the account. */
static enum rb_code take(struct fix *f, struct rb_task *t, enum rb_effect_take how,
                         int64_t ended_after_ms, int64_t now, struct rb_settle *s)
{
    t->retry->build.account = ACCOUNT;
    *s = (struct rb_settle){
        .keep_lease = true, .take_effect = how, .ended_after_ms = ended_after_ms};
    return settle(f, t, s, now);
}

static enum rb_code take_plainly(struct fix *f, struct rb_task *t, int64_t now)
{
    struct rb_settle s;
    return take(f, t, RB_EFFECT_TAKE, T0, now, &s);
}

/* taken - asked for, and the worker that has it knows whose it is and took the key. */
static struct rb_task *taken(struct fix *f, char ret_id[RB_ID_BYTES])
{
    ask(f, T0, ret_id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_int_equal(take_plainly(f, t, T0), RB_OK);
    return t;
}

/* told_meanwhile - asked for, and before its worker knows more the event of the build comes. */
static struct rb_task *told_meanwhile(struct fix *f, char ret_id[RB_ID_BYTES],
                                      char ret_other[RB_ID_BYTES])
{
    ask(f, T0, ret_id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    admit_new(f, "web", 1, T0, ret_other);
    return t;
}

static enum rb_admit_result tell(struct fix *f, int64_t now, char ret_id[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, "web", 1, 0, now);
    enum rb_admit_result result = admit(f, &e, now);
    memcpy(ret_id, e.a.retry_id, RB_ID_BYTES);
    entry_release(&e);
    return result;
}

static void end(struct fix *f, struct rb_task *t, int64_t now)
{
    struct rb_settle s = {.next = RB_TASK_NONE};
    rb_retry_enter(t->retry, RB_STATE_REFUSED, now, "policy");
    assert_int_equal(settle(f, t, &s, now), RB_OK);
}

static void a_build_of_another_account_is_another_effect(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 0, T0);
    e.retry->build.account = "999999999999";
    rb_build_key(&e.retry->build, e.build_key);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 2);
    entry_release(&e);
}

static void a_key_that_was_taken_is_held_as_one_of_admission(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], told[RB_ID_BYTES];
    struct rb_task *t = taken(f, id);
    assert_int_equal(tell(f, T0 + 300 * DAY, told), RB_ADMIT_DUPLICATE);
    assert_string_equal(told, id);
    rb_task_free(t);
}

static void a_key_that_was_taken_is_held_a_day_beyond_the_end(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], told[RB_ID_BYTES];
    struct rb_task *t = taken(f, id);
    end(f, t, T0 + SECOND);
    assert_int_equal(tell(f, T0 + 24 * HOUR, told), RB_ADMIT_DUPLICATE);
    assert_string_equal(told, id);
    assert_int_equal(tell(f, T0 + SECOND + 24 * HOUR, told), RB_ADMIT_NEW);
    rb_task_free(t);
}

static void a_key_that_was_taken_is_given_back(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], told[RB_ID_BYTES];
    struct rb_task *t = taken(f, id);
    rb_retry_enter(t->retry, RB_STATE_REFUSED, T0, "not so");
    struct rb_settle s = {.give_effect = true};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    assert_int_equal(tell(f, T0, told), RB_ADMIT_NEW);
    rb_task_free(t);
}

static void the_key_that_was_held_before_is_free(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], again[RB_ID_BYTES];
    struct rb_task *t = taken(f, id);
    ask(f, T0, again);
    assert_string_not_equal(again, id);
    /* and the end of the first does not touch who has it now */
    end(f, t, T0);
    struct entry e;
    entry_init(&e, "web", 1, 0, T0);
    entry_anonymous(&e);
    assert_int_equal(admit(f, &e, T0 + 300 * DAY), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, again);
    entry_release(&e);
    rb_task_free(t);
}

static void a_key_of_a_retry_that_lives_is_not_taken(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], other[RB_ID_BYTES], told[RB_ID_BYTES];
    struct rb_settle s;
    struct rb_task *t = told_meanwhile(f, id, other);
    assert_int_equal(take(f, t, RB_EFFECT_TAKE, T0 + DAY, T0, &s), RB_E_CONFLICT);
    assert_int_equal(s.conflict, RB_CONFLICT_EFFECT);
    assert_string_equal(s.other_id, other);
    assert_int_equal(tell(f, T0, told), RB_ADMIT_DUPLICATE);
    assert_string_equal(told, other);
    struct rb_retry *r = get(f, id);
    assert_null(r->build.account); /* nothing of it was written */
    rb_retry_free(r);
    end(f, t, T0); /* the lease is there still */
    rb_task_free(t);
}

static void a_key_of_a_retry_that_ended_since_is_not_taken(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], other[RB_ID_BYTES];
    struct rb_settle s;
    struct rb_task *t = told_meanwhile(f, id, other);
    finish(f, other, T0 + SECOND);
    assert_int_equal(take(f, t, RB_EFFECT_TAKE, T0, T0 + MINUTE, &s), RB_E_CONFLICT);
    assert_int_equal(s.conflict, RB_CONFLICT_EFFECT);
    assert_string_equal(s.other_id, other);
    assert_int_equal(take(f, t, RB_EFFECT_TAKE, T0 + SECOND, T0 + MINUTE, &s), RB_OK);
    rb_task_free(t);
}

static void a_key_that_is_taken_from_an_ended_retry_stays_with_the_taker(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], other[RB_ID_BYTES], told[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, other);
    finish(f, other, T0 + SECOND);
    ask(f, T0 + MINUTE, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + MINUTE);
    struct rb_settle s;
    assert_int_equal(take(f, t, RB_EFFECT_TAKE, T0 + MINUTE, T0 + MINUTE, &s), RB_OK);
    fix_reopen(f);
    assert_int_equal(tell(f, T0 + 2 * DAY, told), RB_ADMIT_DUPLICATE);
    assert_string_equal(told, id);
    rb_task_free(t);
}

static void force_takes_the_key_of_a_retry_that_lives(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], other[RB_ID_BYTES], told[RB_ID_BYTES];
    struct rb_settle s;
    struct rb_task *t = told_meanwhile(f, id, other);
    assert_int_equal(take(f, t, RB_EFFECT_FORCE, 0, T0, &s), RB_OK);
    assert_int_equal(tell(f, T0, told), RB_ADMIT_DUPLICATE);
    assert_string_equal(told, id);
    rb_task_free(t);
}

static void a_key_may_be_taken_twice(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], told[RB_ID_BYTES];
    struct rb_task *t = taken(f, id);
    assert_int_equal(take_plainly(f, t, T0), RB_OK);
    assert_int_equal(tell(f, T0, told), RB_ADMIT_DUPLICATE);
    assert_string_equal(told, id);
    end(f, t, T0);
    assert_int_equal(tell(f, T0 + HOUR, told), RB_ADMIT_DUPLICATE);
    rb_task_free(t);
}

static void whoever_has_lost_the_lease_takes_no_key(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES], told[RB_ID_BYTES];
    ask(f, T0, id);
    struct rb_task *late = must_claim(f, RB_TASK_SUBMIT, T0);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + LEASE + SECOND);
    assert_int_equal(take_plainly(f, late, T0 + LEASE + SECOND), RB_E_FENCED);
    assert_int_equal(tell(f, T0 + LEASE + SECOND, told), RB_ADMIT_NEW);
    rb_task_free(late);
    rb_task_free(t);
}

const struct CMUnitTest contract_effect_tests[] = {
    STORE_TEST(a_build_of_another_account_is_another_effect),
    STORE_TEST(a_key_that_was_taken_is_held_as_one_of_admission),
    STORE_TEST(a_key_that_was_taken_is_held_a_day_beyond_the_end),
    STORE_TEST(a_key_that_was_taken_is_given_back),
    STORE_TEST(the_key_that_was_held_before_is_free),
    STORE_TEST(a_key_of_a_retry_that_lives_is_not_taken),
    STORE_TEST(a_key_of_a_retry_that_ended_since_is_not_taken),
    STORE_TEST(a_key_that_is_taken_from_an_ended_retry_stays_with_the_taker),
    STORE_TEST(force_takes_the_key_of_a_retry_that_lives),
    STORE_TEST(a_key_may_be_taken_twice),
    STORE_TEST(whoever_has_lost_the_lease_takes_no_key),
    {0},
};
