/* target.h - a redis URL taken apart (design 6.3), and addresses to connect to.
 *
 *   redis://[user:pass@]host[:6379][/db]   rediss://… (TLS)   redis+unix://[user:pass@]/path[?db=N]
 *   redis+sentinel://[user:pass@]h1[:26379],h2/name[/db]      redis+cluster://h1:6379,h2:6379
 * Threads: read-only after rtarget_parse. Blocks: rtarget_resolve asks the resolver.
 */
#ifndef RB_REDIS_TARGET_H
#define RB_REDIS_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <retrybuild/err.h>
#include <retrybuild/secret.h>

#define RTARGET_MAX_HOSTS 8
#define RTARGET_MAX_ADDRESSES 8

enum rtarget_kind { RTARGET_TCP, RTARGET_UNIX, RTARGET_SENTINEL };

struct rhost {
    char name[256];
    uint16_t port;
};

struct rtarget {
    enum rtarget_kind kind;
    bool tls;
    struct rhost hosts[RTARGET_MAX_HOSTS]; /* the server, or the sentinels */
    unsigned n_hosts;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char master[128]; /* the sentinels' name for it */
    unsigned db;
    struct rb_secret *user, *password; /* NULL = none */
};

/* rtarget_parse - @url is settings.store.url; @password (may be NULL) replaces the one in it.
 * Errors never show the user part. */
enum rb_code rtarget_parse(const char *url, struct rb_secret *password, struct rtarget *ret_t,
                           struct rb_err *err);
void rtarget_release(struct rtarget *t);

struct raddress {
    struct sockaddr_storage addr;
    socklen_t len;
};
struct raddresses {
    struct raddress items[RTARGET_MAX_ADDRESSES];
    unsigned n;
    char host[256];  /* for TLS: the name that the certificate must carry */
    char label[300]; /* for messages */
};
/* rtarget_resolve - the addresses of one host. Blocks as getaddrinfo does. */
enum rb_code rtarget_resolve(const struct rhost *host, struct raddresses *ret_a,
                             struct rb_err *err);
void rtarget_unix(const struct rtarget *t, struct raddresses *ret_a);

#endif
