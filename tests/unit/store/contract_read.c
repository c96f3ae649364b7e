/* contract_read.c - get, counts, switches, projects, epoch, retention. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

static void reading_what_is_not_there_is_not_found(void **state)
{
    struct fix *f = *state;
    struct rb_retry *r = NULL;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    assert_int_equal(rb_store_get(f->ses, e.retry->id, &r, NULL), RB_E_NOT_FOUND);
    assert_int_equal(rb_store_get(f->ses, "rty_nonsense", &r, NULL), RB_E_NOT_FOUND);
    assert_int_equal(rb_store_get(f->ses, "", &r, NULL), RB_E_NOT_FOUND);
    assert_null(r);
    entry_release(&e);
}

/* ---- counts ---- */

static void counts_follow_what_happens(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    struct entry e;
    struct rb_counts c;
    admit_new(f, "web", 1, T0, id[0]);
    admit_new(f, "web", 2, T0 + 5, id[1]);
    entry_init(&e, "web", 3, 3, T0);
    entry_state(&e, RB_STATE_HELD, RB_TASK_NONE);
    entry_report(&e, "ci", RB_STAGE_HELD, T0 + 7);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    entry_release(&e);
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], 2);
    assert_int_equal(c.by_state[RB_STATE_HELD], 1);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 2);
    assert_int_equal(c.tasks[RB_TASK_REPORT], 1);
    assert_int_equal(c.oldest_due_ms[RB_TASK_SUBMIT], T0);
    assert_int_equal(c.oldest_due_ms[RB_TASK_REPORT], T0 + 7);
    assert_int_equal(c.oldest_due_ms[RB_TASK_FOLLOW], 0);
    finish(f, id[0], T0);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 7);
    assert_int_equal(rb_store_report_settle(f->ses, t, RB_REPORT_DONE, 0, NULL, T0 + 7, NULL),
                     RB_OK);
    rb_task_free(t);
    fix_reopen(f); /* and they are not only in memory */
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], 1);
    assert_int_equal(c.by_state[RB_STATE_REFUSED], 1);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 1);
    assert_int_equal(c.tasks[RB_TASK_REPORT], 0);
}

/* ---- switches, projects, epoch ---- */

static void assert_paused(struct fix *f, const char *const *want, unsigned n_want)
{
    struct rb_arena a;
    const char **names = NULL;
    unsigned n = 0;
    rb_arena_init(&a, 65536);
    assert_int_equal(rb_store_paused(f->ses, &a, &names, &n, NULL), RB_OK);
    assert_int_equal(n, n_want);
    for (unsigned i = 0; i < n_want; i++) {
        bool found = false;
        for (unsigned k = 0; k < n; k++) {
            found = found || strcmp(names[k], want[i]) == 0;
        }
        assert_true(found);
    }
    rb_arena_release(&a);
}

static void projects_and_everything_can_be_paused_and_resumed(void **state)
{
    struct fix *f = *state;
    const char *const all[] = {"web", "*"};
    assert_paused(f, NULL, 0);
    assert_int_equal(rb_store_pause(f->ses, "web", true, NULL), RB_OK);
    assert_int_equal(rb_store_pause(f->ses, "web", true, NULL), RB_OK);
    assert_int_equal(rb_store_pause(f->ses, NULL, true, NULL), RB_OK);
    fix_reopen(f);
    assert_paused(f, all, 2);
    assert_int_equal(rb_store_pause(f->ses, NULL, false, NULL), RB_OK);
    assert_paused(f, all, 1);
    assert_int_equal(rb_store_pause(f->ses, "web", false, NULL), RB_OK);
    assert_int_equal(rb_store_pause(f->ses, "never", false, NULL), RB_OK);
    assert_paused(f, NULL, 0);
}

static unsigned projects_since(struct fix *f, int64_t since, unsigned max, const char *ret_one[3])
{
    static struct rb_arena a;
    struct rb_project_seen *items = NULL;
    unsigned n = 0;
    rb_arena_release(&a);
    rb_arena_init(&a, 65536);
    assert_int_equal(rb_store_projects(f->ses, since, &a, max, &items, &n, NULL), RB_OK);
    if (n == 1 && ret_one != NULL) {
        ret_one[0] = items[0].account;
        ret_one[1] = items[0].region;
        ret_one[2] = items[0].project;
    }
    if (n != 1) {
        rb_arena_release(&a);
    }
    return n;
}

static void projects_of_recent_admissions_are_known(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    const char *one[3] = {NULL, NULL, NULL};
    admit_new(f, "web", 1, T0, id);
    admit_new(f, "web", 2, T0 + HOUR, id);
    admit_new(f, "api", 3, T0 + SECOND, id);
    assert_int_equal(projects_since(f, T0, 10, NULL), 2);
    assert_int_equal(projects_since(f, T0 + 2 * HOUR, 10, NULL), 0);
    assert_int_equal(projects_since(f, T0 + HOUR, 10, one), 1);
    assert_string_equal(one[0], "123456789012");
    assert_string_equal(one[1], "us-east-1");
    assert_string_equal(one[2], "web");
    assert_int_equal(projects_since(f, T0, 1, one), 1);
    assert_string_equal(one[2], "web"); /* the most recent */
}

static void the_epoch_is_born_once_and_kept(void **state)
{
    struct fix *f = *state;
    int64_t birth = 0;
    assert_int_equal(rb_store_epoch(f->ses, T0, &birth, NULL), RB_OK);
    assert_int_equal(birth, T0);
    assert_int_equal(rb_store_epoch(f->ses, T0 + HOUR, &birth, NULL), RB_OK);
    assert_int_equal(birth, T0);
    fix_reopen(f);
    assert_int_equal(rb_store_epoch(f->ses, T0 + HOUR + 15 * MINUTE, &birth, NULL), RB_OK);
    assert_int_equal(birth, T0);
}

static void a_store_that_was_silent_for_long_is_born_anew_when_it_is_opened(void **state)
{
    struct fix *f = *state;
    int64_t birth = 0;
    assert_int_equal(rb_store_epoch(f->ses, T0, &birth, NULL), RB_OK);
    fix_reopen(f);
    int64_t later = T0 + 15 * MINUTE + 1;
    assert_int_equal(rb_store_epoch(f->ses, later, &birth, NULL), RB_OK);
    assert_int_equal(birth, later);
    assert_int_equal(rb_store_epoch(f->ses, later + HOUR, &birth, NULL), RB_OK);
    assert_int_equal(birth, later);
}

/* ---- retention ---- */

static unsigned count_list(struct fix *f, const struct rb_filter *filter)
{
    struct rb_retry *items[20];
    char next[RB_CURSOR_BYTES];
    unsigned n = 0;
    assert_int_equal(rb_store_list(f->ses, filter, items, &n, next, NULL), RB_OK);
    for (unsigned i = 0; i < n; i++) {
        rb_retry_free(items[i]);
    }
    return n;
}

/* Trims until nothing more goes. */
static void trim(struct fix *f, int64_t before, int64_t now)
{
    unsigned n = 1;
    for (int i = 0; i < 20 && n > 0; i++) {
        assert_int_equal(rb_store_trim(f->ses, before, 100, now, &n, NULL), RB_OK);
        assert_true(n <= 100);
    }
    assert_int_equal(n, 0);
}

static bool exists(struct fix *f, const char *id)
{
    struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(f->ses, id, &r, NULL);
    rb_retry_free(r);
    assert_true(rc == RB_OK || rc == RB_E_NOT_FOUND);
    return rc == RB_OK;
}

static void old_terminal_retries_are_trimmed_and_others_stay(void **state)
{
    struct fix *f = *state;
    char ended[RB_ID_BYTES];
    char young[RB_ID_BYTES];
    char alive[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, ended);
    finish(f, ended, T0);
    admit_new(f, "web", 2, T0 + 40 * DAY, young);
    finish(f, young, T0 + 40 * DAY);
    admit_new(f, "web", 3, T0, alive);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    assert_false(exists(f, ended));
    assert_true(exists(f, young));
    assert_true(exists(f, alive));
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_REFUSED], 1);
    assert_int_equal(count_list(f, &(struct rb_filter){.limit = 10}), 2);
    assert_int_equal(count_list(f, &(struct rb_filter){.limit = 10, .project = "web"}), 2);
}

static void a_retry_with_a_pending_report_is_not_trimmed(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_state(&e, RB_STATE_REFUSED, RB_TASK_NONE);
    entry_report(&e, "ci", RB_STAGE_REFUSED, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    assert_true(exists(f, e.retry->id));
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 60 * DAY);
    assert_int_equal(
        rb_store_report_settle(f->ses, t, RB_REPORT_DONE, 0, NULL, T0 + 60 * DAY, NULL), RB_OK);
    rb_task_free(t);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    assert_false(exists(f, e.retry->id));
    entry_release(&e);
}

static void a_trim_deletes_no_more_than_asked(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    unsigned n = 0;
    for (unsigned i = 0; i < 10; i++) {
        admit_new(f, "web", i + 1, T0 + i, id);
        finish(f, id, T0 + i);
    }
    assert_int_equal(rb_store_trim(f->ses, T0 + DAY, 3, T0 + 60 * DAY, &n, NULL), RB_OK);
    assert_true(n >= 1 && n <= 3);
    assert_true(count_list(f, &(struct rb_filter){.limit = 20}) >= 7);
}

static void what_was_trimmed_can_come_again(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char key[RB_KEY_BYTES];
    char owner[RB_ID_BYTES] = "x";
    to_running(f, "web", 1, 2, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    rb_retry_enter(t->retry, RB_STATE_RECOVERED, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    build_key_of("web", 2, key);
    assert_int_equal(rb_store_child_of(f->ses, key, owner, NULL), RB_OK);
    assert_string_equal(owner, "");
    struct entry e;
    entry_init(&e, "web", 1, 1, T0 + 60 * DAY);
    assert_int_equal(admit(f, &e, T0 + 60 * DAY), RB_ADMIT_NEW);
    entry_release(&e);
}

static void settling_a_trimmed_retry_is_not_found(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0);
    struct rb_retry *r = get(f, id);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    struct rb_settle s = {.retry = r, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0 + 60 * DAY), RB_E_NOT_FOUND);
    rb_retry_free(r);
}

const struct CMUnitTest contract_read_tests[] = {
    STORE_TEST(reading_what_is_not_there_is_not_found),
    STORE_TEST(counts_follow_what_happens),
    STORE_TEST(projects_and_everything_can_be_paused_and_resumed),
    STORE_TEST(projects_of_recent_admissions_are_known),
    STORE_TEST(the_epoch_is_born_once_and_kept),
    STORE_TEST(a_store_that_was_silent_for_long_is_born_anew_when_it_is_opened),
    STORE_TEST(old_terminal_retries_are_trimmed_and_others_stay),
    STORE_TEST(a_retry_with_a_pending_report_is_not_trimmed),
    STORE_TEST(a_trim_deletes_no_more_than_asked),
    STORE_TEST(what_was_trimmed_can_come_again),
    STORE_TEST(settling_a_trimmed_retry_is_not_found),
    {0},
};
