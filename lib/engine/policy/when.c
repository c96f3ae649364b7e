/* when.c - do the conditions of a user's rule hold? A table of globs, then numbers, hours, what the
 * ledger knows, and the expressions, the log last: it may have to be fetched. */
#include <stddef.h>

#include <retrybuild/cleanup.h>

#include "rules.h"

/* In the order in which explain shows them. */
static const struct {
    const char *name;
    size_t globs; /* in struct rb_when */
    size_t value; /* in struct rb_build */
} conditions[] = {
    {"project", offsetof(struct rb_when, project), offsetof(struct rb_build, project)},
    {"repository", offsetof(struct rb_when, repository), offsetof(struct rb_build, repository)},
    {"branch", offsetof(struct rb_when, branch), offsetof(struct rb_build, branch)},
    {"account", offsetof(struct rb_when, account), offsetof(struct rb_build, account)},
    {"region", offsetof(struct rb_when, region), offsetof(struct rb_build, region)},
    {"status", offsetof(struct rb_when, status), offsetof(struct rb_build, status)},
    {"phase", offsetof(struct rb_when, phase), offsetof(struct rb_build, phase)},
    {"phase_status", offsetof(struct rb_when, phase_status),
     offsetof(struct rb_build, phase_status)},
    {"initiator", offsetof(struct rb_when, initiator), offsetof(struct rb_build, initiator)},
    {"author", offsetof(struct rb_when, author), offsetof(struct rb_build, author)},
};

bool rb_globs_match(const struct rb_strings *globs, const char *value)
{
    bool included = false;
    bool only_exclusions = true;
    if (value == NULL) {
        return false;
    }
    for (unsigned i = 0; i < globs->n; i++) {
        const char *glob = globs->items[i];
        if (glob[0] == '!') {
            if (rb_glob_match(glob + 1, value)) {
                return false;
            }
        } else {
            only_exclusions = false;
            included = included || rb_glob_match(glob, value);
        }
    }
    return included || only_exclusions;
}

static bool hours_match(const struct conditions *c, int64_t now_ms)
{
    for (unsigned i = 0; i < c->n_hours; i++) {
        if (rb_hours_match(&c->hours[i], now_ms)) {
            return true;
        }
    }
    return c->n_hours == 0;
}

/* range_failed - a value that is not known is in no range. */
static bool range_failed(const struct rb_range *r, unsigned n, bool known, int64_t v)
{
    return n > 0 && (!known || !rb_ranges_match(r, n, v));
}

static const char *numbers_failed(const struct rb_when *when, const struct conditions *c,
                                  const struct rb_policy_input *in)
{
    const struct rb_build *b = in->build;
    bool timed = b->started_ms > 0 && b->ended_ms >= b->started_ms;
    if (range_failed(c->exit_code, c->n_exit_code, b->exit_code >= 0, b->exit_code)) {
        return "exit_code";
    }
    if (range_failed(c->attempt, c->n_attempt, true, in->attempt + 1)) {
        return "attempt";
    }
    if (range_failed(c->duration, c->n_duration, timed, b->ended_ms - b->started_ms)) {
        return "duration";
    }
    if (!hours_match(c, in->now_ms)) {
        return "hours";
    }
    if (when->flaky != RB_FLAKY_ANY && (when->flaky == RB_FLAKY_TRUE) != in->flaky) {
        return "flaky";
    }
    return NULL;
}

static const char *texts_failed(const struct conditions *c, const struct rb_policy_input *in,
                                bool *ret_needs_log)
{
    if (c->message != NULL &&
        !rb_pattern_find(c->message, rb_slice_str(in->build->message), NULL)) {
        return "message";
    }
    if (c->log == NULL) {
        return NULL;
    }
    if (!in->log_known) {
        *ret_needs_log = true;
        return "log";
    }
    return rb_pattern_find(c->log, rb_slice_str(in->log), NULL) ? NULL : "log";
}

const char *rb_when_failed(const struct rb_policy *p, unsigned i, const struct rb_policy_input *in,
                           bool *ret_needs_log)
{
    const struct rb_when *when = &p->settings->rules[i].when;
    if (p->settings->rules[i].how == RB_HOW_PIPELINE && !rb_of_pipeline(in->build)) {
        return "how"; /* there is no stage to retry */
    }
    for (size_t c = 0; c < RB_ARRAY_LEN(conditions); c++) {
        const char *value = NULL;
        struct rb_strings globs;
        memcpy(&globs, (const char *)when + conditions[c].globs, sizeof(globs));
        memcpy(&value, (const char *)in->build + conditions[c].value, sizeof(value));
        if (globs.n > 0 && !rb_globs_match(&globs, value)) {
            return conditions[c].name;
        }
    }
    if (when->source.n > 0 && !rb_globs_match(&when->source, in->source)) {
        return "source";
    }
    const char *failed = numbers_failed(when, &p->rules[i], in);
    return failed != NULL ? failed : texts_failed(&p->rules[i], in, ret_needs_log);
}
