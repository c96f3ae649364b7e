/* cli.h - what the subcommands share: the command table's row, options, exit codes.
 *
 * A subcommand is one file and one row in main.c. Threads: main thread. Errors go to standard error
 * as "retrybuild COMMAND: sentence".
 */
#ifndef RB_CLI_H
#define RB_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum rb_exit {
    RB_EXIT_OK = 0,
    RB_EXIT_FAILED = 1,
    RB_EXIT_USAGE = 2,
    RB_EXIT_UNREACHABLE = 69,
    RB_EXIT_NOT_ALLOWED = 77,
    RB_EXIT_CONFIG = 78,
};

struct rb_command {
    const char *name;
    const char *usage;                 /* what follows the name */
    const char *summary;               /* one line */
    int (*run)(int argc, char **argv); /* argv[0] is the name */
};

enum rb_option_kind { RB_OPTION_FLAG, RB_OPTION_TEXT, RB_OPTION_LIST };
#define RB_OPTION_LIST_MAX 16

struct rb_option {
    const char *name; /* "--config" */
    enum rb_option_kind kind;
    const char *help;
    bool *flag;
    const char **text;
    struct rb_option_list *list;
};

struct rb_option_list {
    const char *items[RB_OPTION_LIST_MAX];
    unsigned n;
};

struct rb_words { /* positional arguments, in order */
    char **items;
    int n;
};

/* rb_cli_parse - options anywhere, "--" ends them, "--name=value" and "--name value". Returns false
 * when the caller must return *ret_exit at once: help was printed, or the options for a shell that
 * completes words (--complete alone), or the words were wrong and a
 * message said so. */
bool rb_cli_parse(const struct rb_command *c, int argc, char **argv,
                  const struct rb_option *options, size_t n_options, int min_words, int max_words,
                  struct rb_words *ret_words, int *ret_exit);
/* rb_cli_error - one line on standard error, prefixed with the program and command. */
void rb_cli_error(const struct rb_command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* rb_cli_printable - @text with control characters as '?', so that what a build or a server wrote
 * cannot steer the terminal; malloc'ed, "" for NULL and without memory. */
char *rb_cli_printable(const char *text);
/* rb_cli_colour - may @fd be coloured: a terminal, and NO_COLOR is unset or empty. */
bool rb_cli_colour(int fd);
/* rb_cli_read_file - whole file or "-" for standard input, at most @max bytes; malloc'ed, NULL
 * after a message. */
char *rb_cli_read_file(const struct rb_command *c, const char *path, size_t max, size_t *ret_len);

/* rb_cli_backends - the stores that there are; ends with NULL. */
struct rb_store_backend;
extern const struct rb_store_backend *const rb_cli_backends[];

extern const struct rb_command rb_command_approve;
extern const struct rb_command rb_command_cancel;
extern const struct rb_command rb_command_check_config;
extern const struct rb_command rb_command_completion;
extern const struct rb_command rb_command_deny;
extern const struct rb_command rb_command_explain;
extern const struct rb_command rb_command_doctor;
extern const struct rb_command rb_command_list;
extern const struct rb_command rb_command_pause;
extern const struct rb_command rb_command_requeue;
extern const struct rb_command rb_command_resume;
extern const struct rb_command rb_command_retry;
extern const struct rb_command rb_command_send;
extern const struct rb_command rb_command_serve;
extern const struct rb_command rb_command_show;
extern const struct rb_command rb_command_stats;
extern const struct rb_command rb_command_tail;
extern const struct rb_command rb_command_version;

#endif
