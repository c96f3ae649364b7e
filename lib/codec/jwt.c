/* jwt.c - header and claims in base64url, signed by RSA with SHA-256 (PKCS #1 v1.5). */
#include <retrybuild/jwt.h>

#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/secret.h>

#define PEM_MAX_BYTES 32768
#define TEXT_MAX_BYTES 4096
#define SIGNATURE_MAX_BYTES 1024
#define DRIFT_S 30
#define LIFE_S 600
#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"

static void free_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void free_context(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

static void free_bio(BIO **b)
{
    BIO_free(*b);
}

static void wipe(struct rb_buf *b)
{
    if (b->data != NULL) {
        rb_wipe(b->data, b->cap);
    }
    rb_buf_release(b);
}

static void add_base64url(struct rb_buf *out, const void *data, size_t len)
{
    size_t at = out->len;
    rb_base64(data, len, out);
    if (rb_buf_failed(out)) {
        return;
    }
    size_t end = out->len;
    while (end > at && out->data[end - 1] == '=') {
        end--;
    }
    for (size_t i = at; i < end; i++) {
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
    }
    rb_buf_truncate(out, end);
}

/* no_password - an encrypted key is refused, not asked about on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_key(const char *pem, size_t len)
{
    RB_CLEANUP(wipe) struct rb_buf text = RB_BUF_INIT(PEM_MAX_BYTES);
    for (size_t i = 0; i < len; i++) {
        bool written = pem[i] == '\\' && i + 1 < len && pem[i + 1] == 'n';
        rb_buf_addc(&text, written ? '\n' : pem[i]);
        i += written ? 1 : 0;
    }
    if (rb_buf_failed(&text)) {
        return NULL;
    }
    RB_CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(rb_buf_str(&text), (int)text.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (key != NULL && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static bool sign(EVP_PKEY *key, struct rb_buf *out)
{
    RB_CLEANUP(free_context) EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned char signature[SIGNATURE_MAX_BYTES];
    size_t len = sizeof(signature);
    if (c == NULL || (size_t)EVP_PKEY_get_size(key) > sizeof(signature) ||
        EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(c, signature, &len, (const unsigned char *)out->data, out->len) != 1) {
        return false;
    }
    rb_buf_addc(out, '.');
    add_base64url(out, signature, len);
    return !rb_buf_failed(out);
}

enum rb_code rb_jwt_sign(const char *pem, size_t pem_len, const char *claims, struct rb_buf *out,
                         struct rb_err *err)
{
    RB_CLEANUP(free_key) EVP_PKEY *key = read_key(pem, pem_len);
    RB_CLEANUP(rb_buf_release) struct rb_buf token = RB_BUF_INIT(TEXT_MAX_BYTES);
    if (key == NULL) {
        return rb_err_set(err, RB_E_INVALID, "the private key is no RSA key in PEM");
    }
    add_base64url(&token, HEADER, strlen(HEADER));
    rb_buf_addc(&token, '.');
    add_base64url(&token, claims, strlen(claims));
    if (rb_buf_failed(&token) || !sign(key, &token)) {
        return rb_err_set(err, RB_E_INTERNAL, "the token could not be signed");
    }
    rb_buf_adds(out, rb_buf_str(&token));
    return rb_buf_failed(out) ? rb_err_set(err, RB_E_TOO_LARGE, "no room for the token") : RB_OK;
}

enum rb_code rb_jwt_app(const char *pem, size_t pem_len, const char *issuer, int64_t now_s,
                        struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf claims = RB_BUF_INIT(TEXT_MAX_BYTES);
    rb_buf_addf(&claims, "{\"iat\":%lld,\"exp\":%lld,\"iss\":", (long long)(now_s - DRIFT_S),
                (long long)(now_s - DRIFT_S + LIFE_S));
    rb_buf_add_json_string(&claims, issuer, strlen(issuer));
    rb_buf_addc(&claims, '}');
    if (rb_buf_failed(&claims)) {
        return rb_err_set(err, RB_E_INTERNAL, "the app's token could not be signed");
    }
    enum rb_code rc = rb_jwt_sign(pem, pem_len, rb_buf_str(&claims), out, err);
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, rc, "the app's token");
}
