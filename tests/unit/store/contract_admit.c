/* contract_admit.c - what an admission makes, and what it finds already there. */
#include <string.h>

#include "harness.h"

static void first_delivery_of_a_failure_makes_a_retry_with_a_due_task(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_string_equal(t->retry->id, id);
    assert_int_equal(t->retry->state, RB_STATE_SCHEDULED);
    rb_task_free(t);
}

static void record_comes_back_as_it_was_given(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    e.retry->requested_by = "ops";
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_int_equal(e.a.retry_state, RB_STATE_SCHEDULED);
    struct rb_retry *r = get(f, e.retry->id);
    assert_string_equal(r->build.id, e.retry->build.id);
    assert_string_equal(r->chain, e.retry->chain);
    assert_string_equal(r->requested_by, "ops");
    assert_string_equal(r->decision.rule, "infrastructure");
    assert_int_equal(r->created_ms, T0);
    assert_int_equal(r->version, 1);
    assert_int_equal(r->duplicates, 0);
    assert_int_equal(r->n_deliveries, 1);
    assert_string_equal(r->deliveries[0].key, "delivery-1");
    rb_retry_free(r);
    entry_release(&e);
}

static void second_delivery_of_one_id_is_a_duplicate(void **state)
{
    struct fix *f = *state;
    struct entry first;
    struct entry again;
    entry_init(&first, "web", 1, 1, T0);
    entry_init(&again, "web", 2, 1, T0 + 1); /* other build, same delivery: the key decides */
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    assert_int_equal(admit(f, &again, T0 + 1), RB_ADMIT_DUPLICATE);
    assert_string_equal(again.a.retry_id, first.retry->id);
    assert_int_equal(again.a.retry_state, RB_STATE_SCHEDULED);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0 + 1), 1);
    entry_release(&first);
    entry_release(&again);
}

static void one_failure_through_three_channels_is_one_retry(void **state)
{
    struct fix *f = *state;
    struct entry e[3];
    for (unsigned i = 0; i < 3; i++) {
        entry_init(&e[i], "web", 1, i + 1, T0);
        assert_int_equal(admit(f, &e[i], T0), i == 0 ? RB_ADMIT_NEW : RB_ADMIT_DUPLICATE);
        assert_string_equal(e[i].a.retry_id, e[0].retry->id);
    }
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 1);
    for (unsigned i = 0; i < 3; i++) {
        entry_release(&e[i]);
    }
}

static void duplicates_are_counted_and_listed(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES] = "";
    for (unsigned i = 0; i < 3; i++) {
        struct entry e;
        entry_init(&e, "web", 1, i + 1, T0 + i);
        e.delivery.source = i == 2 ? "github" : "eventbridge";
        (void)admit(f, &e, T0 + i);
        memcpy(id, e.a.retry_id, sizeof(id));
        entry_release(&e);
    }
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->duplicates, 2);
    assert_int_equal(r->n_deliveries, 3);
    assert_string_equal(r->deliveries[1].key, "delivery-2");
    assert_string_equal(r->deliveries[1].source, "eventbridge");
    assert_string_equal(r->deliveries[2].key, "delivery-3");
    assert_string_equal(r->deliveries[2].source, "github");
    assert_int_equal(r->deliveries[2].at_ms, T0 + 2);
    rb_retry_free(r);
}

static void every_duplicate_counts_but_twenty_deliveries_are_listed(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES] = "";
    for (unsigned i = 0; i < 50; i++) {
        struct entry e;
        entry_init(&e, "web", 1, i + 1, T0);
        (void)admit(f, &e, T0);
        memcpy(id, e.a.retry_id, sizeof(id));
        entry_release(&e);
    }
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->duplicates, 49);
    assert_int_equal(r->n_deliveries, RB_DELIVERIES_MAX);
    assert_string_equal(r->deliveries[RB_DELIVERIES_MAX - 1].key, "delivery-20");
    rb_retry_free(r);
}

static void repeat_of_the_same_delivery_counts_each_time(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES] = "";
    for (unsigned i = 0; i < 4; i++) {
        struct entry e;
        entry_init(&e, "web", 1, 1, T0);
        (void)admit(f, &e, T0);
        memcpy(id, e.a.retry_id, sizeof(id));
        entry_release(&e);
    }
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->duplicates, 3);
    rb_retry_free(r);
}

/* A sweep, and a claim: the key is remembered, but nobody has delivered anything. */
static void a_duplicate_without_a_delivery_is_not_counted(void **state)
{
    struct fix *f = *state;
    static const char token[] = "0123456789abcdef0123456789abcdef";
    struct entry first, same, other;

    entry_init(&first, "web", 1, 1, T0);
    assert_int_equal(admit(f, &first, T0), RB_ADMIT_NEW);
    entry_init(&same, "web", 1, 2, T0);
    same.a.delivery_key = NULL;
    same.a.delivery = NULL;
    same.a.token_key = token;
    same.a.token_fingerprint = token;
    assert_int_equal(admit(f, &same, T0), RB_ADMIT_DUPLICATE);
    entry_init(&other, "web", 2, 3, T0);
    other.a.delivery_key = NULL;
    other.a.delivery = NULL;
    other.a.token_key = token;
    other.a.token_fingerprint = token;
    assert_int_equal(admit(f, &other, T0), RB_ADMIT_DUPLICATE);
    assert_string_equal(other.a.retry_id, first.retry->id);
    struct rb_retry *r = get(f, first.retry->id);
    assert_int_equal(r->duplicates, 0);
    assert_int_equal(r->n_deliveries, 1);
    rb_retry_free(r);
    entry_release(&first);
    entry_release(&same);
    entry_release(&other);
}

static void a_duplicate_does_not_change_the_version(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 9, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    struct rb_retry *r = get(f, id);
    assert_int_equal(r->version, 1);
    rb_retry_free(r);
    entry_release(&e);
}

static void a_repeated_write_whose_answer_was_lost_makes_nothing_twice(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_string_equal(e.a.retry_id, e.retry->id);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 1);
    struct rb_retry *r = get(f, e.retry->id);
    assert_int_equal(r->duplicates, 0);
    rb_retry_free(r);
    entry_release(&e);
}

static void builds_of_other_projects_and_numbers_are_apart(void **state)
{
    struct fix *f = *state;
    char id[4][RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id[0]);
    admit_new(f, "web", 2, T0, id[1]);
    admit_new(f, "api", 11, T0, id[2]);
    admit_new(f, "api", 12, T0, id[3]);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 4);
}

static void a_batch_has_an_outcome_for_each_item(void **state)
{
    struct fix *f = *state;
    struct entry e[6];
    struct rb_admission *items[6];
    const unsigned builds[] = {1, 2, 1, 3, 2, 4};
    for (unsigned i = 0; i < 6; i++) {
        entry_init(&e[i], "web", builds[i], i + 1, T0);
        items[i] = &e[i].a;
    }
    assert_int_equal(rb_store_admit(f->ses, items, 6, T0, NULL), RB_OK);
    const enum rb_admit_result want[] = {RB_ADMIT_NEW, RB_ADMIT_NEW,       RB_ADMIT_DUPLICATE,
                                         RB_ADMIT_NEW, RB_ADMIT_DUPLICATE, RB_ADMIT_NEW};
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(e[i].a.rc, RB_OK);
        assert_int_equal(e[i].a.result, want[i]);
    }
    assert_string_equal(e[2].a.retry_id, e[0].retry->id);
    assert_string_equal(e[4].a.retry_id, e[1].retry->id);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 4);
    for (unsigned i = 0; i < 6; i++) {
        entry_release(&e[i]);
    }
}

static void a_bad_admission_is_refused_before_anything_happens(void **state)
{
    struct fix *f = *state;
    struct entry e;
    struct rb_admission *items[] = {&e.a};
    entry_init(&e, "web", 1, 1, T0);
    e.a.build_key = "not a key";
    assert_int_equal(rb_store_admit(f->ses, items, 1, T0, NULL), RB_E_INVALID);
    assert_int_equal(e.a.rc, RB_E_INVALID);
    e.a.build_key = e.build_key;
    e.a.retry = NULL;
    assert_int_equal(rb_store_admit(f->ses, items, 1, T0, NULL), RB_E_INVALID);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 0);
    entry_release(&e);
}

static void a_terminal_record_has_no_task(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_state(&e, RB_STATE_IGNORED, RB_TASK_NONE);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_int_equal(e.a.retry_state, RB_STATE_IGNORED);
    for (int kind = RB_TASK_INSPECT; kind < RB_TASK_KIND_COUNT; kind++) {
        assert_null(claim(f, (enum rb_task_kind)kind, T0 + DAY));
    }
    assert_int_equal(state_of(f, e.retry->id), RB_STATE_IGNORED);
    entry_release(&e);
}

static void a_received_record_has_an_inspect_task(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_state(&e, RB_STATE_RECEIVED, RB_TASK_INSPECT);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_null(claim(f, RB_TASK_SUBMIT, T0));
    struct rb_task *t = must_claim(f, RB_TASK_INSPECT, T0);
    assert_int_equal(t->kind, RB_TASK_INSPECT);
    rb_task_free(t);
    entry_release(&e);
}

static void a_person_gets_the_retry_that_lives(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 0, T0);
    e.a.mode = RB_ADMIT_PERSON;
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, id);
    entry_release(&e);
}

static void a_person_gets_a_new_retry_when_the_old_one_has_ended(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0);
    entry_init(&e, "web", 1, 0, T0 + 1);
    e.a.mode = RB_ADMIT_PERSON;
    assert_int_equal(admit(f, &e, T0 + 1), RB_ADMIT_NEW);
    assert_string_not_equal(e.a.retry_id, id);
    /* and it has taken the effect key over */
    struct entry event;
    entry_init(&event, "web", 1, 77, T0 + 2);
    assert_int_equal(admit(f, &event, T0 + 2), RB_ADMIT_DUPLICATE);
    assert_string_equal(event.a.retry_id, e.retry->id);
    entry_release(&e);
    entry_release(&event);
}

static void an_event_about_a_retry_that_has_ended_starts_nothing(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0);
    entry_init(&e, "web", 1, 5, T0 + HOUR);
    assert_int_equal(admit(f, &e, T0 + HOUR), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, id);
    assert_int_equal(e.a.retry_state, RB_STATE_REFUSED);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0 + HOUR), 0);
    entry_release(&e);
}

static void force_makes_a_new_retry_although_one_lives(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    entry_init(&e, "web", 1, 0, T0);
    e.a.mode = RB_ADMIT_FORCE;
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    assert_string_not_equal(e.retry->id, id);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 2);
    entry_release(&e);
}

static void force_does_not_make_a_delivery_new_twice(void **state)
{
    struct fix *f = *state;
    struct entry e[2];
    for (unsigned i = 0; i < 2; i++) {
        entry_init(&e[i], "web", 1, 4, T0);
        e[i].a.mode = RB_ADMIT_FORCE;
        assert_int_equal(admit(f, &e[i], T0), i == 0 ? RB_ADMIT_NEW : RB_ADMIT_DUPLICATE);
    }
    assert_string_equal(e[1].a.retry_id, e[0].retry->id);
    entry_release(&e[0]);
    entry_release(&e[1]);
}

static void more_waiting_retries_than_allowed_are_refused(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    f->settings->store.max_waiting = 2;
    fix_reopen(f);
    admit_new(f, "web", 1, T0, id[0]);
    admit_new(f, "web", 2, T0 + 1, id[1]);
    struct entry e;
    struct rb_admission *items[] = {&e.a};
    entry_init(&e, "web", 3, 3, T0 + 2);
    (void)rb_store_admit(f->ses, items, 1, T0 + 2, NULL);
    assert_int_equal(e.a.rc, RB_E_FULL);
    finish(f, id[0], T0 + 2); /* one less */
    assert_int_equal(admit(f, &e, T0 + 2), RB_ADMIT_NEW);
    entry_release(&e);
}

const struct CMUnitTest contract_admit_tests[] = {
    STORE_TEST(first_delivery_of_a_failure_makes_a_retry_with_a_due_task),
    STORE_TEST(record_comes_back_as_it_was_given),
    STORE_TEST(second_delivery_of_one_id_is_a_duplicate),
    STORE_TEST(one_failure_through_three_channels_is_one_retry),
    STORE_TEST(duplicates_are_counted_and_listed),
    STORE_TEST(every_duplicate_counts_but_twenty_deliveries_are_listed),
    STORE_TEST(repeat_of_the_same_delivery_counts_each_time),
    STORE_TEST(a_duplicate_without_a_delivery_is_not_counted),
    STORE_TEST(a_duplicate_does_not_change_the_version),
    STORE_TEST(a_repeated_write_whose_answer_was_lost_makes_nothing_twice),
    STORE_TEST(builds_of_other_projects_and_numbers_are_apart),
    STORE_TEST(a_batch_has_an_outcome_for_each_item),
    STORE_TEST(a_bad_admission_is_refused_before_anything_happens),
    STORE_TEST(a_terminal_record_has_no_task),
    STORE_TEST(a_received_record_has_an_inspect_task),
    STORE_TEST(a_person_gets_the_retry_that_lives),
    STORE_TEST(a_person_gets_a_new_retry_when_the_old_one_has_ended),
    STORE_TEST(an_event_about_a_retry_that_has_ended_starts_nothing),
    STORE_TEST(force_makes_a_new_retry_although_one_lives),
    STORE_TEST(force_does_not_make_a_delivery_new_twice),
    STORE_TEST(more_waiting_retries_than_allowed_are_refused),
    {0},
};
