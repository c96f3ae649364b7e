/* command_text.c - what a person is told: one line a retry, always with the build, the project, the
 * attempt and a link. */
#include "command_internal.h"

#define RB_TEXT_NOTES 3

static const char *state_words(enum rb_state s)
{
    switch ((int)s) {
    case RB_STATE_RECEIVED:
        return "is being looked at";
    case RB_STATE_SCHEDULED:
        return "will be retried";
    case RB_STATE_SUBMITTING:
        return "is being submitted";
    case RB_STATE_RUNNING:
        return "is running again";
    case RB_STATE_HELD:
        return "waits for approval";
    case RB_STATE_FAILED_AGAIN:
        return "failed again";
    case RB_STATE_DEAD:
        return "was given up";
    default:
        return rb_state_name(s);
    }
}

static void add_attempt(const struct rb_retry *r, struct rb_buf *out)
{
    if (r->limit >= r->attempt) {
        rb_buf_addf(out, "attempt %lld of %lld", (long long)r->attempt, (long long)r->limit);
    } else {
        rb_buf_addf(out, "attempt %lld", (long long)r->attempt);
    }
}

void rb_order_line(const struct rb_retry *r, struct rb_buf *out)
{
    rb_buf_addf(out, "`%s` (%s", r->build.id, r->build.project);
    if (r->build.branch != NULL) {
        rb_buf_addf(out, ", %s", r->build.branch);
    }
    rb_buf_addf(out, "): %s, ", state_words(r->state));
    add_attempt(r, out);
    if (rb_state_terminal(r->state) && r->state != RB_STATE_RECOVERED &&
        r->decision.reason != NULL) {
        rb_buf_addf(out, " - %.300s", r->decision.reason);
    }
    rb_buf_adds(out, " - ");
    rb_build_add_link(r->has_child ? &r->child : &r->build, out);
    rb_buf_addf(out, " (%s)", r->id);
}

void rb_order_explain(const struct rb_retry *r, struct rb_buf *out)
{
    rb_order_line(r, out);
    if (r->decision.rule != NULL) {
        rb_buf_addf(out, "\nRule `%s` said %s: %s", r->decision.rule,
                    rb_action_name(r->decision.action),
                    r->decision.reason == NULL ? "" : r->decision.reason);
    } else {
        rb_buf_adds(out, "\nNo rule has decided yet: CodeBuild is asked about the build first.");
    }
    if (r->build.phase != NULL) {
        rb_buf_addf(out, "\nThe build ended as %s in phase %s%s%.300s",
                    r->build.status == NULL ? "?" : r->build.status, r->build.phase,
                    r->build.message == NULL ? "" : ": ",
                    r->build.message == NULL ? "" : r->build.message);
    }
    unsigned from = r->n_history > RB_TEXT_NOTES ? r->n_history - RB_TEXT_NOTES : 0;
    for (unsigned i = from; i < r->n_history; i++) {
        if (r->history[i].note != NULL) {
            rb_buf_addf(out, "\n%s: %.300s", rb_state_name(r->history[i].state),
                        r->history[i].note);
        }
    }
}

void rb_order_help(const struct rb_order *o, struct rb_buf *out)
{
    const struct rb_source_setting *s = o->q->source;
    rb_buf_adds(out, "retrybuild understands:");
    for (unsigned v = 0; v < RB_COMMAND_VERB_COUNT; v++) {
        bool on = s->commands.n == 0 || v == RB_COMMAND_HELP;
        for (unsigned i = 0; i < s->commands.n; i++) {
            on = on ||
                 rb_str_eq(s->commands.items[i], rb_command_verb_name((enum rb_command_verb)v));
        }
        if (on) {
            rb_buf_addf(out, "\n`%s`", rb_command_usage((enum rb_command_verb)v));
        }
    }
    rb_buf_adds(out, "\nA target is a build (project:uuid, uuid, ARN or console link), a project, "
                     "`last`, `#pr`, a commit, or a retry (rty_…). `/retest` runs again what "
                     "failed of a pull request.");
}

void rb_order_nothing(struct rb_order *o)
{
    const struct rb_command *c = o->c;
    const char *what = c->verb == RB_COMMAND_APPROVE || c->verb == RB_COMMAND_DENY
                           ? "Nothing waits for approval"
                       : c->verb == RB_COMMAND_CANCEL ? "No retry is under way"
                                                      : "No failed build is known";
    rb_buf_adds(&o->text, what);
    switch (c->target) {
    case RB_TARGET_NONE:
    case RB_TARGET_LAST:
    case RB_TARGET_FAILED:
        if (c->place.pull_request > 0) {
            rb_buf_addf(&o->text, " of pull request #%lld", (long long)c->place.pull_request);
        }
        break;
    case RB_TARGET_BUILD:
    case RB_TARGET_UUID:
    case RB_TARGET_RETRY:
    case RB_TARGET_PROJECT:
    case RB_TARGET_PULL:
    case RB_TARGET_COMMIT:
    default:
        rb_buf_addf(&o->text, " for '%.200s'", c->target_text);
        break;
    }
    rb_buf_adds(&o->text, c->place.repository == NULL ? "." : " in this repository.");
}
