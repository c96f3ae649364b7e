/* str.c - comparisons of strings, and the nearest word. */
#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#define NEAREST_MAX_LEN 64 /* longer words are nobody's typing error */

bool rb_str_eq(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool rb_str_empty(const char *s)
{
    return s == NULL || s[0] == '\0';
}

bool rb_str_starts(const char *s, const char *prefix)
{
    return s != NULL && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool rb_str_ends(const char *s, const char *suffix)
{
    if (s == NULL) {
        return false;
    }
    size_t len = strlen(s);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && memcmp(s + len - suffix_len, suffix, suffix_len) == 0;
}

static inline unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20U) : u;
}

bool rb_str_ieq(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

/* edit_distance - insertions, deletions and substitutions; both lengths <= NEAREST_MAX_LEN. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[NEAREST_MAX_LEN + 1];
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
            diagonal = row[j];
            if (row[j] + 1 < best) {
                best = row[j] + 1;
            }
            if (row[j - 1] + 1 < best) {
                best = row[j - 1] + 1;
            }
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *rb_nearest(const char *word, const char *const *words, size_t n)
{
    size_t len = word == NULL ? 0 : strlen(word);
    if (len == 0 || len > NEAREST_MAX_LEN) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(words[i]);
        if (other > NEAREST_MAX_LEN) {
            continue;
        }
        size_t longer = len > other ? len : other;
        size_t allowed = longer / 3 > 2 ? longer / 3 : 2;
        size_t distance = edit_distance(word, len, words[i], other);
        if (distance <= allowed && distance < longer && distance < best_distance) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}
