/* Sessions that are named after a retry, so that CodeBuild's initiator names it: one slot each,
 * kept like all sets and given to another retry when it is the one unused longest. Two processes
 * that send copies of one call make a session each, of one name: for AWS they are the same caller.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

enum rb_code rb_aws_session_initiator(struct rb_aws *aws, const char *account, const char *session,
                                      struct rb_arena *a, const char **ret_initiator,
                                      struct rb_err *err)
{
    const char *initiator = NULL;

    for (unsigned i = 0; i < aws->n_accounts && !rb_str_empty(account); i++) {
        const struct rb_account_setting *row = aws->accounts[i].account;
        if (!row->exact || !rb_str_eq(row->id, account)) {
            continue;
        }
        const char *slash = strrchr(row->role_arn, '/');
        initiator = rb_arena_printf(a, "%s/%s", slash == NULL ? row->role_arn : slash + 1, session);
        if (initiator == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for the name of a session");
        }
    }
    *ret_initiator = initiator;
    return RB_OK;
}

/* The retry's slot, or the one unused longest; NULL: all are in use. The lock is held. */
static struct rb_session_slot *take_locked(struct rb_aws *aws, const struct rb_slot *account,
                                           const char *name)
{
    struct rb_session_slot *free_one = NULL;

    for (unsigned i = 0; i < RB_SESSIONS; i++) {
        struct rb_session_slot *s = &aws->sessions[i];
        if (s->slot.account == account->account && strcmp(s->name, name) == 0) {
            return s;
        }
        if (s->users == 0 && (free_one == NULL || s->used < free_one->used)) {
            free_one = s;
        }
    }
    if (free_one != NULL) {
        rb_slot_release(&free_one->slot);
        (void)snprintf(free_one->name, sizeof(free_one->name), "%s", name);
        free_one->slot = (struct rb_slot){.account = account->account, .session = free_one->name};
    }
    return free_one;
}

static enum rb_code enter(struct rb_aws *aws, const struct rb_slot *account, const char *name,
                          struct rb_session_slot **ret_s, struct rb_err *err)
{
    struct rb_session_slot *s = NULL;

    pthread_mutex_lock(&aws->lock);
    if (aws->sessions == NULL) {
        aws->sessions = calloc(RB_SESSIONS, sizeof(*aws->sessions));
    }
    if (aws->sessions != NULL) {
        s = take_locked(aws, account, name);
    }
    if (s != NULL) {
        s->users++;
        s->used = ++aws->session_uses;
    }
    pthread_mutex_unlock(&aws->lock);
    *ret_s = s;
    return s != NULL ? RB_OK : rb_err_set(err, RB_E_UNAVAIL, "too many sessions are in use");
}

static void leave(struct rb_aws *aws, struct rb_session_slot *s)
{
    pthread_mutex_lock(&aws->lock);
    s->users--;
    pthread_mutex_unlock(&aws->lock);
}

enum rb_code rb_aws_credentials_as(struct rb_aws *aws, const char *account, const char *region,
                                   const char *session, struct rb_credentials *ret_c,
                                   struct rb_err *err)
{
    struct rb_slot *row = NULL;
    struct rb_session_slot *s = NULL;

    enum rb_code rc = rb_account_find(aws, account, region, &row, err);
    if (rc == RB_OK && (row == NULL || strlen(session) >= RB_SESSION_NAME_BYTES)) {
        rc = rb_err_set(err, RB_E_REFUSED,
                        "account %.20s has no role for a session of its own: add it to "
                        "aws.accounts again",
                        account == NULL ? "" : account);
    }
    if (rc == RB_OK) {
        rc = enter(aws, row, session, &s, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    rc = rb_slot_get(aws, &s->slot, ret_c, err);
    leave(aws, s);
    return rc;
}

void rb_sessions_refused_locked(struct rb_aws *aws)
{
    for (unsigned i = 0; i < RB_SESSIONS && aws->sessions != NULL; i++) {
        aws->sessions[i].slot.stale = true;
    }
}

void rb_sessions_release(struct rb_aws *aws)
{
    for (unsigned i = 0; i < RB_SESSIONS && aws->sessions != NULL; i++) {
        rb_slot_release(&aws->sessions[i].slot);
    }
    free(aws->sessions);
}
