/* types.h - the rows of the table, one an adapter. */
#ifndef RB_SOURCE_TYPES_H
#define RB_SOURCE_TYPES_H

#include <retrybuild/source.h>

extern const struct rb_source_type rb_source_cloudevents;
extern const struct rb_source_type rb_source_eventbridge;
extern const struct rb_source_type rb_source_generic;
extern const struct rb_source_type rb_source_sns;
extern const struct rb_source_type rb_source_standard_webhooks;

#endif
