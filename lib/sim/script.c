/* script.c - from the script's document to outcomes, faults and knobs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "model.h"
#include "script.h"

#define WHERE_BYTES 96
#define MAX_ROWS 10000
#define MAX_BATCH 100

static const struct {
    const char *name;
    int64_t default_ms;
} phases[SIM_PHASE_COUNT] = {
    [SIM_SUBMITTED] = {"SUBMITTED", 0},
    [SIM_QUEUED] = {"QUEUED", 1000},
    [SIM_PROVISIONING] = {"PROVISIONING", 8000},
    [SIM_DOWNLOAD_SOURCE] = {"DOWNLOAD_SOURCE", 3000},
    [SIM_INSTALL] = {"INSTALL", 4000},
    [SIM_PRE_BUILD] = {"PRE_BUILD", 1000},
    [SIM_BUILD] = {"BUILD", 20000},
    [SIM_POST_BUILD] = {"POST_BUILD", 1000},
    [SIM_UPLOAD_ARTIFACTS] = {"UPLOAD_ARTIFACTS", 1000},
    [SIM_FINALIZING] = {"FINALIZING", 2000},
    [SIM_COMPLETED] = {"COMPLETED", 0},
};

static const char *const statuses[] = {"SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED"};

const char *sim_phase_name(enum sim_phase phase)
{
    return phases[phase].name;
}

enum sim_phase sim_phase_find(const char *name)
{
    enum sim_phase p = SIM_SUBMITTED;
    while (p < SIM_PHASE_COUNT && strcmp(phases[p].name, name) != 0) {
        p++;
    }
    return p;
}

static enum rb_code parse_durations(json_t *obj, const char *where, int64_t *durations_ms,
                                    struct rb_err *err)
{
    if (obj == NULL) {
        return RB_OK;
    }
    const char *known[SIM_PHASE_COUNT];
    struct sim_in in = {.obj = obj, .where = where, .err = err};
    for (int p = 0; p < SIM_PHASE_COUNT; p++) {
        known[p] = phases[p].name;
    }
    enum rb_code rc = sim_in_keys(&in, known, SIM_COMPLETED); /* COMPLETED lasts no time */
    for (int p = 0; rc == RB_OK && p < SIM_COMPLETED; p++) {
        rc = sim_in_duration(&in, phases[p].name, false, &durations_ms[p]);
    }
    return rc;
}

/* What AWS would say of this phase when the script does not. */
static void default_context(struct sim_outcome *o, bool status_code_given, bool message_given)
{
    bool command = o->phase >= SIM_INSTALL && o->phase <= SIM_POST_BUILD;
    const char *code = "INTERNAL_SERVICE_ERROR";
    const char *message = "The build environment could not be provisioned";
    if (strcmp(o->status, "TIMED_OUT") == 0) {
        code = "BUILD_TIMED_OUT";
        message = "Build has timed out.";
    } else if (strcmp(o->status, "FAULT") == 0) {
        message = "Internal service error";
    } else if (strcmp(o->status, "STOPPED") == 0) {
        code = "";
        message = "";
    } else if (command) {
        code = "COMMAND_EXECUTION_ERROR";
        message = "Error while executing command: make ci";
    } else if (o->phase == SIM_DOWNLOAD_SOURCE) {
        code = "GIT_CLONE_FAILED";
        message = "authentication required for primary source";
    } else if (o->phase == SIM_UPLOAD_ARTIFACTS) {
        code = "CLIENT_ERROR";
        message = "Error in UPLOAD_ARTIFACTS phase";
    }
    if (!status_code_given) {
        o->status_code = code;
    }
    if (!message_given) {
        o->message = message;
    }
    if (command && o->exit_code < 0 && !message_given && strcmp(o->status, "FAILED") == 0) {
        o->exit_code = 1;
    }
}

/* The exit code is only visible inside the message: "… Reason: exit status 2". */
static enum rb_code compose_message(struct sim_outcome *o, struct rb_err *err)
{
    if (o->exit_code < 0 || strstr(o->message, "exit status") != NULL) {
        return RB_OK;
    }
    if (asprintf(&o->own_message, "%s. Reason: exit status %lld", o->message,
                 (long long)o->exit_code) < 0) {
        o->own_message = NULL;
        return rb_err_set(err, RB_E_NOMEM, "no memory for a message");
    }
    o->message = o->own_message;
    return RB_OK;
}

static enum rb_code check_status(const struct sim_outcome *o, const char *where, struct rb_err *err)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(statuses); i++) {
        if (strcmp(statuses[i], o->status) == 0) {
            return RB_OK;
        }
    }
    return rb_err_set(err, RB_E_INVALID,
                      "%s.status: must be SUCCEEDED, FAILED, FAULT, TIMED_OUT or STOPPED", where);
}

static enum rb_code parse_outcome(json_t *obj, const char *where, const int64_t *durations_ms,
                                  struct sim_outcome *o, struct rb_err *err)
{
    static const char *const known[] = {"status",  "phase",     "phase_status", "status_code",
                                        "message", "exit_code", "log",          "durations"};
    struct sim_in in = {.obj = obj, .where = where, .err = err};
    const char *phase = NULL;
    *o = (struct sim_outcome){.status = "SUCCEEDED", .phase = SIM_COMPLETED, .exit_code = -1};
    memcpy(o->durations_ms, durations_ms, sizeof o->durations_ms);
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc != RB_OK || (rc = sim_in_str(&in, "status", &o->status)) != RB_OK ||
        (rc = sim_in_str(&in, "phase", &phase)) != RB_OK ||
        (rc = sim_in_str(&in, "phase_status", &o->phase_status)) != RB_OK ||
        (rc = sim_in_str(&in, "status_code", &o->status_code)) != RB_OK ||
        (rc = sim_in_str(&in, "message", &o->message)) != RB_OK ||
        (rc = sim_in_int(&in, "exit_code", 0, 255, &o->exit_code)) != RB_OK ||
        (rc = check_status(o, where, err)) != RB_OK) {
        return rc;
    }
    o->log = json_object_get(obj, "log");
    if (o->log != NULL && !json_is_string(o->log) && !json_is_array(o->log)) {
        return rb_err_set(err, RB_E_INVALID, "%s.log: must be text or a list of lines", where);
    }
    if (strcmp(o->status, "SUCCEEDED") != 0) {
        o->phase = phase == NULL ? SIM_BUILD : sim_phase_find(phase);
        if (o->phase >= SIM_COMPLETED) {
            return rb_err_set(err, RB_E_INVALID, "%s.phase: no phase that can fail", where);
        }
        if (o->phase_status == NULL) {
            o->phase_status = o->status;
        }
        default_context(o, o->status_code != NULL, o->message != NULL);
        rc = compose_message(o, err);
    } else if (phase != NULL) {
        rc = rb_err_set(err, RB_E_INVALID, "%s.phase: SUCCEEDED has no failing phase", where);
    }
    if (rc != RB_OK) {
        return rc;
    }
    char deeper[WHERE_BYTES + 16];
    snprintf(deeper, sizeof deeper, "%s.durations", where);
    return parse_durations(json_object_get(obj, "durations"), deeper, o->durations_ms, err);
}

/* Room for one more than the list has, which the caller may fill. */
static enum rb_code parse_outcomes(json_t *obj, const char *where, const struct sim_script *s,
                                   struct sim_outcome **ret_outcomes, size_t *n, struct rb_err *err)
{
    json_t *outcomes = json_object_get(obj, "outcomes");
    if (outcomes != NULL && !json_is_array(outcomes)) {
        return rb_err_set(err, RB_E_INVALID, "%s.outcomes: must be a list", where);
    }
    size_t want = json_array_size(outcomes);
    *ret_outcomes = calloc(want + 1, sizeof **ret_outcomes);
    if (*ret_outcomes == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the outcomes of a project");
    }
    enum rb_code rc = RB_OK;
    for (; rc == RB_OK && *n < want; (*n)++) {
        char deeper[WHERE_BYTES];
        snprintf(deeper, sizeof deeper, "%.64s.outcomes[%zu]", where, *n);
        rc = parse_outcome(json_array_get(outcomes, *n), deeper, s->durations_ms,
                           &(*ret_outcomes)[*n], err);
    }
    return rc;
}

/* The builds of a batch, which real ones have in the buildspec. */
static enum rb_code parse_batch(json_t *obj, const char *where, const struct sim_script *s,
                                struct sim_rule *r, struct rb_err *err)
{
    static const char *const known[] = {"identifier", "ignore_failure", "outcomes"};
    json_t *rows = json_object_get(obj, "batch");
    size_t n = json_array_size(rows);
    if (rows != NULL && (n == 0 || n > MAX_BATCH)) {
        return rb_err_set(err, RB_E_INVALID, "%s.batch: must be a list of 1 to %d builds", where,
                          MAX_BATCH);
    }
    r->batch = calloc(n + 1, sizeof *r->batch);
    if (r->batch == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the builds of a batch");
    }
    enum rb_code rc = RB_OK;
    while (rc == RB_OK && r->n_batch < n) {
        char deeper[WHERE_BYTES];
        snprintf(deeper, sizeof deeper, "%.32s.batch[%zu]", where, r->n_batch);
        struct sim_member_rule *m = &r->batch[r->n_batch];
        struct sim_in in = {.obj = json_array_get(rows, r->n_batch++), .where = deeper, .err = err};
        rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
        if (rc != RB_OK || (rc = sim_in_str(&in, "identifier", &m->identifier)) != RB_OK ||
            (rc = sim_in_bool(&in, "ignore_failure", &m->ignore_failure)) != RB_OK) {
            return rc;
        }
        if (rb_str_empty(m->identifier)) {
            return rb_err_set(err, RB_E_INVALID, "%s.identifier: is required", deeper);
        }
        rc = parse_outcomes(in.obj, deeper, s, &m->outcomes, &m->n_outcomes, err);
    }
    if (n == 0) {
        r->batch[r->n_batch++].identifier = "build";
    }
    return rc;
}

static enum rb_code parse_rule(json_t *obj, size_t index, const struct sim_script *s,
                               struct sim_rule *r, struct rb_err *err)
{
    static const char *const known[] = {"name", "outcomes", "settings", "batch"};
    char where[WHERE_BYTES];
    snprintf(where, sizeof where, "projects[%zu]", index);
    struct sim_in in = {.obj = obj, .where = where, .err = err};
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc != RB_OK || (rc = sim_in_str(&in, "name", &r->name)) != RB_OK) {
        return rc;
    }
    if (rb_str_empty(r->name)) {
        return rb_err_set(err, RB_E_INVALID, "%s.name: is required", where);
    }
    if (strpbrk(r->name, "*?[\\") == NULL && !sim_project_name_ok(r->name)) {
        return rb_err_set(err, RB_E_INVALID, "%s.name: neither a project name nor a glob", where);
    }
    r->settings = json_object_get(obj, "settings");
    if (r->settings != NULL && !json_is_object(r->settings)) {
        return rb_err_set(err, RB_E_INVALID, "%s.settings: must be a mapping", where);
    }
    rc = parse_outcomes(obj, where, s, &r->outcomes, &r->n_outcomes, err);
    if (rc == RB_OK && r->n_outcomes == 0) { /* a project without outcomes succeeds */
        r->outcomes[0] =
            (struct sim_outcome){.status = "SUCCEEDED", .phase = SIM_COMPLETED, .exit_code = -1};
        memcpy(r->outcomes[0].durations_ms, s->durations_ms, sizeof s->durations_ms);
        r->n_outcomes = 1;
    }
    return rc == RB_OK ? parse_batch(obj, where, s, r, err) : rc;
}

static enum rb_code parse_rules(struct sim_script *s, struct rb_err *err)
{
    json_t *rows = json_object_get(s->doc, "projects");
    size_t n = json_array_size(rows);
    if (rows != NULL && (!json_is_array(rows) || n > MAX_ROWS)) {
        return rb_err_set(err, RB_E_INVALID, "projects: must be a list of at most %d", MAX_ROWS);
    }
    s->rules = calloc(n + 1, sizeof *s->rules); /* the last one is for projects no rule names */
    if (s->rules == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for %zu projects", n);
    }
    enum rb_code rc = RB_OK;
    while (rc == RB_OK && s->n_rules < n) {
        size_t i = s->n_rules++;
        rc = parse_rule(json_array_get(rows, i), i, s, &s->rules[i], err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *any = json_pack("{s:s}", "name", "*");
    rc = parse_rule(any, s->n_rules++, s, &s->rules[n], err);
    s->rules[n].name = "*"; /* not borrowed from @any, which goes away */
    return rc;
}

static enum rb_code read_text(const char *path, const char *text, json_t **ret_doc,
                              struct rb_err *err)
{
    if (path == NULL) {
        text = text == NULL ? "" : text;
        return sim_yaml_to_json(text, strlen(text), ret_doc, err);
    }
    RB_CLEANUP(rb_freep) char *data = NULL;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "%s: cannot be opened", path);
    }
    data = malloc(SIM_SCRIPT_MAX_BYTES + 1);
    size_t len = data == NULL ? 0 : fread(data, 1, SIM_SCRIPT_MAX_BYTES + 1, f);
    bool failed = ferror(f) != 0 || data == NULL;
    fclose(f);
    if (failed) {
        return rb_err_set(err, RB_E_IO, "%s: cannot be read", path);
    }
    if (len > SIM_SCRIPT_MAX_BYTES) {
        return rb_err_set(err, RB_E_TOO_LARGE, "%s: longer than 1 MiB", path);
    }
    enum rb_code rc = sim_yaml_to_json(data, len, ret_doc, err);
    return rc == RB_OK ? rc : rb_err_wrap(err, rc, "%s", path);
}

enum rb_code sim_script_load(const char *path, const char *text, struct sim_script **ret_script,
                             struct rb_err *err)
{
    RB_CLEANUP(sim_script_freep) struct sim_script *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a script");
    }
    enum rb_code rc = read_text(path, text, &s->doc, err);
    if (rc != RB_OK) {
        return rc;
    }
    for (int p = 0; p < SIM_PHASE_COUNT; p++) {
        s->durations_ms[p] = phases[p].default_ms;
    }
    if ((rc = sim_knobs_parse(s, err)) == RB_OK &&
        (rc = parse_durations(json_object_get(s->doc, "durations"), "durations", s->durations_ms,
                              err)) == RB_OK &&
        (rc = parse_rules(s, err)) == RB_OK) {
        rc = sim_faults_parse(json_object_get(s->doc, "faults"), &s->faults, &s->n_faults, err);
    }
    if (rc != RB_OK) {
        return path == NULL ? rc : rb_err_wrap(err, rc, "%s", path);
    }
    *ret_script = RB_TAKE(s);
    return RB_OK;
}

static void free_outcomes(struct sim_outcome *outcomes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(outcomes[i].own_message);
    }
    free(outcomes);
}

void sim_script_free(struct sim_script *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n_rules; i++) {
        struct sim_rule *r = &s->rules[i];
        for (size_t k = 0; k < r->n_batch; k++) {
            free_outcomes(r->batch[k].outcomes, r->batch[k].n_outcomes);
        }
        free(r->batch);
        free_outcomes(r->outcomes, r->n_outcomes);
    }
    free(s->rules);
    free(s->faults);
    json_decref(s->doc);
    free(s);
}

void sim_script_freep(struct sim_script **s)
{
    sim_script_free(*s);
}

const struct sim_rule *sim_script_rule(const struct sim_script *s, const char *project)
{
    const struct sim_rule *r = &s->rules[s->n_rules - 1];
    for (size_t i = 0; i < s->n_rules; i++) {
        if (rb_glob_match(s->rules[i].name, project)) {
            r = &s->rules[i];
            break;
        }
    }
    return r;
}

const struct sim_outcome *sim_script_outcome(const struct sim_script *s, const char *project,
                                             size_t depth)
{
    const struct sim_rule *r = sim_script_rule(s, project);
    return &r->outcomes[depth < r->n_outcomes ? depth : r->n_outcomes - 1];
}
