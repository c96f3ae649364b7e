/* forge_world.h - a git host of scripted answers, and our way to it. */
#ifndef RB_TEST_FORGE_WORLD_H
#define RB_TEST_FORGE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/forge.h>
#include <retrybuild/json.h>

#include "script_server.h"

#define TOKEN "canary-token"

struct world {
    struct script_server *server;
    struct rb_settings settings;
    const char *allow[1];
    struct rb_api_setting api;
    char url[64];
    struct rb_forge forge;
    struct rb_arena arena;
};

int open_world(void **state);
int close_world(void **state);
/* need_request - the @n-th that came is @line, with @proof (may be NULL) among its headers. */
void need_request(struct world *w, unsigned n, const char *line, const char *proof);

#endif
