/* What all AWS calls of a process share: credentials, the offset of AWS's clock, the rate. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/thread.h>

#include "aws_state.h"

#define REFRESH_BEFORE_EXPIRY_MS (10 * 60 * 1000)
#define EQUAL_BELOW_MS 2000

enum rb_code rb_aws_new(struct rb_settings *s, const struct rb_clock *clock,
                        struct rb_aws **ret_aws, struct rb_err *err)
{
    struct rb_aws *aws = calloc(1, sizeof(*aws));

    if (aws == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the AWS client");
    }
    aws->clock = clock;
    pthread_mutex_init(&aws->lock, NULL);
    rb_cond_init(&aws->pause);
    aws->rates = rb_rates_new(s->aws.rate_per_second, (double)s->aws.rate_burst);
    if (aws->rates == NULL) {
        rb_aws_free(aws);
        return rb_err_set(err, RB_E_NOMEM, "no memory for the AWS client");
    }
    if (!rb_str_empty(s->aws.endpoint_url)) {
        aws->endpoint_url = strdup(s->aws.endpoint_url);
        if (aws->endpoint_url == NULL) {
            rb_aws_free(aws);
            return rb_err_set(err, RB_E_NOMEM, "no memory for the AWS client");
        }
    }
    *ret_aws = aws;
    return RB_OK;
}

void rb_aws_free(struct rb_aws *aws)
{
    if (aws == NULL) {
        return;
    }
    rb_credentials_release(&aws->cached);
    rb_rates_free(aws->rates);
    free(aws->endpoint_url);
    pthread_cond_destroy(&aws->pause);
    pthread_mutex_destroy(&aws->lock);
    free(aws);
}

const struct rb_clock *rb_aws_clock(const struct rb_aws *aws)
{
    return aws->clock;
}

/* ---- credentials ---- */

static bool copy_credentials(const struct rb_credentials *from, struct rb_credentials *ret_c)
{
    char *key = strdup(from->access_key);

    if (key == NULL) {
        return false;
    }
    *ret_c = (struct rb_credentials){.access_key = key,
                                     .secret_key = rb_secret_ref(from->secret_key),
                                     .session_token = rb_secret_ref(from->session_token),
                                     .expires_ms = from->expires_ms,
                                     .provider = from->provider};
    return true;
}

static bool fresh(const struct rb_aws *aws, int64_t now_ms)
{
    const struct rb_credentials *c = &aws->cached;

    return c->access_key != NULL && !aws->stale &&
           (c->expires_ms == 0 || c->expires_ms - now_ms > REFRESH_BEFORE_EXPIRY_MS);
}

enum rb_code rb_aws_credentials(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials got = {.access_key = NULL};
    int64_t now_ms = rb_aws_now_ms(aws);

    pthread_mutex_lock(&aws->lock);
    bool have = fresh(aws, now_ms);
    bool copied = have && copy_credentials(&aws->cached, ret_c);
    pthread_mutex_unlock(&aws->lock);
    if (!have) {
        enum rb_code rc = rb_providers_fetch(&got, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (got.expires_ms != 0 && got.expires_ms <= now_ms) {
            return rb_err_set(err, RB_E_CREDENTIALS, "the AWS credentials by %s have expired",
                              got.provider);
        }
        copied = copy_credentials(&got, ret_c);
        pthread_mutex_lock(&aws->lock);
        struct rb_credentials old = aws->cached;
        aws->cached = got;
        aws->stale = false;
        pthread_mutex_unlock(&aws->lock);
        got = old; /* released at the end of the scope */
    }
    return copied ? RB_OK : rb_err_set(err, RB_E_NOMEM, "no memory for credentials");
}

void rb_aws_credentials_refused(struct rb_aws *aws)
{
    pthread_mutex_lock(&aws->lock);
    aws->stale = true;
    pthread_mutex_unlock(&aws->lock);
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
