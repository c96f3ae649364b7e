/* hook.c - POST /v1/hooks/{source}: proof, events, admissions, answer.
 *
 * Verified over the raw bytes before anything is parsed. 2xx only after the store has every
 * admission durably.
 */
#include <string.h>
#include <strings.h>

#include <retrybuild/digest.h>
#include <retrybuild/log.h>

#include "hook_find.h"
#include "private.h"
#include "traced.h"

#define NO_SOURCE "there is no source of this name; sources are listed in the configuration"

struct header_search {
    const char *name;
    const char *value;
    unsigned n;
};

static enum MHD_Result search_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                     const char *value)
{
    struct header_search *s = cls;
    (void)kind;
    if (strcasecmp(key, s->name) == 0) {
        if (s->n++ == 0) {
            s->value = value == NULL ? "" : value;
        }
    }
    return MHD_YES;
}

static const char *header_of(const void *arg, const char *name, unsigned *ret_n)
{
    const struct rb_exchange *ex = arg;
    struct header_search s = {.name = name};
    MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, search_header, &s);
    if (ret_n != NULL) {
        *ret_n = s.n;
    }
    return s.value;
}

static void count(struct rb_exchange *ex, enum rb_delivery_result result)
{
    rb_source_result(ex, result);
}

/* media_type_fits - JSON under any of its names, or text/plain (SNS), or not said, or what the
 * source's type takes besides. */
static bool media_type_fits(struct MHD_Connection *mhd, unsigned media)
{
    const char *v = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (v == NULL || (media & RB_MEDIA_ANY) != 0) {
        return true;
    }
    size_t len = strcspn(v, "; \t");
    if ((media & RB_MEDIA_FORM) != 0 && len == 33 &&
        strncasecmp(v, "application/x-www-form-urlencoded", 33) == 0) {
        return true;
    }
    bool json_suffix = len > 5 && strncasecmp(v + len - 5, "+json", 5) == 0;
    return json_suffix || (len == 16 && strncasecmp(v, "application/json", 16) == 0) ||
           (len == 10 && strncasecmp(v, "text/plain", 10) == 0) ||
           (len == 9 && strncasecmp(v, "text/json", 9) == 0);
}

/* ---- the answer ---- */

static const char *const status_words[RB_RESULT_COUNT] = {
    [RB_RESULT_ACCEPTED] = "accepted", [RB_RESULT_DUPLICATE] = "duplicate",
    [RB_RESULT_IGNORED] = "ignored",   [RB_RESULT_REFUSED] = "refused",
    [RB_RESULT_INVALID] = "invalid", /* of one event of several */
};

/* item_result - what became of event @i; failures come as the others that are no status word. */
static enum rb_delivery_result item_result(const struct rb_exchange *ex, unsigned i,
                                           const char **ret_reason)
{
    const struct rb_admission *a = ex->admissions[i];
    if (a == NULL) {
        *ret_reason = ex->reasons[i];
        return ex->bad != NULL && ex->bad[i] != 0 ? RB_RESULT_INVALID : RB_RESULT_IGNORED;
    }
    if (a->rc != RB_OK) {
        *ret_reason = NULL;
        return a->rc == RB_E_FULL ? RB_RESULT_OVERLOADED : RB_RESULT_UNAVAILABLE;
    }
    *ret_reason = a->retry == NULL ? NULL : a->retry->decision.reason;
    switch (a->result) {
    case RB_ADMIT_DUPLICATE:
        *ret_reason = "this failure is known already";
        return RB_RESULT_DUPLICATE;
    case RB_ADMIT_CHILD:
        if (rb_state_terminal(a->retry_state)) {
            *ret_reason = "this build is the retry itself; its outcome is known already";
            return RB_RESULT_DUPLICATE;
        }
        *ret_reason = "this build is the retry itself; its outcome is being read";
        return RB_RESULT_ACCEPTED;
    case RB_ADMIT_MISMATCH:
        *ret_reason = "this idempotency token was used with other parameters";
        return RB_RESULT_MISMATCH;
    case RB_ADMIT_UNKNOWN:
        *ret_reason = "no retry is waiting for this build";
        return RB_RESULT_IGNORED;
    case RB_ADMIT_NEW:
        break;
    }
    if (a->retry_state == RB_STATE_IGNORED) {
        return RB_RESULT_IGNORED;
    }
    return a->retry_state == RB_STATE_REFUSED || a->retry_state == RB_STATE_DEFERRED
               ? RB_RESULT_REFUSED
               : RB_RESULT_ACCEPTED;
}

static void add_string_member(struct rb_buf *b, const char *key, const char *value)
{
    if (value != NULL) {
        rb_buf_addc(b, ',');
        rb_buf_add_json_member(b, key, value);
    }
}

static void add_result(struct rb_buf *b, enum rb_delivery_result result, const char *retry_id,
                       const char *reason)
{
    rb_buf_addf(b, "{\"status\":\"%s\"", status_words[result]);
    add_string_member(b, "retry", retry_id);
    add_string_member(b, "reason", reason);
    rb_buf_addc(b, '}');
}

static const char *item_retry(const struct rb_exchange *ex, unsigned i)
{
    const struct rb_admission *a = ex->admissions[i];
    return a == NULL || a->retry_id[0] == '\0' ? NULL : a->retry_id;
}

/* answer_good - every event has a durable outcome. With several events the most important one gives
 * the status word. */
static void answer_good(struct rb_exchange *ex, const enum rb_delivery_result *results,
                        const char *const *reasons)
{
    static const enum rb_delivery_result order[] = {RB_RESULT_ACCEPTED, RB_RESULT_REFUSED,
                                                    RB_RESULT_DUPLICATE, RB_RESULT_IGNORED,
                                                    RB_RESULT_INVALID};
    unsigned lead = 0;
    for (unsigned o = 0; o < sizeof order / sizeof order[0]; o++) {
        for (lead = 0; lead < ex->n_events && results[lead] != order[o]; lead++) {
        }
        if (lead < ex->n_events) {
            break;
        }
    }
    if (ex->n_events == 1) {
        add_result(&ex->answer, results[0], item_retry(ex, 0), reasons[0]);
    } else {
        rb_buf_addf(&ex->answer, "{\"status\":\"%s\",\"retries\":[", status_words[results[lead]]);
        for (unsigned i = 0; i < ex->n_events; i++) {
            rb_buf_adds(&ex->answer, i == 0 ? "" : ",");
            add_result(&ex->answer, results[i], item_retry(ex, i), reasons[i]);
        }
        rb_buf_adds(&ex->answer, "]}");
    }
    rb_buf_addc(&ex->answer, '\n');
    if (results[lead] == RB_RESULT_DUPLICATE) {
        rb_answer_header(ex, "Idempotent-Replayed", "true");
    }
    rb_answer_json(ex, results[lead] == RB_RESULT_ACCEPTED ? 202 : 200);
    count(ex, results[lead]);
}

static void finish(struct rb_exchange *ex)
{
    enum rb_delivery_result results[RB_MAX_EVENTS];
    const char *reasons[RB_MAX_EVENTS];
    for (unsigned i = 0; i < ex->n_events; i++) {
        results[i] = item_result(ex, i, &reasons[i]);
        if (results[i] == RB_RESULT_OVERLOADED) {
            count(ex, RB_RESULT_OVERLOADED);
            rb_answer_problem(ex, 429, "too many failures are waiting; send this one again later");
            return;
        }
        if (results[i] == RB_RESULT_UNAVAILABLE) {
            count(ex, RB_RESULT_UNAVAILABLE);
            rb_answer_problem(ex, 503, "%s; nothing was accepted, send it again",
                              rb_store_trouble(ex->admissions[i]->rc));
            return;
        }
        if (results[i] == RB_RESULT_MISMATCH) {
            count(ex, RB_RESULT_MISMATCH);
            rb_answer_problem(ex, 422, "%s", reasons[i]);
            return;
        }
    }
    answer_good(ex, results, reasons);
}

/* ---- the request ---- */

/* make_room - for the admissions of @n events. */
static bool make_room(struct rb_exchange *ex, unsigned n)
{
    if (n <= RB_FEW_EVENTS) {
        return true;
    }
    struct rb_admission **admissions = rb_arena_alloc(&ex->arena, n * sizeof *admissions);
    const char **reasons = rb_arena_alloc(&ex->arena, n * sizeof *reasons);
    ex->bad = rb_arena_alloc(&ex->arena, n);
    if (admissions == NULL || reasons == NULL || ex->bad == NULL) {
        return false;
    }
    ex->admissions = admissions;
    ex->reasons = reasons;
    return true;
}

/* set_known_by - what a repetition of this event is known by. Several that share a delivery, as the
 * failed builds of one commit do, are told apart by their builds. False: there is no memory. */
static bool set_known_by(struct rb_exchange *ex, const struct rb_events *events, unsigned i,
                         struct rb_delivery *one)
{
    const char *build = events->items[i].build.id;
    if (events->delivery_ids != NULL && events->delivery_ids[i] != NULL) {
        one->key = events->delivery_ids[i];
        one->proved = NULL;
        return true;
    }
    if (events->n > 1 && build != NULL) {
        one->proved = rb_arena_printf(&ex->arena, "%s %s",
                                      one->proved != NULL ? one->proved : one->key, build);
        return one->proved != NULL;
    }
    return true;
}

static enum rb_code prepare(struct rb_exchange *ex, const struct rb_events *events,
                            const struct rb_delivery *delivery, struct rb_err *err)
{
    if (!make_room(ex, events->n)) {
        return RB_E_NOMEM;
    }
    const char *traceparent = NULL, *tracestate = NULL;
    rb_exchange_trace(ex, &traceparent, &tracestate);
    ex->n_events = events->n;
    for (unsigned i = 0; i < events->n; i++) {
        struct rb_delivery one = *delivery;
        struct rb_event *ev = &events->items[i];
        if (!set_known_by(ex, events, i, &one)) {
            return RB_E_NOMEM;
        }
        ex->reasons[i] = ev->why;
        if (ev->traceparent == NULL) { /* the event's own says more than its transport's */
            ev->traceparent = traceparent;
            ev->tracestate = tracestate;
        }
        if (ex->bad != NULL) {
            ex->bad[i] = ev->bad ? 1 : 0;
        }
        enum rb_code rc =
            rb_engine_admission_new(ex->httpd->deps.engine, ev, &one, &ex->admissions[i], err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return RB_OK;
}

/* delivery_of - false: there is no memory. */
static bool delivery_of(struct rb_exchange *ex, const struct rb_events *events,
                        struct rb_delivery *ret_d)
{
    const char *id = events->delivery_id;
    const char *digest = NULL;
    if (id == NULL || events->id_unproved) {
        char hex[RB_SHA256_HEX_BYTES];
        rb_sha256_hex(ex->body.data, ex->body.len, hex);
        digest = rb_arena_strdup(&ex->arena, hex);
        if (digest == NULL) {
            return false;
        }
    }
    *ret_d = (struct rb_delivery){.source = ex->source->setting->name,
                                  .type = ex->source->setting->type,
                                  .key = id != NULL ? id : digest,
                                  .proved = digest,
                                  .at_ms = rb_now_ms(ex->httpd->deps.clock)};
    return true;
}

static void admit(struct rb_exchange *ex, struct rb_events *events)
{
    struct rb_err err = {.code = RB_OK};
    struct rb_delivery delivery;
    if (!delivery_of(ex, events, &delivery) || prepare(ex, events, &delivery, &err) != RB_OK) {
        count(ex, RB_RESULT_UNAVAILABLE);
        rb_answer_problem(ex, 503, "out of memory; send it again");
        return;
    }
    rb_exchange_admit(ex, finish);
}

static void command(struct rb_exchange *ex, const struct rb_events *events)
{
    struct rb_delivery delivery;
    if (!delivery_of(ex, events, &delivery)) {
        count(ex, RB_RESULT_UNAVAILABLE);
        rb_answer_problem(ex, 503, "out of memory; send it again");
        return;
    }
    rb_hook_commands_start(ex, events, &delivery);
}

void rb_hook_verified(struct rb_exchange *ex, const struct rb_request *req)
{
    const struct rb_source_setting *s = ex->source->setting;
    struct rb_events events = {.items = NULL};
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = ex->source->type->parse(s, req, &ex->arena, &events, &err);
    if (rc != RB_OK) {
        count(ex, RB_RESULT_INVALID);
        rb_answer_problem(ex, rc == RB_E_INVALID || rc == RB_E_TOO_LARGE ? 400 : 500, "%s",
                          err.msg);
        return;
    }
    if (events.notice != NULL) {
        rb_log(RB_LOG_WARN, "source.notice", RB_F("source", s->name), RB_F("what", events.notice));
    }
    if (events.confirm_query != NULL) {
        rb_hook_confirm(ex, &events);
        return;
    }
    if (events.answer != NULL) {
        count(ex, RB_RESULT_IGNORED);
        rb_buf_adds(&ex->answer, events.answer);
        rb_answer_json(ex, events.answer_status == 0 ? 200 : events.answer_status);
        ex->content_type = events.answer_type == NULL ? ex->content_type : events.answer_type;
        return;
    }
    if (events.n == 0 && events.n_commands == 0) {
        count(ex, RB_RESULT_IGNORED);
        add_result(&ex->answer, RB_RESULT_IGNORED, NULL,
                   events.ignored == NULL ? "nothing in it concerns a build" : events.ignored);
        rb_buf_addc(&ex->answer, '\n');
        rb_answer_json(ex, 200);
        return;
    }
    if (events.n_commands > 0) {
        command(ex, &events);
    } else if (rb_hook_complete(ex, &events)) {
        admit(ex, &events);
    } else {
        rb_hook_resolve(ex, &events, admit);
    }
}

void rb_hook_request(struct rb_exchange *ex, struct rb_request *ret_req)
{
    *ret_req = (struct rb_request){
        .method = ex->method,
        .path = ex->path,
        .body = {ex->body.len == 0 ? "" : ex->body.data, ex->body.len},
        .header = header_of,
        .arg = ex,
        .now_ms = rb_now_ms(ex->httpd->deps.clock),
        .certificate = ex->source == NULL ? NULL : ex->source->pinned, /* an explanation has none */
    };
}

void rb_hook_denied(struct rb_exchange *ex)
{
    count(ex, RB_RESULT_UNAUTHORIZED);
    rb_metric_add(ex->source->bad_proof, 1);
    rb_answer_problem(ex, 401, "the proof of the sender is missing or wrong");
}

void rb_handle_hook(struct rb_exchange *ex)
{
    ex->source = rb_view_source(ex->view, ex->param);
    if (ex->source == NULL) {
        rb_answer_problem(ex, 404, NO_SOURCE);
        return;
    }
    if (!media_type_fits(ex->mhd, ex->source->type->media)) {
        count(ex, RB_RESULT_INVALID);
        rb_answer_problem(ex, 415, "the body must be JSON (Content-Type: application/json)");
        return;
    }
    struct rb_request req;
    rb_hook_request(ex, &req);
    const struct rb_source_type *type = ex->source->type;
    const char *url = type->certificate_url == NULL || req.certificate != NULL
                          ? NULL
                          : type->certificate_url(ex->source->setting, &req, &ex->arena);
    if (url != NULL) {
        req.certificate = rb_hook_certificate(ex, url);
        if (req.certificate == NULL) {
            rb_hook_fetch(ex, url);
            return;
        }
    }
    struct rb_err err = {.code = RB_OK};
    if (type->verify(ex->source->setting, &req, &err) != RB_OK) {
        rb_hook_denied(ex);
        return;
    }
    if (ex->body.len == 0) {
        count(ex, RB_RESULT_INVALID);
        rb_answer_problem(ex, 400, "the body is empty");
        return;
    }
    rb_hook_verified(ex, &req);
}
