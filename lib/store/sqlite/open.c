/* open.c - one connection to the file, which is locked against a second process.
 *
 * One connection of one thread, in exclusive locking mode: SQLite before 3.51.3 can damage a WAL
 * that two connections check-point at once, and without a second connection there is no shared
 * memory file to keep. The lock that refuses a second process is ours, on "<path>.lock": it is
 * taken before SQLite looks at the file, and belongs to this opening of it, so that it also refuses
 * a second opening in the same process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "db.h"
#include "file.h"

/* The writer copies the WAL back itself, after it has answered. */
#define PRAGMAS                             \
    "PRAGMA trusted_schema = OFF;"          \
    "PRAGMA cell_size_check = ON;"          \
    "PRAGMA locking_mode = EXCLUSIVE;"      \
    "PRAGMA journal_mode = WAL;"            \
    "PRAGMA synchronous = FULL;"            \
    "PRAGMA temp_store = MEMORY;"           \
    "PRAGMA cache_size = -2048;"            \
    "PRAGMA wal_autocheckpoint = 0;"        \
    "PRAGMA journal_size_limit = 33554432;" \
    "PRAGMA busy_timeout = 0;"

static enum rb_code take_lock(struct rb_sq_db *db, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) char *path = NULL;
    if (asprintf(&path, "%s.lock", db->path) < 0) {
        path = NULL;
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0) {
        return rb_err_errno(err, RB_E_IO, errno, "open '%s'", path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(db->lock_fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return rb_err_set(err, RB_E_CONFLICT,
                              "'%s' is in use by another process (lock '%s' is held)", db->path,
                              path);
        }
        return rb_err_errno(err, RB_E_IO, errno, "lock '%s'", path);
    }
    return RB_OK;
}

bool rb_sq_db_present(const struct rb_sq_db *db)
{
    struct stat st;
    return stat(db->path, &st) == 0 && st.st_dev == db->dev && st.st_ino == db->ino;
}

static int note_wal(void *arg, sqlite3 *handle, const char *name, int pages)
{
    struct rb_sq_db *db = arg;
    (void)handle;
    (void)name;
    db->wal_pages = pages;
    return SQLITE_OK;
}

static enum rb_code connect_file(struct rb_sq_db *db, struct rb_err *err)
{
    int rc = sqlite3_open_v2(db->path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (rc != SQLITE_OK) {
        return rb_sq_file_error(db->path, rc, "open", err);
    }
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    rc = sqlite3_exec(db->handle, PRAGMAS, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        return rb_sq_file_error(db->path, rc, "open", err);
    }
    (void)sqlite3_wal_hook(db->handle, note_wal, db);
    enum rb_code code = rb_sq_file_check(db->handle, db->path, err);
    if (code == RB_OK) {
        code = rb_sq_file_upgrade(db->handle, db->path, err);
    }
    if (code == RB_OK) {
        rb_sq_load(db);
        code = rb_sq_broken(db) ? rb_sq_file_error(db->path, db->sql_rc, "read", err) : RB_OK;
    }
    return code;
}

enum rb_code rb_sq_db_open(const char *path, const struct rb_settings *settings,
                           struct rb_sq_db **ret_db, struct rb_err *err)
{
    RB_CLEANUP(rb_sq_db_closep) struct rb_sq_db *db = calloc(1, sizeof(*db));
    if (db == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    db->lock_fd = -1;
    rb_sq_names_init(&db->names);
    db->delivery_ttl_ms = settings->timing.delivery_ttl_ms;
    db->effect_ttl_ms = settings->timing.effect_ttl_ms;
    db->max_waiting = settings->store.max_waiting;
    db->path = strdup(path);
    if (db->path == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    enum rb_code rc = take_lock(db, err);
    if (rc == RB_OK) {
        rc = rb_sq_file_make(path, &db->dev, &db->ino, err);
    }
    if (rc == RB_OK) {
        rc = connect_file(db, err);
    }
    if (rc == RB_OK) {
        *ret_db = RB_TAKE(db);
    }
    return rc;
}

void rb_sq_db_close(struct rb_sq_db *db)
{
    if (db == NULL) {
        return;
    }
    for (int i = 0; i < SQ_STMT_COUNT; i++) {
        (void)sqlite3_finalize(db->stmts[i]);
    }
    (void)sqlite3_close(db->handle);
    rb_sq_names_release(&db->names);
    rb_sq_book_release(&db->book);
    rb_sq_agenda_release(&db->agenda);
    free(db->buckets);
    rb_closep(&db->lock_fd);
    free(db->path);
    free(db);
}

void rb_sq_db_closep(struct rb_sq_db **db)
{
    rb_sq_db_close(*db);
}
