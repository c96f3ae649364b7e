/* Signatures of Standard Webhooks 1.0.0, version v1: HMAC-SHA256 over "id.timestamp.body". Source:
 * facts on integrations, 4.1. */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "internal.h"

#define KEY_MAX_BYTES 4096
#define TEXT_MAX_BYTES ((size_t)1024 * 1024)

static const char SECRET_PREFIX[] = "whsec_";

/* "whsec_" and base64 is the key's text form; anything else is the key itself. */
static enum rb_code read_key(const struct rb_secret *secret, struct rb_buf *key, struct rb_err *err)
{
    const char *text = rb_secret_data(secret);
    size_t len = rb_secret_len(secret), skip = sizeof(SECRET_PREFIX) - 1;

    if (!rb_str_starts(text, SECRET_PREFIX)) {
        rb_buf_add(key, text, len);
    } else if (!rb_unbase64(text + skip, len - skip, key)) {
        return rb_err_set(err, RB_E_INVALID, "a secret starts with whsec_ but is not base64");
    }
    if (rb_buf_failed(key) || key->len == 0) {
        return rb_err_set(err, RB_E_INVALID, "a secret is empty or too long");
    }
    return RB_OK;
}

enum rb_code rb_standard_webhooks_sign(const struct rb_secret *secret, const char *id,
                                       int64_t timestamp_s, const struct rb_buf *body,
                                       struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(KEY_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);
    uint8_t mac[RB_SHA256_BYTES];

    rb_buf_addf(&text, "%s.%lld.", id, (long long)timestamp_s);
    rb_buf_add(&text, rb_buf_str(body), body->len);
    if (rb_buf_failed(&text)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the report is too large to sign");
    }
    if (rb_buf_reserve(&key, rb_secret_len(secret)) == NULL) { /* once, so that one wipe is all */
        return rb_err_set(err, RB_E_INVALID, "a secret is too long");
    }
    enum rb_code rc = read_key(secret, &key, err);
    if (rc == RB_OK) {
        rb_hmac_sha256(rb_buf_str(&key), key.len, rb_buf_str(&text), text.len, mac);
        rb_buf_adds(out, out->len == 0 ? "v1," : " v1,");
        rb_base64(mac, sizeof(mac), out);
    }
    rb_wipe(key.data, key.cap);
    return rc;
}
