/* script_server.h - an HTTP server for tests that answers as told, in this process.
 *
 * One thread, any free port of 127.0.0.1. Each request takes the next pushed reply; without one the
 * answer is 500 "nothing scripted", so that a call too many is seen. Requests are kept as raw bytes
 * for the test to look at after the call. Threads: push, and the getters, from the test's thread.
 */
#ifndef RB_TEST_SCRIPT_SERVER_H
#define RB_TEST_SCRIPT_SERVER_H

#include <stdbool.h>
#include <stddef.h>

enum script_then {
    SCRIPT_KEEP,  /* keep the connection */
    SCRIPT_CLOSE, /* close it after the bytes */
    SCRIPT_RESET, /* reset it after the bytes */
    SCRIPT_HOLD,  /* never do anything more on it */
};

struct script_server;

struct script_server *script_server_start(void);
void script_server_stop(struct script_server *s);
/* script_server_url - "http://127.0.0.1:PORT/"; lives as long as the server. */
const char *script_server_url(const struct script_server *s);
int script_server_port(const struct script_server *s);
/* script_server_push - answer the next request with @raw (copied; "" sends nothing). */
void script_server_push(struct script_server *s, const char *raw, enum script_then then);
/* script_server_push_json - a complete answer; @headers is "" or lines that end in \r\n. */
void script_server_push_json(struct script_server *s, int status, const char *headers,
                             const char *body);
unsigned script_server_requests(struct script_server *s);
unsigned script_server_connections(struct script_server *s);
/* script_server_request - the n-th request (0 first), NUL-terminated; lives as long as the server.
 */
const char *script_server_request(struct script_server *s, unsigned n);
/* script_server_header - a header's value of the n-th request, malloc'ed; NULL when absent. */
char *script_server_header(struct script_server *s, unsigned n, const char *name);
/* script_server_body - the body of the n-th request. */
const char *script_server_body(struct script_server *s, unsigned n);

#endif
