/* url.c - URLs, read more strictly than clients do.
 *
 * Whatever two readers could understand differently (backslashes, blanks, a second '@', empty
 * ports, percent signs in hosts) is refused: the address guard and the client must see one host.
 */
#include <arpa/inet.h>

#include <retrybuild/url.h>

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static void lower_all(char *s)
{
    for (; *s != '\0'; s++) {
        *s = to_lower(*s);
    }
}

static enum rb_code invalid(struct rb_err *err, const char *why)
{
    return rb_err_set(err, RB_E_INVALID, "invalid URL: %s", why);
}

static enum rb_code exhausted(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a URL");
}

/* take_until - the slice before the first of @stops; *s becomes the rest, which begins with it. */
static struct rb_slice take_until(struct rb_slice *s, const char *stops)
{
    size_t n = 0;
    while (n < s->len && strchr(stops, s->ptr[n]) == NULL) {
        n++;
    }
    struct rb_slice taken = {.ptr = s->ptr, .len = n};
    s->ptr += n;
    s->len -= n;
    return taken;
}

static bool scheme_valid(struct rb_slice s)
{
    if (s.len == 0 || !is_alpha(s.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        char c = s.ptr[i];
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') {
            return false;
        }
    }
    return true;
}

static bool host_name_valid(struct rb_slice h)
{
    for (size_t i = 0; i < h.len; i++) {
        char c = h.ptr[i];
        if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return h.len <= 253 && (h.len == 0 || h.ptr[0] != '.');
}

static bool ipv6_valid(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, text, &address) == 1;
}

static enum rb_code parse_port(struct rb_slice s, uint16_t *ret_port, struct rb_err *err)
{
    uint64_t port = 0;
    if (s.len > 5 || !rb_parse_u64(s, &port) || port == 0 || port > 65535) {
        return invalid(err, "port must be 1 to 65535");
    }
    *ret_port = (uint16_t)port;
    return RB_OK;
}

/* parse_host_port - what stands behind the userinfo. */
static enum rb_code parse_host_port(struct rb_slice s, struct rb_arena *a, struct rb_url *u,
                                    struct rb_err *err)
{
    bool bracketed = s.len > 0 && s.ptr[0] == '[';
    struct rb_slice host;
    if (bracketed) {
        s.ptr++;
        s.len--;
        host = take_until(&s, "]");
        if (s.len == 0) {
            return invalid(err, "bracket without an end");
        }
        s.ptr++;
        s.len--;
    } else {
        host = take_until(&s, ":");
        if (!host_name_valid(host)) {
            return invalid(err, "host has a character that no host has");
        }
    }
    char *text = rb_arena_strndup(a, host.ptr, host.len);
    if (text == NULL) {
        return exhausted(err);
    }
    lower_all(text);
    if (bracketed && !ipv6_valid(text)) {
        return invalid(err, "brackets hold no IPv6 address");
    }
    u->host = text;
    if (s.len == 0) {
        return RB_OK;
    }
    if (s.ptr[0] != ':' || host.len == 0) {
        return invalid(err, "port without a host, or bytes behind a bracket");
    }
    return parse_port((struct rb_slice){.ptr = s.ptr + 1, .len = s.len - 1}, &u->port, err);
}

static enum rb_code parse_authority(struct rb_slice s, struct rb_arena *a, struct rb_url *u,
                                    struct rb_err *err)
{
    const char *sign = s.len == 0 ? NULL : memchr(s.ptr, '@', s.len);
    if (sign != NULL) {
        size_t n = (size_t)(sign - s.ptr);
        u->userinfo = rb_arena_strndup(a, s.ptr, n);
        if (u->userinfo == NULL) {
            return exhausted(err);
        }
        s.ptr += n + 1;
        s.len -= n + 1;
        if (s.len > 0 && memchr(s.ptr, '@', s.len) != NULL) {
            return invalid(err, "more than one @ before the host");
        }
    }
    return parse_host_port(s, a, u, err);
}

/* parse_rest - path, query and fragment. */
static enum rb_code parse_rest(struct rb_slice s, bool is_http, struct rb_arena *a,
                               struct rb_url *u, struct rb_err *err)
{
    struct rb_slice path = take_until(&s, "?#");
    bool root = is_http && path.len == 0;
    u->path = root ? rb_arena_strdup(a, "/") : rb_arena_strndup(a, path.ptr, path.len);
    bool complete = u->path != NULL;
    if (s.len > 0 && s.ptr[0] == '?') {
        s.ptr++;
        s.len--;
        struct rb_slice query = take_until(&s, "#");
        u->query = rb_arena_strndup(a, query.ptr, query.len);
        complete = complete && u->query != NULL;
    }
    if (s.len > 0) {
        u->fragment = rb_arena_strndup(a, s.ptr + 1, s.len - 1);
        complete = complete && u->fragment != NULL;
    }
    return complete ? RB_OK : exhausted(err);
}

static enum rb_code check_bytes(const char *s, size_t len, struct rb_err *err)
{
    if (s == NULL || len == 0) {
        return invalid(err, "empty");
    }
    if (len > RB_URL_MAX_BYTES) {
        return rb_err_set(err, RB_E_TOO_LARGE, "URL is longer than %d bytes", RB_URL_MAX_BYTES);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= ' ' || c >= 0x7F || c == '\\') {
            return invalid(err, "a blank, control byte, backslash or byte that is not ASCII");
        }
    }
    return RB_OK;
}

enum rb_code rb_url_parse(const char *s, size_t len, struct rb_arena *a, struct rb_url *ret_url,
                          struct rb_err *err)
{
    enum rb_code rc = check_bytes(s, len, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_slice rest = {.ptr = s, .len = len};
    struct rb_slice scheme = take_until(&rest, ":/?#");
    if (rest.len == 0 || rest.ptr[0] != ':' || !scheme_valid(scheme)) {
        return invalid(err, "no scheme");
    }
    rest.ptr++;
    rest.len--;
    char *scheme_text = rb_arena_strndup(a, scheme.ptr, scheme.len);
    if (scheme_text == NULL) {
        return exhausted(err);
    }
    lower_all(scheme_text);
    struct rb_url u = {.scheme = scheme_text, .host = ""};
    bool is_http = rb_url_default_port(scheme_text) != 0;
    if (rest.len >= 2 && memcmp(rest.ptr, "//", 2) == 0) {
        rest.ptr += 2;
        rest.len -= 2;
        rc = parse_authority(take_until(&rest, "/?#"), a, &u, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    if (is_http && u.host[0] == '\0') {
        return invalid(err, "no host");
    }
    rc = parse_rest(rest, is_http, a, &u, err);
    if (rc == RB_OK) {
        *ret_url = u;
    }
    return rc;
}

uint16_t rb_url_default_port(const char *scheme)
{
    if (rb_str_eq(scheme, "http")) {
        return 80;
    }
    return rb_str_eq(scheme, "https") ? 443 : 0;
}

void rb_url_encode(struct rb_buf *out, const char *s, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            rb_buf_addc(out, c);
        } else {
            unsigned char u = (unsigned char)c;
            const char escape[3] = {'%', hex[u >> 4], hex[u & 15U]};
            rb_buf_add(out, escape, sizeof(escape));
        }
    }
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

const char *rb_url_decode(const char *s, size_t len, bool plus_is_space, struct rb_arena *a)
{
    char *text = s == NULL || len == SIZE_MAX ? NULL : rb_arena_alloc(a, len + 1);
    if (text == NULL) {
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = len - i > 2 ? hex_value(s[i + 1]) : -1;
            int low = high >= 0 ? hex_value(s[i + 2]) : -1;
            if (low < 0) {
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0') {
            return NULL;
        }
        text[n++] = c;
    }
    return text;
}
