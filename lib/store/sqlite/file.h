/* file.h - the database file before and below the connection: made, checked, brought to the newest
 * schema. Called while the lock is held and nobody else has the file open.
 */
#ifndef RB_STORE_SQLITE_FILE_H
#define RB_STORE_SQLITE_FILE_H

#include <sqlite3.h>
#include <sys/types.h>

#include <retrybuild/store.h>

/* rb_sq_file_make - the file at @path is there afterwards, made with its tables if need be; which
 * one it is, in @ret_dev and @ret_ino. */
enum rb_code rb_sq_file_make(const char *path, dev_t *ret_dev, ino_t *ret_ino, struct rb_err *err);
/* rb_sq_file_check - RB_E_CORRUPT names the damage. A small file is checked whole. */
enum rb_code rb_sq_file_check(sqlite3 *handle, const char *path, struct rb_err *err);
/* rb_sq_file_newer - RB_E_INVALID: this file has a schema that is not known yet. */
enum rb_code rb_sq_file_newer(const char *path, int64_t version, struct rb_err *err);
/* rb_sq_file_upgrade - RB_E_INVALID: of another program, or of a newer version. */
enum rb_code rb_sq_file_upgrade(sqlite3 *handle, const char *path, struct rb_err *err);
/* rb_sq_file_error - what SQLite's @rc means, as "<what> '<path>': …". */
enum rb_code rb_sq_file_error(const char *path, int rc, const char *what, struct rb_err *err);

/* rb_sq_examine - the file at @path as it stands, nothing changed; see rb_store_examine. Needs no
 * lock. */
enum rb_code rb_sq_examine(const char *path, struct rb_arena *a, struct rb_store_health *ret_h,
                           struct rb_err *err);

#endif
