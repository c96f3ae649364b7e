/* requeue.c - retrybuild requeue: dead retries, and dead reports of retries, get another chance. */
#include "bulk.h"

static int run(int argc, char **argv)
{
    static const struct rb_bulk bulk = {"requeued", {"dead"}, 1};
    return rb_client_bulk(&rb_command_requeue, &bulk, argc, argv);
}

const struct rb_command rb_command_requeue = {
    .name = "requeue",
    .usage = "ID… | --state dead --all [--project P] [--dry-run]",
    .summary = "give dead retries and reports another chance",
    .run = run,
};
