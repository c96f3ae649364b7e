/* host.h - what the adapters of git hosts share: proofs, bodies, statuses of commits. */
#ifndef RB_SOURCE_HOST_H
#define RB_SOURCE_HOST_H

#include <retrybuild/console.h>
#include <retrybuild/source.h>

/* ---- proofs ---- */
/* rb_proof_hmac_sha256 - some secret in force gives this MAC of @data: 64 small hex digits, given
 * once, behind @prefix. NULL @value = absent. */
bool rb_proof_hmac_sha256(const struct rb_secrets *s, struct rb_slice data, const char *prefix,
                          const char *value, unsigned n, int64_t now_ms);
/* rb_sign_hmac_sha256 - "<name>: <prefix><hex>" in @a; NULL without memory. */
const char *rb_sign_hmac_sha256(const struct rb_secret *secret, const char *name,
                                const char *prefix, struct rb_slice body, struct rb_arena *a);
/* rb_sign_uuid - "<name>: <random uuid>" in @a; NULL without memory. */
const char *rb_sign_uuid(const char *name, struct rb_arena *a);
/* rb_sign_done - RB_OK when each of the first @n headers is there; the rest are set to NULL. */
enum rb_code rb_sign_done(const char *headers[4], unsigned n, struct rb_err *err);

/* ---- bodies ---- */
const char *rb_host_header(const struct rb_request *req,
                           const char *name); /* NULL = not once, or empty */
/* rb_host_payload - the JSON text: the body, or the decoded field `payload` of a form, which @form
 * then owns. RB_E_INVALID: a form without it. */
enum rb_code rb_host_payload(const struct rb_request *req, struct rb_buf *form,
                             struct rb_slice *ret_json, struct rb_err *err);

/* ---- statuses ---- */
struct rb_host_status {
    const char *state; /* the host's word */
    bool failed;
    const char *context, *link, *sha;
    const char *other;      /* another text that may name the build; NULL = none */
    const char *repository; /* clone URL */
    const char *branch;
    const char *author; /* of the commit: a name of the host, else the commit's; never an address */
    const char *time;
};
/* rb_host_status_event - the failure that a status asserts, to be verified; or why there is none.
 */
enum rb_code rb_host_status_event(const struct rb_source_setting *s,
                                  const struct rb_host_status *st, struct rb_arena *a,
                                  struct rb_events *ret_events, struct rb_err *err);
/* rb_host_nothing - the delivery has nothing for us; @why may be a format of one text. */
enum rb_code rb_host_nothing(struct rb_events *ret_events, struct rb_arena *a, const char *fmt,
                             const char *text);
/* rb_host_needs_secret - a source of this type needs a secret. */
enum rb_code rb_host_needs_secret(const struct rb_source_setting *s, const char **ret_key,
                                  struct rb_err *err);

#endif
