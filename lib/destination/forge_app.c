/* forge_app.c - installation tokens of GitHub Apps.
 *
 * A token lives an hour. It is kept for all threads, by host, app and owner of the repository (an
 * installation belongs to an owner), and fetched by the first that finds it missing or about to
 * expire; the others wait for that one call. Tokens may have any length.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>
#include <retrybuild/jwt.h>
#include <retrybuild/thread.h>
#include <retrybuild/timefmt.h>

#include "forge_private.h"

#define ENTRIES_MAX 64
#define EARLY_MS (60 * 1000)
#define USUAL_LIFE_MS (55 * 60 * 1000)
#define WAIT_MAX_MS 10000
#define JWT_MAX_BYTES 4096
#define ID_TEXT_BYTES 24

struct entry {
    uint8_t key[RB_SHA256_BYTES];
    bool used, fetching;
    struct rb_secret *token; /* NULL = none */
    int64_t until_ms;        /* unix */
};

struct rb_forge_tokens {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t fetched;
    struct entry entries[ENTRIES_MAX];
    unsigned next; /* to be given away when all are used */
};

struct rb_forge_tokens *rb_forge_tokens_new(void)
{
    struct rb_forge_tokens *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        pthread_mutex_init(&t->lock, NULL);
        rb_cond_init(&t->fetched);
    }
    return t;
}

void rb_forge_tokens_free(struct rb_forge_tokens *t)
{
    if (t == NULL) {
        return;
    }
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        rb_secret_free(t->entries[i].token);
    }
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->fetched);
    free(t);
}

static void key_of(const struct rb_forge *f, const char *repository,
                   uint8_t ret_key[RB_SHA256_BYTES])
{
    const struct rb_slice owner = {repository, repository == NULL ? 0 : strcspn(repository, "/")};
    const struct rb_slice parts[] = {
        rb_slice_str(f->api->url), rb_slice_str(f->api->app_id),
        f->api->app_installation != NULL ? rb_slice_str(f->api->app_installation) : owner,
        f->api->app_installation != NULL ? RB_SLICE_LIT("id") : RB_SLICE_LIT("owner")};
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), ret_key);
}

/* find - the entry of @key, made when there is none; NULL when all are being fetched. */
static struct entry *find(struct rb_forge_tokens *t, const uint8_t key[RB_SHA256_BYTES])
{
    struct entry *spare = NULL;
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        struct entry *e = &t->entries[i];
        if (e->used && memcmp(e->key, key, RB_SHA256_BYTES) == 0) {
            return e;
        }
        spare = spare == NULL && !e->used ? e : spare;
    }
    for (unsigned i = 0; spare == NULL && i < ENTRIES_MAX; i++) {
        struct entry *e = &t->entries[t->next++ % ENTRIES_MAX];
        spare = e->fetching ? NULL : e;
    }
    if (spare != NULL) {
        rb_secret_free(spare->token);
        *spare = (struct entry){.used = true};
        memcpy(spare->key, key, RB_SHA256_BYTES);
    }
    return spare;
}

static const char *take_token(const struct entry *e, int64_t now_ms, struct rb_arena *a)
{
    return e->token != NULL && now_ms < e->until_ms ? rb_arena_strdup(a, rb_secret_data(e->token))
                                                    : NULL;
}

/* ---- fetching ---- */

static enum rb_code installation_of(const struct rb_forge *f, const char *repository,
                                    const char *proof, char ret_id[ID_TEXT_BYTES],
                                    struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const struct rb_forge_ask ask = {.repository = repository};
    if (f->api->app_installation != NULL) {
        (void)snprintf(ret_id, ID_TEXT_BYTES, "%s", f->api->app_installation);
        return RB_OK;
    }
    if (repository == NULL) {
        return rb_err_set(err, RB_E_INVALID,
                          "api.app.installation is needed where no repository "
                          "is known");
    }
    enum rb_code rc = rb_forge_send(f, "GET", "/repos/%r/installation", &ask, proof, NULL, &j, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "installation of the app");
    }
    const json_t *id = rb_forge_at(j, "id");
    if (!json_is_integer(id)) {
        return rb_err_set(err, RB_E_UNAVAIL, "the git host names no installation of the app");
    }
    (void)snprintf(ret_id, ID_TEXT_BYTES, "%lld", (long long)json_integer_value(id));
    return RB_OK;
}

static enum rb_code fetch(const struct rb_forge *f, const char *repository,
                          struct rb_secret **ret_token, int64_t *ret_until_ms, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf proof = RB_BUF_INIT(JWT_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    char id[ID_TEXT_BYTES];
    int64_t now_ms = rb_now_ms(f->clock);
    if (f->api->app_key == NULL) {
        return rb_err_set(err, RB_E_INVALID, "api.app.private_key is missing");
    }
    rb_buf_adds(&proof, "Authorization: Bearer ");
    enum rb_code rc = rb_jwt_app(rb_secret_data(f->api->app_key), rb_secret_len(f->api->app_key),
                                 f->api->app_id, now_ms / 1000, &proof, err);
    if (rc == RB_OK) {
        rc = installation_of(f, repository, rb_buf_str(&proof), id, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const struct rb_forge_ask ask = {.user_id = id};
    rc = rb_forge_send(f, "POST", "/app/installations/%i/access_tokens", &ask, rb_buf_str(&proof),
                       NULL, &j, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "token of the app");
    }
    const char *token = rb_forge_text(j, "token");
    const char *until = rb_forge_text(j, "expires_at");
    if (rb_str_empty(token)) {
        return rb_err_set(err, RB_E_UNAVAIL, "the git host gave the app no token");
    }
    if (until == NULL || !rb_time_parse_iso(rb_slice_str(until), ret_until_ms)) {
        *ret_until_ms = now_ms + USUAL_LIFE_MS;
    }
    *ret_until_ms -= EARLY_MS;
    *ret_token = rb_secret_new(token, strlen(token));
    return *ret_token == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a token") : RB_OK;
}

/* wait_or_lead - under the lock: the token, or NULL when this thread is the one that fetches it, or
 * an error when another's call took too long. */
static enum rb_code wait_or_lead(const struct rb_forge *f, const uint8_t key[RB_SHA256_BYTES],
                                 struct rb_arena *a, const char **ret_token, struct rb_err *err)
{
    int64_t until_ms =
        f->until_boot_ms != 0 ? f->until_boot_ms : rb_boot_ms(f->clock) + WAIT_MAX_MS;
    for (;;) {
        struct entry *e = find(f->tokens, key);
        if (e == NULL) {
            return rb_err_set(err, RB_E_UNAVAIL, "too many tokens of apps are being fetched");
        }
        *ret_token = take_token(e, rb_now_ms(f->clock), a);
        if (*ret_token != NULL) {
            return RB_OK;
        }
        if (!e->fetching) {
            e->fetching = true;
            return RB_OK;
        }
        int64_t left_ms = until_ms - rb_boot_ms(f->clock);
        if (left_ms <= 0) {
            return rb_err_set(err, RB_E_TIMEOUT, "the app's token is being fetched for too long");
        }
        rb_cond_wait_ms(&f->tokens->fetched, &f->tokens->lock, left_ms);
    }
}

enum rb_code rb_forge_app_token(const struct rb_forge *f, const char *repository,
                                struct rb_arena *a, const char **ret_token, struct rb_err *err)
{
    RB_CLEANUP(rb_secret_freep) struct rb_secret *token = NULL;
    struct rb_forge_tokens *t = f->tokens;
    uint8_t key[RB_SHA256_BYTES];
    int64_t until_ms = 0;
    if (t == NULL) {
        return rb_err_set(err, RB_E_INVALID, "an app cannot be used here; give a token");
    }
    key_of(f, repository, key);
    pthread_mutex_lock(&t->lock);
    enum rb_code rc = wait_or_lead(f, key, a, ret_token, err);
    pthread_mutex_unlock(&t->lock);
    if (rc != RB_OK || *ret_token != NULL) {
        return rc;
    }
    rc = fetch(f, repository, &token, &until_ms, err);
    *ret_token = rc == RB_OK ? rb_arena_strdup(a, rb_secret_data(token)) : NULL;
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, key);
    if (e != NULL) {
        e->fetching = false;
        if (rc == RB_OK) {
            rb_secret_free(e->token);
            e->token = RB_TAKE(token);
            e->until_ms = until_ms;
        }
    }
    pthread_cond_broadcast(&t->fetched);
    pthread_mutex_unlock(&t->lock);
    return rc == RB_OK && *ret_token == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a token")
                                             : rc;
}

void rb_forge_app_forget(const struct rb_forge *f, const char *repository)
{
    uint8_t key[RB_SHA256_BYTES];
    if (f->tokens == NULL) {
        return;
    }
    key_of(f, repository, key);
    pthread_mutex_lock(&f->tokens->lock);
    struct entry *e = find(f->tokens, key);
    if (e != NULL) {
        e->until_ms = 0;
    }
    pthread_mutex_unlock(&f->tokens->lock);
}
