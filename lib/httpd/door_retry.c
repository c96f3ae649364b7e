/* door_retry.c - RetryBuild at the front door: a retry like one that a person asks for, answered
 * with AWS's Build of the child once the call was made.
 *
 * The idempotency token is the caller's own, in its region; where there is none, the id that SDKs
 * send with every attempt of one call takes its place. The answer waits at most
 * api.front_door.wait; then the client is told to ask again, and finds the same retry.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "door.h"
#include "hook_find.h"
#include "traced.h"

#define PARENT_WAIT_MS 3000
#define TOKEN_MAX_BYTES 1024
#define ACCOUNTS_WAIT_MS 8500 /* until every account was asked */

static const char still_running[] = "Build %s is still running";

/* ---- admission ---- */

/* admitted - what the store said; false after an error was answered. */
static bool admitted(struct rb_exchange *ex, const struct rb_admission *a)
{
    enum rb_delivery_result result = RB_RESULT_ACCEPTED;
    bool ok = false;
    if (a->rc == RB_E_FULL) {
        result = RB_RESULT_OVERLOADED;
        rb_door_error(ex, "ThrottlingException", "Rate exceeded: too many retries are waiting.");
    } else if (a->rc != RB_OK) {
        result = RB_RESULT_UNAVAILABLE;
        rb_door_error(ex, "ServiceUnavailableException", "%s; nothing was accepted, ask again.",
                      rb_store_trouble(a->rc));
    } else if (a->result == RB_ADMIT_MISMATCH) {
        result = RB_RESULT_MISMATCH;
        rb_door_error(ex, "InvalidInputException",
                      "Parameter mismatch: this idempotency token was used with another build.");
    } else {
        ok = true;
        result = a->result == RB_ADMIT_NEW ? RB_RESULT_ACCEPTED : RB_RESULT_DUPLICATE;
        (void)memcpy(ex->retry_id, a->retry_id, sizeof ex->retry_id);
    }
    rb_source_result(ex, result);
    return ok;
}

/* look_at_parent - the build is the child of a retry. Once that one has ended, the request is the
 * next attempt of its chain; its end may be a moment away. */
static void look_at_parent(struct rb_exchange *ex, struct rb_store_session *ses)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *parent = NULL;
    struct rb_err err = {.code = RB_OK};
    struct rb_admission *a = ex->admissions[0];
    enum rb_code rc = rb_store_get(ses, ex->retry_id, &parent, &err);
    if (rc != RB_OK) {
        rb_door_error(ex, "ServiceUnavailableException", "The store is away; ask again.");
        return;
    }
    if (!rb_state_terminal(parent->state)) {
        if (rb_boot_ms(ex->httpd->deps.clock) < ex->door->parent_ms) {
            rb_door_look_again(ex, look_at_parent);
        } else {
            rb_door_error(ex, "InvalidInputException", still_running, ex->door->build_id);
        }
        return;
    }
    rb_engine_person_continue(a, parent);
    (void)rb_store_admit(ses, &a, 1, rb_now_ms(ex->httpd->deps.clock), &err);
    if (admitted(ex, a)) {
        rb_door_look(ex, ses);
    }
}

/* stopping - the threads that would go on may be gone; the same request again finds the retry. */
static bool stopping(struct rb_exchange *ex)
{
    if (!atomic_load(&ex->httpd->stopping)) {
        return false;
    }
    rb_door_error(ex, "ServiceUnavailableException", "The service is stopping; ask again.");
    return true;
}

static void finish(struct rb_exchange *ex)
{
    const struct rb_admission *a = ex->admissions[0];
    if (stopping(ex)) {
        return;
    }
    if (a->rc == RB_OK && a->result == RB_ADMIT_CHILD) {
        (void)memcpy(ex->retry_id, a->retry_id, sizeof ex->retry_id);
        rb_exchange_job(ex, look_at_parent);
    } else if (admitted(ex, a)) {
        rb_exchange_job(ex, rb_door_look);
    }
}

/* ---- the request ---- */

struct ask {
    const char *id, *token; /* in the arena */
};

static bool text_member(struct rb_exchange *ex, const json_t *body, const char *name,
                        const char **ret_s)
{
    const json_t *v = json_object_get(body, name);
    if (v != NULL && !json_is_null(v) && !json_is_string(v)) {
        rb_door_error(ex, "SerializationException", "%s is not a string", name);
        return false;
    }
    *ret_s = rb_arena_strdup(&ex->arena, json_string_value(v));
    if (*ret_s == NULL && json_is_string(v)) {
        rb_door_error(ex, "InvalidInputException", "%s is too long", name);
        return false;
    }
    return true;
}

static bool read_ask(struct rb_exchange *ex, struct ask *ret)
{
    RB_CLEANUP(rb_json_decrefp) json_t *body = NULL;
    struct rb_err err = {.code = RB_OK};
    if (rb_json_load(rb_buf_str(&ex->body), ex->body.len, &body, &err) != RB_OK) {
        rb_door_error(ex, "SerializationException", "%s", err.msg);
        return false;
    }
    if (!json_is_object(body)) {
        rb_door_error(ex, "SerializationException", "The body is not an object");
        return false;
    }
    if (!text_member(ex, body, "id", &ret->id) ||
        !text_member(ex, body, "idempotencyToken", &ret->token)) {
        return false;
    }
    if (ret->token != NULL && strlen(ret->token) > TOKEN_MAX_BYTES) {
        rb_door_error(ex, "InvalidInputException", "idempotencyToken is longer than %d bytes",
                      TOKEN_MAX_BYTES);
        return false;
    }
    return true;
}

static bool read_build(struct rb_exchange *ex, const char *id, struct rb_build *b)
{
    if (rb_str_empty(id) || rb_build_parse_ref(id, &ex->arena, b, NULL) != RB_OK) {
        rb_door_error(ex, "InvalidInputException", "Invalid build ID provided");
        return false;
    }
    if (b->region != NULL && strcmp(b->region, ex->door->region) != 0) {
        rb_door_error(ex, "InvalidInputException",
                      "Invalid build ID provided: it is of %s, the request of %s", b->region,
                      ex->door->region);
        return false;
    }
    b->region = ex->door->region;
    if (b->account == NULL) {
        b->account = rb_whose_own(ex);
    }
    return true;
}

/* call_token - what makes two requests the same call: the caller's token, else the id that SDKs
 * send with every attempt of a call; NULL = nothing does. Of one region, as AWS's tokens are. */
static const char *call_token(struct rb_exchange *ex, const char *token)
{
    if (!rb_str_empty(token)) {
        return rb_arena_printf(&ex->arena, "%s/token/%s", ex->door->region, token);
    }
    const char *id = MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, "amz-sdk-invocation-id");
    return rb_str_empty(id) ? NULL
                            : rb_arena_printf(&ex->arena, "%s/call/%s", ex->door->region, id);
}

static void admit(struct rb_exchange *ex)
{
    const struct rb_door *d = ex->door;
    struct rb_build build = RB_BUILD_INIT;
    struct rb_err err = {.code = RB_OK};
    (void)rb_build_parse_ref(d->build_id, &ex->arena, &build, NULL); /* it was parsed before */
    build.account = d->account;
    build.region = d->region;
    struct rb_person_request p = {
        .build = &build,
        .token = d->token,
        .caller = ex->actor,
        .delivery = {.source = "front-door",
                     .type = "front-door",
                     .key = ex->request_id,
                     .at_ms = rb_now_ms(ex->httpd->deps.clock)},
    };
    rb_exchange_trace(ex, &p.traceparent, &p.tracestate);
    if (rb_engine_person_new(ex->httpd->deps.engine, &p, &ex->admissions[0], &err) != RB_OK) {
        rb_door_error(ex, "ServiceUnavailableException", "No memory for the request.");
        return;
    }
    ex->n_events = 1;
    rb_exchange_admit(ex, finish);
}

/* ---- whose build it is ----
 *
 * Without an account this request and the retry of an event would be two for one failure, and the
 * caller waits anyway: so nothing is admitted without. Our own CodeBuild's answer is passed on as
 * it is; where there are several accounts, each is asked (whose.c).
 */

static void ask_accounts(struct rb_exchange *ex, struct rb_codebuild *c)
{
    struct rb_build build = RB_BUILD_INIT;
    struct rb_err err = {.code = RB_OK};
    int64_t until_ms = rb_boot_ms(ex->httpd->deps.clock) + ACCOUNTS_WAIT_MS;
    const struct rb_finder f =
        rb_finder_of(ex, c, until_ms < ex->door->until_ms ? until_ms : ex->door->until_ms);
    build.id = ex->door->build_id;
    build.region = ex->door->region;
    enum rb_code rc = rb_whose_ask(ex, &f, &build, &err);
    rb_finder_done(&f);
    if (rc == RB_OK) {
        ex->door->account = build.account;
    } else if (rc == RB_E_NOT_FOUND) {
        rb_door_error(ex, "ResourceNotFoundException", "Build %s does not exist",
                      ex->door->build_id);
    } else {
        rb_door_no_answer(ex, rc, &err);
    }
}

static void ask_account(struct rb_exchange *ex, struct rb_codebuild *c)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    struct rb_build build = RB_BUILD_INIT;
    struct rb_slice text = {NULL, 0};
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = RB_OK;
    if (!rb_door_get_build(ex, c, ex->door->build_id, &answer, &text, &rc, &err)) {
        if (rc != RB_OK) {
            rb_door_no_answer(ex, rc, &err);
        } else {
            rb_door_give(ex, &answer);
        }
        return;
    }
    if (text.ptr == NULL) {
        rb_door_error(ex, "ResourceNotFoundException", "Build %s does not exist",
                      ex->door->build_id);
    } else if (rb_json_load(text.ptr, text.len, &j, NULL) != RB_OK ||
               rb_codebuild_build_from_json(j, ex->door->region, &ex->arena, &build, NULL) !=
                   RB_OK ||
               build.account == NULL) {
        rb_door_error(ex, "ServiceUnavailableException",
                      "CodeBuild does not say whose build it is.");
    } else {
        ex->door->account = build.account;
    }
}

static void after_account(struct rb_exchange *ex)
{
    const char *account = ex->door->account;
    if (ex->status == 0 && account != NULL && !stopping(ex)) {
        rb_whose_learn(ex, account);
        admit(ex);
    }
}

void rb_door_retry(struct rb_exchange *ex)
{
    const struct rb_clock *clock = ex->httpd->deps.clock;
    struct rb_door *d = ex->door;
    struct rb_build build = RB_BUILD_INIT;
    struct ask ask = {.id = NULL};
    if (!read_ask(ex, &ask) || !read_build(ex, ask.id, &build)) {
        rb_source_result(ex, RB_RESULT_INVALID);
        return;
    }
    if (!rb_door_enter(ex)) {
        rb_source_result(ex, RB_RESULT_OVERLOADED);
        return;
    }
    d->build_id = build.id;
    d->account = build.account;
    d->token = call_token(ex, ask.token);
    d->until_ms = rb_boot_ms(clock) + ex->view->settings->front_door.wait_ms;
    d->parent_ms = rb_boot_ms(clock) + PARENT_WAIT_MS;
    if (d->account != NULL) {
        admit(ex);
    } else {
        ex->finish = after_account;
        rb_exchange_call(ex, ex->view->settings->aws.n_accounts > 0 ? ask_accounts : ask_account);
    }
}
