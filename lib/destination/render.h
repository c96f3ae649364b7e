/* render.h - pieces of requests that several types are made of. */
#ifndef RB_DESTINATION_RENDER_H
#define RB_DESTINATION_RENDER_H

#include <retrybuild/json.h>

#include "poster.h"
#include "text.h"

/* rb_render_header - one more line; false without memory or room. */
bool rb_render_header(struct rb_rendered *r, const char *line);
/* rb_render_json - POST @take_body to @url; @url and the body are in @a. RB_E_NOMEM. */
enum rb_code rb_render_json(struct rb_arena *a, const char *url, json_t *take_body,
                            struct rb_rendered *ret_r, struct rb_err *err);
/* rb_render_url - the destination's secret url. RB_E_INVALID: there is none. */
enum rb_code rb_render_url(const struct rb_destination_setting *d, struct rb_arena *a,
                           const char **ret_url, struct rb_err *err);
/* rb_text_json - what is in @b as a JSON string, cut to @max_chars; NULL without memory. */
json_t *rb_text_json(struct rb_buf *b, size_t max_chars);
/* rb_render_target - what a Retry button names: the build that failed last, by its ARN where there
 * is one. */
const char *rb_render_target(const struct rb_retry *r);
/* rb_render_retryable - may a person ask for this one again? */
bool rb_render_retryable(const struct rb_retry *r);
/* rb_report_entered_ms - when the retry entered the state that is reported: the first of the last
 * entries of this state. */
int64_t rb_report_entered_ms(const struct rb_report_view *v);
/* rb_rendered_body - a POST of @body, copied into @a, that names no receiver. */
enum rb_code rb_rendered_body(const struct rb_buf *body, struct rb_arena *a,
                              struct rb_rendered *ret_r, struct rb_err *err);

#endif
