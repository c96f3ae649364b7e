/* model_check.c - an input against its shape: the first constraint that does not hold, with the
 * path of the member, in the words that AWS's services use for it. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "model.h"

#define MAX_PATH_BYTES 256
#define MAX_VALUES_BYTES 1024

struct check {
    struct rb_buf path; /* environment.computeType */
    struct rb_err *err;
};

static enum rb_code check_value(struct check *c, const struct sim_shape *shape, const json_t *v);

bool sim_project_name_ok(const char *name)
{
    if (rb_str_empty(name)) {
        return false;
    }
    for (const char *p = name; *p != '\0'; p++) {
        bool alnum =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!alnum && (p == name || (*p != '-' && *p != '_'))) {
            return false;
        }
    }
    return strlen(name) >= 2 && strlen(name) <= 150;
}

static enum rb_code wrong_type(struct check *c, const char *want)
{
    return rb_err_set(c->err, RB_E_CORRUPT, "'%s' must be %s", rb_buf_str(&c->path), want);
}

static enum rb_code violated(struct check *c, const char *what)
{
    return rb_err_set(c->err, RB_E_INVALID,
                      "1 validation error detected: Value at '%s' failed to satisfy constraint: %s",
                      rb_buf_str(&c->path), what);
}

static enum rb_code check_range(struct check *c, const struct sim_shape *shape, int64_t n,
                                const char *noun)
{
    char what[128];
    if (shape->has_min && n < shape->min) {
        snprintf(what, sizeof what, "Member must have %s greater than or equal to %lld", noun,
                 (long long)shape->min);
        return violated(c, what);
    }
    if (shape->has_max && n > shape->max) {
        snprintf(what, sizeof what, "Member must have %s less than or equal to %lld", noun,
                 (long long)shape->max);
        return violated(c, what);
    }
    return RB_OK;
}

static enum rb_code check_string(struct check *c, const struct sim_shape *shape, const json_t *v)
{
    if (!json_is_string(v)) {
        return wrong_type(c, "a string");
    }
    const char *s = json_string_value(v);
    if (shape->values != NULL) {
        for (const char *const *one = shape->values; *one != NULL; one++) {
            if (strcmp(*one, s) == 0) {
                return RB_OK;
            }
        }
        RB_CLEANUP(rb_buf_release) struct rb_buf what = RB_BUF_INIT(MAX_VALUES_BYTES);
        rb_buf_adds(&what, "Member must satisfy enum value set: [");
        for (const char *const *one = shape->values; *one != NULL; one++) {
            rb_buf_addf(&what, "%s%s", one == shape->values ? "" : ", ", *one);
        }
        rb_buf_addc(&what, ']');
        return violated(c, rb_buf_str(&what));
    }
    enum rb_code rc = check_range(c, shape, (int64_t)json_string_length(v), "length");
    if (rc == RB_OK && shape->project_name && !sim_project_name_ok(s)) {
        return rb_err_set(
            c->err, RB_E_INVALID,
            "Invalid project name: Only alphanumeric characters, dash, and underscore are "
            "supported");
    }
    return rc;
}

static enum rb_code check_list(struct check *c, const struct sim_shape *shape, const json_t *v)
{
    if (!json_is_array(v)) {
        return wrong_type(c, "a list");
    }
    enum rb_code rc = check_range(c, shape, (int64_t)json_array_size(v), "length");
    size_t outer = c->path.len;
    for (size_t i = 0; rc == RB_OK && i < json_array_size(v); i++) {
        rb_buf_addf(&c->path, ".%zu.member", i + 1);
        rc = check_value(c, shape->item, json_array_get(v, i));
        if (rc == RB_OK && c->path.len > outer) {
            c->path.len = outer;
            c->path.data[outer] = '\0';
        }
    }
    return rc;
}

static enum rb_code check_structure(struct check *c, const struct sim_shape *shape, const json_t *v)
{
    if (!json_is_object(v)) {
        return wrong_type(c, "an object");
    }
    size_t outer = c->path.len;
    for (const struct sim_member *m = shape->members; m != NULL && m->name != NULL; m++) {
        const json_t *one = json_object_get(v, m->name);
        bool absent = one == NULL || json_is_null(one);
        if (absent && !m->required) {
            continue;
        }
        rb_buf_addf(&c->path, "%s%s", outer == 0 ? "" : ".", m->name);
        enum rb_code rc =
            absent ? violated(c, "Member must not be null") : check_value(c, m->shape, one);
        if (rc != RB_OK) {
            return rc;
        }
        if (c->path.len > outer) {
            c->path.len = outer;
            c->path.data[outer] = '\0';
        }
    }
    return RB_OK;
}

static enum rb_code check_value(struct check *c, const struct sim_shape *shape, const json_t *v)
{
    switch (shape->kind) {
    case SIM_STRING:
        return check_string(c, shape, v);
    case SIM_INTEGER:
        if (!json_is_integer(v)) {
            return wrong_type(c, "an integer");
        }
        return check_range(c, shape, json_integer_value(v), "value");
    case SIM_BOOLEAN:
        return json_is_boolean(v) ? RB_OK : wrong_type(c, "true or false");
    case SIM_LIST:
        return check_list(c, shape, v);
    case SIM_STRUCTURE:
        return check_structure(c, shape, v);
    }
    return RB_OK;
}

enum rb_code sim_model_check(const struct sim_shape *shape, const json_t *value, struct rb_err *err)
{
    struct check c = {.path = RB_BUF_INIT(MAX_PATH_BYTES), .err = err};
    enum rb_code rc = check_value(&c, shape, value);
    rb_buf_release(&c.path);
    return rc;
}
