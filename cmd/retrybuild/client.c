/* client.c - calls to the API, and what their answers mean for the exit code. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>
#include <retrybuild/url.h>

#include "client.h"

#define ANSWER_MAX_BYTES (16 * 1024 * 1024)
#define CALL_TIMEOUT_MS 30000
#define CONNECT_TIMEOUT_MS 5000

static int load_token(struct rb_client *c)
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = c->token_file != NULL
                          ? rb_secret_load_file(c->token_file, &c->token, &err)
                          : rb_secret_load_env("RETRYBUILD_TOKEN", &c->token, &err);
    if (rc != RB_OK && c->token_file != NULL) {
        rb_cli_error(c->command, "--token-file: %s", err.msg);
        return RB_EXIT_USAGE;
    }
    return RB_EXIT_OK; /* without a token the server says what it needs */
}

int rb_client_open(struct rb_client *c, const struct rb_command *command)
{
    c->command = command;
    if (c->server == NULL) {
        const char *env = getenv("RETRYBUILD_URL");
        c->server = env != NULL && env[0] != '\0' ? env : "http://127.0.0.1:8080";
    }
    size_t scheme = rb_str_starts(c->server, "http://")    ? 7
                    : rb_str_starts(c->server, "https://") ? 8
                                                           : 0;
    if (scheme == 0 || c->server[scheme] == '\0' || c->server[scheme] == '/') {
        rb_cli_error(command, "--server is no URL such as http://127.0.0.1:8080");
        return RB_EXIT_USAGE;
    }
    int status = load_token(c);
    if (status != RB_EXIT_OK) {
        return status;
    }
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_problems_release) struct rb_problems problems = {.items = NULL};
    if (rb_config_parse("", 0, "defaults", ".", &c->settings, &problems, &err) != RB_OK ||
        rb_httpc_new(c->settings, &c->http, &err) != RB_OK) {
        rb_cli_error(command, "%s", err.msg);
        return RB_EXIT_FAILED;
    }
    return RB_EXIT_OK;
}

void rb_client_close(struct rb_client *c)
{
    rb_httpc_free(c->http);
    rb_settings_unref(c->settings);
    rb_secret_free(c->token);
}

static int judge(struct rb_client *c, long status, json_t *answer)
{
    if (status >= 200 && status < 300) {
        return RB_EXIT_OK;
    }
    const char *detail = rb_member(answer, "detail");
    rb_cli_error(c->command, "%s (HTTP %ld)", detail == NULL ? "the server refused" : detail,
                 status);
    if (c->json && answer != NULL) {
        rb_client_print_json(answer);
    }
    return status == 401 || status == 403 ? RB_EXIT_NOT_ALLOWED : RB_EXIT_FAILED;
}

static int post(struct rb_client *c, const struct rb_http_request *req, json_t **ret_answer,
                long *ret_status)
{
    struct rb_err err = {.code = RB_OK};
    bool sent = false;
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    enum rb_code rc = rb_httpc_call(c->http, req, &answer, &sent, &err);
    if (rc == RB_E_INVALID || rc == RB_E_BLOCKED) {
        rb_cli_error(c->command, "--server: %s; expected something like http://127.0.0.1:8080",
                     err.msg);
        return RB_EXIT_USAGE;
    }
    if (rc != RB_OK) {
        rb_cli_error(c->command, "%s", err.msg);
        return rc == RB_E_UNAVAIL || rc == RB_E_TIMEOUT ? RB_EXIT_UNREACHABLE : RB_EXIT_FAILED;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    json_error_t why;
    j = json_loadb(rb_buf_str(&answer.body), answer.body.len, JSON_DECODE_ANY, &why);
    if (ret_status != NULL) {
        *ret_status = answer.status;
    }
    int status = judge(c, answer.status, j);
    if (status == RB_EXIT_OK && j == NULL) {
        rb_cli_error(c->command, "the answer of %s is no JSON; is it retrybuild?", c->server);
        return RB_EXIT_FAILED;
    }
    if (status == RB_EXIT_OK) {
        *ret_answer = RB_TAKE(j);
    }
    return status;
}

static void put_url(const struct rb_client *c, const char *path, struct rb_buf *url)
{
    size_t server_len = strlen(c->server);
    while (server_len > 0 && c->server[server_len - 1] == '/') {
        server_len--;
    }
    rb_buf_add(url, c->server, server_len);
    rb_buf_adds(url, path);
}

/* put_auth - the header of the token, NULL without one. */
static const char *put_auth(const struct rb_client *c, struct rb_buf *auth)
{
    if (c->token == NULL) {
        return NULL;
    }
    rb_buf_adds(auth, "Authorization: Bearer ");
    rb_buf_add(auth, rb_secret_data(c->token), rb_secret_len(c->token));
    return rb_buf_str(auth);
}

int rb_client_stream(struct rb_client *c, const char *path, const char *last_id,
                     bool (*take)(void *arg, const char *data, size_t len), void *arg,
                     const atomic_bool *cancel, long *ret_status)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf url = RB_BUF_INIT(4096);
    RB_CLEANUP(rb_buf_release) struct rb_buf auth = RB_BUF_INIT(RB_SECRET_MAX_BYTES + 64);
    RB_CLEANUP(rb_buf_release) struct rb_buf last = RB_BUF_INIT(128);
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    struct rb_err err = {.code = RB_OK};
    bool sent = false;
    put_url(c, path, &url);
    rb_buf_addf(&last, "Last-Event-ID: %s", last_id);
    const char *headers[4] = {"Accept: text/event-stream"};
    unsigned n = 1;
    if (last_id[0] != '\0') {
        headers[n++] = rb_buf_str(&last);
    }
    headers[n] = put_auth(c, &auth);
    const struct rb_http_request req = {
        .method = "GET",
        .url = rb_buf_str(&url),
        .headers = headers,
        .reach = RB_REACH_TRUSTED,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .max_answer_bytes = ANSWER_MAX_BYTES,
        .on_body = take,
        .on_body_arg = arg,
        .cancel = cancel,
    };
    enum rb_code rc = rb_httpc_call(c->http, &req, &answer, &sent, &err);
    if (auth.data != NULL) {
        rb_wipe(auth.data, auth.len);
    }
    bool broke = sent && (rc == RB_E_AMBIGUOUS || rc == RB_E_CLOSED);
    *ret_status = rc == RB_OK ? answer.status : broke ? 200 : 0;
    if (rc == RB_E_CLOSED) {
        return RB_EXIT_OK;
    }
    if (rc == RB_OK) {
        return judge(c, answer.status, NULL);
    }
    rb_cli_error(c->command, "%s", err.msg);
    return rc == RB_E_UNAVAIL || rc == RB_E_TIMEOUT ? RB_EXIT_UNREACHABLE : RB_EXIT_FAILED;
}

int rb_client_call(struct rb_client *c, const char *method, const char *path, const json_t *body,
                   json_t **ret_answer, long *ret_status)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf url = RB_BUF_INIT(4096);
    RB_CLEANUP(rb_buf_release) struct rb_buf auth = RB_BUF_INIT(RB_SECRET_MAX_BYTES + 64);
    put_url(c, path, &url);
    const char *headers[3] = {"Content-Type: application/json", put_auth(c, &auth), NULL};
    RB_CLEANUP(rb_freep) char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    const struct rb_http_request req = {
        .method = method,
        .url = rb_buf_str(&url),
        .headers = headers,
        .body = text,
        .body_len = text == NULL ? 0 : strlen(text),
        .reach = RB_REACH_TRUSTED,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = CALL_TIMEOUT_MS,
        .max_answer_bytes = ANSWER_MAX_BYTES,
    };
    int status = post(c, &req, ret_answer, ret_status);
    if (auth.data != NULL) {
        rb_wipe(auth.data, auth.len);
    }
    return status;
}

void rb_client_print_json(const json_t *j)
{
    size_t flags = isatty(STDOUT_FILENO) == 1 ? JSON_INDENT(2) : JSON_COMPACT;
    RB_CLEANUP(rb_freep) char *text = json_dumps(j, flags | JSON_ENCODE_ANY);
    for (const char *p = text == NULL ? "" : text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        unsigned char next = (unsigned char)p[1];
        if (c == 0xC2 && next >= 0x80 && next <= 0x9F) {
            (void)printf("\\u%04x", (unsigned)next); /* steers terminals too, but JSON need not
                                                       escape it */
            p++;
        } else if (c == 0x7F) {
            (void)fputs("\\u007f", stdout);
        } else {
            (void)putchar(c);
        }
    }
    (void)putchar('\n');
}

void rb_query_add(struct rb_buf *path, const char *key, const char *value)
{
    if (value == NULL) {
        return;
    }
    rb_buf_addc(path, strchr(rb_buf_str(path), '?') == NULL ? '?' : '&');
    rb_buf_adds(path, key);
    rb_buf_addc(path, '=');
    rb_url_encode(path, value, strlen(value));
}

const char *rb_member(const json_t *j, const char *name)
{
    return json_string_value(json_object_get(j, name));
}

const char *rb_member2(const json_t *j, const char *outer, const char *name)
{
    return rb_member(json_object_get(j, outer), name);
}

int rb_client_verb(struct rb_client *c, const char *id, const char *verb)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(1024);
    rb_buf_adds(&path, "/v1/retries/");
    rb_url_encode(&path, id, strlen(id));
    rb_buf_addf(&path, "/%s", verb);
    if (c->dry_run && c->json) {
        RB_CLEANUP(rb_json_decrefp)
        json_t *would = json_pack("{s:s, s:s}", "would", verb, "id", id);
        rb_client_print_json(would);
        return RB_EXIT_OK;
    }
    if (c->dry_run) {
        (void)printf("would %s %s\n", verb, id);
        return RB_EXIT_OK;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    int status = rb_client_call(c, "POST", rb_buf_str(&path), NULL, &answer, NULL);
    if (status != RB_EXIT_OK) {
        return status;
    }
    if (c->json) {
        rb_client_print_json(answer);
    } else {
        const char *state = rb_member(answer, "state");
        (void)printf("%s is %s\n", id, state == NULL ? "?" : state);
    }
    return RB_EXIT_OK;
}
