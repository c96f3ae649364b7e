/* bulk.h - verbs for several retries at once. Threads: main. */
#ifndef RB_CLI_BULK_H
#define RB_CLI_BULK_H

#include "client.h"

#define RB_BULK_STATES_MAX 8

struct rb_bulk {
    const char *done;                       /* "cancelled" */
    const char *states[RB_BULK_STATES_MAX]; /* that allow the verb; NULL ends them */
    unsigned n_default;                     /* so many of them are meant without --state */
};

/* rb_client_bulk - the whole subcommand "VERB ID… | FILTERS | --all". */
int rb_client_bulk(const struct rb_command *command, const struct rb_bulk *b, int argc,
                   char **argv);

#endif
