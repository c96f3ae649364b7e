/* ed25519.c - RFC 8032 signatures, by OpenSSL: chat platforms sign with them. */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include <openssl/evp.h>

static void free_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void free_context(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

bool rb_ed25519_verify(const uint8_t public_key[RB_ED25519_KEY_BYTES],
                       const uint8_t signature[RB_ED25519_SIGNATURE_BYTES], const void *data,
                       size_t len)
{
    RB_CLEANUP(free_key)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, RB_ED25519_KEY_BYTES);
    RB_CLEANUP(free_context) EVP_MD_CTX *c = EVP_MD_CTX_new();
    return key != NULL && c != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(c, signature, RB_ED25519_SIGNATURE_BYTES, data, len) == 1;
}

bool rb_ed25519_sign(const uint8_t seed[RB_ED25519_KEY_BYTES], const void *data, size_t len,
                     uint8_t ret_signature[RB_ED25519_SIGNATURE_BYTES])
{
    RB_CLEANUP(free_key)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, RB_ED25519_KEY_BYTES);
    RB_CLEANUP(free_context) EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t n = RB_ED25519_SIGNATURE_BYTES;
    return key != NULL && c != NULL && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestSign(c, ret_signature, &n, data, len) == 1 && n == RB_ED25519_SIGNATURE_BYTES;
}
