/* census.c - how many builds of a project ended in the last hour, as CodeBuild shows it.
 *
 * The budget of a project is a part of its builds, but what is delivered may be failures alone, and
 * a fresh store has heard of next to nothing: by deliveries a busy project would look idle. So no
 * retry is refused for that budget before CodeBuild was asked, at most every few minutes; the
 * sweep, which sees the same builds, counts them on its way. Whichever tells of more is believed.
 */
#include "internal.h"

#include <stdio.h>

#include "sheets.h"

#define CENSUS_PAGES 10
#define CENSUS_AT_ONCE 100
#define CENSUS_TRIES 20
#define CENSUS_MINUTE_MS (RB_HOUR_MS / RB_CENSUS_MINUTES)
#define CENSUS_LONG_AGO_MS (2 * RB_HOUR_MS) /* what started before, few ended in the last hour */

void rb_census_see(struct rb_census *c, const struct rb_build *b, int64_t aws_now_ms)
{
    int64_t age_ms = aws_now_ms - b->ended_ms;
    if (b->ended_ms <= 0 || age_ms >= RB_HOUR_MS) {
        return;
    }
    c->ended[age_ms < 0 ? 0 : age_ms / CENSUS_MINUTE_MS]++;
    c->n++;
}

enum rb_code rb_census_write(struct rb_worker *w, const struct rb_build *of,
                             const struct rb_census *c, struct rb_arena *a, struct rb_err *err)
{
    enum rb_code rc = RB_E_CONFLICT;

    for (unsigned tries = 0; tries < CENSUS_TRIES && rc == RB_E_CONFLICT; tries++) {
        int64_t now_ms = rb_engine_now_ms(w->e);
        struct rb_census_sheet sheet;
        struct rb_set set;
        rb_set_init(&set, a);
        unsigned at = rb_set_add(&set, RB_SHEET_CENSUS, &sheet, "v:" RB_SHEET_OF_PROJECT,
                                 rb_name_or_dash(of->account), rb_name_or_dash(of->region),
                                 rb_name_or_dash(of->project));
        rc = rb_set_read(&set, w->ses, now_ms, err);
        if (rc != RB_OK) {
            break;
        }
        sheet = (struct rb_census_sheet){.looked_ms = now_ms};
        for (int64_t i = RB_CENSUS_MINUTES; i-- > 0;) {
            if (c->ended[i] > 0) {
                rb_series_add(&sheet.shown, RB_HOUR_MS, now_ms - i * CENSUS_MINUTE_MS, c->ended[i],
                              0);
            }
        }
        set.slots[at].changed = true;
        rc = rb_set_write(&set, w->ses, w->e->random, now_ms, err);
    }
    rb_engine_store_state(w->e, rc, err);
    return rc == RB_E_CONFLICT ? RB_OK : rc; /* somebody else counts the same builds */
}

struct walk {
    struct rb_work *k;
    struct rb_census *c;
    int64_t enough; /* builds */
    bool ended;
};

static enum rb_code see_page(struct walk *w, const char *const *ids, unsigned n, struct rb_err *err)
{
    const struct rb_build *own = &w->k->r->build;
    struct rb_build *builds = NULL;
    unsigned n_builds = 0;
    int64_t aws_now_ms = rb_aws_now_ms(w->k->e->aws);

    rb_codebuild_of_account(w->k->w->codebuild, own->account);
    enum rb_code rc = rb_codebuild_get(w->k->w->codebuild, own->region, ids, n, &w->k->arena,
                                       &builds, &n_builds, err);
    for (unsigned i = 0; rc == RB_OK && i < n_builds; i++) {
        rb_census_see(w->c, &builds[i], aws_now_ms);
        w->ended = w->ended || (builds[i].started_ms != 0 &&
                                builds[i].started_ms < aws_now_ms - CENSUS_LONG_AGO_MS);
    }
    w->ended = w->ended || w->c->n >= w->enough;
    return rc;
}

static enum rb_code see_all(struct walk *w, struct rb_err *err)
{
    const struct rb_build *own = &w->k->r->build;
    const char *next = NULL;

    for (unsigned page = 0; page < CENSUS_PAGES && !w->ended; page++) {
        const char **ids = NULL;
        const char *after = NULL;
        unsigned n = 0;
        enum rb_code rc = rb_work_keep(w->k, w->k->lease_ms / 2, err);
        if (rc == RB_OK) {
            rb_codebuild_of_account(w->k->w->codebuild, own->account);
            rc = rb_codebuild_list(w->k->w->codebuild, own->region, own->project, next,
                                   &w->k->arena, &ids, &n, &after, err);
        }
        for (unsigned at = 0; rc == RB_OK && at < n && !w->ended; at += CENSUS_AT_ONCE) {
            unsigned take = n - at < CENSUS_AT_ONCE ? n - at : CENSUS_AT_ONCE;
            rc = see_page(w, (const char *const *)ids + at, take, err);
        }
        if (rc != RB_OK || after == NULL) {
            return rc;
        }
        next = after;
    }
    return RB_OK;
}

enum rb_code rb_census_take(struct rb_work *k, int64_t enough, bool *ret_ended, struct rb_err *err)
{
    struct rb_census c = {.n = 0};
    struct walk w = {.k = k, .c = &c, .enough = enough};
    struct rb_err why = {.code = RB_OK};

    enum rb_code rc = see_all(&w, &why);
    if (rc != RB_OK && !rb_look_definite_no(rc)) {
        const struct rb_look look = {.status = RB_LOOK_FAILED, .rc = rc};
        *ret_ended = true;
        return rb_fresh_look_failed(k, &look, &why, err);
    }
    return rb_census_write(k->w, &k->r->build, &c, &k->arena, err);
}
