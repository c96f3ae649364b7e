/* examine.c - the file looked at from outside: is it held, whose is it, is it whole.
 *
 * It is opened as one that nobody changes, which takes no lock and makes no file beside it. That
 * holds as long as no service has it; what a service left unfinished in the log is not seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#include "db.h"
#include "file.h"

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory to look at the store");
}

/* A service has the lock of open.c for as long as it runs. */
static bool is_held(const char *path, struct rb_arena *a)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const char *name = rb_arena_printf(a, "%s.lock", path);
    RB_CLEANUP(rb_closep)
    int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static enum rb_code absent(const char *path, struct rb_arena *a, struct rb_store_health *ret_h,
                           struct rb_err *err)
{
    char *copy = rb_arena_strdup(a, path);

    if (copy == NULL) {
        return no_memory(err);
    }
    ret_h->absent = true;
    const char *folder = dirname(copy);
    return access(folder, W_OK | X_OK) == 0
               ? RB_OK
               : rb_err_errno(err, RB_E_IO, errno, "no file can be made in '%s'", folder);
}

static void close_handle(sqlite3 **handle)
{
    (void)sqlite3_close(*handle);
}

/* One number, 0 when there is none. */
static int64_t number(sqlite3 *handle, const char *query, int *rc)
{
    sqlite3_stmt *st = NULL;
    int64_t value = 0;

    if (*rc != SQLITE_OK) {
        return 0;
    }
    *rc = sqlite3_prepare_v2(handle, query, -1, &st, NULL);
    if (*rc == SQLITE_OK) {
        int step = sqlite3_step(st);
        value = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
        *rc = step == SQLITE_ROW || step == SQLITE_DONE ? SQLITE_OK : step;
    }
    (void)sqlite3_finalize(st);
    return value;
}

static enum rb_code look_inside(sqlite3 *handle, const char *path, struct rb_arena *a,
                                struct rb_store_health *ret_h, struct rb_err *err)
{
    int rc = SQLITE_OK;
    int64_t version = number(handle, "PRAGMA user_version", &rc);
    int64_t application = number(handle, "PRAGMA application_id", &rc);

    if (rc != SQLITE_OK) {
        return rb_sq_file_error(path, rc, "read", err);
    }
    if (application != rb_sq_application_id) {
        return rb_err_set(err, RB_E_INVALID, "'%s' is a database of another program", path);
    }
    if (version > rb_sq_schema_version) {
        return rb_sq_file_newer(path, version, err);
    }
    ret_h->version =
        rb_arena_printf(a, "SQLite %s, schema %lld", sqlite3_libversion(), (long long)version);
    if (version < rb_sq_schema_version) {
        ret_h->notice = "an older schema: `serve` brings it to the newest, and then older versions "
                        "cannot read it any more";
    }
    enum rb_code code = ret_h->version == NULL ? no_memory(err) : RB_OK;
    if (code == RB_OK) {
        code = rb_sq_file_check(handle, path, err);
    }
    if (code == RB_OK) {
        ret_h->birth_ms = number(handle, "SELECT value FROM meta WHERE name = 'epoch'", &rc);
        code = rc == SQLITE_OK ? RB_OK : rb_sq_file_error(path, rc, "read", err);
    }
    return code;
}

static bool has_log(const char *path, struct rb_arena *a)
{
    struct stat st = {0};
    const char *name = rb_arena_printf(a, "%s-wal", path);

    return name != NULL && stat(name, &st) == 0 && st.st_size > 0;
}

enum rb_code rb_sq_examine(const char *path, struct rb_arena *a, struct rb_store_health *ret_h,
                           struct rb_err *err)
{
    RB_CLEANUP(close_handle) sqlite3 *handle = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf uri = RB_BUF_INIT(3 * 4096 + 64);
    struct stat st = {0};

    ret_h->held = is_held(path, a);
    if (ret_h->held) {
        return RB_OK;
    }
    if (stat(path, &st) != 0) {
        return errno == ENOENT ? absent(path, a, ret_h, err)
                               : rb_err_errno(err, RB_E_IO, errno, "open '%s'", path);
    }
    if (st.st_size == 0) {
        return absent(path, a, ret_h, err);
    }
    if (access(path, R_OK | W_OK) != 0) {
        return rb_err_errno(err, RB_E_IO, errno, "open '%s'", path);
    }
    if (has_log(path, a)) {
        ret_h->notice = "the service before was cut off: `serve` brings in what its log holds";
        return RB_OK;
    }
    rb_buf_adds(&uri, "file:");
    rb_url_encode(&uri, path, strlen(path));
    rb_buf_adds(&uri, "?mode=ro&immutable=1");
    int rc = sqlite3_open_v2(rb_buf_str(&uri), &handle,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, NULL);
    return rc == SQLITE_OK ? look_inside(handle, path, a, ret_h, err)
                           : rb_sq_file_error(path, rc, "open", err);
}
