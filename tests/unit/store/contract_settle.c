/* contract_settle.c - the one atomic step: record, task, intents, children, the next attempt. */
#include <string.h>

#include "harness.h"

static void a_settle_writes_the_record_and_the_next_task(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    rb_retry_note(t->retry, T0, "later: the account is at its limit");
    struct rb_settle s = {.next = RB_TASK_SUBMIT, .next_due_ms = T0 + HOUR};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + HOUR - 1));
    t = must_claim(f, RB_TASK_SUBMIT, T0 + HOUR);
    assert_int_equal(t->due_ms, T0 + HOUR);
    assert_int_equal(t->retry->n_history, 1);
    assert_int_equal(t->retry->version, 2);
    rb_task_free(t);
}

static void the_kind_of_task_may_change(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    to_running(f, "web", 1, 2, T0 + SECOND, id);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + DAY));
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0 + SECOND);
    assert_int_equal(t->retry->state, RB_STATE_RUNNING);
    assert_int_equal(t->retry->child.number, 2);
    assert_int_equal(t->tries, 1);
    rb_task_free(t);
}

static void a_terminal_settle_ends_the_task(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0);
    for (int kind = RB_TASK_INSPECT; kind < RB_TASK_KIND_COUNT; kind++) {
        assert_null(claim(f, (enum rb_task_kind)kind, T0 + 100 * DAY));
    }
    assert_int_equal(state_of(f, id), RB_STATE_REFUSED);
}

static void a_write_in_mid_task_keeps_lease_and_fence(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    rb_retry_enter(t->retry, RB_STATE_SUBMITTING, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE, .keep_lease = true};
    t->retry->intent.issue = 1;
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    t->retry->intent.ambiguous = true;
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + LEASE - 1));
    struct rb_task *later = must_claim(f, RB_TASK_SUBMIT, T0 + LEASE);
    assert_int_equal(later->retry->state, RB_STATE_SUBMITTING);
    assert_int_equal(later->retry->intent.issue, 1);
    assert_true(later->retry->intent.ambiguous);
    assert_int_equal(later->retry->version, 3);
    assert_int_equal(later->tries, 2); /* the work is still not done */
    assert_int_equal(settle(f, t, &s, T0 + LEASE), RB_E_FENCED);
    rb_task_free(t);
    rb_task_free(later);
}

static void settling_what_is_gone_is_not_found(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    struct rb_settle s = {.retry = e.retry, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0), RB_E_NOT_FOUND);
    entry_release(&e);
}

/* ---- people ---- */

static void a_person_writes_by_version(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_retry *r = get(f, id);
    rb_retry_enter(r, RB_STATE_CANCELLED, T0, "by ops");
    struct rb_settle s = {.retry = r, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0), RB_OK);
    assert_int_equal(state_of(f, id), RB_STATE_CANCELLED);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + DAY));
    rb_retry_free(r);
}

static void a_person_with_an_old_version_is_told_so(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_retry *r = get(f, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    struct rb_settle work = {.next = RB_TASK_SUBMIT, .next_due_ms = T0 + HOUR};
    assert_int_equal(settle(f, t, &work, T0), RB_OK);
    rb_retry_enter(r, RB_STATE_CANCELLED, T0, NULL);
    struct rb_settle s = {.retry = r, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0), RB_E_CONFLICT);
    assert_int_equal(s.conflict, RB_CONFLICT_VERSION);
    assert_int_equal(state_of(f, id), RB_STATE_SCHEDULED);
    rb_retry_free(r);
    rb_task_free(t);
}

static void a_claim_alone_does_not_change_the_version(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_retry *r = get(f, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    rb_retry_enter(r, RB_STATE_CANCELLED, T0, NULL);
    struct rb_settle s = {.retry = r, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0), RB_OK);
    rb_retry_free(r);
    rb_task_free(t);
}

static void a_change_by_a_person_fences_the_worker(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    struct rb_retry *r = get(f, id);
    rb_retry_enter(r, RB_STATE_CANCELLED, T0, NULL);
    struct rb_settle s = {.retry = r, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0), RB_OK);
    struct rb_settle work = {.next = RB_TASK_SUBMIT, .next_due_ms = T0};
    assert_int_equal(settle(f, t, &work, T0), RB_E_FENCED);
    assert_int_equal(rb_store_renew(f->ses, t, LEASE, T0, NULL), RB_E_FENCED);
    assert_int_equal(state_of(f, id), RB_STATE_CANCELLED);
    rb_retry_free(r);
    rb_task_free(t);
}

static void a_person_can_give_an_ended_retry_a_task_again(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_state(&e, RB_STATE_HELD, RB_TASK_NONE);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    memcpy(id, e.retry->id, sizeof(id));
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + DAY));
    struct rb_retry *r = get(f, id);
    rb_retry_enter(r, RB_STATE_SCHEDULED, T0 + DAY, "approved by ops");
    struct rb_settle s = {.retry = r, .next = RB_TASK_SUBMIT, .next_due_ms = T0 + DAY};
    assert_int_equal(settle(f, NULL, &s, T0 + DAY), RB_OK);
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0 + DAY));
    rb_retry_free(r);
    entry_release(&e);
}

/* ---- intents ---- */

struct pair {
    char id[2][RB_ID_BYTES];
    struct rb_task *t[2];
    char key[RB_KEY_BYTES]; /* an intent key, or that of build 5 */
};

static void two_claimed(struct fix *f, struct pair *p)
{
    build_key_of("web", 5, p->key);
    for (unsigned i = 0; i < 2; i++) {
        admit_new(f, "web", i + 1, T0 + i, p->id[i]);
        p->t[i] = must_claim(f, RB_TASK_SUBMIT, T0 + i);
    }
}

static void pair_release(struct pair *p)
{
    rb_task_free(p->t[0]);
    rb_task_free(p->t[1]);
}

static void an_intent_is_held_by_one_retry(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle s = {.keep_lease = true, .open_intent = p.key};
    struct rb_settle other = s;
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK);
    rb_retry_enter(p.t[1]->retry, RB_STATE_SUBMITTING, T0, NULL);
    assert_int_equal(settle(f, p.t[1], &other, T0), RB_E_CONFLICT);
    assert_int_equal(other.conflict, RB_CONFLICT_INTENT);
    assert_string_equal(other.other_id, p.id[0]);
    assert_int_equal(state_of(f, p.id[1]), RB_STATE_SCHEDULED); /* nothing was written */
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK);         /* our own again is fine */
    pair_release(&p);
}

static void a_closed_intent_is_free(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle open = {.keep_lease = true, .open_intent = p.key};
    struct rb_settle close = {.next = RB_TASK_NONE, .close_intent = p.key};
    struct rb_settle other = open;
    assert_int_equal(settle(f, p.t[0], &open, T0), RB_OK);
    rb_retry_enter(p.t[0]->retry, RB_STATE_REFUSED, T0, NULL);
    assert_int_equal(settle(f, p.t[0], &close, T0), RB_OK);
    assert_int_equal(settle(f, p.t[1], &other, T0), RB_OK);
    pair_release(&p);
}

static void closing_somebody_elses_intent_does_nothing(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle open = {.keep_lease = true, .open_intent = p.key};
    struct rb_settle close = {.keep_lease = true, .close_intent = p.key};
    struct rb_settle other = {.keep_lease = true, .open_intent = p.key};
    assert_int_equal(settle(f, p.t[0], &open, T0), RB_OK);
    assert_int_equal(settle(f, p.t[1], &close, T0), RB_OK);
    assert_int_equal(settle(f, p.t[1], &other, T0), RB_E_CONFLICT);
    pair_release(&p);
}

static void an_intent_survives_a_restart(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle open = {.keep_lease = true, .open_intent = p.key};
    assert_int_equal(settle(f, p.t[0], &open, T0), RB_OK);
    fix_reopen(f);
    struct rb_settle other = {.keep_lease = true, .open_intent = p.key};
    assert_int_equal(settle(f, p.t[1], &other, T0), RB_E_CONFLICT);
    pair_release(&p);
}

/* ---- children ---- */

static void a_child_belongs_to_one_retry(void **state)
{
    struct fix *f = *state;
    struct pair p;
    char owner[RB_ID_BYTES] = "";
    two_claimed(f, &p);
    struct rb_settle s = {.keep_lease = true, .child_key = p.key};
    struct rb_settle other = s;
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK);
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK); /* the same again is fine */
    assert_int_equal(settle(f, p.t[1], &other, T0), RB_E_CONFLICT);
    assert_int_equal(other.conflict, RB_CONFLICT_CHILD);
    assert_string_equal(other.other_id, p.id[0]);
    assert_int_equal(rb_store_child_of(f->ses, p.key, owner, NULL), RB_OK);
    assert_string_equal(owner, p.id[0]);
    pair_release(&p);
}

static void a_build_that_is_nobodys_child_says_so(void **state)
{
    struct fix *f = *state;
    char key[RB_KEY_BYTES];
    char owner[RB_ID_BYTES] = "x";
    build_key_of("web", 5, key);
    assert_int_equal(rb_store_child_of(f->ses, key, owner, NULL), RB_OK);
    assert_string_equal(owner, "");
}

static void a_retry_of_somebodys_child_is_stopped(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle s = {.keep_lease = true, .child_key = p.key};
    struct rb_settle guard = {.keep_lease = true, .not_a_child = p.key};
    assert_int_equal(settle(f, p.t[1], &guard, T0), RB_OK); /* not yet anybody's */
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK);
    assert_int_equal(settle(f, p.t[1], &guard, T0), RB_E_CONFLICT);
    assert_int_equal(guard.conflict, RB_CONFLICT_CHILD);
    assert_string_equal(guard.other_id, p.id[0]);
    pair_release(&p);
}

static void a_retry_that_continues_the_chain_may_retry_the_child(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle s = {.keep_lease = true, .child_key = p.key};
    struct rb_settle guard = {.keep_lease = true, .not_a_child = p.key};
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK);
    memcpy(p.t[1]->retry->previous, p.id[0], RB_ID_BYTES);
    assert_int_equal(settle(f, p.t[1], &guard, T0), RB_OK);
    pair_release(&p);
}

static void guards_hold_for_people_too(void **state)
{
    struct fix *f = *state;
    struct pair p;
    two_claimed(f, &p);
    struct rb_settle s = {.keep_lease = true, .child_key = p.key};
    assert_int_equal(settle(f, p.t[0], &s, T0), RB_OK);
    struct rb_retry *r = get(f, p.id[1]);
    struct rb_settle person = {.retry = r, .next = RB_TASK_NONE, .child_key = p.key};
    assert_int_equal(settle(f, NULL, &person, T0), RB_E_CONFLICT);
    assert_int_equal(person.conflict, RB_CONFLICT_CHILD);
    rb_retry_free(r);
    pair_release(&p);
}

/* ---- the next attempt ---- */

static enum rb_code settle_with_follow_on(struct fix *f, const char *id, struct entry *next)
{
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    memcpy(next->retry->previous, id, RB_ID_BYTES);
    memcpy(next->retry->chain, t->retry->chain, RB_ID_BYTES);
    next->retry->attempt = 2;
    rb_retry_enter(t->retry, RB_STATE_FAILED_AGAIN, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE, .follow_on = &next->a};
    enum rb_code rc = settle(f, t, &s, T0);
    rb_task_free(t);
    return rc;
}

static void the_next_attempt_is_made_in_the_same_step(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry next;
    to_running(f, "web", 1, 2, T0, id);
    entry_init(&next, "web", 2, 0, T0);
    assert_int_equal(settle_with_follow_on(f, id, &next), RB_OK);
    assert_int_equal(next.a.rc, RB_OK);
    assert_int_equal(next.a.result, RB_ADMIT_NEW);
    assert_int_equal(state_of(f, id), RB_STATE_FAILED_AGAIN);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_string_equal(t->retry->id, next.retry->id);
    assert_string_equal(t->retry->previous, id);
    assert_int_equal(t->retry->attempt, 2);
    rb_task_free(t);
    entry_release(&next);
}

static void a_late_event_about_the_child_finds_the_next_attempt(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry next;
    struct entry e;
    to_running(f, "web", 1, 2, T0, id);
    entry_init(&next, "web", 2, 0, T0);
    assert_int_equal(settle_with_follow_on(f, id, &next), RB_OK);
    entry_init(&e, "web", 2, 3, T0 + MINUTE);
    assert_int_equal(admit(f, &e, T0 + MINUTE), RB_ADMIT_DUPLICATE);
    assert_string_equal(e.a.retry_id, next.retry->id);
    entry_release(&next);
    entry_release(&e);
}

static void a_next_attempt_whose_effect_key_is_held_is_left_out(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char other[RB_ID_BYTES];
    struct entry next;
    admit_new(f, "web", 2, T0 - 1, other); /* somebody retries the child before we know it */
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0 - 1));
    to_running(f, "web", 1, 2, T0, id);
    entry_init(&next, "web", 2, 0, T0);
    assert_int_equal(settle_with_follow_on(f, id, &next), RB_OK);
    assert_int_equal(next.a.rc, RB_OK);
    assert_int_equal(next.a.result, RB_ADMIT_DUPLICATE);
    assert_string_equal(next.a.retry_id, other);
    assert_int_equal(state_of(f, id), RB_STATE_FAILED_AGAIN);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + 1));
    entry_release(&next);
}

static void a_fenced_settle_makes_no_next_attempt(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry next;
    struct rb_retry *gone = NULL;
    to_running(f, "web", 1, 2, T0, id);
    struct rb_task *zombie = must_claim(f, RB_TASK_FOLLOW, T0);
    rb_task_free(must_claim(f, RB_TASK_FOLLOW, T0 + LEASE));
    entry_init(&next, "web", 2, 0, T0);
    memcpy(next.retry->previous, id, RB_ID_BYTES);
    entry_report(&next, "ci", RB_STAGE_STARTED, T0);
    rb_retry_enter(zombie->retry, RB_STATE_FAILED_AGAIN, T0, NULL);
    struct rb_settle s = {
        .next = RB_TASK_NONE, .follow_on = &next.a, .reports = next.reports, .n_reports = 1};
    assert_int_equal(settle(f, zombie, &s, T0 + LEASE), RB_E_FENCED);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + DAY));
    assert_null(claim(f, RB_TASK_REPORT, T0 + DAY));
    assert_int_equal(rb_store_get(f->ses, next.retry->id, &gone, NULL), RB_E_NOT_FOUND);
    assert_int_equal(state_of(f, id), RB_STATE_RUNNING);
    rb_task_free(zombie);
    entry_release(&next);
}

const struct CMUnitTest contract_settle_tests[] = {
    STORE_TEST(a_settle_writes_the_record_and_the_next_task),
    STORE_TEST(the_kind_of_task_may_change),
    STORE_TEST(a_terminal_settle_ends_the_task),
    STORE_TEST(a_write_in_mid_task_keeps_lease_and_fence),
    STORE_TEST(settling_what_is_gone_is_not_found),
    STORE_TEST(a_person_writes_by_version),
    STORE_TEST(a_person_with_an_old_version_is_told_so),
    STORE_TEST(a_claim_alone_does_not_change_the_version),
    STORE_TEST(a_change_by_a_person_fences_the_worker),
    STORE_TEST(a_person_can_give_an_ended_retry_a_task_again),
    STORE_TEST(an_intent_is_held_by_one_retry),
    STORE_TEST(a_closed_intent_is_free),
    STORE_TEST(closing_somebody_elses_intent_does_nothing),
    STORE_TEST(an_intent_survives_a_restart),
    STORE_TEST(a_child_belongs_to_one_retry),
    STORE_TEST(a_build_that_is_nobodys_child_says_so),
    STORE_TEST(a_retry_of_somebodys_child_is_stopped),
    STORE_TEST(a_retry_that_continues_the_chain_may_retry_the_child),
    STORE_TEST(guards_hold_for_people_too),
    STORE_TEST(the_next_attempt_is_made_in_the_same_step),
    STORE_TEST(a_late_event_about_the_child_finds_the_next_attempt),
    STORE_TEST(a_next_attempt_whose_effect_key_is_held_is_left_out),
    STORE_TEST(a_fenced_settle_makes_no_next_attempt),
    {0},
};
