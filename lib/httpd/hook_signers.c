/* hook_signers.c - certificates of senders, by the URL they came from.
 *
 * A few, for a day at most and never past their own end: those of the regions whose topics are
 * configured. What is fetched is paid for by us, while anybody may name a URL that looks right; so
 * there is a budget of fetches a minute, which what is known here does not touch. Each type of
 * source has its own, and its own few calls at a time: a server that does not answer holds up those
 * who need it, and a thread is left for the others.
 */
#include <string.h>

#include <retrybuild/certificate.h>

#include "private.h"
#include "signers.h"

#define SIGNERS_MAX 32
#define URL_MAX_BYTES 256
#define DOCUMENTS_MAX 4
#define DOCUMENT_MAX_BYTES ((size_t)64 * 1024)
#define BUDGETS_MAX 4 /* types of source that have certificates fetched */
#define FETCHES_A_MINUTE 20
#define FETCHES_AT_ONCE 2     /* of a type */
#define FETCHES_AT_ONCE_ALL 3 /* there are four threads, and others need one */
#define MINUTE_MS 60000

struct signer {
    char url[URL_MAX_BYTES]; /* "" = free */
    struct rb_certificate *certificate;
    int64_t fetched_ms;
};

struct document {
    char url[URL_MAX_BYTES]; /* "" = free */
    struct rb_buf text;
    int64_t fetched_ms; /* of the clock that is never set */
};

struct budget {
    const char *type;  /* NULL = free */
    int64_t minute_ms; /* when the running minute began */
    unsigned fetches;  /* in it */
    unsigned running;
};

struct rb_signers {
    pthread_mutex_t lock; /* guards all below */
    struct signer items[SIGNERS_MAX];
    struct document documents[DOCUMENTS_MAX];
    struct budget budgets[BUDGETS_MAX];
    unsigned running; /* of all of them */
};

struct rb_signers *rb_signers_new(void)
{
    struct rb_signers *s = calloc(1, sizeof *s);
    if (s != NULL) {
        pthread_mutex_init(&s->lock, NULL);
        for (unsigned i = 0; i < DOCUMENTS_MAX; i++) {
            rb_buf_init(&s->documents[i].text, DOCUMENT_MAX_BYTES);
        }
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
    for (unsigned i = 0; i < DOCUMENTS_MAX; i++) {
        rb_buf_release(&s->documents[i].text);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct rb_certificate *rb_signers_find(struct rb_signers *s, const char *url, int64_t now_ms,
                                       int64_t age_ms)
{
    struct rb_certificate *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < SIGNERS_MAX && found == NULL; i++) {
        const struct signer *one = &s->items[i];
        bool fresh = now_ms >= one->fetched_ms && now_ms - one->fetched_ms < age_ms;
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

bool rb_signers_document(struct rb_signers *s, const char *url, int64_t boot_ms, struct rb_buf *out)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < DOCUMENTS_MAX && !found; i++) {
        const struct document *d = &s->documents[i];
        found = strcmp(d->url, url) == 0 && boot_ms - d->fetched_ms < MINUTE_MS;
        if (found) {
            rb_buf_add(out, d->text.data, d->text.len);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void rb_signers_keep_document(struct rb_signers *s, const char *url, const struct rb_buf *text,
                              int64_t boot_ms)
{
    size_t len = strlen(url);
    if (len >= URL_MAX_BYTES || text->len > DOCUMENT_MAX_BYTES) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    struct document *at = &s->documents[0]; /* the same URL, else the oldest */
    for (unsigned i = 0; i < DOCUMENTS_MAX && strcmp(at->url, url) != 0; i++) {
        struct document *d = &s->documents[i];
        at = strcmp(d->url, url) == 0 || d->fetched_ms < at->fetched_ms ? d : at;
    }
    rb_buf_clear(&at->text);
    rb_buf_add(&at->text, text->data, text->len);
    at->fetched_ms = boot_ms;
    memcpy(at->url, url, len + 1);
    at->url[rb_buf_failed(&at->text) ? 0 : len] = '\0'; /* nothing, rather than a part */
    pthread_mutex_unlock(&s->lock);
}

/* budget_of - with the lock held; NULL: no row is left. */
static struct budget *budget_of(struct rb_signers *s, const char *type)
{
    for (unsigned i = 0; i < BUDGETS_MAX; i++) {
        struct budget *b = &s->budgets[i];
        b->type = b->type == NULL ? type : b->type;
        if (strcmp(b->type, type) == 0) {
            return b;
        }
    }
    return NULL;
}

bool rb_signers_may_fetch(struct rb_signers *s, const char *type, int64_t boot_ms)
{
    bool may = false;
    pthread_mutex_lock(&s->lock);
    struct budget *b = budget_of(s, type);
    if (b != NULL) {
        if (b->fetches == 0 || boot_ms - b->minute_ms >= MINUTE_MS) {
            b->minute_ms = boot_ms;
            b->fetches = 0;
        }
        may = b->fetches < FETCHES_A_MINUTE && b->running < FETCHES_AT_ONCE &&
              s->running < FETCHES_AT_ONCE_ALL;
        b->fetches += may ? 1 : 0;
        b->running += may ? 1 : 0;
        s->running += may ? 1 : 0;
    }
    pthread_mutex_unlock(&s->lock);
    return may;
}

void rb_signers_fetched(struct rb_signers *s, const char *type)
{
    pthread_mutex_lock(&s->lock);
    struct budget *b = budget_of(s, type);
    if (b != NULL) {
        b->running--;
        s->running--;
    }
    pthread_mutex_unlock(&s->lock);
}
