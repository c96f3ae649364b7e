/* agenda.c - a heap a kind. */
#include <stdlib.h>
#include <string.h>

#include "agenda.h"

#define FIRST_NOTES 256

static bool before(const struct rb_sq_note *a, const struct rb_sq_note *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->rid < b->rid);
}

static void swap(struct rb_sq_note *a, struct rb_sq_note *b)
{
    struct rb_sq_note kept = *a;
    *a = *b;
    *b = kept;
}

static bool room_for(struct rb_sq_notes *h, size_t n)
{
    if (n <= h->max) {
        return true;
    }
    size_t max = h->max == 0 ? FIRST_NOTES : h->max * 2;
    max = max < n ? n : max;
    struct rb_sq_note *items = realloc(h->items, max * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    h->items = items;
    h->max = max;
    return true;
}

static void heap_add(struct rb_sq_notes *h, struct rb_sq_note note)
{
    size_t at = h->n++;
    h->items[at] = note;
    while (at > 0 && before(&h->items[at], &h->items[(at - 1) / 2])) {
        swap(&h->items[at], &h->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void heap_drop_first(struct rb_sq_notes *h)
{
    h->items[0] = h->items[--h->n];
    for (size_t at = 0;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < h->n; child++) {
            first = before(&h->items[child], &h->items[first]) ? child : first;
        }
        if (first == at) {
            return;
        }
        swap(&h->items[at], &h->items[first]);
        at = first;
    }
}

void rb_sq_agenda_release(struct rb_sq_agenda *a)
{
    for (int kind = 0; kind < RB_TASK_KIND_COUNT; kind++) {
        free(a->by_kind[kind].items);
        free(a->taken[kind].items);
    }
    memset(a, 0, sizeof(*a));
}

bool rb_sq_agenda_add(struct rb_sq_agenda *a, enum rb_task_kind kind, int64_t due_ms, int64_t rid)
{
    struct rb_sq_notes *h = &a->by_kind[kind];
    if (!room_for(h, h->n + a->taken[kind].n + 1)) { /* what was taken may have to come back */
        return false;
    }
    heap_add(h, (struct rb_sq_note){.due_ms = due_ms, .rid = rid});
    return true;
}

bool rb_sq_agenda_first(const struct rb_sq_agenda *a, enum rb_task_kind kind,
                        struct rb_sq_note *ret_note)
{
    const struct rb_sq_notes *h = &a->by_kind[kind];
    if (h->n == 0) {
        return false;
    }
    *ret_note = h->items[0];
    return true;
}

bool rb_sq_agenda_take(struct rb_sq_agenda *a, enum rb_task_kind kind)
{
    struct rb_sq_notes *taken = &a->taken[kind];
    if (!room_for(taken, taken->n + 1)) {
        return false;
    }
    taken->items[taken->n++] = a->by_kind[kind].items[0];
    heap_drop_first(&a->by_kind[kind]);
    return true;
}

void rb_sq_agenda_keep(struct rb_sq_agenda *a)
{
    for (int kind = 0; kind < RB_TASK_KIND_COUNT; kind++) {
        a->taken[kind].n = 0;
    }
}

/* There is room: see rb_sq_agenda_add. What was added stays; its row says that it is wrong. */
void rb_sq_agenda_undo(struct rb_sq_agenda *a)
{
    for (int kind = 0; kind < RB_TASK_KIND_COUNT; kind++) {
        while (a->taken[kind].n > 0) {
            heap_add(&a->by_kind[kind], a->taken[kind].items[--a->taken[kind].n]);
        }
    }
}
