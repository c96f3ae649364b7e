/* jwt.h - signed tokens (RFC 7519), RS256 alone. Threads: any. Blocks: never. */
#ifndef RETRYBUILD_JWT_H
#define RETRYBUILD_JWT_H

#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>

/* rb_jwt_app - the token by which an app proves itself to a git host: issued 30 s before @now_s
 * (for clocks that differ), valid for ten minutes. @pem: RSA key, PKCS#1 or PKCS#8, in which a line
 * end may be written "\n". RB_E_INVALID: @pem is no such key (says nothing of it). Source: facts on
 * integrations, 2.1. */
enum rb_code rb_jwt_app(const char *pem, size_t pem_len, const char *issuer, int64_t now_s,
                        struct rb_buf *out, struct rb_err *err);

#endif
