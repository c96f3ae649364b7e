/* digest.h - hashes, MACs and text forms of bytes; OpenSSL underneath, contexts reused per thread.
 * Threads: any. Blocks: never. None of these can fail but for memory, which aborts (OpenSSL is
 * unusable then).
 */
#ifndef RETRYBUILD_DIGEST_H
#define RETRYBUILD_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/str.h>

#define RB_SHA256_BYTES 32
#define RB_SHA256_HEX_BYTES 65 /* 64 digits + NUL */

void rb_sha256(const void *data, size_t len, uint8_t ret_digest[RB_SHA256_BYTES]);
void rb_sha256_hex(const void *data, size_t len, char ret_hex[RB_SHA256_HEX_BYTES]);
/* rb_sha256_parts - digest over length-prefixed parts (8-byte big-endian length before each; a
 * NULL part is absent, unlike "": its length is written as 2^64-1). The unambiguous way to hash
 * several fields into one key. */
void rb_sha256_parts(const struct rb_slice *parts, size_t n, uint8_t ret_digest[RB_SHA256_BYTES]);
void rb_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t ret_mac[RB_SHA256_BYTES]);
/* rb_hmac - by "SHA1", "SHA256" or "SHA512"; returns the length of the MAC. For what is not the hot
 * path. */
#define RB_HMAC_MAX_BYTES 64
size_t rb_hmac(const char *digest, const void *key, size_t key_len, const void *data, size_t len,
               uint8_t ret_mac[RB_HMAC_MAX_BYTES]);
/* rb_const_eq - equal, in time that depends on @len alone. */
bool rb_const_eq(const void *a, const void *b, size_t len);

/* Ed25519 (RFC 8032). False: the signature does not fit, or the key is none. */
#define RB_ED25519_KEY_BYTES 32 /* public key, or the seed of a private one */
#define RB_ED25519_SIGNATURE_BYTES 64
bool rb_ed25519_verify(const uint8_t public_key[RB_ED25519_KEY_BYTES],
                       const uint8_t signature[RB_ED25519_SIGNATURE_BYTES], const void *data,
                       size_t len);
bool rb_ed25519_sign(const uint8_t seed[RB_ED25519_KEY_BYTES], const void *data, size_t len,
                     uint8_t ret_signature[RB_ED25519_SIGNATURE_BYTES]);

void rb_hex(const void *data, size_t len, char *ret_hex /* 2*len + 1 */);
/* rb_unhex - exactly 2*len hex digits of either case. */
bool rb_unhex(const char *hex, size_t hex_len, void *ret_data, size_t len);
void rb_base64(const void *data, size_t len, struct rb_buf *out);
/* rb_unbase64 - standard alphabet, padding required; appends to @out; false on any stray byte. */
bool rb_unbase64(const char *s, size_t len, struct rb_buf *out);

#endif
