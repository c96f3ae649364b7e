/* sns_envelope.h - what stands around a message of SNS. Pure; strings live in the arena given. */
#ifndef RB_SOURCE_SNS_ENVELOPE_H
#define RB_SOURCE_SNS_ENVELOPE_H

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/mem.h>

struct rb_sns_envelope {
    const char *type, *message_id, *topic, *message, *timestamp, *version, *signature;
    const char *subject, *certificate_url; /* NULL = none */
    const char *token, *subscribe_url;     /* of confirmations alone */
};

struct rb_sns_topic {
    const char *region;
    const char *host; /* of SNS there: sns.<region>.<suffix of the partition> */
};

/* rb_sns_envelope_read - every member that its type must have is there; RB_E_INVALID otherwise. */
enum rb_code rb_sns_envelope_read(struct rb_slice body, struct rb_arena *a,
                                  struct rb_sns_envelope *ret_e, struct rb_err *err);
/* rb_sns_signed_text - the string to sign, with its last line end. */
void rb_sns_signed_text(const struct rb_sns_envelope *e, struct rb_buf *out);
/* rb_sns_topic_parse - false for what is no topic's ARN, or one of a region that its partition does
 * not have. */
bool rb_sns_topic_parse(const char *arn, struct rb_arena *a, struct rb_sns_topic *ret_t);
/* rb_sns_certificate_url - @url in its one spelling, when it is where SNS keeps certificates in the
 * topic's region; else NULL. */
const char *rb_sns_certificate_url(const char *url, const struct rb_sns_topic *t,
                                   struct rb_arena *a);

#endif
