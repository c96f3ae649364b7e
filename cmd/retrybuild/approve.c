/* approve.c - retrybuild approve: held retries go ahead. */
#include "bulk.h"

static int run(int argc, char **argv)
{
    static const struct rb_bulk bulk = {"approved", {"held"}, 1};
    return rb_client_bulk(&rb_command_approve, &bulk, argc, argv);
}

const struct rb_command rb_command_approve = {
    .name = "approve",
    .usage = "ID… | [--project P] [--all] [--dry-run]",
    .summary = "let a held retry go ahead",
    .run = run,
};
