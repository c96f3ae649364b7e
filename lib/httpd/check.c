/* check.c - the request check: what libmicrohttpd accepts and a proxy in front may read in another
 * way.
 *
 * Refused: Content-Length together with Transfer-Encoding, either of them or Host twice, a
 * Transfer-Encoding other than chunked, a length that is not plain digits or exceeds the limit, no
 * Host in HTTP/1.1, HTTP/1.0 bodies without length, header names that are no tokens, control bytes
 * in names and values, NUL bytes, folded lines, bare LF, too many or too long headers, a compressed
 * body.
 *
 * Folded lines, bare LF and NUL bytes cannot be seen in the strings that the library gives, but in
 * where they lie: the library cuts the request in place, so header i+1 starts exactly two bytes
 * (the former CR LF) after the value of header i, and the last one two bytes before the end of
 * the header. Anything else was not "name: value CR LF". This is checked for the library version
 * that is known to work so; another version is judged by its strings alone.
 */
#include <string.h>
#include <strings.h>

#include <retrybuild/str.h>

#include "private.h"

#define MHD_VERSION_IN_PLACE "0.9.75"
#define NOT_CR_LF "a header line is folded, holds a NUL byte or does not end in CR LF"

struct header_scan {
    const char *expected; /* where the next name must start; NULL = layout unknown */
    const char *last_end;
    unsigned n, n_length, n_encoding, n_host;
    size_t bytes;
    uint64_t length;
    bool chunked;
    unsigned status;
    const char *why;
};

static void refuse(struct header_scan *s, unsigned status, const char *why)
{
    if (s->status == 0) {
        s->status = status;
        s->why = why;
    }
}

static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return len > 0;
}

static bool is_field_value(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static void scan_framing(struct header_scan *s, const char *key, const char *value,
                         size_t value_len)
{
    switch (key[0] | 0x20) { /* most headers are none of these */
    case 'c':
        if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
            s->n_length++;
            if (!rb_parse_u64((struct rb_slice){value, value_len}, &s->length)) {
                refuse(s, 400, "Content-Length is not a number");
            }
        } else if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_ENCODING) == 0 &&
                   strcasecmp(value, "identity") != 0) {
            refuse(s, 415, "the body must not be compressed");
        }
        break;
    case 't':
        if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
            s->n_encoding++;
            s->chunked = true;
            if (strcasecmp(value, "chunked") != 0) {
                refuse(s, 400, "Transfer-Encoding must be chunked");
            }
        }
        break;
    case 'h':
        if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
            s->n_host++;
        }
        break;
    default:
        break;
    }
}

static enum MHD_Result scan_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                   size_t key_len, const char *value, size_t value_len)
{
    struct header_scan *s = cls;
    (void)kind;
    if (value == NULL) {
        value = "";
        value_len = 0;
    }
    s->n++;
    s->bytes += key_len + value_len + 4;
    if (s->expected != NULL) {
        if (key != s->expected || value[value_len] != '\0' || value[value_len + 1] != '\0') {
            refuse(s, 400, NOT_CR_LF);
        }
        s->expected = value + value_len + 2;
    }
    if (!is_token(key, key_len) || strlen(key) != key_len) {
        refuse(s, 400, "a header name is malformed");
    } else if (!is_field_value(value, value_len)) {
        refuse(s, 400, "a header value holds a control byte");
    }
    scan_framing(s, key, value, value_len);
    return MHD_YES;
}

/* check_end - the blank line follows the last header at once, and with it the header ends. Without
 * this a NUL byte at the very end, or a line that the library dropped, would go unseen. */
static void check_end(struct header_scan *s, struct MHD_Connection *mhd, const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info == NULL || s->expected == NULL || s->expected + 2 != method + info->header_size) {
        refuse(s, 400, NOT_CR_LF);
    }
}

static void judge(struct header_scan *s, const char *version, uint64_t max_body)
{
    if (s->n > RB_HEADERS_MAX || s->bytes > RB_HEADER_BYTES_MAX) {
        refuse(s, 431, "too many or too long headers");
    } else if (s->n_length > 1 || s->n_encoding > 1 || s->n_host > 1) {
        refuse(s, 400, "Content-Length, Transfer-Encoding or Host is given more than once");
    } else if (s->n_length == 1 && s->n_encoding == 1) {
        refuse(s, 400, "Content-Length and Transfer-Encoding exclude each other");
    } else if (strcmp(version, "HTTP/1.1") == 0 && s->n_host == 0) {
        refuse(s, 400, "Host is missing");
    } else if (strcmp(version, "HTTP/1.0") == 0 && s->chunked) {
        refuse(s, 400, "HTTP/1.0 knows no Transfer-Encoding");
    } else if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
        refuse(s, 505, "HTTP/1.1 is spoken here");
    } else if (s->length > max_body) {
        refuse(s, 413, "the body is larger than listen.max_body");
    }
}

unsigned rb_check_request(struct MHD_Connection *mhd, const char *method, const char *version,
                          const char *url, uint64_t max_body, const char **ret_why)
{
    struct header_scan s = {.status = 0};
    if (strcmp(MHD_get_version(), MHD_VERSION_IN_PLACE) == 0) {
        s.expected = version + strlen(version) + 2;
    }
    bool in_place = s.expected != NULL;
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, scan_header, &s);
    if (in_place) {
        check_end(&s, mhd, method);
    }
    judge(&s, version, max_body);
    if (!is_token(method, strlen(method))) {
        refuse(&s, 400, "the method is malformed");
    }
    if (s.status == 0 && strlen(url) > RB_URL_BYTES_MAX) {
        refuse(&s, 414, "the URL is too long");
    }
    *ret_why = s.why;
    return s.status;
}
