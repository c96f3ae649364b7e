/* hook_find.c - builds by commit, by statuses, by account; runs in a front-door thread. */
#include "hook_find.h"

#include <string.h>
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/console.h>

#define PAGES_MAX 3
#define ANSWERS_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define BUILDS_MAX RB_MAX_EVENTS

enum rb_code rb_finder_begin(const struct rb_finder *f, const char *account, struct rb_err *err)
{
    int64_t left_ms = f->until_boot_ms - rb_boot_ms(f->clock);
    if (left_ms <= 0) {
        return rb_err_set(err, RB_E_TIMEOUT, "no time is left for CodeBuild");
    }
    rb_codebuild_within(f->codebuild, left_ms);
    rb_codebuild_of_account(f->codebuild, account);
    return RB_OK;
}

void rb_finder_done(const struct rb_finder *f)
{
    rb_codebuild_of_account(f->codebuild, NULL);
    rb_codebuild_within(f->codebuild, 0);
}

static bool no_memory_for(const void *p)
{
    return p == NULL;
}

bool rb_finder_account(const struct rb_finder *f, unsigned i, const char **ret_account)
{
    if (i > f->settings->aws.n_accounts) {
        return false;
    }
    *ret_account = i == 0 ? NULL : f->settings->aws.accounts[i - 1].id;
    return true;
}

bool rb_finder_not_there(enum rb_code rc)
{
    return rc == RB_E_REFUSED || rc == RB_E_NOT_FOUND;
}

static enum rb_code look(const struct rb_finder *f, const char *account, struct rb_build *b,
                         struct rb_arena *a, bool *ret_found, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena answers;
    struct rb_build *builds = NULL;
    unsigned n = 0;
    rb_arena_init(&answers, ANSWERS_MAX_BYTES);
    enum rb_code rc = rb_finder_begin(f, account, err);
    if (rc == RB_OK) {
        rc = rb_codebuild_get(f->codebuild, b->region, &b->id, 1, &answers, &builds, &n, err);
    }
    if (rc == RB_OK && n > 0) {
        b->account = rb_arena_strdup(a, builds[0].account);
        *ret_found = b->account != NULL;
    }
    return rc;
}

enum rb_code rb_find_account(const struct rb_finder *f, struct rb_build *b, struct rb_arena *a,
                             struct rb_err *err)
{
    const char *account = NULL;
    for (unsigned i = 0; rb_finder_account(f, i, &account); i++) {
        bool found = false;
        enum rb_code rc = look(f, account, b, a, &found, err);
        if (found) {
            return RB_OK;
        }
        if (rc != RB_OK && !rb_finder_not_there(rc)) {
            return rc;
        }
    }
    return rb_err_set(err, RB_E_NOT_FOUND, "CodeBuild does not show build '%.300s'", b->id);
}

static bool same_commit(const char *said, const char *seen)
{
    size_t said_len = said == NULL ? 0 : strlen(said);
    size_t seen_len = seen == NULL ? 0 : strlen(seen);
    return said_len >= 7 && seen_len >= 7 &&
           strncasecmp(said, seen, said_len < seen_len ? said_len : seen_len) == 0;
}

/* take_newest - of one page, which comes in any order. */
static bool take_newest(const struct rb_build *builds, unsigned n, struct rb_build *b,
                        struct rb_arena *a)
{
    const struct rb_build *best = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (rb_build_failed(&builds[i]) &&
            same_commit(b->resolved_version, rb_build_commit(&builds[i])) &&
            (best == NULL || builds[i].number > best->number)) {
            best = &builds[i];
        }
    }
    const struct rb_build said = *b;
    bool found = best != NULL && rb_build_copy(b, best, a);
    b->author = said.author; /* CodeBuild does not know it */
    if (found && said.repository != NULL) {
        b->repository = said.repository; /* what was said is compared once more */
    }
    if (found) {
        b->resolved_version = said.resolved_version;
    }
    return found;
}

static enum rb_code search(const struct rb_finder *f, const char *account, struct rb_build *b,
                           struct rb_arena *a, bool *ret_found, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena answers;
    const char *next = NULL;
    rb_arena_init(&answers, ANSWERS_MAX_BYTES);
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        const char **ids = NULL;
        struct rb_build *builds = NULL;
        unsigned n = 0;
        unsigned n_builds = 0;
        enum rb_code rc = rb_finder_begin(f, account, err);
        if (rc == RB_OK) {
            rc = rb_codebuild_list(f->codebuild, b->region, b->project, next, &answers, &ids, &n,
                                   &next, err);
        }
        if (rc == RB_OK && n > 0) {
            rc = rb_finder_begin(f, account, err);
        }
        if (rc == RB_OK && n > 0) {
            rc = rb_codebuild_get(f->codebuild, b->region, ids, n, &answers, &builds, &n_builds,
                                  err);
        }
        if (rc != RB_OK) {
            return rc;
        }
        *ret_found = take_newest(builds, n_builds, b, a);
        if (*ret_found || next == NULL) {
            break;
        }
    }
    return RB_OK;
}

enum rb_code rb_find_commit(const struct rb_finder *f, struct rb_build *b, struct rb_arena *a,
                            struct rb_err *err)
{
    const char *account = NULL;
    for (unsigned i = 0; rb_finder_account(f, i, &account); i++) {
        bool found = false;
        enum rb_code rc = search(f, account, b, a, &found, err);
        if (found) {
            return RB_OK;
        }
        if (rc != RB_OK && !rb_finder_not_there(rc)) {
            return rc;
        }
    }
    return rb_err_set(err, RB_E_NOT_FOUND,
                      "no failed build of project '%.255s' and this commit was found", b->project);
}

/* ---- statuses ---- */

/* read_status - what a status says of its build; false when it is none of CodeBuild's. */
static bool read_status(const struct rb_source_setting *s, const struct rb_forge_status *st,
                        const struct rb_find_in *in, struct rb_arena *a, struct rb_build *ret_b,
                        bool *ret_batch)
{
    struct rb_link link = {.kind = RB_LINK_NONE};
    struct rb_context context = {.region = NULL};
    bool named = rb_context_parse(st->context, a, &context);
    *ret_b = (struct rb_build)RB_BUILD_INIT;
    (void)rb_link_parse(st->link, &s->console_hosts, a, &link);
    *ret_batch =
        link.kind == RB_LINK_BATCH || (named && context.batch && link.kind != RB_LINK_BUILD);
    ret_b->region = link.region != NULL ? link.region : context.region;
    ret_b->account = link.account;
    ret_b->resolved_version = in->commit;
    ret_b->repository = in->repository_url;
    ret_b->project = link.project != NULL ? link.project : context.project;
    ret_b->id = link.id;
    if (named && link.kind == RB_LINK_PUBLIC && !*ret_batch) {
        ret_b->id = rb_arena_printf(a, "%s:%s", context.project, link.uuid);
    }
    return ret_b->project != NULL;
}

static bool is_listed(const struct rb_build *list, unsigned n, const struct rb_build *b)
{
    for (unsigned i = 0; i < n; i++) {
        if (rb_str_eq(list[i].id, b->id) && rb_str_eq(list[i].region, b->region)) {
            return true;
        }
    }
    return false;
}

enum rb_code rb_find_failed(const struct rb_finder *f, const struct rb_source_setting *s,
                            const struct rb_find_in *in, struct rb_arena *a,
                            struct rb_build **ret_builds, unsigned *ret_n, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena work;
    struct rb_httpc *http = NULL;
    struct rb_forge_status *list = NULL;
    unsigned n = 0;
    unsigned n_builds = 0;
    struct rb_build *builds = rb_arena_alloc(a, BUILDS_MAX * sizeof(*builds));
    rb_arena_init(&work, ANSWERS_MAX_BYTES);
    enum rb_code rc = no_memory_for(builds) ? rb_err_set(err, RB_E_NOMEM, "no memory for builds")
                                            : rb_httpc_new(f->settings, &http, err);
    if (rc != RB_OK) {
        return rc;
    }
    const struct rb_forge forge = {.type = s->type,
                                   .api = &s->api,
                                   .http = http,
                                   .tokens = f->tokens,
                                   .clock = f->clock,
                                   .until_boot_ms = f->until_boot_ms,
                                   .cancel = f->cancel};
    rc = rb_forge_failed(&forge, in->repository, in->commit, &work, &list, &n, err);
    rb_httpc_free(http);
    for (unsigned i = 0; rc == RB_OK && i < n; i++) {
        struct rb_build b;
        struct rb_build *found = &b;
        unsigned n_found = 1;
        bool batch = false;
        if (!read_status(s, &list[i], in, &work, &b, &batch)) {
            continue;
        }
        b.region = b.region == NULL ? f->settings->aws.region : b.region;
        if (batch) {
            n_found = 0;
            rc = rb_find_batch(f, &b, &work, &found, &n_found, err);
        } else if (b.id == NULL) {
            rc = rb_find_commit(f, &b, &work, err);
        } else if (b.account == NULL) {
            rc = rb_find_account(f, &b, &work, err);
        }
        for (unsigned k = 0; rc == RB_OK && k < n_found && n_builds < BUILDS_MAX; k++) {
            if (!is_listed(builds, n_builds, &found[k]) &&
                !rb_build_copy(&builds[n_builds++], &found[k], a)) {
                rc = rb_err_set(err, RB_E_NOMEM, "no memory for builds");
            }
        }
        rc = rb_finder_not_there(rc) ? RB_OK : rc;
    }
    *ret_builds = builds;
    *ret_n = n_builds;
    return rc;
}
