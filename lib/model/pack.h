/* pack.h - the texts of a record, shorter: what every record repeats becomes one byte. */
#ifndef RB_MODEL_PACK_H
#define RB_MODEL_PACK_H

#include <retrybuild/buf.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

/* What the record itself has said before: NULL = not yet. */
struct pack_words {
    const char *region, *project;
    const char *uuid; /* of the build */
};

/* rb_pack_text - append the packed form of @s. */
void rb_pack_text(struct rb_buf *out, const char *s, const struct pack_words *w);
/* rb_unpack_text - into @a; NULL when @packed is damaged or the arena is exhausted. @scratch:
 * memory that is reused. */
const char *rb_unpack_text(struct rb_slice packed, const struct pack_words *w,
                           struct rb_buf *scratch, struct rb_arena *a);

#endif
