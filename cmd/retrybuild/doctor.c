/* doctor.c - retrybuild doctor: everything an installation depends on, looked at without an effect.
 */
#include <stdio.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/log.h>

#include "doctor.h"
#include "problems.h"

static void told_problem(void *arg, const char *file, unsigned line, unsigned column,
                         const char *text)
{
    struct rb_doctor *d = arg;
    json_t *row = line > 0 ? rb_doctor_add(d, RB_ATTENTION, "configuration", "problem",
                                           "%s:%u:%u: %s", file, line, column, text)
                           : rb_doctor_add(d, RB_ATTENTION, "configuration", "problem", "%s: %s",
                                           file == NULL ? "defaults" : file, text);
    rb_doctor_fact(row, "file", file);
    if (row != NULL && line > 0) {
        (void)json_object_set_new(row, "line", json_integer(line));
        (void)json_object_set_new(row, "column", json_integer(column));
    }
}

static struct rb_settings *look_at_configuration(struct rb_doctor *d, const char *path)
{
    const struct rb_problem_ear ear = {.told = told_problem, .arg = d};
    struct rb_err err = {.code = RB_OK};
    struct rb_settings *s = NULL;

    enum rb_code rc = rb_find_problems(path, &ear, &s, &err);
    if (rc != RB_OK && rc != RB_E_INVALID) {
        json_t *row = rb_doctor_add(d, RB_ATTENTION, "configuration", "file",
                                    "it cannot be read: %s", err.msg);
        rb_doctor_advise(row, "name the file with --config, or in RETRYBUILD_CONFIG");
    }
    if (rc != RB_OK) {
        (void)rb_doctor_add(d, RB_NOTICE, "configuration", "the rest",
                            "not looked at: it follows from the configuration");
        return NULL;
    }
    rb_doctor_fact(rb_doctor_add(d, RB_FINE, "configuration", "file",
                                 "%s: good (%u sources, %u rules, %u destinations)",
                                 path == NULL ? "defaults" : path, s->n_sources, s->n_rules,
                                 s->n_destinations),
                   "file", path);
    return s;
}

static void look_at_all(struct rb_doctor *d, struct rb_settings *s)
{
    rb_doctor_aws(d, s);
    rb_doctor_store(d, s);
    rb_doctor_sources(d, s);
    rb_doctor_destinations(d, s);
}

static int examine(const char *path, const struct rb_option_list *projects, bool as_json)
{
    struct rb_doctor d = {.checks = json_array(), .projects = projects};

    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = look_at_configuration(&d, path);
    if (s != NULL) {
        look_at_all(&d, s);
    }
    if (d.no_memory) {
        rb_cli_error(&rb_command_doctor, "no memory for what was found");
    } else {
        rb_doctor_print(&d, as_json);
    }
    json_decref(d.checks);
    return d.attention || d.no_memory ? RB_EXIT_FAILED : RB_EXIT_OK;
}

static int run(int argc, char **argv)
{
    const char *path = rb_config_find(), *send_to = NULL;
    struct rb_option_list projects = {.n = 0};
    bool as_json = false;
    const struct rb_option options[] = {
        {"--config", RB_OPTION_TEXT,
         "FILE; default: RETRYBUILD_CONFIG, then /etc/retrybuild/retrybuild.yaml", .text = &path},
        {"--project", RB_OPTION_LIST,
         "NAME of a CodeBuild project that permissions are tried with, beside those of "
         "sweep.projects; may be repeated",
         .list = &projects},
        {"--send", RB_OPTION_TEXT,
         "NAME of a destination: only post a test message to it, and tell what the receiver said",
         .text = &send_to},
        {"--json", RB_OPTION_FLAG, "print the findings as JSON", .flag = &as_json},
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_doctor, argc, argv, options, RB_ARRAY_LEN(options), 0, 0, &words,
                      &status)) {
        return status;
    }
    rb_log_setup(RB_LOG_ERROR, RB_LOG_AUTO, STDERR_FILENO);
    if (send_to == NULL) {
        return examine(path, &projects, as_json);
    }
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    status = rb_load_settings(&rb_command_doctor, path, &s);
    return status == RB_EXIT_OK ? rb_doctor_send(&rb_command_doctor, s, send_to, as_json) : status;
}

const struct rb_command rb_command_doctor = {
    .name = "doctor",
    .usage = "[--config FILE] [--project NAME]... [--json] [--send DESTINATION]",
    .summary = "look at everything the service depends on, without an effect",
    .run = run,
};
