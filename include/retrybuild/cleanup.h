/* cleanup.h - scope-bound release of owning locals.
 *
 * RB_CLEANUP(fn) names a function that takes the address of the local. RB_TAKE(p) reads an owning
 * pointer and leaves NULL behind, so that the local's cleanup finds nothing to free. Threads: any.
 * Blocks: never.
 */
#ifndef RETRYBUILD_CLEANUP_H
#define RETRYBUILD_CLEANUP_H

#include <stdlib.h>

#define RB_CLEANUP(fn) __attribute__((cleanup(fn)))

#define RB_TAKE(p)                     \
    __extension__({                    \
        __typeof__(p) rb_taken_ = (p); \
        (p) = NULL;                    \
        rb_taken_;                     \
    })

#define RB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* rb_freep - free() for RB_CLEANUP: RB_CLEANUP(rb_freep) char *s = NULL; */
static inline void rb_freep(void *p)
{
    free(*(void **)p);
}

/* rb_closep - close a file descriptor local that was initialised with -1. */
void rb_closep(int *fd);

#endif
