/* standard_webhooks.h - the proof of Standard Webhooks, for every sender that uses it. */
#ifndef RB_SOURCE_STANDARD_WEBHOOKS_H
#define RB_SOURCE_STANDARD_WEBHOOKS_H

#include <retrybuild/source.h>

/* rb_standard_webhooks_verify - signed by one of @secrets within five minutes of now: v1 by
 * "whsec_" or a plain text, v1a by "whpk_". */
enum rb_code rb_standard_webhooks_verify(const struct rb_secrets *secrets,
                                         const struct rb_request *req, struct rb_err *err);
/* rb_standard_webhooks_key - can @secret verify? Not one that begins with "whsec_" or "whpk_" and
 * goes on with no base64, that is too long, or that is a private key. */
bool rb_standard_webhooks_key(const struct rb_secret *secret);
/* rb_standard_webhooks_sign_as - the three headers of a message called @id; the fourth is NULL. */
enum rb_code rb_standard_webhooks_sign_as(const char *id, const struct rb_secret *secret,
                                          struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                                          const char *ret_headers[4], struct rb_err *err);

#endif
