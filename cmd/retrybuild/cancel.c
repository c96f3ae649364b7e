/* cancel.c - retrybuild cancel: retries end; those whose build runs only by id or --state running.
 */
#include "bulk.h"

static int run(int argc, char **argv)
{
    static const struct rb_bulk bulk = {
        "cancelled", {"scheduled", "received", "held", "running"}, 3};
    return rb_client_bulk(&rb_command_cancel, &bulk, argc, argv);
}

const struct rb_command rb_command_cancel = {
    .name = "cancel",
    .usage = "ID… | [--state S] [--project P] [--all] [--dry-run]",
    .summary = "cancel a retry; its new build, if it runs, is stopped",
    .run = run,
};
