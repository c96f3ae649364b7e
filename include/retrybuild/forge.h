/* forge.h - the REST APIs of git hosts: what a person may do, what failed on a commit, reactions,
 * and who we are there.
 *
 * Hosts are those of the source types: github, gitlab, bitbucket, bitbucket-server, gitea, forgejo.
 * A repository is named as that host's API wants it: owner/name (workspace/slug, PROJECT/slug); for
 * GitLab the project's number or path. Calls go through the address guard.
 * Threads: a struct rb_forge is its caller's, as its rb_httpc is; rb_forge_tokens is for all.
 * Blocks: until the answer, or until_boot_ms.
 * Errors: RB_E_CREDENTIALS (the token is missing, wrong or expired), RB_E_DENIED (it may not),
 * RB_E_THROTTLED, RB_E_NOT_FOUND, RB_E_REFUSED, RB_E_UNAVAIL,
 * RB_E_TIMEOUT, RB_E_AMBIGUOUS, RB_E_BLOCKED, RB_E_INVALID (the configuration lacks something), as
 * the host and httpc.h have it. Texts show the host, never path, token or body.
 * Source: facts on integrations, 1 and 2.
 */
#ifndef RETRYBUILD_FORGE_H
#define RETRYBUILD_FORGE_H

#include <stdatomic.h>
#include <stdint.h>

#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/httpc.h>
#include <retrybuild/mem.h>
#include <retrybuild/settings.h>

/* ---- tokens of apps ---- */
/* Installation tokens of GitHub Apps, shared by all threads: fetched once for all that wait, and
 * again a minute before they expire. */
struct rb_forge_tokens;
struct rb_forge_tokens *rb_forge_tokens_new(void); /* NULL without memory */
void rb_forge_tokens_free(struct rb_forge_tokens *t);

/* One thread's way to one host; filled by the caller. */
struct rb_forge {
    const char *type; /* of the source, or "github" */
    const struct rb_api_setting *api;
    struct rb_httpc *http;
    struct rb_forge_tokens *tokens; /* NULL: an app cannot be used */
    const struct rb_clock *clock;
    int64_t until_boot_ms;     /* 0 = ten seconds a call */
    const atomic_bool *cancel; /* may be NULL */
};

bool rb_forge_known(const char *type);
/* rb_forge_root - where the API is: api.url, else the public host's. RB_E_INVALID: neither. */
enum rb_code rb_forge_root(const char *type, const struct rb_api_setting *api, const char **ret_url,
                           struct rb_err *err);
/* rb_forge_authorization - the header line that proves us for @repository (NULL = none in
 * particular), in @a; NULL when nothing is configured. Fetches the app's token when it must. */
enum rb_code rb_forge_authorization(const struct rb_forge *f, const char *repository,
                                    struct rb_arena *a, const char **ret_header,
                                    struct rb_err *err);
/* rb_forge_distrust - the host did not accept that token: the next one is fetched anew. */
void rb_forge_distrust(const struct rb_forge *f, const char *repository);

/* ---- questions ---- */
/* rb_forge_permission - of the user with this id or name (which of them counts is the host's), by
 * themselves or through groups. Who is not known there has none. */
enum rb_code rb_forge_permission(const struct rb_forge *f, const char *repository,
                                 const char *user_id, const char *user_name,
                                 enum rb_permission *ret_p, struct rb_err *err);

/* rb_forge_member - is that user in @group? Named as the host has it: "org/team" (GitHub), the
 * group's path or number (GitLab), the team's number (Gitea, Forgejo), its name (Bitbucket Data
 * Center). RB_E_INVALID: Bitbucket Cloud, whose API does not tell. */
enum rb_code rb_forge_member(const struct rb_forge *f, const char *group, const char *user_id,
                             const char *user_name, bool *ret_member, struct rb_err *err);

struct rb_forge_pull {
    const char *commit; /* its head */
    const char *branch; /* it comes from */
    bool open;
};
enum rb_code rb_forge_pull(const struct rb_forge *f, const char *repository, int64_t number,
                           struct rb_arena *a, struct rb_forge_pull *ret_p, struct rb_err *err);

/* ---- heads ---- */
/* Where the head of what a build was made from is asked for: its branch, or its pull request. */
struct rb_head_place {
    const char *type; /* for struct rb_forge, as the next */
    const struct rb_api_setting *api;
    const char *repository;
    const char *branch; /* NULL = the pull request @number */
    int64_t number;
};
/* rb_head_place - among the APIs of the sources and destinations that of the build's repository;
 * false: there is none, or several could be, or the build names neither branch nor pull request. In
 * @a; pure. */
bool rb_head_place(const struct rb_settings *s, const struct rb_build *b, struct rb_arena *a,
                   struct rb_head_place *ret_p);
/* rb_forge_head - the commit that is the head there; some hosts cut it short. RB_E_NOT_FOUND: the
 * branch is gone, or is none. */
enum rb_code rb_forge_head(const struct rb_forge *f, const struct rb_head_place *p,
                           struct rb_arena *a, const char **ret_commit, struct rb_err *err);

struct rb_forge_status {
    const char *context, *link; /* each may be NULL */
};
/* rb_forge_failed - the newest status of each name on @commit, of those that failed; all pages, at
 * most 1000. */
enum rb_code rb_forge_failed(const struct rb_forge *f, const char *repository, const char *commit,
                             struct rb_arena *a, struct rb_forge_status **ret_s, unsigned *ret_n,
                             struct rb_err *err);

/* rb_forge_self - id and name under which we act there; each may be NULL. */
enum rb_code rb_forge_self(const struct rb_forge *f, struct rb_arena *a, const char **ret_id,
                           const char **ret_name, struct rb_err *err);

/* ---- reactions ---- */
/* rb_forge_react - put @reaction (eyes, rocket) on a comment; @kind as the source's adapter gave
 * it. A host that has none: RB_OK. */
enum rb_code rb_forge_react(const struct rb_forge *f, const char *repository, const char *kind,
                            const char *comment, const char *reaction, struct rb_err *err);

/* rb_forge_comment - say @text (Markdown) on a pull request. */
enum rb_code rb_forge_comment(const struct rb_forge *f, const char *repository, int64_t number,
                              const char *text, struct rb_err *err);

#endif
