/* str.h - slices, numbers, globs, words.
 *
 * struct rb_slice borrows; it is not NUL-terminated. Threads: any. Blocks: never.
 */
#ifndef RETRYBUILD_STR_H
#define RETRYBUILD_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rb_slice {
    const char *ptr; /* NULL = absent */
    size_t len;
};

#define RB_SLICE_LIT(s) ((struct rb_slice){.ptr = (s), .len = sizeof(s) - 1})

static inline struct rb_slice rb_slice_str(const char *s)
{
    return (struct rb_slice){.ptr = s, .len = s == NULL ? 0 : strlen(s)};
}
static inline bool rb_slice_eq(struct rb_slice a, const char *s)
{
    return a.ptr != NULL && strlen(s) == a.len && memcmp(a.ptr, s, a.len) == 0;
}
/* rb_str_eq - both non-NULL and equal, or both NULL. */
bool rb_str_eq(const char *a, const char *b);
bool rb_str_empty(const char *s); /* NULL or "" */
bool rb_str_starts(const char *s, const char *prefix);
bool rb_str_ends(const char *s, const char *suffix);
/* rb_str_ieq - ASCII case-insensitive. */
bool rb_str_ieq(const char *a, const char *b);

/* rb_parse_u64 / i64 - decimal digits only (i64: one leading '-'), the whole slice, no overflow.
 * False leaves *ret alone. */
bool rb_parse_u64(struct rb_slice s, uint64_t *ret_v);
bool rb_parse_i64(struct rb_slice s, int64_t *ret_v);
/* rb_parse_duration_ms - "500ms" "30s" "15m" "24h" "30d" "0s"; one unit, no sign, no blanks. */
bool rb_parse_duration_ms(struct rb_slice s, int64_t *ret_ms);
/* rb_parse_size - "4096" (bytes) "64KiB" "1MiB" "1GiB". */
bool rb_parse_size(struct rb_slice s, uint64_t *ret_bytes);

/* rb_glob_match - '*' any run, '?' one byte, '[a-z]' and '[!a-z]' sets, '\' escapes; whole string;
 * linear time in practice (backtracks to the last star only). NULL @s matches nothing. */
bool rb_glob_match(const char *pattern, const char *s);

/* rb_utf8_valid - strict UTF-8 (no surrogates, no overlong, up to U+10FFFF). */
bool rb_utf8_valid(const char *s, size_t len);
/* rb_utf8_seq - length (1..4) of the valid sequence that @s begins with; 0 when it is none or @len
 * is 0. */
size_t rb_utf8_seq(const char *s, size_t len);
/* rb_utf8_mend - leave out what is no UTF-8, such as half a character at the end of "%.40s"; @s
 * ends in a NUL before and after. */
void rb_utf8_mend(char *s);

/* rb_nearest - the word of @words[@n] with the smallest edit distance to @word, or NULL when none
 * is near (distance > 1/3 of the longer length, at least 2 allowed). For "did you mean". */
const char *rb_nearest(const char *word, const char *const *words, size_t n);

#endif
