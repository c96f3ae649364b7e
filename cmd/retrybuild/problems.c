/* problems.c - load a configuration and print what is wrong with it, as FILE:LINE:COLUMN: sentence.
 */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/policy.h>

#include "problems.h"

int rb_load_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s)
{
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_problems_release) struct rb_problems problems = {NULL, 0};
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    enum rb_code rc = rb_config_load(path, &s, &problems, &err);
    for (unsigned i = 0; i < problems.n; i++) {
        const struct rb_problem *p = &problems.items[i];
        if (p->line > 0) {
            (void)fprintf(stderr, "%s:%u:%u: %s\n", path, p->line, p->column, p->text);
        } else {
            (void)fprintf(stderr, "%s: %s\n", path == NULL ? "defaults" : path, p->text);
        }
    }
    if (rc != RB_OK && problems.n == 0) {
        rb_cli_error(c, "%s", err.msg);
    }
    if (rc != RB_OK) {
        return RB_EXIT_CONFIG;
    }
    struct rb_policy *policy = NULL; /* compiles every pattern */
    rc = rb_policy_new(s, &policy, &err);
    rb_policy_free(policy);
    if (rc != RB_OK) {
        rb_cli_error(c, "%s: %s", path == NULL ? "defaults" : path, err.msg);
        return RB_EXIT_CONFIG;
    }
    *ret_s = RB_TAKE(s);
    return RB_EXIT_OK;
}
