/* glob.c - shell-like patterns over bytes.
 *
 * A mismatch goes back to the last star only: with several stars the leftmost possible match of the
 * earlier ones never hurts the later ones. So the worst case is |pattern| * |string|.
 */
#include <retrybuild/str.h>

/* set_end - the byte after the ']' that closes the set at @p ('['), or NULL when none does. A ']'
 * right after '[' or '[!' is a member. */
static const char *set_end(const char *p)
{
    p++;
    if (*p == '!') {
        p++;
    }
    bool first = true;
    while (*p != '\0' && (first || *p != ']')) {
        if (*p == '\\' && p[1] != '\0') {
            p++;
        }
        p++;
        first = false;
    }
    return *p == ']' ? p + 1 : NULL;
}

static unsigned char member(const char **p)
{
    if (**p == '\\' && (*p)[1] != '\0') {
        (*p)++;
    }
    return (unsigned char)*(*p)++;
}

static bool set_has(const char *p, const char *end, unsigned char c)
{
    p++;
    bool negated = *p == '!';
    if (negated) {
        p++;
    }
    bool found = false;
    while (p < end - 1) {
        unsigned char low = member(&p);
        unsigned char high = low;
        if (*p == '-' && p + 1 < end - 1) {
            p++;
            high = member(&p);
        }
        found = found || (c >= low && c <= high);
    }
    return found != negated;
}

/* match_one - does the pattern element at @p (not a star) match @c? *ret_next: the next element. */
static bool match_one(const char *p, unsigned char c, const char **ret_next)
{
    if (*p == '?') {
        *ret_next = p + 1;
        return true;
    }
    if (*p == '[') {
        const char *end = set_end(p);
        if (end != NULL) {
            *ret_next = end;
            return set_has(p, end, c);
        }
    }
    if (*p == '\\' && p[1] != '\0') {
        p++;
    }
    *ret_next = p + 1;
    return (unsigned char)*p == c;
}

bool rb_glob_match(const char *pattern, const char *s)
{
    if (s == NULL || pattern == NULL) {
        return false;
    }
    const char *after_star = NULL; /* pattern behind the last star */
    const char *star_s = NULL;     /* where that star's run ends so far */
    while (*s != '\0') {
        const char *next = NULL;
        if (*pattern == '*') {
            after_star = ++pattern;
            star_s = s;
        } else if (*pattern != '\0' && match_one(pattern, (unsigned char)*s, &next)) {
            pattern = next;
            s++;
        } else if (after_star != NULL) {
            pattern = after_star;
            s = ++star_s;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}
