/* host.c - proofs and bodies as git hosts send them. */
#include "host.h"
#include "proof.h"

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/random.h>

#define HEX_LEN (RB_SHA256_HEX_BYTES - 1)

bool rb_proof_hmac_sha256(const struct rb_secrets *s, struct rb_slice data, const char *prefix,
                          const char *value, unsigned n, int64_t now_ms)
{
    if (n != 1 || !rb_str_starts(value, prefix) || strlen(value + strlen(prefix)) != HEX_LEN) {
        return false;
    }
    unsigned matches = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct rb_secret_entry *e = &s->items[i];
        uint8_t mac[RB_SHA256_BYTES];
        char hex[RB_SHA256_HEX_BYTES];
        rb_hmac_sha256(rb_secret_data(e->secret), rb_secret_len(e->secret), data.ptr, data.len,
                       mac);
        rb_hex(mac, sizeof(mac), hex);
        unsigned equal = rb_const_eq(hex, value + strlen(prefix), HEX_LEN) ? 1U : 0U;
        unsigned alive = e->not_after_ms == 0 || now_ms <= e->not_after_ms ? 1U : 0U;
        matches |= equal & alive;
    }
    return matches != 0;
}

const char *rb_sign_hmac_sha256(const struct rb_secret *secret, const char *name,
                                const char *prefix, struct rb_slice body, struct rb_arena *a)
{
    uint8_t mac[RB_SHA256_BYTES];
    char hex[RB_SHA256_HEX_BYTES];
    rb_hmac_sha256(rb_secret_data(secret), rb_secret_len(secret), body.ptr, body.len, mac);
    rb_hex(mac, sizeof(mac), hex);
    return rb_arena_printf(a, "%s: %s%s", name, prefix, hex);
}

const char *rb_sign_uuid(const char *name, struct rb_arena *a)
{
    uint8_t b[16];
    char hex[33];
    rb_random_bytes(rb_random_system(), b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    rb_hex(b, sizeof(b), hex);
    return rb_arena_printf(a, "%s: %.8s-%.4s-%.4s-%.4s-%.12s", name, hex, hex + 8, hex + 12,
                           hex + 16, hex + 20);
}

enum rb_code rb_sign_done(const char *headers[4], unsigned n, struct rb_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        if (headers[i] == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a header");
        }
    }
    for (unsigned i = n; i < 4; i++) {
        headers[i] = NULL;
    }
    return RB_OK;
}

const char *rb_host_header(const struct rb_request *req, const char *name)
{
    const char *value = rb_proof_header(req, name);
    return rb_str_empty(value) ? NULL : value;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* decode - one field of a form; a payload is larger than what an arena should hold. */
static bool decode(struct rb_slice s, struct rb_buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i] == '+' ? ' ' : s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;
            if (low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        rb_buf_addc(out, c);
    }
    return !rb_buf_failed(out);
}

enum rb_code rb_host_payload(const struct rb_request *req, struct rb_buf *form,
                             struct rb_slice *ret_json, struct rb_err *err)
{
    static const char name[] = "payload=";
    if (!rb_proof_is_form(req)) {
        *ret_json = req->body;
        return RB_OK;
    }
    rb_buf_init(form, req->body.len + 1);
    for (size_t at = 0; at < req->body.len;) {
        const char *p = req->body.ptr + at;
        const char *end = memchr(p, '&', req->body.len - at);
        size_t len = end == NULL ? req->body.len - at : (size_t)(end - p);
        if (len >= sizeof(name) - 1 && memcmp(p, name, sizeof(name) - 1) == 0) {
            struct rb_slice value = {p + sizeof(name) - 1, len - (sizeof(name) - 1)};
            if (!decode(value, form)) {
                return rb_err_set(err, RB_E_INVALID, "the form's field 'payload' is badly escaped");
            }
            *ret_json = (struct rb_slice){rb_buf_str(form), form->len};
            return RB_OK;
        }
        at += len + 1;
    }
    return rb_err_set(err, RB_E_INVALID, "the form has no field 'payload'");
}

enum rb_code rb_host_needs_secret(const struct rb_source_setting *s, const char **ret_key,
                                  struct rb_err *err)
{
    if (s->secrets.n > 0) {
        return RB_OK;
    }
    *ret_key = "secrets";
    return rb_err_set(err, RB_E_INVALID,
                      "is missing: the host's hook must have a secret, and this list the same one");
}
