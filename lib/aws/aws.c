/* What all AWS calls of a process share: the settings, the offset of AWS's clock, the rate. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/thread.h>

#include "aws_state.h"

#define EQUAL_BELOW_MS 2000
#define PROVIDER_PAUSE_MS 1000
#define KEPT_MAX_BYTES ((size_t)1024 * 1024)

static bool keep(struct rb_aws *aws, const char *text, const char **ret)
{
    *ret = rb_str_empty(text) ? NULL : rb_arena_strdup(&aws->kept, text);
    return rb_str_empty(text) || *ret != NULL;
}

static bool keep_account(struct rb_aws *aws, const struct rb_account_setting *from)
{
    struct rb_account_setting *to = rb_arena_alloc(&aws->kept, sizeof(*to));
    const char **regions = rb_arena_alloc(&aws->kept, (from->regions.n + 1) * sizeof(*regions));
    bool ok = to != NULL && regions != NULL && keep(aws, from->id, &to->id) &&
              keep(aws, from->role_arn, &to->role_arn) &&
              keep(aws, from->external_id, &to->external_id);

    for (unsigned i = 0; ok && i < from->regions.n; i++) {
        ok = keep(aws, from->regions.items[i], &regions[i]);
    }
    if (ok) {
        to->exact = from->exact;
        to->regions = (struct rb_strings){.items = regions, .n = from->regions.n};
        aws->accounts[aws->n_accounts++].account = to;
    }
    return ok;
}

/* What is needed of the settings is copied: they may be replaced while the clients live on. */
static bool keep_settings(struct rb_aws *aws, const struct rb_settings *s)
{
    const char *account = NULL;
    bool ok = keep(aws, s->aws.endpoint_url, &aws->endpoint_url) &&
              keep(aws, s->aws.region, &aws->region) && keep(aws, s->aws.profile, &aws->profile) &&
              keep(aws, s->network.proxy, &aws->proxy) &&
              keep(aws, s->network.ca_file, &aws->ca_file) && keep(aws, s->aws.account, &account);

    if (account != NULL && strlen(account) == RB_ACCOUNT_BYTES - 1) {
        memcpy(aws->own_account, account, RB_ACCOUNT_BYTES);
    }
    aws->imds_v1 = s->aws.imds_v1;
    aws->accounts = calloc(s->aws.n_accounts + 1, sizeof(*aws->accounts));
    ok = ok && aws->accounts != NULL;
    for (unsigned i = 0; ok && i < s->aws.n_accounts; i++) {
        ok = keep_account(aws, &s->aws.accounts[i]);
    }
    return ok;
}

enum rb_code rb_aws_new(struct rb_settings *s, const struct rb_clock *clock,
                        struct rb_aws **ret_aws, struct rb_err *err)
{
    struct rb_aws *aws = calloc(1, sizeof(*aws));

    if (aws == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the AWS client");
    }
    aws->clock = clock;
    aws->provider_pause_ms = PROVIDER_PAUSE_MS;
    rb_arena_init(&aws->kept, KEPT_MAX_BYTES);
    pthread_mutex_init(&aws->lock, NULL);
    rb_cond_init(&aws->pause);
    rb_cond_init(&aws->refreshed);
    aws->rates = rb_rates_new(s->aws.rate_per_second, (double)s->aws.rate_burst);
    if (aws->rates == NULL || !keep_settings(aws, s)) {
        rb_aws_free(aws);
        return rb_err_set(err, RB_E_NOMEM, "no memory for the AWS client");
    }
    *ret_aws = aws;
    return RB_OK;
}

void rb_aws_free(struct rb_aws *aws)
{
    if (aws == NULL) {
        return;
    }
    rb_sessions_release(aws);
    rb_slot_release(&aws->own);
    for (unsigned i = 0; i < aws->n_accounts; i++) {
        rb_slot_release(&aws->accounts[i]);
    }
    free(aws->accounts);
    rb_rates_free(aws->rates);
    rb_arena_release(&aws->kept);
    pthread_cond_destroy(&aws->refreshed);
    pthread_cond_destroy(&aws->pause);
    pthread_mutex_destroy(&aws->lock);
    free(aws);
}

const struct rb_clock *rb_aws_clock(const struct rb_aws *aws)
{
    return aws->clock;
}

/* ---- AWS's clock ---- */

int64_t rb_aws_offset_ms(const struct rb_aws *aws)
{
    return atomic_load(&aws->offset_ms);
}

bool rb_aws_offset_known(const struct rb_aws *aws)
{
    return atomic_load(&aws->offset_known);
}

void rb_aws_note_date(struct rb_aws *aws, int64_t their_ms, int64_t our_ms)
{
    int64_t offset_ms = their_ms - our_ms;
    if (offset_ms > -EQUAL_BELOW_MS && offset_ms < EQUAL_BELOW_MS) {
        offset_ms = 0; /* a Date has whole seconds and was written a while ago */
    }
    atomic_store(&aws->offset_ms, offset_ms);
    atomic_store(&aws->offset_known, true);
}

int64_t rb_aws_now_ms(const struct rb_aws *aws)
{
    return rb_now_ms(aws->clock) + rb_aws_offset_ms(aws);
}
