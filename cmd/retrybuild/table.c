/* table.c - retries as a table that fits a terminal. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "client.h"

static const struct {
    const char *state;
    const char *colour;
} colours[] = {
    {"recovered", "\033[32m"}, {"failed_again", "\033[31m"}, {"dead", "\033[31m"},
    {"held", "\033[33m"},      {"running", "\033[36m"},      {"submitting", "\033[36m"},
};

static const char *colour_of(const char *state)
{
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        if (strcmp(state, colours[i].state) == 0) {
            return colours[i].colour;
        }
    }
    return "";
}

static void format_age(const char *created, char *ret, size_t len)
{
    int64_t ms = 0;
    (void)snprintf(ret, len, "?");
    if (created == NULL || !rb_time_parse_iso(rb_slice_str(created), &ms)) {
        return;
    }
    long long s = (long long)(rb_now_ms(rb_clock_system()) - ms) / 1000;
    if (s < 120) {
        (void)snprintf(ret, len, "%llds", s < 0 ? 0 : s);
    } else if (s < 7200) {
        (void)snprintf(ret, len, "%lldm", s / 60);
    } else if (s < 172800) {
        (void)snprintf(ret, len, "%lldh", s / 3600);
    } else {
        (void)snprintf(ret, len, "%lldd", s / 86400);
    }
}

static const char *or_dash(const char *s)
{
    return s == NULL ? "-" : s;
}

const char *rb_state_colour(const char *state)
{
    if (!rb_cli_colour(STDOUT_FILENO)) {
        return "";
    }
    return state == NULL ? "\033[0m" : colour_of(state);
}

/* What the columns of fixed width take with the blanks between; project and rule share the rest. */
#define FIXED_COLUMNS 66
#define PROJECT_COLUMNS 24
#define RULE_COLUMNS 18
#define NARROW 8 /* a column below this says nothing */

/* fit - widths of project and rule for the terminal; a rule of 0 is left out. */
static void fit(int *ret_project, int *ret_rule)
{
    struct winsize size = {.ws_col = 0};
    *ret_project = PROJECT_COLUMNS;
    *ret_rule = RULE_COLUMNS;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return; /* a pipe: nothing is cut more than elsewhere */
    }
    int room = (int)size.ws_col - FIXED_COLUMNS;
    if (room >= PROJECT_COLUMNS + RULE_COLUMNS) {
        return;
    }
    *ret_rule = room >= 3 * NARROW ? room * 2 / 5 : 0;
    room = *ret_rule == 0 ? room + 2 : room - *ret_rule;
    *ret_project = room < NARROW ? NARROW : room > PROJECT_COLUMNS ? PROJECT_COLUMNS : room;
}

void rb_print_retry_table(const json_t *retries)
{
    int project_len = 0;
    int rule_len = 0;
    fit(&project_len, &rule_len);
    int rule_gap = rule_len == 0 ? 0 : 2;
    bool colour = rb_cli_colour(STDOUT_FILENO);
    size_t i = 0;
    json_t *r = NULL;
    (void)printf("%-30s  %-12s  %-*.*s %6s  %3s  %-*.*s%*s%s\n", "ID", "STATE", project_len,
                 project_len, "PROJECT", "BUILD", "TRY", rule_len, rule_len, "RULE", rule_gap, "",
                 "AGE");
    json_array_foreach(retries, i, r)
    {
        char age[32];
        char number[24] = "-";
        const char *state = or_dash(rb_member(r, "state"));
        const json_t *n = json_object_get(json_object_get(r, "build"), "number");
        if (json_is_integer(n)) {
            (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(n));
        }
        format_age(rb_member(r, "created_at"), age, sizeof age);
        RB_CLEANUP(rb_freep) char *id = rb_cli_printable(or_dash(rb_member(r, "id")));
        RB_CLEANUP(rb_freep) char *shown_state = rb_cli_printable(state);
        RB_CLEANUP(rb_freep) char *project = rb_cli_printable(or_dash(rb_member(r, "project")));
        RB_CLEANUP(rb_freep)
        char *rule = rb_cli_printable(or_dash(rb_member2(r, "decision", "rule")));
        (void)printf("%-30s  %s%-12s%s  %-*.*s %6s  %3lld  %-*.*s%*s%s\n", id,
                     colour ? colour_of(state) : "", shown_state, colour ? "\033[0m" : "",
                     project_len, project_len, project, number,
                     (long long)json_integer_value(json_object_get(r, "attempt")), rule_len,
                     rule_len, rule, rule_gap, "", age);
    }
}
