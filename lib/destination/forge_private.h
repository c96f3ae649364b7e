/* forge_private.h - what the files of the git hosts' clients share. */
#ifndef RB_DESTINATION_FORGE_PRIVATE_H
#define RB_DESTINATION_FORGE_PRIVATE_H

#include <jansson.h>

#include <retrybuild/forge.h>

/* One host's API as templates of paths; "^/x" stands beside "/api/<version>", where the root ends
 * so.
 * %% a percent sign; %r repository, its parts escaped; %R repository, escaped as
 * one; %b PROJECT/repos/slug; %u user name; %i user id; %n number; %s commit; %c comment; %k kind
 * of comment; %p page; %o how many are before it; %h branch, its parts escaped; %H branch, escaped
 * as one; %P and %S the repository's two parts; %g group; %G "org/team" as org/teams/team; %q, %e
 * the word that is asked for. */
struct rb_forge_row {
    const char *type;
    const char *root; /* of the public host; NULL = there is none */
    enum { FORGE_BEARER, FORGE_PRIVATE_TOKEN, FORGE_TOKEN, FORGE_BEARER_OR_BASIC } proof;
    const char *permission;
    const char *permission_at; /* dotted; a word or GitLab's level */
    const char
        *permission_user;  /* the answer lists users, whose name is here; NULL = it does not */
    const char *effective; /* a list of who has which permission, groups included; NULL = it is
                              what `permission` tells */
    const char *effective_user;
    const char *effective_words[3]; /* asked one by one, the highest first; NULL = each is told */
    const char *member;             /* of a group; NULL = it is not told */
    const char *member_user;        /* the answer lists users */
    const char *member_state;       /* must be "active" */
    const char *pull, *pull_commit, *pull_branch, *pull_state;
    const char *branch, *branch_commit;
    const char *statuses; /* paged */
    const char *statuses_at;
    const char *status_state, *status_link, *status_name[2];
    const char *failed[2];
    bool every; /* the answer has older statuses of a name as well */
    const char *self, *self_id, *self_name;
    const char *react; /* NULL = no reactions */
    enum { REACT_CONTENT, REACT_NAME, REACT_PUT } react_by;
    const char *comment;
    enum { COMMENT_BODY, COMMENT_TEXT, COMMENT_RAW } comment_by;
};
const struct rb_forge_row *rb_forge_row_find(const char *type);
enum rb_code rb_forge_row_of(const struct rb_forge *f, const struct rb_forge_row **ret_row,
                             struct rb_err *err);
/* rb_forge_unreadable - the answer does not say @what. */
enum rb_code rb_forge_unreadable(const char *what, struct rb_err *err);

struct rb_forge_ask { /* what a template's letters stand for */
    const char *repository, *user_name, *user_id, *commit, *comment, *kind, *branch, *group, *word;
    int64_t number, page;
};

/* rb_forge_call - one request; 2xx gives the document (NULL for an empty one), the rest an error.
 */
enum rb_code rb_forge_call(const struct rb_forge *f, const char *method, const char *path,
                           const struct rb_forge_ask *ask, const json_t *body, json_t **ret_json,
                           struct rb_err *err);
/* rb_forge_send - as above with @authorization instead of our own proof: for the tokens of apps. */
enum rb_code rb_forge_send(const struct rb_forge *f, const char *method, const char *path,
                           const struct rb_forge_ask *ask, const char *authorization,
                           const json_t *body, json_t **ret_json, struct rb_err *err);
/* rb_forge_at - the member of @j at a dotted path; NULL when there is none. */
const json_t *rb_forge_at(const json_t *j, const char *path);
const char *rb_forge_text(const json_t *j, const char *path); /* of a string; else NULL */

/* rb_forge_app_token - of the installation that has @repository, in @a. */
enum rb_code rb_forge_app_token(const struct rb_forge *f, const char *repository,
                                struct rb_arena *a, const char **ret_token, struct rb_err *err);
void rb_forge_app_forget(const struct rb_forge *f, const char *repository);

#endif
