/* secret.h - bytes that must not be shown.
 *
 * A struct rb_secret has no formatter on purpose. Its memory is excluded from core files where the
 * kernel allows and wiped on release. Threads: read-only after creation. Blocks:
 * rb_secret_load_file reads a file.
 */
#ifndef RETRYBUILD_SECRET_H
#define RETRYBUILD_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include <retrybuild/err.h>

#define RB_SECRET_MAX_BYTES 65536

struct rb_secret; /* opaque, reference counted */

/* rb_secret_new - copy @len bytes; NULL without memory. */
struct rb_secret *rb_secret_new(const void *data, size_t len);
struct rb_secret *rb_secret_ref(struct rb_secret *s); /* NULL accepted; thread-safe */
void rb_secret_free(struct rb_secret *s);             /* drops one reference; NULL accepted */
void rb_secret_freep(struct rb_secret **s);
const char *rb_secret_data(const struct rb_secret *s); /* NUL-terminated for convenience */
size_t rb_secret_len(const struct rb_secret *s);
/* rb_secret_equal - constant time in the length of @data. */
bool rb_secret_equal(const struct rb_secret *s, const void *data, size_t len);
/* rb_secret_load_file - whole file, one trailing newline dropped. Errors name the path:
 * RB_E_NOT_FOUND, RB_E_IO, RB_E_TOO_LARGE, RB_E_INVALID (empty). */
enum rb_code rb_secret_load_file(const char *path, struct rb_secret **ret_s, struct rb_err *err);
/* rb_secret_load_env - RB_E_NOT_FOUND when unset or empty. */
enum rb_code rb_secret_load_env(const char *name, struct rb_secret **ret_s, struct rb_err *err);
/* rb_wipe - memset that the compiler keeps. */
void rb_wipe(void *p, size_t len);
/* rb_process_harden - no core files with memory, no ptrace by the same user, no new privileges.
 * Call first in main. */
void rb_process_harden(void);

#endif
