/* known.c - small things the workers of a process share: which principal a key is, what is paused.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define RB_PAUSED_FRESH_MS 1000
#define RB_PAUSED_ARENA_BYTES (256u * 1024)

const char *rb_engine_initiator_of(struct rb_engine *e, const char *access_key, struct rb_arena *a)
{
    const char *found = NULL;

    if (access_key == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < e->n_initiators; i++) {
        if (strcmp(e->initiators[i].access_key, access_key) == 0) {
            found = rb_arena_strdup(a, e->initiators[i].initiator);
            break;
        }
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

void rb_engine_learn_initiator(struct rb_engine *e, const char *access_key, const char *initiator)
{
    unsigned at = 0;

    if (rb_str_empty(access_key) || rb_str_empty(initiator) ||
        strlen(access_key) >= sizeof(e->initiators[0].access_key) ||
        strlen(initiator) >= sizeof(e->initiators[0].initiator)) {
        return;
    }
    pthread_mutex_lock(&e->lock);
    while (at < e->n_initiators && strcmp(e->initiators[at].access_key, access_key) != 0) {
        at++;
    }
    if (at == RB_MAX_INITIATORS) { /* keys rotate: the oldest goes */
        memmove(&e->initiators[0], &e->initiators[1],
                sizeof(e->initiators[0]) * (RB_MAX_INITIATORS - 1));
        at--;
    } else if (at == e->n_initiators) {
        e->n_initiators++;
    }
    snprintf(e->initiators[at].access_key, sizeof(e->initiators[at].access_key), "%s", access_key);
    snprintf(e->initiators[at].initiator, sizeof(e->initiators[at].initiator), "%s", initiator);
    pthread_mutex_unlock(&e->lock);
}

/* The switches are read at most once a second by a process; a store that is away leaves what was
 * known. */
static void refresh_paused(struct rb_worker *w)
{
    struct rb_engine *e = w->e;
    struct rb_arena fresh;
    const char **names = NULL;
    struct rb_err err;
    unsigned n = 0;

    rb_arena_init(&fresh, RB_PAUSED_ARENA_BYTES);
    enum rb_code rc = rb_store_paused(w->ses, &fresh, &names, &n, &err);
    rb_engine_store_state(e, rc, &err);
    if (rc == RB_OK) {
        pthread_mutex_lock(&e->lock);
        struct rb_arena old = e->paused_arena;
        e->paused_arena = fresh;
        e->paused = names;
        e->n_paused = n;
        e->paused_read_ms = rb_boot_ms(e->clock);
        pthread_mutex_unlock(&e->lock);
        fresh = old;
    }
    rb_arena_release(&fresh);
}

bool rb_engine_is_paused(struct rb_worker *w, const char *project)
{
    struct rb_engine *e = w->e;
    int64_t boot_ms = rb_boot_ms(e->clock);
    bool paused = false;

    pthread_mutex_lock(&e->lock);
    bool stale = e->paused_read_ms == 0 || boot_ms - e->paused_read_ms > RB_PAUSED_FRESH_MS;
    pthread_mutex_unlock(&e->lock);
    if (stale) {
        refresh_paused(w);
    }
    pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < e->n_paused && !paused; i++) {
        paused = strcmp(e->paused[i], "*") == 0 || rb_str_eq(e->paused[i], project);
    }
    pthread_mutex_unlock(&e->lock);
    return paused;
}
