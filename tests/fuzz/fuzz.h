/* fuzz.h - what the targets share. */
#ifndef RB_FUZZ_H
#define RB_FUZZ_H

#include <stdlib.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* need - what must hold of any input; a fuzzer sees the process end. */
static inline void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* is_text - no text, or one in UTF-8. */
static inline void is_text(const char *s)
{
    need(s == NULL || rb_utf8_valid(s, strlen(s)));
}

/* text_of - a copy that ends in a NUL and nothing behind it, for sanitizers to see; caller frees. */
static inline char *text_of(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    need(text != NULL);
    if (len > 0) {
        memcpy(text, data, len);
    }
    text[len] = '\0';
    return text;
}

/* input - the bytes as a slice that is there even when it is empty. */
static inline struct rb_slice input(const uint8_t *data, size_t len)
{
    return (struct rb_slice){len == 0 ? "" : (const char *)data, len};
}

/* take_line - what stands before the first line end, or everything; *in moves behind it. */
static inline struct rb_slice take_line(struct rb_slice *in)
{
    const char *end = in->len == 0 ? NULL : memchr(in->ptr, '\n', in->len);
    struct rb_slice line = {in->ptr, end == NULL ? in->len : (size_t)(end - in->ptr)};
    size_t skip = end == NULL ? in->len : line.len + 1;
    in->ptr += skip;
    in->len -= skip;
    return line;
}

#endif
