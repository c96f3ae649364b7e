/* watched.h - which states of which retries a stream of changes has told: what a look at the store
 * shows against what was told before.
 *
 * Pure but for memory. A retry's history says every state it went through, so that what changed
 * twice between two looks is told twice. Threads: one at a time.
 */
#ifndef RB_HTTPD_WATCHED_H
#define RB_HTTPD_WATCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/model.h>

#define RB_WATCHED_MAX                                                        \
    4096 /* retries remembered; the longest unseen of the ended ones go first \
          */

struct rb_watched;

/* rb_watched_new - what the first look shows is told only where it happened at @since_ms or later.
 * NULL without memory. */
struct rb_watched *rb_watched_new(int64_t since_ms);
void rb_watched_free(struct rb_watched *w);
/* rb_watched_begin - a new look. */
void rb_watched_begin(struct rb_watched *w);
/* rb_watched_see - @r as the store shows it: @tell is called for each entry of its history that was
 * not told yet, in order. */
void rb_watched_see(struct rb_watched *w, const struct rb_retry *r,
                    void (*tell)(void *arg, const struct rb_retry *r,
                                 const struct rb_history_entry *entry),
                    void *arg);
/* rb_watched_unseen - ids of retries that had not ended and were not seen in this look; returns
 * their number, at most @max. rb_watched_gone - one of them is no longer there. */
unsigned rb_watched_unseen(const struct rb_watched *w, char (*ret_ids)[RB_ID_BYTES], unsigned max);
void rb_watched_gone(struct rb_watched *w, const char *id);

#endif
