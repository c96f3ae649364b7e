/* spans.c - what spans.h says. Names of attributes: OpenTelemetry's semantic conventions (cicd,
 * cloud, vcs, rpc, http), and retrybuild.* for what they do not know. Nothing in a span that the
 * API does not show; no message of a build, no URL of a receiver. */
#include "spans.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/destination.h>
#include <retrybuild/telemetry.h>

#define RETRY "retry"
#define DELIVERY "delivery"
#define EVENTS_MAX RB_HISTORY_MAX
#define NAME_BYTES 96

/* A span with the texts that it borrows. */
struct drawn {
    struct rb_span span;
    struct rb_trace trace; /* its span_id: the parent's that came */
    bool came;
    char id[RB_SPAN_ID_BYTES], parent[RB_SPAN_ID_BYTES];
};

/* retry_span - the span of @r's present life, or of that which has just ended: one that was
 * requeued has several. */
static void retry_span(const struct rb_retry *r, char ret_id[RB_SPAN_ID_BYTES])
{
    char kind[32] = RETRY;
    unsigned ends = 0;

    for (unsigned i = 0; i < r->n_history; i++) {
        bool end = rb_state_terminal(r->history[i].state);
        ends += end && (i == 0 || !rb_state_terminal(r->history[i - 1].state)) ? 1 : 0;
    }
    ends -= ends > 0 && rb_state_terminal(r->state) ? 1 : 0;
    if (ends > 0) {
        (void)snprintf(kind, sizeof(kind), "%s %u", RETRY, ends);
    }
    rb_retry_span_id(r->id, kind, ret_id);
}

/* draw - false: no span is wanted of @r. Its parent is the retry's own. */
static bool draw(struct rb_engine *e, const struct rb_settings *s, const struct rb_retry *r,
                 const char *name, enum rb_span_kind kind, struct drawn *ret)
{
    if (!rb_tracer_on(e->tracer)) {
        return false;
    }
    *ret = (struct drawn){.came = false};
    ret->came = rb_retry_trace(r, s->telemetry.sampling, &ret->trace);
    if (!ret->trace.sampled) {
        return false;
    }
    rb_tracer_new_id(e->tracer, ret->id);
    retry_span(r, ret->parent);
    ret->span = (struct rb_span){
        .trace_id = ret->trace.trace_id,
        .span_id = ret->id,
        .parent_id = ret->parent,
        .tracestate = r->tracestate,
        .name = name,
        .kind = kind,
    };
    rb_span_text(&ret->span, "retrybuild.retry.id", r->id);
    rb_span_text(&ret->span, "cicd.pipeline.name", r->build.project);
    return true;
}

static void fail(struct drawn *d, const char *type, const char *why)
{
    d->span.status = RB_SPAN_ERROR;
    d->span.error = rb_str_empty(why) ? NULL : why;
    rb_span_text(&d->span, "error.type", type);
}

/* above - the parent of what has no parent here: whoever sent the trace. */
static void above(struct drawn *d)
{
    memcpy(d->parent, d->trace.span_id, sizeof(d->parent));
    d->span.remote = d->came;
}

static void add_build(struct rb_span *s, const struct rb_build *b)
{
    rb_span_text(s, "cicd.pipeline.run.id", b->id);
    rb_span_text(s, "cicd.pipeline.run.url.full", b->url);
    rb_span_text(s, "cloud.provider", "aws");
    rb_span_text(s, "cloud.account.id", b->account);
    rb_span_text(s, "cloud.region", b->region);
}

/* ---- the delivery ---- */

static void delivered(struct rb_engine *e, const struct rb_settings *s, const struct rb_retry *r)
{
    struct drawn d;
    char name[NAME_BYTES];
    const char *route = rb_str_eq(r->source.type, "api")          ? "/v1/retries"
                        : rb_str_eq(r->source.type, "front-door") ? "/"
                                                                  : "/v1/hooks/{source}";

    (void)snprintf(name, sizeof(name), "POST %s", route);
    if (!draw(e, s, r, name, RB_SPAN_SERVER, &d)) {
        return;
    }
    rb_retry_span_id(r->id, DELIVERY, d.id);
    if (r->previous[0] != '\0') { /* a person goes on with a chain */
        rb_retry_span_id(r->previous, RETRY, d.parent);
    } else {
        above(&d);
    }
    d.span.start_ms = r->source.at_ms > 0 ? r->source.at_ms : r->created_ms;
    d.span.end_ms = rb_engine_now_ms(e);
    rb_span_text(&d.span, "http.request.method", "POST");
    rb_span_text(&d.span, "http.route", route);
    rb_span_text(&d.span, "retrybuild.source.name", r->source.source);
    rb_span_text(&d.span, "retrybuild.source.type", r->source.type);
    rb_tracer_add(e->tracer, &d.span);
}

void rb_spans_admitted(struct rb_engine *e, const struct rb_retry *r, bool by_http)
{
    if (!rb_tracer_on(e->tracer)) {
        return;
    }
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    if (by_http && !rb_str_eq(r->source.type, "sweep")) {
        delivered(e, rt->settings, r);
    }
    if (r->decision.action != RB_ACTION_NONE) {
        rb_spans_decided(e, rt->settings, r);
    }
    if (rb_state_terminal(r->state)) {
        rb_spans_ended(e, rt->settings, r);
    }
}

/* ---- the retry ---- */

static const char *result_of(enum rb_state s)
{
    switch ((int)s) {
    case RB_STATE_RECOVERED:
        return "success";
    case RB_STATE_FAILED_AGAIN:
        return "failure";
    case RB_STATE_DEAD:
        return "error";
    case RB_STATE_CANCELLED:
        return "cancellation";
    default:
        return "skip";
    }
}

static unsigned add_history(const struct rb_retry *r, struct rb_span_event *events)
{
    for (unsigned i = 0; i < r->n_history; i++) {
        const struct rb_history_entry *h = &r->history[i];
        events[i] = (struct rb_span_event){
            .at_ms = h->at_ms, .name = rb_state_name(h->state), .note = h->note};
    }
    return r->n_history;
}

static void add_decision(struct rb_span *s, const struct rb_retry *r)
{
    rb_span_text(s, "retrybuild.decision.rule", r->decision.rule);
    rb_span_text(s, "retrybuild.decision.action", rb_action_name(r->decision.action));
}

void rb_spans_ended(struct rb_engine *e, const struct rb_settings *s, const struct rb_retry *r)
{
    struct rb_span_event events[EVENTS_MAX];
    struct drawn d;

    if (!draw(e, s, r, RETRY, RB_SPAN_INTERNAL, &d)) {
        return;
    }
    retry_span(r, d.id);
    if (r->previous[0] != '\0') {
        rb_retry_span_id(r->previous, RETRY, d.parent);
    } else if (rb_str_eq(r->source.type, "sweep")) {
        above(&d);
    } else {
        rb_retry_span_id(r->id, DELIVERY, d.parent);
    }
    d.span.start_ms = r->created_ms;
    d.span.end_ms = r->finished_ms;
    add_build(&d.span, &r->build);
    rb_span_text(&d.span, "cicd.pipeline.result", result_of(r->state));
    rb_span_text(&d.span, "vcs.repository.url.full", r->build.repository);
    rb_span_text(&d.span, "vcs.ref.head.revision", rb_build_commit(&r->build));
    rb_span_text(&d.span, "vcs.ref.head.name", r->build.branch);
    rb_span_text(&d.span, "vcs.change.id", r->build.pull_request);
    rb_span_text(&d.span, "retrybuild.chain.id", r->chain);
    rb_span_number(&d.span, "retrybuild.attempt", r->attempt);
    rb_span_text(&d.span, "retrybuild.state", rb_state_name(r->state));
    add_decision(&d.span, r);
    d.span.events = events;
    d.span.n_events = add_history(r, events);
    if (r->state == RB_STATE_RECOVERED) {
        d.span.status = RB_SPAN_OK;
    } else if (r->state == RB_STATE_FAILED_AGAIN || r->state == RB_STATE_DEAD) {
        fail(&d, rb_state_name(r->state), rb_work_last_note(r));
    }
    rb_tracer_add(e->tracer, &d.span);
}

/* ---- what is done for it ---- */

void rb_spans_decided(struct rb_engine *e, const struct rb_settings *s, const struct rb_retry *r)
{
    struct drawn d;

    if (draw(e, s, r, "decide", RB_SPAN_INTERNAL, &d)) {
        int64_t at_ms = r->n_history == 0 ? r->created_ms : r->history[r->n_history - 1].at_ms;
        d.span.start_ms = d.span.end_ms = at_ms;
        add_decision(&d.span, r);
        rb_span_text(&d.span, "retrybuild.decision.reason", r->decision.reason);
        rb_tracer_add(e->tracer, &d.span);
    }
}

void rb_spans_inspected(const struct rb_work *k, int64_t began_ms, enum rb_code rc)
{
    struct drawn d;

    if (k->r->state == RB_STATE_RECEIVED && rc == RB_OK) {
        return; /* asked again later; by then it may be another chain's */
    }
    if (draw(k->e, k->rt->settings, k->r, "inspect", RB_SPAN_INTERNAL, &d)) {
        d.span.start_ms = began_ms;
        d.span.end_ms = rb_engine_now_ms(k->e);
        rb_span_text(&d.span, "retrybuild.state", rb_state_name(k->r->state));
        if (rc != RB_OK) {
            fail(&d, rb_code_name(rc), NULL);
        }
        rb_tracer_add(k->e->tracer, &d.span);
    }
}

void rb_spans_called(const struct rb_work *k, int64_t began_ms, enum rb_code rc,
                     const struct rb_err *why)
{
    const struct rb_retry *r = k->r;
    const char *service = r->decision.pipeline ? "CodePipeline" : "CodeBuild";
    const char *method = r->decision.pipeline         ? "RetryStageExecution"
                         : r->build.batch_arn != NULL ? "RetryBuildBatch"
                         : r->decision.start          ? "StartBuild"
                                                      : "RetryBuild";
    char name[NAME_BYTES];
    struct drawn d;

    (void)snprintf(name, sizeof(name), "%s/%s", service, method);
    if (!draw(k->e, k->rt->settings, r, name, RB_SPAN_CLIENT, &d)) {
        return;
    }
    d.span.start_ms = began_ms;
    d.span.end_ms = rb_engine_now_ms(k->e);
    rb_span_text(&d.span, "rpc.system", "aws-api");
    rb_span_text(&d.span, "rpc.service", service);
    rb_span_text(&d.span, "rpc.method", method);
    rb_span_text(&d.span, "http.request.method", "POST");
    rb_span_text(&d.span, "cloud.region", r->build.region);
    rb_span_text(&d.span, "cloud.account.id", r->build.account);
    rb_span_number(&d.span, "retrybuild.issue", r->intent.issue);
    rb_span_number(&d.span, "retrybuild.sends", r->intent.sends);
    if (rc != RB_OK) {
        fail(&d, rb_code_name(rc), why->msg);
    }
    rb_tracer_add(k->e->tracer, &d.span);
}

static const char *build_result(const char *status)
{
    static const char *const words[][2] = {{"SUCCEEDED", "success"},
                                           {"FAILED", "failure"},
                                           {"FAULT", "error"},
                                           {"TIMED_OUT", "timeout"},
                                           {"STOPPED", "cancellation"}};
    for (size_t i = 0; i < RB_ARRAY_LEN(words); i++) {
        if (rb_str_eq(status, words[i][0])) {
            return words[i][1];
        }
    }
    return NULL;
}

void rb_spans_built(const struct rb_work *k)
{
    const struct rb_build *child = &k->r->child;
    struct drawn d;

    if (!k->r->has_child || !draw(k->e, k->rt->settings, k->r, "build", RB_SPAN_INTERNAL, &d)) {
        return;
    }
    d.span.start_ms = child->started_ms > 0 ? child->started_ms : k->r->submitted_ms;
    d.span.end_ms = child->ended_ms > 0 ? child->ended_ms : rb_engine_now_ms(k->e);
    add_build(&d.span, child);
    rb_span_text(&d.span, "cicd.pipeline.result", build_result(child->status));
    if (rb_build_failed(child)) {
        fail(&d, child->status, NULL);
    }
    rb_tracer_add(k->e->tracer, &d.span);
}

/* ---- reports ---- */

void rb_spans_report_begin(struct rb_engine *e, const struct rb_settings *s,
                           const struct rb_retry *r, struct rb_span_of_report *ret_p)
{
    struct rb_trace t;
    bool came = rb_retry_trace(r, s->telemetry.sampling, &t);

    *ret_p = (struct rb_span_of_report){.began_ms = rb_engine_now_ms(e)};
    ret_p->recorded = t.sampled && rb_tracer_on(e->tracer);
    if (!came || ret_p->recorded) {
        retry_span(r, t.span_id);
    }
    rb_traceparent_write(&t, ret_p->event);
    if (ret_p->recorded) {
        rb_tracer_new_id(e->tracer, ret_p->span_id);
        memcpy(t.span_id, ret_p->span_id, sizeof(t.span_id));
    }
    rb_traceparent_write(&t, ret_p->header);
}

void rb_spans_report_end(struct rb_engine *e, const struct rb_settings *s, const struct rb_task *t,
                         const struct rb_destination_setting *destination,
                         const struct rb_post_result *result, const struct rb_span_of_report *p)
{
    struct drawn d;

    if (!p->recorded || !draw(e, s, t->retry, "report", RB_SPAN_CLIENT, &d)) {
        return;
    }
    memcpy(d.id, p->span_id, sizeof(d.id));
    d.span.start_ms = p->began_ms;
    d.span.end_ms = rb_engine_now_ms(e);
    rb_span_text(&d.span, "retrybuild.destination.name", destination->name);
    rb_span_text(&d.span, "retrybuild.destination.type", destination->type);
    rb_span_text(&d.span, "retrybuild.stage", rb_stage_name(t->stage));
    if (result->status > 0) {
        rb_span_number(&d.span, "http.response.status_code", result->status);
    }
    if (t->attempts > 0) {
        rb_span_number(&d.span, "http.request.resend_count", t->attempts);
    }
    if (result->verdict != RB_POST_DELIVERED) {
        fail(&d, result->verdict == RB_POST_DEAD ? "dead" : "again", result->error);
    }
    rb_tracer_add(e->tracer, &d.span);
}
