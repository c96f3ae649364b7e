/* codebuild_event.h - a CodeBuild event as EventBridge writes it, whoever carried it here. */
#ifndef RB_SOURCE_CODEBUILD_EVENT_H
#define RB_SOURCE_CODEBUILD_EVENT_H

#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/model.h>
#include <retrybuild/str.h>

/* rb_codebuild_event_parse - @body is one JSON document: an event as EventBridge or CodeStar
 * Notifications write it, or a flat object with the build and its status, as an input transformer
 * makes it. The strings of *ret_event live in @a. *ret_id: the event's id, NULL when it has none of
 * 1 to 256 bytes. *ret_cloud_event: it is a CloudEvent, of which this says nothing. JSON that is no
 * such event gives RB_EVENT_NONE with a reason. Errors: RB_E_INVALID and RB_E_TOO_LARGE of the JSON
 * reader, RB_E_NOMEM when @a is exhausted. Source: facts on AWS, 5.1. */
enum rb_code rb_codebuild_event_parse(struct rb_slice body, struct rb_arena *a,
                                      struct rb_event *ret_event, const char **ret_id,
                                      bool *ret_cloud_event, struct rb_err *err);

#endif
