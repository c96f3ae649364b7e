/* contract_later.c - tasks that are due later than now, by seconds or by days, few or many. */
#include "harness.h"

#define MANY 700

static void admit_due(struct fix *f, unsigned build, int64_t due, char ret_id[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, "web", build, build, T0);
    e.retry->due_ms = due;
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    memcpy(ret_id, e.retry->id, RB_ID_BYTES);
    entry_release(&e);
}

static struct rb_counts counts(struct fix *f)
{
    struct rb_counts c = {.tasks = {0}};
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    return c;
}

static void each_is_due_at_its_own_time(void **state)
{
    struct fix *f = *state;
    static const int64_t after[] = {1, 999, 4095, 4096, 4097, 30 * SECOND, HOUR, 9 * DAY};
    char id[RB_ARRAY_LEN(after)][RB_ID_BYTES];
    for (unsigned i = 0; i < RB_ARRAY_LEN(after); i++) {
        admit_due(f, i + 1, T0 + after[i], id[i]);
    }
    for (unsigned i = 0; i < RB_ARRAY_LEN(after); i++) {
        assert_null(claim(f, RB_TASK_SUBMIT, T0 + after[i] - 1));
        struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + after[i]);
        assert_string_equal(t->retry->id, id[i]);
        assert_int_equal(t->due_ms, T0 + after[i]);
        struct rb_settle s = {.retry = t->retry, .next = RB_TASK_NONE};
        t->retry->state = RB_STATE_REFUSED;
        assert_int_equal(settle(f, t, &s, T0 + after[i]), RB_OK);
        rb_task_free(t);
    }
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + 99 * DAY));
}

static void the_oldest_comes_first_whenever_it_was_planned(void **state)
{
    struct fix *f = *state;
    char late[RB_ID_BYTES];
    char early[RB_ID_BYTES];
    admit_due(f, 1, T0 + 20 * SECOND, late);
    admit_due(f, 2, T0 + SECOND, early);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + HOUR);
    assert_string_equal(t->retry->id, early);
    rb_task_free(t);
    t = must_claim(f, RB_TASK_SUBMIT, T0 + HOUR);
    assert_string_equal(t->retry->id, late);
    rb_task_free(t);
}

static void what_is_due_later_is_counted(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_due(f, 1, T0 + HOUR, id);
    admit_due(f, 2, T0 + HOUR + 2, id);
    admit_due(f, 3, T0 + 2 * HOUR, id);
    struct rb_counts c = counts(f);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 3);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], 3);
    assert_int_equal(c.oldest_due_ms[RB_TASK_SUBMIT], T0 + HOUR);
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0 + HOUR));
    assert_int_equal(counts(f).tasks[RB_TASK_SUBMIT], 3);
}

/* A person sets the state, or only the time, of a retry whose task waits for later. */
static void change(struct fix *f, const char *id, enum rb_state to, enum rb_task_kind next,
                   int64_t due)
{
    struct rb_retry *r = get(f, id);
    r->state = to;
    r->due_ms = due;
    struct rb_settle s = {.retry = r, .next = next, .next_due_ms = due};
    assert_int_equal(settle(f, NULL, &s, T0 + 1), RB_OK);
    rb_retry_free(r);
}

static void what_is_cancelled_before_its_time_is_never_due(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_due(f, 1, T0 + HOUR, id);
    change(f, id, RB_STATE_CANCELLED, RB_TASK_NONE, T0);
    assert_int_equal(counts(f).tasks[RB_TASK_SUBMIT], 0);
    assert_int_equal(counts(f).by_state[RB_STATE_SCHEDULED], 0);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + DAY));
}

static void what_is_put_off_is_due_at_the_new_time_alone(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_due(f, 1, T0 + HOUR, id);
    change(f, id, RB_STATE_SCHEDULED, RB_TASK_SUBMIT, T0 + 2 * HOUR);
    assert_int_equal(counts(f).tasks[RB_TASK_SUBMIT], 1);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + 2 * HOUR - 1));
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0 + 2 * HOUR));
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + 2 * HOUR));
}

static void what_is_brought_forward_is_due_once(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_due(f, 1, T0 + HOUR, id);
    change(f, id, RB_STATE_SCHEDULED, RB_TASK_SUBMIT, T0);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + 1);
    struct rb_settle s = {.retry = t->retry, .next = RB_TASK_NONE};
    t->retry->state = RB_STATE_REFUSED;
    assert_int_equal(settle(f, t, &s, T0 + 2), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + DAY));
    assert_int_equal(counts(f).tasks[RB_TASK_SUBMIT], 0);
}

static void many_that_become_due_together_are_all_claimed(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    for (unsigned i = 0; i < MANY; i++) {
        admit_due(f, i + 1, T0 + MINUTE + i % 5, id);
    }
    assert_int_equal(counts(f).tasks[RB_TASK_SUBMIT], MANY);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0 + MINUTE - 1), 0);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0 + HOUR), MANY);
    assert_int_equal(counts(f).tasks[RB_TASK_SUBMIT], MANY);
}

static void what_is_due_later_is_listed_once(void **state)
{
    struct fix *f = *state;
    char id[3][RB_ID_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        admit_due(f, i + 1, T0 + i * 10 * SECOND, id[i]);
    }
    change(f, id[2], RB_STATE_SCHEDULED, RB_TASK_SUBMIT, T0 + MINUTE);
    const struct rb_filter scheduled = {.limit = 9, .by_state = true, .state = RB_STATE_SCHEDULED};
    struct rb_retry *items[9];
    char next[RB_CURSOR_BYTES];
    unsigned n = 0;
    assert_int_equal(rb_store_list(f->ses, &scheduled, items, &n, next, NULL), RB_OK);
    assert_int_equal(n, 3);
    while (n > 0) {
        rb_retry_free(items[--n]);
    }
}

static void later_survives_a_restart(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_due(f, 1, T0 + HOUR, id);
    fix_reopen(f);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + HOUR - 1));
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + HOUR);
    assert_string_equal(t->retry->id, id);
    rb_task_free(t);
}

const struct CMUnitTest contract_later_tests[] = {
    STORE_TEST(each_is_due_at_its_own_time),
    STORE_TEST(the_oldest_comes_first_whenever_it_was_planned),
    STORE_TEST(what_is_due_later_is_counted),
    STORE_TEST(what_is_cancelled_before_its_time_is_never_due),
    STORE_TEST(what_is_put_off_is_due_at_the_new_time_alone),
    STORE_TEST(what_is_brought_forward_is_due_once),
    STORE_TEST(many_that_become_due_together_are_all_claimed),
    STORE_TEST(what_is_due_later_is_listed_once),
    STORE_TEST(later_survives_a_restart),
    {0},
};
