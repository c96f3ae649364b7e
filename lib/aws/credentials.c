/* Sets of credentials: one slot for our own, one for each configured account, all refreshed alike.
 *
 * A set is good until 15 minutes before its expiry. From then on one thread fetches a new one while
 * the others go on with the old (a failure is forgotten for a minute); in the last 10 minutes, and
 * after AWS refused the set, the others wait for that thread and share its outcome. No lock is held
 * over the fetch. Source: facts on AWS, 4.1. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>
#include <retrybuild/thread.h>

#include "identity.h"

#define ADVISORY_MS (15 * 60 * 1000)
#define MANDATORY_MS (10 * 60 * 1000)
#define ADVISORY_PAUSE_MS (60 * 1000)
#define WAIT_SLICE_MS 1000

enum need { NEED_NONE, NEED_ADVISORY, NEED_MANDATORY };

static bool copy_credentials(const struct rb_credentials *from, struct rb_credentials *ret_c)
{
    char *key = strdup(from->access_key);

    if (key == NULL) {
        return false;
    }
    *ret_c = *from;
    ret_c->access_key = key;
    ret_c->secret_key = rb_secret_ref(from->secret_key);
    ret_c->session_token = rb_secret_ref(from->session_token);
    return true;
}

/* The lock is held. */
static enum need need_of(const struct rb_slot *s, int64_t now_ms)
{
    const struct rb_credentials *c = &s->cached;

    if (c->access_key == NULL || s->stale) {
        return NEED_MANDATORY;
    }
    int64_t left_ms = c->expires_ms - now_ms;
    if (c->expires_ms == 0 || left_ms >= ADVISORY_MS) {
        return NEED_NONE;
    }
    if (left_ms > MANDATORY_MS || c->outlives) {
        return s->refreshing || now_ms < s->pause_until_ms ? NEED_NONE : NEED_ADVISORY;
    }
    return NEED_MANDATORY;
}

static enum rb_code fetch_checked(struct rb_aws *aws, const struct rb_slot *s,
                                  struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials got = {.access_key = NULL};

    enum rb_code rc = s->account == NULL ? rb_providers_fetch(aws, &got, err)
                                         : rb_account_fetch(aws, s, &got, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (got.expires_ms != 0 && got.expires_ms <= rb_aws_now_ms(aws)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the AWS credentials by %s have expired",
                          got.provider);
    }
    *ret_c = got;
    got = (struct rb_credentials){.access_key = NULL};
    return RB_OK;
}

/* Called and returns with the lock held; it is open meanwhile. */
static enum rb_code refresh_locked(struct rb_aws *aws, struct rb_slot *s, struct rb_err *err)
{
    struct rb_credentials got = {.access_key = NULL};
    struct rb_err why = {.code = RB_OK};

    s->refreshing = true;
    pthread_mutex_unlock(&aws->lock);
    enum rb_code rc = fetch_checked(aws, s, &got, &why);
    if (rc != RB_OK) {
        rb_log(RB_LOG_DEBUG, "aws.credentials", RB_F("error", why.msg));
    }
    pthread_mutex_lock(&aws->lock);
    s->refreshing = false;
    s->rounds++;
    s->last_rc = rc;
    if (rc == RB_OK) {
        struct rb_credentials old = s->cached;
        s->cached = got;
        s->stale = false;
        s->pause_until_ms = 0;
        rb_credentials_release(&old);
    } else {
        s->last_err = why;
        s->pause_until_ms = rb_aws_now_ms(aws) + ADVISORY_PAUSE_MS;
        (void)rb_err_set(err, rc, "%s", why.msg);
    }
    pthread_cond_broadcast(&aws->refreshed);
    return rc;
}

/* The outcome of the round that is under way; RB_OK when it gave a set. */
static enum rb_code wait_locked(struct rb_aws *aws, struct rb_slot *s, struct rb_err *err)
{
    uint64_t round = s->rounds;

    while (s->rounds == round && s->refreshing) {
        (void)rb_cond_wait_ms(&aws->refreshed, &aws->lock, WAIT_SLICE_MS);
    }
    return s->last_rc == RB_OK ? RB_OK : rb_err_set(err, s->last_rc, "%s", s->last_err.msg);
}

enum rb_code rb_slot_get(struct rb_aws *aws, struct rb_slot *s, struct rb_credentials *ret_c,
                         struct rb_err *err)
{
    enum rb_code rc = RB_OK;

    pthread_mutex_lock(&aws->lock);
    switch (need_of(s, rb_aws_now_ms(aws))) {
    case NEED_NONE:
        break;
    case NEED_ADVISORY:
        (void)refresh_locked(aws, s, NULL);
        break;
    case NEED_MANDATORY:
    default:
        rc = s->refreshing ? wait_locked(aws, s, err) : refresh_locked(aws, s, err);
        break;
    }
    if (rc == RB_OK && !copy_credentials(&s->cached, ret_c)) {
        rc = rb_err_set(err, RB_E_NOMEM, "no memory for credentials");
    }
    pthread_mutex_unlock(&aws->lock);
    return rc;
}

enum rb_code rb_aws_credentials(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err)
{
    return rb_slot_get(aws, &aws->own, ret_c, err);
}

void rb_aws_credentials_refused(struct rb_aws *aws)
{
    pthread_mutex_lock(&aws->lock);
    aws->own.stale = true;
    for (unsigned i = 0; i < aws->n_accounts; i++) {
        aws->accounts[i].stale = true;
    }
    rb_sessions_refused_locked(aws);
    pthread_mutex_unlock(&aws->lock);
}

void rb_slot_release(struct rb_slot *s)
{
    rb_credentials_release(&s->cached);
}
