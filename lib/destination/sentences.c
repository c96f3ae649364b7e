/* What is said about each state: one table of templates. */
#include <retrybuild/cleanup.h>

#include "text.h"

#define TEXT_MAX_BYTES 16384

struct sentences {
    const char *title;   /* short, plain */
    const char *summary; /* names attempt n of m, rule and reason, both builds */
    const char *brief;   /* of a commit status, whose context names the project */
    const char *next;    /* what happens next, or what a person can do */
};

static const struct sentences rows[RB_STATE_COUNT] = {
    [RB_STATE_HELD] =
        {"<project> waits for a decision",
         "<project> waits for a person before retry <attempt> of <limit> (<cause>). Build "
         "<builds>.",
         "Waiting for a person before retry <attempt> of <limit> (<cause>)",
         "Approve to run it again, deny to leave it failed."},
    [RB_STATE_SCHEDULED] = /* told only when an incident holds it, the first of many */
    {"Automatic retries wait: <phase> fails in several projects",
     "Several projects fail in <phase> within minutes: automatic retries wait, and one at a time "
     "goes to see. The first to wait is <project>, build <builds>.",
     "Waiting: <phase> fails in several projects",
     "They go on by themselves once a build recovers, or by `retrybuild resume`; a retry by force "
     "goes at once."},
    [RB_STATE_RUNNING] =
        {"<project> is being retried",
         "<project>: retry <attempt> of <limit> is running (<cause>). Build <builds>.",
         "Retry <attempt> of <limit> is running (<cause>)",
         "The result follows when the build ends."},
    [RB_STATE_RECOVERED] =
        {"<project> recovered",
         "<project> recovered on retry <attempt> of <limit> (<cause>). Build <builds>, <took>.",
         "Recovered on retry <attempt> of <limit> (<cause>)", ""},
    [RB_STATE_FAILED_AGAIN] =
        {"<project> failed again",
         "<project> failed again on retry <attempt> of <limit> (<cause>). Build <builds>, <took>: "
         "<why>.",
         "Failed again on retry <attempt> of <limit>: <why>",
         "No further retry: look at the build, or ask for one with /retry."},
    [RB_STATE_REFUSED] =
        {"<project> was not retried",
         "<project> was not retried: <why> (retry <attempt> of <limit>, <cause>). Build <builds>.",
         "Not retried: <why>", "A person can ask for a retry: /retry, or retrybuild retry."},
    [RB_STATE_SUPERSEDED] =
        {"<project> was not retried",
         "<project> was not retried: <why> (retry <attempt> of <limit>, <cause>). Build <builds>.",
         "Not retried: <why>", "The newer build counts."},
    [RB_STATE_DEFERRED] = {"<project> is retried by CodeBuild itself",
                           "<project> is left to CodeBuild's own retry: <why>. Build <builds>.",
                           "Left to CodeBuild's own retry: <why>", ""},
    [RB_STATE_CANCELLED] =
        {"<project>: the retry was cancelled",
         "<project>: retry <attempt> of <limit> was cancelled: <why> (<cause>). Build <builds>.",
         "Retry <attempt> of <limit> was cancelled: <why>",
         "A person can ask for another one: /retry."},
    [RB_STATE_DEAD] =
        {"<project> could not be retried",
         "<project>: retry <attempt> of <limit> was given up: <why> (<cause>). Build <builds>.",
         "Retry <attempt> of <limit> was given up: <why>",
         "Look at the build, then requeue it: retrybuild requeue <retry>."},
};

static const struct sentences *sentences_of(const struct rb_retry *r)
{
    static const struct sentences other = {"<project>: <state>",
                                           "<project>: <state>. Build "
                                           "<builds>.",
                                           "<state>", ""};

    return rows[r->state].title == NULL ? &other : &rows[r->state];
}

void rb_text_title(const struct rb_report_view *v, struct rb_buf *out)
{
    rb_text_expand(sentences_of(v->retry)->title, v, RB_MARKUP_PLAIN, out);
}

void rb_text_summary(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out)
{
    rb_text_expand(sentences_of(v->retry)->summary, v, markup, out);
}

void rb_text_next(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out)
{
    const char *next = sentences_of(v->retry)->next;

    rb_text_expand(rb_text_goes_on(v->retry) ? "Another retry follows." : next, v, markup, out);
}

void rb_text_short(const struct rb_report_view *v, size_t max_chars, struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);

    rb_text_expand(sentences_of(v->retry)->brief, v, RB_MARKUP_PLAIN, &text);
    rb_text_cut(&text, max_chars);
    rb_buf_adds(out, rb_buf_str(&text));
}
