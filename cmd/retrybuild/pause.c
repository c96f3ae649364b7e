/* pause.c - retrybuild pause [PROJECT] and resume [PROJECT]: no new calls to AWS, everything else
 * goes on. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "client.h"

static int switch_pause(const struct rb_command *command, int argc, char **argv)
{
    struct rb_client c = {.command = command};
    const struct rb_option options[] = {RB_CLIENT_OPTIONS(&c)};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(command, argc, argv, options, RB_ARRAY_LEN(options), 0, 1, &words, &status)) {
        return status;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *body = json_object();
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    if (words.n == 1) {
        (void)json_object_set_new(body, "project", json_string(words.items[0]));
    }
    status = rb_client_open(&c, command);
    if (status == RB_EXIT_OK) {
        status =
            rb_client_call(&c, "POST", command == &rb_command_pause ? "/v1/pause" : "/v1/resume",
                           body, &answer, NULL);
    }
    if (status == RB_EXIT_OK && c.json) {
        rb_client_print_json(answer);
    } else if (status == RB_EXIT_OK) {
        (void)printf("%s %s\n", words.n == 1 ? words.items[0] : "everything",
                     command == &rb_command_pause ? "is paused" : "goes on");
    }
    rb_client_close(&c);
    return status;
}

static int run_pause(int argc, char **argv)
{
    return switch_pause(&rb_command_pause, argc, argv);
}

static int run_resume(int argc, char **argv)
{
    return switch_pause(&rb_command_resume, argc, argv);
}

const struct rb_command rb_command_pause = {
    .name = "pause",
    .usage = "[PROJECT]",
    .summary = "hold back new retries, of a project or of all",
    .run = run_pause,
};

const struct rb_command rb_command_resume = {
    .name = "resume",
    .usage = "[PROJECT]",
    .summary = "let retries go ahead again",
    .run = run_resume,
};
