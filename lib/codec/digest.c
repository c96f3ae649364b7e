/* digest.c - SHA-256 and its HMAC by OpenSSL.
 *
 * Fetching an algorithm and making a context cost more than hashing a delivery. So algorithms are
 * fetched once, and each thread keeps one context of both kinds; a thread-specific key frees them
 * when the thread ends.
 */
#include <pthread.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <retrybuild/digest.h>

#define PART_PREFIX 8
#define PARTS_GATHERED 512

struct contexts {
    EVP_MD_CTX *sha256;
    EVP_MAC_CTX *hmac;
};

static struct {
    pthread_once_t once;
    pthread_key_t key;
    EVP_MD *sha256;
    EVP_MAC *hmac;
} shared = {.once = PTHREAD_ONCE_INIT}; /* written once, then only read */

static void need(bool done)
{
    if (!done) {
        abort(); /* without memory or without SHA-256 nothing here can be trusted */
    }
}

static void free_contexts(void *arg)
{
    struct contexts *c = arg;
    EVP_MD_CTX_free(c->sha256);
    EVP_MAC_CTX_free(c->hmac);
    free(c);
}

static void fetch(void)
{
    shared.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    shared.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    need(shared.sha256 != NULL && shared.hmac != NULL);
    need(pthread_key_create(&shared.key, free_contexts) == 0);
}

static struct contexts *make_contexts(void)
{
    need(pthread_once(&shared.once, fetch) == 0);
    struct contexts *c = calloc(1, sizeof(*c));
    need(c != NULL);
    c->sha256 = EVP_MD_CTX_new();
    c->hmac = EVP_MAC_CTX_new(shared.hmac);
    need(c->sha256 != NULL && c->hmac != NULL);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    need(EVP_MAC_CTX_set_params(c->hmac, params) == 1);
    need(pthread_setspecific(shared.key, c) == 0);
    return c;
}

static struct contexts *contexts(void)
{
    static _Thread_local struct contexts *mine;
    if (mine == NULL) {
        mine = make_contexts();
    }
    return mine;
}

void rb_sha256(const void *data, size_t len, uint8_t ret_digest[RB_SHA256_BYTES])
{
    EVP_MD_CTX *c = contexts()->sha256;
    need(EVP_DigestInit_ex2(c, shared.sha256, NULL) == 1 && EVP_DigestUpdate(c, data, len) == 1 &&
         EVP_DigestFinal_ex(c, ret_digest, NULL) == 1);
}

void rb_sha256_hex(const void *data, size_t len, char ret_hex[RB_SHA256_HEX_BYTES])
{
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256(data, len, digest);
    rb_hex(digest, sizeof(digest), ret_hex);
}

static void put_length(uint8_t *to, struct rb_slice part)
{
    uint64_t len = part.ptr == NULL ? UINT64_MAX : part.len;
    for (size_t byte = 0; byte < PART_PREFIX; byte++) {
        to[byte] = (uint8_t)(len >> (56 - 8 * byte));
    }
}

void rb_sha256_parts(const struct rb_slice *parts, size_t n, uint8_t ret_digest[RB_SHA256_BYTES])
{
    EVP_MD_CTX *c = contexts()->sha256;
    uint8_t
        gathered[PARTS_GATHERED]; /* a call of the library costs as much as the bytes it takes */
    size_t used = 0;
    need(EVP_DigestInit_ex2(c, shared.sha256, NULL) == 1);
    for (size_t i = 0; i < n; i++) {
        size_t len = parts[i].ptr == NULL ? 0 : parts[i].len;
        if (used > 0 && used + PART_PREFIX + len > sizeof(gathered)) {
            need(EVP_DigestUpdate(c, gathered, used) == 1);
            used = 0;
        }
        put_length(gathered + used, parts[i]);
        used += PART_PREFIX;
        if (len <= sizeof(gathered) - used) {
            memcpy(gathered + used, len == 0 ? "" : parts[i].ptr, len);
            used += len;
        } else {
            need(EVP_DigestUpdate(c, gathered, used) == 1 &&
                 EVP_DigestUpdate(c, parts[i].ptr, len) == 1);
            used = 0;
        }
    }
    need((used == 0 || EVP_DigestUpdate(c, gathered, used) == 1) &&
         EVP_DigestFinal_ex(c, ret_digest, NULL) == 1);
}

void rb_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t ret_mac[RB_SHA256_BYTES])
{
    static const unsigned char no_key[1] = {0};
    EVP_MAC_CTX *c = contexts()->hmac;
    size_t mac_len = 0;
    /* a NULL key would mean "the one of last time" */
    const unsigned char *k = key == NULL || key_len == 0 ? no_key : key;
    need(EVP_MAC_init(c, k, key == NULL ? 0 : key_len, NULL) == 1 &&
         EVP_MAC_update(c, data, len) == 1 &&
         EVP_MAC_final(c, ret_mac, &mac_len, RB_SHA256_BYTES) == 1 && mac_len == RB_SHA256_BYTES);
}

size_t rb_hmac(const char *digest, const void *key, size_t key_len, const void *data, size_t len,
               uint8_t ret_mac[RB_HMAC_MAX_BYTES])
{
    size_t mac_len = 0;
    need(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, key, key_len, data, len, ret_mac,
                   RB_HMAC_MAX_BYTES, &mac_len) != NULL);
    return mac_len;
}

bool rb_const_eq(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
