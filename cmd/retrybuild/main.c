/* main.c - the command table. A subcommand is one file and one row here, in alphabetical order. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>
#include <retrybuild/secret.h>
#include <retrybuild/str.h>

#include "cli.h"

static const struct rb_command *const commands[] = {
    &rb_command_approve, &rb_command_cancel,  &rb_command_check_config, &rb_command_completion,
    &rb_command_deny,    &rb_command_doctor,  &rb_command_explain,      &rb_command_list,
    &rb_command_pause,   &rb_command_requeue, &rb_command_resume,       &rb_command_retry,
    &rb_command_send,    &rb_command_serve,   &rb_command_show,         &rb_command_stats,
    &rb_command_tail,    &rb_command_version,
};

static void print_commands(FILE *out)
{
    (void)fprintf(out, "usage: retrybuild COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < RB_ARRAY_LEN(commands); i++) {
        (void)fprintf(out, "  %-13s %s\n", commands[i]->name, commands[i]->summary);
    }
    (void)fprintf(out, "\n'retrybuild COMMAND -h' explains one of them.\n");
}

/* print_words - the commands, for a shell that completes words. */
static void print_words(void)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(commands); i++) {
        (void)printf("%s\t%s\n", commands[i]->name, commands[i]->summary);
    }
}

static int unknown_command(const char *word)
{
    const char *names[RB_ARRAY_LEN(commands)];
    for (size_t i = 0; i < RB_ARRAY_LEN(commands); i++) {
        names[i] = commands[i]->name;
    }
    const char *near = rb_nearest(word, names, RB_ARRAY_LEN(names));
    if (near != NULL) {
        (void)fprintf(stderr, "retrybuild: there is no command '%s'; did you mean '%s'?\n", word,
                      near);
    } else {
        (void)fprintf(stderr, "retrybuild: there is no command '%s'; 'retrybuild -h' lists them\n",
                      word);
    }
    return RB_EXIT_USAGE;
}

static const struct rb_command *find_command(const char *word)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(commands); i++) {
        if (strcmp(word, commands[i]->name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

/* explain - `retrybuild help COMMAND` is `retrybuild COMMAND -h`. */
static int explain(char *word)
{
    static char help[] = "-h";
    char *argv[] = {word, help, NULL};
    const struct rb_command *command = find_command(word);
    return command == NULL ? unknown_command(word) : command->run(2, argv);
}

int main(int argc, char **argv)
{
    rb_tune_malloc();
    rb_process_harden();
    if (argc < 2) {
        print_commands(stderr);
        return RB_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "help") == 0 && argc > 2) {
        return explain(argv[2]);
    }
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        print_commands(stdout);
        return RB_EXIT_OK;
    }
    if (strcmp(word, "--complete") == 0) {
        print_words();
        return RB_EXIT_OK;
    }
    if (strcmp(word, "--version") == 0) {
        word = "version";
    }
    const struct rb_command *command = find_command(word);
    if (command == NULL) {
        return unknown_command(word);
    }
    int status = command->run(argc - 1, argv + 1);
    return fflush(stdout) == 0 ? status : RB_EXIT_FAILED;
}
