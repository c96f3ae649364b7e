/* test_watched.c - what a stream of changes has told and what it still has to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "watched.h"

static enum rb_state told[256];
static unsigned n_told;

static void tell(void *arg, const struct rb_retry *r, const struct rb_history_entry *entry)
{
    (void)r;
    assert_null(arg);
    assert_true(n_told < RB_ARRAY_LEN(told));
    told[n_told++] = entry->state;
}

static struct rb_retry *made(unsigned n)
{
    struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    (void)snprintf(r->id, sizeof r->id, "rty_%026u", n);
    r->version = 1;
    return r;
}

static void enter(struct rb_retry *r, enum rb_state s, int64_t at_ms)
{
    rb_retry_enter(r, s, at_ms, NULL);
    r->version++;
}

static void see(struct rb_watched *w, const struct rb_retry *r)
{
    n_told = 0;
    rb_watched_see(w, r, tell, NULL);
}

static void what_was_there_before_is_not_told(void **state)
{
    (void)state;
    struct rb_watched *w = rb_watched_new(1000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *old = made(1);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *fresh = made(2);
    enter(old, RB_STATE_SCHEDULED, 900);
    enter(fresh, RB_STATE_SCHEDULED, 1000);
    rb_watched_begin(w);
    see(w, old);
    assert_int_equal(n_told, 0);
    see(w, fresh);
    assert_int_equal(n_told, 1);
    rb_watched_free(w);
}

static void two_changes_between_two_looks_are_two_and_each_is_told_once(void **state)
{
    (void)state;
    struct rb_watched *w = rb_watched_new(1000);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = made(1);
    enter(r, RB_STATE_SCHEDULED, 900);
    rb_watched_begin(w);
    see(w, r);
    enter(r, RB_STATE_SUBMITTING, 1100);
    enter(r, RB_STATE_RUNNING, 1100);
    rb_watched_begin(w);
    see(w, r);
    assert_int_equal(n_told, 2);
    assert_int_equal(told[0], RB_STATE_SUBMITTING);
    assert_int_equal(told[1], RB_STATE_RUNNING);
    see(w, r);
    assert_int_equal(n_told, 0);
    rb_watched_free(w);
}

static void a_full_history_tells_its_last_entry(void **state)
{
    (void)state;
    struct rb_watched *w = rb_watched_new(0);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = made(1);
    enter(r, RB_STATE_SCHEDULED, 1);
    for (unsigned i = 1; i < RB_HISTORY_MAX; i++) {
        rb_retry_note(r, 1 + i, "a note");
    }
    rb_watched_begin(w);
    see(w, r);
    assert_int_equal(n_told, RB_HISTORY_MAX);
    enter(r, RB_STATE_CANCELLED, 1000);
    assert_int_equal(r->n_history, RB_HISTORY_MAX);
    see(w, r);
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0], RB_STATE_CANCELLED);
    rb_watched_free(w);
}

static void what_lives_and_was_not_seen_is_asked_for(void **state)
{
    (void)state;
    char ids[4][RB_ID_BYTES];
    struct rb_watched *w = rb_watched_new(0);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *lives = made(1);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *ended = made(2);
    enter(lives, RB_STATE_SCHEDULED, 1);
    enter(ended, RB_STATE_IGNORED, 1);
    rb_watched_begin(w);
    see(w, lives);
    see(w, ended);
    assert_int_equal(rb_watched_unseen(w, ids, 4), 0);
    rb_watched_begin(w);
    assert_int_equal(rb_watched_unseen(w, ids, 4), 1);
    assert_string_equal(ids[0], lives->id);
    rb_watched_gone(w, lives->id);
    assert_int_equal(rb_watched_unseen(w, ids, 4), 0);
    rb_watched_free(w);
}

static void ever_new_ones_do_not_make_it_grow(void **state)
{
    (void)state;
    struct rb_watched *w = rb_watched_new(0);
    for (unsigned i = 0; i < 5 * RB_WATCHED_MAX; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = made(i);
        if (i % 100 == 0) {
            rb_watched_begin(w);
        }
        enter(r, RB_STATE_IGNORED, 1);
        see(w, r);
        assert_int_equal(n_told, 1);
    }
    rb_watched_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_there_before_is_not_told),
        cmocka_unit_test(two_changes_between_two_looks_are_two_and_each_is_told_once),
        cmocka_unit_test(a_full_history_tells_its_last_entry),
        cmocka_unit_test(what_lives_and_was_not_seen_is_asked_for),
        cmocka_unit_test(ever_new_ones_do_not_make_it_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
