/* pack.h - the texts of a record, shorter: what every record repeats becomes one byte. */
#ifndef RB_MODEL_PACK_H
#define RB_MODEL_PACK_H

#include <retrybuild/buf.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

enum pack_word {
    PACK_REGION,
    PACK_PROJECT,
    PACK_UUID,    /* of the build */
    PACK_VERSION, /* the source version */
    PACK_RULE,    /* of the decision */
    PACK_WORDS
};

/* What the record itself has said before; an absent word is NULL. */
struct pack_words {
    const char *word[PACK_WORDS];
};

/* rb_pack_text - append the packed form of @s. */
void rb_pack_text(struct rb_buf *out, const char *s, const struct pack_words *w);
/* rb_unpack_text - into @a; NULL when @packed is damaged or the arena is exhausted. @scratch:
 * memory that is reused. */
const char *rb_unpack_text(struct rb_slice packed, const struct pack_words *w,
                           struct rb_buf *scratch, struct rb_arena *a);

#endif
