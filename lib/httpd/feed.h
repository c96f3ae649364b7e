/* feed.h - changes of retries as one stream of server-sent events, for any number of readers.
 *
 * While there are readers a thread of its own looks at the store twice a second: that finds what
 * any process changed, and costs nothing while nobody reads. Threads: the loop, but for the feed's
 * own thread. Blocks: free.
 */
#ifndef RB_HTTPD_FEED_H
#define RB_HTTPD_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/store.h>

#define RB_FEED_BYTES (1024 * 1024) /* kept for readers that are behind */
#define RB_FEED_READERS_MAX 64

struct rb_feed;

/* rb_feed_new - @wake(arg) is called from the feed's thread when there is something to read. */
enum rb_code rb_feed_new(struct rb_store *store, const struct rb_clock *clock,
                         void (*wake)(void *arg), void *arg, struct rb_feed **ret_f,
                         struct rb_err *err);
void rb_feed_free(struct rb_feed *f); /* ends the thread; NULL accepted */
/* rb_feed_join - one reader more, from now on, or behind the event of id @after (0 = none) when
 * that is still kept. RB_E_FULL: too many readers. */
enum rb_code rb_feed_join(struct rb_feed *f, uint64_t after, uint64_t *ret_at, struct rb_err *err);
void rb_feed_leave(struct rb_feed *f);
bool rb_feed_has(struct rb_feed *f, uint64_t at);
/* rb_feed_read - at most @max bytes from *at on, which moves; 0 = nothing yet. A reader that is so
 * far behind that something was dropped is told by the event `lost`, and goes on with what is kept.
 */
size_t rb_feed_read(struct rb_feed *f, uint64_t *at, char *ret_text, size_t max);

#endif
