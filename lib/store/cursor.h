/* cursor.h - the text that names a place in a list: after which retry the next page begins. Opaque
 * to callers; the check digits refuse text that is not ours. Threads: any. Blocks: never.
 */
#ifndef RB_STORE_CURSOR_H
#define RB_STORE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/store.h>

void rb_cursor_write(int64_t created_ms, const char *id, char ret_s[RB_CURSOR_BYTES]);
/* rb_cursor_read - false: not a cursor of ours, outputs left alone. */
bool rb_cursor_read(const char *s, int64_t *ret_created_ms, char ret_id[RB_ID_BYTES]);

#endif
