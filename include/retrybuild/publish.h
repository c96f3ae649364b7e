/* publish.h - messages to SNS topics and EventBridge buses.
 *
 * The client is CodeBuild's (codebuild.h), with its credentials, rates and clock. A message is sent
 * once; who sends it again after RB_E_AMBIGUOUS may cause a second one. Errors are as there.
 * Threads: the client's. Blocks: at most its timeout.
 */
#ifndef RETRYBUILD_PUBLISH_H
#define RETRYBUILD_PUBLISH_H

#include <retrybuild/codebuild.h>

struct rb_sns_message {
    const char *topic_arn; /* its region is where the call goes */
    const char *subject;   /* may be NULL; up to 100 characters of ASCII, what else is replaced */
    const char *message;
    const char *endpoint_url; /* NULL = SNS of the region */
};
/* rb_sns_publish - Publish. *ret_id: the message's, in @a. *ret_retry_after_ms: always set, -1 =
 * nothing said. RB_E_INVALID: the ARN is none of a topic. */
enum rb_code rb_sns_publish(struct rb_codebuild *c, const struct rb_sns_message *m,
                            struct rb_arena *a, const char **ret_id, int64_t *ret_retry_after_ms,
                            struct rb_err *err);

struct rb_bus_event {
    const char *bus;    /* name or ARN; NULL = default */
    const char *region; /* unless the bus is an ARN */
    const char *source, *detail_type;
    const char *detail;       /* a JSON object */
    const char *resource;     /* an ARN; may be NULL */
    int64_t time_ms;          /* 0 = when it arrives */
    const char *endpoint_url; /* NULL = EventBridge of the region */
};
/* rb_events_put - PutEvents of one event; an entry that failed is an error of its own name, though
 * the call was answered with 200. Outputs as above. */
enum rb_code rb_events_put(struct rb_codebuild *c, const struct rb_bus_event *e, struct rb_arena *a,
                           const char **ret_id, int64_t *ret_retry_after_ms, struct rb_err *err);

#endif
