/* cancel.c - retrybuild cancel ID. */
#include "client.h"

static int run(int argc, char **argv)
{
    return rb_client_one_verb(&rb_command_cancel, argc, argv);
}

const struct rb_command rb_command_cancel = {
    .name = "cancel",
    .usage = "ID",
    .summary = "cancel a retry; its new build, if it runs, is stopped",
    .run = run,
};
