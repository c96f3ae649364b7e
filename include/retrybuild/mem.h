/* mem.h - arenas: many small strings with one life.
 *
 * An arena hands out memory that lives until rb_arena_release/reset. A record owns its arena; its
 * members are `const char *` borrowed from it. Every arena has a maximum. Threads: one arena, one
 * thread at a time. Blocks: never.
 */
#ifndef RETRYBUILD_MEM_H
#define RETRYBUILD_MEM_H

#include <stddef.h>

#include <retrybuild/str.h>

struct rb_arena_chunk;

struct rb_arena {
    struct rb_arena_chunk *head; /* newest chunk first; NULL = nothing allocated */
    size_t used_bytes;           /* handed out since init/reset */
    size_t max_bytes;            /* rb_arena_alloc fails beyond this */
};

/* rb_arena_init - no allocation happens yet. @max_bytes > 0. */
void rb_arena_init(struct rb_arena *a, size_t max_bytes);
/* rb_arena_release - free everything; the arena may be initialised again. NULL is accepted. */
void rb_arena_release(struct rb_arena *a);
/* rb_arena_reset - forget everything, keep some kilobytes for reuse: after a few rounds of the same
 * needs nothing is allocated any more. */
void rb_arena_reset(struct rb_arena *a);
/* rb_arena_alloc - @len zeroed bytes aligned for any type; NULL when the maximum or memory is
 * exhausted. */
void *rb_arena_alloc(struct rb_arena *a, size_t len);
/* rb_arena_strndup - NUL-terminated copy of @len bytes at @s; NULL on exhaustion, and NULL for @s
 * == NULL. */
char *rb_arena_strndup(struct rb_arena *a, const char *s, size_t len);
/* rb_arena_strdup - as above for a C string. */
char *rb_arena_strdup(struct rb_arena *a, const char *s);
/* rb_arena_join - the @n parts one behind the other; NULL on exhaustion. */
char *rb_arena_join(struct rb_arena *a, const struct rb_slice *parts, size_t n);
/* rb_arena_printf - formatted copy; NULL on exhaustion. */
char *rb_arena_printf(struct rb_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* rb_arena_sentence - the same for people: whole characters only, whatever "%.40s" has cut. */
char *rb_arena_sentence(struct rb_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* rb_tune_malloc - glibc thresholds that keep freed pages for reuse (facts: halves the listener's
 * CPU). Call first in main. */
void rb_tune_malloc(void);

#endif
