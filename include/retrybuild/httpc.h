/* httpc.h - outbound HTTP on libcurl, with the address guard.
 *
 * One struct rb_httpc a thread (one CURL handle, connections kept). No redirects, no proxy from the
 * environment, no decompression, TLS always verified, body capped. The guard looks at the resolved
 * address of the socket that is opened, and again before each request on a reused one. Threads: one
 * at a time. Blocks: until the answer or the deadline.
 */
#ifndef RETRYBUILD_HTTPC_H
#define RETRYBUILD_HTTPC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/settings.h>

struct rb_httpc;

enum rb_reach {
    RB_REACH_GUARDED, /* public addresses, and those the operator listed in network.allow */
    RB_REACH_TRUSTED, /* an endpoint that the operator configured by itself (AWS endpoint) */
};

struct rb_http_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value"; NULL-terminated */
    const char *body;           /* NULL = none */
    size_t body_len;
    enum rb_reach reach;
    int64_t connect_timeout_ms;
    int64_t timeout_ms; /* 0 = none */
    size_t max_answer_bytes;
    /* when set the body is handed on as it arrives and not kept; false ends the call (RB_E_CLOSED)
     */
    bool (*on_body)(void *arg, const char *data, size_t len);
    void *on_body_arg;
    const atomic_bool *cancel; /* may be NULL; set by another thread to end the call soon */
};

#define RB_HTTP_HEADERS_MAX 32
struct rb_http_answer {
    long status;
    struct rb_buf body;
    struct rb_buf raw_headers;    /* "name: value\n" with lower-case names */
    int64_t started_ms, ended_ms; /* of the settings' clock: CLOCK_REALTIME */
};
void rb_http_answer_release(struct rb_http_answer *a);
/* rb_http_answer_header - value into @a's memory, NULL when absent. */
const char *rb_http_answer_header(const struct rb_http_answer *a, const char *lower_name,
                                  struct rb_arena *arena);
/* rb_http_retry_after_ms - Retry-After (seconds or date) or x-amz-retry-after (ms), -1 when absent
 * or unusable. */
int64_t rb_http_retry_after_ms(const struct rb_http_answer *a, int64_t now_ms);

enum rb_code rb_httpc_new(const struct rb_settings *s, struct rb_httpc **ret_c, struct rb_err *err);
void rb_httpc_free(struct rb_httpc *c); /* NULL accepted */
/* rb_httpc_call - RB_OK with any complete HTTP answer. *ret_sent (always set) says whether a byte
 * of the request may have left. Errors: RB_E_BLOCKED (guard), RB_E_UNAVAIL (name, connect, TLS:
 * nothing sent when !*ret_sent), RB_E_TIMEOUT, RB_E_AMBIGUOUS (cut after sending), RB_E_TOO_LARGE,
 * RB_E_CLOSED (cancelled). Messages show host and port, never path, query or userinfo. */
enum rb_code rb_httpc_call(struct rb_httpc *c, const struct rb_http_request *req,
                           struct rb_http_answer *ret_answer, bool *ret_sent, struct rb_err *err);

/* rb_httpc_judge - what a guarded call to @url would be told by the guard, without making it.
 * RB_OK: let through. RB_E_BLOCKED: refused, and what to add to network.allow; RB_E_UNAVAIL: its
 * name has no address here; RB_E_INVALID: no http(s) URL. *ret_host (host and port, in @a) is set
 * unless INVALID. Blocks: name resolution. */
enum rb_code rb_httpc_judge(const struct rb_settings *s, const char *url, struct rb_arena *a,
                            const char **ret_host, struct rb_err *err);
/* rb_httpc_foresee - as rb_httpc_judge for a configuration that is read: no name is resolved.
 * RB_E_BLOCKED: no call to @url could ever get through. Blocks: never. */
enum rb_code rb_httpc_foresee(const struct rb_settings *s, const char *url, struct rb_err *err);

/* ---- the guard by itself (pure) ---- */
struct rb_netlist;
/* rb_netlist_parse - "10.0.0.0/8", "fd00::/8", "127.0.0.1" (a single address). RB_E_INVALID names
 * the entry. */
enum rb_code rb_netlist_parse(const struct rb_strings *cidrs, struct rb_netlist **ret_l,
                              struct rb_err *err);
void rb_netlist_free(struct rb_netlist *l);
/* rb_address_allowed - false for loopback, private, CGNAT, link-local, multicast, 0/8, class E,
 * documentation, benchmarking, ULA, mapped and compatible IPv4, NAT64, 6to4, Teredo and metadata
 * addresses, unless listed. Embedded IPv4 is judged as itself. */
bool rb_address_allowed(const struct sockaddr *sa, const struct rb_netlist *allow);

#endif
