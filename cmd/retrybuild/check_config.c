/* check_config.c - retrybuild check-config: every problem at once, with its place. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/policy.h>

#include "cli.h"
#include "problems.h"

static int run(int argc, char **argv)
{
    const char *path = rb_config_find();
    const struct rb_option options[] = {
        {"--config", RB_OPTION_TEXT,
         "FILE; default: RETRYBUILD_CONFIG, then /etc/retrybuild/retrybuild.yaml", .text = &path}};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_check_config, argc, argv, options, RB_ARRAY_LEN(options), 0, 0,
                      &words, &status)) {
        return status;
    }
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    status = rb_check_settings(&rb_command_check_config, path, &s);
    if (status == RB_EXIT_OK) {
        (void)printf("%s: good (%u sources, %u rules, %u destinations)\n",
                     path == NULL ? "defaults" : path, s->n_sources, s->n_rules, s->n_destinations);
    }
    return status;
}

const struct rb_command rb_command_check_config = {
    .name = "check-config",
    .usage = "[--config FILE]",
    .summary = "say everything that is wrong with a configuration",
    .run = run,
};
