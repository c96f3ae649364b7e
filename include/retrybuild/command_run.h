/* command_run.h - a person's command, carried out: who may, what is meant, what is done, what the
 * person is told.
 *
 * Everything a command needs is in the store, but for what only a git host can say (the actor's
 * permission, what failed of a pull request's head): that is asked before, by struct
 * rb_command_host, and handed in as facts. Threads: any; one session one thread. Blocks: as the
 * session does; the host's facts also for its calls. Texts are for people: Markdown's backticks,
 * bare links, no markup else.
 */
#ifndef RETRYBUILD_COMMAND_RUN_H
#define RETRYBUILD_COMMAND_RUN_H

#include <retrybuild/command.h>
#include <retrybuild/engine.h>
#include <retrybuild/settings.h>
#include <retrybuild/store.h>

struct rb_command_facts {
    enum rb_permission permission; /* of the actor on place.repository; NONE also when unknown */
    const char *head;              /* commit at the head of the pull request; NULL = not told */
    bool closed;                   /* the pull request is */
    const struct rb_build *builds; /* failed ones that the host shows for the head (or commit): at
                                      least id, project, region */
    unsigned n_builds;
};

/* What a git host can be asked about a command. */
struct rb_command_host {
    /* facts - blocks for the host's API. An error means: not told, and nothing is allowed by it. */
    enum rb_code (*facts)(void *arg, const struct rb_source_setting *s, const struct rb_command *c,
                          struct rb_arena *a, struct rb_command_facts *ret_f, struct rb_err *err);
    /* seen, done - reactions and answers where the command stands; failures are the host's own. */
    void (*seen)(void *arg, const struct rb_source_setting *s, const struct rb_command *c);
    void (*tell)(void *arg, const struct rb_source_setting *s, const struct rb_command *c,
                 const char *text);
    void *arg;
};
/* rb_command_asks_host - do permissions or targets of @c need the host's facts? Permissions also
 * where nothing is done by them: strangers are not answered. */
bool rb_command_asks_host(const struct rb_source_setting *s, const struct rb_command *c);

enum rb_command_outcome {
    RB_COMMAND_DONE,    /* something was started or changed, durably */
    RB_COMMAND_ALREADY, /* it was so before: a repeated delivery, a retry under way */
    RB_COMMAND_TOLD,    /* a question was answered */
    RB_COMMAND_REFUSED, /* it cannot be done, and why */
    RB_COMMAND_DENIED,  /* this actor may not */
    RB_COMMAND_WRONG,   /* not understood */
    RB_COMMAND_IGNORED, /* said by a bot */
};
const char *rb_command_outcome_name(enum rb_command_outcome o);

struct rb_command_request {
    const struct rb_source_setting *source;
    const struct rb_delivery *delivery;   /* its key makes a repeated delivery harmless */
    const char *traceparent, *tracestate; /* as sent with it; NULL = none */
    unsigned index;                       /* of the command in its delivery */
    const struct rb_command *command;
    const struct rb_command_facts *facts; /* NULL = none were asked for */
    const char *version;                  /* of the program */
};

struct rb_command_answer {
    enum rb_command_outcome outcome;
    const char *text;        /* in the arena */
    bool in_public;          /* the text is for everybody in that place, else for the actor alone */
    bool stranger;           /* said at a git host by somebody who may give no command there */
    char retry[RB_ID_BYTES]; /* the first one it was about; "" = none */
};

/* rb_command_run - RB_OK: carried out or refused, as @ret_answer says; what it says is durable.
 * Else the store's trouble, and the delivery should be sent again. Leaves one log event `command`.
 */
enum rb_code rb_command_run(struct rb_engine *e, struct rb_store_session *ses,
                            const struct rb_command_request *q, struct rb_arena *a,
                            struct rb_command_answer *ret_answer, struct rb_err *err);

#endif
