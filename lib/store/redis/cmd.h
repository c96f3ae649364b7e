/* cmd.h - Redis commands written straight into a buffer, and the names of our keys.
 *
 * A key is "rb:{S}:", one letter, then raw bytes. S is the shard; a stand-alone server has the one
 * shard 0, so that all keys of a script share a hash tag. Letters:
 *   r<id> record     l<id> further deliveries   q<id> report rows      y<id> report snapshots
 *   e<key> effects   c<key> children            i<key> intents         d<key> deliveries
 *   t<key> tokens    h<chain> report queues of a chain
 *   z tasks          s states                   a created, newest last
 *   g calendar       b<start> slots             f how many are in the calendar
 *   k how many are scheduled but not in the calendar   j projects seen        o outbox
 *   x paused         E epoch                    B beats of the processes
 *   n<name> the ledger's sheets
 * Threads: a buffer belongs to its user. Blocks: never.
 */
#ifndef RB_REDIS_CMD_H
#define RB_REDIS_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/model.h>

#define RCMD_MAX_BYTES (32u << 20) /* of one buffer of commands */
#define RKEY_RAW 16                /* an id or a key, in bytes */
#define RKEY_CHANNEL "rb:{0}:w"
#define RSPAN (1LL << 43) /* between two kinds or states in a score */

void rcmd_begin(struct rb_buf *out, size_t argc);
void rcmd_arg(struct rb_buf *out, const void *data, size_t len);
void rcmd_str(struct rb_buf *out, const char *s);
void rcmd_int(struct rb_buf *out, int64_t v);
/* rcmd_words - a whole command of plain words; the list ends with NULL. */
void rcmd_words(struct rb_buf *out, const char *word, ...) __attribute__((sentinel));

/* rcmd_key - the key of @letter with @len raw bytes behind it (0 = none). */
void rcmd_key(struct rb_buf *out, char letter, const void *raw, size_t len);
/* rcmd_hex_key - the same with a key of 32 hex digits. */
void rcmd_hex_key(struct rb_buf *out, char letter, const char *key);

/* rkey_raw - 32 hex digits as 16 bytes; the caller has checked them. */
void rkey_raw(const char *key, uint8_t ret_raw[RKEY_RAW]);
/* rid_raw - "rty_" or "chn_" and a ULID as 16 bytes; false when it is none. */
bool rid_raw(const char *id, uint8_t ret_raw[RKEY_RAW]);
void rid_text(const void *raw, char ret_id[RB_ID_BYTES]); /* "rty_…" */

/* rhash - FNV-1a of a name; equal hashes only cost a look at the record. */
uint64_t rhash(const char *s);

void rput48(uint8_t *at, int64_t v);
int64_t rget48(const void *at);
uint32_t rget32(const void *at);
uint16_t rget16(const void *at);

#endif
