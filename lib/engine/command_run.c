/* command_run.c - one command from its words to its answer, and the entry in the audit log. */
#include "command_internal.h"

#include <retrybuild/log.h>

static const char *const outcome_names[] = {
    [RB_COMMAND_DONE] = "done",       [RB_COMMAND_ALREADY] = "already",
    [RB_COMMAND_TOLD] = "told",       [RB_COMMAND_REFUSED] = "refused",
    [RB_COMMAND_DENIED] = "denied",   [RB_COMMAND_WRONG] = "wrong",
    [RB_COMMAND_IGNORED] = "ignored",
};

const char *rb_command_outcome_name(enum rb_command_outcome o)
{
    return (unsigned)o < RB_ARRAY_LEN(outcome_names) ? outcome_names[o] : "?";
}

static enum rb_code end(struct rb_order *o, enum rb_command_outcome outcome)
{
    o->answer->outcome = outcome;
    return RB_OK;
}

static enum rb_code denied(struct rb_order *o, const char *project)
{
    rb_buf_clear(&o->text);
    rb_order_missing(o, o->c->verb, project);
    return end(o, RB_COMMAND_DENIED);
}

static bool is_on(const struct rb_source_setting *s, enum rb_command_verb v)
{
    for (unsigned i = 0; i < s->commands.n; i++) {
        if (rb_str_eq(s->commands.items[i], rb_command_verb_name(v))) {
            return true;
        }
    }
    return s->commands.n == 0 || v == RB_COMMAND_HELP;
}

/* ---- questions ---- */

static enum rb_code ask(struct rb_order *o)
{
    enum rb_code rc = rb_order_find(o);

    o->answer->outcome = RB_COMMAND_TOLD;
    for (unsigned i = 0; rc == RB_OK && i < o->n_found; i++) {
        rb_buf_adds(&o->text, i == 0 ? "" : "\n");
        if (o->c->verb == RB_COMMAND_EXPLAIN) {
            rb_order_explain(o->found[i], &o->text);
        } else {
            rb_order_line(o->found[i], &o->text);
        }
        if (i == 0) {
            memcpy(o->answer->retry, o->found[0]->id, sizeof o->answer->retry);
        }
    }
    return rc;
}

/* ---- the switch ---- */

static enum rb_code pause(struct rb_order *o, bool on)
{
    const char *project = o->c->target == RB_TARGET_PROJECT ? o->c->target_text : NULL;
    if (!rb_order_may(o, o->c->verb, project)) {
        return denied(o, project);
    }
    enum rb_code rc = rb_store_pause(o->ses, project, on, o->err);
    if (rc == RB_OK) {
        rb_buf_addf(&o->text, "%s %s%s", on ? "Paused" : "Resumed",
                    project == NULL ? "everything" : project,
                    on ? ": failures are recorded and wait." : ".");
        o->answer->in_public = true;
        rc = end(o, RB_COMMAND_DONE);
    }
    return rc;
}

static enum rb_code run_verb(struct rb_order *o)
{
    switch (o->c->verb) {
    case RB_COMMAND_RETRY:
        return rb_order_retry(o);
    case RB_COMMAND_CANCEL:
        return rb_order_act(o, RB_VERB_CANCEL);
    case RB_COMMAND_APPROVE:
        return rb_order_act(o, RB_VERB_APPROVE);
    case RB_COMMAND_DENY:
        return rb_order_act(o, RB_VERB_DENY);
    case RB_COMMAND_PAUSE:
        return pause(o, true);
    case RB_COMMAND_RESUME:
        return pause(o, false);
    case RB_COMMAND_HELP:
        rb_order_help(o, &o->text);
        return end(o, RB_COMMAND_TOLD);
    case RB_COMMAND_VERSION:
        rb_buf_addf(&o->text, "retrybuild %s", o->q->version == NULL ? "" : o->q->version);
        return end(o, RB_COMMAND_TOLD);
    case RB_COMMAND_STATUS:
    case RB_COMMAND_LIST:
    case RB_COMMAND_EXPLAIN:
    case RB_COMMAND_VERB_COUNT:
    default:
        return ask(o);
    }
}

/* may_at_all - does any row let the actor use @verb, for whatever project? */
static bool may_at_all(const struct rb_order *o, enum rb_command_verb verb)
{
    if (rb_order_may(o, verb, NULL)) {
        return true;
    }
    for (unsigned i = 0; i < o->q->source->n_who; i++) {
        const struct rb_strings *projects = &o->q->source->who[i].projects;
        for (unsigned k = 0; k < projects->n; k++) {
            /* a glob fits itself, but for what it escapes: then the walk decides */
            if (rb_order_may(o, verb, projects->items[k])) {
                return true;
            }
        }
    }
    return false;
}

/* is_stranger - at a git host, where everybody may write and few may command. Help is for all. */
static bool is_stranger(const struct rb_order *o)
{
    for (int v = 0; o->c->place.repository != NULL && v < RB_COMMAND_VERB_COUNT; v++) {
        if (v != RB_COMMAND_HELP && v != RB_COMMAND_VERSION &&
            may_at_all(o, (enum rb_command_verb)v)) {
            return false;
        }
    }
    return o->c->place.repository != NULL;
}

static enum rb_code carry_out(struct rb_order *o)
{
    const struct rb_command *c = o->c;

    if (c->actor.bot) {
        return end(o, RB_COMMAND_IGNORED);
    }
    if (c->trouble != NULL) {
        rb_buf_addf(&o->text, "Not understood: %s", c->trouble);
        return end(o, RB_COMMAND_WRONG);
    }
    if (!is_on(o->q->source, c->verb)) {
        rb_buf_addf(&o->text, "'%s' is not switched on here (`commands` of source '%s').",
                    rb_command_verb_name(c->verb), o->q->source->name);
        return end(o, RB_COMMAND_REFUSED);
    }
    if (!may_at_all(o, c->verb)) {
        return denied(o, NULL);
    }
    bool closed = c->place.closed || (o->q->facts != NULL && o->q->facts->closed);
    if (closed && c->verb == RB_COMMAND_RETRY) {
        rb_buf_adds(&o->text, "This pull request is closed: nothing of it is retried.");
        return end(o, RB_COMMAND_REFUSED);
    }
    if ((c->verb == RB_COMMAND_APPROVE || c->verb == RB_COMMAND_DENY) &&
        c->target == RB_TARGET_NONE && c->place.pull_request == 0) {
        rb_buf_addf(&o->text,
                    "Which one? Usage: %s, where the target is a retry (rty_…), a "
                    "build or a project.",
                    rb_command_usage(c->verb));
        return end(o, RB_COMMAND_WRONG);
    }
    enum rb_code rc = run_verb(o);
    if (rc == RB_OK && o->text.len == 0 && o->hidden) {
        const char *project = c->target == RB_TARGET_PROJECT ? c->target_text
                              : c->target == RB_TARGET_BUILD ? c->build.project
                                                             : NULL;
        return denied(o, project);
    }
    if (rc == RB_OK && o->text.len == 0) {
        rb_order_nothing(o);
    }
    return rc;
}

static void audit(const struct rb_order *o, enum rb_code rc)
{
    const struct rb_command *c = o->c;
    const struct rb_place *p = &c->place;
    rb_log(RB_LOG_INFO, "command", RB_F("who", c->actor.id), RB_F("name", c->actor.name),
           RB_F("verb", c->trouble == NULL ? rb_command_verb_name(c->verb) : "?"),
           RB_F("target", c->target_text), RB_F("reason", c->reason),
           RB_F("source", o->q->source->name), RB_F("channel", p->channel),
           RB_F("repository", p->repository), RB_FI("pull_request", p->pull_request),
           RB_F("delivery", o->q->delivery->key), RB_FI("force", c->force ? 1 : 0),
           RB_F("retry", o->answer->retry[0] == '\0' ? NULL : o->answer->retry),
           RB_F("outcome",
                rc == RB_OK ? rb_command_outcome_name(o->answer->outcome) : rb_code_name(rc)));
}

static const char *actor_of(const struct rb_command *c, struct rb_arena *a)
{
    const struct rb_actor *who = &c->actor;
    if (who->id == NULL || who->name == NULL || strcmp(who->id, who->name) == 0) {
        return who->id != NULL ? who->id : who->name != NULL ? who->name : "a person";
    }
    return rb_arena_printf(a, "%s (%s)", who->name, who->id);
}

enum rb_code rb_command_run(struct rb_engine *e, struct rb_store_session *ses,
                            const struct rb_command_request *q, struct rb_arena *a,
                            struct rb_command_answer *ret_answer, struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    struct rb_err why = {.code = RB_OK};
    struct rb_command_answer answer = {.outcome = RB_COMMAND_REFUSED};
    struct rb_order o = {.e = e,
                         .rt = rt,
                         .ses = ses,
                         .q = q,
                         .c = q->command,
                         .a = a,
                         .err = &why,
                         .answer = &answer,
                         .text = RB_BUF_INIT(RB_COMMAND_TEXT_MAX),
                         .actor = actor_of(q->command, a)};
    answer.stranger = is_stranger(&o);
    enum rb_code rc = carry_out(&o);
    audit(&o, rc);
    if (rc == RB_OK) {
        answer.text = rb_arena_strdup(a, rb_buf_str(&o.text)); /* cut where it grew too long */
        rc = answer.text == NULL ? rb_err_set(&why, RB_E_NOMEM, "no memory for an answer") : RB_OK;
    }
    for (unsigned i = 0; i < o.n_found; i++) {
        rb_retry_free(o.found[i]);
    }
    rb_buf_release(&o.text);
    if (rc != RB_OK) {
        return rb_err_set(err, rc, "%s", why.msg);
    }
    *ret_answer = answer;
    return RB_OK;
}
