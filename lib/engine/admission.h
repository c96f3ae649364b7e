/* admission.h - an admission in the making, with everything it owns. */
#ifndef RB_ENGINE_ADMISSION_H
#define RB_ENGINE_ADMISSION_H

#include "internal.h"

struct admission_box {
    struct rb_admission a; /* first: the box is found from it */
    struct rb_engine *e;
    struct rb_retry *retry;
    bool follows;          /* a further attempt that the follower made: nothing was delivered */
    struct rb_build ended; /* of an ENDED admission: what names the build */
    struct rb_arena arena; /* strings of an ENDED admission, which has no record */
    struct rb_delivery delivery;
    char delivery_key[RB_KEY_BYTES], token_key[RB_KEY_BYTES], fingerprint[RB_KEY_BYTES],
        build_key[RB_KEY_BYTES], intent_key[RB_KEY_BYTES];
};
struct admission_box *rb_box_new(struct rb_engine *e); /* NULL without memory */
/* rb_box_finish - the common end of every admission that carries a record. False without memory. */
bool rb_box_finish(struct admission_box *box, const struct rb_runtime *rt, int64_t now_ms);

#endif
