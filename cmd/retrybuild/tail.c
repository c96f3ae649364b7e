/* tail.c - retrybuild tail: changes of retries as they happen, until Ctrl-C. A connection that
 * breaks is made anew and goes on behind the last event. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "client.h"

#define LINE_MAX_BYTES (1024 * 1024)
#define AGAIN_AFTER_S 1

static atomic_bool interrupted;

struct tail {
    struct rb_client *client;
    const char *project;
    struct rb_buf line, data;
    char last_id[32];
};

static void on_signal(int number)
{
    (void)number;
    atomic_store(&interrupted, true);
}

static void show(const struct tail *t, const char *text)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = json_loads(text, 0, NULL);
    const json_t *r = json_object_get(j, "retry");
    const char *project = rb_member(r, "project");
    if (r == NULL || (t->project != NULL && !rb_str_eq(project, t->project))) {
        return;
    }
    if (t->client->json) {
        rb_client_print_json(j);
        (void)fflush(stdout);
        return;
    }
    const char *at = rb_member(j, "at");
    const char *state = rb_member(j, "state");
    const char *note = rb_member(j, "note");
    const json_t *number = json_object_get(json_object_get(r, "build"), "number");
    char build[32] = "";
    if (json_is_integer(number)) {
        (void)snprintf(build, sizeof build, " #%lld", (long long)json_integer_value(number));
    }
    RB_CLEANUP(rb_freep) char *shown_project = rb_cli_printable(project);
    RB_CLEANUP(rb_freep) char *shown_note = rb_cli_printable(note);
    RB_CLEANUP(rb_freep) char *shown_id = rb_cli_printable(rb_member(r, "id"));
    (void)printf("%.8s  %s%-12s%s  %s%s, attempt %lld  %s%s%s\n",
                 at == NULL || strlen(at) < 19 ? "--:--:--" : at + 11, rb_state_colour(state),
                 state == NULL ? "?" : state, rb_state_colour(NULL), shown_project, build,
                 (long long)json_integer_value(json_object_get(r, "attempt")), shown_id,
                 shown_note[0] == '\0' ? "" : "  ", shown_note);
    (void)fflush(stdout);
}

/* take_line - one line of the stream: a field, or the empty one that ends an event. */
static void take_line(struct tail *t, const char *line)
{
    if (line[0] == '\0') {
        if (t->data.len > 0) {
            show(t, rb_buf_str(&t->data));
        }
        rb_buf_clear(&t->data);
    } else if (rb_str_starts(line, "data: ")) {
        rb_buf_clear(&t->data);
        rb_buf_adds(&t->data, line + 6);
    } else if (rb_str_starts(line, "id: ")) {
        (void)snprintf(t->last_id, sizeof t->last_id, "%.20s", line + 4);
    } else if (rb_str_eq(line, "event: lost")) {
        (void)fputs("some events were missed\n", stderr);
    }
}

static bool take(void *arg, const char *data, size_t len)
{
    struct tail *t = arg;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n') {
            rb_buf_addc(&t->line, data[i]);
            continue;
        }
        take_line(t, rb_buf_failed(&t->line) ? "" : rb_buf_str(&t->line));
        rb_buf_clear(&t->line);
    }
    return !atomic_load(&interrupted);
}

static int follow(struct tail *t)
{
    const struct timespec pause = {.tv_sec = AGAIN_AFTER_S};
    bool connected_once = false;
    while (!atomic_load(&interrupted)) {
        long status = 0;
        int result =
            rb_client_stream(t->client, "/v1/events", t->last_id, take, t, &interrupted, &status);
        connected_once = connected_once || status == 200;
        if (!atomic_load(&interrupted) && status != 0 && status != 200) {
            return result;
        }
        if (!atomic_load(&interrupted) && !connected_once) {
            return result;
        }
        rb_buf_clear(&t->line);
        rb_buf_clear(&t->data);
        (void)nanosleep(&pause, NULL); /* a signal ends it early */
    }
    return RB_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct rb_client c = {.command = &rb_command_tail};
    struct tail t = {.client = &c};
    const struct rb_option options[] = {
        {"--project", RB_OPTION_TEXT, "only this project", .text = &t.project},
        RB_CLIENT_OPTIONS(&c),
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_tail, argc, argv, options, RB_ARRAY_LEN(options), 0, 0, &words,
                      &status)) {
        return status;
    }
    rb_buf_init(&t.line, LINE_MAX_BYTES);
    rb_buf_init(&t.data, LINE_MAX_BYTES);
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    status = rb_client_open(&c, &rb_command_tail);
    if (status == RB_EXIT_OK) {
        status = follow(&t);
    }
    rb_client_close(&c);
    rb_buf_release(&t.line);
    rb_buf_release(&t.data);
    return status;
}

const struct rb_command rb_command_tail = {
    .name = "tail",
    .usage = "[--project P]",
    .summary = "show changes of retries as they happen",
    .run = run,
};
