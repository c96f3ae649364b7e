/* problems.h - load a configuration and print what is wrong with it. Threads: main. Blocks: reads
 * files. */
#ifndef RB_CLI_PROBLEMS_H
#define RB_CLI_PROBLEMS_H

#include <retrybuild/settings.h>

#include "cli.h"

/* rb_load_settings - RB_EXIT_OK with settings, or RB_EXIT_CONFIG after one line per problem on
 * standard error. @path NULL: defaults. */
int rb_load_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s);

#endif
