/* deny.c - retrybuild deny ID. */
#include "client.h"

static int run(int argc, char **argv)
{
    return rb_client_one_verb(&rb_command_deny, argc, argv);
}

const struct rb_command rb_command_deny = {
    .name = "deny",
    .usage = "ID",
    .summary = "refuse a held retry",
    .run = run,
};
