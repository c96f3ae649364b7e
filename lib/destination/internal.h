/* internal.h - the rows of the table, one file each, and what several of them share. */
#ifndef RB_DESTINATION_INTERNAL_H
#define RB_DESTINATION_INTERNAL_H

#include <retrybuild/destination.h>

extern const struct rb_destination_type rb_destination_eventbridge;
extern const struct rb_destination_type rb_destination_sns;
extern const struct rb_destination_type rb_destination_bitbucket_server_status,
    rb_destination_bitbucket_status, rb_destination_gitea_status, rb_destination_github_check,
    rb_destination_github_comment, rb_destination_github_status, rb_destination_gitlab_comment,
    rb_destination_gitlab_status;
extern const struct rb_destination_type rb_destination_discord, rb_destination_googlechat,
    rb_destination_mattermost, rb_destination_rocketchat, rb_destination_slack,
    rb_destination_teams, rb_destination_webhook;
/* answers to who asked */
extern const struct rb_destination_type rb_reply_discord, rb_reply_mattermost, rb_reply_slack;
extern const struct rb_destination_type rb_reply_forgejo, rb_reply_gitea, rb_reply_github,
    rb_reply_bitbucket_server, rb_reply_gitlab;

/* rb_standard_webhooks_sign - append "v1,<base64>" to @out, after a blank when it holds a signature
 * already. RB_E_INVALID: the secret is no key. */
enum rb_code rb_standard_webhooks_sign(const struct rb_secret *secret, const char *id,
                                       int64_t timestamp_s, const struct rb_buf *body,
                                       struct rb_buf *out, struct rb_err *err);

#endif
