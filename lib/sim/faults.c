/* faults.c - rows of faults: read, counted, and struck. Every row counts the calls that fit its
 * operation and project, and strikes by number (nth), rhythm (every) or chance (probability); a row
 * with none of these strikes always. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "faults.h"

#define MAX_FAULTS 1000

static enum rb_code parse_nth(const struct sim_in *in, struct sim_fault *f)
{
    json_t *nth = json_object_get(in->obj, "nth");
    size_t n = json_is_integer(nth) ? 1 : json_array_size(nth);
    if (nth == NULL) {
        return RB_OK;
    }
    for (size_t i = 0; i < n && n <= SIM_FAULT_MAX_NTH; i++) {
        json_t *one = json_is_array(nth) ? json_array_get(nth, i) : nth;
        if (!json_is_integer(one) || json_integer_value(one) < 1) {
            n = 0;
            break;
        }
        f->nth[f->n_nth++] = (uint64_t)json_integer_value(one);
    }
    if (n == 0 || n > SIM_FAULT_MAX_NTH) {
        return rb_err_set(in->err, RB_E_INVALID, "%s.nth: must be 1 to %d numbers from 1 on",
                          in->where, SIM_FAULT_MAX_NTH);
    }
    return RB_OK;
}

static enum rb_code parse_when(const struct sim_in *in, struct sim_fault *f)
{
    int64_t every = 0;
    int64_t times = 0;
    f->operation = "*";
    f->probability = -1;
    enum rb_code rc = sim_in_str(in, "operation", &f->operation);
    if (rc != RB_OK || (rc = sim_in_str(in, "project", &f->project)) != RB_OK ||
        (rc = sim_in_int(in, "every", 1, INT32_MAX, &every)) != RB_OK ||
        (rc = sim_in_int(in, "times", 1, INT32_MAX, &times)) != RB_OK ||
        (rc = sim_in_probability(in, "probability", &f->probability)) != RB_OK) {
        return rc;
    }
    f->every = (uint64_t)every;
    f->times = (uint64_t)times;
    return parse_nth(in, f);
}

static enum rb_code parse_action(const struct sim_in *in, struct sim_fault *f)
{
    bool reset = false;
    bool half = false;
    bool lose = false;
    enum rb_code rc = RB_OK;
    f->retry_after_s = -1;
    if ((rc = sim_in_str(in, "error", &f->error)) != RB_OK ||
        (rc = sim_in_str(in, "message", &f->message)) != RB_OK ||
        (rc = sim_in_int(in, "status", 200, 599, &f->status)) != RB_OK ||
        (rc = sim_in_str(in, "body", &f->body)) != RB_OK ||
        (rc = sim_in_int(in, "retry_after", 0, 86400, &f->retry_after_s)) != RB_OK ||
        (rc = sim_in_duration(in, "latency", false, &f->latency_ms)) != RB_OK ||
        (rc = sim_in_duration(in, "delay", false, &f->delay_ms)) != RB_OK ||
        (rc = sim_in_duration(in, "date_skew", true, &f->date_skew_ms)) != RB_OK ||
        (rc = sim_in_bool(in, "reset", &reset)) != RB_OK ||
        (rc = sim_in_bool(in, "half_reply", &half)) != RB_OK ||
        (rc = sim_in_bool(in, "lose_reply", &lose)) != RB_OK ||
        (rc = sim_in_bool(in, "effect", &f->effect)) != RB_OK) {
        return rc;
    }
    bool answers = f->error != NULL || f->status != 0;
    if ((answers ? 1 : 0) + (reset ? 1 : 0) + (half ? 1 : 0) + (lose ? 1 : 0) > 1) {
        return rb_err_set(in->err, RB_E_INVALID,
                          "%s: one of error/status, reset, half_reply, lose_reply", in->where);
    }
    f->action = f->error != NULL ? SIM_FAULT_ERROR
                : f->status != 0 ? SIM_FAULT_STATUS
                : reset          ? SIM_FAULT_RESET
                : half           ? SIM_FAULT_HALF_REPLY
                : lose           ? SIM_FAULT_LOSE_REPLY
                                 : SIM_FAULT_NONE;
    if (f->action == SIM_FAULT_NONE && f->latency_ms == 0 && f->delay_ms == 0 &&
        f->date_skew_ms == 0) {
        return rb_err_set(in->err, RB_E_INVALID, "%s: says when, but not what", in->where);
    }
    if (f->body != NULL && f->action != SIM_FAULT_STATUS) {
        return rb_err_set(in->err, RB_E_INVALID, "%s.body: goes with status alone", in->where);
    }
    return RB_OK;
}

static enum rb_code parse_row(json_t *row, size_t index, struct sim_fault *f, struct rb_err *err)
{
    static const char *const known[] = {
        "operation", "project", "nth",    "every",      "probability", "times",
        "error",     "message", "status", "body",       "retry_after", "latency",
        "delay",     "reset",   "effect", "half_reply", "lose_reply",  "date_skew"};
    char where[32];
    snprintf(where, sizeof where, "faults[%zu]", index);
    struct sim_in in = {.obj = row, .where = where, .err = err};
    enum rb_code rc = sim_in_keys(&in, known, RB_ARRAY_LEN(known));
    if (rc == RB_OK && (rc = parse_when(&in, f)) == RB_OK) {
        rc = parse_action(&in, f);
    }
    return rc;
}

enum rb_code sim_faults_parse(json_t *rows, struct sim_fault **ret_faults, size_t *ret_n,
                              struct rb_err *err)
{
    size_t n = json_array_size(rows);
    if (rows != NULL && (!json_is_array(rows) || n > MAX_FAULTS)) {
        return rb_err_set(err, RB_E_INVALID, "faults: must be a list of at most %d", MAX_FAULTS);
    }
    RB_CLEANUP(rb_freep) struct sim_fault *faults = calloc(n + 1, sizeof *faults);
    if (faults == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for %zu faults", n);
    }
    for (size_t i = 0; i < n; i++) {
        enum rb_code rc = parse_row(json_array_get(rows, i), i, &faults[i], err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    *ret_faults = RB_TAKE(faults);
    *ret_n = n;
    return RB_OK;
}

static bool strikes(struct rb_sim *sim, const struct sim_fault *f)
{
    if (f->times != 0 && f->hits >= f->times) {
        return false;
    }
    for (size_t i = 0; i < f->n_nth; i++) {
        if (f->nth[i] == f->seen) {
            return true;
        }
    }
    if (f->every != 0 && f->seen % f->every == 0) {
        return true;
    }
    if (f->probability >= 0) {
        return sim_chance_locked(sim, f->probability);
    }
    return f->n_nth == 0 && f->every == 0;
}

static void gather(const struct sim_fault *f, struct sim_hit *hit)
{
    hit->latency_ms = f->latency_ms > hit->latency_ms ? f->latency_ms : hit->latency_ms;
    hit->delay_ms = f->delay_ms > hit->delay_ms ? f->delay_ms : hit->delay_ms;
    if (f->date_skew_ms != 0) {
        hit->date_skew_ms = f->date_skew_ms;
    }
    if (hit->action != SIM_FAULT_NONE || f->action == SIM_FAULT_NONE) {
        return;
    }
    hit->action = f->action;
    hit->effect = f->effect;
    hit->status = f->status;
    hit->retry_after_s = f->retry_after_s;
    snprintf(hit->error, sizeof hit->error, "%s", f->error == NULL ? "" : f->error);
    if (f->error != NULL) {
        snprintf(hit->message, sizeof hit->message, "%s",
                 f->message != NULL ? f->message : sim_error_message(f->error));
    }
    if (rb_str_eq(f->body, "html")) {
        hit->html = true;
        snprintf(hit->body, sizeof hit->body,
                 "<html><head><title>%lld</title></head><body><h1>%lld</h1>"
                 "<p>The server is temporarily unable to handle the request.</p></body></html>\n",
                 (long long)f->status, (long long)f->status);
    } else if (f->body != NULL && strcmp(f->body, "empty") != 0) {
        snprintf(hit->body, sizeof hit->body, "%s", f->body);
    }
}

void sim_faults_hit(struct rb_sim *sim, const char *operation, const char *project,
                    struct sim_hit *ret_hit)
{
    *ret_hit = (struct sim_hit){.action = SIM_FAULT_NONE, .retry_after_s = -1};
    for (size_t i = 0; i < sim->n_faults; i++) {
        struct sim_fault *f = &sim->faults[i];
        if (!rb_glob_match(f->operation, operation) ||
            (f->project != NULL && !rb_glob_match(f->project, project))) {
            continue;
        }
        f->seen++;
        if (strikes(sim, f)) {
            f->hits++;
            gather(f, ret_hit);
        }
    }
}

enum rb_code sim_faults_set(struct rb_sim *sim, json_t *rows, struct rb_err *err)
{
    struct sim_fault *faults = NULL;
    size_t n = 0;
    enum rb_code rc = sim_faults_parse(rows, &faults, &n, err);
    if (rc != RB_OK) {
        return rc;
    }
    free(sim->faults);
    sim->faults = faults;
    sim->n_faults = n;
    json_incref(rows);
    json_decref(sim->fault_rows);
    sim->fault_rows = rows;
    return RB_OK;
}
