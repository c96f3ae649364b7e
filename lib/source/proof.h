/* proof.h - what proofs of senders have in common. */
#ifndef RB_SOURCE_PROOF_H
#define RB_SOURCE_PROOF_H

#include <retrybuild/source.h>

#define RB_PROOF_HEADER                                                      \
    "x-retrybuild-key" /* where a secret stands, unless configured otherwise \
                        */

/* rb_proof_denied - RB_E_DENIED with the one text for every cause. */
enum rb_code rb_proof_denied(struct rb_err *err);
/* rb_proof_header - the value of a header that came exactly once, else NULL. */
const char *rb_proof_header(const struct rb_request *req, const char *name);
bool rb_proof_is_form(const struct rb_request *req); /* a form by its Content-Type */
/* rb_proof_shared - the secret itself is the proof: as the value of the configured header, as the
 * password of HTTP basic authentication, or as a bearer token. Each may come once only. */
enum rb_code rb_proof_shared(const struct rb_source_setting *s, const struct rb_request *req,
                             struct rb_err *err);
/* rb_proof_timely - a signed timestamp in seconds, at most five minutes from now on either side. */
bool rb_proof_timely(const char *timestamp, int64_t now_ms);
/* rb_proof_sign_shared - a row's `sign` for such a proof. */
enum rb_code rb_proof_sign_shared(const struct rb_secret *secret, const char *header,
                                  struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                                  const char *ret_headers[4], struct rb_err *err);

#endif
