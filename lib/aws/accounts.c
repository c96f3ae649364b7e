/* Builds of other accounts: a session of each account's role, kept like our own credentials; and
 * our own account's number, which STS is asked for once where the configuration does not say it. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

enum rb_code rb_account_fetch(struct rb_aws *aws, const struct rb_slot *s,
                              struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials own = {.access_key = NULL};
    const struct rb_assume assume = {.role_arn = s->account->role_arn,
                                     .session_name = s->session,
                                     .external_id = s->account->external_id};

    enum rb_code rc = rb_aws_credentials(aws, &own, err);
    if (rc == RB_OK) {
        rc = rb_sts_assume_role(aws, &own, &assume, ret_c, err);
    }
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "account %s", s->account->id);
    }
    ret_c->provider = "aws.accounts";
    rb_credentials_source(ret_c, "%.200s", s->account->role_arn);
    return RB_OK;
}

enum rb_code rb_aws_caller(struct rb_aws *aws, struct rb_arena *a, const char **ret_account,
                           const char **ret_arn, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials own = {.access_key = NULL};

    enum rb_code rc = rb_aws_credentials(aws, &own, err);
    return rc == RB_OK ? rb_sts_caller(aws, &own, a, ret_account, ret_arn, err) : rc;
}

static bool is_account(const char *s)
{
    return strlen(s) == RB_ACCOUNT_BYTES - 1 && strspn(s, "0123456789") == RB_ACCOUNT_BYTES - 1;
}

/* Our own account's number into @ret. Two threads may ask at once; both hear the same. */
static enum rb_code own_account(struct rb_aws *aws, char ret[RB_ACCOUNT_BYTES], struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    const char *account = NULL, *arn = NULL;

    rb_arena_init(&a, 65536);
    pthread_mutex_lock(&aws->lock);
    memcpy(ret, aws->own_account, RB_ACCOUNT_BYTES);
    pthread_mutex_unlock(&aws->lock);
    if (ret[0] != '\0') {
        return RB_OK;
    }
    enum rb_code rc = rb_aws_caller(aws, &a, &account, &arn, err);
    if (rc == RB_OK && !is_account(account)) {
        rc = rb_err_set(err, RB_E_CREDENTIALS, "STS names no account of ours");
    }
    if (rc != RB_OK) {
        return rc;
    }
    memcpy(ret, account, RB_ACCOUNT_BYTES);
    pthread_mutex_lock(&aws->lock);
    memcpy(aws->own_account, account, RB_ACCOUNT_BYTES);
    pthread_mutex_unlock(&aws->lock);
    return RB_OK;
}

static bool region_listed(const struct rb_account_setting *s, const char *region)
{
    for (unsigned i = 0; i < s->regions.n; i++) {
        if (rb_str_eq(s->regions.items[i], region)) {
            return true;
        }
    }
    return s->regions.n == 0;
}

enum rb_code rb_account_find(struct rb_aws *aws, const char *account, const char *region,
                             struct rb_slot **ret_s, struct rb_err *err)
{
    *ret_s = NULL;
    for (unsigned i = 0; i < aws->n_accounts && !rb_str_empty(account); i++) {
        struct rb_slot *s = &aws->accounts[i];
        if (!rb_str_eq(s->account->id, account)) {
            continue;
        }
        if (!region_listed(s->account, region)) {
            return rb_err_set(err, RB_E_REFUSED,
                              "region %.40s of account %s is not configured: add it to regions of "
                              "aws.accounts[%u]",
                              region, account, i);
        }
        *ret_s = s;
    }
    return RB_OK;
}

struct rb_aws_scope rb_codebuild_scope(const struct rb_codebuild *c, const char *region,
                                       const char *operation)
{
    struct rb_aws_scope scope = {.region = region, .operation = operation};

    for (unsigned i = 0; i < c->aws->n_accounts; i++) {
        if (rb_str_eq(c->aws->accounts[i].account->id, c->account)) {
            scope.account = c->account;
        }
    }
    return scope;
}

enum rb_code rb_aws_credentials_for(struct rb_aws *aws, const char *account, const char *region,
                                    struct rb_credentials *ret_c, struct rb_err *err)
{
    char own[RB_ACCOUNT_BYTES];
    struct rb_slot *s = NULL;

    enum rb_code found = rb_account_find(aws, account, region, &s, err);
    if (found != RB_OK || s != NULL) {
        return found != RB_OK ? found : rb_slot_get(aws, s, ret_c, err);
    }
    if (aws->n_accounts > 0 && !rb_str_empty(account)) {
        enum rb_code rc = own_account(aws, own, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (!rb_str_eq(own, account)) {
            return rb_err_set(
                err, RB_E_REFUSED,
                "account %.20s is not configured: add {id: \"%.20s\", role_arn: …} to "
                "aws.accounts",
                account, account);
        }
    }
    return rb_aws_credentials(aws, ret_c, err);
}
