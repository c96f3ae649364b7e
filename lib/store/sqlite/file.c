/* file.c - making, checking and upgrading the file.
 *
 * A new file is made beside its place, complete with its tables, and renamed when it is on the
 * disk: whoever is killed meanwhile leaves no half-made database, and only one sync is waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "db.h"
#include "file.h"

#define FULL_CHECK_MAX_PAGES 256 /* more than that would show in the time to start */

enum rb_code rb_sq_file_error(const char *path, int rc, const char *what, struct rb_err *err)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rb_err_set(err, RB_E_CONFLICT, "%s '%s': another process has it open", what, path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return rb_err_set(err, RB_E_CORRUPT, "%s '%s': %s", what, path, sqlite3_errstr(rc));
    case SQLITE_FULL:
        return rb_err_set(err, RB_E_NO_SPACE, "%s '%s': %s", what, path, sqlite3_errstr(rc));
    default:
        return rb_err_set(err, RB_E_IO, "%s '%s': %s", what, path, sqlite3_errstr(rc));
    }
}

enum rb_code rb_sq_file_newer(const char *path, int64_t version, struct rb_err *err)
{
    return rb_err_set(err, RB_E_INVALID,
                      "'%s' was written by a newer version (schema %lld, this one knows %d): "
                      "start that one again, or put the backup from before the upgrade back",
                      path, (long long)version, rb_sq_schema_version);
}

/* One number, or -1 and the reason in @ret_rc. */
static int64_t number(sqlite3 *handle, const char *query, int *ret_rc)
{
    sqlite3_stmt *st = NULL;
    int64_t value = -1;
    *ret_rc = sqlite3_prepare_v2(handle, query, -1, &st, NULL);
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
enum rb_code rb_sq_file_check(sqlite3 *handle, const char *path, struct rb_err *err)
{
    int rc = SQLITE_OK;
    int64_t pages = number(handle, "PRAGMA page_count", &rc);
    if (rc != SQLITE_OK || pages == 0) {
        return rc == SQLITE_OK ? RB_OK : rb_sq_file_error(path, rc, "read", err);
    }
    const char *query =
        pages <= FULL_CHECK_MAX_PAGES ? "PRAGMA quick_check(1)" : "PRAGMA quick_check(meta)";
    sqlite3_stmt *st = NULL;
    rc = sqlite3_prepare_v2(handle, query, -1, &st, NULL);
    char found[200] = "";
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        const unsigned char *text = rc == SQLITE_ROW ? sqlite3_column_text(st, 0) : NULL;
        (void)snprintf(found, sizeof(found), "%s", text == NULL ? "" : (const char *)text);
    }
    (void)sqlite3_finalize(st);
    if (rc != SQLITE_ROW) {
        return rb_sq_file_error(path, rc, "check", err);
    }
    if (strcmp(found, "ok") != 0) {
        return rb_err_set(err, RB_E_CORRUPT, "'%s' is damaged: %s", path, found);
    }
    return RB_OK;
}

static enum rb_code upgrade_one(sqlite3 *handle, const char *path, int version, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) char *script = NULL;
    if (asprintf(&script,
                 "BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d;"
                 " COMMIT;",
                 rb_sq_schema[version], rb_sq_application_id, version + 1) < 0) {
        script = NULL;
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    int rc = sqlite3_exec(handle, script, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        enum rb_code code = rb_sq_file_error(path, rc, "bring to the newest schema:", err);
        (void)sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL);
        return code;
    }
    return RB_OK;
}

enum rb_code rb_sq_file_upgrade(sqlite3 *handle, const char *path, struct rb_err *err)
{
    int rc = SQLITE_OK;
    int64_t version = number(handle, "PRAGMA user_version", &rc);
    int64_t application = rc == SQLITE_OK ? number(handle, "PRAGMA application_id", &rc) : -1;
    int64_t tables =
        rc == SQLITE_OK ? number(handle, "SELECT count(*) FROM sqlite_schema", &rc) : -1;
    if (rc != SQLITE_OK) {
        return rb_sq_file_error(path, rc, "read", err);
    }
    if (tables > 0 && application != rb_sq_application_id) {
        return rb_err_set(err, RB_E_INVALID, "'%s' is a database of another program", path);
    }
    if (version > rb_sq_schema_version) {
        return rb_sq_file_newer(path, version, err);
    }
    enum rb_code code = RB_OK;
    for (int v = (int)version; v < rb_sq_schema_version && code == RB_OK; v++) {
        code = upgrade_one(handle, path, v, err);
    }
    return code;
}

static void close_handle(sqlite3 **handle)
{
    (void)sqlite3_close(*handle);
}

/* No sync while it is filled: the whole of it is synced before it gets its name. */
static enum rb_code fill_file(const char *path, struct rb_err *err)
{
    RB_CLEANUP(close_handle) sqlite3 *handle = NULL;
    int rc = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(handle,
                          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;"
                          "PRAGMA journal_mode = MEMORY;",
                          NULL, NULL, NULL);
    }
    enum rb_code code = rc == SQLITE_OK ? rb_sq_file_upgrade(handle, path, err) : RB_OK;
    if (rc == SQLITE_OK && code == RB_OK) {
        rc = sqlite3_exec(handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? code : rb_sq_file_error(path, rc, "make", err);
}

static bool sync_folder(const char *path)
{
    RB_CLEANUP(rb_freep) char *copy = strdup(path);
    RB_CLEANUP(rb_closep)
    int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

/* A log that was left by a file of the same name would be played into the new one. */
static bool drop_old(const char *path, const char *ending)
{
    RB_CLEANUP(rb_freep) char *name = NULL;
    if (asprintf(&name, "%s%s", path, ending) < 0) {
        name = NULL;
        return false;
    }
    return unlink(name) == 0 || errno == ENOENT;
}

static enum rb_code make_new(const char *path, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) char *fresh = NULL;
    if (asprintf(&fresh, "%s.new", path) < 0) {
        fresh = NULL;
        return rb_err_set(err, RB_E_NOMEM, "no memory");
    }
    (void)unlink(fresh);
    RB_CLEANUP(rb_closep)
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return rb_err_errno(err, RB_E_IO, errno, "make '%s'", fresh);
    }
    enum rb_code rc = fill_file(fresh, err);
    if (rc == RB_OK && (fsync(fd) != 0 || !drop_old(path, "-wal") || !drop_old(path, "-journal") ||
                        rename(fresh, path) != 0 || !sync_folder(path))) {
        rc = rb_err_errno(err, RB_E_IO, errno, "make '%s'", path);
    }
    if (rc != RB_OK) {
        (void)unlink(fresh);
    }
    return rc;
}

enum rb_code rb_sq_file_make(const char *path, dev_t *ret_dev, ino_t *ret_ino, struct rb_err *err)
{
    struct stat st = {0};
    if (stat(path, &st) != 0 && errno != ENOENT) {
        return rb_err_errno(err, RB_E_IO, errno, "open '%s'", path);
    }
    if (st.st_mode != 0 && !S_ISREG(st.st_mode)) {
        return rb_err_set(err, RB_E_INVALID, "'%s' is not a regular file", path);
    }
    if (st.st_size == 0) {
        enum rb_code rc = make_new(path, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (stat(path, &st) != 0) {
            return rb_err_errno(err, RB_E_IO, errno, "open '%s'", path);
        }
    }
    *ret_dev = st.st_dev;
    *ret_ino = st.st_ino;
    return RB_OK;
}
