/* deny.c - retrybuild deny: held retries end. */
#include "bulk.h"

static int run(int argc, char **argv)
{
    static const struct rb_bulk bulk = {"denied", {"held"}, 1};
    return rb_client_bulk(&rb_command_deny, &bulk, argc, argv);
}

const struct rb_command rb_command_deny = {
    .name = "deny",
    .usage = "ID… | [--project P] [--all] [--dry-run]",
    .summary = "refuse a held retry",
    .run = run,
};
