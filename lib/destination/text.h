/* text.h - what people read about a retry: named fields, templates, escapes. Pure. */
#ifndef RB_DESTINATION_TEXT_H
#define RB_DESTINATION_TEXT_H

#include <retrybuild/destination.h>

/* How a receiver reads text: what of it must be defused so that nothing from a build, a rule or a
 * person becomes markup, a link or a mention. Source: facts on integrations, 3. */
enum rb_markup {
    RB_MARKUP_PLAIN, /* control bytes become blanks */
    RB_MARKUP_SLACK, /* mrkdwn; also Google Chat */
    RB_MARKUP_DISCORD,
    RB_MARKUP_MARKDOWN, /* of GitHub, GitLab, Gitea, Teams, Mattermost, Rocket.Chat */
};
void rb_text_escape(enum rb_markup markup, const char *s, struct rb_buf *out);
/* rb_text_link - @text (escaped here) as a link to @url; without @url the text alone. Only https
 * and http URLs without characters that could end the markup are linked. */
void rb_text_link(enum rb_markup markup, const char *text, const char *url, struct rb_buf *out);

/* rb_text_expand - @pattern with its fields "<name>" replaced; what is no known field stays as it
 * is. Fields: project account region branch commit repository pull_request phase status attempt
 * limit rule reason cause why builds took next state retry chain by. Values are escaped, the
 * pattern is not. */
void rb_text_expand(const char *pattern, const struct rb_report_view *v, enum rb_markup markup,
                    struct rb_buf *out);

/* rb_text_cut - at most @max_chars code points, the last one "…" when something was cut off; the
 * text of @b is valid UTF-8 afterwards. */
void rb_text_cut(struct rb_buf *b, size_t max_chars);

/* Sentences about the retry's state. */
void rb_text_title(const struct rb_report_view *v, struct rb_buf *out); /* plain, one short line */
void rb_text_summary(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out);
/* rb_text_next - what happens next or, if refused, what a person can do; may be empty. */
void rb_text_next(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out);
/* rb_text_short - for a commit status: without the project, plain, at most @max_chars. */
void rb_text_short(const struct rb_report_view *v, size_t max_chars, struct rb_buf *out);

/* rb_text_goes_on - failed again, and the chain's next attempt was made in the same step. */
bool rb_text_goes_on(const struct rb_retry *r);
/* rb_text_final - nothing more is to come for this chain. */
bool rb_text_final(const struct rb_retry *r);
/* rb_text_why - the newest note of the history, else the decision's reason; "" = none. */
const char *rb_text_why(const struct rb_retry *r);
/* rb_text_build_url - the build in the AWS console, in @a; NULL without its parts. */
const char *rb_text_build_url(const struct rb_build *b, struct rb_arena *a);
/* rb_text_number - "31", or the first of its uuid where the number is not known. */
void rb_text_number(const struct rb_build *b, struct rb_buf *out);

#endif
