/* fuzz_url.c - libFuzzer target: a URL taken apart has parts of the alphabet that is promised; what
 * is encoded decodes to itself. */
#include <ctype.h>

#include <retrybuild/url.h>

#include "fuzz.h"

static void check_part(const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        need(*s > ' ' && *s < 0x7f && *s != '\\');
    }
}

static void check(const struct rb_url *u)
{
    const char *parts[] = {u->scheme, u->userinfo, u->host, u->path, u->query, u->fragment};
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        check_part(parts[i]);
    }
    need(u->scheme != NULL && u->scheme[0] != '\0' && u->path != NULL);
    if (rb_str_eq(u->scheme, "http") || rb_str_eq(u->scheme, "https")) {
        need(!rb_str_empty(u->host) && u->path[0] == '/');
        need(strpbrk(u->host, "@/?#[]%") == NULL);
        for (const char *c = u->host; *c != '\0'; c++) {
            need(tolower((unsigned char)*c) == *c);
        }
    }
    need(u->userinfo == NULL || strchr(u->userinfo, '@') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    struct rb_url u;
    struct rb_arena a;
    RB_CLEANUP(rb_buf_release) struct rb_buf encoded = RB_BUF_INIT(3 * 65536 + 1);
    rb_arena_init(&a, 1 << 20);
    if (rb_url_parse(text, len, &a, &u, NULL) == RB_OK) {
        check(&u);
    }
    (void)rb_url_decode(text, len, true, &a);
    rb_url_encode(&encoded, text, len);
    if (!rb_buf_failed(&encoded) && (len == 0 || memchr(text, '\0', len) == NULL)) {
        const char *plain = rb_url_decode(rb_buf_str(&encoded), encoded.len, false, &a);
        need(plain == NULL || (strlen(plain) == len && (len == 0 || memcmp(plain, text, len) == 0)));
        need(plain != NULL || len > 65536);
    }
    rb_arena_release(&a);
    return 0;
}
