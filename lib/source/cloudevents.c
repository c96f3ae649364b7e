/* cloudevents.c - CloudEvents 1.0 over HTTP: structured, binary and batch; and the handshake of the
 * web hook specification.
 *
 * The data is a whole CodeBuild event (codebuild_event.h). A CloudEvent is known by its source and
 * id together. In a batch a bad event is an event of its own that says so; only a batch in which
 * all are bad, or that is no JSON, is refused. Source: facts on integrations, 4.3.
 */
#include <ctype.h>
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>
#include <retrybuild/timefmt.h>
#include <retrybuild/url.h>

#include "carried.h"
#include "proof.h"
#include "types.h"

#define DATA_MAX_BYTES ((size_t)1024 * 1024)
#define BATCH_MAX_TOKENS 1000000
#define NAME_MAX_BYTES 2048
#define ORIGIN_MAX_BYTES 255
#define ID_MAX_BYTES 256

static const char *const own_keys[] = {"header", NULL};

/* What is known of one CloudEvent, however it was sent. */
struct attributes {
    const char *id, *source, *specversion, *type, *time;
    const char *traceparent, *tracestate; /* extension "Distributed Tracing" */
    struct rb_slice data;                 /* JSON text; ptr NULL = none */
    const char *base64;                   /* data_base64 */
};

static enum rb_code exhausted(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a CloudEvent");
}

/* ---- one event ---- */

/* name_of - what the sender repeats: source and id; neither holds a blank where it counts, for a
 * source is a URI reference. */
static const char *name_of(const struct attributes *c, struct rb_arena *a)
{
    size_t len = strlen(c->source) + 1 + strlen(c->id);
    const char *name = rb_arena_printf(a, "%s %s", c->source, c->id);
    if (name == NULL || len <= ID_MAX_BYTES) {
        return name;
    }
    char hex[RB_SHA256_HEX_BYTES];
    rb_sha256_hex(name, len, hex);
    return rb_arena_strdup(a, hex);
}

static enum rb_code check(const struct attributes *c, struct rb_err *err)
{
    const struct {
        const char *name, *value;
    } needed[] = {
        {"specversion", c->specversion}, {"id", c->id}, {"source", c->source}, {"type", c->type}};
    for (size_t i = 0; i < RB_ARRAY_LEN(needed); i++) {
        if (rb_str_empty(needed[i].value)) {
            return rb_err_set(err, RB_E_INVALID,
                              "a CloudEvent needs the attribute '%s', a text that is not empty",
                              needed[i].name);
        }
        if (strlen(needed[i].value) > NAME_MAX_BYTES) {
            return rb_err_set(err, RB_E_INVALID, "the attribute '%s' has more than %d bytes",
                              needed[i].name, NAME_MAX_BYTES);
        }
    }
    if (!rb_str_eq(c->specversion, "1.0")) {
        return rb_err_set(err, RB_E_INVALID, "specversion '%.20s' is not read here; 1.0 is",
                          c->specversion);
    }
    return RB_OK;
}

/* decode - base64 data as a text in @a; what is no base64 is a mistake of the sender. */
static enum rb_code decode(struct attributes *c, struct rb_arena *a, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf plain = RB_BUF_INIT(DATA_MAX_BYTES);
    if (!rb_unbase64(c->base64, strlen(c->base64), &plain)) {
        return rb_err_set(err, RB_E_INVALID, "data_base64 is not base64");
    }
    c->data.ptr = rb_arena_strndup(a, rb_buf_str(&plain), plain.len);
    c->data.len = plain.len;
    return c->data.ptr == NULL ? exhausted(err) : RB_OK;
}

/* take_trace - an attribute that is none leaves the trace of the request. */
static void take_trace(const struct attributes *c, struct rb_event *ev)
{
    struct rb_trace t;
    if (c->traceparent != NULL &&
        rb_traceparent_parse(c->traceparent, strlen(c->traceparent), &t)) {
        ev->traceparent = c->traceparent;
        ev->tracestate = c->tracestate;
    }
}

static enum rb_code read_event(struct attributes *c, struct rb_arena *a, struct rb_event *ret_event,
                               const char **ret_id, struct rb_err *err)
{
    enum rb_code rc = check(c, err);
    if (rc == RB_OK && c->base64 != NULL && c->data.ptr != NULL) {
        rc = rb_err_set(err, RB_E_INVALID, "a CloudEvent has data or data_base64, not both");
    } else if (rc == RB_OK && c->base64 != NULL) {
        rc = decode(c, a, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const char *name = name_of(c, a);
    if (name == NULL) {
        return exhausted(err);
    }
    if (c->data.ptr == NULL) {
        rb_carried_none(ret_event, "the CloudEvent has no data: no usable build");
    } else {
        rc = rb_carried_data(c->data, a, ret_event, err);
    }
    if (rc == RB_OK && ret_event->at_ms == 0 && c->time != NULL) {
        (void)rb_time_parse_iso(rb_slice_str(c->time), &ret_event->at_ms);
    }
    if (rc == RB_OK) {
        take_trace(c, ret_event);
        *ret_id = name;
    }
    return rc;
}

/* take_member - one attribute of an event in structured mode, or its data. */
static enum rb_code take_member(struct attributes *c, struct rb_json_reader *r,
                                const struct rb_json_token *key, const struct rb_json_token *t,
                                struct rb_arena *a, struct rb_err *err)
{
    const struct {
        const char *name;
        const char **value;
    } texts[] = {{"id", &c->id},
                 {"source", &c->source},
                 {"specversion", &c->specversion},
                 {"type", &c->type},
                 {"time", &c->time},
                 {"data_base64", &c->base64},
                 {"traceparent", &c->traceparent},
                 {"tracestate", &c->tracestate}};
    const char *start = t->type == RB_JSON_STRING ? t->raw.ptr - 1 : r->p - 1;
    enum rb_code rc = rb_json_skip_rest(r, t, err);
    if (rc == RB_OK && rb_json_key_is(key, "data") && t->type != RB_JSON_NULL) {
        c->data =
            t->type == RB_JSON_NUMBER ? t->raw : (struct rb_slice){start, (size_t)(r->p - start)};
    }
    for (size_t i = 0; rc == RB_OK && t->type == RB_JSON_STRING && i < RB_ARRAY_LEN(texts); i++) {
        if (rb_json_key_is(key, texts[i].name)) {
            *texts[i].value = rb_json_dup(t, a);
            rc = *texts[i].value == NULL ? exhausted(err) : RB_OK;
        }
    }
    return rc;
}

enum rb_code rb_cloudevent_parse(struct rb_slice body, struct rb_arena *a,
                                 struct rb_event *ret_event, const char **ret_id,
                                 struct rb_err *err)
{
    struct attributes c = {.id = NULL};
    struct rb_json_reader r;
    struct rb_json_token key = {.type = RB_JSON_NULL};
    struct rb_json_token t;
    rb_json_reader_init(&r, body.ptr, body.len);
    enum rb_code rc = rb_json_next(&r, &t, err);
    if (rc == RB_OK && t.type != RB_JSON_OBJECT_BEGIN) {
        rc = rb_err_set(err, RB_E_INVALID, "a CloudEvent is a JSON object");
    }
    while (rc == RB_OK) {
        rc = rb_json_member(&r, &key, &t, err);
        if (rc != RB_OK || key.type == RB_JSON_OBJECT_END) {
            break;
        }
        rc = take_member(&c, &r, &key, &t, a, err);
    }
    rc = rc == RB_OK ? rb_json_finish(&r, err) : rc;
    return rc == RB_OK ? read_event(&c, a, ret_event, ret_id, err) : rc;
}

/* ---- binary mode ---- */

/* header_text - a header's value as the attribute that it is: quotes off, percent-encoding off
 * once. NULL with *ret_bad when it is none, NULL when there is none. */
static const char *header_text(const struct rb_request *req, const char *name, struct rb_arena *a,
                               bool *ret_bad)
{
    unsigned n = 0;
    const char *v = req->header(req->arg, name, &n);
    if (v == NULL) {
        return NULL;
    }
    size_t len = strlen(v);
    char *plain = rb_arena_strndup(a, v, len);
    if (plain != NULL && len >= 2 && v[0] == '"' && v[len - 1] == '"') {
        size_t to = 0;
        for (size_t i = 1; i + 1 < len; i++) {
            i += v[i] == '\\' && i + 2 < len ? 1 : 0;
            plain[to++] = v[i];
        }
        plain[to] = '\0';
    }
    const char *text = plain == NULL ? NULL : rb_url_decode(plain, strlen(plain), false, a);
    if (text == NULL || n != 1 || !rb_utf8_valid(text, strlen(text))) {
        *ret_bad = true;
        return NULL;
    }
    return text;
}

static enum rb_code parse_binary(const struct rb_request *req, struct rb_arena *a,
                                 struct rb_event *ev, const char **ret_id, struct rb_err *err)
{
    bool bad = false, untraced = false;
    struct attributes c = {
        .id = header_text(req, "ce-id", a, &bad),
        .source = header_text(req, "ce-source", a, &bad),
        .specversion = header_text(req, "ce-specversion", a, &bad),
        .type = header_text(req, "ce-type", a, &bad),
        .time = header_text(req, "ce-time", a, &bad),
        .traceparent = header_text(req, "ce-traceparent", a, &untraced),
        .tracestate = header_text(req, "ce-tracestate", a, &untraced),
        .data = req->body,
    };
    if (bad) {
        return rb_err_set(err, RB_E_INVALID,
                          "a ce- header is there twice, or is not percent-encoded UTF-8");
    }
    return read_event(&c, a, ev, ret_id, err);
}

/* ---- batches ---- */

struct batch {
    struct rb_slice items[RB_MAX_EVENTS];
    unsigned n;
};

/* split - where each event of the batch stands; all of it is validated. */
static enum rb_code split(struct rb_slice body, struct batch *b, struct rb_err *err)
{
    struct rb_json_reader r;
    struct rb_json_token t;
    rb_json_reader_init(&r, body.ptr, body.len);
    r.max_tokens = BATCH_MAX_TOKENS;
    enum rb_code rc = rb_json_next(&r, &t, err);
    if (rc == RB_OK && t.type != RB_JSON_ARRAY_BEGIN) {
        return rb_err_set(err, RB_E_INVALID, "a batch of CloudEvents is a JSON array");
    }
    while (rc == RB_OK) {
        rc = rb_json_next(&r, &t, err);
        if (rc != RB_OK || t.type == RB_JSON_ARRAY_END) {
            break;
        }
        if (b->n == RB_MAX_EVENTS) {
            return rb_err_set(err, RB_E_TOO_LARGE,
                              "a batch may have %d events at most; send it in parts",
                              RB_MAX_EVENTS);
        }
        bool plain = t.type == RB_JSON_STRING || t.type == RB_JSON_NUMBER;
        const char *start = plain ? t.raw.ptr : r.p - 1;
        rc = rb_json_skip_rest(&r, &t, err);
        b->items[b->n++] = (struct rb_slice){start, (size_t)(r.p - start)};
        if (t.type != RB_JSON_OBJECT_BEGIN) {
            b->items[b->n - 1].len = 0; /* no event whatever stands there */
        }
    }
    return rc == RB_OK ? rb_json_finish(&r, err) : rc;
}

/* take_one - event @i of the batch, or what is wrong with it. */
static enum rb_code take_one(const struct batch *b, unsigned i, struct rb_arena *a,
                             struct rb_event *ev, const char **ret_id, struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};
    enum rb_code rc = b->items[i].len == 0
                          ? rb_err_set(&why, RB_E_INVALID, "a CloudEvent is a JSON object")
                          : rb_cloudevent_parse(b->items[i], a, ev, ret_id, &why);
    if (rc == RB_E_INVALID || rc == RB_E_TOO_LARGE) {
        rb_carried_none(ev, rb_arena_printf(a, "event %u of %u: %s", i + 1, b->n, why.msg));
        ev->bad = true;
        rc = ev->why == NULL ? RB_E_NOMEM : RB_OK;
    }
    return rc == RB_OK ? rc : exhausted(err);
}

static enum rb_code parse_batch(struct rb_slice body, struct rb_arena *a,
                                struct rb_events *ret_events, struct rb_err *err)
{
    struct batch b;
    unsigned good = 0;
    b.n = 0;
    enum rb_code rc = split(body, &b, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_event *items = rb_arena_alloc(a, (b.n + 1) * sizeof(*items));
    const char **ids = rb_arena_alloc(a, (b.n + 1) * sizeof(*ids));
    if (items == NULL || ids == NULL) {
        return exhausted(err);
    }
    for (unsigned i = 0; i < b.n; i++) {
        rc = take_one(&b, i, a, &items[i], &ids[i], err);
        if (rc != RB_OK) {
            return rc;
        }
        good += items[i].bad ? 0 : 1;
    }
    if (good == 0 && b.n > 0) {
        return rb_err_set(err, RB_E_INVALID, "no event of the batch can be read: %s", items[0].why);
    }
    *ret_events = (struct rb_events){
        .items = items, .n = b.n, .delivery_ids = ids, .ignored = "the batch is empty"};
    return RB_OK;
}

/* ---- the row ---- */

static bool is_media(const char *type, const char *name)
{
    size_t len = strlen(name);
    return type != NULL && strlen(type) >= len && strncasecmp(type, name, len) == 0 &&
           strchr("; \t", type[len]) != NULL;
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    (void)s;
    const char *type = req->header(req->arg, "content-type", NULL);
    bool structured = is_media(type, "application/cloudevents+json");
    bool batch = is_media(type, "application/cloudevents-batch+json");
    bool binary = !structured && !batch &&
                  (req->header(req->arg, "ce-specversion", NULL) != NULL ||
                   req->header(req->arg, "ce-id", NULL) != NULL);
    size_t blanks = 0;
    while (blanks < req->body.len && strchr(" \t\r\n", req->body.ptr[blanks]) != NULL) {
        blanks++;
    }
    bool array = blanks < req->body.len && req->body.ptr[blanks] == '[';
    if (batch || (array && !structured && !binary)) {
        return parse_batch(req->body, a, ret_events, err);
    }
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    if (ev == NULL) {
        return exhausted(err);
    }
    const char *id = NULL;
    enum rb_code rc = binary ? parse_binary(req, a, ev, &id, err)
                             : rb_cloudevent_parse(req->body, a, ev, &id, err);
    if (rc == RB_OK) {
        *ret_events = (struct rb_events){.items = ev, .n = 1, .delivery_id = id};
    }
    return rc;
}

/* greet - consent to be called, which gives nothing away and does nothing: each delivery needs its
 * proof all the same. So none is asked here; senders cannot send one with the handshake. A callback
 * that the sender offers is not called, for anybody could name any address there. */
static enum rb_code greet(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, const char *ret_headers[4], struct rb_err *err)
{
    (void)s;
    const char *origin = rb_proof_header(req, "webhook-request-origin");
    const char *rate = rb_proof_header(req, "webhook-request-rate");
    size_t len = origin == NULL ? 0 : strlen(origin);
    if (len == 0) {
        return rb_err_set(err, RB_E_DENIED,
                          "OPTIONS is for the handshake of CloudEvents: WebHook-Request-Origin is "
                          "missing");
    }
    for (size_t i = 0; i < len; i++) {
        if (len > ORIGIN_MAX_BYTES ||
            (!isalnum((unsigned char)origin[i]) && strchr(".-_:/[]", origin[i]) == NULL)) {
            return rb_err_set(err, RB_E_INVALID, "WebHook-Request-Origin is not a host's name");
        }
    }
    bool number = rate != NULL && rate[0] != '\0' && strlen(rate) <= 9 &&
                  strspn(rate, "0123456789") == strlen(rate);
    ret_headers[0] = rb_arena_printf(a, "WebHook-Allowed-Origin: %s", origin);
    ret_headers[1] = rb_arena_printf(a, "WebHook-Allowed-Rate: %s", number ? rate : "*");
    ret_headers[2] = "Allow: POST";
    ret_headers[3] = NULL;
    return ret_headers[0] == NULL || ret_headers[1] == NULL ? exhausted(err) : RB_OK;
}

/* content_type - that of its mode; in binary mode the attributes are headers, and what is posted is
 * the data alone. */
static const char *content_type(struct rb_slice body)
{
    struct rb_json_reader r;
    struct rb_json_token key = {.type = RB_JSON_NULL};
    struct rb_json_token t = {.type = RB_JSON_NULL};
    rb_json_reader_init(&r, body.ptr, body.len);
    if (rb_json_next(&r, &t, NULL) != RB_OK || t.type != RB_JSON_OBJECT_BEGIN) {
        return t.type == RB_JSON_ARRAY_BEGIN ? "application/cloudevents-batch+json"
                                             : "application/json";
    }
    while (rb_json_member(&r, &key, &t, NULL) == RB_OK && key.type != RB_JSON_OBJECT_END) {
        if (rb_json_key_is(&key, "specversion")) {
            return "application/cloudevents+json";
        }
        if (rb_json_skip_rest(&r, &t, NULL) != RB_OK) {
            break;
        }
    }
    return "application/json";
}

const struct rb_source_type rb_source_cloudevents = {
    .type = "cloudevents",
    .keys = own_keys,
    .verify = rb_proof_shared,
    .parse = parse,
    .greet = greet,
    .content_type = content_type,
    .sign = rb_proof_sign_shared,
};
