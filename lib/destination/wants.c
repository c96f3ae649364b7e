/* Which retries a destination is told about: lists of globs, ANDed, and the stages it asked for. */
#include <retrybuild/cleanup.h>

#include "internal.h"

/* "!glob" excludes; a list of exclusions alone lets the rest pass. */
static bool list_matches(const struct rb_strings *list, const char *s)
{
    bool wanted = false, any_wish = false;

    for (unsigned i = 0; i < list->n; i++) {
        const char *glob = list->items[i];
        if (glob[0] == '!') {
            if (rb_glob_match(glob + 1, s)) {
                return false;
            }
            continue;
        }
        any_wish = true;
        wanted = wanted || rb_glob_match(glob, s);
    }
    return wanted || !any_wish;
}

static bool has_place(const struct rb_destination_setting *d, const struct rb_retry *r,
                      enum rb_stage stage)
{
    const struct rb_destination_type *type = rb_destination_type_find(d->type);

    return type == NULL || type->applies == NULL || type->applies(d, r, stage);
}

bool rb_destination_wants(const struct rb_destination_setting *d, const struct rb_retry *r,
                          enum rb_stage stage)
{
    return d->stages[stage] && list_matches(&d->when_project, r->build.project) &&
           list_matches(&d->when_branch, r->build.branch) &&
           list_matches(&d->when_repository, r->build.repository) &&
           list_matches(&d->when_outcome, rb_state_name(r->state)) &&
           list_matches(&d->when_source, r->source.source) && has_place(d, r, stage);
}
