/* hook_batch.c - the status of a batch means the builds of it that made it fail; runs in a
 * front-door thread.
 *
 * A batch is reported as one status, or as one of each of its builds, and each of them may link to
 * the batch. All lead to the same builds, which are told apart by their own ids; that they are run
 * again together is the engine's to see to.
 */
#include "hook_find.h"

#include <string.h>

#include <retrybuild/cleanup.h>

#define ANSWERS_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* take - the builds that made @batch fail; what was said of the batch is said of each. */
static enum rb_code take(const struct rb_batch *batch, const struct rb_build *said,
                         struct rb_arena *a, struct rb_build **ret_builds, unsigned *ret_n,
                         struct rb_err *err)
{
    unsigned n = 0;
    struct rb_build *builds = rb_arena_alloc(a, (batch->n_members + 1) * sizeof(*builds));
    bool kept = builds != NULL;
    for (unsigned i = 0; kept && i < batch->n_members && n < RB_MAX_EVENTS; i++) {
        const struct rb_batch_member *m = &batch->members[i];
        const struct rb_build as = {.status = m->status};
        struct rb_build b = RB_BUILD_INIT;
        struct rb_build ref = RB_BUILD_INIT;
        if (!m->newest || m->ignored || !rb_build_failed(&as) ||
            rb_build_parse_ref(m->id, a, &ref, NULL) != RB_OK) {
            continue;
        }
        b.region = said->region;
        b.account = batch->b.account != NULL ? batch->b.account : said->account;
        b.project = ref.project;
        b.id = ref.id;
        b.batch_arn = batch->b.arn;
        b.resolved_version = said->resolved_version;
        b.repository = said->repository;
        b.branch = said->branch;
        b.author = said->author;
        kept = rb_build_copy(&builds[n++], &b, a);
    }
    if (!kept) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the builds of a batch");
    }
    *ret_builds = builds;
    *ret_n = n;
    return RB_OK;
}

static enum rb_code look(const struct rb_finder *f, const char *account,
                         const struct rb_build *said, struct rb_arena *a,
                         struct rb_build **ret_builds, unsigned *ret_n, bool *ret_found,
                         struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena answers;
    struct rb_batch *batches = NULL;
    unsigned n = 0;
    rb_arena_init(&answers, ANSWERS_MAX_BYTES);
    enum rb_code rc = rb_finder_begin(f, account, err);
    if (rc == RB_OK) {
        rc = rb_codebuild_get_batches(f->codebuild, said->region, &said->id, 1, &answers, &batches,
                                      &n, err);
    }
    if (rc != RB_OK || n == 0) {
        return rc;
    }
    *ret_found = true;
    return take(&batches[0], said, a, ret_builds, ret_n, err);
}

/* name_batch - the batch of the newest build of this commit that failed. */
static enum rb_code name_batch(const struct rb_finder *f, struct rb_build *said, struct rb_arena *a,
                               struct rb_err *err)
{
    static const char mark[] = ":build-batch/";
    struct rb_build newest = *said;
    if (said->resolved_version == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND,
                          "neither its link nor a commit says which batch failed");
    }
    enum rb_code rc = rb_find_commit(f, &newest, a, err);
    if (rc != RB_OK) {
        return rc;
    }
    const char *at = newest.batch_arn == NULL ? NULL : strstr(newest.batch_arn, mark);
    if (at == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND,
                          "the newest failed build of project '%.255s' and this commit is of no "
                          "batch",
                          said->project);
    }
    said->id = at + sizeof(mark) - 1;
    said->account = newest.account;
    return RB_OK;
}

enum rb_code rb_find_batch(const struct rb_finder *f, const struct rb_build *batch,
                           struct rb_arena *a, struct rb_build **ret_builds, unsigned *ret_n,
                           struct rb_err *err)
{
    struct rb_build said = *batch;
    const char *account = NULL;
    enum rb_code rc = said.id != NULL ? RB_OK : name_batch(f, &said, a, err);
    for (unsigned i = 0; rc == RB_OK && rb_finder_account(f, i, &account); i++) {
        bool found = false;
        rc = look(f, account, &said, a, ret_builds, ret_n, &found, err);
        if (found) {
            return rc;
        }
        rc = rb_finder_not_there(rc) ? RB_OK : rc;
    }
    return rc != RB_OK
               ? rc
               : rb_err_set(err, RB_E_NOT_FOUND, "CodeBuild does not show batch '%.300s'", said.id);
}
