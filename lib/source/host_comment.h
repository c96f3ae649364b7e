/* host_comment.h - comments and buttons of git hosts as commands. */
#ifndef RB_SOURCE_HOST_COMMENT_H
#define RB_SOURCE_HOST_COMMENT_H

#include <retrybuild/command.h>
#include <retrybuild/source.h>

#define RB_COMMENT_MAX_BYTES 131072 /* a longer comment counts as absent */

struct rb_host_actor {
    const char *id, *name;
    bool bot;
};

struct rb_host_comment {
    const char *text; /* NULL = too long */
    const char *id;
    const char *kind; /* where the API has comments of this kind */
    struct rb_host_actor actor;
    const char *repository, *repository_url, *commit;
    const char *pull_request; /* its number as text; NULL = none */
    bool closed;
};
/* rb_host_comment - the commands in a new comment, or why there are none. A bot's have none. */
enum rb_code rb_host_comment(const struct rb_source_setting *s, const struct rb_host_comment *c,
                             struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err);

struct rb_host_press {
    enum rb_command_verb verb;
    bool failed;        /* everything that failed there */
    const char *target; /* id, ARN or link of a build, or the id of a retry */
    const char *link;   /* where @target names nothing */
    struct rb_host_actor actor;
    const char *repository, *repository_url, *commit, *pull_request;
};
/* rb_host_press - a button of the host's own pages. */
enum rb_code rb_host_press(const struct rb_source_setting *s, const struct rb_host_press *p,
                           struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err);

#endif
