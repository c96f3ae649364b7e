/* What an HTTP answer says in its headers. */
#include <retrybuild/httpc.h>

#include <string.h>

#include <retrybuild/mem.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#define RETRY_AFTER_DIGITS_MAX 12

void rb_http_answer_release(struct rb_http_answer *a)
{
    if (a == NULL) {
        return;
    }
    rb_buf_release(&a->body);
    rb_buf_release(&a->raw_headers);
}

/* The first header of this name. */
static bool find(const struct rb_http_answer *a, const char *lower_name, struct rb_slice *ret_value)
{
    const char *p = rb_buf_str(&a->raw_headers);
    size_t name_len = strlen(lower_name);

    while (*p != '\0') {
        size_t len = strcspn(p, "\n");
        if (len > name_len + 1 && strncmp(p, lower_name, name_len) == 0 && p[name_len] == ':') {
            size_t skip = name_len + 1;
            while (skip < len && p[skip] == ' ') {
                skip++;
            }
            *ret_value = (struct rb_slice){.ptr = p + skip, .len = len - skip};
            return true;
        }
        p += len + (p[len] == '\n' ? 1 : 0);
    }
    return false;
}

const char *rb_http_answer_header(const struct rb_http_answer *a, const char *lower_name,
                                  struct rb_arena *arena)
{
    struct rb_slice v = {.ptr = NULL};

    return find(a, lower_name, &v) ? rb_arena_strndup(arena, v.ptr, v.len) : NULL;
}

int64_t rb_http_retry_after_ms(const struct rb_http_answer *a, int64_t now_ms)
{
    struct rb_slice v = {.ptr = NULL};
    uint64_t n = 0;
    int64_t at_ms = 0;

    if (find(a, "x-amz-retry-after", &v) && v.len <= RETRY_AFTER_DIGITS_MAX &&
        rb_parse_u64(v, &n)) {
        return (int64_t)n;
    }
    if (!find(a, "retry-after", &v)) {
        return -1;
    }
    if (v.len <= RETRY_AFTER_DIGITS_MAX && rb_parse_u64(v, &n)) {
        return (int64_t)n * 1000;
    }
    if (rb_time_parse_http(v, &at_ms)) {
        return at_ms > now_ms ? at_ms - now_ms : 0;
    }
    return -1;
}
