/* place.h - where a key path stands in the document. Threads: one. */
#ifndef RB_CONFIG_PLACE_H
#define RB_CONFIG_PLACE_H

#include "convert.h"

/* rb_place - line and column of @path ("sources[1].name"; of a secret's any form), or of the
 * nearest thing around it that is written; 0 when not even its first key is. */
void rb_place(const struct rb_node *root, const char *path, unsigned *ret_line,
              unsigned *ret_column);
/* rb_wrong - note a problem "PATH: sentence" at the place of @path. */
void rb_wrong(struct rb_conversion *c, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* rb_has_problem - is a problem of @path, or of something in it, noted already? What is missing
 * only because it was wrong needs no second one. */
bool rb_has_problem(const struct rb_conversion *c, const char *path);
/* rb_path - a key path in the settings' arena; "" without memory. */
const char *rb_path(struct rb_conversion *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
