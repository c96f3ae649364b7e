/* certificate.h - X.509 certificates that sign messages with RSA; OpenSSL underneath.
 *
 * A struct rb_certificate is the first of a PEM text; further ones are its chain, each of which
 * must have signed the one before it. It is not followed to a root: whoever takes one from
 * somewhere has to know that place for sure. Threads: read-only after creation. Blocks:
 * rb_certificate_load_file reads a file.
 */
#ifndef RETRYBUILD_CERTIFICATE_H
#define RETRYBUILD_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/err.h>

#define RB_CERTIFICATE_MAX_BYTES 65536
#define RB_CERTIFICATE_CHAIN_MAX 8
#define RB_CERTIFICATE_RSA_MIN_BITS 2048

struct rb_certificate; /* opaque, reference counted */

/* rb_certificate_parse - RB_E_INVALID with a sentence: no PEM certificate, a chain that does not
 * hold, another key than RSA, a short one. */
enum rb_code rb_certificate_parse(const char *pem, size_t len, struct rb_certificate **ret_c,
                                  struct rb_err *err);
/* rb_certificate_load_file - errors name the path. */
enum rb_code rb_certificate_load_file(const char *path, struct rb_certificate **ret_c,
                                      struct rb_err *err);
struct rb_certificate *rb_certificate_ref(struct rb_certificate *c); /* NULL accepted */
void rb_certificate_free(struct rb_certificate *c); /* drops one reference; NULL accepted */
void rb_certificate_freep(struct rb_certificate **c);
/* rb_certificate_valid_at - it and its chain are in their time. */
bool rb_certificate_valid_at(const struct rb_certificate *c, int64_t unix_ms);
/* rb_certificate_has_name - some DNS name of it is one that @fits. */
bool rb_certificate_has_name(const struct rb_certificate *c,
                             bool (*fits)(const char *name, const void *arg), const void *arg);
/* rb_certificate_verify - PKCS#1 v1.5 over @data, by "SHA1" or "SHA256". */
bool rb_certificate_verify(const struct rb_certificate *c, const char *digest, const void *data,
                           size_t len, const void *signature, size_t signature_len);

#endif
