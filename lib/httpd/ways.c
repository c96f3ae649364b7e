/* ways.c - the ways in and out for people: GET /v1/sources, GET /v1/destinations, a test message to
 * one of these; GET /v1/rules and GET /v1/projects. Jobs of the API thread; the test is one of a
 * front-door thread, for it waits for another server. */
#include <string.h>

#include <retrybuild/destination.h>

#include "private.h"

static const char *why_in_vain(enum rb_delivery_result result)
{
    switch (result) {
    case RB_RESULT_UNAUTHORIZED:
        return "bad or missing proof (401)";
    case RB_RESULT_INVALID:
        return "not what this source sends (400, 413 or 415)";
    case RB_RESULT_MISMATCH:
        return "a token that was used with other parameters (422)";
    case RB_RESULT_OVERLOADED:
        return "too much at once (429)";
    case RB_RESULT_UNAVAILABLE:
        return "the store or another server was away (503)";
    case RB_RESULT_ACCEPTED:
    case RB_RESULT_DUPLICATE:
    case RB_RESULT_IGNORED:
    case RB_RESULT_REFUSED:
    case RB_RESULT_COUNT:
        break;
    }
    return NULL;
}

void rb_source_result(struct rb_exchange *ex, enum rb_delivery_result result)
{
    rb_metric_add(ex->source->results[result], 1);
    rb_engine_used(ex->httpd->deps.engine, RB_USE_SOURCE, ex->source->setting->name,
                   why_in_vain(result));
}

/* ---- lists ---- */

static void add_source(struct rb_exchange *ex, const struct rb_source_view *v, bool hook,
                       const struct rb_uses_sheet *uses)
{
    struct rb_buf *out = &ex->answer;
    rb_buf_addc(out, '{');
    rb_buf_add_json_member(out, "name", v->setting->name);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "type", v->setting->type);
    rb_buf_adds(out, ",\"path\":");
    if (hook) {
        rb_buf_addf(out, "\"/v1/hooks/%s\"", v->setting->name); /* [a-z0-9._-] alone */
    } else {
        rb_buf_adds(out, v == rb_view_api(ex->view) ? "\"/v1/retries\"" : "\"/\"");
    }
    rb_engine_uses_json(uses, v->setting->name, out);
    rb_buf_addc(out, '}');
}

static void sources_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_uses_sheet *uses = NULL;
    struct rb_err err = {.code = RB_OK};
    const struct rb_settings *s = ex->view->settings;
    enum rb_code rc = rb_engine_uses_read(ex->httpd->deps.engine, ses, RB_USE_SOURCE, &uses, &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    rb_buf_adds(&ex->answer, "{\"sources\":[");
    for (unsigned i = 0; i < s->n_sources; i++) {
        add_source(ex, &ex->view->sources[i], true, uses);
        rb_buf_addc(&ex->answer, ',');
    }
    add_source(ex, rb_view_api(ex->view), false, uses);
    if (s->front_door.n_access_keys > 0) {
        rb_buf_addc(&ex->answer, ',');
        add_source(ex, rb_view_front_door(ex->view), false, uses);
    }
    rb_buf_adds(&ex->answer, "]}\n");
    rb_engine_uses_free(uses);
    rb_answer_json(ex, 200);
}

static void add_stages(struct rb_buf *out, const struct rb_destination_setting *d)
{
    bool first = true;
    rb_buf_adds(out, ",\"stages\":[");
    for (int i = 0; i < RB_STAGE_COUNT; i++) {
        if (d->stages[i]) {
            rb_buf_addf(out, "%s\"%s\"", first ? "" : ",", rb_stage_name((enum rb_stage)i));
            first = false;
        }
    }
    rb_buf_adds(out, "],");
}

static void destinations_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_uses_sheet *uses = NULL;
    struct rb_err err = {.code = RB_OK};
    const struct rb_settings *s = ex->view->settings;
    struct rb_engine *e = ex->httpd->deps.engine;
    enum rb_code rc = rb_engine_uses_read(e, ses, RB_USE_DESTINATION, &uses, &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    rb_buf_adds(&ex->answer, "{\"destinations\":[");
    for (unsigned i = 0; i < s->n_destinations; i++) {
        const struct rb_destination_setting *d = &s->destinations[i];
        rb_buf_adds(&ex->answer, i == 0 ? "{" : ",{");
        rb_buf_add_json_member(&ex->answer, "name", d->name);
        rb_buf_addc(&ex->answer, ',');
        rb_buf_add_json_member(&ex->answer, "type", d->type);
        add_stages(&ex->answer, d);
        rb_buf_add_json_member(&ex->answer, "standing", rb_engine_destination_standing(e, d->name));
        rb_engine_uses_json(uses, d->name, &ex->answer);
        rb_buf_addc(&ex->answer, '}');
    }
    rb_buf_adds(&ex->answer, "]}\n");
    rb_engine_uses_free(uses);
    rb_answer_json(ex, 200);
}

static void from_engine(struct rb_exchange *ex, struct rb_store_session *ses,
                        enum rb_code (*write)(struct rb_engine *e, struct rb_store_session *ses,
                                              struct rb_buf *out, struct rb_err *err))
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = write(ex->httpd->deps.engine, ses, &ex->answer, &err);
    if (rc == RB_OK) {
        rb_answer_json(ex, 200);
    } else {
        rb_answer_err(ex, rc, &err);
    }
}

static void rules_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    from_engine(ex, ses, rb_engine_rules);
}

static void projects_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    from_engine(ex, ses, rb_engine_projects);
}

void rb_handle_sources(struct rb_exchange *ex)
{
    rb_exchange_job(ex, sources_job);
}

void rb_handle_destinations(struct rb_exchange *ex)
{
    rb_exchange_job(ex, destinations_job);
}

void rb_handle_rules(struct rb_exchange *ex)
{
    rb_exchange_job(ex, rules_job);
}

void rb_handle_projects(struct rb_exchange *ex)
{
    rb_exchange_job(ex, projects_job);
}

/* ---- a test message ---- */

static void test_send(struct rb_exchange *ex, struct rb_httpc *http)
{
    static const char *const verdicts[] = {
        [RB_POST_DELIVERED] = "delivered", [RB_POST_AGAIN] = "again", [RB_POST_DEAD] = "dead"};
    struct rb_post_result said = {.verdict = RB_POST_DEAD};
    struct rb_err err = {.code = RB_OK};
    const char *name = rb_arena_strndup(&ex->arena, ex->param.ptr, ex->param.len);
    if (name == NULL || http == NULL) {
        rb_answer_problem(ex, 503, "no memory for a message; send it again");
        return;
    }
    enum rb_code rc =
        rb_engine_test_send(ex->httpd->deps.engine, name, http, ex->codebuild, &said, &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    bool delivered = said.verdict == RB_POST_DELIVERED;
    rb_buf_addc(&ex->answer, '{');
    rb_buf_add_json_member(&ex->answer, "destination", name);
    rb_buf_addf(&ex->answer, ",\"delivered\":%s,", delivered ? "true" : "false");
    rb_buf_add_json_member(&ex->answer, "verdict", verdicts[said.verdict]);
    rb_buf_addc(&ex->answer, ',');
    rb_buf_add_json_member(&ex->answer, "error", delivered ? NULL : said.error);
    rb_buf_adds(&ex->answer, "}\n");
    rb_answer_json(ex, 200);
}

void rb_test_end(struct rb_exchange *ex)
{
    if (ex->testing) {
        ex->testing = false;
        ex->httpd->n_fetches--;
    }
}

void rb_handle_destination_test(struct rb_exchange *ex)
{
    ex->testing = true; /* before another thread has it */
    if (!rb_exchange_ask(ex, test_send, rb_test_end)) {
        ex->testing = false;
    }
}
