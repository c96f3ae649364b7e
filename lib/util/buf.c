/* buf.c - the growable buffer.
 *
 * Growth doubles, so that appending is linear over all; the last step is exactly the maximum. One
 * byte beyond max_bytes is always allocated for the NUL.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/str.h>

#define FIRST_CAP ((size_t)128)

void rb_buf_init(struct rb_buf *b, size_t max_bytes)
{
    *b = (struct rb_buf)RB_BUF_INIT(max_bytes);
}

void rb_buf_release(struct rb_buf *b)
{
    if (b != NULL) {
        free(b->data);
        rb_buf_init(b, b->max_bytes);
    }
}

void rb_buf_clear(struct rb_buf *b)
{
    rb_buf_truncate(b, 0);
}

void rb_buf_truncate(struct rb_buf *b, size_t len)
{
    b->len = len < b->len ? len : b->len;
    b->failed = false;
    if (b->data != NULL) {
        b->data[b->len] = '\0';
    }
}

/* make_room - @len more bytes and a NUL fit, or the buffer has failed. */
static bool make_room(struct rb_buf *b, size_t len)
{
    if (b->failed) {
        return false;
    }
    if (len > b->max_bytes - b->len || b->max_bytes > SIZE_MAX / 2) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + len + 1;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap * 2;
    if (cap < need) {
        cap = need;
    }
    if (cap > b->max_bytes + 1) {
        cap = b->max_bytes + 1;
    }
    char *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    data[b->len] = '\0';
    return true;
}

void rb_buf_add(struct rb_buf *b, const void *data, size_t len)
{
    if (len > 0 && make_room(b, len)) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
        b->data[b->len] = '\0';
    }
}

void rb_buf_adds(struct rb_buf *b, const char *s)
{
    if (s != NULL) {
        rb_buf_add(b, s, strlen(s));
    }
}

void rb_buf_addc(struct rb_buf *b, char c)
{
    if (make_room(b, 1)) {
        b->data[b->len++] = c;
        b->data[b->len] = '\0';
    }
}

void rb_buf_addvf(struct rb_buf *b, const char *fmt, va_list ap)
{
    if (b->failed) {
        return;
    }
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap - b->len; /* both 0 before the first append */
    int n = vsnprintf(room > 0 ? b->data + b->len : NULL, room, fmt, ap);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < room && (size_t)n <= b->max_bytes - b->len) {
        b->len += (size_t)n;
    } else if (make_room(b, (size_t)n)) {
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    if (b->data != NULL) {
        b->data[b->len] = '\0'; /* takes back what a first try left behind */
    }
    va_end(again);
}

void rb_buf_addf(struct rb_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(b, fmt, ap);
    va_end(ap);
}

void rb_buf_addu(struct rb_buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    rb_buf_add(b, digits + at, sizeof(digits) - at);
}

char *rb_buf_reserve(struct rb_buf *b, size_t len)
{
    return make_room(b, len) ? b->data + b->len : NULL;
}

void rb_buf_commit(struct rb_buf *b, size_t len)
{
    if (len < b->cap - b->len) {
        b->len += len;
        b->data[b->len] = '\0';
    } else if (len > 0) {
        b->failed = true; /* more than was reserved */
    }
}

const char *rb_buf_str(const struct rb_buf *b)
{
    return b->data == NULL ? "" : b->data;
}

char *rb_buf_detach(struct rb_buf *b)
{
    if (b->failed || !make_room(b, 0)) {
        return NULL;
    }
    char *data = b->data;
    rb_buf_init(b, b->max_bytes);
    return data;
}

/* plain - bytes that stand in a JSON string as they are: ASCII from blank to tilde but for the
 * quote and the backslash. */
static inline bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static void add_escape(struct rb_buf *b, unsigned code)
{
    switch (code) {
    case '"':
        rb_buf_add(b, "\\\"", 2);
        break;
    case '\\':
        rb_buf_add(b, "\\\\", 2);
        break;
    case '\n':
        rb_buf_add(b, "\\n", 2);
        break;
    case '\r':
        rb_buf_add(b, "\\r", 2);
        break;
    case '\t':
        rb_buf_add(b, "\\t", 2);
        break;
    default:
        rb_buf_addf(b, "\\u%04x", code);
        break;
    }
}

/* Characters that would steer a terminal or break a line in a log viewer are escaped although JSON
 * allows them: DEL, the C1 controls, U+2028 and U+2029. */
static bool steers(const unsigned char *p, size_t n, unsigned *ret_code)
{
    if (n == 2 && p[0] == 0xC2 && p[1] < 0xA0) {
        *ret_code = p[1];
        return true;
    }
    if (n == 3 && p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9)) {
        *ret_code = 0x2000U | (p[2] - 0x80U);
        return true;
    }
    return false;
}

void rb_buf_add_json_string(struct rb_buf *b, const char *s, size_t len)
{
    if (s == NULL) {
        rb_buf_add(b, "null", 4);
        return;
    }
    rb_buf_addc(b, '"');
    const unsigned char *p = (const unsigned char *)s;
    const unsigned char *end = p + len;
    while (p < end && !b->failed) {
        const unsigned char *run = p;
        while (p < end && plain(*p)) {
            p++;
        }
        rb_buf_add(b, run, (size_t)(p - run));
        if (p == end) {
            break;
        }
        if (*p < 0x80) {
            add_escape(b, *p++);
            continue;
        }
        size_t n = rb_utf8_seq((const char *)p, (size_t)(end - p));
        unsigned code = 0;
        if (n == 0) {
            rb_buf_add(b, "\xEF\xBF\xBD", 3);
            n = 1;
        } else if (steers(p, n, &code)) {
            add_escape(b, code);
        } else {
            rb_buf_add(b, p, n);
        }
        p += n;
    }
    rb_buf_addc(b, '"');
}

void rb_buf_add_json_member(struct rb_buf *b, const char *name, const char *value)
{
    rb_buf_addf(b, "\"%s\":", name);
    rb_buf_add_json_string(b, value, value == NULL ? 0 : strlen(value));
}
