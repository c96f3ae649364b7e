/* check_config.c - retrybuild check-config: every problem at once, with its place. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/policy.h>

#include "cli.h"
#include "problems.h"

#define SCHEMA_MAX_BYTES (1024 * 1024)

static int print_schema(void)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(SCHEMA_MAX_BYTES);
    rb_config_json_schema(&out);
    return !rb_buf_failed(&out) && fputs(rb_buf_str(&out), stdout) >= 0 ? RB_EXIT_OK
                                                                        : RB_EXIT_FAILED;
}

static void print_warning(void *arg, const char *file, unsigned line, unsigned column,
                          const char *text)
{
    (void)arg;
    (void)fprintf(stderr, "%s:%u:%u: warning: %s\n", file == NULL ? "defaults" : file, line, column,
                  text);
}

static int run(int argc, char **argv)
{
    const char *path = rb_config_find();
    bool schema = false;
    const struct rb_option options[] = {
        {"--config", RB_OPTION_TEXT,
         "FILE; default: RETRYBUILD_CONFIG, then /etc/retrybuild/retrybuild.yaml", .text = &path},
        {"--schema", RB_OPTION_FLAG, "print what a configuration may hold, as JSON Schema",
         .flag = &schema}};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_check_config, argc, argv, options, RB_ARRAY_LEN(options), 0, 0,
                      &words, &status)) {
        return status;
    }
    if (schema) {
        return print_schema();
    }
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    status = rb_check_settings(&rb_command_check_config, path, &s);
    if (status == RB_EXIT_OK) {
        const struct rb_problem_ear ear = {.told = print_warning};
        rb_find_weak(path, s, &ear);
        (void)printf("%s: good (%u sources, %u rules, %u destinations)\n",
                     path == NULL ? "defaults" : path, s->n_sources, s->n_rules, s->n_destinations);
    }
    return status;
}

const struct rb_command rb_command_check_config = {
    .name = "check-config",
    .usage = "[--config FILE] [--schema]",
    .summary = "say everything that is wrong with a configuration",
    .run = run,
};
