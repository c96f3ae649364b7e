/* chat.h - what the chat adapters share: forms, one command a message, answers. */
#ifndef RB_SOURCE_CHAT_H
#define RB_SOURCE_CHAT_H

#include <jansson.h>

#include <retrybuild/command.h>
#include <retrybuild/source.h>

#define RB_CHAT_REPLY_MS (30 * 60 * 1000) /* how long a response URL is good for */

/* rb_chat_field - a field of a form, decoded into @a; NULL when it is absent, comes twice or does
 * not decode. */
const char *rb_chat_field(struct rb_slice form, const char *name, struct rb_arena *a);
/* rb_chat_text - a string of @j by its dotted path ("user.id"), copied into @a; NULL = none. */
const char *rb_chat_text(const json_t *j, const char *path, struct rb_arena *a);

/* rb_chat_command - one command line into @ret_events: rb_command_parse with its trouble. */
enum rb_code rb_chat_command(const char *text, struct rb_arena *a, struct rb_events *ret_events,
                             struct rb_err *err);
/* rb_chat_button - what a button of ours does; false: it is somebody else's. */
bool rb_chat_button(const char *action_id, enum rb_command_verb *ret_v);
/* rb_chat_slash - the form of a slash command, as Slack and Mattermost send it. */
enum rb_code rb_chat_slash(const struct rb_request *req, struct rb_arena *a,
                           struct rb_events *ret_events, struct rb_err *err);
/* rb_chat_ack - an answer that is due with nothing to do. */
void rb_chat_ack(struct rb_events *ret_events, unsigned status, const char *answer);
/* rb_chat_reply - the handle of a response URL for lib/destination/reply_url.c: until when it is
 * good, and where; NULL when @url is none that may be posted to. */
const char *rb_chat_reply(const char *url, int64_t now_ms, struct rb_arena *a);

/* rb_chat_reply_url - the URL in such a handle; NULL = there is none. */
const char *rb_chat_reply_url(const struct rb_command *c);

/* rb_chat_add_text - what a person is told, as the inside of a JSON string with its quotes: @slack
 * escapes & < >, else a name behind '@' is made no mention. At most @max_chars code points. */
void rb_chat_add_text(struct rb_buf *out, const char *text, bool slack, size_t max_chars);
/* rb_chat_message - of an outcome, never NULL. */
const char *rb_chat_message(const struct rb_outcome *o);
/* rb_chat_headers - one or two header lines; the others are NULL. */
enum rb_code rb_chat_headers(const char *ret_headers[4], const char *first, const char *second,
                             struct rb_err *err);
/* rb_chat_need_secrets - for check-config. */
enum rb_code rb_chat_need_secrets(const struct rb_source_setting *s, const char **ret_key,
                                  struct rb_err *err);

#endif
