/* send.c - retrybuild send: sign a payload as a sender would, and post it. For trying a
 * configuration and for tests. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/config.h>
#include <retrybuild/source.h>

#include "client.h"

#define PAYLOAD_MAX_BYTES (32 * 1024 * 1024)
#define SIGN_HEADERS_MAX 4

struct sending {
    const char *type, *url, *secret_file, *header_name, *audience;
    struct rb_option_list headers;
    const struct rb_source_type *source;
    struct rb_secret *secret;
    char *body;
    size_t body_len;
    struct rb_arena arena;
};

static bool resolve(struct sending *s)
{
    struct rb_err err = {.code = RB_OK};
    s->source = s->type == NULL ? NULL : rb_source_type_find(s->type);
    if (s->type == NULL || s->url == NULL) {
        rb_cli_error(&rb_command_send, "--source TYPE and --url URL are needed");
    } else if (s->source == NULL) {
        const char *const *names = rb_source_type_names();
        size_t n = 0;
        while (names[n] != NULL) {
            n++;
        }
        const char *near = rb_nearest(s->type, names, n);
        rb_cli_error(&rb_command_send, "there is no source type '%s'; did you mean '%s'?", s->type,
                     near != NULL ? near : names[0]);
    } else if (s->header_name != NULL && s->audience != NULL) {
        rb_cli_error(&rb_command_send, "--secret-header and --audience are of different senders");
    } else if (s->secret_file != NULL &&
               rb_secret_load_file(s->secret_file, &s->secret, &err) != RB_OK) {
        rb_cli_error(&rb_command_send, "--secret-file: %s", err.msg);
    } else {
        return true;
    }
    return false;
}

static int post(struct sending *s, const char *const *headers)
{
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_problems_release) struct rb_problems problems = {.items = NULL};
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *settings = NULL;
    struct rb_httpc *http = NULL;
    if (rb_config_parse("", 0, "defaults", ".", &settings, &problems, &err) != RB_OK ||
        rb_httpc_new(settings, &http, &err) != RB_OK) {
        rb_cli_error(&rb_command_send, "%s", err.msg);
        return RB_EXIT_FAILED;
    }
    const struct rb_http_request req = {
        .method = "POST",
        .url = s->url,
        .headers = headers,
        .body = s->body,
        .body_len = s->body_len,
        .reach = RB_REACH_TRUSTED,
        .connect_timeout_ms = 5000,
        .timeout_ms = 30000,
        .max_answer_bytes = 1024 * 1024,
    };
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    bool sent = false;
    enum rb_code rc = rb_httpc_call(http, &req, &answer, &sent, &err);
    rb_httpc_free(http);
    if (rc == RB_E_INVALID || rc == RB_E_BLOCKED) {
        rb_cli_error(&rb_command_send, "--url: %s", err.msg);
        return RB_EXIT_USAGE;
    }
    if (rc != RB_OK) {
        rb_cli_error(&rb_command_send, "%s", err.msg);
        return rc == RB_E_UNAVAIL || rc == RB_E_TIMEOUT ? RB_EXIT_UNREACHABLE : RB_EXIT_FAILED;
    }
    (void)fprintf(stderr, "HTTP %ld\n", answer.status);
    (void)fwrite(rb_buf_str(&answer.body), 1, answer.body.len, stdout);
    if (answer.status >= 200 && answer.status < 300) {
        return RB_EXIT_OK;
    }
    return answer.status == 401 || answer.status == 403 ? RB_EXIT_NOT_ALLOWED : RB_EXIT_FAILED;
}

/* says - one of the headers of the command line has this name. */
static bool says(const struct rb_option_list *list, const char *name)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < list->n; i++) {
        if (strncasecmp(list->items[i], name, len) == 0 && list->items[i][len] == ':') {
            return true;
        }
    }
    return false;
}

static int sign_and_post(struct sending *s)
{
    struct rb_err err = {.code = RB_OK};
    const char *headers[1 + SIGN_HEADERS_MAX + RB_OPTION_LIST_MAX + 1];
    const char *signed_headers[SIGN_HEADERS_MAX] = {NULL};
    const struct rb_slice body = {s->body, s->body_len};
    size_t n = 0;
    if (s->secret != NULL) {
        enum rb_code rc =
            s->source->sign(s->secret, s->audience != NULL ? s->audience : s->header_name, body,
                            rb_now_ms(rb_clock_system()), &s->arena, signed_headers, &err);
        if (rc != RB_OK) {
            rb_cli_error(&rb_command_send, "%s", err.msg);
            return RB_EXIT_FAILED;
        }
    }
    if (!says(&s->headers, "content-type")) {
        headers[n++] =
            rb_arena_printf(&s->arena, "Content-Type: %s", rb_source_content_type(s->source, body));
    }
    for (unsigned i = 0; i < SIGN_HEADERS_MAX && signed_headers[i] != NULL; i++) {
        headers[n++] = signed_headers[i];
    }
    for (unsigned i = 0; i < s->headers.n; i++) {
        headers[n++] = s->headers.items[i];
    }
    headers[n] = NULL;
    return post(s, headers);
}

static int run(int argc, char **argv)
{
    struct sending s = {.header_name = NULL};
    const struct rb_option options[] = {
        {"--source", RB_OPTION_TEXT, "TYPE of sender (eventbridge)", .text = &s.type},
        {"--url", RB_OPTION_TEXT, "URL of the hook", .text = &s.url},
        {"--secret-file", RB_OPTION_TEXT, "FILE with the secret to prove or sign with",
         .text = &s.secret_file},
        {"--secret-header", RB_OPTION_TEXT,
         "NAME of the header that carries the proof, where a type lets you choose",
         .text = &s.header_name},
        {"--audience", RB_OPTION_TEXT, "TEXT that a googlechat source has as its audience",
         .text = &s.audience},
        {"--header", RB_OPTION_LIST, "'name: value', may be repeated", .list = &s.headers},
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_USAGE;
    if (!rb_cli_parse(&rb_command_send, argc, argv, options, RB_ARRAY_LEN(options), 1, 1, &words,
                      &status)) {
        return status;
    }
    rb_arena_init(&s.arena, 1024 * 1024);
    status = RB_EXIT_USAGE;
    if (resolve(&s)) {
        s.body = rb_cli_read_file(&rb_command_send, words.items[0], PAYLOAD_MAX_BYTES, &s.body_len);
        status = s.body == NULL ? RB_EXIT_FAILED : sign_and_post(&s);
    }
    rb_secret_free(s.secret);
    rb_arena_release(&s.arena);
    free(s.body);
    return status;
}

const struct rb_command rb_command_send = {
    .name = "send",
    .usage = "--source TYPE --url URL [--secret-file F] [--header 'name: value'] FILE|-",
    .summary = "post a payload as its sender would",
    .run = run,
};
