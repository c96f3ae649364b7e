/* hook_signers.c - certificates of senders, by the URL they came from.
 *
 * A few, for a day at most and never past their own end: those of the regions whose topics are
 * configured. What is fetched is paid for by us, while anybody may name a URL that looks right; so
 * there is a budget of fetches a minute, which what is known here does not touch.
 */
#include <string.h>

#include <retrybuild/certificate.h>

#include "private.h"
#include "signers.h"

#define SIGNERS_MAX 32
#define URL_MAX_BYTES 256
#define KEEP_MS (24LL * 3600 * 1000)
#define FETCHES_A_MINUTE 20
#define MINUTE_MS 60000

struct signer {
    char url[URL_MAX_BYTES]; /* "" = free */
    struct rb_certificate *certificate;
    int64_t fetched_ms;
};

struct rb_signers {
    pthread_mutex_t lock; /* guards all below */
    struct signer items[SIGNERS_MAX];
    int64_t minute_ms; /* when the running minute of the budget began */
    unsigned fetches;  /* in it */
};

struct rb_signers *rb_signers_new(void)
{
    struct rb_signers *s = calloc(1, sizeof *s);
    if (s != NULL) {
        pthread_mutex_init(&s->lock, NULL);
    }
    return s;
}

void rb_signers_free(struct rb_signers *s)
{
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < SIGNERS_MAX; i++) {
        rb_certificate_free(s->items[i].certificate);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct rb_certificate *rb_signers_find(struct rb_signers *s, const char *url, int64_t now_ms)
{
    struct rb_certificate *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < SIGNERS_MAX && found == NULL; i++) {
        const struct signer *one = &s->items[i];
        bool fresh = now_ms >= one->fetched_ms && now_ms - one->fetched_ms < KEEP_MS;
        if (one->certificate != NULL && fresh && strcmp(one->url, url) == 0 &&
            rb_certificate_valid_at(one->certificate, now_ms)) {
            found = rb_certificate_ref(one->certificate);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void rb_signers_keep(struct rb_signers *s, const char *url, struct rb_certificate *c,
                     int64_t now_ms)
{
    size_t len = strlen(url);
    if (len >= URL_MAX_BYTES) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    struct signer *at = &s->items[0]; /* the same URL, else the oldest */
    for (unsigned i = 0; i < SIGNERS_MAX; i++) {
        struct signer *one = &s->items[i];
        if (strcmp(one->url, url) == 0) {
            at = one;
            break;
        }
        at = one->fetched_ms < at->fetched_ms ? one : at;
    }
    rb_certificate_free(at->certificate);
    at->certificate = rb_certificate_ref(c);
    at->fetched_ms = now_ms;
    memcpy(at->url, url, len + 1);
    pthread_mutex_unlock(&s->lock);
}

bool rb_signers_may_fetch(struct rb_signers *s, int64_t boot_ms)
{
    pthread_mutex_lock(&s->lock);
    if (s->fetches == 0 || boot_ms - s->minute_ms >= MINUTE_MS) {
        s->minute_ms = boot_ms;
        s->fetches = 0;
    }
    bool may = s->fetches < FETCHES_A_MINUTE;
    s->fetches += may ? 1 : 0;
    pthread_mutex_unlock(&s->lock);
    return may;
}
