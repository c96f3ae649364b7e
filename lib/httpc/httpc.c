/* Outbound HTTP on libcurl.
 *
 * One easy handle a client, reset before every call, so that its connections live on and its
 * options do not. The guard stands at two places: where a socket is opened (it sees the address
 * that name resolution gave) and before each request (a reused connection opens no socket). `sent`
 * is true from the moment the request may be written; libcurl's own repetition on a connection that
 * died is refused there, because a second copy that is answered would hide the fate of the first.
 */
#include <retrybuild/httpc.h>

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>

#include "guard.h"

#define HEADERS_MAX_BYTES (64 * 1024)
#define IDLE_CONNECTION_S 20L
#define CONNECTIONS_MAX 8L

struct rb_httpc {
    CURL *curl;
    struct rb_netlist *allow;
    char *ca_file; /* NULL = the system's */
    char *proxy;   /* "" = none */

    /* of the call under way */
    const struct rb_http_request *req;
    struct rb_http_answer answer;
    bool tls;
    bool sent, opened, blocked, too_large, no_memory, repeated, headers_complete, ended_by_caller;
    int64_t deadline_boot_ms;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_state;

static void init_curl(void)
{
    curl_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool proxied(const struct rb_httpc *c)
{
    return c->proxy[0] != '\0';
}

static bool passes(struct rb_httpc *c, const struct sockaddr *sa)
{
    bool ok =
        c->req->reach == RB_REACH_TRUSTED || proxied(c) || rb_guard_allows(sa, c->tls, c->allow);

    c->blocked = c->blocked || !ok;
    return ok;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct rb_httpc *c = arg;

    (void)purpose;
    if (!passes(c, &address->addr)) {
        return CURL_SOCKET_BAD;
    }
    c->opened = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* A trusted call that ran out of time is reset rather than closed, so that nothing of it is still
 * delivered later. */
static int on_close_socket(void *arg, curl_socket_t fd)
{
    const struct rb_httpc *c = arg;

    if (c->req != NULL && c->req->reach == RB_REACH_TRUSTED && c->sent &&
        rb_boot_ms(rb_clock_system()) >= c->deadline_boot_ms) {
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    return close(fd);
}

static int on_before_request(void *arg, char *primary_ip, char *local_ip, int primary_port,
                             int local_port)
{
    struct rb_httpc *c = arg;
    struct sockaddr_storage sa;

    (void)local_ip;
    (void)primary_port;
    (void)local_port;
    if (c->sent) {
        c->repeated = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (c->req->reach == RB_REACH_GUARDED && !proxied(c) &&
        (!rb_address_parse(primary_ip, &sa) || !passes(c, (const struct sockaddr *)&sa))) {
        c->blocked = true;
        c->opened = false;
        return CURL_PREREQFUNC_ABORT;
    }
    c->sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct rb_httpc *c = arg;
    size_t len = size * n;

    if (c->req->on_body != NULL) {
        c->ended_by_caller = !c->req->on_body(c->req->on_body_arg, data, len);
        return c->ended_by_caller ? 0 : len;
    }
    if (len > c->req->max_answer_bytes - c->answer.body.len) {
        c->too_large = true;
        return 0;
    }
    rb_buf_add(&c->answer.body, data, len);
    c->no_memory = rb_buf_failed(&c->answer.body);
    return c->no_memory ? 0 : len;
}

/* Keeps "name: value" lines with lower-case names; a new status line starts afresh (1xx answers).
 */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct rb_httpc *c = arg;
    struct rb_buf *out = &c->answer.raw_headers;
    size_t len = size * n, end = len, colon = 0;

    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        rb_buf_clear(out);
        c->headers_complete = false;
        return len;
    }
    while (end > 0 && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' ')) {
        end--;
    }
    while (colon < end && data[colon] != ':') {
        colon++;
    }
    if (colon == 0 || colon == end) {
        c->headers_complete = c->headers_complete || end == 0;
        return len;
    }
    for (size_t i = 0; i < end; i++) {
        char ch = data[i];
        if (i < colon && ch >= 'A' && ch <= 'Z') {
            ch = (char)(ch - 'A' + 'a');
        }
        rb_buf_addc(out, ch == '\n' || ch == '\0' ? ' ' : ch);
    }
    rb_buf_addc(out, '\n');
    c->too_large = c->too_large || rb_buf_failed(out);
    return c->too_large ? 0 : len;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct rb_httpc *c = arg;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return c->req->cancel != NULL && atomic_load(c->req->cancel) ? 1 : 0;
}

static char *copy_or_empty(const char *s)
{
    return strdup(s == NULL ? "" : s);
}

enum rb_code rb_httpc_new(const struct rb_settings *s, struct rb_httpc **ret_c, struct rb_err *err)
{
    pthread_once(&curl_once, init_curl);
    if (curl_state != CURLE_OK) {
        return rb_err_set(err, RB_E_INTERNAL, "libcurl does not start");
    }
    struct rb_httpc *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an HTTP client");
    }
    enum rb_code rc = rb_netlist_parse(&s->network.allow, &c->allow, err);
    if (rc != RB_OK) {
        rb_httpc_free(c);
        return rc;
    }
    c->proxy = copy_or_empty(s->network.proxy);
    c->ca_file = copy_or_empty(s->network.ca_file);
    c->curl = curl_easy_init();
    if (c->proxy == NULL || c->ca_file == NULL || c->curl == NULL) {
        rb_httpc_free(c);
        return rb_err_set(err, RB_E_NOMEM, "no memory for an HTTP client");
    }
    *ret_c = c;
    return RB_OK;
}

void rb_httpc_free(struct rb_httpc *c)
{
    if (c == NULL) {
        return;
    }
    if (c->curl != NULL) {
        curl_easy_cleanup(c->curl); /* closes sockets through on_close_socket */
    }
    rb_netlist_free(c->allow);
    free(c->proxy);
    free(c->ca_file);
    free(c);
}

struct target {
    CURLU *url;
    char *scheme, *host, *port;
};

static void target_release(struct target *t)
{
    curl_url_cleanup(t->url);
    curl_free(t->scheme);
    curl_free(t->host);
    curl_free(t->port);
}

/* libcurl's own parser, so that what is judged is what is called. */
static enum rb_code parse_target(const char *url, struct target *ret_t, struct rb_err *err)
{
    ret_t->url = curl_url();
    if (ret_t->url == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a URL");
    }
    if (curl_url_set(ret_t->url, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_get(ret_t->url, CURLUPART_SCHEME, &ret_t->scheme, 0) != CURLUE_OK) {
        return rb_err_set(err, RB_E_INVALID, "the URL is not one that can be called");
    }
    if (strcmp(ret_t->scheme, "https") != 0 && strcmp(ret_t->scheme, "http") != 0) {
        return rb_err_set(err, RB_E_BLOCKED, "only http and https URLs are called");
    }
    if (curl_url_get(ret_t->url, CURLUPART_HOST, &ret_t->host, 0) != CURLUE_OK ||
        curl_url_get(ret_t->url, CURLUPART_PORT, &ret_t->port, CURLU_DEFAULT_PORT) != CURLUE_OK) {
        return rb_err_set(err, RB_E_INVALID, "the URL has no usable host and port");
    }
    return RB_OK;
}

static void slist_freep(struct curl_slist **l)
{
    curl_slist_free_all(*l);
}

static bool add_header(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*list, header);

    if (longer != NULL) {
        *list = longer;
    }
    return longer != NULL;
}

static enum rb_code make_headers(const struct rb_http_request *req, struct curl_slist **list,
                                 struct rb_err *err)
{
    bool ok = add_header(list, "Expect:");

    for (unsigned i = 0; req->headers != NULL && req->headers[i] != NULL; i++) {
        if (i == RB_HTTP_HEADERS_MAX || strpbrk(req->headers[i], "\r\n") != NULL) {
            return rb_err_set(err, RB_E_INVALID,
                              "a request header holds a line break, or too many");
        }
        ok = ok && add_header(list, req->headers[i]);
    }
    return ok ? RB_OK : rb_err_set(err, RB_E_NOMEM, "no memory for request headers");
}

static void set_transport(struct rb_httpc *c, const struct target *t)
{
    CURL *h = c->curl;

    curl_easy_setopt(h, CURLOPT_CURLU, t->url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_PROXY, c->proxy);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "");
    curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S);
    curl_easy_setopt(h, CURLOPT_MAXCONNECTS, CONNECTIONS_MAX);
    curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "retrybuild");
    if (c->ca_file[0] != '\0') {
        curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
    }
    curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(h, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(h, CURLOPT_CLOSESOCKETDATA, c);
    curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, on_before_request);
    curl_easy_setopt(h, CURLOPT_PREREQDATA, c);
}

static void set_request(struct rb_httpc *c, const struct rb_http_request *req,
                        struct curl_slist *headers)
{
    CURL *h = c->curl;

    if (req->body != NULL || strcmp(req->method, "POST") == 0) {
        curl_off_t len = req->body == NULL ? 0 : (curl_off_t)req->body_len;
        curl_easy_setopt(h, CURLOPT_POST, 1L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, len);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, req->body == NULL ? "" : req->body);
    } else if (strcmp(req->method, "HEAD") == 0) {
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, req->method);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
}

/* What a failed transfer means. Only the host and the port are shown. */
static enum rb_code judge(const struct rb_httpc *c, CURLcode rc, const struct target *t,
                          struct rb_err *err)
{
    const char *host = t->host, *port = t->port;

    if (c->blocked && !c->opened) {
        return rb_err_set(err, RB_E_BLOCKED, "%s:%s is an address that may not be called", host,
                          port);
    }
    if (c->no_memory || rc == CURLE_OUT_OF_MEMORY) {
        return rb_err_set(err, c->sent ? RB_E_AMBIGUOUS : RB_E_NOMEM, "no memory to call %s:%s",
                          host, port);
    }
    if (c->too_large) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the answer of %s:%s is too large", host, port);
    }
    if (c->ended_by_caller) {
        return rb_err_set(err, RB_E_CLOSED, "the call to %s:%s was ended", host, port);
    }
    if (c->req->cancel != NULL && rc == CURLE_ABORTED_BY_CALLBACK && !c->repeated) {
        return rb_err_set(err, RB_E_CLOSED, "the call to %s:%s was cancelled", host, port);
    }
    if (rc == CURLE_OPERATION_TIMEDOUT) {
        return rb_err_set(err, RB_E_TIMEOUT, "%s:%s did not %s in time", host, port,
                          c->sent ? "answer" : "accept a connection");
    }
    if (c->repeated) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "%s:%s closed the connection before an answer", host,
                          port);
    }
    return rb_err_set(err, c->sent ? RB_E_AMBIGUOUS : RB_E_UNAVAIL, "%s:%s: %s", host, port,
                      curl_easy_strerror(rc));
}

static void begin(struct rb_httpc *c, const struct rb_http_request *req, bool tls)
{
    c->req = req;
    c->tls = tls;
    c->sent = c->opened = c->blocked = c->too_large = c->no_memory = c->repeated = false;
    c->headers_complete = c->ended_by_caller = false;
    c->deadline_boot_ms = rb_boot_ms(rb_clock_system()) + req->timeout_ms;
    memset(&c->answer, 0, sizeof(c->answer));
    rb_buf_init(&c->answer.body, req->max_answer_bytes);
    rb_buf_init(&c->answer.raw_headers, HEADERS_MAX_BYTES);
}

enum rb_code rb_httpc_call(struct rb_httpc *c, const struct rb_http_request *req,
                           struct rb_http_answer *ret_answer, bool *ret_sent, struct rb_err *err)
{
    RB_CLEANUP(target_release) struct target t = {.url = NULL};
    RB_CLEANUP(slist_freep) struct curl_slist *headers = NULL;

    *ret_sent = false;
    enum rb_code rc = parse_target(req->url, &t, err);
    if (rc == RB_OK) {
        rc = make_headers(req, &headers, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    begin(c, req, strcmp(t.scheme, "https") == 0);
    if (proxied(c) && req->reach == RB_REACH_GUARDED &&
        !rb_guard_host_allowed(t.host, c->tls, c->allow)) {
        c->req = NULL;
        return rb_err_set(err, RB_E_BLOCKED, "%s:%s is an address that may not be called", t.host,
                          t.port);
    }
    curl_easy_reset(c->curl);
    set_transport(c, &t);
    set_request(c, req, headers);
    int64_t started_ms = rb_now_ms(rb_clock_system());
    CURLcode code = curl_easy_perform(c->curl);
    c->answer.started_ms = started_ms;
    c->answer.ended_ms = rb_now_ms(rb_clock_system());
    *ret_sent = c->sent;
    if (code == CURLE_OK && !c->headers_complete) {
        code = CURLE_PARTIAL_FILE; /* libcurl takes a cut within the headers for an answer */
    }
    if (code == CURLE_OK) {
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->answer.status);
        *ret_answer = c->answer;
    } else {
        rc = judge(c, code, &t, err);
        rb_http_answer_release(&c->answer);
    }
    curl_easy_setopt(c->curl, CURLOPT_CURLU, NULL); /* the URL dies here, the handle lives on */
    memset(&c->answer, 0, sizeof(c->answer));
    c->req = NULL;
    return rc;
}
