/* retries.c - POST /v1/retries: a person or a program asks for a build to run again. */
#include <string.h>

#include <retrybuild/json.h>
#include <retrybuild/record.h>

#include <retrybuild/cleanup.h>

#include "callback.h"
#include "hook_find.h"
#include "private.h"
#include "traced.h"

#define ACCOUNT_LEN 12
#define TOKEN_BYTES_MAX 256
#define REASON_BYTES_MAX 500
#define CALLBACK_BYTES_MAX 2048

struct ask {
    const char *id, *token, *account, *region, *reason, *callback_url;
    bool force;
};

/* text_member - an optional string of at most @max bytes; false after a problem was answered. */
static bool text_member(struct rb_exchange *ex, const json_t *body, const char *name, size_t max,
                        const char **ret_s)
{
    const json_t *v = json_object_get(body, name);
    if (v == NULL || json_is_null(v)) {
        return true;
    }
    if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > max) {
        rb_answer_problem(ex, 400, "'%s' must be a string of 1 to %zu bytes", name, max);
        return false;
    }
    *ret_s = json_string_value(v);
    return true;
}

static bool only_known_members(struct rb_exchange *ex, json_t *body)
{
    static const char *const known[] = {"id",    "idempotencyToken", "account",     "region",
                                        "force", "reason",           "callback_url"};
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(body, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            found = found || strcmp(known[i], key) == 0;
        }
        if (!found) {
            const char *near = rb_nearest(key, known, sizeof known / sizeof known[0]);
            rb_answer_problem(ex, 400, "unknown member '%.64s'%s%s%s", key,
                              near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                              near == NULL ? "" : "'?");
            return false;
        }
    }
    return true;
}

static bool read_ask(struct rb_exchange *ex, json_t *body, struct ask *ret)
{
    if (!json_is_object(body)) {
        rb_answer_problem(ex, 400, "the body must be an object: {\"id\": \"project:uuid\"}");
        return false;
    }
    if (!only_known_members(ex, body) || !text_member(ex, body, "id", 512, &ret->id) ||
        !text_member(ex, body, "idempotencyToken", TOKEN_BYTES_MAX, &ret->token) ||
        !text_member(ex, body, "account", 12, &ret->account) ||
        !text_member(ex, body, "region", 32, &ret->region) ||
        !text_member(ex, body, "reason", REASON_BYTES_MAX, &ret->reason) ||
        !text_member(ex, body, "callback_url", CALLBACK_BYTES_MAX, &ret->callback_url)) {
        return false;
    }
    const json_t *force = json_object_get(body, "force");
    if (force != NULL && !json_is_boolean(force)) {
        rb_answer_problem(ex, 400, "'force' must be true or false");
        return false;
    }
    ret->force = json_is_true(force);
    if (ret->id == NULL) {
        rb_answer_problem(ex, 400, "'id' is missing: the build as project:uuid or its ARN");
        return false;
    }
    const char *header = MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, "Idempotency-Key");
    if (header != NULL && ret->token != NULL && strcmp(header, ret->token) != 0) {
        rb_answer_problem(ex, 400, "Idempotency-Key and idempotencyToken differ");
        return false;
    }
    if (header != NULL && (header[0] == '\0' || strlen(header) > TOKEN_BYTES_MAX)) {
        rb_answer_problem(ex, 400, "Idempotency-Key must have 1 to %d bytes", TOKEN_BYTES_MAX);
        return false;
    }
    ret->token = header == NULL ? ret->token : header;
    return true;
}

/* complete_build - account and region from the ARN, the body, or the configuration. */
static bool complete_build(struct rb_exchange *ex, const struct ask *ask, struct rb_build *b)
{
    const struct rb_settings *s = ex->view->settings;
    struct rb_err err = {.code = RB_OK};
    if (rb_build_parse_ref(ask->id, &ex->arena, b, &err) != RB_OK) {
        rb_answer_problem(ex, 400, "'id': %s", err.msg);
        return false;
    }
    if ((b->account != NULL && ask->account != NULL && strcmp(b->account, ask->account) != 0) ||
        (b->region != NULL && ask->region != NULL && strcmp(b->region, ask->region) != 0)) {
        rb_answer_problem(ex, 400,
                          "'id' is an ARN of another account or region than the one given");
        return false;
    }
    if (ask->account != NULL && (strlen(ask->account) != ACCOUNT_LEN ||
                                 strspn(ask->account, "0123456789") != ACCOUNT_LEN)) {
        rb_answer_problem(ex, 400, "'account' must be the 12 digits of an account id");
        return false;
    }
    if (ask->region != NULL &&
        strspn(ask->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(ask->region)) {
        rb_answer_problem(ex, 400, "'region' must be a region such as us-east-1");
        return false;
    }
    b->account = b->account != NULL     ? b->account
                 : ask->account != NULL ? ask->account
                                        : rb_settings_own_account(s);
    b->region = b->region != NULL ? b->region : ask->region != NULL ? ask->region : s->aws.region;
    b->account = rb_arena_strdup(&ex->arena, b->account);
    b->region = rb_arena_strdup(&ex->arena, b->region);
    return true;
}

static void load_and_show(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(ses, ex->retry_id, &r, &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    rb_retry_write_json(r, &ex->answer);
    rb_buf_addc(&ex->answer, '\n');
    rb_answer_json(ex, ex->status);
}

/* outcome - what the store said of the admission: a problem is answered, or status and id are set
 * for the job that shows the retry. False after a problem. */
static bool outcome(struct rb_exchange *ex, const struct rb_admission *a)
{
    enum rb_delivery_result result = RB_RESULT_ACCEPTED;
    if (a->rc != RB_OK) {
        result = a->rc == RB_E_FULL ? RB_RESULT_OVERLOADED : RB_RESULT_UNAVAILABLE;
        if (a->rc == RB_E_FULL) {
            rb_answer_problem(ex, 429, "too many retries are waiting; ask again later");
        } else {
            rb_answer_problem(ex, 503, "%s; nothing was accepted, ask again",
                              rb_store_trouble(a->rc));
        }
    } else if (a->result == RB_ADMIT_MISMATCH) {
        result = RB_RESULT_MISMATCH;
        rb_answer_problem(ex, 422, "this idempotency token was used with other parameters");
    } else {
        bool duplicate = a->result != RB_ADMIT_NEW;
        result = duplicate ? RB_RESULT_DUPLICATE : RB_RESULT_ACCEPTED;
        ex->status = duplicate ? 200 : 202;
        if (duplicate) {
            rb_answer_header(ex, "Idempotent-Replayed", "true");
        }
        (void)memcpy(ex->retry_id, a->retry_id, sizeof ex->retry_id);
    }
    rb_source_result(ex, result);
    return result == RB_RESULT_ACCEPTED || result == RB_RESULT_DUPLICATE;
}

/* continue_chain - the build is the child of a retry. While that one lives it is the answer; once
 * it has ended, the request is the next attempt of its chain. */
static void continue_chain(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_err err = {.code = RB_OK};
    struct rb_admission *a = ex->admissions[0];
    RB_CLEANUP(rb_retry_freep) struct rb_retry *parent = NULL;
    enum rb_code rc = rb_store_get(ses, a->retry_id, &parent, &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    if (rb_state_terminal(parent->state)) {
        rb_engine_person_continue(a, parent);
        (void)rb_store_admit(ses, &a, 1, rb_now_ms(ex->httpd->deps.clock), &err);
    }
    if (outcome(ex, a)) {
        load_and_show(ex, ses);
    }
}

static void finish(struct rb_exchange *ex)
{
    const struct rb_admission *a = ex->admissions[0];
    if (a->rc == RB_OK && a->result == RB_ADMIT_CHILD) {
        rb_exchange_job(ex, continue_chain);
    } else if (outcome(ex, a)) {
        rb_exchange_job(ex, load_and_show);
    }
}

static void admit_build(struct rb_exchange *ex, const struct ask *ask, const struct rb_build *build,
                        bool account_found)
{
    struct rb_person_request p = {
        .build = build,
        .account_found = account_found,
        .token = ask->token,
        .caller = ex->actor,
        .reason = ask->reason,
        .callback_url = ask->callback_url,
        .force = ask->force,
        .delivery = {.source = "api",
                     .type = "api",
                     .key = ask->token,
                     .at_ms = rb_now_ms(ex->httpd->deps.clock)},
    };
    rb_exchange_trace(ex, &p.traceparent, &p.tracestate);
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_engine_person_new(ex->httpd->deps.engine, &p, &ex->admissions[0], &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    ex->n_events = 1;
    rb_exchange_admit(ex, finish);
}

/* read_body - parse and check; false after a problem was answered. @ret_body holds what @ret_ask
 * borrows. */
static bool read_body(struct rb_exchange *ex, json_t **ret_body, struct ask *ret_ask)
{
    struct rb_err err = {.code = RB_OK};
    if (rb_json_load(ex->body.len == 0 ? "" : ex->body.data, ex->body.len, ret_body, &err) !=
        RB_OK) {
        rb_answer_problem(ex, 400, "%s", err.msg);
        return false;
    }
    return read_ask(ex, *ret_body, ret_ask);
}

/* admit_found - its account was asked for, and is there unless nobody could tell. */
static void admit_found(struct rb_exchange *ex, struct rb_build *b)
{
    RB_CLEANUP(rb_json_decrefp) json_t *body = NULL;
    struct ask ask = {.id = NULL};
    if (read_body(ex, &body, &ask)) {
        admit_build(ex, &ask, b, true);
    }
}

static void admit(struct rb_exchange *ex, const struct ask *ask)
{
    struct rb_build build = RB_BUILD_INIT;
    if (!complete_build(ex, ask, &build)) {
        return;
    }
    if (build.account != NULL) {
        admit_build(ex, ask, &build, false);
        return;
    }
    build.account = rb_whose_own(ex);
    rb_whose(ex, &build, admit_found);
}

/* check_callback - in the API thread, for it may ask a name server. The guard looks again when the
 * report is posted. */
static void check_callback(struct rb_exchange *ex, struct rb_store_session *ses)
{
    (void)ses;
    RB_CLEANUP(rb_json_decrefp) json_t *body = NULL;
    struct ask ask = {.id = NULL};
    struct rb_err err = {.code = RB_OK};
    if (read_body(ex, &body, &ask) &&
        rb_callback_check(ask.callback_url, ex->view->settings, &err) != RB_OK) {
        rb_answer_problem(ex, 422, "'callback_url': %s", err.msg);
    }
}

static void after_callback(struct rb_exchange *ex)
{
    RB_CLEANUP(rb_json_decrefp) json_t *body = NULL;
    struct ask ask = {.id = NULL};
    if (ex->status == 0 && read_body(ex, &body, &ask)) {
        admit(ex, &ask);
    } else {
        rb_source_result(ex, RB_RESULT_INVALID);
    }
}

void rb_handle_retries_post(struct rb_exchange *ex)
{
    ex->source = rb_view_api(ex->view);
    RB_CLEANUP(rb_json_decrefp) json_t *body = NULL;
    struct ask ask = {.id = NULL};
    if (read_body(ex, &body, &ask) && ask.callback_url != NULL) {
        ex->finish = after_callback;
        rb_exchange_job(ex, check_callback);
    } else if (ex->status == 0) {
        admit(ex, &ask);
    }
    if (ex->phase != RB_EX_WAITING && ex->status == 400) { /* waiting: no longer ours to read */
        rb_source_result(ex, RB_RESULT_INVALID);
    }
}
