/* command_internal.h - what the files that carry out commands share. */
#ifndef RB_ENGINE_COMMAND_INTERNAL_H
#define RB_ENGINE_COMMAND_INTERNAL_H

#include <retrybuild/command_run.h>

#include "internal.h"

#define RB_COMMAND_FOUND_MAX 16
#define RB_COMMAND_TEXT_MAX 6000

/* One command on its way. */
struct rb_order {
    struct rb_engine *e;
    const struct rb_runtime *rt;
    struct rb_store_session *ses;
    const struct rb_command_request *q;
    const struct rb_command *c;
    struct rb_arena *a;
    struct rb_err *err;
    struct rb_command_answer *answer;
    struct rb_buf text;
    bool several;      /* every project of the target, not the newest alone */
    bool hidden;       /* something fits the target, in a project that this actor may not touch */
    const char *actor; /* as written into records */

    struct rb_retry *found[RB_COMMAND_FOUND_MAX]; /* newest first; owned */
    unsigned n_found;
};

/* ---- command_who.c ---- */
/* rb_order_may - may the actor use @verb on @project (NULL: on all of them)? */
bool rb_order_may(const struct rb_order *o, enum rb_command_verb verb, const char *project);
/* rb_order_missing - what the actor lacks, into o->text. */
void rb_order_missing(struct rb_order *o, enum rb_command_verb verb, const char *project);

/* ---- command_find.c ---- */
/* rb_order_find - the retries that the target means, into o->found. */
enum rb_code rb_order_find(struct rb_order *o);
bool rb_order_same_place(const struct rb_order *o, const struct rb_build *b);

/* ---- command_text.c ---- */
/* rb_order_line - one retry in one line. */
void rb_order_line(const struct rb_retry *r, struct rb_buf *out);
void rb_order_explain(const struct rb_retry *r, struct rb_buf *out);
void rb_order_help(const struct rb_order *o, struct rb_buf *out);
/* rb_order_nothing - that nothing fits the target. */
void rb_order_nothing(struct rb_order *o);

/* ---- command_retry.c ---- */
enum rb_code rb_order_retry(struct rb_order *o);
/* rb_order_act - cancel, approve or deny what was found. */
enum rb_code rb_order_act(struct rb_order *o, enum rb_verb verb);

#endif
