/* hook_find.h - which build a delivery means, where it does not say so itself. */
#ifndef RB_HTTPD_HOOK_FIND_H
#define RB_HTTPD_HOOK_FIND_H

#include <retrybuild/codebuild.h>
#include <retrybuild/forge.h>

#include "private.h"

/* Whom a front-door thread may ask, and until when. */
struct rb_finder {
    const struct rb_settings *settings;
    const struct rb_clock *clock;
    struct rb_codebuild *codebuild;
    struct rb_forge_tokens *tokens;
    const atomic_bool *cancel;
    int64_t until_boot_ms;
};

/* rb_find_account - whose build @b is: each configured account is asked, ours first.
 * RB_E_NOT_FOUND: none of them shows it. */
enum rb_code rb_find_account(const struct rb_finder *f, struct rb_build *b, struct rb_arena *a,
                             struct rb_err *err);
/* rb_find_commit - the newest failed build of b->project with b->resolved_version; *b is that build
 * then. RB_E_NOT_FOUND: none among the newest. */
enum rb_code rb_find_commit(const struct rb_finder *f, struct rb_build *b, struct rb_arena *a,
                            struct rb_err *err);
/* Where failed builds are looked for. */
struct rb_find_in {
    const char *repository;     /* as the host's API wants it */
    const char *repository_url; /* for what is compared later; NULL = not known */
    const char *commit;
};
/* rb_find_failed - the builds that the repository's statuses of the commit call failed, each with
 * project, id, region and account. Of a status without a link the build is looked up by its commit.
 */
enum rb_code rb_find_failed(const struct rb_finder *f, const struct rb_source_setting *s,
                            const struct rb_find_in *in, struct rb_arena *a,
                            struct rb_build **ret_builds, unsigned *ret_n, struct rb_err *err);

/* rb_finder_of - for this exchange, with that client. */
struct rb_finder rb_finder_of(struct rb_exchange *ex, struct rb_codebuild *c,
                              int64_t until_boot_ms);
/* rb_find_batch - the builds that made the batch @b fail: the one with its id, else that of the
 * newest failed build of its project and commit. RB_E_NOT_FOUND: there is none. */
enum rb_code rb_find_batch(const struct rb_finder *f, const struct rb_build *b, struct rb_arena *a,
                           struct rb_build **ret_builds, unsigned *ret_n, struct rb_err *err);

/* rb_finder_begin - the next call is about @account; RB_E_TIMEOUT: there is no time for it. */
enum rb_code rb_finder_begin(const struct rb_finder *f, const char *account, struct rb_err *err);
/* rb_finder_account - the @i-th account to ask, ours (NULL) first; false at the end. */
bool rb_finder_account(const struct rb_finder *f, unsigned i, const char **ret_account);
/* rb_finder_not_there - the account has no such build, or we none of its permissions there. */
bool rb_finder_not_there(enum rb_code rc);
/* rb_finder_done - the client is as it was. */
void rb_finder_done(const struct rb_finder *f);

/* ---- hook_resolve.c ---- */
/* rb_finder_room - a front-door thread may be given this exchange to ask; it is counted then.
 * False: not now. */
bool rb_finder_room(struct rb_exchange *ex);
/* rb_finder_enter - this exchange is about to ask; *ret_until_boot_ms is when it must be answered.
 * False, with an answer, when that is not possible now. */
bool rb_finder_enter(struct rb_exchange *ex, int64_t *ret_until_boot_ms);
/* rb_hook_complete - region and account as the configuration or an earlier answer has them; false
 * when something must be asked before these events can be admitted. */
bool rb_hook_complete(struct rb_exchange *ex, struct rb_events *events);
/* rb_hook_resolve - ask, then go on with @admit in the loop; or an answer: 503 when nobody could
 * tell in time, 429 when too many wait. */
void rb_hook_resolve(struct rb_exchange *ex, struct rb_events *events,
                     void (*admit)(struct rb_exchange *ex, struct rb_events *events));
void rb_hook_resolve_end(struct rb_exchange *ex);

/* ---- whose.c ---- */
/* rb_whose_own - the account of a build of which none is said, as far as it is known without
 * asking; NULL = it has to be asked. In the arena, or of the settings. Any thread that has the
 * exchange. */
const char *rb_whose_own(struct rb_exchange *ex);
/* rb_whose_learn - CodeBuild has shown a build of @account. The same. */
void rb_whose_learn(struct rb_exchange *ex, const char *account);
/* rb_whose_ask - rb_find_account, and what it says is learnt; region as configured where it is not
 * said. In a front-door thread. */
enum rb_code rb_whose_ask(struct rb_exchange *ex, const struct rb_finder *f, struct rb_build *b,
                          struct rb_err *err);
/* rb_whose_until - how long a person's request may be held up by it, from now; boot clock. */
int64_t rb_whose_until(const struct rb_exchange *ex);
/* rb_whose - go on with @b, after asking for its account where it is not known; where nobody can
 * tell, without. Loop thread. */
void rb_whose(struct rb_exchange *ex, struct rb_build *b,
              void (*go_on)(struct rb_exchange *ex, struct rb_build *b));

#endif
