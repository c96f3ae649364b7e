/* book.c - open addressing with linear probing; striking closes the gap, so that there are no
 * tombstones.
 */
#include <stdlib.h>
#include <string.h>

#include "book.h"

#define FIRST_SLOTS 1024
#define FIRST_CHANGES 256

static uint64_t hash_key(enum rb_sq_domain domain, const uint8_t *key)
{
    uint64_t h = 0;
    memcpy(&h, key, sizeof(h)); /* keys are parts of a SHA-256 */
    return domain == RB_SQ_DELIVERIES ? h * 0x9e3779b97f4a7c15U + 1 : h;
}

static size_t home(const struct rb_sq_book *b, uint64_t hash)
{
    return (size_t)(hash ^ hash >> 32) & (b->n_slots - 1);
}

static void put(struct rb_sq_book *b, struct rb_sq_slot slot)
{
    size_t at = home(b, slot.hash);
    while (b->slots[at].ref != 0) {
        at = (at + 1) & (b->n_slots - 1);
    }
    b->slots[at] = slot;
    b->n++;
}

bool rb_sq_book_reserve(struct rb_sq_book *b, size_t n)
{
    struct rb_sq_book bigger = *b;
    bigger.n_slots = b->n_slots == 0 ? FIRST_SLOTS : b->n_slots;
    bigger.n = 0;
    while (n * 4 >= bigger.n_slots * 3) {
        bigger.n_slots *= 2;
    }
    if (bigger.n_slots == b->n_slots) {
        return true;
    }
    bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < b->n_slots; i++) {
        if (b->slots[i].ref != 0) {
            put(&bigger, b->slots[i]);
        }
    }
    free(b->slots);
    *b = bigger;
    return true;
}

/* Moves what follows into the gap, unless it would come before its home. */
static void take(struct rb_sq_book *b, size_t gap)
{
    size_t mask = b->n_slots - 1;
    for (size_t at = (gap + 1) & mask; b->slots[at].ref != 0; at = (at + 1) & mask) {
        size_t from_home = (at - home(b, b->slots[at].hash)) & mask;
        if (from_home >= ((at - gap) & mask)) {
            b->slots[gap] = b->slots[at];
            gap = at;
        }
    }
    b->slots[gap] = (struct rb_sq_slot){0};
    b->n--;
}

static bool take_slot(struct rb_sq_book *b, struct rb_sq_slot slot)
{
    if (b->n_slots == 0) {
        return false;
    }
    size_t at = home(b, slot.hash);
    while (b->slots[at].ref != 0 &&
           (b->slots[at].hash != slot.hash || b->slots[at].ref != slot.ref)) {
        at = (at + 1) & (b->n_slots - 1);
    }
    if (b->slots[at].ref == 0) {
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
    free(b->slots);
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
    uint64_t hash = hash_key(domain, key);
    if (b->n_slots == 0) {
        return 0;
    }
    *at = *at == SIZE_MAX ? home(b, hash) : (*at + 1) & (b->n_slots - 1);
    while (b->slots[*at].ref != 0 && b->slots[*at].hash != hash) {
        *at = (*at + 1) & (b->n_slots - 1);
    }
    return b->slots[*at].ref;
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
