#include "httpc_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <unistd.h>

int world_open(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->server = script_server_start();
    assert_int_equal(rb_httpc_new(&w->settings, &w->client, NULL), RB_OK);
    *state = w;
    return 0;
}

int world_close(void **state)
{
    struct world *w = *state;

    rb_httpc_free(w->client);
    script_server_stop(w->server);
    free(w);
    return 0;
}

void world_allow_loopback(struct world *w)
{
    rb_httpc_free(w->client);
    w->allow[0] = "127.0.0.0/8";
    w->allow[1] = "::1";
    w->settings.network.allow = (struct rb_strings){.items = w->allow, .n = 2};
    assert_int_equal(rb_httpc_new(&w->settings, &w->client, NULL), RB_OK);
}

struct rb_http_request world_request(const char *url)
{
    static const char *const headers[] = {"Content-Type: text/plain", "X-Own: 1", NULL};

    return (struct rb_http_request){.method = "POST",
                                    .url = url,
                                    .headers = headers,
                                    .body = "hello",
                                    .body_len = 5,
                                    .reach = RB_REACH_TRUSTED,
                                    .connect_timeout_ms = 5000,
                                    .timeout_ms = 10000,
                                    .max_answer_bytes = 4096};
}

struct outcome world_call(struct world *w, const struct rb_http_request *req)
{
    struct outcome o = {.rc = RB_OK};

    o.rc = rb_httpc_call(w->client, req, &o.answer, &o.sent, &o.err);
    return o;
}

struct outcome world_call_server(struct world *w)
{
    struct rb_http_request req = world_request(script_server_url(w->server));

    return world_call(w, &req);
}

int world_closed_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr any;
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memcpy(&any, &at, sizeof(any));
    assert_int_equal(bind(fd, &any, sizeof(any)), 0);
    assert_int_equal(getsockname(fd, &any, &len), 0);
    memcpy(&at, &any, sizeof(at));
    close(fd);
    return ntohs(at.sin_port);
}
