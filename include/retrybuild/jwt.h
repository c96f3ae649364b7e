/* jwt.h - signed tokens (RFC 7519), RS256 alone. Threads: any. Blocks: never. */
#ifndef RETRYBUILD_JWT_H
#define RETRYBUILD_JWT_H

#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/certificate.h>
#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>

/* rb_jwt_app - the token by which an app proves itself to a git host: issued 30 s before @now_s
 * (for clocks that differ), valid for ten minutes. @pem: RSA key, PKCS#1 or PKCS#8, in which a line
 * end may be written "\n". RB_E_INVALID: @pem is no such key (says nothing of it). Source: facts on
 * integrations, 2.1. */
enum rb_code rb_jwt_app(const char *pem, size_t pem_len, const char *issuer, int64_t now_s,
                        struct rb_buf *out, struct rb_err *err);
/* rb_jwt_sign - the same with @claims, a JSON object. */
enum rb_code rb_jwt_sign(const char *pem, size_t pem_len, const char *claims, struct rb_buf *out,
                         struct rb_err *err);

/* What a token says; believed by nobody until rb_jwt_signed_by. Strings live in the arena. */
struct rb_jwt {
    const char *key_id, *issuer, *audience, *email; /* NULL = not said */
    bool email_verified;
    int64_t issued_s, expires_s; /* 0 = not said */
    struct rb_slice signed_text, signature;
};
/* rb_jwt_read - RB_E_INVALID: no token of three parts, another algorithm than RS256, extensions
 * that have to be understood, or longer than 8 KiB. */
enum rb_code rb_jwt_read(const char *token, struct rb_arena *a, struct rb_jwt *ret_t,
                         struct rb_err *err);
bool rb_jwt_signed_by(const struct rb_jwt *t, const struct rb_certificate *c);

#endif
