/* server.c - the HTTP side, on libmicrohttpd with a thread for each connection: a fault may hold
 * one answer for seconds without holding another. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "http.h"

#define MAX_BODY_BYTES (1024 * 1024)
#define MAX_CONNECTIONS 1024
#define STACK_BYTES (512 * 1024)

struct exchange {
    struct rb_buf body;
    bool started;
};

static const char *request_header(const struct sim_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->arg, MHD_HEADER_KIND, name);
}

/* A body that is announced whole and ends in the middle. */
struct half {
    char *body;
    size_t len; /* of what is sent */
};

static ssize_t read_half(void *arg, uint64_t pos, char *buf, size_t max)
{
    const struct half *h = arg;
    if (pos >= h->len) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = h->len - (size_t)pos < max ? h->len - (size_t)pos : max;
    memcpy(buf, h->body + pos, n);
    return (ssize_t)n;
}

static void free_half(void *arg)
{
    struct half *h = arg;
    free(h->body);
    free(h);
}

static struct MHD_Response *make_response(struct sim_reply *reply)
{
    char *body = RB_TAKE(reply->body);
    if (reply->wire != SIM_WIRE_HALF) {
        return MHD_create_response_from_buffer(body == NULL ? 0 : reply->body_len, body,
                                               MHD_RESPMEM_MUST_FREE);
    }
    struct half *h = calloc(1, sizeof *h);
    if (h == NULL) {
        free(body);
        return NULL;
    }
    h->body = body;
    h->len = reply->body_len / 2;
    return MHD_create_response_from_callback(reply->body_len, 4096, read_half, h, free_half);
}

static void add_headers(struct MHD_Response *response, const struct sim_reply *reply)
{
    char date[RB_TIME_HTTP_BYTES];
    rb_time_http(reply->date_ms, date);
    MHD_add_response_header(response, MHD_HTTP_HEADER_DATE, date);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    MHD_add_response_header(response, "x-amzn-RequestId", reply->request_id);
    if (reply->error_type[0] != '\0') {
        MHD_add_response_header(response, "x-amzn-ErrorType", reply->error_type);
    }
    if (reply->retry_after_s >= 0) {
        char after[24];
        snprintf(after, sizeof after, "%lld", (long long)reply->retry_after_s);
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, after);
    }
}

/* A close that resets: what is unsent is thrown away. */
static void make_reset(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (info != NULL) {
        setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
}

static enum MHD_Result answer(struct MHD_Connection *connection, struct sim_reply *reply)
{
    if (reply->wire == SIM_WIRE_RESET || reply->wire == SIM_WIRE_CLOSE) {
        if (reply->wire == SIM_WIRE_RESET) {
            make_reset(connection);
        }
        free(reply->body);
        return MHD_NO; /* closes without a word */
    }
    struct MHD_Response *response = make_response(reply);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, reply);
    enum MHD_Result rc = MHD_queue_response(connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result too_large(struct MHD_Connection *connection)
{
    struct sim_reply reply = {.content_type = "application/json", .retry_after_s = -1};
    sim_uuid(reply.request_id);
    sim_reply_json(&reply, 413, json_pack("{s:s}", "message", "the body is longer than 1 MiB"));
    return answer(connection, &reply);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    (void)version;
    struct exchange *x = *state;
    if (x == NULL) {
        x = calloc(1, sizeof *x);
        if (x == NULL) {
            return MHD_NO;
        }
        rb_buf_init(&x->body, MAX_BODY_BYTES);
        *state = x;
        return MHD_YES;
    }
    if (*len > 0) {
        rb_buf_add(&x->body, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (rb_buf_failed(&x->body)) {
        return too_large(connection);
    }
    struct sim_request r = {.method = method,
                            .path = url,
                            .query = "",
                            .body = rb_buf_str(&x->body),
                            .body_len = x->body.len,
                            .header = request_header,
                            .arg = connection};
    struct sim_reply reply;
    sim_dispatch(arg, &r, &reply);
    return answer(connection, &reply);
}

static void on_end(void *arg, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode why)
{
    (void)arg;
    (void)connection;
    (void)why;
    struct exchange *x = *state;
    if (x != NULL) {
        rb_buf_release(&x->body);
        free(x);
    }
}

/* "HOST:PORT" with a numeric host, "[::1]:0" for IPv6. */
static bool parse_listen(const char *listen, struct sockaddr_storage *ret_address,
                         socklen_t *ret_len)
{
    const char *colon = strrchr(listen, ':');
    uint64_t port = 0;
    char host[64];
    if (colon == NULL || !rb_parse_u64(rb_slice_str(colon + 1), &port) || port > UINT16_MAX) {
        return false;
    }
    bool brackets = listen[0] == '[' && colon > listen + 1 && colon[-1] == ']';
    const char *from = listen + (brackets ? 1 : 0);
    int len = (int)(colon - from) - (brackets ? 1 : 0);
    if (len <= 0 || len >= (int)sizeof host) {
        return false;
    }
    snprintf(host, sizeof host, "%.*s", len, from);
    memset(ret_address, 0, sizeof *ret_address);
    if (brackets) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        *ret_len = sizeof *six;
        return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
    }
    struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    *ret_len = sizeof *four;
    return inet_pton(AF_INET, host, &four->sin_addr) == 1;
}

enum rb_code sim_server_start(struct rb_sim *sim, const char *listen, struct rb_err *err)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    if (!parse_listen(listen, &address, &len)) {
        return rb_err_set(err, RB_E_INVALID,
                          "listen: '%s' is not a numeric address and port, like 127.0.0.1:4570",
                          listen);
    }
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                     MHD_USE_THREAD_PER_CONNECTION |
                     (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    sim->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, sim, MHD_OPTION_SOCK_ADDR,
                                   (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED, on_end,
                                   NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                                   MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
                                   MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (sim->daemon == NULL) {
        return rb_err_set(err, RB_E_UNAVAIL, "cannot listen on %s", listen);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(sim->daemon, MHD_DAEMON_INFO_BIND_PORT);
    sim->port = info == NULL ? 0 : info->port;
    struct rb_buf url = RB_BUF_INIT(128);
    rb_buf_addf(&url, "http://%.*s:%u", (int)(strrchr(listen, ':') - listen), listen,
                (unsigned)sim->port);
    sim->url = rb_buf_detach(&url);
    return sim->url != NULL ? RB_OK : rb_err_set(err, RB_E_NOMEM, "no memory for a URL");
}

void sim_server_stop(struct rb_sim *sim)
{
    if (sim->daemon != NULL) {
        MHD_stop_daemon(sim->daemon);
        sim->daemon = NULL;
    }
}
