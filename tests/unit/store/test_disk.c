/* test_disk.c - the SQLite store on a disk that fails, and one bad request among good ones. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "faultfs.h"
#include "harness.h"

/* Statements of our own on a closed store's file. */
static void raw(const struct fix *f, const char *script)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK); /* shared memory is not among faultfs's methods */
    if (sqlite3_exec(db, script, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void reopen_after(struct fix *f, const char *script)
{
    fix_close(f);
    raw(f, script);
    fix_reopen(f);
}

static enum rb_code try_admit(struct fix *f, struct entry *e, int64_t now)
{
    struct rb_admission *items[] = {&e->a};
    enum rb_code rc = rb_store_admit(f->ses, items, 1, now, NULL);
    assert_int_equal(rc, e->a.rc);
    return rc;
}

/* A call that the store answers, whatever its state: what was queued before has been done. */
static void settle_down(struct fix *f)
{
    struct rb_counts c;
    (void)rb_store_counts(f->ses, &c, NULL);
}

static bool is_there(struct fix *f, const char *id)
{
    struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(f->ses, id, &r, NULL);
    rb_retry_free(r);
    return rc == RB_OK;
}

static void a_failing_write_leaves_nothing_behind(void **state)
{
    struct fix *f = *state;
    unsigned n = 0;
    for (bool struck = true; struck; n++) {
        struct entry e;
        entry_init(&e, "web", n + 1, n + 1, T0 + n);
        entry_report(&e, "ci", RB_STAGE_STARTED, T0 + n);
        faultfs_write((int)n + 1, n % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE);
        enum rb_code rc = try_admit(f, &e, T0 + n);
        struck = faultfs_struck();
        faultfs_write(0, SQLITE_OK);
        assert_true(rc == RB_OK || rc == RB_E_NO_SPACE || rc == RB_E_UNAVAIL);
        assert_int_equal(rc == RB_OK, !struck);
        assert_int_equal(is_there(f, e.retry->id), !struck);
        fix_reopen(f);
        assert_int_equal(is_there(f, e.retry->id), !struck);
        assert_int_equal(try_admit(f, &e, T0 + n), RB_OK); /* and it can be repeated as it is */
        assert_int_equal(e.a.result, RB_ADMIT_NEW);
        entry_release(&e);
    }
    assert_true(n > 5); /* an admission writes several pages: each was made to fail */
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], n);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], n);
    assert_int_equal(c.tasks[RB_TASK_REPORT], n);
}

static void a_full_disk_refuses_writes_answers_reads_and_recovers(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    faultfs_write(1, SQLITE_FULL);
    entry_init(&e, "web", 2, 2, T0);
    assert_int_equal(try_admit(f, &e, T0), RB_E_NO_SPACE);
    assert_false(rb_store_up(f->store));
    assert_true(is_there(f, id));
    faultfs_write(0, SQLITE_OK);
    assert_int_equal(try_admit(f, &e, T0), RB_OK);
    assert_true(rb_store_up(f->store));
    entry_release(&e);
}

static void a_store_that_is_down_comes_up_by_itself(void **state)
{
    struct fix *f = *state;
    struct entry e;
    faultfs_write(1, SQLITE_FULL);
    entry_init(&e, "web", 2, 2, T0);
    assert_int_equal(try_admit(f, &e, T0), RB_E_NO_SPACE);
    faultfs_write(0, SQLITE_OK);
    for (int i = 0; i < 500 && !rb_store_up(f->store); i++) {
        struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    assert_true(rb_store_up(f->store));
    entry_release(&e);
}

static void a_failed_sync_is_never_believed_again(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    faultfs_sync(1, SQLITE_IOERR_FSYNC);
    assert_int_equal(try_admit(f, &e, T0), RB_E_UNAVAIL);
    faultfs_sync(0, SQLITE_OK);
    assert_false(rb_store_up(f->store));
    assert_int_equal(try_admit(f, &e, T0), RB_E_UNAVAIL);
    settle_down(f);
    assert_false(rb_store_up(f->store));
    fix_reopen(f);
    assert_int_equal(try_admit(f, &e, T0), RB_OK);
    entry_release(&e);
}

static void a_lease_does_not_wait_for_the_disk_and_what_follows_does(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry e;
    admit_new(f, "web", 1, T0, id);
    faultfs_sync(1, SQLITE_IOERR_FSYNC);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_int_equal(rb_store_renew(f->ses, t, 30000, T0 + 1, NULL), RB_OK);
    assert_false(faultfs_struck());
    entry_init(&e, "web", 2, 2, T0);
    assert_int_equal(try_admit(f, &e, T0 + 2), RB_E_UNAVAIL);
    assert_true(faultfs_struck());
    faultfs_sync(0, SQLITE_OK);
    fix_reopen(f);
    assert_true(is_there(f, id));
    rb_task_free(t);
    entry_release(&e);
}

static void a_settle_that_fails_in_the_middle_changes_nothing(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct entry next;
    const struct rb_report_task report = {
        .destination = "ci", .stage = RB_STAGE_FINISHED, .due_ms = T0};
    to_running(f, "web", 1, 2, T0, id);
    entry_init(&next, "web", 2, 0, T0);
    memcpy(next.retry->previous, id, RB_ID_BYTES);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    rb_retry_enter(t->retry, RB_STATE_FAILED_AGAIN, T0, NULL);
    /* the report's row is written, the next attempt's is refused */
    fix_close(f);
    raw(f, "CREATE TRIGGER stop BEFORE INSERT ON retries BEGIN SELECT RAISE(ABORT, 'no'); END");
    fix_reopen(f);
    struct rb_settle s = {
        .next = RB_TASK_NONE, .reports = &report, .n_reports = 1, .follow_on = &next.a};
    assert_int_equal(settle(f, t, &s, T0), RB_E_INTERNAL);
    assert_true(rb_store_up(f->store)); /* the disk is not to blame */
    assert_int_equal(state_of(f, id), RB_STATE_RUNNING);
    assert_null(claim(f, RB_TASK_REPORT, T0));
    reopen_after(f, "DROP TRIGGER stop");
    assert_int_equal(settle(f, t, &s, T0), RB_OK); /* the fence is still good */
    assert_int_equal(next.a.result, RB_ADMIT_NEW);
    rb_task_free(must_claim(f, RB_TASK_REPORT, T0));
    rb_task_free(t);
    entry_release(&next);
}

/* ---- one bad request among others ---- */

struct admitting {
    struct rb_store_session *ses;
    pthread_t thread;
    unsigned build;
    enum rb_code rc;
};

static void *admit_some(void *arg)
{
    struct admitting *a = arg;
    for (unsigned i = 0; i < 30; i++) {
        struct entry e;
        struct rb_admission *items[] = {&e.a};
        entry_init(&e, a->build == 0 ? "bad" : "web", a->build * 100 + i + 1, 0, T0);
        enum rb_code rc = rb_store_admit(a->ses, items, 1, T0, NULL);
        a->rc = rc == RB_OK ? a->rc : rc;
        entry_release(&e);
    }
    return NULL;
}

static void one_bad_request_does_not_spoil_the_others(void **state)
{
    struct fix *f = *state;
    struct admitting a[4] = {{0}};
    fix_close(f);
    raw(f, "CREATE TRIGGER stop BEFORE INSERT ON names WHEN new.name = 'bad'"
           " BEGIN SELECT RAISE(ABORT, 'no'); END");
    fix_reopen(f);
    for (unsigned i = 0; i < 4; i++) {
        a[i].build = i;
        a[i].ses = fix_session(f);
        assert_int_equal(pthread_create(&a[i].thread, NULL, admit_some, &a[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)pthread_join(a[i].thread, NULL);
        rb_store_session_close(a[i].ses);
        assert_int_equal(a[i].rc, i == 0 ? RB_E_INTERNAL : RB_OK);
    }
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_failing_write_leaves_nothing_behind),
        STORE_TEST(a_full_disk_refuses_writes_answers_reads_and_recovers),
        STORE_TEST(a_store_that_is_down_comes_up_by_itself),
        STORE_TEST(a_failed_sync_is_never_believed_again),
        STORE_TEST(a_lease_does_not_wait_for_the_disk_and_what_follows_does),
        STORE_TEST(a_settle_that_fails_in_the_middle_changes_nothing),
        STORE_TEST(one_bad_request_does_not_spoil_the_others),
    };
    faultfs_install();
    if (!harness_start("sqlite")) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    harness_stop();
    return failed == 0 ? 0 : 1;
}
