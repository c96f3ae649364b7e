/* forge_permission.c - what a person may do at a git host, by themselves or through groups.
 *
 * Bitbucket tells what somebody was given in their own name apart from what they have through a
 * group, so both are asked there. Its answers are lists, and its filters find every name that holds
 * the one that was asked for: the very name counts, and no other. Source: the REST descriptions of
 * the hosts.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "forge_private.h"

static bool permission_word(const json_t *v, enum rb_permission *ret_p)
{
    static const struct {
        const char *word;
        enum rb_permission p;
    } words[] = {
        {"admin", RB_PERMISSION_ADMIN},         {"owner", RB_PERMISSION_ADMIN},
        {"maintain", RB_PERMISSION_WRITE},      {"write", RB_PERMISSION_WRITE},
        {"triage", RB_PERMISSION_READ},         {"read", RB_PERMISSION_READ},
        {"none", RB_PERMISSION_NONE},           {"REPO_ADMIN", RB_PERMISSION_ADMIN},
        {"REPO_WRITE", RB_PERMISSION_WRITE},    {"REPO_READ", RB_PERMISSION_READ},
        {"PROJECT_ADMIN", RB_PERMISSION_ADMIN}, {"PROJECT_WRITE", RB_PERMISSION_WRITE},
        {"PROJECT_READ", RB_PERMISSION_READ},
    };
    if (json_is_integer(v)) { /* GitLab: 10 guest, 20 reporter, 30 developer, 40 maintainer */
        json_int_t level = json_integer_value(v);
        *ret_p = level >= 40   ? RB_PERMISSION_ADMIN
                 : level >= 30 ? RB_PERMISSION_WRITE
                 : level >= 10 ? RB_PERMISSION_READ
                               : RB_PERMISSION_NONE;
        return true;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(words); i++) {
        if (rb_str_eq(json_string_value(v), words[i].word)) {
            *ret_p = words[i].p;
            return true;
        }
    }
    return false;
}

/* listed - the item of a page that is of @who. */
static const json_t *listed(const json_t *page, const char *at, const char *who)
{
    const json_t *values = rb_forge_at(page, "values");
    for (size_t i = 0; who != NULL && i < json_array_size(values); i++) {
        const json_t *v = json_array_get(values, i);
        if (rb_str_ieq(rb_forge_text(v, at), who)) {
            return v;
        }
    }
    return NULL;
}

static enum rb_code unreadable(struct rb_err *err)
{
    return rb_forge_unreadable("what this user may do", err);
}

/* own - what was given to the person, and at most hosts all there is. */
static enum rb_code own(const struct rb_forge *f, const struct rb_forge_row *row,
                        const struct rb_forge_ask *ask, enum rb_permission *ret_p,
                        struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    enum rb_code rc = rb_forge_call(f, "GET", row->permission, ask, NULL, &j, err);
    if (rc == RB_E_NOT_FOUND) {
        *ret_p = RB_PERMISSION_NONE;
        return RB_OK;
    }
    if (rc != RB_OK) {
        return rc;
    }
    if (row->permission_user == NULL) {
        return permission_word(rb_forge_at(j, row->permission_at), ret_p) ? RB_OK : unreadable(err);
    }
    if (!json_is_array(rb_forge_at(j, "values"))) {
        return unreadable(err);
    }
    const json_t *v = listed(j, row->permission_user, ask->user_name);
    *ret_p = RB_PERMISSION_NONE;
    return v == NULL || permission_word(rb_forge_at(v, row->permission_at), ret_p)
               ? RB_OK
               : unreadable(err);
}

/* through_groups - the highest permission, whatever it comes from: one list that says each, or a
 * list of those who have it for each word. */
static enum rb_code through_groups(const struct rb_forge *f, const struct rb_forge_row *row,
                                   struct rb_forge_ask *ask, enum rb_permission *ret_p,
                                   struct rb_err *err)
{
    bool by_word = row->effective_words[0] != NULL;
    *ret_p = RB_PERMISSION_NONE;
    for (size_t i = 0; i < RB_ARRAY_LEN(row->effective_words); i++) {
        RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
        ask->word = row->effective_words[i];
        enum rb_code rc = rb_forge_call(f, "GET", row->effective, ask, NULL, &j, err);
        if (rc != RB_OK) {
            return rc == RB_E_NOT_FOUND ? RB_OK : rc;
        }
        if (!json_is_array(rb_forge_at(j, "values"))) {
            return unreadable(err);
        }
        const json_t *v = listed(j, row->effective_user, by_word ? ask->user_name : ask->user_id);
        if (!by_word) {
            return v == NULL || permission_word(rb_forge_at(v, "permission"), ret_p)
                       ? RB_OK
                       : unreadable(err);
        }
        if (v != NULL) {
            RB_CLEANUP(rb_json_decrefp) json_t *word = json_string(ask->word);
            return permission_word(word, ret_p) ? RB_OK : unreadable(err);
        }
    }
    return RB_OK;
}

enum rb_code rb_forge_permission(const struct rb_forge *f, const char *repository,
                                 const char *user_id, const char *user_name,
                                 enum rb_permission *ret_p, struct rb_err *err)
{
    const struct rb_forge_row *row = NULL;
    enum rb_permission p = RB_PERMISSION_NONE;
    enum rb_permission more = RB_PERMISSION_NONE;
    struct rb_forge_ask ask = {
        .repository = repository, .user_id = user_id, .user_name = user_name};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc == RB_OK) {
        rc = own(f, row, &ask, &p, err);
    }
    if (rc == RB_OK && row->effective != NULL && p < RB_PERMISSION_ADMIN) {
        rc = through_groups(f, row, &ask, &more, err);
        rc = p > RB_PERMISSION_NONE ? RB_OK : rc; /* then it is that, at least */
    }
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "permission");
    }
    *ret_p = more > p ? more : p;
    return RB_OK;
}

enum rb_code rb_forge_member(const struct rb_forge *f, const char *group, const char *user_id,
                             const char *user_name, bool *ret_member, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const struct rb_forge_row *row = NULL;
    const struct rb_forge_ask ask = {.group = group, .user_id = user_id, .user_name = user_name};
    enum rb_code rc = rb_forge_row_of(f, &row, err);
    if (rc == RB_OK && row->member == NULL) {
        return rb_err_set(err, RB_E_INVALID, "type '%s' does not tell who is in a group", f->type);
    }
    if (rc == RB_OK) {
        rc = rb_forge_call(f, "GET", row->member, &ask, NULL, &j, err);
    }
    if (rc != RB_OK && rc != RB_E_NOT_FOUND) {
        return rb_err_wrap(err, rc, "group");
    }
    bool found = rc == RB_OK;
    if (found && row->member_user != NULL) {
        found = listed(j, row->member_user, user_name) != NULL;
    } else if (found && row->member_state != NULL) {
        found = rb_str_eq(rb_forge_text(j, row->member_state), "active");
    }
    *ret_member = found;
    return RB_OK;
}
