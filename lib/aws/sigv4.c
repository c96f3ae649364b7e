/* AWS Signature Version 4: one canonical form, used to sign and to verify.
 *
 * The canonical form is that of every service but S3: the path as sent is normalised ("//" and dot
 * segments fall) and each segment is percent-encoded once more; the query is sorted, not encoded
 * again; header names are lowered and sorted, values trimmed, inner runs of blanks become one,
 * repeated headers are joined by a comma in their order. Source: facts on AWS, 3.1 and 3.2.
 */
#include <retrybuild/sigv4.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/secret.h>
#include <retrybuild/timefmt.h>

#define CANONICAL_MAX_BYTES (256 * 1024)
#define SIGNED_MAX_BYTES 8192
#define HEADERS_MAX 64
#define SEGMENTS_MAX 64
#define QUERY_PAIRS_MAX 128
#define SECRET_MAX_BYTES 256

static const char ALGORITHM[] = "AWS4-HMAC-SHA256";
static const char TERMINATOR[] = "aws4_request";

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Byte order of the lower-case forms; a shorter string that is a prefix comes first. */
static int compare(struct rb_slice a, struct rb_slice b, bool fold)
{
    size_t n = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)(fold ? lower(a.ptr[i]) : a.ptr[i]);
        unsigned char y = (unsigned char)(fold ? lower(b.ptr[i]) : b.ptr[i]);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return a.len == b.len ? 0 : (a.len < b.len ? -1 : 1);
}

/* Appends @path normalised and encoded: RFC 3986 dot segments and empty segments fall. */
static enum rb_code add_path(struct rb_buf *out, const char *path, struct rb_err *err)
{
    struct rb_slice segments[SEGMENTS_MAX];
    size_t n = 0;
    size_t len = path == NULL ? 0 : strlen(path);

    if (len == 0 || path[0] != '/') {
        return rb_err_set(err, RB_E_INVALID, "the path to sign does not start with '/'");
    }
    for (const char *p = path; *p != '\0';) {
        p += 1; /* the slash */
        size_t part = strcspn(p, "/");
        struct rb_slice s = {.ptr = p, .len = part};
        p += part;
        if (part == 0 || rb_slice_eq(s, ".")) {
            continue;
        }
        if (rb_slice_eq(s, "..")) {
            n -= n > 0 ? 1 : 0;
            continue;
        }
        if (n == SEGMENTS_MAX) {
            return rb_err_set(err, RB_E_TOO_LARGE, "the path to sign has over %d segments",
                              SEGMENTS_MAX);
        }
        segments[n++] = s;
    }
    for (size_t i = 0; i < n; i++) {
        rb_buf_addc(out, '/');
        for (size_t k = 0; k < segments[i].len; k++) {
            char c = segments[i].ptr[k];
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
            if (plain) {
                rb_buf_addc(out, c);
            } else {
                rb_buf_addf(out, "%%%02X", (unsigned)(unsigned char)c);
            }
        }
    }
    if (n == 0 || path[len - 1] == '/') {
        rb_buf_addc(out, '/');
    }
    return RB_OK;
}

struct pair {
    struct rb_slice key, value;
};

/* Appends the parameters sorted by name, then by value; "a" becomes "a=". */
static enum rb_code add_query(struct rb_buf *out, const char *query, struct rb_err *err)
{
    struct pair pairs[QUERY_PAIRS_MAX];
    size_t n = 0;

    if (rb_str_empty(query)) {
        return RB_OK;
    }
    for (const char *p = query;; p++) {
        size_t len = strcspn(p, "&");
        size_t key_len = strcspn(p, "=&");
        struct pair new = {.key = {.ptr = p, .len = key_len},
                           .value = {.ptr = p + key_len + (key_len < len ? 1 : 0),
                                     .len = key_len < len ? len - key_len - 1 : 0}};
        if (n == QUERY_PAIRS_MAX) {
            return rb_err_set(err, RB_E_TOO_LARGE, "the query to sign has over %d parameters",
                              QUERY_PAIRS_MAX);
        }
        size_t at = n++;
        for (; at > 0; at--) {
            int order = compare(pairs[at - 1].key, new.key, false);
            if (order < 0 || (order == 0 && compare(pairs[at - 1].value, new.value, false) <= 0)) {
                break;
            }
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = new;
        p += len;
        if (*p == '\0') {
            break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            rb_buf_addc(out, '&');
        }
        rb_buf_add(out, pairs[i].key.ptr, pairs[i].key.len);
        rb_buf_addc(out, '=');
        rb_buf_add(out, pairs[i].value.ptr, pairs[i].value.len);
    }
    return RB_OK;
}

static void add_trimmed(struct rb_buf *out, struct rb_slice v)
{
    size_t i = 0;

    while (v.len > 0 && is_blank(v.ptr[v.len - 1])) {
        v.len--;
    }
    while (i < v.len && is_blank(v.ptr[i])) {
        i++;
    }
    while (i < v.len) {
        if (is_blank(v.ptr[i])) {
            rb_buf_addc(out, ' ');
            while (is_blank(v.ptr[i])) { /* ends: the last byte is no blank */
                i++;
            }
        } else {
            rb_buf_addc(out, v.ptr[i++]);
        }
    }
}

static enum rb_code check_header(const struct rb_header *h, struct rb_err *err)
{
    if (h->name.len == 0) {
        return rb_err_set(err, RB_E_INVALID, "a header to sign has no name");
    }
    for (size_t i = 0; i < h->name.len; i++) {
        unsigned char c = (unsigned char)h->name.ptr[i];
        if (c <= ' ' || c >= 127 || c == ':' || c == ';') {
            return rb_err_set(err, RB_E_INVALID, "a header to sign has a bad name");
        }
    }
    if (h->value.len > 0 && (memchr(h->value.ptr, '\n', h->value.len) != NULL ||
                             memchr(h->value.ptr, '\r', h->value.len) != NULL)) {
        return rb_err_set(err, RB_E_INVALID, "the value of a header to sign holds a line break");
    }
    return RB_OK;
}

static enum rb_code add_headers(const struct rb_sigv4_request *r, struct rb_buf *out,
                                struct rb_buf *signed_list, struct rb_err *err)
{
    const struct rb_header *sorted[HEADERS_MAX];

    if (r->n_headers > HEADERS_MAX) {
        return rb_err_set(err, RB_E_TOO_LARGE, "over %d headers to sign", HEADERS_MAX);
    }
    for (unsigned i = 0; i < r->n_headers; i++) {
        enum rb_code rc = check_header(&r->headers[i], err);
        if (rc != RB_OK) {
            return rc;
        }
        unsigned at = i; /* insertion: stable, so that repeated headers keep their order */
        for (; at > 0 && compare(sorted[at - 1]->name, r->headers[i].name, true) > 0; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = &r->headers[i];
    }
    for (unsigned i = 0; i < r->n_headers; i++) {
        if (i > 0 && compare(sorted[i - 1]->name, sorted[i]->name, true) == 0) {
            rb_buf_addc(out, ',');
            add_trimmed(out, sorted[i]->value);
            continue;
        }
        if (i > 0) {
            rb_buf_addc(out, '\n');
            rb_buf_addc(signed_list, ';');
        }
        for (size_t k = 0; k < sorted[i]->name.len; k++) {
            rb_buf_addc(out, lower(sorted[i]->name.ptr[k]));
            rb_buf_addc(signed_list, lower(sorted[i]->name.ptr[k]));
        }
        rb_buf_addc(out, ':');
        add_trimmed(out, sorted[i]->value);
    }
    rb_buf_addc(out, '\n');
    return RB_OK;
}

enum rb_code rb_sigv4_canonical(const struct rb_sigv4_request *r, struct rb_buf *out,
                                struct rb_buf *ret_signed, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf list = RB_BUF_INIT(SIGNED_MAX_BYTES);
    enum rb_code rc;

    rb_buf_adds(out, r->method);
    rb_buf_addc(out, '\n');
    rc = add_path(out, r->path, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_buf_addc(out, '\n');
    rc = add_query(out, r->query, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_buf_addc(out, '\n');
    rc = add_headers(r, out, &list, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_buf_addc(out, '\n');
    rb_buf_add(out, rb_buf_str(&list), list.len);
    rb_buf_addc(out, '\n');
    rb_buf_adds(out, r->payload_hash);
    rb_buf_add(ret_signed, rb_buf_str(&list), list.len);
    if (rb_buf_failed(out) || rb_buf_failed(&list) || rb_buf_failed(ret_signed)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the request to sign is too large");
    }
    return RB_OK;
}

/* HMAC chain of the day: "AWS4" + secret, date, region, service, terminator. */
static enum rb_code signing_key(const struct rb_sigv4_request *r, const char *secret,
                                size_t secret_len, const char *date,
                                uint8_t ret_key[RB_SHA256_BYTES], struct rb_err *err)
{
    char first[4 + SECRET_MAX_BYTES];
    uint8_t a[RB_SHA256_BYTES], b[RB_SHA256_BYTES];

    if (secret_len == 0 || secret_len > SECRET_MAX_BYTES) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the secret access key has an impossible length");
    }
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret, secret_len);
    rb_hmac_sha256(first, 4 + secret_len, date, 8, a);
    rb_hmac_sha256(a, sizeof(a), r->region, strlen(r->region), b);
    rb_hmac_sha256(b, sizeof(b), r->service, strlen(r->service), a);
    rb_hmac_sha256(a, sizeof(a), TERMINATOR, sizeof(TERMINATOR) - 1, ret_key);
    rb_wipe(first, sizeof(first));
    rb_wipe(a, sizeof(a));
    rb_wipe(b, sizeof(b));
    return RB_OK;
}

static enum rb_code sign(const struct rb_sigv4_request *r, const char *secret, size_t secret_len,
                         struct rb_buf *ret_signed, char ret_hex[65], struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf canonical = RB_BUF_INIT(CANONICAL_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1024);
    char date[RB_TIME_AMZ_BYTES];
    char hash[RB_SHA256_HEX_BYTES];
    uint8_t key[RB_SHA256_BYTES], mac[RB_SHA256_BYTES];

    enum rb_code rc = rb_sigv4_canonical(r, &canonical, ret_signed, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_time_amz(r->date_ms, date);
    rb_sha256_hex(rb_buf_str(&canonical), canonical.len, hash);
    rb_buf_addf(&text, "%s\n%s\n%.8s/%s/%s/%s\n%s", ALGORITHM, date, date, r->region, r->service,
                TERMINATOR, hash);
    if (rb_buf_failed(&text)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the scope of the signature is too large");
    }
    rc = signing_key(r, secret, secret_len, date, key, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_hmac_sha256(key, sizeof(key), rb_buf_str(&text), text.len, mac);
    rb_hex(mac, sizeof(mac), ret_hex);
    rb_wipe(key, sizeof(key));
    return RB_OK;
}

enum rb_code rb_sigv4_signature(const struct rb_sigv4_request *r, const char *secret,
                                size_t secret_len, char ret_hex[65], struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf list = RB_BUF_INIT(SIGNED_MAX_BYTES);

    return sign(r, secret, secret_len, &list, ret_hex, err);
}

enum rb_code rb_sigv4_authorization(const struct rb_sigv4_request *r, const char *access_key,
                                    const char *secret, size_t secret_len, struct rb_buf *out,
                                    struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf list = RB_BUF_INIT(SIGNED_MAX_BYTES);
    char date[RB_TIME_AMZ_BYTES];
    char hex[65];

    enum rb_code rc = sign(r, secret, secret_len, &list, hex, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_time_amz(r->date_ms, date);
    rb_buf_addf(out, "%s Credential=%s/%.8s/%s/%s/%s, SignedHeaders=%s, Signature=%s", ALGORITHM,
                access_key, date, r->region, r->service, TERMINATOR, rb_buf_str(&list), hex);
    if (rb_buf_failed(out)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the Authorization header is too large");
    }
    return RB_OK;
}

enum rb_code rb_sigv4_verify(const struct rb_sigv4_claim *c, const struct rb_sigv4_request *r,
                             const char *secret, size_t secret_len, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf list = RB_BUF_INIT(SIGNED_MAX_BYTES);
    char date[RB_TIME_AMZ_BYTES];
    char hex[65];

    enum rb_code rc = sign(r, secret, secret_len, &list, hex, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_time_amz(r->date_ms, date);
    date[8] = '\0';
    if (!rb_slice_eq(c->date, date) || !rb_slice_eq(c->region, r->region) ||
        !rb_slice_eq(c->service, r->service)) {
        return rb_err_set(err, RB_E_DENIED, "the credential scope does not fit the request");
    }
    if (!rb_slice_eq(c->signed_headers, rb_buf_str(&list))) {
        return rb_err_set(err, RB_E_DENIED, "a signed header is missing or listed out of order");
    }
    if (c->signature.len != 64 || !rb_const_eq(c->signature.ptr, hex, 64)) {
        return rb_err_set(err, RB_E_DENIED, "the signature does not match the request");
    }
    return RB_OK;
}
