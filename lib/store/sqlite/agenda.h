/* agenda.h - what is due when: the main tasks, in memory, the earliest first.
 *
 * Due times are scattered by jitter, so an index of them on disk would touch pages at random. The
 * rows are the truth; the agenda holds a note for every time that a row was given, and a note whose
 * row says otherwise by now is thrown away when it comes up. Filled by one pass over the table at
 * the start. Threads: the writer's.
 */
#ifndef RB_STORE_SQLITE_AGENDA_H
#define RB_STORE_SQLITE_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/model.h>

struct rb_sq_note {
    int64_t due_ms, rid;
};
struct rb_sq_notes { /* a binary heap */
    struct rb_sq_note *items;
    size_t n, max;
};
struct rb_sq_agenda {
    struct rb_sq_notes by_kind[RB_TASK_KIND_COUNT];
    struct rb_sq_notes taken[RB_TASK_KIND_COUNT]; /* in this transaction; no heap */
};

void rb_sq_agenda_release(struct rb_sq_agenda *a);
/* rb_sq_agenda_add - false: no memory. */
bool rb_sq_agenda_add(struct rb_sq_agenda *a, enum rb_task_kind kind, int64_t due_ms, int64_t rid);
/* rb_sq_agenda_first - the earliest note; false: none. */
bool rb_sq_agenda_first(const struct rb_sq_agenda *a, enum rb_task_kind kind,
                        struct rb_sq_note *ret_note);
/* rb_sq_agenda_take - take the first note out; it comes back if the transaction is undone. False:
 * no memory, it stays. */
bool rb_sq_agenda_take(struct rb_sq_agenda *a, enum rb_task_kind kind);
void rb_sq_agenda_keep(struct rb_sq_agenda *a);
void rb_sq_agenda_undo(struct rb_sq_agenda *a);

#endif
