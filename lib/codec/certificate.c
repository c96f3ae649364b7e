/* certificate.c - X.509 certificates by OpenSSL: reading, names, time, RSA signatures. */
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <retrybuild/certificate.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/secret.h>

#define NAME_MAX_BYTES 255

struct rb_certificate {
    atomic_uint refs;
    X509 *chain[RB_CERTIFICATE_CHAIN_MAX]; /* [0] is the certificate itself */
    unsigned n;
    EVP_PKEY *key; /* borrowed from chain[0] */
};

static void bio_freep(BIO **b)
{
    BIO_free(*b);
}

static void names_freep(GENERAL_NAMES **n)
{
    GENERAL_NAMES_free(*n);
}

static void md_freep(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

struct rb_certificate *rb_certificate_ref(struct rb_certificate *c)
{
    if (c != NULL) {
        atomic_fetch_add(&c->refs, 1);
    }
    return c;
}

void rb_certificate_free(struct rb_certificate *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1) {
        return;
    }
    for (unsigned i = 0; i < c->n; i++) {
        X509_free(c->chain[i]);
    }
    free(c);
}

void rb_certificate_freep(struct rb_certificate **c)
{
    rb_certificate_free(*c);
    *c = NULL;
}

/* check - the chain holds, and the key is one that signs messages. */
static enum rb_code check(struct rb_certificate *c, struct rb_err *err)
{
    if (c->n == 0) {
        return rb_err_set(err, RB_E_INVALID, "there is no PEM certificate in it");
    }
    for (unsigned i = 0; i + 1 < c->n; i++) {
        EVP_PKEY *issuer = X509_get0_pubkey(c->chain[i + 1]);
        if (X509_check_issued(c->chain[i + 1], c->chain[i]) != X509_V_OK || issuer == NULL ||
            X509_verify(c->chain[i], issuer) != 1) {
            return rb_err_set(err, RB_E_INVALID,
                              "certificate %u of the chain was not signed by the one behind it",
                              i + 1);
        }
    }
    c->key = X509_get0_pubkey(c->chain[0]);
    if (c->key == NULL || EVP_PKEY_get_base_id(c->key) != EVP_PKEY_RSA ||
        EVP_PKEY_get_bits(c->key) < RB_CERTIFICATE_RSA_MIN_BITS) {
        return rb_err_set(err, RB_E_INVALID, "the certificate's key is not RSA of %d bits or more",
                          RB_CERTIFICATE_RSA_MIN_BITS);
    }
    return RB_OK;
}

enum rb_code rb_certificate_parse(const char *pem, size_t len, struct rb_certificate **ret_c,
                                  struct rb_err *err)
{
    if (len > RB_CERTIFICATE_MAX_BYTES) {
        return rb_err_set(err, RB_E_INVALID, "it is larger than %d bytes",
                          RB_CERTIFICATE_MAX_BYTES);
    }
    RB_CLEANUP(rb_certificate_freep) struct rb_certificate *c = calloc(1, sizeof(*c));
    RB_CLEANUP(bio_freep) BIO *in = BIO_new_mem_buf(pem, (int)len);
    if (c == NULL || in == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a certificate");
    }
    atomic_init(&c->refs, 1);
    while (c->n < RB_CERTIFICATE_CHAIN_MAX) {
        X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
        if (x == NULL) {
            break;
        }
        c->chain[c->n++] = x;
    }
    enum rb_code rc = check(c, err);
    ERR_clear_error();
    if (rc == RB_OK) {
        *ret_c = RB_TAKE(c);
    }
    return rc;
}

enum rb_code rb_certificate_load_file(const char *path, struct rb_certificate **ret_c,
                                      struct rb_err *err)
{
    RB_CLEANUP(rb_secret_freep) struct rb_secret *text = NULL;
    enum rb_code rc = rb_secret_load_file(path, &text, err);
    if (rc == RB_OK) {
        rc = rb_certificate_parse(rb_secret_data(text), rb_secret_len(text), ret_c, err);
        rc = rc == RB_OK ? rc : rb_err_wrap(err, rc, "'%s'", path);
    }
    return rc;
}

bool rb_certificate_valid_at(const struct rb_certificate *c, int64_t unix_ms)
{
    time_t now = (time_t)(unix_ms / 1000);
    for (unsigned i = 0; i < c->n; i++) {
        if (X509_cmp_time(X509_get0_notBefore(c->chain[i]), &now) >= 0 ||
            X509_cmp_time(X509_get0_notAfter(c->chain[i]), &now) <= 0) {
            return false;
        }
    }
    return true;
}

bool rb_certificate_has_name(const struct rb_certificate *c,
                             bool (*fits)(const char *name, const void *arg), const void *arg)
{
    RB_CLEANUP(names_freep)
    GENERAL_NAMES *names = X509_get_ext_d2i(c->chain[0], NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_DNS) {
            continue;
        }
        char text[NAME_MAX_BYTES + 1];
        int len = ASN1_STRING_length(n->d.dNSName);
        if (len <= 0 || len > NAME_MAX_BYTES) {
            continue;
        }
        memcpy(text, ASN1_STRING_get0_data(n->d.dNSName), (size_t)len);
        text[len] = '\0';
        if (strlen(text) == (size_t)len && fits(text, arg)) {
            return true;
        }
    }
    return false;
}

bool rb_certificate_verify(const struct rb_certificate *c, const char *digest, const void *data,
                           size_t len, const void *signature, size_t signature_len)
{
    RB_CLEANUP(md_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL &&
                EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, c->key, NULL) == 1 &&
                EVP_DigestVerify(ctx, signature, signature_len, data, len) == 1;
    ERR_clear_error();
    return good;
}
