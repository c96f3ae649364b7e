/* target.c - see target.h. The user part is cut off first, so that no later message can show it. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>
#include <retrybuild/url.h>

#include "target.h"

#define PORT_REDIS 6379
#define PORT_SENTINEL 26379
#define MAX_DB 65535
#define MAX_URL_BYTES 4096

static enum rb_code bad(struct rb_err *err, const char *what)
{
    return rb_err_set(err, RB_E_INVALID, "store.url: %s", what);
}

static struct rb_secret *decoded(struct rb_slice s, struct rb_arena *a)
{
    const char *text = rb_url_decode(s.ptr, s.len, false, a);
    return text == NULL ? NULL : rb_secret_new(text, strlen(text));
}

static enum rb_code parse_user(struct rb_slice s, struct rtarget *t, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    rb_arena_init(&a, (size_t)2 * MAX_URL_BYTES);
    const char *colon = memchr(s.ptr, ':', s.len);
    struct rb_slice user = {.ptr = s.ptr, .len = colon == NULL ? s.len : (size_t)(colon - s.ptr)};
    if (user.len > 0) {
        t->user = decoded(user, &a);
        if (t->user == NULL) {
            return bad(err, "the user does not decode");
        }
    }
    if (colon != NULL && t->password == NULL) {
        t->password = decoded((struct rb_slice){.ptr = colon + 1, .len = s.len - user.len - 1}, &a);
        if (t->password == NULL) {
            return bad(err, "the password does not decode");
        }
    }
    return RB_OK;
}

static bool parse_host(struct rb_slice s, uint16_t default_port, struct rhost *ret_h)
{
    struct rb_slice name = s;
    struct rb_slice port = {.ptr = NULL, .len = 0};
    const char *end = s.ptr + s.len;
    const char *colon = NULL;
    if (s.len > 0 && s.ptr[0] == '[') {
        const char *close = memchr(s.ptr, ']', s.len);
        if (close == NULL || (close + 1 < end && close[1] != ':')) {
            return false;
        }
        name = (struct rb_slice){.ptr = s.ptr + 1, .len = (size_t)(close - s.ptr - 1)};
        colon = close + 1 < end ? close + 1 : NULL;
    } else {
        colon = memchr(s.ptr, ':', s.len);
        name.len = colon == NULL ? s.len : (size_t)(colon - s.ptr);
    }
    uint64_t number = default_port;
    if (colon != NULL) {
        port = (struct rb_slice){.ptr = colon + 1, .len = (size_t)(end - colon - 1)};
        if (!rb_parse_u64(port, &number)) {
            return false;
        }
    }
    if (name.len == 0 || name.len >= sizeof(ret_h->name) || number == 0 || number > UINT16_MAX) {
        return false;
    }
    memcpy(ret_h->name, name.ptr, name.len);
    ret_h->name[name.len] = '\0';
    ret_h->port = (uint16_t)number;
    return true;
}

static enum rb_code parse_hosts(struct rb_slice s, uint16_t default_port, unsigned max,
                                struct rtarget *t, struct rb_err *err)
{
    while (true) {
        const char *comma = memchr(s.ptr, ',', s.len);
        struct rb_slice one = {.ptr = s.ptr,
                               .len = comma == NULL ? s.len : (size_t)(comma - s.ptr)};
        if (t->n_hosts == max) {
            return bad(err, max == 1 ? "this scheme takes one host" : "too many hosts");
        }
        if (!parse_host(one, default_port, &t->hosts[t->n_hosts])) {
            return bad(err, "a host is not host, host:port or [address]:port");
        }
        t->n_hosts++;
        if (comma == NULL) {
            return RB_OK;
        }
        s = (struct rb_slice){.ptr = comma + 1, .len = s.len - one.len - 1};
    }
}

static enum rb_code parse_db(struct rb_slice s, struct rtarget *t, struct rb_err *err)
{
    uint64_t db = 0;
    if (s.len > 0 && (!rb_parse_u64(s, &db) || db > MAX_DB)) {
        return bad(err, "the database is not a number");
    }
    t->db = (unsigned)db;
    return RB_OK;
}

static enum rb_code parse_unix(struct rb_slice rest, struct rtarget *t, struct rb_err *err)
{
    const char *question = memchr(rest.ptr, '?', rest.len);
    size_t path_len = question == NULL ? rest.len : (size_t)(question - rest.ptr);
    if (path_len < 2 || rest.ptr[0] != '/' || path_len >= sizeof(t->path)) {
        return bad(err, "redis+unix wants an absolute path of a socket");
    }
    memcpy(t->path, rest.ptr, path_len);
    t->path[path_len] = '\0';
    if (question == NULL) {
        return RB_OK;
    }
    struct rb_slice query = {.ptr = question + 1, .len = rest.len - path_len - 1};
    if (query.len < 3 || memcmp(query.ptr, "db=", 3) != 0) {
        return bad(err, "redis+unix knows ?db=N only");
    }
    return parse_db((struct rb_slice){.ptr = query.ptr + 3, .len = query.len - 3}, t, err);
}

static enum rb_code parse_net(struct rb_slice rest, struct rtarget *t, struct rb_err *err)
{
    const char *slash = memchr(rest.ptr, '/', rest.len);
    struct rb_slice hosts = {.ptr = rest.ptr,
                             .len = slash == NULL ? rest.len : (size_t)(slash - rest.ptr)};
    struct rb_slice tail = {.ptr = slash == NULL ? "" : slash + 1,
                            .len = slash == NULL ? 0 : rest.len - hosts.len - 1};
    bool sentinel = t->kind == RTARGET_SENTINEL;
    enum rb_code rc = parse_hosts(hosts, sentinel ? PORT_SENTINEL : PORT_REDIS,
                                  sentinel ? RTARGET_MAX_HOSTS : 1, t, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (sentinel) {
        const char *next = memchr(tail.ptr, '/', tail.len);
        size_t len = next == NULL ? tail.len : (size_t)(next - tail.ptr);
        if (len == 0 || len >= sizeof(t->master)) {
            return bad(err, "redis+sentinel wants the name of the master after the hosts");
        }
        memcpy(t->master, tail.ptr, len);
        t->master[len] = '\0';
        tail = (struct rb_slice){.ptr = next == NULL ? "" : next + 1,
                                 .len = next == NULL ? 0 : tail.len - len - 1};
    }
    return parse_db(tail, t, err);
}

static const struct {
    const char *prefix;
    enum rtarget_kind kind;
    bool tls;
} schemes[] = {
    {"redis://", RTARGET_TCP, false},
    {"rediss://", RTARGET_TCP, true},
    {"redis+unix://", RTARGET_UNIX, false},
    {"redis+sentinel://", RTARGET_SENTINEL, false},
};

static enum rb_code parse_rest(struct rb_slice rest, struct rtarget *t, struct rb_err *err)
{
    /* The user part ends at the last '@' before the first '/': no password has an encoded slash. */
    const char *slash = memchr(rest.ptr, '/', rest.len);
    size_t authority = slash == NULL ? rest.len : (size_t)(slash - rest.ptr);
    const char *at = memrchr(rest.ptr, '@', authority);
    enum rb_code rc = RB_OK;
    if (at != NULL) {
        struct rb_slice user = {.ptr = rest.ptr, .len = (size_t)(at - rest.ptr)};
        rc = parse_user(user, t, err);
        rest = (struct rb_slice){.ptr = at + 1, .len = rest.len - user.len - 1};
    }
    if (rc == RB_OK) {
        rc = t->kind == RTARGET_UNIX ? parse_unix(rest, t, err) : parse_net(rest, t, err);
    }
    return rc;
}

enum rb_code rtarget_parse(const char *url, struct rb_secret *password, struct rtarget *ret_t,
                           struct rb_err *err)
{
    if (rb_str_starts(url, "redis+cluster:")) {
        return bad(err, "redis+cluster is not supported by this version; use redis://, rediss://, "
                        "redis+unix:// or redis+sentinel://");
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(schemes); i++) {
        if (!rb_str_starts(url, schemes[i].prefix) || strlen(url) > MAX_URL_BYTES) {
            continue;
        }
        struct rtarget t = {.kind = schemes[i].kind, .tls = schemes[i].tls};
        t.password = rb_secret_ref(password);
        enum rb_code rc = parse_rest(rb_slice_str(url + strlen(schemes[i].prefix)), &t, err);
        if (rc != RB_OK) {
            rtarget_release(&t);
            return rc;
        }
        *ret_t = t;
        return RB_OK;
    }
    return bad(err, "not redis://host, rediss://host, redis+unix:///path or "
                    "redis+sentinel://host/name");
}

void rtarget_release(struct rtarget *t)
{
    rb_secret_free(t->user);
    rb_secret_free(t->password);
    t->user = NULL;
    t->password = NULL;
}

enum rb_code rtarget_resolve(const struct rhost *host, struct raddresses *ret_a, struct rb_err *err)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)host->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host->name, port, &hints, &list);
    if (rc != 0) {
        return rb_err_set(err, RB_E_UNAVAIL, "the name %s does not resolve: %s", host->name,
                          gai_strerror(rc));
    }
    struct raddresses a = {.n = 0};
    for (struct addrinfo *i = list; i != NULL && a.n < RTARGET_MAX_ADDRESSES; i = i->ai_next) {
        memcpy(&a.items[a.n].addr, i->ai_addr, i->ai_addrlen);
        a.items[a.n++].len = i->ai_addrlen;
    }
    freeaddrinfo(list);
    memcpy(a.host, host->name, sizeof(a.host));
    (void)snprintf(a.label, sizeof(a.label), "%s:%s", host->name, port);
    *ret_a = a;
    return RB_OK;
}

void rtarget_unix(const struct rtarget *t, struct raddresses *ret_a)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, t->path, sizeof(un.sun_path));
    struct raddresses a = {.n = 1};
    memcpy(&a.items[0].addr, &un, sizeof(un));
    a.items[0].len = sizeof(un);
    (void)snprintf(a.label, sizeof(a.label), "%s", t->path);
    *ret_a = a;
}
