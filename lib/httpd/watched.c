/* watched.c - see watched.h. A table with open addresses; places are freed by building it anew. */
#include "watched.h"

#include <stdlib.h>
#include <string.h>

#define PLACES (2 * RB_WATCHED_MAX)
#define FORGET_AFTER_LOOKS 8

struct place {
    char id[RB_ID_BYTES]; /* "" = free */
    uint64_t version;
    unsigned told; /* entries of its history */
    unsigned look; /* when last seen */
    bool live;
};

struct rb_watched {
    struct place *places;
    unsigned n;
    unsigned look;
    int64_t since_ms;
};

struct rb_watched *rb_watched_new(int64_t since_ms)
{
    struct rb_watched *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->since_ms = since_ms;
        w->places = calloc(PLACES, sizeof *w->places);
        if (w->places == NULL) {
            free(w);
            w = NULL;
        }
    }
    return w;
}

void rb_watched_free(struct rb_watched *w)
{
    if (w != NULL) {
        free(w->places);
        free(w);
    }
}

/* place_of - that of @id, or the free one where it would go; the table is never full. */
static struct place *place_of(struct place *places, const char *id)
{
    uint32_t h = 2166136261U;
    for (const char *p = id; *p != '\0'; p++) {
        h = (h ^ (unsigned char)*p) * 16777619U;
    }
    unsigned at = h % PLACES;
    while (places[at].id[0] != '\0' && strcmp(places[at].id, id) != 0) {
        at = (at + 1) % PLACES;
    }
    return &places[at];
}

/* forget - what ended and was not seen for @looks goes. */
static void forget(struct rb_watched *w, unsigned looks)
{
    struct place *places = calloc(PLACES, sizeof *places);
    if (places == NULL) {
        return;
    }
    unsigned n = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        const struct place *p = &w->places[i];
        if (p->id[0] != '\0' && (p->live || w->look - p->look < looks)) {
            *place_of(places, p->id) = *p;
            n++;
        }
    }
    free(w->places);
    w->places = places;
    w->n = n;
}

void rb_watched_begin(struct rb_watched *w)
{
    w->look++;
    if (w->n > RB_WATCHED_MAX / 2) {
        forget(w, FORGET_AFTER_LOOKS);
    }
}

/* first_untold - index of the first entry that was not told. A full history drops a middle entry
 * for each new one: then its last is the new one. */
static unsigned first_untold(const struct place *p, const struct rb_retry *r)
{
    return r->n_history == RB_HISTORY_MAX && p->told == RB_HISTORY_MAX ? r->n_history - 1 : p->told;
}

void rb_watched_see(struct rb_watched *w, const struct rb_retry *r,
                    void (*tell)(void *arg, const struct rb_retry *r,
                                 const struct rb_history_entry *entry),
                    void *arg)
{
    struct place *p = place_of(w->places, r->id);
    bool known = p->id[0] != '\0';
    if (!known && w->n >= RB_WATCHED_MAX) {
        forget(w, 1);
        p = place_of(w->places, r->id);
    }
    if (!known && w->n >= RB_WATCHED_MAX) {
        return;
    }
    if (!known) {
        (void)memcpy(p->id, r->id, sizeof p->id);
        w->n++;
    }
    bool changed = !known || p->version != r->version;
    p->look = w->look;
    p->live = !rb_state_terminal(r->state);
    p->version = r->version;
    if (!changed) {
        return;
    }
    for (unsigned i = first_untold(p, r); i < r->n_history; i++) {
        if (w->look > 1 || r->history[i].at_ms >= w->since_ms) {
            tell(arg, r, &r->history[i]);
        }
    }
    p->told = r->n_history;
}

unsigned rb_watched_unseen(const struct rb_watched *w, char (*ret_ids)[RB_ID_BYTES], unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 0; i < PLACES && n < max; i++) {
        const struct place *p = &w->places[i];
        if (p->id[0] != '\0' && p->live && p->look != w->look) {
            (void)memcpy(ret_ids[n++], p->id, RB_ID_BYTES);
        }
    }
    return n;
}

void rb_watched_gone(struct rb_watched *w, const char *id)
{
    struct place *p = place_of(w->places, id);
    p->live = false; /* goes with the next building */
}
