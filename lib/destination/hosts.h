/* hosts.h - git hosts as destinations: whose repository it is, who we are there, what they call a
 * state. */
#ifndef RB_DESTINATION_HOSTS_H
#define RB_DESTINATION_HOSTS_H

#include "render.h"

enum rb_githost {
    RB_HOST_GITHUB,
    RB_HOST_GITLAB,
    RB_HOST_BITBUCKET,
    RB_HOST_BITBUCKET_SERVER,
    RB_HOST_GITEA,
    RB_HOST_COUNT
};

/* rb_githost_path - the repository at @location as @host's API names it: owner/name, PROJECT/slug;
 * in @a. NULL: none, or a public host's that is another. */
const char *rb_githost_path(enum rb_githost host, const struct rb_api_setting *api,
                            const char *location, struct rb_arena *a);
/* rb_githost_sure - @location is on the very host that @api is of. */
bool rb_githost_sure(enum rb_githost host, const struct rb_api_setting *api, const char *location,
                     struct rb_arena *a);
/* rb_githost_repository - the repository of @r as @host's API names it in a path, each part
 * encoded: "owner/name", "group%2Fname" (GitLab), "PROJECT/repos/slug" (Bitbucket Data Center); in
 * @a. NULL: none, or a public host's that is another. */
const char *rb_githost_repository(enum rb_githost host, const struct rb_destination_setting *d,
                                  const struct rb_retry *r, struct rb_arena *a);
/* rb_githost_url - "<root>/<format…>" in @a; NULL without memory. */
const char *rb_githost_url(enum rb_githost host, const struct rb_destination_setting *d,
                           struct rb_arena *a, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* rb_githost_call - one request to the host's REST API with our credential. @take_body NULL: none.
 */
bool rb_githost_call(struct rb_poster *p, enum rb_githost host, const char *method, const char *url,
                     json_t *take_body);
/* rb_githost_pull - which pull or merge request (github, gitlab) a comment belongs into, in @a: the
 * build's own, else the open one that has its commit or comes from its branch. False: p->ret says
 * what becomes of the report; where there is none it is done, for nobody is there to be told. */
bool rb_githost_pull(struct rb_poster *p, enum rb_githost host, const char *repository,
                     const char **ret_number);
/* rb_githost_has_pull - can that be found out at all? */
bool rb_githost_has_pull(const struct rb_retry *r);
/* rb_githost_check - of the configuration: a credential, and a root where no host is the public
 * one.
 */
enum rb_code rb_githost_check(enum rb_githost host, const struct rb_destination_setting *d,
                              const char **ret_key, struct rb_err *err);
/* rb_githost_judge_github - 403 and 429 that are a rate limit. */
void rb_githost_judge_github(struct rb_poster *p);

/* rb_githost_applies_commit - its commit and repository are known there; states that are somebody
 * else's to tell are left to them. */
bool rb_githost_applies_commit(enum rb_githost host, const struct rb_destination_setting *d,
                               const struct rb_retry *r);
/* rb_githost_context - the name of the status: the template, or CodeBuild's own. */
void rb_githost_context(const struct rb_destination_setting *d, const struct rb_report_view *v,
                        struct rb_buf *out);
/* rb_githost_link - the build that the status is about: the newest of the two. */
const char *rb_githost_link(const struct rb_retry *r, struct rb_arena *a);

/* What a state means to a host. Source: facts on integrations, 2.5. */
enum rb_outcome {
    RB_OUTCOME_QUEUED,
    RB_OUTCOME_RUNNING,
    RB_OUTCOME_SUCCESS,
    RB_OUTCOME_FAILURE,
    RB_OUTCOME_STOPPED,
    RB_OUTCOME_ERROR,
    RB_OUTCOME_COUNT
};
enum rb_outcome rb_githost_outcome(enum rb_state s);

#endif
