/* record.h - a retry as bytes for the store, and as JSON for people.
 *
 * The record is compact (about 250-400 bytes for a waiting retry), versioned, and skips fields it
 * does not know (one release of skew). Format: byte version (1), then fields: varint tag, varint
 * length, bytes. Both stores keep exactly these bytes, so that a retry's JSON is the same from
 * both. Threads: any. Blocks: never.
 */
#ifndef RETRYBUILD_RECORD_H
#define RETRYBUILD_RECORD_H

#include <jansson.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/model.h>

#define RB_RECORD_MAX_BYTES (32 * 1024)

/* rb_record_encode - append to @out; RB_E_TOO_LARGE when @out failed. */
enum rb_code rb_record_encode(const struct rb_retry *r, struct rb_buf *out, struct rb_err *err);
/* rb_record_decode - RB_E_CORRUPT names the offset; RB_E_UNAVAIL: written by the next release in a
 * way that this one cannot read; nothing is wrong with it. */
enum rb_code rb_record_decode(const void *data, size_t len, struct rb_retry **ret_r,
                              struct rb_err *err);
/* rb_retry_write_json - the contract's JSON (design 6.2) appended to @out; absent members are null.
 */
void rb_retry_write_json(const struct rb_retry *r, struct rb_buf *out);

#endif
