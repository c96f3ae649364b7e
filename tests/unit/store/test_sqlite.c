/* test_sqlite.c - what only the SQLite backend has: a file, a disk, one process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <retrybuild/secret.h>
#include <retrybuild/thread.h>

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

/* ---- one process, one file ---- */

static void a_second_opening_is_refused_and_names_the_file(void **state)
{
    struct fix *f = *state;
    struct rb_err err = {0};
    enum rb_code rc = RB_OK;
    assert_null(fix_open_second(f, &rc, &err));
    assert_int_equal(rc, RB_E_CONFLICT);
    assert_non_null(strstr(err.msg, f->path));
    fix_reopen(f); /* and the first is not in its own way */
}

static void the_file_is_for_its_owner_only(void **state)
{
    struct fix *f = *state;
    struct stat st;
    char id[RB_ID_BYTES];
    char wal[300];
    admit_new(f, "web", 1, T0, id);
    (void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_file_that_was_moved_away_is_noticed_and_welcome_back(void **state)
{
    struct fix *f = *state;
    struct entry e;
    char away[300];
    entry_init(&e, "web", 1, 1, T0);
    (void)snprintf(away, sizeof(away), "%s.away", f->path);
    assert_int_equal(rename(f->path, away), 0);
    assert_int_equal(try_admit(f, &e, T0), RB_E_UNAVAIL);
    assert_false(rb_store_up(f->store));
    assert_int_equal(rename(away, f->path), 0);
    assert_int_equal(try_admit(f, &e, T0), RB_OK);
    assert_int_equal(e.a.result, RB_ADMIT_NEW);
    assert_true(rb_store_up(f->store));
    entry_release(&e);
}

static void a_file_that_was_replaced_is_noticed(void **state)
{
    struct fix *f = *state;
    struct entry e;
    char other[300];
    entry_init(&e, "web", 1, 1, T0);
    (void)snprintf(other, sizeof(other), "%s.other", f->path);
    int fd = open(other, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(rename(other, f->path), 0);
    assert_int_equal(try_admit(f, &e, T0), RB_E_UNAVAIL);
    assert_false(rb_store_up(f->store));
    entry_release(&e);
}

static enum rb_code open_url(const char *url, struct rb_err *err)
{
    static const struct rb_store_backend *const backends[] = {&rb_store_backend_sqlite, NULL};
    struct rb_settings *s = calloc(1, sizeof(*s));
    struct rb_store *store = NULL;
    assert_non_null(s);
    rb_arena_init(&s->arena, 1024);
    s->refs = 1;
    s->store.url = rb_secret_new(url, strlen(url));
    enum rb_code rc = rb_store_open(backends, s, rb_clock_system(), &store, err);
    rb_store_close(store);
    rb_settings_unref(s);
    return rc;
}

static void urls_that_lead_nowhere_are_refused(void **state)
{
    struct rb_err err = {0};
    (void)state;
    assert_int_equal(open_url("mysql://user:hush@host/db", &err), RB_E_INVALID);
    assert_null(strstr(err.msg, "hush")); /* a URL may hold a password */
    assert_int_equal(open_url("", &err), RB_E_INVALID);
    assert_int_equal(open_url("sqlite", &err), RB_E_INVALID);
    assert_int_equal(open_url("sqlite:", &err), RB_E_INVALID);
    assert_int_equal(open_url("sqlite::memory:", &err), RB_E_INVALID);
    assert_int_equal(open_url("sqlite:/nonexistent/folder/x.db", &err), RB_E_IO);
    assert_non_null(strstr(err.msg, "/nonexistent/folder/x.db"));
}

static enum rb_code open_prepared(struct fix *f, const char *script, struct rb_err *err)
{
    char url[260];
    fix_close(f);
    raw(f, script);
    (void)snprintf(url, sizeof(url), "sqlite:%s", f->path);
    return open_url(url, err);
}

static void a_file_of_a_newer_version_is_left_alone(void **state)
{
    struct fix *f = *state;
    struct rb_err err = {0};
    assert_int_equal(open_prepared(f, "PRAGMA user_version = 99", &err), RB_E_INVALID);
    assert_non_null(strstr(err.msg, "newer"));
}

static void a_database_of_another_program_is_left_alone(void **state)
{
    struct fix *f = *state;
    struct rb_err err = {0};
    assert_int_equal(open_prepared(f, "PRAGMA application_id = 5", &err), RB_E_INVALID);
    assert_non_null(strstr(err.msg, f->path));
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct fix *f = *state;
    struct rb_err err = {0};
    char url[260];
    fix_close(f);
    int fd = open(f->path, O_RDWR | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(write(fd, "not a database; ", 16), 16);
    }
    (void)close(fd);
    (void)snprintf(url, sizeof(url), "sqlite:%s", f->path);
    assert_int_equal(open_url(url, &err), RB_E_CORRUPT);
    assert_non_null(strstr(err.msg, f->path));
}

static void a_damaged_page_is_found_at_the_start(void **state)
{
    struct fix *f = *state;
    struct rb_err err = {0};
    char url[260];
    char id[RB_ID_BYTES];
    char junk[2000];
    for (unsigned i = 0; i < 50; i++) {
        admit_new(f, "web", i + 1, T0 + i, id);
    }
    fix_close(f);
    memset(junk, 0x5a, sizeof(junk));
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t page = 4096; page < st.st_size; page += 4096) {
        assert_int_equal(pwrite(fd, junk, sizeof(junk), page), sizeof(junk));
    }
    (void)close(fd);
    (void)snprintf(url, sizeof(url), "sqlite:%s", f->path);
    assert_int_equal(open_url(url, &err), RB_E_CORRUPT);
}

/* ---- records that do not decode ---- */

static void a_record_that_does_not_decode_is_set_aside(void **state)
{
    struct fix *f = *state;
    char bad[RB_ID_BYTES];
    char good[RB_ID_BYTES];
    char script[200];
    struct rb_retry *r = NULL;
    admit_new(f, "web", 1, T0, bad);
    admit_new(f, "web", 2, T0 + 1, good);
    (void)snprintf(script, sizeof(script),
                   "UPDATE retries SET record = x'ff00ff00ff' WHERE id = '%s'", bad);
    reopen_after(f, script);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0 + 1);
    assert_string_equal(t->retry->id, good);
    rb_task_free(t);
    assert_null(claim(f, RB_TASK_SUBMIT, T0 + LEASE));
    assert_int_equal(rb_store_get(f->ses, bad, &r, NULL), RB_E_CORRUPT);
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_DEAD], 1);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 1);
    /* and it does not hide the others */
    struct rb_retry *items[5];
    struct rb_filter filter = {.limit = 5};
    char next[RB_CURSOR_BYTES];
    unsigned n = 0;
    assert_int_equal(rb_store_list(f->ses, &filter, items, &n, next, NULL), RB_OK);
    assert_int_equal(n, 1);
    rb_retry_free(items[0]);
}

static void only_records_that_do_not_decode_are_an_empty_claim(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    for (unsigned i = 0; i < 5; i++) {
        admit_new(f, "web", i + 1, T0, id);
    }
    reopen_after(f, "UPDATE retries SET record = x''");
    assert_null(claim(f, RB_TASK_SUBMIT, T0));
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_DEAD], 5);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 0);
}

static void a_report_that_does_not_decode_is_dead(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_report(&e, "ci", RB_STAGE_STARTED, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    reopen_after(f, "UPDATE reports SET record = x'ff'");
    assert_null(claim(f, RB_TASK_REPORT, T0));
    struct rb_retry *r = get(f, e.retry->id);
    assert_int_equal(r->reports[0].state, RB_REPORT_DEAD);
    assert_non_null(r->reports[0].last_error);
    rb_retry_free(r);
    entry_release(&e);
}

/* ---- faults of the disk ---- */

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
        assert_true(rc == RB_OK || rc == RB_E_FULL || rc == RB_E_UNAVAIL);
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
    assert_int_equal(try_admit(f, &e, T0), RB_E_FULL);
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
    assert_int_equal(try_admit(f, &e, T0), RB_E_FULL);
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
        STORE_TEST(a_second_opening_is_refused_and_names_the_file),
        STORE_TEST(the_file_is_for_its_owner_only),
        STORE_TEST(a_file_that_was_moved_away_is_noticed_and_welcome_back),
        STORE_TEST(a_file_that_was_replaced_is_noticed),
        cmocka_unit_test(urls_that_lead_nowhere_are_refused),
        STORE_TEST(a_file_of_a_newer_version_is_left_alone),
        STORE_TEST(a_database_of_another_program_is_left_alone),
        STORE_TEST(a_file_that_is_no_database_is_refused),
        STORE_TEST(a_damaged_page_is_found_at_the_start),
        STORE_TEST(a_record_that_does_not_decode_is_set_aside),
        STORE_TEST(only_records_that_do_not_decode_are_an_empty_claim),
        STORE_TEST(a_report_that_does_not_decode_is_dead),
        STORE_TEST(a_failing_write_leaves_nothing_behind),
        STORE_TEST(a_full_disk_refuses_writes_answers_reads_and_recovers),
        STORE_TEST(a_store_that_is_down_comes_up_by_itself),
        STORE_TEST(a_failed_sync_is_never_believed_again),
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
