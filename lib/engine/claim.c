/* claim.c - whether what a delivery asserts of a build is so.
 *
 * A commit status is an assertion by anybody who may push to some repository, and names a build by
 * a link that anybody can write. What shows that the build is of that repository is its commit, in
 * full; where CodeBuild shows none (it failed before its source was there, or has none), its
 * source. A build that has neither is run again for a git host only where the source's `who` names
 * its project for whoever may write there.
 */
#include "internal.h"

#include <retrybuild/forge.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FULL_COMMIT 40

/* same_commit - either may be cut short. */
static bool same_commit(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    return strncasecmp(a, b, a_len < b_len ? a_len : b_len) == 0;
}

static bool lists(const struct rb_strings *globs, const char *s)
{
    for (unsigned i = 0; s != NULL && i < globs->n; i++) {
        if (rb_glob_match(globs->items[i], s)) {
            return true;
        }
    }
    return false;
}

/* named_for_writers - a row that lists this project lets whoever may write to a repository of this
 * source retry its builds, and a status is the word of such a one. */
static bool named_for_writers(const struct rb_work *k, const char *project)
{
    const struct rb_settings *s = k->rt->settings;
    for (unsigned i = 0; i < s->n_sources; i++) {
        const struct rb_source_setting *source = &s->sources[i];
        for (unsigned n = 0; rb_str_eq(source->name, k->r->source.source) && n < source->n_who;
             n++) {
            const struct rb_who_setting *w = &source->who[n];
            bool writers = w->permission == RB_PERMISSION_READ ||
                           w->permission == RB_PERMISSION_WRITE ||
                           (w->anyone && w->permission == RB_PERMISSION_NONE);
            bool only = w->users.n == 0 && w->groups.n == 0 && w->channels.n == 0;
            if (writers && only && (w->commands.n == 0 || lists(&w->commands, "retry")) &&
                lists(&w->projects, project)) {
                return true;
            }
        }
    }
    return false;
}

/* of_another_place - a git host told of this build, and nothing shows that it is of the repository
 * where it was told. */
static bool of_another_place(const struct rb_work *k, const struct rb_build *seen, char *ret_note,
                             size_t note_size)
{
    const struct rb_build *said = &k->r->build;
    const char *commit = rb_build_commit(seen);
    if (!rb_forge_known(k->r->source.type)) {
        return false;
    }
    if (said->resolved_version != NULL && commit != NULL &&
        strlen(said->resolved_version) >= FULL_COMMIT && strlen(commit) >= FULL_COMMIT) {
        return false; /* they agree, and nobody has a commit of another repository by chance */
    }
    bool has_one = rb_repository_is(seen->repository);
    if (has_one && rb_repository_same(said->repository, seen->repository)) {
        return false;
    }
    if (has_one && said->repository != NULL) {
        snprintf(ret_note, note_size,
                 "the delivery is of repository %.180s, but the build is of %.180s",
                 said->repository, seen->repository);
        return true;
    }
    if (has_one) {
        snprintf(ret_note, note_size,
                 "the delivery names no repository, and the build of %.180s shows no commit to "
                 "compare",
                 seen->repository);
        return true;
    }
    if (named_for_writers(k, seen->project)) {
        return false;
    }
    snprintf(ret_note, note_size,
             "the build has no repository (source type %.40s), so nothing shows that it is of the "
             "one that told of it; a row of `who` of source '%.64s' that lists project %.100s "
             "for permission write allows it",
             seen->source_type == NULL ? "unknown" : seen->source_type, k->r->source.source,
             seen->project);
    return true;
}

bool rb_claim_contradicted(const struct rb_work *k, const struct rb_build *seen, char *ret_note,
                           size_t note_size)
{
    const struct rb_build *said = &k->r->build;
    const char *commit = rb_build_commit(seen);
    if (said->account != NULL && seen->account != NULL &&
        strcmp(said->account, seen->account) != 0) {
        snprintf(ret_note, note_size,
                 "the delivery names account %.20s, but the build is of account %.20s",
                 said->account, seen->account);
        return true;
    }
    if (said->resolved_version != NULL && commit != NULL &&
        !same_commit(said->resolved_version, commit)) {
        snprintf(ret_note, note_size,
                 "the delivery names commit %.64s, but the build is of commit %.64s",
                 said->resolved_version, commit);
        return true;
    }
    return of_another_place(k, seen, ret_note, note_size);
}
