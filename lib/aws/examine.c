/* Who we are: the providers asked one by one, and the identity that STS sees. */
#include <retrybuild/examine.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

#define TRIES_MAX 16

struct listening {
    struct rb_arena *arena;
    struct rb_provider_try tries[TRIES_MAX];
    unsigned n;
};

static void told(void *arg, const char *provider, enum rb_code rc, const char *why)
{
    struct listening *l = arg;

    if (l->n == TRIES_MAX) {
        return;
    }
    const char *kept = rb_arena_strdup(l->arena, why);
    l->tries[l->n++] = (struct rb_provider_try){
        .provider = provider,
        .outcome = rc == RB_OK            ? RB_TRY_GAVE
                   : rc == RB_E_NOT_FOUND ? RB_TRY_PASSED_OVER
                   : rc == RB_E_CLOSED    ? RB_TRY_NOT_ASKED
                                          : RB_TRY_FAILED,
        .why = kept == NULL ? "" : kept,
    };
}

enum rb_code rb_aws_try_providers(struct rb_aws *aws, struct rb_arena *a,
                                  struct rb_provider_try **ret_tries, unsigned *ret_n,
                                  struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    struct listening *l = rb_arena_alloc(a, sizeof(*l));

    *ret_n = 0;
    if (l == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory to ask for credentials");
    }
    l->arena = a;
    const struct rb_providers_ear ear = {.told = told, .arg = l};
    enum rb_code rc = rb_providers_walk(aws, &ear, &c, err);
    *ret_tries = l->tries;
    *ret_n = l->n;
    return rc;
}

enum rb_code rb_aws_identity(struct rb_aws *aws, const char *account, const char *region,
                             struct rb_arena *a, struct rb_aws_identity *ret_i, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};

    *ret_i = (struct rb_aws_identity){.provider = NULL};
    enum rb_code rc = rb_aws_credentials_for(aws, account, region, &c, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_i = (struct rb_aws_identity){.provider = c.provider,
                                      .source = rb_arena_strdup(a, c.source),
                                      .access_key = rb_arena_strdup(a, c.access_key),
                                      .expires_ms = c.expires_ms};
    return rb_sts_caller(aws, &c, a, &ret_i->account, &ret_i->arn, err);
}
