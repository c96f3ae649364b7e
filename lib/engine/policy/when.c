/* when.c - the conditions of a user's rule: a table of globs, and the message's expression. */
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

const char *rb_when_failed(const struct rb_policy *p, unsigned i, const struct rb_policy_input *in)
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
    if (p->messages[i] != NULL &&
        !rb_pattern_find(p->messages[i], rb_slice_str(in->build->message), NULL)) {
        return "message";
    }
    return NULL;
}
