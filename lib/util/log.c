/* log.c - one line an event, on one descriptor.
 *
 * A line is built on the stack and written by one write(2), so that lines of several threads never
 * mix; no memory is allocated, so that "out of memory" can be logged too. A field that does not fit
 * the line any more is left out together with all behind it, and the line says so ("cut").
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/buf.h>
#include <retrybuild/clock.h>
#include <retrybuild/log.h>
#include <retrybuild/str.h>

#define MAX_LINE_BYTES 8192
#define MAX_FIELD_BYTES 1024
#define TAIL_BYTES 16 /* room for the mark of a cut line, the closing brace and the newline */

static struct {
    _Atomic int level;
    _Atomic int format;
    _Atomic int fd;
} state = {RB_LOG_INFO, RB_LOG_AUTO, STDERR_FILENO};

static const char *const level_names[] = {
    [RB_LOG_DEBUG] = "debug",
    [RB_LOG_INFO] = "info",
    [RB_LOG_WARN] = "warn",
    [RB_LOG_ERROR] = "error",
};

void rb_log_setup(enum rb_log_level level, enum rb_log_format format, int fd)
{
    if (format == RB_LOG_AUTO) {
        format = isatty(fd) == 1 ? RB_LOG_LOGFMT : RB_LOG_JSON;
    }
    atomic_store_explicit(&state.level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&state.format, (int)format, memory_order_relaxed);
    atomic_store_explicit(&state.fd, fd, memory_order_relaxed);
}

bool rb_log_enabled(enum rb_log_level level)
{
    return (int)level >= atomic_load_explicit(&state.level, memory_order_relaxed);
}

/* field_len - length of @s, cut at a character when it is beyond the limit. */
static size_t field_len(const char *s)
{
    size_t len = strnlen(s, MAX_FIELD_BYTES + 1);
    if (len <= MAX_FIELD_BYTES) {
        return len;
    }
    len = MAX_FIELD_BYTES;
    while (len > MAX_FIELD_BYTES - 4 && ((unsigned char)s[len] & 0xC0U) == 0x80U) {
        len--;
    }
    return len;
}

/* bare - may stand in logfmt without quotes. */
static bool bare(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return len > 0;
}

static void add_key(struct rb_buf *b, bool json, const char *key)
{
    if (json) {
        rb_buf_addc(b, b->len == 0 ? '{' : ',');
        rb_buf_add_json_string(b, key, strlen(key));
        rb_buf_addc(b, ':');
        return;
    }
    if (b->len > 0) {
        rb_buf_addc(b, ' ');
    }
    rb_buf_adds(b, key);
    rb_buf_addc(b, '=');
}

static void add_string(struct rb_buf *b, bool json, const char *key, const char *s)
{
    size_t len = field_len(s);
    add_key(b, json, key);
    if (!json && bare(s, len)) {
        rb_buf_add(b, s, len);
    } else {
        rb_buf_add_json_string(b, s, len);
    }
}

static void add_number(struct rb_buf *b, bool json, const char *key, int64_t v)
{
    add_key(b, json, key);
    rb_buf_addf(b, "%lld", (long long)v);
}

static void add_time(struct rb_buf *b, bool json)
{
    struct rb_civil c;
    char text[64];
    rb_civil_from_ms(rb_now_ms(rb_clock_system()), &c);
    (void)snprintf(text, sizeof(text), "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", (long long)c.year,
                   c.month, c.day, c.hour, c.minute, c.second, c.ms);
    add_string(b, json, "time", text);
}

/* add_fields - false when not all of them fitted. */
static bool add_fields(struct rb_buf *b, bool json, const struct rb_log_field *f)
{
    for (; f->key != NULL; f++) {
        size_t before = b->len;
        if (f->is_int) {
            add_number(b, json, f->key, f->num);
        } else if (f->str != NULL) {
            add_string(b, json, f->key, f->str);
        }
        if (b->failed || b->len > MAX_LINE_BYTES - TAIL_BYTES) {
            b->failed = false;
            b->len = before;
            return false;
        }
    }
    return true;
}

static void write_line(const char *line, size_t len)
{
    int fd = atomic_load_explicit(&state.fd, memory_order_relaxed);
    while (len > 0) {
        ssize_t n = write(fd, line, len);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return; /* nowhere left to say it */
        }
        line += n;
        len -= (size_t)n;
    }
}

void rb_log_fields(enum rb_log_level level, const char *event, const struct rb_log_field *fields)
{
    if (!rb_log_enabled(level)) {
        return;
    }
    if (atomic_load_explicit(&state.format, memory_order_relaxed) == RB_LOG_AUTO) {
        int fd = atomic_load_explicit(&state.fd, memory_order_relaxed);
        int found = isatty(fd) == 1 ? RB_LOG_LOGFMT : RB_LOG_JSON;
        atomic_store_explicit(&state.format, found, memory_order_relaxed);
    }
    int saved = errno;
    bool json = atomic_load_explicit(&state.format, memory_order_relaxed) == RB_LOG_JSON;
    char line[MAX_LINE_BYTES + 1];
    /* borrows the stack: the maximum keeps it from ever growing, so it is never released */
    struct rb_buf b = {.data = line, .cap = sizeof(line), .max_bytes = sizeof(line) - 1};
    add_time(&b, json);
    add_string(&b, json, "level", level_names[level]);
    add_string(&b, json, "event", event);
    if (!add_fields(&b, json, fields)) {
        rb_buf_adds(&b, json ? ",\"cut\":true" : " cut=true");
    }
    rb_buf_adds(&b, json ? "}\n" : "\n");
    write_line(line, b.len);
    errno = saved;
}
