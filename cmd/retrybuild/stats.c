/* stats.c - retrybuild stats: the ledger for people, with small bars. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "client.h"

#define BAR_CELLS 20
#define MANY_RETRIES 20
#define HARDLY_EVER 0.1

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static void print_bar(double part)
{
    int full = (int)(part * BAR_CELLS + 0.5);
    full = full < 0 ? 0 : full > BAR_CELLS ? BAR_CELLS : full;
    (void)putchar('[');
    for (int i = 0; i < BAR_CELLS; i++) {
        (void)putchar(i < full ? '#' : '.');
    }
    (void)putchar(']');
}

static void print_totals(const json_t *x)
{
    static const char *const shown[] = {"recovered", "failed_again", "running",  "scheduled",
                                        "held",      "refused",      "ignored",  "deferred",
                                        "cancelled", "superseded",   "received", "dead"};
    const json_t *totals = json_object_get(x, "totals");
    const char *mode = rb_member(x, "mode");
    (void)printf("mode %s\n", mode == NULL ? "?" : mode);
    for (size_t i = 0; i < RB_ARRAY_LEN(shown); i++) {
        double n = number(totals, shown[i]);
        if (n > 0) {
            (void)printf("  %-14s %8.0f\n", shown[i], n);
        }
    }
    (void)printf("  %-14s %8.1f\n  %-14s %8.1f\n", "minutes lost", number(totals, "minutes_lost"),
                 "minutes saved", number(totals, "minutes_saved"));
    if (number(totals, "swept") > 0) {
        (void)printf("  %.0f failures of the last 7 days were brought by no delivery, but found\n",
                     number(totals, "swept"));
    }
    if (number(totals, "shadowed") > 0) {
        (void)printf("  of %.0f failures that shadow mode would have retried, %.0f recovered when "
                     "somebody did\n",
                     number(totals, "shadowed"), number(totals, "shadow_recovered"));
    }
}

static void print_budgets(const json_t *x)
{
    size_t i = 0;
    json_t *row = NULL;
    const json_t *budgets = json_object_get(x, "budgets");
    bool headed = false;
    json_array_foreach(json_object_get(budgets, "projects"), i, row)
    {
        const json_t *hour = json_object_get(row, "hour");
        if (!json_is_integer(json_object_get(hour, "limit")) || number(hour, "used") <= 0) {
            continue;
        }
        RB_CLEANUP(rb_freep) char *project = rb_cli_printable(rb_member(row, "project"));
        (void)printf("%s  %-32.32s ", headed ? "" : "retries of the last hour\n", project);
        headed = true;
        print_bar(number(hour, "used") / number(hour, "limit"));
        (void)printf(" %.0f of %.0f\n", number(hour, "used"), number(hour, "limit"));
    }
    const json_t *minutes = json_object_get(budgets, "minutes");
    if (json_is_integer(json_object_get(minutes, "limit"))) {
        (void)printf("  %-32s ", "minutes of the day");
        print_bar(number(minutes, "used") / number(minutes, "limit"));
        (void)printf(" %.0f of %.0f\n", number(minutes, "used"), number(minutes, "limit"));
    }
}

static void print_trouble(const json_t *x)
{
    size_t i = 0;
    json_t *row = NULL;
    const json_t *incident = json_object_get(x, "incident");
    if (json_is_object(incident)) {
        RB_CLEANUP(rb_freep) char *phase = rb_cli_printable(rb_member(incident, "phase"));
        RB_CLEANUP(rb_freep) char *since = rb_cli_printable(rb_member(incident, "since"));
        (void)printf("incident in %s since %s: automatic retries wait\n", phase, since);
    }
    json_array_foreach(json_object_get(x, "breakers"), i, row)
    {
        const char *state = rb_member(row, "state");
        if (state == NULL || strcmp(state, "closed") == 0) {
            continue;
        }
        RB_CLEANUP(rb_freep) char *scope = rb_cli_printable(rb_member(row, "scope"));
        RB_CLEANUP(rb_freep) char *how = rb_cli_printable(state);
        if (strcmp(state, "off") == 0) {
            (void)printf("%s is switched off: it answered 410; load the configuration again or "
                         "requeue a report of it\n",
                         scope);
            continue;
        }
        (void)printf("breaker %s is %s: %.0f of %.0f retries failed again\n", scope, how,
                     number(row, "failed"), number(row, "failed") + number(row, "recovered"));
    }
}

static void print_rules(const json_t *x)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(json_object_get(x, "rules"), i, row)
    {
        double tried = number(row, "retries");
        RB_CLEANUP(rb_freep) char *rule = rb_cli_printable(rb_member(row, "rule"));
        (void)printf("%s  %-32.32s ", i == 0 ? "rules: recovered of retries\n" : "", rule);
        print_bar(tried > 0 ? number(row, "recovered") / tried : 0);
        bool idle = tried >= MANY_RETRIES && number(row, "recovered") < tried * HARDLY_EVER;
        (void)printf(" %.0f of %.0f%s\n", number(row, "recovered"), tried,
                     idle ? ": hardly ever helps, delete it" : "");
    }
}

static void print_flakes(const json_t *x)
{
    size_t i = 0;
    size_t k = 0;
    json_t *project = NULL;
    json_t *row = NULL;
    bool headed = false;
    json_array_foreach(json_object_get(x, "projects"), i, project)
    {
        RB_CLEANUP(rb_freep) char *name = rb_cli_printable(rb_member(project, "project"));
        json_array_foreach(json_object_get(project, "flakes"), k, row)
        {
            RB_CLEANUP(rb_freep) char *phase = rb_cli_printable(rb_member(row, "phase"));
            RB_CLEANUP(rb_freep) char *class = rb_cli_printable(rb_member(row, "class"));
            (void)printf("%s  %-24.24s %-16s %-11s ",
                         headed ? "" : "flakes: recovered on the same commit, lately\n", name,
                         phase, class);
            headed = true;
            print_bar(number(row, "rate"));
            (void)printf(" %.1f of %.1f\n", number(row, "count"), number(row, "failures"));
        }
    }
}

static int run(int argc, char **argv)
{
    struct rb_client c = {.command = &rb_command_stats};
    const struct rb_option options[] = {RB_CLIENT_OPTIONS(&c)};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_stats, argc, argv, options, RB_ARRAY_LEN(options), 0, 0, &words,
                      &status)) {
        return status;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    status = rb_client_open(&c, &rb_command_stats);
    if (status == RB_EXIT_OK) {
        status = rb_client_call(&c, "GET", "/v1/stats", NULL, &answer, NULL);
    }
    if (status == RB_EXIT_OK && c.json) {
        rb_client_print_json(answer);
    } else if (status == RB_EXIT_OK) {
        print_totals(answer);
        print_trouble(answer);
        print_budgets(answer);
        print_rules(answer);
        print_flakes(answer);
    }
    rb_client_close(&c);
    return status;
}

const struct rb_command rb_command_stats = {
    .name = "stats",
    .usage = "[--json]",
    .summary = "what became of retries: budgets, breakers, flakes, rules",
    .run = run,
};
