/* reply.c - see reply.h. hiredis 0.14.1 bounds the depth only: an array's announced length is
 * allocated at once. So arrays pass through a function of ours that counts first. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "reply.h"

static void *create_array(const redisReadTask *task, int elements)
{
    struct rreader *r = task->privdata;
    unsigned depth = 1;
    for (const redisReadTask *t = task->parent; t != NULL; t = t->parent) {
        depth++;
    }
    if (elements < 0 || depth > RREPLY_MAX_DEPTH ||
        (size_t)elements > RREPLY_MAX_ELEMENTS - r->elements) {
        r->broken =
            depth > RREPLY_MAX_DEPTH ? "it is nested too deeply" : "it has too many elements";
        return NULL;
    }
    r->elements += (size_t)elements;
    return r->standard->createArray(task, elements);
}

enum rb_code rreader_init(struct rreader *r, struct rb_err *err)
{
    *r = (struct rreader){.reader = redisReaderCreate()};
    if (r->reader == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a reply reader");
    }
    r->standard = r->reader->fn;
    r->fn = *r->standard;
    r->fn.createArray = create_array;
    r->reader->fn = &r->fn;
    r->reader->privdata = r;
    return RB_OK;
}

void rreader_release(struct rreader *r)
{
    if (r->reader != NULL) {
        redisReaderFree(r->reader);
        r->reader = NULL;
    }
}

static enum rb_code no_redis(struct rreader *r, struct rb_err *err)
{
    return rb_err_set(err, RB_E_UNAVAIL, "the answer is not one of a Redis server: %s",
                      r->broken != NULL ? r->broken : redisReaderGetError(r->reader));
}

enum rb_code rreader_feed(struct rreader *r, const char *data, size_t len, struct rb_err *err)
{
    r->bytes += len;
    if (r->bytes > RREPLY_MAX_BYTES) {
        r->broken = "it is too long";
        return no_redis(r, err);
    }
    if (redisReaderFeed(r->reader, data, len) != REDIS_OK) {
        return no_redis(r, err);
    }
    return RB_OK;
}

/* A string that is announced but not here yet: hiredis has read its type and stands before its
 * length. */
static bool announces_too_much(const redisReader *r)
{
    if (r->ridx < 0 || r->rstack[r->ridx].type != REDIS_REPLY_STRING) {
        return false;
    }
    uint64_t len = 0;
    for (size_t at = r->pos; at < r->len && r->buf[at] >= '0' && r->buf[at] <= '9'; at++) {
        len = len * 10 + (uint64_t)(r->buf[at] - '0');
        if (len > RREPLY_MAX_BYTES) {
            return true;
        }
    }
    return false;
}

enum rb_code rreader_next(struct rreader *r, redisReply **ret_reply, struct rb_err *err)
{
    void *reply = NULL;
    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
        return no_redis(r, err);
    }
    if (reply != NULL) {
        r->elements = 0;
        r->bytes = r->reader->len - r->reader->pos;
    } else if (announces_too_much(r->reader)) {
        r->broken = "it is too long";
        return no_redis(r, err);
    }
    *ret_reply = reply;
    return RB_OK;
}

void rreply_freep(redisReply **r)
{
    if (*r != NULL) {
        freeReplyObject(*r);
    }
}

static const struct {
    const char *prefix;
    enum rb_code code;
    const char *text;
} errors[] = {
    {"LOADING", RB_E_UNAVAIL, "the server is still loading its data"},
    {"READONLY", RB_E_UNAVAIL, "the server is a read-only replica"},
    {"OOM", RB_E_NO_SPACE, "the server has no memory left (maxmemory)"},
    {"MISCONF", RB_E_UNAVAIL, "the server refuses writes because it cannot save"},
    {"NOREPLICAS", RB_E_UNAVAIL, "the server refuses writes: too few replicas"},
    {"BUSY", RB_E_UNAVAIL, "the server is busy with a script"},
    {"NOAUTH", RB_E_UNAVAIL, "the server wants a password"},
    {"WRONGPASS", RB_E_UNAVAIL, "the server does not accept user or password"},
    {"ERR AUTH", RB_E_UNAVAIL, "the server wants no password"},
    {"ERR invalid password", RB_E_UNAVAIL, "the server does not accept user or password"},
    {"ERR Client sent AUTH", RB_E_UNAVAIL, "the server wants no password"},
    {"NOPERM", RB_E_UNAVAIL, "the user may not run a command that the store needs"},
    {"CLUSTERDOWN", RB_E_UNAVAIL, "the cluster is down"},
    {"MASTERDOWN", RB_E_UNAVAIL, "the server has lost its primary"},
    {"TRYAGAIN", RB_E_UNAVAIL, "the slot is being moved"},
    {"UNKILLABLE", RB_E_UNAVAIL, "the server is busy with a script"},
    {"MOVED", RB_E_UNAVAIL, "the server is a cluster; give the URL of a stand-alone one"},
    {"NOSCRIPT", RB_E_UNAVAIL, "the server has forgotten our scripts"},
    {"ERR max number of clients", RB_E_UNAVAIL, "the server has too many clients"},
};

enum rb_code rreply_error(const redisReply *r, struct rb_err *err)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(errors); i++) {
        if (rb_str_starts(r->str, errors[i].prefix)) {
            return rb_err_set(err, errors[i].code, "%s", errors[i].text);
        }
    }
    return rb_err_set(err, RB_E_INTERNAL, "the server answered: %.200s", r->str);
}

bool rreply_is_noscript(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR && rb_str_starts(r->str, "NOSCRIPT");
}

int64_t rreply_number(const redisReply *r)
{
    int64_t n = 0;
    if (r->type == REDIS_REPLY_STRING) {
        (void)rb_parse_i64(rb_slice_str(r->str), &n);
    }
    return n;
}
