/* The types of destinations, in alphabetical order. */
#include <retrybuild/cleanup.h>

#include "internal.h"

static const struct rb_destination_type *const TYPES[] = {
    &rb_destination_bitbucket_server_status,
    &rb_destination_bitbucket_status,
    &rb_destination_discord,
    &rb_destination_eventbridge,
    &rb_destination_gitea_status,
    &rb_destination_github_check,
    &rb_destination_github_comment,
    &rb_destination_github_status,
    &rb_destination_gitlab_comment,
    &rb_destination_gitlab_status,
    &rb_destination_googlechat,
    &rb_destination_mattermost,
    &rb_destination_rocketchat,
    &rb_destination_slack,
    &rb_destination_sns,
    &rb_destination_teams,
    &rb_destination_webhook,
};

const struct rb_destination_type *rb_destination_type_find(const char *type)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(TYPES); i++) {
        if (rb_str_eq(TYPES[i]->type, type)) {
            return TYPES[i];
        }
    }
    return NULL;
}

/* Answers to who asked, by the type of the source; never configured by a name. */
static const struct rb_destination_type *const REPLIES[] = {
    &rb_reply_bitbucket_server,
    &rb_reply_discord,
    &rb_reply_forgejo,
    &rb_reply_gitea,
    &rb_reply_github,
    &rb_reply_gitlab,
    &rb_reply_mattermost,
    &rb_reply_slack,
    NULL,
};

const struct rb_destination_type *rb_reply_type_find(const char *source_type)
{
    for (size_t i = 0; REPLIES[i] != NULL; i++) {
        if (rb_str_eq(REPLIES[i]->type, source_type)) {
            return REPLIES[i];
        }
    }
    return NULL;
}

const char *const *rb_destination_type_names(void)
{
    static const char *const names[RB_ARRAY_LEN(TYPES) + 1] = {
        "bitbucket-server-status",
        "bitbucket-status",
        "discord",
        "eventbridge",
        "gitea-status",
        "github-check",
        "github-comment",
        "github-status",
        "gitlab-comment",
        "gitlab-status",
        "googlechat",
        "mattermost",
        "rocketchat",
        "slack",
        "sns",
        "teams",
        "webhook",
    };

    return names;
}
