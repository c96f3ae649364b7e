/* reply.h - hiredis's reply reader with bounds, and what an error reply means to us.
 *
 * Bounds: bytes of one reply, elements of one reply, depth. A peer that passes one is cut off.
 * Threads: one reader, one thread. Blocks: never.
 */
#ifndef RB_REDIS_REPLY_H
#define RB_REDIS_REPLY_H

#include <stdint.h>

#include <hiredis/hiredis.h>

#include <retrybuild/err.h>

#define RREPLY_MAX_BYTES (16u << 20)
#define RREPLY_MAX_ELEMENTS 65536
#define RREPLY_MAX_DEPTH 3

struct rreader {
    redisReader *reader;
    redisReplyObjectFunctions fn, *standard;
    size_t bytes;       /* fed since the last whole reply */
    size_t elements;    /* announced by the reply under way */
    const char *broken; /* which bound was passed; NULL = none */
};

enum rb_code rreader_init(struct rreader *r, struct rb_err *err);
void rreader_release(struct rreader *r);
enum rb_code rreader_feed(struct rreader *r, const char *data, size_t len, struct rb_err *err);
/* rreader_next - *ret_reply is NULL while no whole reply has arrived; else the caller's, to be
 * freed by freeReplyObject. */
enum rb_code rreader_next(struct rreader *r, redisReply **ret_reply, struct rb_err *err);

void rreply_freep(redisReply **r);
/* rreply_number - the number that a string key holds; 0 when there is no such key. */
int64_t rreply_number(const redisReply *r);
/* rreply_error - the code and sentence of an error reply. Never the peer's text of AUTH errors. */
enum rb_code rreply_error(const redisReply *r, struct rb_err *err);
bool rreply_is_noscript(const redisReply *r);
static inline bool rreply_is(const redisReply *r, int type)
{
    return r->type == type;
}

#endif
