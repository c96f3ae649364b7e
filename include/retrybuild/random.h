/* random.h - random numbers and ids. Threads: any (a struct rb_random of a test: one thread).
 * Blocks: never after start. */
#ifndef RETRYBUILD_RANDOM_H
#define RETRYBUILD_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct rb_random {
    uint64_t (*next)(void *arg); /* uniform 64 bits */
    void *arg;
};

/* rb_random_system - getrandom(2) through a per-thread pool. */
const struct rb_random *rb_random_system(void);
/* rb_random_below - uniform in [0, bound); bound 0 gives 0. */
uint64_t rb_random_below(const struct rb_random *r, uint64_t bound);
void rb_random_bytes(const struct rb_random *r, void *buf, size_t len);

#define RB_ULID_LEN 26
#define RB_ID_BYTES (4 + RB_ULID_LEN + 1) /* "rty_" + ULID + NUL */

/* rb_id_make - write @prefix ("rty_", "chn_": exactly 4 bytes) and a ULID of @now_ms. The last ULID
 * character carries @shard (0..31): stores spread records by it, so that an id alone finds its
 * shard. */
void rb_id_make(const struct rb_random *r, const char *prefix, int64_t now_ms, unsigned shard,
                char ret_id[RB_ID_BYTES]);
/* rb_id_shard - the 5-bit value of the id's last character; -1 when @id is not an id of this
 * @prefix. */
int rb_id_shard(const char *prefix, const char *id);

#endif
