/* open.c - the file: locked against a second process, checked, brought to the newest schema.
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

#define FULL_CHECK_MAX_PAGES 256 /* more than that would show in the time to start */

/* The writer copies the WAL back itself, after it has answered. */
#define PRAGMAS                             \
    "PRAGMA trusted_schema = OFF;"          \
    "PRAGMA cell_size_check = ON;"          \
    "PRAGMA locking_mode = EXCLUSIVE;"      \
    "PRAGMA journal_mode = WAL;"            \
    "PRAGMA synchronous = FULL;"            \
    "PRAGMA temp_store = MEMORY;"           \
    "PRAGMA cache_size = -8192;"            \
    "PRAGMA wal_autocheckpoint = 0;"        \
    "PRAGMA journal_size_limit = 33554432;" \
    "PRAGMA busy_timeout = 0;"

static enum rb_code sql_error(const struct rb_sq_db *db, int rc, const char *what,
                              struct rb_err *err)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rb_err_set(err, RB_E_CONFLICT, "%s '%s': another process has it open", what,
                          db->path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return rb_err_set(err, RB_E_CORRUPT, "%s '%s': %s", what, db->path, sqlite3_errstr(rc));
    case SQLITE_FULL:
        return rb_err_set(err, RB_E_FULL, "%s '%s': %s", what, db->path, sqlite3_errstr(rc));
    default:
        return rb_err_set(err, RB_E_IO, "%s '%s': %s", what, db->path, sqlite3_errstr(rc));
    }
}

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

/* SQLite would make it readable for everybody. Closing happens before SQLite takes its own locks,
 * which a close of the same file by the same process would drop. */
static enum rb_code make_file(struct rb_sq_db *db, struct rb_err *err)
{
    RB_CLEANUP(rb_closep) int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return rb_err_errno(err, RB_E_IO, errno, "open '%s'", db->path);
    }
    if (!S_ISREG(st.st_mode)) {
        return rb_err_set(err, RB_E_INVALID, "'%s' is not a regular file", db->path);
    }
    db->dev = st.st_dev;
    db->ino = st.st_ino;
    return RB_OK;
}

bool rb_sq_db_present(const struct rb_sq_db *db)
{
    struct stat st;
    return stat(db->path, &st) == 0 && st.st_dev == db->dev && st.st_ino == db->ino;
}

/* One number, or -1 and the reason in @ret_rc. */
static int64_t number(struct rb_sq_db *db, const char *query, int *ret_rc)
{
    sqlite3_stmt *st = NULL;
    int64_t value = -1;
    *ret_rc = sqlite3_prepare_v2(db->handle, query, -1, &st, NULL);
    if (*ret_rc == SQLITE_OK) {
        *ret_rc = sqlite3_step(st);
        if (*ret_rc == SQLITE_ROW) {
            value = sqlite3_column_int64(st, 0);
            *ret_rc = SQLITE_OK;
        }
    }
    (void)sqlite3_finalize(st);
    return value;
}

/* A small file is checked whole; of a big one the pages that every start reads anyway. */
static enum rb_code check_file(struct rb_sq_db *db, struct rb_err *err)
{
    int rc = SQLITE_OK;
    int64_t pages = number(db, "PRAGMA page_count", &rc);
    if (rc != SQLITE_OK || pages == 0) {
        return rc == SQLITE_OK ? RB_OK : sql_error(db, rc, "read", err);
    }
    const char *query =
        pages <= FULL_CHECK_MAX_PAGES ? "PRAGMA quick_check(1)" : "PRAGMA quick_check(meta)";
    sqlite3_stmt *st = NULL;
    rc = sqlite3_prepare_v2(db->handle, query, -1, &st, NULL);
    char found[200] = "";
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        const unsigned char *text = rc == SQLITE_ROW ? sqlite3_column_text(st, 0) : NULL;
        (void)snprintf(found, sizeof(found), "%s", text == NULL ? "" : (const char *)text);
    }
    (void)sqlite3_finalize(st);
    if (rc != SQLITE_ROW) {
        return sql_error(db, rc, "check", err);
    }
    if (strcmp(found, "ok") != 0) {
        return rb_err_set(err, RB_E_CORRUPT, "'%s' is damaged: %s", db->path, found);
    }
    return RB_OK;
}

static enum rb_code upgrade_one(struct rb_sq_db *db, int version, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) char *script = NULL;
    if (asprintf(&script,
                 "BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d;"
                 " COMMIT;",
                 rb_sq_schema[version], rb_sq_application_id, version + 1) < 0) {
        script = NULL;
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    int rc = sqlite3_exec(db->handle, script, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        enum rb_code code = sql_error(db, rc, "bring to the newest schema:", err);
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        return code;
    }
    return RB_OK;
}

static enum rb_code upgrade(struct rb_sq_db *db, struct rb_err *err)
{
    int rc = SQLITE_OK;
    int64_t version = number(db, "PRAGMA user_version", &rc);
    int64_t application = rc == SQLITE_OK ? number(db, "PRAGMA application_id", &rc) : -1;
    int64_t tables = rc == SQLITE_OK ? number(db, "SELECT count(*) FROM sqlite_schema", &rc) : -1;
    if (rc != SQLITE_OK) {
        return sql_error(db, rc, "read", err);
    }
    if (tables > 0 && application != rb_sq_application_id) {
        return rb_err_set(err, RB_E_INVALID, "'%s' is a database of another program", db->path);
    }
    if (version > rb_sq_schema_version) {
        return rb_err_set(err, RB_E_INVALID,
                          "'%s' was written by a newer version (schema %lld, this one knows %d)",
                          db->path, (long long)version, rb_sq_schema_version);
    }
    enum rb_code code = RB_OK;
    for (int v = (int)version; v < rb_sq_schema_version && code == RB_OK; v++) {
        code = upgrade_one(db, v, err);
    }
    return code;
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
        return sql_error(db, rc, "open", err);
    }
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    rc = sqlite3_exec(db->handle, PRAGMAS, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        return sql_error(db, rc, "open", err);
    }
    (void)sqlite3_wal_hook(db->handle, note_wal, db);
    enum rb_code code = check_file(db, err);
    if (code == RB_OK) {
        code = upgrade(db, err);
    }
    if (code == RB_OK) {
        rb_sq_load(db);
        code = rb_sq_broken(db) ? sql_error(db, db->sql_rc, "read", err) : RB_OK;
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
        rc = make_file(db, err);
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
