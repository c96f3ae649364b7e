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

/* The same, ready for packing: lengths are known, and most bytes begin none of the words. */
struct packer {
    struct rb_slice word[PACK_WORDS]; /* what is too short to be worth a code is absent, too */
    uint64_t first;                   /* bit (first byte % 64) of each word */
};

void rb_packer_init(struct packer *p, const struct pack_words *w);
/* rb_pack_bound - what the packed form of @s[@len] may take at most. */
size_t rb_pack_bound(const char *s, size_t len);
/* rb_pack_text - write the packed form of @s[@len] to @out, which has room for rb_pack_bound bytes;
 * returns behind it. */
char *rb_pack_text(char *out, const char *s, size_t len, const struct packer *p);
/* rb_unpack_text - into @a; NULL when @packed is damaged or the arena is exhausted. @scratch:
 * memory that is reused. */
const char *rb_unpack_text(struct rb_slice packed, const struct pack_words *w,
                           struct rb_buf *scratch, struct rb_arena *a);

#endif
