/* pipeline_script.c - what the script says of pipelines, checked. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "script.h"

#define WHERE_BYTES 96
#define MAX_ROWS 1000

static enum rb_code check_rows(json_t *rows, const char *where, size_t *ret_n, struct rb_err *err)
{
    *ret_n = json_array_size(rows);
    return *ret_n > 0 && *ret_n <= MAX_ROWS
               ? RB_OK
               : rb_err_set(err, RB_E_INVALID, "%s: must be a list of 1 to %d", where, MAX_ROWS);
}

/* A row has a name and something else, which is a list or text. */
static enum rb_code check_row(json_t *row, const char *where, const char *other, bool is_list,
                              struct rb_err *err)
{
    const char *const known[] = {"name", other};
    const char *name = NULL, *text = NULL;
    struct sim_in in = {.obj = row, .where = where, .err = err};
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc != RB_OK || (rc = sim_in_str(&in, "name", &name)) != RB_OK) {
        return rc;
    }
    if (rb_str_empty(name)) {
        return rb_err_set(err, RB_E_INVALID, "%s.name: is required", where);
    }
    if (is_list) {
        return RB_OK;
    }
    rc = sim_in_str(&in, other, &text);
    return rc == RB_OK && rb_str_empty(text)
               ? rb_err_set(err, RB_E_INVALID, "%s.%s: is required", where, other)
               : rc;
}

static enum rb_code check_stage(json_t *stage, const char *where, struct rb_err *err)
{
    char deeper[WHERE_BYTES];
    size_t n = 0;
    json_t *actions = json_object_get(stage, "actions");
    enum rb_code rc = check_row(stage, where, "actions", true, err);
    snprintf(deeper, sizeof deeper, "%.40s.actions", where);
    if (rc == RB_OK) {
        rc = check_rows(actions, deeper, &n, err);
    }
    for (size_t i = 0; rc == RB_OK && i < n; i++) {
        snprintf(deeper, sizeof deeper, "%.40s.actions[%zu]", where, i);
        rc = check_row(json_array_get(actions, i), deeper, "project", false, err);
    }
    return rc;
}

enum rb_code sim_pipelines_check(const struct sim_script *s, struct rb_err *err)
{
    json_t *rows = json_object_get(s->doc, "pipelines");
    char where[WHERE_BYTES];
    size_t n = 0;
    enum rb_code rc = rows == NULL ? RB_OK : check_rows(rows, "pipelines", &n, err);
    for (size_t i = 0; rc == RB_OK && i < n; i++) {
        json_t *stages = json_object_get(json_array_get(rows, i), "stages");
        size_t n_stages = 0;
        snprintf(where, sizeof where, "pipelines[%zu]", i);
        rc = check_row(json_array_get(rows, i), where, "stages", true, err);
        if (rc == RB_OK) {
            rc = check_rows(stages, "pipelines.stages", &n_stages, err);
        }
        for (size_t k = 0; rc == RB_OK && k < n_stages; k++) {
            snprintf(where, sizeof where, "pipelines[%zu].stages[%zu]", i, k);
            rc = check_stage(json_array_get(stages, k), where, err);
        }
    }
    return rc;
}
