/* buf.h - a growable byte buffer with a named maximum.
 *
 * Append calls never fail visibly: beyond the maximum, or without memory, the buffer goes into the
 * failed state, keeps what it had, and ignores later appends; check once with rb_buf_failed before
 * use. The content is always NUL-terminated (the NUL is not counted). Threads: one at a time.
 * Blocks: never.
 */
#ifndef RETRYBUILD_BUF_H
#define RETRYBUILD_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rb_buf {
    char *data;       /* NULL until the first append; read through rb_buf_str */
    size_t len;       /* bytes, without the NUL */
    size_t cap;       /* allocated */
    size_t max_bytes; /* len never exceeds this */
    bool failed;
};

#define RB_BUF_INIT(max)                                                      \
    {                                                                         \
        .data = NULL, .len = 0, .cap = 0, .max_bytes = (max), .failed = false \
    }

void rb_buf_init(struct rb_buf *b, size_t max_bytes);
/* rb_buf_release - free the memory; accepts NULL; the buffer is empty and usable again with the
 * same maximum. */
void rb_buf_release(struct rb_buf *b);
/* rb_buf_clear - empty and un-fail it, keep the memory. */
void rb_buf_clear(struct rb_buf *b);
/* rb_buf_truncate - back to the first @len bytes, and un-fail it. */
void rb_buf_truncate(struct rb_buf *b, size_t len);
void rb_buf_add(struct rb_buf *b, const void *data, size_t len);
void rb_buf_adds(struct rb_buf *b, const char *s); /* NULL adds nothing */
void rb_buf_addc(struct rb_buf *b, char c);
void rb_buf_addf(struct rb_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rb_buf_addvf(struct rb_buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
void rb_buf_addu(struct rb_buf *b, uint64_t v);
/* rb_buf_reserve - room for @len more bytes; returns where to write, or NULL when failed. Then
 * rb_buf_commit(n <= len). */
char *rb_buf_reserve(struct rb_buf *b, size_t len);
void rb_buf_commit(struct rb_buf *b, size_t len);
/* rb_buf_str - the content as a C string, "" when empty; valid until the next change. */
const char *rb_buf_str(const struct rb_buf *b);
/* rb_buf_detach - hand the malloc'ed content to the caller (never NULL unless failed or out of
 * memory) and empty the buffer. */
char *rb_buf_detach(struct rb_buf *b);
static inline bool rb_buf_failed(const struct rb_buf *b)
{
    return b->failed;
}

/* JSON text into a buffer, escaped as RFC 8259 wants; invalid UTF-8 becomes U+FFFD. For the hot
 * path and for logs. */
void rb_buf_add_json_string(struct rb_buf *b, const char *s,
                            size_t len); /* with the quotes; s == NULL adds null */
/* rb_buf_add_json_member - "name":"value", or "name":null for NULL; @name is not escaped. */
void rb_buf_add_json_member(struct rb_buf *b, const char *name, const char *value);

#endif
