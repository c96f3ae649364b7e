/* conditions.c - a rule's conditions made ready: expressions compiled, ranges and hours read. */
#include <stdlib.h>

#include <retrybuild/cleanup.h>

#include "rules.h"

/* What failed builds print whatever failed: a pattern that matches any of it matches everything. */
static const char *const boilerplate[] = {
    "COMMAND_EXECUTION_ERROR: Error while executing command: x. Reason: exit status 1",
    "[Container] 2026/11/03 14:05:07 Command did not exit successfully x exit status 1",
    "[Container] 2026/11/03 14:05:07 Phase complete: BUILD State: FAILED",
    ("[Container] 2026/11/03 14:05:07.123456 Phase context status code: COMMAND_EXECUTION_ERROR "
     "Message: Error while executing command: x. Reason: exit status 1"),
};

static enum rb_code compile(const char *rule, const char *name, const char *text,
                            struct pattern **ret_p, struct rb_err *err)
{
    if (text == NULL) {
        return RB_OK;
    }
    enum rb_code rc = rb_pattern_new(text, false, true, ret_p, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "rule '%s', condition %s", rule, name);
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(boilerplate); i++) {
        struct rb_slice hit = {NULL, 0};
        if (rb_pattern_find(*ret_p, rb_slice_str(boilerplate[i]), &hit)) {
            return rb_err_set(err, RB_E_INVALID,
                              "rule '%s', condition %s: it matches what every failed command "
                              "prints (\"%.*s\"); name what is special",
                              rule, name, (int)hit.len, hit.len == 0 ? "" : hit.ptr);
        }
    }
    return RB_OK;
}

static enum rb_code read_ranges(const struct rb_strings *from, enum rb_range_of of,
                                struct rb_range **ret_r, unsigned *ret_n, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    *ret_r = calloc(from->n + 1U, sizeof(**ret_r));
    if (*ret_r == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a condition");
    }
    for (unsigned i = 0; i < from->n && rc == RB_OK; i++) {
        rc = rb_range_parse(from->items[i], of, &(*ret_r)[i], err);
    }
    *ret_n = from->n;
    return rc;
}

static enum rb_code read_hours(const struct rb_strings *from, struct conditions *c,
                               struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    c->hours = calloc(from->n + 1U, sizeof(*c->hours));
    if (c->hours == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a condition");
    }
    for (unsigned i = 0; i < from->n && rc == RB_OK; i++) {
        rc = rb_hours_parse(from->items[i], &c->hours[i], err);
        c->n_hours += rc == RB_OK ? 1 : 0;
    }
    return rc;
}

enum rb_code rb_conditions_new(const struct rb_rule_setting *r, struct conditions *ret_c,
                               struct rb_err *err)
{
    const struct rb_when *when = &r->when;
    enum rb_code rc = compile(r->name, "message", when->message, &ret_c->message, err);
    if (rc == RB_OK) {
        rc = compile(r->name, "log", when->log, &ret_c->log, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    rc = read_ranges(&when->exit_code, RB_RANGE_OF_NUMBERS, &ret_c->exit_code, &ret_c->n_exit_code,
                     err);
    if (rc == RB_OK) {
        rc = read_ranges(&when->attempt, RB_RANGE_OF_NUMBERS, &ret_c->attempt, &ret_c->n_attempt,
                         err);
    }
    if (rc == RB_OK) {
        rc = read_ranges(&when->duration, RB_RANGE_OF_DURATIONS, &ret_c->duration,
                         &ret_c->n_duration, err);
    }
    if (rc == RB_OK) {
        rc = read_hours(&when->hours, ret_c, err);
    }
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, rc, "rule '%s'", r->name);
}

void rb_conditions_release(struct conditions *c)
{
    rb_pattern_free(c->message);
    rb_pattern_free(c->log);
    free(c->exit_code);
    free(c->attempt);
    free(c->duration);
    for (unsigned i = 0; i < c->n_hours; i++) {
        rb_hours_release(&c->hours[i]);
    }
    free(c->hours);
    *c = (struct conditions){.message = NULL};
}

bool rb_policy_asks_flaky(const struct rb_policy *p)
{
    for (unsigned i = 0; i < p->settings->n_rules; i++) {
        if (p->settings->rules[i].when.flaky != RB_FLAKY_ANY) {
            return true;
        }
    }
    return false;
}
