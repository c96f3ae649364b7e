/* problems.c - load a configuration and print what is wrong with it, as FILE:LINE:COLUMN: sentence.
 *
 * The loader knows the schema; what other areas know (types of sources and destinations, addresses,
 * expressions) is asked of them here.
 */
#include <stdarg.h>
#include <stdio.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/destination.h>
#include <retrybuild/httpc.h>
#include <retrybuild/policy.h>
#include <retrybuild/source.h>

#include "problems.h"

#define KEY_PATH_BYTES 64

struct findings {
    const char *file;
    const struct rb_settings *settings;
    unsigned n;
};

static void print_problem(const char *file, unsigned line, unsigned column, const char *text)
{
    if (line > 0) {
        (void)fprintf(stderr, "%s:%u:%u: %s\n", file, line, column, text);
    } else {
        (void)fprintf(stderr, "%s: %s\n", file == NULL ? "defaults" : file, text);
    }
}

static void wrong(struct findings *f, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void wrong(struct findings *f, const char *key, const char *fmt, ...)
{
    unsigned line = 0;
    unsigned column = 0;
    rb_config_place(f->settings, key, &line, &column);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(2048);
    rb_buf_addf(&text, "%s: ", key);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(&text, fmt, ap);
    va_end(ap);
    print_problem(f->file, line, column, rb_buf_str(&text));
    f->n++;
}

/* wrong_type - "no such type; did you mean", or all that there are. */
static void wrong_type(struct findings *f, const char *list, unsigned i, const char *type,
                       const char *const *names)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf all = RB_BUF_INIT(1024);
    size_t n = 0;
    for (; names[n] != NULL; n++) {
        rb_buf_addf(&all, "%s%s", n == 0 ? "" : ", ", names[n]);
    }
    char key[KEY_PATH_BYTES];
    (void)snprintf(key, sizeof key, "%s[%u].type", list, i);
    const char *near = rb_nearest(type, names, n);
    if (near != NULL) {
        wrong(f, key, "there is no type '%.60s'; did you mean '%s'?", type, near);
    } else {
        wrong(f, key, "there is no type '%.60s'; known are %s", type, rb_buf_str(&all));
    }
}

static void check_types(struct findings *f)
{
    const struct rb_settings *s = f->settings;
    for (unsigned i = 0; i < s->n_sources; i++) {
        if (rb_source_type_find(s->sources[i].type) == NULL) {
            wrong_type(f, "sources", i, s->sources[i].type, rb_source_type_names());
        }
    }
    for (unsigned i = 0; i < s->n_destinations; i++) {
        if (rb_destination_type_find(s->destinations[i].type) == NULL) {
            wrong_type(f, "destinations", i, s->destinations[i].type, rb_destination_type_names());
        }
    }
}

static void check_addresses(struct findings *f)
{
    const struct rb_strings *allow = &f->settings->network.allow;
    for (unsigned i = 0; i < allow->n; i++) {
        const struct rb_strings one = {.items = &allow->items[i], .n = 1};
        struct rb_netlist *list = NULL;
        struct rb_err err = {.code = RB_OK};
        if (rb_netlist_parse(&one, &list, &err) != RB_OK) {
            char key[KEY_PATH_BYTES];
            (void)snprintf(key, sizeof key, "network.allow[%u]", i);
            wrong(f, key, "%s", err.msg);
        }
        rb_netlist_free(list);
    }
}

/* check_pattern - rule @i with no other condition than one expression, so that every bad one is
 * found and its key is known. */
static void check_pattern(struct findings *f, unsigned i, const char *condition,
                          const struct rb_when *when)
{
    struct rb_rule_setting rule = f->settings->rules[i];
    struct rb_settings alone = *f->settings; /* borrows everything; its count never reaches 0 */
    struct rb_policy *policy = NULL;
    struct rb_err err = {.code = RB_OK};
    rule.when = *when;
    alone.rules = &rule;
    alone.n_rules = 1;
    alone.refs = 1;
    if (rb_policy_new(&alone, &policy, &err) != RB_OK) {
        char key[KEY_PATH_BYTES];
        (void)snprintf(key, sizeof key, "rules[%u].when.%s", i, condition);
        wrong(f, key, "%s", err.msg);
    }
    rb_policy_free(policy);
}

static void check_rules(struct findings *f)
{
    for (unsigned i = 0; i < f->settings->n_rules; i++) {
        const struct rb_when *when = &f->settings->rules[i].when;
        const struct rb_when message = {.message = when->message};
        const struct rb_when log = {.log = when->log};
        check_pattern(f, i, "message", &message);
        check_pattern(f, i, "log", &log);
    }
}

int rb_load_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s)
{
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_problems_release) struct rb_problems problems = {NULL, 0};
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    enum rb_code rc = rb_config_load(path, &s, &problems, &err);
    for (unsigned i = 0; i < problems.n; i++) {
        print_problem(path, problems.items[i].line, problems.items[i].column,
                      problems.items[i].text == NULL ? "no memory" : problems.items[i].text);
    }
    if (rc != RB_OK && problems.n == 0) {
        rb_cli_error(c, "%s", err.msg);
    }
    if (rc != RB_OK) {
        return RB_EXIT_CONFIG;
    }
    struct findings findings = {.file = path, .settings = s};
    check_types(&findings);
    check_addresses(&findings);
    check_rules(&findings);
    if (findings.n > 0) {
        return RB_EXIT_CONFIG;
    }
    *ret_s = RB_TAKE(s);
    return RB_EXIT_OK;
}
