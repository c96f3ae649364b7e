/* batch_look.c - what AWS shows of batch builds: ours, the newer ones of its project, and what made
 * one fail. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#define RB_BATCHES_MAX 100
#define RB_BATCH_STALE_POLLS 20
#define RB_BATCH_NOTE_BYTES 400

const char *rb_batch_id(const char *arn)
{
    static const char mark[] = ":build-batch/";
    const char *at = arn == NULL ? NULL : strstr(arn, mark);

    return at == NULL || at[sizeof(mark) - 1] == '\0' ? NULL : at + sizeof(mark) - 1;
}

enum rb_code rb_batch_get(struct rb_worker *w, const char *account, const char *region,
                          const char *const *ids, unsigned n, struct rb_arena *a,
                          struct rb_batch **ret_batches, unsigned *ret_n, struct rb_err *err)
{
    enum rb_code rc;
    unsigned tries = 0;

    rb_codebuild_of_account(w->codebuild, account);
    do {
        rc = rb_codebuild_get_batches(w->codebuild, region, ids, n, a, ret_batches, ret_n, err);
    } while (rb_look_worth_another(w->e, rc, tries++));
    return rc;
}

static enum rb_code list_batches(struct rb_work *k, const char ***ret_ids, unsigned *ret_n,
                                 bool *ret_more, struct rb_err *err)
{
    const struct rb_build *b = &k->r->build;
    const char *next = NULL;
    enum rb_code rc;
    unsigned tries = 0;

    rb_codebuild_of_account(k->w->codebuild, b->account);
    do {
        rc = rb_codebuild_list_batches(k->w->codebuild, b->region, b->project, NULL, &k->arena,
                                       ret_ids, ret_n, &next, err);
    } while (rb_look_worth_another(k->e, rc, tries++));
    *ret_more = next != NULL;
    return rc;
}

/* Our batch and those of the newest page: nobody starts a hundred batches while we look away, and
 * where somebody did, the look says that it is cut. */
static enum rb_code look(struct rb_work *k, bool others, int64_t down_to, struct rb_batch_look *l,
                         struct rb_err *err)
{
    const char *want[RB_BATCHES_MAX] = {rb_batch_id(k->r->build.batch_arn)};
    const char **ids = NULL;
    struct rb_batch *found = NULL;
    unsigned n_ids = 0, n_want = 1, n_found = 0;
    int64_t lowest = INT64_MAX;
    bool more = false;

    enum rb_code rc = RB_OK;
    if (others) {
        rc = list_batches(k, &ids, &n_ids, &more, err);
    }
    for (unsigned i = 0; rc == RB_OK && i < n_ids; i++) {
        if (n_want == RB_BATCHES_MAX) {
            more = true;
        } else if (!rb_str_eq(ids[i], want[0])) {
            want[n_want++] = ids[i];
        }
    }
    if (rc == RB_OK) {
        rc = rb_batch_get(k->w, k->r->build.account, k->r->build.region, want, n_want, &k->arena,
                          &found, &n_found, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    l->look.builds = rb_arena_alloc(&k->arena, (n_found + 1) * sizeof(*l->look.builds));
    if (l->look.builds == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory to look at batches");
    }
    for (unsigned i = 0; i < n_found; i++) {
        const struct rb_build *b = &found[i].b;
        l->look.highest = b->number > l->look.highest ? b->number : l->look.highest;
        lowest = b->number < lowest ? b->number : lowest;
        if (rb_str_eq(b->id, want[0])) {
            l->own = &found[i];
            down_to = down_to == 0 ? b->number : down_to;
        } else {
            l->look.builds[l->look.n_builds++] = b;
        }
    }
    if (n_found < n_want || (more && lowest > down_to)) {
        l->look.status = RB_LOOK_CUT; /* what is listed and not shown could be ours */
    }
    return rb_work_keep(k, k->lease_ms / 2, err);
}

void rb_batch_look(struct rb_work *k, bool others, int64_t down_to, struct rb_batch_look *ret,
                   struct rb_err *err)
{
    int64_t began_boot_ms = rb_boot_ms(k->e->clock);

    *ret = (struct rb_batch_look){.look = {.status = RB_LOOK_OK}};
    ret->look.rc = look(k, others, down_to, ret, err);
    if (ret->look.rc != RB_OK) {
        ret->look.status = rb_look_definite_no(ret->look.rc) ? RB_LOOK_DENIED : RB_LOOK_FAILED;
    }
    /* The clock may have been corrected by the look itself: count back from now. */
    ret->look.began_ms = rb_aws_now_ms(k->e->aws) - (rb_boot_ms(k->e->clock) - began_boot_ms);
}

void rb_batch_look_since(struct rb_work *k, struct rb_look *ret, struct rb_err *err)
{
    struct rb_batch_look l;

    rb_batch_look(k, true, k->r->intent.low_water, &l, err);
    if (l.own != NULL && rb_plan_rerun(k->r, &l.own->b)) {
        l.look.builds[0] = &l.own->b;
        l.look.n_builds = 1;
        l.look.status = RB_LOOK_OK;
    }
    *ret = l.look;
}

/* ---- the child ---- */

static const char *first_failed(const struct rb_batch *b)
{
    for (unsigned i = 0; i < b->n_members; i++) {
        const struct rb_build told = {.status = b->members[i].status};
        if (b->members[i].newest && !b->members[i].ignored && rb_build_failed(&told)) {
            return b->members[i].id;
        }
    }
    return NULL;
}

/* The rules judge a batch by its first build that failed, in the order of its groups. */
static enum rb_code explain(struct rb_work *k, const struct rb_batch *batch, struct rb_build *b,
                            struct rb_err *err)
{
    struct rb_fetch f = {.account = b->account, .region = b->region, .id = first_failed(batch)};

    if (f.id == NULL) {
        return RB_OK;
    }
    rb_fetch_builds(k->w, &f, 1, &k->arena);
    if (f.rc != RB_OK && !rb_look_definite_no(f.rc)) {
        return rb_err_set(err, f.rc, "%s", f.err.msg);
    }
    if (f.build != NULL) {
        b->phase = f.build->phase;
        b->phase_status = f.build->phase_status;
        b->message = f.build->message;
        b->exit_code = f.build->exit_code;
        b->url = f.build->url;
    }
    return RB_OK;
}

/* The run that our call started is seen for the first time: it is our child from here on. */
static enum rb_code take_run(struct rb_work *k, const struct rb_build *b, struct rb_err *err)
{
    char key[RB_KEY_BYTES];

    k->r->child.run_ms = b->run_ms;
    rb_build_key(&k->r->child, key);
    struct rb_settle s = {.keep_lease = true, .child_key = key};
    return rb_work_settle(k, &s, false, err);
}

/* CodeBuild took the call, but shows the run of before. */
static enum rb_code not_begun(struct rb_work *k, struct rb_err *err)
{
    static const char *const note = "CodeBuild does not show the new run of the batch yet";
    int64_t poll_ms = k->rt->settings->timing.follow_poll_ms;

    if (rb_engine_now_ms(k->e) - k->r->submitted_ms > RB_BATCH_STALE_POLLS * poll_ms) {
        return rb_work_finish(k, RB_STATE_DEAD,
                              "CodeBuild took the call and never showed a new run of the batch",
                              err);
    }
    return rb_work_later(k, poll_ms, note, err);
}

enum rb_code rb_batch_followed(struct rb_work *k, const struct rb_batch *seen,
                               const struct rb_build **ret_seen, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    struct rb_build *b = rb_arena_alloc(&k->arena, sizeof(*b));

    *ret_seen = NULL;
    if (b == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a batch");
    }
    *b = seen->b;
    if (rb_str_eq(b->arn, r->build.batch_arn) && b->run_ms == r->build.run_ms) {
        return not_begun(k, err);
    }
    if (r->child.run_ms == 0) {
        enum rb_code rc = take_run(k, b, err);
        if (rc == RB_E_CONFLICT) {
            return rb_work_finish(k, RB_STATE_DEAD,
                                  "the run that CodeBuild started is claimed by another retry",
                                  err);
        }
        if (rc != RB_OK) {
            return rc;
        }
    } else if (b->run_ms != r->child.run_ms) {
        return rb_work_finish(k, RB_STATE_FAILED_AGAIN,
                              "the batch was run once more by somebody else, before the end of our "
                              "run was seen",
                              err);
    }
    if (rb_build_failed(b)) {
        enum rb_code rc = explain(k, seen, b, err);
        if (rc != RB_OK) {
            rb_log(RB_LOG_WARN, "follow.failed", RB_F("retry", r->id), RB_F("error", err->msg));
            return rc == RB_E_CLOSED
                       ? rc
                       : rb_work_later(k, k->rt->settings->timing.follow_poll_ms, NULL, err);
        }
    }
    *ret_seen = b;
    return RB_OK;
}
