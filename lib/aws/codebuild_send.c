/* One signed request to CodeBuild or a neighbour, sent once, and what became of it.
 *
 * Order: endpoint, a token of the process's rate, credentials, signature, the caller's last check,
 * the wire. Whatever fails before the wire has no effect; whatever fails after the request may have
 * left is ambiguous unless AWS's own answer says no.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>
#include <retrybuild/sigv4.h>
#include <retrybuild/timefmt.h>

#include "internal.h"

#define JSON_TYPE "application/x-amz-json-1.1"
#define FORM_TYPE "application/x-www-form-urlencoded; charset=utf-8"
#define ANSWER_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define ARENA_MAX_BYTES ((size_t)64 * 1024)
#define DATE_ROUND_TRIP_MAX_MS 15000
#define CONNECT_TIMEOUT_MAX_MS 5000

#define SIGNED_HEADERS_MAX 5

static const struct rb_aws_service CODEBUILD = {.name = "codebuild",
                                                .target = "CodeBuild_20161006"};

static const struct rb_aws_service *service_of(const struct rb_aws_call *call)
{
    return call->service == NULL ? &CODEBUILD : call->service;
}

/* A request as text: what is signed is what is sent. */
struct wire {
    struct rb_arena arena;
    struct rb_buf token, authorization; /* wiped */
    const char *url, *path, *host;
    const char *target, *date;
    const char *headers[SIGNED_HEADERS_MAX + 2];
};

static void wire_release(struct wire *w)
{
    if (w->token.data != NULL) {
        rb_wipe(w->token.data, w->token.cap);
    }
    if (w->authorization.data != NULL) {
        rb_wipe(w->authorization.data, w->authorization.cap);
    }
    rb_buf_release(&w->token);
    rb_buf_release(&w->authorization);
    rb_arena_release(&w->arena);
}

static void wire_init(struct wire *w)
{
    memset(w, 0, sizeof(*w));
    rb_arena_init(&w->arena, ARENA_MAX_BYTES);
    rb_buf_init(&w->token, 16384);
    rb_buf_init(&w->authorization, 4096);
}

static enum rb_code find_endpoint(struct rb_codebuild *c, const struct rb_aws_call *call,
                                  struct wire *w, struct rb_err *err)
{
    struct rb_aws_target t;

    const char *service = service_of(call)->name;
    enum rb_code rc = call->endpoint_url == NULL
                          ? rb_aws_target(c->aws, service, call->region, &w->arena, &t, err)
                          : rb_aws_target_at(call->endpoint_url, service, &w->arena, &t, err);
    if (rc == RB_OK) {
        w->url = t.url;
        w->path = t.path;
        w->host = t.host;
    }
    return rc;
}

static struct rb_header header(const char *name, const char *value)
{
    return (struct rb_header){.name = rb_slice_str(name), .value = rb_slice_str(value)};
}

static enum rb_code sign(const struct rb_aws_call *call, int64_t date_ms,
                         const struct rb_credentials *cred, struct wire *w, struct rb_err *err)
{
    char date[RB_TIME_AMZ_BYTES];
    char hash[RB_SHA256_HEX_BYTES];
    struct rb_header signed_headers[SIGNED_HEADERS_MAX];
    bool form = service_of(call)->target == NULL;
    unsigned n = 0;

    rb_time_amz(date_ms, date);
    rb_sha256_hex(rb_buf_str(call->body), call->body->len, hash);
    w->target =
        form ? "" : rb_arena_printf(&w->arena, "%s.%s", service_of(call)->target, call->operation);
    signed_headers[n++] = header("content-type", form ? FORM_TYPE : JSON_TYPE);
    signed_headers[n++] = header("host", w->host);
    signed_headers[n++] = header("x-amz-date", date);
    if (!form) {
        signed_headers[n++] = header("x-amz-target", w->target);
    }
    if (cred->session_token != NULL) {
        signed_headers[n++] = header("x-amz-security-token", rb_secret_data(cred->session_token));
        rb_buf_addf(&w->token, "X-Amz-Security-Token: %s", rb_secret_data(cred->session_token));
    }
    const struct rb_sigv4_request r = {.method = "POST",
                                       .path = w->path,
                                       .headers = signed_headers,
                                       .n_headers = n,
                                       .payload_hash = hash,
                                       .region = call->region,
                                       .service = service_of(call)->name,
                                       .date_ms = date_ms};
    rb_buf_adds(&w->authorization, "Authorization: ");
    enum rb_code rc =
        rb_sigv4_authorization(&r, cred->access_key, rb_secret_data(cred->secret_key),
                               rb_secret_len(cred->secret_key), &w->authorization, err);
    if (rc != RB_OK) {
        return rc;
    }
    n = 0;
    w->headers[n++] = form ? "Content-Type: " FORM_TYPE : "Content-Type: " JSON_TYPE;
    w->headers[n++] = rb_arena_printf(&w->arena, "Host: %s", w->host);
    w->headers[n++] = rb_arena_printf(&w->arena, "X-Amz-Date: %s", date);
    if (!form) {
        w->headers[n++] = rb_arena_printf(&w->arena, "X-Amz-Target: %s", w->target);
    }
    w->headers[n++] = rb_buf_str(&w->authorization);
    if (cred->session_token != NULL) {
        w->headers[n++] = rb_buf_str(&w->token);
    }
    for (unsigned i = 0; i < n; i++) {
        if (w->headers[i] == NULL || rb_buf_failed(&w->token)) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
        }
    }
    return RB_OK;
}

/* AWS's Date against the middle of the round trip; a cached or slow answer says nothing. */
static void note_date(struct rb_codebuild *c, const struct rb_http_answer *answer,
                      int64_t started_ms, int64_t ended_ms)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    int64_t theirs_ms = 0;

    rb_arena_init(&a, 1024);
    const char *date = rb_http_answer_header(answer, "date", &a);
    int64_t took_ms = ended_ms - started_ms;
    if (date == NULL || rb_http_answer_header(answer, "age", &a) != NULL || took_ms < 0 ||
        took_ms > DATE_ROUND_TRIP_MAX_MS || !rb_time_parse_http(rb_slice_str(date), &theirs_ms)) {
        return;
    }
    rb_aws_note_date(c->aws, theirs_ms + 500, started_ms + took_ms / 2); /* whole seconds */
}

static enum rb_code unclear(bool sent, const char *operation, struct rb_err *err)
{
    return sent ? rb_err_wrap(err, RB_E_AMBIGUOUS, "%s", operation)
                : rb_err_wrap(err, RB_E_UNAVAIL, "%s", operation);
}

/* Failures of the transport: nothing sent, or no way to know. */
static enum rb_code judge_transport(enum rb_code rc, bool sent, const char *operation,
                                    struct rb_err *err)
{
    switch ((int)rc) {
    case RB_E_TIMEOUT:
    case RB_E_AMBIGUOUS:
    case RB_E_UNAVAIL:
    case RB_E_TOO_LARGE:
    case RB_E_NOMEM:
        return unclear(sent, operation, err);
    default:
        return sent ? unclear(true, operation, err) : rb_err_wrap(err, rc, "%s", operation);
    }
}

static enum rb_code read_answer(const struct rb_aws_call *call, const struct rb_http_answer *answer,
                                json_t **ret_json, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    if (answer->status != 200) {
        return rb_aws_judge(call->operation, answer, err);
    }
    if (call->ret_answer != NULL) {
        return RB_OK;
    }
    if (rb_json_load(rb_buf_str(&answer->body), answer->body.len, &j, NULL) != RB_OK ||
        !json_is_object(j)) {
        return rb_err_set(err, RB_E_AMBIGUOUS, "%s: the answer cannot be read", call->operation);
    }
    *ret_json = RB_TAKE(j);
    return RB_OK;
}

static const char *result_name(enum rb_code rc, bool changes)
{
    switch ((int)rc) {
    case RB_OK:
        return "ok";
    case RB_E_THROTTLED:
    case RB_E_LATER:
        return "throttled";
    case RB_E_UNAVAIL:
    case RB_E_CLOCK:
    case RB_E_CLOSED:
        return "transient";
    case RB_E_AMBIGUOUS:
        return changes ? "ambiguous" : "transient";
    default:
        return "refused";
    }
}

static enum rb_code exchange(struct rb_codebuild *c, const struct rb_aws_call *call,
                             const struct wire *w, int64_t timeout_ms, struct rb_aws_fate *fate,
                             json_t **ret_json, struct rb_err *err)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    const struct rb_clock *clock = rb_aws_clock(c->aws);
    struct rb_err why = {.code = RB_OK};
    bool sent = false;
    const struct rb_http_request req = {
        .method = "POST",
        .url = w->url,
        .headers = w->headers,
        .body = rb_buf_str(call->body),
        .body_len = call->body->len,
        .reach = RB_REACH_TRUSTED,
        .connect_timeout_ms =
            timeout_ms < CONNECT_TIMEOUT_MAX_MS ? timeout_ms : CONNECT_TIMEOUT_MAX_MS,
        .timeout_ms = timeout_ms,
        .max_answer_bytes = ANSWER_MAX_BYTES,
        .cancel = c->cancel,
    };

    int64_t began_boot_ms = rb_boot_ms(clock);
    int64_t started_ms = rb_now_ms(clock);
    enum rb_code rc = rb_httpc_call(c->http, &req, &answer, &sent, &why);
    if (rc == RB_OK) {
        fate->answered = true;
        note_date(c, &answer, started_ms, rb_now_ms(clock));
        fate->retry_after_ms = rb_http_retry_after_ms(&answer, rb_aws_now_ms(c->aws));
        rc = read_answer(call, &answer, ret_json, &why);
        if (call->ret_answer != NULL) {
            *call->ret_answer = answer;
            answer = (struct rb_http_answer){.status = 0};
        }
    } else {
        rc = judge_transport(rc, sent, call->operation, &why);
    }
    rb_count(RB_M_CODEBUILD_REQUESTS, call->operation, result_name(rc, call->changes));
    rb_metric_observe(rb_metric_cell(RB_M_CODEBUILD_DURATION, call->operation, NULL),
                      (double)(rb_boot_ms(clock) - began_boot_ms) / 1000.0);
    return rc == RB_OK ? RB_OK : rb_err_set(err, rc, "%s", why.msg);
}

enum rb_code rb_aws_send(struct rb_codebuild *c, const struct rb_aws_call *call,
                         struct rb_aws_fate *ret_fate, json_t **ret_json, struct rb_err *err)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials cred = {.access_key = NULL};
    RB_CLEANUP(wire_release) struct wire w;
    const struct rb_clock *clock = rb_aws_clock(c->aws);
    const struct rb_aws_scope scope = rb_codebuild_scope(c, call->region, call->operation);
    int64_t began_boot_ms = rb_boot_ms(clock);

    wire_init(&w);
    *ret_fate = (struct rb_aws_fate){.retry_after_ms = -1};
    enum rb_code rc = find_endpoint(c, call, &w, err);
    if (rc == RB_OK) { /* half of the time at most, so that the other half is left for the call */
        rc = rb_aws_pass(c->aws, &scope, call->timeout_ms / 2, c->cancel, &ret_fate->retry_after_ms,
                         err);
    }
    if (rc == RB_OK) {
        rc = call->session == NULL
                 ? rb_aws_credentials_for(c->aws, c->account, call->region, &cred, err)
                 : rb_aws_credentials_as(c->aws, c->account, call->region, call->session, &cred,
                                         err);
    }
    if (rc == RB_OK) {
        int64_t date_ms = call->date_ms != 0 ? call->date_ms : rb_aws_now_ms(c->aws);
        rc = sign(call, date_ms, &cred, &w, err);
    }
    if (rc == RB_OK && call->last_check != NULL) {
        rc = call->last_check(call->arg, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    size_t len = strlen(cred.access_key);
    len = len < sizeof(ret_fate->access_key) ? len : sizeof(ret_fate->access_key) - 1;
    memcpy(ret_fate->access_key, cred.access_key, len);
    int64_t left_ms = call->timeout_ms - (rb_boot_ms(clock) - began_boot_ms);
    rc = exchange(c, call, &w, left_ms > 1 ? left_ms : 1, ret_fate, ret_json, err);
    rb_aws_told(c->aws, &scope, rc, ret_fate->retry_after_ms);
    return rc;
}
