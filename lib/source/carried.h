/* carried.h - a CodeBuild event in whatever wrapping a machine carried it here. */
#ifndef RB_SOURCE_CARRIED_H
#define RB_SOURCE_CARRIED_H

#include <retrybuild/source.h>

/* rb_carried_parse - @body is an event as rb_codebuild_event_parse reads it, or a JSON string whose
 * text is one, or a CloudEvent in structured mode with one as its data. *ret_id: what the sender
 * repeats, NULL when it says nothing. Strings live in @a. Errors: those of the JSON reader;
 * RB_E_INVALID for a CloudEvent that lacks something; RB_E_NOMEM when @a is exhausted. */
enum rb_code rb_carried_parse(struct rb_slice body, struct rb_arena *a, struct rb_event *ret_event,
                              const char **ret_id, struct rb_err *err);
/* rb_carried_key - Idempotency-Key, for senders whose body has no id; NULL = none that is usable.
 */
const char *rb_carried_key(const struct rb_request *req);

/* ---- cloudevents.c ---- */
/* rb_cloudevent_parse - one CloudEvent 1.0 in structured mode; *ret_id is "source id". */
enum rb_code rb_cloudevent_parse(struct rb_slice body, struct rb_arena *a,
                                 struct rb_event *ret_event, const char **ret_id,
                                 struct rb_err *err);
/* rb_carried_data - the event in the data of something else: a JSON text, or a JSON string of one.
 * Data that is no JSON is no mistake of the sender: RB_EVENT_NONE. */
enum rb_code rb_carried_data(struct rb_slice data, struct rb_arena *a, struct rb_event *ret_event,
                             struct rb_err *err);
/* rb_carried_none - RB_EVENT_NONE with a reason. */
void rb_carried_none(struct rb_event *ret_event, const char *why);

#endif
