/* book.h - where a key stands: effect and delivery keys of all retries, in memory.
 *
 * Keys are hashes, so an index of them on disk would touch a page of its own for every admission,
 * the more so the more there is. Instead a key is written once, in the row of its retry, where
 * everything is appended; the book leads from four bytes of the key to that row, twelve bytes a
 * slot, and is filled by one pass over the table at the start. It never decides by itself: whoever
 * follows a reference compares the whole key in the row. Keys whose time is over are struck
 * (keys.c). What a transaction enters and strikes can be undone. Threads: the writer's.
 */
#ifndef RB_STORE_SQLITE_BOOK_H
#define RB_STORE_SQLITE_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rb_sq_domain { RB_SQ_EFFECTS, RB_SQ_DELIVERIES };

struct rb_sq_slot {
    uint32_t hash; /* never 0 */
    int64_t ref;   /* what the key leads to */
};
struct rb_sq_change {
    struct rb_sq_slot slot;
    bool entered; /* else struck */
};
struct rb_sq_book {
    uint32_t *hashes; /* n_slots of them; 0 = free slot */
    int64_t *refs;
    size_t n_slots, n;
    struct rb_sq_change *changes; /* of this transaction */
    size_t n_changes, max_changes;
};

void rb_sq_book_release(struct rb_sq_book *b);
/* rb_sq_book_reserve - room for @n entries in all; false: no memory. */
bool rb_sq_book_reserve(struct rb_sq_book *b, size_t n);
/* rb_sq_book_enter, rb_sq_book_strike - false: no memory, nothing was done. Striking what is not
 * there is fine. */
bool rb_sq_book_enter(struct rb_sq_book *b, enum rb_sq_domain domain, const uint8_t *key,
                      int64_t ref);
bool rb_sq_book_strike(struct rb_sq_book *b, enum rb_sq_domain domain, const uint8_t *key,
                       int64_t ref);
/* rb_sq_book_next - the next reference that @key may lead to, 0 = no more. @at: begin with
 * SIZE_MAX. */
int64_t rb_sq_book_next(const struct rb_sq_book *b, enum rb_sq_domain domain, const uint8_t *key,
                        size_t *at);
void rb_sq_book_keep(struct rb_sq_book *b); /* committed */
void rb_sq_book_undo(struct rb_sq_book *b); /* rolled back */

#endif
