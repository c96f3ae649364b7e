/* book.c - open addressing with linear probing; striking closes the gap, so that there are no
 * tombstones. Hashes stand apart from references: a look-up reads the former only, until one fits.
 * The table grows by a quarter, for a doubling would leave half of it empty.
 */
#include <stdlib.h>
#include <string.h>

#include "book.h"

#define FIRST_SLOTS 1024
#define FIRST_CHANGES 256

static uint32_t hash_key(enum rb_sq_domain domain, const uint8_t *key)
{
    uint64_t h = 0;
    memcpy(&h, key, sizeof(h)); /* keys are parts of a SHA-256 */
    h = domain == RB_SQ_DELIVERIES ? h * 0x9e3779b97f4a7c15U + 1 : h;
    uint32_t hash = (uint32_t)(h ^ h >> 32);
    return hash == 0 ? 1 : hash;
}

static size_t home(const struct rb_sq_book *b, uint32_t hash)
{
    return (size_t)((uint64_t)hash * b->n_slots >> 32);
}

static size_t after(const struct rb_sq_book *b, size_t at)
{
    return at + 1 == b->n_slots ? 0 : at + 1;
}

/* How far @to is behind @from, going round. */
static size_t distance(const struct rb_sq_book *b, size_t from, size_t to)
{
    return to >= from ? to - from : to + b->n_slots - from;
}

static void put(struct rb_sq_book *b, struct rb_sq_slot slot)
{
    size_t at = home(b, slot.hash);
    while (b->hashes[at] != 0) {
        at = after(b, at);
    }
    b->hashes[at] = slot.hash;
    b->refs[at] = slot.ref;
    b->n++;
}

bool rb_sq_book_reserve(struct rb_sq_book *b, size_t n)
{
    struct rb_sq_book bigger = *b;
    bigger.n_slots = b->n_slots == 0 ? FIRST_SLOTS : b->n_slots;
    bigger.n = 0;
    while (n * 5 >= bigger.n_slots * 4) {
        bigger.n_slots += bigger.n_slots / 4;
    }
    if (bigger.n_slots == b->n_slots) {
        return true;
    }
    bigger.hashes = calloc(bigger.n_slots, sizeof(*bigger.hashes));
    bigger.refs = bigger.hashes == NULL ? NULL : calloc(bigger.n_slots, sizeof(*bigger.refs));
    if (bigger.refs == NULL) {
        free(bigger.hashes);
        return false;
    }
    for (size_t i = 0; i < b->n_slots; i++) {
        if (b->hashes[i] != 0) {
            put(&bigger, (struct rb_sq_slot){.hash = b->hashes[i], .ref = b->refs[i]});
        }
    }
    free(b->hashes);
    free(b->refs);
    *b = bigger;
    return true;
}

/* Moves what follows into the gap, unless it would come before its home. */
static void take(struct rb_sq_book *b, size_t gap)
{
    for (size_t at = after(b, gap); b->hashes[at] != 0; at = after(b, at)) {
        if (distance(b, home(b, b->hashes[at]), at) >= distance(b, gap, at)) {
            b->hashes[gap] = b->hashes[at];
            b->refs[gap] = b->refs[at];
            gap = at;
        }
    }
    b->hashes[gap] = 0;
    b->refs[gap] = 0;
    b->n--;
}

static bool take_slot(struct rb_sq_book *b, struct rb_sq_slot slot)
{
    if (b->n_slots == 0) {
        return false;
    }
    size_t at = home(b, slot.hash);
    while (b->hashes[at] != 0 && (b->hashes[at] != slot.hash || b->refs[at] != slot.ref)) {
        at = after(b, at);
    }
    if (b->hashes[at] == 0) {
        return false;
    }
    take(b, at);
    return true;
}

static bool room_for_change(struct rb_sq_book *b)
{
    if (b->n_changes < b->max_changes) {
        return true;
    }
    size_t max = b->max_changes == 0 ? FIRST_CHANGES : b->max_changes * 2;
    struct rb_sq_change *changes = realloc(b->changes, max * sizeof(*changes));
    if (changes == NULL) {
        return false;
    }
    b->changes = changes;
    b->max_changes = max;
    return true;
}

void rb_sq_book_release(struct rb_sq_book *b)
{
    free(b->hashes);
    free(b->refs);
    free(b->changes);
    memset(b, 0, sizeof(*b));
}

bool rb_sq_book_enter(struct rb_sq_book *b, enum rb_sq_domain domain, const uint8_t *key,
                      int64_t ref)
{
    struct rb_sq_slot slot = {.hash = hash_key(domain, key), .ref = ref};
    if (!room_for_change(b) || !rb_sq_book_reserve(b, b->n + 1)) {
        return false;
    }
    put(b, slot);
    b->changes[b->n_changes++] = (struct rb_sq_change){.slot = slot, .entered = true};
    return true;
}

bool rb_sq_book_strike(struct rb_sq_book *b, enum rb_sq_domain domain, const uint8_t *key,
                       int64_t ref)
{
    struct rb_sq_slot slot = {.hash = hash_key(domain, key), .ref = ref};
    if (!room_for_change(b)) {
        return false;
    }
    if (take_slot(b, slot)) {
        b->changes[b->n_changes++] = (struct rb_sq_change){.slot = slot, .entered = false};
    }
    return true;
}

int64_t rb_sq_book_next(const struct rb_sq_book *b, enum rb_sq_domain domain, const uint8_t *key,
                        size_t *at)
{
    uint32_t hash = hash_key(domain, key);
    if (b->n_slots == 0) {
        return 0;
    }
    *at = *at == SIZE_MAX ? home(b, hash) : after(b, *at);
    while (b->hashes[*at] != 0 && b->hashes[*at] != hash) {
        *at = after(b, *at);
    }
    return b->hashes[*at] == 0 ? 0 : b->refs[*at];
}

void rb_sq_book_keep(struct rb_sq_book *b)
{
    b->n_changes = 0;
}

/* The table has not shrunk since, so there is room for what comes back. */
void rb_sq_book_undo(struct rb_sq_book *b)
{
    while (b->n_changes > 0) {
        const struct rb_sq_change *c = &b->changes[--b->n_changes];
        if (c->entered) {
            (void)take_slot(b, c->slot);
        } else {
            put(b, c->slot);
        }
    }
}
