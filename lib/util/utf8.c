/* utf8.c - strict UTF-8, after table 3-7 of the Unicode standard. */
#include <string.h>

#include <retrybuild/str.h>

static inline bool tail(unsigned char c)
{
    return (c & 0xC0U) == 0x80U;
}

size_t rb_utf8_seq(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    if (len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xC2 || p[0] > 0xF4) {
        return 0;
    }
    if (p[0] < 0xE0) {
        return len >= 2 && tail(p[1]) ? 2 : 0;
    }
    if (len < 3 || !tail(p[1]) || !tail(p[2])) {
        return 0;
    }
    if (p[0] < 0xF0) {
        bool overlong = p[0] == 0xE0 && p[1] < 0xA0;
        bool surrogate = p[0] == 0xED && p[1] > 0x9F;
        return overlong || surrogate ? 0 : 3;
    }
    bool overlong = p[0] == 0xF0 && p[1] < 0x90;
    bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
    return len >= 4 && tail(p[3]) && !overlong && !beyond ? 4 : 0;
}

bool rb_utf8_valid(const char *s, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t n = rb_utf8_seq(s + at, len - at);
        if (n == 0) {
            return false;
        }
        at += n;
    }
    return true;
}

void rb_utf8_mend(char *s)
{
    size_t len = strlen(s);
    size_t to = 0;
    for (size_t at = 0; at < len;) {
        size_t n = rb_utf8_seq(s + at, len - at);
        memmove(s + to, s + at, n);
        to += n;
        at += n == 0 ? 1 : n;
    }
    s[to] = '\0';
}
