/* paths.h - events of systems that the operator describes: where the body says what, dotted. */
#ifndef RB_SOURCE_PATHS_H
#define RB_SOURCE_PATHS_H

#include <retrybuild/source.h>

/* rb_paths_parse - one event by the source's `paths`; a body without a build there is none. Errors:
 * those of the JSON reader; RB_E_INVALID for a token that is too long. */
enum rb_code rb_paths_parse(const struct rb_source_setting *s, struct rb_slice body,
                            struct rb_arena *a, struct rb_event *ret_event, struct rb_err *err);
/* rb_paths_check - for check-config: RB_E_INVALID when a path has an empty part. */
enum rb_code rb_paths_check(const struct rb_source_setting *s, const char **ret_key,
                            struct rb_err *err);

#endif
