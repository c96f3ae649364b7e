/* mem.c - arenas, and how malloc is tuned.
 *
 * An arena is a list of chunks that double in size up to LARGEST_CHUNK; what does not fit a chunk
 * gets one of its own size. The maximum counts what was handed out, not what malloc rounded up.
 */
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>

#define FIRST_CHUNK ((size_t)992) /* with its head no more than malloc caches for each thread */
#define LARGEST_CHUNK ((size_t)32768)
#define KEPT_CHUNK ((size_t)4096) /* over a reset */
#define ALIGN _Alignof(max_align_t)

struct rb_arena_chunk {
    struct rb_arena_chunk *next; /* older */
    size_t cap;                  /* bytes of data */
    size_t used;
    _Alignas(max_align_t) unsigned char data[];
};

void rb_arena_init(struct rb_arena *a, size_t max_bytes)
{
    *a = (struct rb_arena){.head = NULL, .used_bytes = 0, .max_bytes = max_bytes};
}

/* free_chunks - free from @c on, up to but not including @keep. */
static void free_chunks(struct rb_arena_chunk *c, const struct rb_arena_chunk *keep)
{
    while (c != keep) {
        struct rb_arena_chunk *next = c->next;
        free(c);
        c = next;
    }
}

void rb_arena_release(struct rb_arena *a)
{
    if (a == NULL) {
        return;
    }
    free_chunks(a->head, NULL);
    a->head = NULL;
    a->used_bytes = 0;
}

void rb_arena_reset(struct rb_arena *a)
{
    struct rb_arena_chunk *keep = a->head;
    while (keep != NULL && keep->cap > KEPT_CHUNK) {
        keep = keep->next;
    }
    free_chunks(a->head, keep);
    if (keep != NULL) {
        free_chunks(keep->next, NULL);
        keep->next = NULL;
        keep->used = 0;
    }
    a->head = keep;
    a->used_bytes = 0;
}

static bool add_chunk(struct rb_arena *a, size_t need)
{
    size_t cap = FIRST_CHUNK;
    if (a->head != NULL) {
        cap = a->head->cap < LARGEST_CHUNK / 2 ? a->head->cap * 2 : LARGEST_CHUNK;
    }
    if (cap < need) {
        cap = need;
    }
    struct rb_arena_chunk *c = malloc(sizeof(*c) + cap);
    if (c == NULL) {
        return false;
    }
    c->next = a->head;
    c->cap = cap;
    c->used = 0;
    a->head = c;
    return true;
}

/* take - @len bytes with whatever stood there, at a multiple of @align, a power of two. */
static void *take(struct rb_arena *a, size_t len, size_t align)
{
    if (len > a->max_bytes || a->max_bytes > SIZE_MAX / 2 || a->used_bytes > a->max_bytes - len) {
        return NULL;
    }
    size_t need = len == 0 ? 1 : len; /* distinct addresses, as from malloc */
    size_t at = a->head == NULL ? 0 : (a->head->used + align - 1) & ~(align - 1);
    if (a->head == NULL || at > a->head->cap || a->head->cap - at < need) {
        if (!add_chunk(a, need)) {
            return NULL;
        }
        at = 0;
    }
    a->head->used = at + need;
    a->used_bytes += len;
    return a->head->data + at;
}

void *rb_arena_alloc(struct rb_arena *a, size_t len)
{
    void *p = take(a, len, ALIGN);
    return p == NULL ? NULL : memset(p, 0, len);
}

char *rb_arena_strndup(struct rb_arena *a, const char *s, size_t len)
{
    if (s == NULL || len == SIZE_MAX) {
        return NULL;
    }
    char *copy = take(a, len + 1, 1);
    if (copy != NULL) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

char *rb_arena_strdup(struct rb_arena *a, const char *s)
{
    return s == NULL ? NULL : rb_arena_strndup(a, s, strlen(s));
}

char *rb_arena_join(struct rb_arena *a, const struct rb_slice *parts, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > a->max_bytes - len) {
            return NULL;
        }
        len += parts[i].len;
    }
    char *text = take(a, len + 1, 1);
    if (text == NULL) {
        return NULL;
    }
    char *p = text;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > 0) {
            memcpy(p, parts[i].ptr, parts[i].len);
            p += parts[i].len;
        }
    }
    *p = '\0';
    return text;
}

static char *format(struct rb_arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static char *format(struct rb_arena *a, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    char *text = NULL;
    if (n >= 0) {
        text = take(a, (size_t)n + 1, 1);
        if (text != NULL && (size_t)n < sizeof(small)) {
            memcpy(text, small, (size_t)n + 1);
        } else if (text != NULL) {
            (void)vsnprintf(text, (size_t)n + 1, fmt, again);
        }
    }
    va_end(again);
    return text;
}

char *rb_arena_printf(struct rb_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = format(a, fmt, ap);
    va_end(ap);
    return text;
}

char *rb_arena_sentence(struct rb_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = format(a, fmt, ap);
    va_end(ap);
    if (text != NULL) {
        rb_utf8_mend(text);
    }
    return text;
}

void rb_tune_malloc(void)
{
    /* By default glibc gives the top of the heap back after every burst and faults it in again with
     * the next one; fixed thresholds end that. Request bodies and reply buffers stay below
     * the mmap threshold, what is larger goes straight back to the kernel. Few arenas, because each
     * keeps its own free memory. */
    (void)mallopt(M_MMAP_THRESHOLD, 2 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
    (void)mallopt(M_TOP_PAD, 256 * 1024);
    (void)mallopt(M_ARENA_MAX, 2);
}
