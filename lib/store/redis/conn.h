/* conn.h - one connection to a Redis server: plain or TLS, never blocking, with its greeting.
 *
 * A connection is opened to a list of addresses, tries them in turn, shakes hands (TLS, AUTH,
 * SELECT, CLIENT SETNAME, INFO, SCRIPT LOAD) and is then ready. After any error it must be closed:
 * replies that may still come are never read. Threads: one at a time. Blocks: only rconn_wait, as
 * long as its deadline says.
 */
#ifndef RB_REDIS_CONN_H
#define RB_REDIS_CONN_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <retrybuild/buf.h>
#include <retrybuild/clock.h>
#include <retrybuild/err.h>

#include "reply.h"
#include "target.h"

enum rconn_role {
    RCONN_PLAIN,   /* a sentinel: no greeting at all */
    RCONN_LISTEN,  /* a subscriber: the greeting without scripts */
    RCONN_COMMANDS /* the whole greeting */
};
enum rconn_state { RCONN_CLOSED, RCONN_CONNECTING, RCONN_TLS, RCONN_GREETING, RCONN_READY };

#define RINFO_ID_BYTES 41
struct rinfo { /* what INFO said */
    unsigned replicas;
    char id[RINFO_ID_BYTES];   /* master_replid */
    char from[RINFO_ID_BYTES]; /* master_replid2; "" when all zeros */
    char policy[24];           /* maxmemory-policy, when it is one that deletes; else "" */
};

struct rconn {
    enum rconn_state state;
    enum rconn_role role;
    int fd;
    SSL_CTX *tls; /* NULL = plain; the store's */
    SSL *ssl;
    short ssl_wants; /* POLLOUT while TLS must write before it can read */
    const struct rtarget *target;
    struct raddresses addresses;
    unsigned tried;
    struct rreader reader;
    struct rb_buf out; /* what is to be sent; commands are appended here */
    size_t sent;
    unsigned greeting_left, greeting_at;
    struct rinfo info;
    const struct rb_clock *clock;
};

void rconn_init(struct rconn *c, enum rconn_role role, const struct rtarget *target, SSL_CTX *tls,
                const struct rb_clock *clock);
/* rconn_open - start to connect to the first of @addresses. */
enum rb_code rconn_open(struct rconn *c, const struct raddresses *addresses, struct rb_err *err);
/* rconn_close - drop everything at once; the connection may be opened again. */
void rconn_close(struct rconn *c);
/* rconn_release - close, and free what is kept between uses. */
void rconn_release(struct rconn *c);

/* rconn_events - what poll or epoll should wait for. */
short rconn_events(const struct rconn *c);
/* rconn_step - do what can be done without waiting: connect, shake hands, send, receive. */
enum rb_code rconn_step(struct rconn *c, struct rb_err *err);
/* rconn_flush - only send what can be sent. Ready connections. */
enum rb_code rconn_flush(struct rconn *c, struct rb_err *err);
/* rconn_reply - the next whole reply that has arrived, NULL when there is none. */
enum rb_code rconn_reply(struct rconn *c, redisReply **ret_reply, struct rb_err *err);
/* rconn_wait_ready, rconn_wait_reply - the same with patience until @deadline_ms (boot clock). */
enum rb_code rconn_wait_ready(struct rconn *c, int64_t deadline_ms, struct rb_err *err);
enum rb_code rconn_wait_reply(struct rconn *c, int64_t deadline_ms, redisReply **ret_reply,
                              struct rb_err *err);
/* rconn_stale - ready, but the peer has closed it or says what nobody asked for. */
bool rconn_stale(struct rconn *c);

/* greeting.c */
void rgreet_send(struct rconn *c);
enum rb_code rgreet_reply(struct rconn *c, const redisReply *r, struct rb_err *err);
/* rinfo_read - take what we need of an INFO reply, and refuse a server that must not be used. One
 * that may evict is refused by rinfo_check, so that the keeper can tell it from one that is away.
 */
enum rb_code rinfo_check(const struct rinfo *info, struct rb_err *err);
/* rinfo_field - the value of "name:" at the start of a line, cut to @size - 1 bytes; false: not
 * there. */
bool rinfo_field(const char *text, const char *name, char *ret_value, size_t size);
enum rb_code rinfo_read(const redisReply *r, struct rinfo *ret_info, struct rb_err *err);
void rscripts_send_load(struct rb_buf *out); /* one SCRIPT LOAD a script */

/* tls.c */
enum rb_code rtls_context(const char *ca_file, const char *certificate_file, const char *key_file,
                          SSL_CTX **ret_ctx, struct rb_err *err);
enum rb_code rtls_start(struct rconn *c, struct rb_err *err);
enum rb_code rtls_handshake(struct rconn *c, bool *ret_done, struct rb_err *err);
/* rtls_read, rtls_write - *ret_n 0: would have to wait. RB_E_UNAVAIL when the peer is gone. */
enum rb_code rtls_read(struct rconn *c, char *data, size_t len, size_t *ret_n, struct rb_err *err);
enum rb_code rtls_write(struct rconn *c, const char *data, size_t len, size_t *ret_n,
                        struct rb_err *err);

/* ---- a connection in the epoll set of somebody's loop (watch.c) ---- */
struct rwatch {
    int epoll_fd;
    void *tag;       /* data.ptr of its events */
    int fd;          /* registered; -1 = none */
    uint32_t events; /* registered for */
};
/* rwatch_update - after every step: the descriptor and the events that the connection has now. */
void rwatch_update(struct rwatch *w, const struct rconn *c);
void rwatch_end(struct rwatch *w);

#endif
