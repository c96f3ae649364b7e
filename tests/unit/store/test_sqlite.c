/* test_sqlite.c - what only the SQLite backend has: a file, and one process. */
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

#include "harness.h"

/* Statements of our own on a closed store's file. */
static void raw(const struct fix *f, const char *script)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
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
                   "UPDATE records SET record = x'ff00ff00ff'"
                   " WHERE rid = (SELECT rid FROM retries WHERE id = '%s')",
                   bad);
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
    reopen_after(f, "UPDATE records SET record = x''");
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
    };
    if (!harness_start("sqlite")) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    harness_stop();
    return failed == 0 ? 0 : 1;
}
