/* forge_world.c - see forge_world.h. */
#include "forge_world.h"

int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->server = script_server_start();
    w->allow[0] = "127.0.0.1";
    w->settings.network.allow = (struct rb_strings){.items = w->allow, .n = 1};
    (void)snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%d/api",
                   script_server_port(w->server));
    w->api = (struct rb_api_setting){.url = w->url, .token = rb_secret_new(TOKEN, strlen(TOKEN))};
    w->forge = (struct rb_forge){.type = "github",
                                 .api = &w->api,
                                 .tokens = rb_forge_tokens_new(),
                                 .clock = rb_clock_system()};
    assert_int_equal(rb_httpc_new(&w->settings, &w->forge.http, NULL), RB_OK);
    rb_arena_init(&w->arena, 1024 * 1024);
    *state = w;
    return 0;
}

int close_world(void **state)
{
    struct world *w = *state;
    rb_forge_tokens_free(w->forge.tokens);
    rb_httpc_free(w->forge.http);
    rb_secret_free(w->api.token);
    rb_secret_free(w->api.app_key);
    rb_arena_release(&w->arena);
    script_server_stop(w->server);
    free(w);
    return 0;
}

void need_request(struct world *w, unsigned n, const char *line, const char *proof)
{
    assert_true(script_server_requests(w->server) > n);
    const char *raw = script_server_request(w->server, n);
    if (strncmp(raw, line, strlen(line)) != 0 || raw[strlen(line)] != ' ') {
        fail_msg("asked was %.*s", (int)strcspn(raw, "\r"), raw);
    }
    if (proof != NULL && strstr(raw, proof) == NULL) {
        fail_msg("'%s' is not among the headers", proof);
    }
}
