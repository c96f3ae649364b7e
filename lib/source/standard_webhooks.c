/* standard_webhooks.c - Standard Webhooks 1.0.0: HMAC-SHA256 (v1) or Ed25519 (v1a) over
 * "id.timestamp.body".
 *
 * The header may hold several signatures of several keys and versions. A key fits one version
 * alone: whpk_ is a public key, which anybody may know, so it never becomes a key of v1. The names
 * of the headers are those of the specification or those of Svix. A time more than five minutes
 * away, either way, is refused, so a replay is a duplicate within the window and nothing beyond it.
 * Source: facts on integrations, 4.1.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "paths.h"
#include "proof.h"
#include "standard_webhooks.h"
#include "types.h"

#define WINDOW_S 300
#define KEY_MAX_BYTES 4096
#define ID_MAX_BYTES 256
#define DIGEST_TEXT_BYTES 44 /* base64 of 32 bytes */
#define SIGNATURES_MAX 8

static const char *const own_keys[] = {"paths", NULL};
static const char secret_prefix[] = "whsec_", public_prefix[] = "whpk_", private_prefix[] = "whsk_";
#define SIGNATURE_TEXT_BYTES 88 /* base64 of 64 bytes */

struct headers {
    const char *id, *timestamp, *signatures;
};

/* read_headers - one whole set; a header that came twice is not there. */
static bool read_headers(const struct rb_request *req, struct headers *ret)
{
    static const char *const sets[][3] = {
        {"webhook-id", "webhook-timestamp", "webhook-signature"},
        {"svix-id", "svix-timestamp", "svix-signature"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(sets); i++) {
        struct headers h = {rb_proof_header(req, sets[i][0]), rb_proof_header(req, sets[i][1]),
                            rb_proof_header(req, sets[i][2])};
        if (!rb_str_empty(h.id) && !rb_str_empty(h.timestamp) && h.signatures != NULL) {
            *ret = h;
            return strlen(h.id) <= ID_MAX_BYTES && rb_utf8_valid(h.id, strlen(h.id));
        }
    }
    return false;
}

static bool in_window(const char *timestamp, int64_t now_ms)
{
    int64_t at = 0;
    int64_t now = now_ms / 1000;
    return rb_parse_i64(rb_slice_str(timestamp), &at) && at >= now - WINDOW_S &&
           at <= now + WINDOW_S;
}

/* digest_of - the base64 text of a v1 signature. "whsec_" and base64 is a key's text form; anything
 * else is the key itself. */
static bool digest_of(const struct rb_secret *secret, struct rb_slice text,
                      char ret_digest[DIGEST_TEXT_BYTES + 1])
{
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(KEY_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(DIGEST_TEXT_BYTES);
    const char *data = rb_secret_data(secret);
    size_t len = rb_secret_len(secret);
    size_t skip = sizeof(secret_prefix) - 1;
    uint8_t mac[RB_SHA256_BYTES];
    if (rb_str_starts(data, public_prefix) || rb_str_starts(data, private_prefix) ||
        rb_buf_reserve(&key, len) == NULL) { /* once, so that one wipe is all */
        return false;
    }
    bool good = true;
    if (rb_str_starts(data, secret_prefix)) {
        good = rb_unbase64(data + skip, len - skip, &key);
    } else {
        rb_buf_add(&key, data, len);
    }
    good = good && !rb_buf_failed(&key) && key.len > 0;
    if (good) {
        rb_hmac_sha256(key.data, key.len, text.ptr, text.len, mac);
        rb_base64(mac, sizeof(mac), &out);
        memcpy(ret_digest, rb_buf_str(&out), DIGEST_TEXT_BYTES + 1);
    }
    rb_wipe(key.data, key.cap);
    return good;
}

/* among - whether one of the signatures, with blanks between them, is v1 and @digest. */
static unsigned among(const char *signatures, const char *digest)
{
    unsigned found = 0;
    for (const char *p = signatures; *p != '\0';) {
        size_t len = strcspn(p, " ");
        if (len == 3 + DIGEST_TEXT_BYTES && strncmp(p, "v1,", 3) == 0) {
            found |= rb_const_eq(p + 3, digest, DIGEST_TEXT_BYTES) ? 1U : 0U;
        }
        p += len + strspn(p + len, " ");
    }
    return found;
}

/* public_key_of - of "whpk_" and base64; false: another kind of key, or not 32 bytes. */
static bool public_key_of(const struct rb_secret *secret, uint8_t ret_key[RB_ED25519_KEY_BYTES])
{
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(RB_ED25519_KEY_BYTES);
    size_t skip = sizeof(public_prefix) - 1;
    if (!rb_str_starts(rb_secret_data(secret), public_prefix) ||
        !rb_unbase64(rb_secret_data(secret) + skip, rb_secret_len(secret) - skip, &key) ||
        rb_buf_failed(&key) || key.len != RB_ED25519_KEY_BYTES) {
        return false;
    }
    memcpy(ret_key, key.data, RB_ED25519_KEY_BYTES);
    return true;
}

/* fits_one - whether one of the signatures is v1a and @key's. As many are looked at as an honest
 * sender has keys: each costs far more than a comparison. */
static unsigned fits_one(const char *signatures, const uint8_t key[RB_ED25519_KEY_BYTES],
                         struct rb_slice text)
{
    unsigned tried = 0;
    unsigned found = 0;
    for (const char *p = signatures; *p != '\0' && tried < SIGNATURES_MAX;) {
        RB_CLEANUP(rb_buf_release) struct rb_buf raw = RB_BUF_INIT(RB_ED25519_SIGNATURE_BYTES);
        size_t len = strcspn(p, " ");
        if (len == 4 + SIGNATURE_TEXT_BYTES && strncmp(p, "v1a,", 4) == 0 &&
            rb_unbase64(p + 4, SIGNATURE_TEXT_BYTES, &raw) && !rb_buf_failed(&raw) &&
            raw.len == RB_ED25519_SIGNATURE_BYTES) {
            tried++;
            found |=
                rb_ed25519_verify(key, (const uint8_t *)raw.data, text.ptr, text.len) ? 1U : 0U;
        }
        p += len + strspn(p + len, " ");
    }
    return found;
}

static bool signed_text(const struct headers *h, struct rb_slice body, struct rb_buf *out)
{
    rb_buf_addf(out, "%s.%s.", h->id, h->timestamp);
    rb_buf_add(out, body.ptr, body.len);
    return !rb_buf_failed(out);
}

enum rb_code rb_standard_webhooks_verify(const struct rb_secrets *secrets,
                                         const struct rb_request *req, struct rb_err *err)
{
    struct headers h;
    if (!read_headers(req, &h) || !in_window(h.timestamp, req->now_ms)) {
        return rb_proof_denied(err);
    }
    RB_CLEANUP(rb_buf_release)
    struct rb_buf text = RB_BUF_INIT(strlen(h.id) + strlen(h.timestamp) + 2 + req->body.len);
    bool whole = signed_text(&h, req->body, &text);
    unsigned good = 0;
    for (unsigned i = 0; whole && i < secrets->n; i++) {
        const struct rb_secret_entry *e = &secrets->items[i];
        char digest[DIGEST_TEXT_BYTES + 1];
        uint8_t key[RB_ED25519_KEY_BYTES];
        const struct rb_slice whole_text = {text.data, text.len};
        unsigned alive = e->not_after_ms == 0 || req->now_ms <= e->not_after_ms ? 1U : 0U;
        unsigned fits = 0;
        if (public_key_of(e->secret, key)) {
            fits = fits_one(h.signatures, key, whole_text);
        } else if (digest_of(e->secret, whole_text, digest)) {
            fits = among(h.signatures, digest);
        }
        good |= fits & alive;
    }
    return good != 0 ? RB_OK : rb_proof_denied(err);
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    return rb_standard_webhooks_verify(&s->secrets, req, err);
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    struct headers h = {.id = NULL};
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    if (ev == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an event");
    }
    enum rb_code rc = rb_paths_parse(s, req->body, a, ev, err);
    if (rc == RB_OK) {
        *ret_events = (struct rb_events){.items = ev, .n = 1};
        ret_events->delivery_id = read_headers(req, &h) ? h.id : NULL;
    }
    return rc;
}

bool rb_standard_webhooks_key(const struct rb_secret *secret)
{
    char digest[DIGEST_TEXT_BYTES + 1];
    uint8_t key[RB_ED25519_KEY_BYTES];
    return public_key_of(secret, key) || digest_of(secret, RB_SLICE_LIT(""), digest);
}

/* check - keys that can sign nothing are told before a delivery meets them. */
static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    for (unsigned i = 0; i < s->secrets.n; i++) {
        if (!rb_standard_webhooks_key(s->secrets.items[i].secret)) {
            *ret_key = "secrets";
            return rb_err_set(err, RB_E_INVALID,
                              "secret %u is no whsec_ with base64, nor whpk_ with base64 of 32 "
                              "bytes, or is too long; whsk_ is the sender's own",
                              i + 1);
        }
    }
    return rb_paths_check(s, ret_key, err);
}

/* sign_text - "v1,…" or, with a private key, "v1a,…". Of what "whsk_" holds the first 32 bytes are
 * the seed, whether the public key follows or not. */
static bool sign_text(const struct rb_secret *secret, struct rb_slice text, struct rb_buf *out)
{
    char digest[DIGEST_TEXT_BYTES + 1];
    uint8_t signature[RB_ED25519_SIGNATURE_BYTES];
    size_t skip = sizeof(private_prefix) - 1;
    if (!rb_str_starts(rb_secret_data(secret), private_prefix)) {
        bool good = digest_of(secret, text, digest);
        rb_buf_addf(out, "v1,%s", good ? digest : "");
        return good && !rb_buf_failed(out);
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(2 * RB_ED25519_KEY_BYTES + 1);
    if (rb_buf_reserve(&key, 2 * RB_ED25519_KEY_BYTES) ==
        NULL) { /* once, so that one wipe is all */
        return false;
    }
    bool good = rb_unbase64(rb_secret_data(secret) + skip, rb_secret_len(secret) - skip, &key) &&
                !rb_buf_failed(&key) &&
                (key.len == RB_ED25519_KEY_BYTES || key.len == 2 * RB_ED25519_KEY_BYTES) &&
                rb_ed25519_sign((const uint8_t *)key.data, text.ptr, text.len, signature);
    rb_wipe(key.data, key.cap);
    rb_buf_adds(out, "v1a,");
    rb_base64(signature, good ? sizeof signature : 0, out);
    return good && !rb_buf_failed(out);
}

enum rb_code rb_standard_webhooks_sign_as(const char *id, const struct rb_secret *secret,
                                          struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                                          const char *ret_headers[4], struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf signature = RB_BUF_INIT(SIGNATURE_TEXT_BYTES + 4);
    struct headers h = {.id = id,
                        .timestamp = rb_arena_printf(a, "%lld", (long long)(now_ms / 1000))};
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(body.len + 128);
    if (h.id == NULL || h.timestamp == NULL || !signed_text(&h, body, &text)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory to sign with");
    }
    if (!sign_text(secret, (struct rb_slice){text.data, text.len}, &signature)) {
        return rb_err_set(err, RB_E_INVALID,
                          "the secret is no whsec_ or whsk_ with base64, or is too long; whpk_ can "
                          "sign nothing");
    }
    ret_headers[0] = rb_arena_printf(a, "webhook-id: %s", h.id);
    ret_headers[1] = rb_arena_printf(a, "webhook-timestamp: %s", h.timestamp);
    ret_headers[2] = rb_arena_printf(a, "webhook-signature: %s", rb_buf_str(&signature));
    ret_headers[3] = NULL;
    return ret_headers[0] == NULL || ret_headers[1] == NULL || ret_headers[2] == NULL
               ? rb_err_set(err, RB_E_NOMEM, "no memory for headers")
               : RB_OK;
}

static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    char hex[RB_SHA256_HEX_BYTES];
    (void)header;
    rb_sha256_hex(body.ptr, body.len, hex);
    return rb_standard_webhooks_sign_as(rb_arena_printf(a, "msg_%.27s", hex), secret, body, now_ms,
                                        a, ret_headers, err);
}

const struct rb_source_type rb_source_standard_webhooks = {
    .type = "standard-webhooks",
    .keys = own_keys,
    .check = check,
    .verify = verify,
    .parse = parse,
    .sign = sign,
};
