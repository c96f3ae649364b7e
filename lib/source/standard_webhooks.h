/* standard_webhooks.h - the proof of Standard Webhooks, for every sender that uses it. */
#ifndef RB_SOURCE_STANDARD_WEBHOOKS_H
#define RB_SOURCE_STANDARD_WEBHOOKS_H

#include <retrybuild/source.h>

/* rb_standard_webhooks_verify - signed (v1) by one of @secrets within five minutes of now. */
enum rb_code rb_standard_webhooks_verify(const struct rb_secrets *secrets,
                                         const struct rb_request *req, struct rb_err *err);

#endif
