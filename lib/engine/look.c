/* look.c - what AWS shows: our build and the newer ones of its project, newest first.
 *
 * Lists give ids only; the builds are fetched in growing portions, because what is asked for nearly
 * always stands at the very front. Sorting is never asked for: CodeBuild refuses it for projects
 * with many builds, and its default is the order we want.
 */
#include "internal.h"

#include <string.h>

#define RB_LOOK_PAGES 20
#define RB_LOOK_FIRST 9 /* with our own build: ten in the first call */
#define RB_GET_MAX 100
#define RB_LOOK_MAX_BUILDS (RB_LOOK_PAGES * RB_GET_MAX)
#define RB_HALVES_PART 3 /* of a lease, for asking again in halves */
#define RB_LOOK_LONG_AGO_MS (15 * 60 * 1000)

bool rb_look_definite_no(enum rb_code rc)
{
    return rc == RB_E_REFUSED || rc == RB_E_NOT_FOUND || rc == RB_E_DENIED || rc == RB_E_INVALID ||
           rc == RB_E_MISMATCH;
}

/* Credentials that went stale and a clock that was off are put right by the failed call itself (or
 * by asking again): one more try, at once. */
bool rb_look_worth_another(struct rb_engine *e, enum rb_code rc, unsigned tries)
{
    if (tries > 0 || (rc != RB_E_CREDENTIALS && rc != RB_E_CLOCK)) {
        return false;
    }
    if (rc == RB_E_CREDENTIALS) {
        rb_aws_credentials_refused(e->aws);
    }
    return true;
}

static enum rb_code get_builds(struct rb_worker *w, const char *account, const char *region,
                               const char *const *ids, unsigned n, struct rb_arena *a,
                               struct rb_build **ret_builds, unsigned *ret_n, struct rb_err *err)
{
    enum rb_code rc;
    unsigned tries = 0;

    rb_codebuild_of_account(w->codebuild, account);
    do {
        rc = rb_codebuild_get(w->codebuild, region, ids, n, a, ret_builds, ret_n, err);
    } while (rb_look_worth_another(w->e, rc, tries++));
    return rc;
}

static enum rb_code list_page(struct rb_worker *w, const struct rb_build *own, const char *next,
                              struct rb_arena *a, const char ***ret_ids, unsigned *ret_n,
                              const char **ret_next, struct rb_err *err)
{
    enum rb_code rc;
    unsigned tries = 0;

    rb_codebuild_of_account(w->codebuild, own->account);
    do {
        rc = rb_codebuild_list(w->codebuild, own->region, own->project, next, a, ret_ids, ret_n,
                               ret_next, err);
    } while (rb_look_worth_another(w->e, rc, tries++));
    return rc;
}

/* A walk through the builds of a project, newest first. */
struct walk {
    struct rb_work *k;
    struct rb_look *look;
    const char *own_id; /* fetched with the first portion; NULL = not asked for */
    bool all;
    int64_t down_to; /* number at which the walk ends; follows our own build's when own_id is set */
    int64_t long_ago_ms; /* builds started before this end the walk; 0 = no such limit */
    unsigned portion;
    bool ended, holes;
};

static void see_build(struct walk *w, const struct rb_build *b, bool *past)
{
    struct rb_look *look = w->look;

    if (w->own_id != NULL && rb_str_eq(b->id, w->own_id)) {
        look->own = b;
        return;
    }
    if (b->number > look->highest) {
        look->highest = b->number;
    }
    if ((b->number != 0 && b->number <= w->down_to) ||
        (b->started_ms != 0 && b->started_ms < w->long_ago_ms)) {
        *past = true;
        return;
    }
    if (look->n_builds < RB_LOOK_MAX_BUILDS) {
        look->builds[look->n_builds++] = b;
    }
}

/* Our own build is found in the first portion; only then is it known which ones are newer. */
static void drop_older(struct walk *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->look->n_builds; i++) {
        if (w->look->builds[i]->number > w->down_to) {
            w->look->builds[n++] = w->look->builds[i];
        } else {
            w->ended = true;
        }
    }
    w->look->n_builds = n;
}

static enum rb_code walk_portion(struct walk *w, const char *const *ids, unsigned n,
                                 struct rb_err *err)
{
    const char *want[RB_GET_MAX];
    struct rb_build *builds = NULL;
    unsigned n_want = 0, n_builds = 0;
    bool first_own = w->own_id != NULL && w->look->own == NULL;
    bool past = false;

    if (first_own) {
        want[n_want++] = w->own_id;
    }
    for (unsigned i = 0; i < n; i++) {
        if (w->own_id == NULL || !rb_str_eq(ids[i], w->own_id)) {
            want[n_want++] = ids[i];
        }
    }
    if (n_want == 0) {
        return RB_OK;
    }
    enum rb_code rc = get_builds(w->k->w, w->k->r->build.account, w->k->r->build.region, want,
                                 n_want, &w->k->arena, &builds, &n_builds, err);
    if (rc != RB_OK) {
        return rc;
    }
    for (unsigned i = 0; i < n_builds; i++) {
        see_build(w, &builds[i], &past);
    }
    if (first_own) {
        if (w->look->own == NULL) {
            w->ended = true; /* CodeBuild does not know it: nothing more to learn */
            return RB_OK;
        }
        w->down_to = w->look->own->number;
        if (w->down_to > w->look->highest) {
            w->look->highest = w->down_to;
        }
        drop_older(w);
    }
    if (n_builds < n_want) {
        w->holes = true;
    }
    if (past || !w->all) {
        w->ended = true;
    }
    return rb_work_keep(w->k, w->k->lease_ms / 2, err);
}

static enum rb_code walk_page(struct walk *w, const char *const *ids, unsigned n,
                              struct rb_err *err)
{
    for (unsigned at = 0; (at < n || (n == 0 && w->own_id != NULL)) && !w->ended;) {
        unsigned take = n - at < w->portion ? n - at : w->portion;
        enum rb_code rc = walk_portion(w, ids + at, take, err);
        if (rc != RB_OK) {
            return rc;
        }
        at += take;
        w->portion = RB_GET_MAX - 1;
        if (n == 0) {
            break;
        }
    }
    return RB_OK;
}

static enum rb_code walk_pages(struct walk *w, struct rb_err *err)
{
    const char *next = NULL;

    for (unsigned page = 0; page < RB_LOOK_PAGES; page++) {
        const char **ids = NULL;
        const char *after = NULL;
        unsigned n = 0;
        enum rb_code rc =
            list_page(w->k->w, &w->k->r->build, next, &w->k->arena, &ids, &n, &after, err);
        if (rc == RB_OK) {
            rc = walk_page(w, ids, n, err);
        }
        if (rc != RB_OK) {
            return rc;
        }
        if (w->ended || after == NULL) {
            return RB_OK;
        }
        next = after;
    }
    w->look->status = RB_LOOK_CUT;
    return RB_OK;
}

static void walk_run(struct walk *w, struct rb_look *ret, struct rb_err *err)
{
    struct rb_engine *e = w->k->e;
    int64_t began_boot_ms = rb_boot_ms(e->clock);

    *ret = (struct rb_look){.status = RB_LOOK_OK};
    w->look = ret;
    w->portion = RB_LOOK_FIRST;
    ret->builds = rb_arena_alloc(&w->k->arena, RB_LOOK_MAX_BUILDS * sizeof(*ret->builds));
    if (ret->builds == NULL) {
        ret->rc = rb_err_set(err, RB_E_NOMEM, "no memory to look at builds");
    } else {
        ret->rc = walk_pages(w, err);
    }
    if (ret->rc != RB_OK) {
        ret->status = rb_look_definite_no(ret->rc) ? RB_LOOK_DENIED : RB_LOOK_FAILED;
    }
    /* The clock may have been corrected by the look itself: count back from now. */
    ret->began_ms = rb_aws_now_ms(e->aws) - (rb_boot_ms(e->clock) - began_boot_ms);
}

void rb_look_fresh(struct rb_work *k, bool all, struct rb_look *ret, struct rb_err *err)
{
    struct walk w = {.k = k, .own_id = k->r->build.id, .all = all, .down_to = 0};
    walk_run(&w, ret, err);
}

void rb_look_since(struct rb_work *k, struct rb_look *ret, struct rb_err *err)
{
    struct walk w = {
        .k = k,
        .all = true,
        .down_to = k->r->intent.low_water,
        .long_ago_ms = k->r->intent.date_ms - RB_LOOK_LONG_AGO_MS,
    };
    walk_run(&w, ret, err);
    if (ret->status == RB_LOOK_OK && w.holes) {
        ret->status = RB_LOOK_CUT; /* a build that is listed but not shown could be ours */
    }
}

/* A batch is refused as a whole for one build that we may not see: it is asked for in halves, so
 * that only that one fails. What there is no time for is asked for later. */
static void fetch_region(struct rb_worker *w, struct rb_fetch *items, const unsigned *members,
                         unsigned n, int64_t halves_until_boot_ms, struct rb_arena *a)
{
    const char *ids[RB_GET_MAX];
    const struct rb_fetch *first = &items[members[0]];
    struct rb_build *builds = NULL;
    struct rb_batch *batches = NULL;
    unsigned n_found = 0;
    struct rb_err err = {.code = RB_OK};

    for (unsigned i = 0; i < n; i++) {
        ids[i] = items[members[i]].id;
    }
    enum rb_code rc =
        first->of_batch
            ? rb_batch_get(w, first->account, first->region, ids, n, a, &batches, &n_found, &err)
            : get_builds(w, first->account, first->region, ids, n, a, &builds, &n_found, &err);
    if (n > 1 && rb_look_definite_no(rc)) {
        if (rb_boot_ms(w->e->clock) < halves_until_boot_ms) {
            fetch_region(w, items, members, n / 2, halves_until_boot_ms, a);
            fetch_region(w, items, members + n / 2, n - n / 2, halves_until_boot_ms, a);
            return;
        }
        rc = rb_err_set(&err, RB_E_UNAVAIL, "no time to ask for each build by itself");
    }
    for (unsigned i = 0; i < n; i++) {
        struct rb_fetch *f = &items[members[i]];
        f->rc = rc;
        f->err = err;
        for (unsigned b = 0; rc == RB_OK && b < n_found; b++) {
            const struct rb_build *one = f->of_batch ? &batches[b].b : &builds[b];
            if (rb_str_eq(one->id, f->id)) {
                f->build = one;
                f->batch = f->of_batch ? &batches[b] : NULL;
            }
        }
    }
}

void rb_fetch_builds(struct rb_worker *w, struct rb_fetch *items, unsigned n, struct rb_arena *a)
{
    int64_t halves_until_boot_ms =
        rb_boot_ms(w->e->clock) + rb_lease_ms(&w->rt->settings->timing) / RB_HALVES_PART;

    for (unsigned i = 0; i < n; i++) {
        items[i].rc = RB_E_INTERNAL; /* = not asked yet */
        items[i].build = NULL;
        items[i].batch = NULL;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned members[RB_GET_MAX];
        unsigned n_members = 0;
        if (items[i].rc != RB_E_INTERNAL) {
            continue;
        }
        for (unsigned j = i; j < n && n_members < RB_GET_MAX; j++) {
            if (items[j].rc == RB_E_INTERNAL && items[i].of_batch == items[j].of_batch &&
                rb_str_eq(items[i].region, items[j].region) &&
                rb_str_eq(items[i].account, items[j].account)) {
                members[n_members++] = j;
            }
        }
        fetch_region(w, items, members, n_members, halves_until_boot_ms, a);
    }
}
