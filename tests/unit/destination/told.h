/* told.h - a report posted to a scripted receiver, and what arrived there. */
#ifndef RB_TESTS_DESTINATION_TOLD_H
#define RB_TESTS_DESTINATION_TOLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include <retrybuild/cleanup.h>

#include "fixture.h"
#include "script_server.h"

struct told {
    struct script_server *server;
    struct rb_settings settings;
    const char *allow[1];
    struct rb_httpc *http;
    struct fixture *f;
    char api_url[64]; /* of the server, without '/' at its end */
    char hook_url[128];
    struct rb_post_result result;
};

int told_setup(void **state); /* *state is a struct told; build 31 → 32 recovered */
int told_teardown(void **state);
#define TOLD_TEST(name) cmocka_unit_test_setup_teardown(name, told_setup, told_teardown)

/* told_by - a destination of @type: by its url, or with an api and a token. */
void told_by_url(struct told *t, const char *type);
void told_by_api(struct told *t, const char *type);
void told_answer(struct told *t, int status, const char *headers, const char *body);
void told_state(struct told *t, enum rb_state state, const char *note);
/* told_post - post it; the receipt of the one before is handed in. */
enum rb_report_verdict told_post(struct told *t);
/* told_line - "POST /path", of the n-th request. */
void told_line(struct told *t, unsigned n, const char *line);
void told_header(struct told *t, unsigned n, const char *name, const char *value);
/* told_body - the n-th request's body is this JSON, '$' for the newest build's link. */
void told_body(struct told *t, unsigned n, const char *json);
json_t *told_json(struct told *t, unsigned n); /* caller json_decref()s */

#endif
