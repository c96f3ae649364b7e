/* client.h - the API's client side for the subcommands: --server, --token-file, --json; calls; exit
 * codes.
 *
 * Threads: main. Blocks: at most 30 s a call. Messages go to standard error.
 */
#ifndef RB_CLI_CLIENT_H
#define RB_CLI_CLIENT_H

#include <stdatomic.h>

#include <jansson.h>

#include <retrybuild/buf.h>
#include <retrybuild/httpc.h>
#include <retrybuild/secret.h>

#include "cli.h"

struct rb_client {
    const struct rb_command *command;
    const char *server;     /* --server, RETRYBUILD_URL, http://127.0.0.1:8080 */
    const char *token_file; /* --token-file; else RETRYBUILD_TOKEN */
    bool json;
    bool dry_run;
    struct rb_settings *settings;
    struct rb_httpc *http;
    struct rb_secret *token;
};

/* The options that every client subcommand has. */
#define RB_CLIENT_OPTIONS(c)                                                                      \
    {"--server", RB_OPTION_TEXT,                                                                  \
     "URL of the service; default: RETRYBUILD_URL, then http://127.0.0.1:8080",                   \
     .text = &(c)->server},                                                                       \
        {"--token-file", RB_OPTION_TEXT, "FILE with the bearer token; default: RETRYBUILD_TOKEN", \
         .text = &(c)->token_file},                                                               \
    {                                                                                             \
        "--json", RB_OPTION_FLAG, "print the answer as JSON", .flag = &(c)->json                  \
    }

/* rb_client_open - after the options are parsed; RB_EXIT_OK, or a message was printed. */
int rb_client_open(struct rb_client *c, const struct rb_command *command);
void rb_client_close(struct rb_client *c);
/* rb_client_call - @path with its query; @body may be NULL. RB_EXIT_OK with the parsed answer
 * (2xx), else a message was printed: 69 not reachable, 77 not allowed, 1 anything else. *ret_status
 * (may be NULL) is the HTTP status, 0 = no answer. */
int rb_client_call(struct rb_client *c, const char *method, const char *path, const json_t *body,
                   json_t **ret_answer, long *ret_status);
/* rb_client_stream - GET @path, its body handed on as it arrives, until it ends, @take says false,
 * or a signal sets @cancel. @last_id "" = from now on. *ret_status: 0 = no answer. */
int rb_client_stream(struct rb_client *c, const char *path, const char *last_id,
                     bool (*take)(void *arg, const char *data, size_t len), void *arg,
                     const atomic_bool *cancel, long *ret_status);
/* rb_client_print_json - pretty when a terminal reads it. */
void rb_client_print_json(const json_t *j);
/* rb_client_verb - POST /v1/retries/{id}/{verb}, print the outcome. */
int rb_client_verb(struct rb_client *c, const char *id, const char *verb);
/* rb_query_add - "?key=value" or "&key=value", encoded; nothing for NULL. */
void rb_query_add(struct rb_buf *path, const char *key, const char *value);
/* rb_member - a string member or NULL; rb_member_path follows one level ("build.project" as two
 * arguments). */
const char *rb_member(const json_t *j, const char *name);
const char *rb_member2(const json_t *j, const char *outer, const char *name);
/* rb_print_retry_line / table - one row a retry: id, state, project, build, attempt, rule, age. */
void rb_print_retry_table(const json_t *retries);
/* rb_state_colour - how to begin a state's colour, NULL: how to end it; "" where there is none. */
const char *rb_state_colour(const char *state);

#endif
