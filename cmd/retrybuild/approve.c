/* approve.c - retrybuild approve ID. */
#include "client.h"

static int run(int argc, char **argv)
{
    return rb_client_one_verb(&rb_command_approve, argc, argv);
}

const struct rb_command rb_command_approve = {
    .name = "approve",
    .usage = "ID",
    .summary = "let a held retry go ahead",
    .run = run,
};
