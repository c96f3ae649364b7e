/* pick.h - texts out of a JSON document, by their paths, in one pass. */
#ifndef RB_SOURCE_PICK_H
#define RB_SOURCE_PICK_H

#include <stddef.h>

#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

#define RB_PICK_ROWS_MAX 64
#define RB_PICK_DEPTH_MAX 6
#define RB_PICK_NAME_BYTES 40

/* One text: members and, in arrays, positions from 0, joined by dots. */
struct rb_pick {
    const char *path;
    size_t offset; /* in @ret: a const char * */
    size_t max;    /* a longer text counts as absent */
};

/* rb_pick - the whole of @body is validated. Strings, numbers (their text), "true" and "false" go
 * where the rows say, in @a; an object or array is "{}" or "[]"; null and what is not there leave
 * the pointer alone. Errors: RB_E_INVALID, RB_E_TOO_LARGE of the reader, RB_E_NOMEM. */
enum rb_code rb_pick(struct rb_slice body, const struct rb_pick *rows, size_t n, struct rb_arena *a,
                     void *ret, struct rb_err *err);

#endif
