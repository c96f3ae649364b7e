/* httpc_world.h - a client and a server that is told what to answer. */
#ifndef RB_TEST_HTTPC_WORLD_H
#define RB_TEST_HTTPC_WORLD_H

#include <retrybuild/httpc.h>

#include "script_server.h"

struct world {
    struct script_server *server;
    struct rb_settings settings;
    struct rb_httpc *client;
    const char *allow[2];
};

struct outcome {
    enum rb_code rc;
    bool sent;
    struct rb_http_answer answer;
    struct rb_err err;
};

/* world_open, world_close - cmocka's setup and teardown. */
int world_open(void **state);
int world_close(void **state);
/* world_allow_loopback - another client, to which loopback addresses are listed. */
void world_allow_loopback(struct world *w);
/* world_request - a trusted POST of "hello". */
struct rb_http_request world_request(const char *url);
struct outcome world_call(struct world *w, const struct rb_http_request *req);
/* world_call_server - world_request to the server. */
struct outcome world_call_server(struct world *w);
/* world_closed_port - a port of 127.0.0.1 where nobody listens. */
int world_closed_port(void);

#define ROW(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

#endif
