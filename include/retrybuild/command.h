/* command.h - what a person asks for in a chat or a comment: one grammar for all of them.
 *
 * rb_command_parse is pure. Strings live in the arena handed in. Threads: any. Blocks: never.
 * Source: the grammar of the facts on integrations, 3.5.
 */
#ifndef RETRYBUILD_COMMAND_H
#define RETRYBUILD_COMMAND_H

#include <stdbool.h>

#include <retrybuild/err.h>
#include <retrybuild/mem.h>
#include <retrybuild/model.h>
#include <retrybuild/str.h>

enum rb_command_verb {
    RB_COMMAND_RETRY,
    RB_COMMAND_STATUS,
    RB_COMMAND_CANCEL,
    RB_COMMAND_LIST,
    RB_COMMAND_APPROVE,
    RB_COMMAND_DENY,
    RB_COMMAND_PAUSE,
    RB_COMMAND_RESUME,
    RB_COMMAND_EXPLAIN,
    RB_COMMAND_HELP,
    RB_COMMAND_VERSION,
    RB_COMMAND_VERB_COUNT
};
const char *rb_command_verb_name(enum rb_command_verb v);
bool rb_command_verb_parse(const char *name, enum rb_command_verb *ret_v);

enum rb_target_kind {
    RB_TARGET_NONE,
    RB_TARGET_BUILD, /* id, ARN or console URL: `build` has it */
    RB_TARGET_UUID,  /* of a build, project unknown */
    RB_TARGET_RETRY, /* rty_… */
    RB_TARGET_PROJECT,
    RB_TARGET_LAST,
    RB_TARGET_PULL,   /* "#12" */
    RB_TARGET_COMMIT, /* 7 to 40 hex digits */
    RB_TARGET_FAILED, /* /retest: everything of this pull request that failed, and only that */
};

struct rb_actor {
    const char *id;            /* the platform's, stable */
    const char *name;          /* for people */
    const char *const *groups; /* ids, when the sender tells them */
    unsigned n_groups;
    bool bot; /* or ourselves: its commands are ignored */
};

struct rb_place { /* where it was said; NULL or 0 = not there */
    const char *channel;
    const char *thread;
    const char *repository;     /* owner/name, as the host's API wants it */
    const char *repository_url; /* clone URL without .git */
    const char *commit;
    int64_t pull_request;     /* or merge request */
    const char *comment;      /* its id */
    const char *comment_kind; /* the adapter's word for where comments of this kind live */
    bool closed;              /* the pull request is: only told so */
};

struct rb_command {
    enum rb_command_verb verb;
    enum rb_target_kind target;
    const char *target_text; /* as written, unwrapped */
    struct rb_build build;   /* BUILD: what the target says of it */
    bool account_found;      /* its account: the target does not say it */
    bool force, batch, failed_only, dry_run;
    const char *region, *reason;
    const char *trouble; /* set: the line was for us and is wrong; a sentence with the nearest right
                            word. Nothing is done, it is the answer */
    struct rb_actor actor;
    struct rb_place place;
    const char *reply; /* the adapter's handle for later answers, kept with the retry; a secret */
};

/* rb_command_usage - how @v is written, for messages. */
const char *rb_command_usage(enum rb_command_verb v);

/* rb_command_parse - the commands in @text, at most @max. @bare: the whole text is one command line
 * without its name (a slash command); else lines that begin with "/retry", "/retrybuild", "/rb" or
 * "/retest" outside of code blocks and quotes. Sets verb, target, flags and trouble; the adapter
 * adds actor, place and reply. Past @max the last one says that there are too many. Texts beyond
 * 256 KiB: RB_E_TOO_LARGE. */
enum rb_code rb_command_parse(struct rb_slice text, bool bare, struct rb_arena *a,
                              struct rb_command *ret_commands, unsigned max, unsigned *ret_n,
                              struct rb_err *err);

#endif
