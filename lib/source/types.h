/* types.h - the rows of the table, one an adapter. */
#ifndef RB_SOURCE_TYPES_H
#define RB_SOURCE_TYPES_H

#include <retrybuild/source.h>

extern const struct rb_source_type rb_source_cloudevents;
extern const struct rb_source_type rb_source_eventbridge;
extern const struct rb_source_type rb_source_discord, rb_source_googlechat, rb_source_mattermost,
    rb_source_rocketchat, rb_source_slack, rb_source_teams;
extern const struct rb_source_type rb_source_bitbucket;
extern const struct rb_source_type rb_source_bitbucket_server;
extern const struct rb_source_type rb_source_forgejo;
extern const struct rb_source_type rb_source_gitea;
extern const struct rb_source_type rb_source_github;
extern const struct rb_source_type rb_source_gitlab;
extern const struct rb_source_type rb_source_generic;
extern const struct rb_source_type rb_source_sns;
extern const struct rb_source_type rb_source_standard_webhooks;

#endif
