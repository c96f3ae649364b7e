/* view.c - the settings in force with what the hot path wants ready: source types and metric cells.
 */
#include <string.h>

#include <retrybuild/certificate.h>
#include <retrybuild/log.h>

#include "private.h"

static const char *const result_names[RB_RESULT_COUNT] = {
    [RB_RESULT_ACCEPTED] = "accepted",         [RB_RESULT_DUPLICATE] = "duplicate",
    [RB_RESULT_IGNORED] = "ignored",           [RB_RESULT_REFUSED] = "refused",
    [RB_RESULT_UNAUTHORIZED] = "unauthorized", [RB_RESULT_INVALID] = "invalid",
    [RB_RESULT_MISMATCH] = "mismatch",         [RB_RESULT_OVERLOADED] = "overloaded",
    [RB_RESULT_UNAVAILABLE] = "unavailable",
};

static void fill_source(struct rb_source_view *v, const struct rb_source_setting *s)
{
    v->setting = s;
    v->type = rb_source_type_find(s->type);
    struct rb_err err = {.code = RB_OK};
    if (s->certificate_file != NULL &&
        rb_certificate_load_file(s->certificate_file, &v->pinned, &err) != RB_OK) {
        rb_log(RB_LOG_ERROR, "source.certificate_unusable", RB_F("source", s->name),
               RB_F("why", err.msg));
    }
    v->bad_proof = rb_metric_cell(RB_M_SIGNATURE_FAILURES, s->name, NULL);
    for (unsigned i = 0; i < RB_RESULT_COUNT; i++) {
        v->results[i] = rb_metric_cell(RB_M_DELIVERIES, s->name, result_names[i]);
    }
}

struct rb_view *rb_view_new(struct rb_settings *s)
{
    static const struct rb_source_setting api = {.name = "api", .type = "api"};
    static const struct rb_source_setting door = {.name = "front-door", .type = "front-door"};
    struct rb_view *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return NULL;
    }
    /* the last two are the REST call and the front door; they have no adapter and no path below
     * /v1/hooks */
    v->sources = calloc(s->n_sources + 2, sizeof *v->sources);
    if (v->sources == NULL) {
        free(v);
        return NULL;
    }
    v->n_sources = s->n_sources;
    for (unsigned i = 0; i < s->n_sources; i++) {
        fill_source(&v->sources[i], &s->sources[i]);
    }
    fill_source(&v->sources[s->n_sources], &api);
    fill_source(&v->sources[s->n_sources + 1], &door);
    v->settings = rb_settings_ref(s);
    v->refs = 1;
    return v;
}

void rb_view_unref(struct rb_view *v)
{
    if (v == NULL || --v->refs > 0) {
        return;
    }
    for (unsigned i = 0; i < v->n_sources; i++) {
        rb_certificate_free(v->sources[i].pinned);
    }
    rb_settings_unref(v->settings);
    free(v->sources);
    free(v);
}

const struct rb_source_view *rb_view_api(const struct rb_view *v)
{
    return &v->sources[v->n_sources];
}

const struct rb_source_view *rb_view_front_door(const struct rb_view *v)
{
    return &v->sources[v->n_sources + 1];
}

const struct rb_source_view *rb_view_source(const struct rb_view *v, struct rb_slice name)
{
    for (unsigned i = 0; i < v->n_sources; i++) {
        if (v->sources[i].type != NULL && rb_slice_eq(name, v->sources[i].setting->name)) {
            return &v->sources[i];
        }
    }
    return NULL;
}
