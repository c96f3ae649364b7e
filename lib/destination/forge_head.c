/* forge_head.c - the head of a branch or of a pull request, as its host has it now. */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "forge_private.h"

static enum rb_code branch_head(const struct rb_forge *f, const struct rb_head_place *p,
                                struct rb_arena *a, const char **ret_commit, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const struct rb_forge_row *row = rb_forge_row_find(f->type);
    const struct rb_forge_ask ask = {.repository = p->repository, .branch = p->branch};

    if (row == NULL) {
        return rb_err_set(err, RB_E_INVALID, "type '%s' has no API here", f->type);
    }
    enum rb_code rc = rb_forge_call(f, "GET", row->branch, &ask, NULL, &j, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "branch");
    }
    const char *commit = rb_forge_text(j, row->branch_commit);
    if (rb_str_empty(commit)) {
        return rb_err_set(err, RB_E_UNAVAIL,
                          "the git host's answer does not say what the branch's head is");
    }
    const char *copy = rb_arena_strdup(a, commit);
    if (copy == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a branch's head");
    }
    *ret_commit = copy;
    return RB_OK;
}

enum rb_code rb_forge_head(const struct rb_forge *f, const struct rb_head_place *p,
                           struct rb_arena *a, const char **ret_commit, struct rb_err *err)
{
    struct rb_forge_pull pull = {.commit = NULL};

    if (p->branch != NULL) {
        return branch_head(f, p, a, ret_commit, err);
    }
    enum rb_code rc = rb_forge_pull(f, p->repository, p->number, a, &pull, err);
    if (rc == RB_OK) {
        *ret_commit = pull.commit;
    }
    return rc;
}
