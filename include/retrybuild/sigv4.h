/* sigv4.h - AWS Signature Version 4: one pure canonical form, used to sign and to verify.
 *
 * Pure functions of their arguments: no clock, no environment. Source: facts on AWS, section 3.
 * Threads: any. Blocks: never.
 */
#ifndef RETRYBUILD_SIGV4_H
#define RETRYBUILD_SIGV4_H

#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/str.h>

struct rb_header {
    struct rb_slice name; /* any case */
    struct rb_slice value;
};

struct rb_sigv4_request {
    const char *method;
    const char *path;  /* as sent, starts with '/' */
    const char *query; /* as sent without '?', NULL = none */
    const struct rb_header
        *headers; /* the signed ones, any order; the canonical form sorts, lowers, trims */
    unsigned n_headers;
    const char *payload_hash; /* lower hex SHA-256 */
    const char *region, *service;
    int64_t date_ms; /* X-Amz-Date */
};

/* rb_sigv4_canonical - canonical request appended to @out, and the signed-headers list to
 * @ret_signed. */
enum rb_code rb_sigv4_canonical(const struct rb_sigv4_request *r, struct rb_buf *out,
                                struct rb_buf *ret_signed, struct rb_err *err);
/* rb_sigv4_signature - 64 hex digits + NUL. */
enum rb_code rb_sigv4_signature(const struct rb_sigv4_request *r, const char *secret,
                                size_t secret_len, char ret_hex[65], struct rb_err *err);
/* rb_sigv4_authorization - the value of the Authorization header appended to @out. */
enum rb_code rb_sigv4_authorization(const struct rb_sigv4_request *r, const char *access_key,
                                    const char *secret, size_t secret_len, struct rb_buf *out,
                                    struct rb_err *err);

/* A received Authorization header taken apart; slices borrow from it. */
struct rb_sigv4_claim {
    struct rb_slice access_key, date, region, service, signed_headers, signature;
};
/* rb_sigv4_parse - RB_E_DENIED when it is not a well-formed AWS4-HMAC-SHA256 header. */
enum rb_code rb_sigv4_parse(const char *authorization, struct rb_sigv4_claim *ret_c,
                            struct rb_err *err);
/* rb_sigv4_verify - constant-time comparison of the claim with what @r and the secret give. The
 * caller chose r->headers by the claim's own signed_headers, and checks the date window and the
 * payload hash. RB_E_DENIED on difference. */
enum rb_code rb_sigv4_verify(const struct rb_sigv4_claim *c, const struct rb_sigv4_request *r,
                             const char *secret, size_t secret_len, struct rb_err *err);

/* ---- a server's side: a received request, from its header to its proof ---- */
#define RB_SIGV4_SIGNED_MAX 64
#define RB_SIGV4_SCOPE_BYTES 64

struct rb_sigv4_received {
    const char *method;
    const char *path;                /* as sent */
    const char *query;               /* as sent without '?', NULL = none */
    const struct rb_header *headers; /* all of the request, in its order; values end in a NUL */
    unsigned n_headers;
    const void *body;
    size_t body_len;
};

struct rb_sigv4_proof {
    struct rb_sigv4_claim claim; /* borrows from the Authorization header */
    char region[RB_SIGV4_SCOPE_BYTES], service[RB_SIGV4_SCOPE_BYTES];
    int64_t date_ms;
    char payload_hash[65];
    struct rb_header signed_headers[RB_SIGV4_SIGNED_MAX]; /* borrow from the request */
    unsigned n_signed;
};

/* The three steps of a server. Each gives NULL when all is well, else the type of AWS's error
 * (static) with its sentence in @err; none ever holds what was sent.
 *
 * rb_sigv4_receive - take apart and look for what can be wrong without a secret: one Authorization
 * header, one X-Amz-Date of the scope's day, Host and every X-Amz-* header among the signed ones,
 * X-Amz-Content-Sha256 (where sent) that of the body. */
const char *rb_sigv4_receive(const struct rb_sigv4_received *r, struct rb_sigv4_proof *ret_p,
                             struct rb_err *err);
/* rb_sigv4_prove - the signature, compared in constant time. */
const char *rb_sigv4_prove(const struct rb_sigv4_received *r, const struct rb_sigv4_proof *p,
                           const char *secret, size_t secret_len, struct rb_err *err);
/* rb_sigv4_in_window - not older and not younger than @window_ms. */
const char *rb_sigv4_in_window(int64_t date_ms, int64_t now_ms, int64_t window_ms,
                               struct rb_err *err);

#endif
