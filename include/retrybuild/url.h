/* url.h - URLs taken apart without surprises, and percent-encoding. Threads: any. Blocks: never. */
#ifndef RETRYBUILD_URL_H
#define RETRYBUILD_URL_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

struct rb_url {
    const char *scheme;   /* lower case */
    const char *userinfo; /* raw, NULL when absent */
    const char *host;     /* lower case, IPv6 without brackets */
    uint16_t port;        /* 0 = not given */
    const char *path;     /* as written, at least "/" for http and https */
    const char *query;    /* without '?', NULL when absent */
    const char *fragment; /* without '#', NULL when absent */
};

/* rb_url_parse - absolute URL of up to RB_URL_MAX_BYTES; ASCII without control bytes, blanks or
 * backslashes. http and https need a host of letters, digits, '-', '_', '.' or an IPv6 address in
 * brackets; other schemes may have none ("redis+unix:///path", "sqlite:file"). At most one '@'. A
 * port is 1..65535. Strings live in @a. Error text never shows any part of the URL. */
#define RB_URL_MAX_BYTES 8192
enum rb_code rb_url_parse(const char *s, size_t len, struct rb_arena *a, struct rb_url *ret_url,
                          struct rb_err *err);
uint16_t rb_url_default_port(const char *scheme); /* 80, 443, else 0 */
/* rb_url_encode - RFC 3986 unreserved stay, the rest become %XX (upper case). */
void rb_url_encode(struct rb_buf *out, const char *s, size_t len);
/* rb_url_decode - percent-decoding into the arena; NULL on a bad escape or %00. plus_is_space for
 * form bodies and queries. */
const char *rb_url_decode(const char *s, size_t len, bool plus_is_space, struct rb_arena *a);

#endif
