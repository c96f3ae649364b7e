/* command_private.h - what the files of the command grammar share. */
#ifndef RB_SOURCE_COMMAND_PRIVATE_H
#define RB_SOURCE_COMMAND_PRIVATE_H

#include <retrybuild/command.h>

#define RB_COMMAND_WORDS_MAX 32
#define RB_COMMAND_LINE_BYTES_MAX 4096
#define RB_COMMAND_REASON_BYTES_MAX 500

struct rb_command_word {
    const char *text; /* unquoted, unwrapped, unescaped; in the arena */
    bool quoted;      /* it begins with a quote: never a flag */
    bool mention;     /* <@U1>, <#C1>, <!here> */
};

struct rb_command_words {
    struct rb_command_word items[RB_COMMAND_WORDS_MAX];
    unsigned n;
    const char *trouble; /* the line cannot be cut into words; a sentence */
};

/* rb_command_split - the words of one line: smart quotes and dashes become plain ones, Slack's and
 * Markdown's links their URL, <at>…</at> nothing. */
enum rb_code rb_command_split(struct rb_slice line, struct rb_arena *a,
                              struct rb_command_words *ret_w, struct rb_err *err);

/* rb_command_read - one command line. @first: words already taken (its name). @verb: what the name
 * implies. @failed: the name was "retest". */
enum rb_code rb_command_read(const struct rb_command_words *w, unsigned first,
                             enum rb_command_verb verb, bool named, bool failed, struct rb_arena *a,
                             struct rb_command *ret_c, struct rb_err *err);

/* rb_command_target - what @word means. False: nothing, and c->trouble says why (NULL without
 * memory). */
bool rb_command_target(const char *word, struct rb_arena *a, struct rb_command *c);

#endif
