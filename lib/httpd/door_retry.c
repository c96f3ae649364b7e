/* door_retry.c - RetryBuild at the front door: a retry like one that a person asks for, answered
 * with AWS's Build of the child once the call was made.
 *
 * The idempotency token is the caller's own, in its region; the id that SDKs send with every
 * attempt of one call counts like the id of a delivery, so that an attempt without a token is no
 * second retry. The answer waits at most api.front_door.wait; then the client is told to ask again,
 * and finds the same retry.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "door.h"

#define PARENT_WAIT_MS 3000
#define TYPE_MAX_BYTES 64
#define PAUSED_MAX_BYTES (256 * 1024)

static const char still_running[] = "Build %s is still running";

static const char *const looked_up_by[] = {": RetryBuild: ", ": BatchGetBuilds: "};
static const char *const forbidden[] = {"projects-deny", "projects-allow", "foreign-account"};

/* ---- the answer ---- */

/* first_build - the text of the first object in "builds", as AWS wrote it; nothing when there is
 * none. */
static struct rb_slice first_build(const struct rb_buf *body)
{
    struct rb_json_reader r;
    struct rb_json_token t;
    struct rb_slice none = {NULL, 0};
    rb_json_reader_init(&r, rb_buf_str(body), body->len);
    r.max_tokens = RB_JSON_LOAD_MAX_TOKENS;
    if (rb_json_next(&r, &t, NULL) != RB_OK || t.type != RB_JSON_OBJECT_BEGIN) {
        return none;
    }
    while (rb_json_next(&r, &t, NULL) == RB_OK && t.type == RB_JSON_KEY) {
        if (!rb_json_key_is(&t, "builds")) {
            if (rb_json_skip(&r, NULL) != RB_OK) {
                return none;
            }
            continue;
        }
        if (rb_json_next(&r, &t, NULL) != RB_OK || t.type != RB_JSON_ARRAY_BEGIN ||
            rb_json_next(&r, &t, NULL) != RB_OK || t.type != RB_JSON_OBJECT_BEGIN) {
            return none;
        }
        const char *start = r.p - 1;
        return rb_json_skip_rest(&r, &t, NULL) == RB_OK
                   ? (struct rb_slice){start, (size_t)(r.p - start)}
                   : none;
    }
    return none;
}

static bool time_is_up(const struct rb_exchange *ex)
{
    return rb_boot_ms(ex->httpd->deps.clock) >= ex->door->until_ms;
}

static void look(struct rb_exchange *ex, struct rb_store_session *ses);

/* fetch - the child as CodeBuild shows it. What fails is tried again until the time is up. */
static void fetch(struct rb_exchange *ex, struct rb_codebuild *c)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(1024);
    struct rb_err err = {.code = RB_OK};
    const char *id = ex->door->child_id;
    rb_buf_adds(&body, "{\"ids\":[");
    rb_buf_add_json_string(&body, id, strlen(id));
    rb_buf_adds(&body, "]}");
    enum rb_code rc =
        rb_codebuild_pass(c, ex->door->region, "BatchGetBuilds", &body, &answer, &err);
    struct rb_slice build = {NULL, 0};
    if (rc == RB_OK && answer.status == 200) {
        build = first_build(&answer.body);
    }
    if (build.ptr != NULL) {
        rb_buf_adds(&ex->answer, "{\"build\":");
        rb_buf_add(&ex->answer, build.ptr, build.len);
        rb_buf_addc(&ex->answer, '}');
        rb_door_body(ex, 200);
    } else if (!time_is_up(ex)) {
        rb_door_look_again(ex, look);
    } else if (rc != RB_OK) {
        rb_door_no_answer(ex, rc, &err);
    } else {
        rb_door_error(ex, "ServiceUnavailableException",
                      "Build %s was started, but CodeBuild does not show it yet; ask again.", id);
    }
}

/* aws_error - "…: RetryBuild: AccessDenied: text" of a note is AWS's own error again. */
static bool aws_error(struct rb_exchange *ex, const char *note)
{
    for (size_t i = 0; i < sizeof looked_up_by / sizeof looked_up_by[0]; i++) {
        const char *at = strstr(note, looked_up_by[i]);
        if (at == NULL) {
            continue;
        }
        at += strlen(looked_up_by[i]);
        size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
        if (len == 0 || len > TYPE_MAX_BYTES || (at[len] != '\0' && at[len] != ':')) {
            continue;
        }
        const char *text = at + len + (at[len] == ':' ? 1 : 0);
        text += strspn(text, " ");
        const char *type = rb_arena_printf(&ex->arena, "%.*sException", (int)len, at);
        rb_door_error(ex, type == NULL ? "InvalidInputException" : type, "%s", text);
        return true;
    }
    return false;
}

static void answer_ended(struct rb_exchange *ex, const struct rb_retry *r)
{
    const char *rule = r->state == RB_STATE_REFUSED ? r->decision.rule : NULL;
    const char *why = r->decision.reason;
    const char *type =
        r->state == RB_STATE_IGNORED ? "AccessDeniedException" : "InvalidInputException";
    for (unsigned i = r->n_history; i-- > 0;) {
        if (r->history[i].note != NULL && r->history[i].state == r->state) {
            why = r->history[i].note;
            break;
        }
    }
    why = why == NULL ? "no reason was kept" : why;
    if (aws_error(ex, why)) {
        return;
    }
    if (strcmp(why, "CodeBuild does not know this build") == 0) {
        rb_door_error(ex, "ResourceNotFoundException", "Build %s does not exist", r->build.id);
        return;
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        if (rule != NULL && strcmp(rule, forbidden[i]) == 0) {
            type = "AccessDeniedException";
        }
    }
    rb_door_error(ex, type, "Retry %s ended as %s: %s", r->id, rb_state_name(r->state), why);
}

/* ---- looking ---- */

static bool is_paused(struct rb_store_session *ses, const char *project)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena arena;
    const char **names = NULL;
    unsigned n = 0;
    bool paused = false;
    rb_arena_init(&arena, PAUSED_MAX_BYTES);
    if (rb_store_paused(ses, &arena, &names, &n, NULL) == RB_OK) {
        for (unsigned i = 0; i < n && !paused; i++) {
            paused = strcmp(names[i], "*") == 0 || rb_str_eq(names[i], project);
        }
    }
    return paused;
}

static const char *last_note(const struct rb_retry *r)
{
    const char *note = r->n_history == 0 ? NULL : r->history[r->n_history - 1].note;
    return note == NULL ? "" : note;
}

static void not_yet(struct rb_exchange *ex, struct rb_store_session *ses, const struct rb_retry *r)
{
    bool before = r->state == RB_STATE_RECEIVED || r->state == RB_STATE_SCHEDULED;
    if (before && is_paused(ses, r->build.project)) {
        rb_door_error(ex, "ThrottlingException",
                      "Retries of %s are paused: retry %s waits for `retrybuild resume`.",
                      r->build.project, r->id);
    } else if (!time_is_up(ex)) {
        rb_door_look_again(ex, look);
    } else {
        rb_door_error(ex, "ServiceUnavailableException",
                      "Retry %s is still %s; the same request again finds it. %s", r->id,
                      rb_state_name(r->state), last_note(r));
    }
}

/* look - has the call of this retry been made? */
static void look(struct rb_exchange *ex, struct rb_store_session *ses)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_door *d = ex->door;
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_store_get(ses, ex->retry_id, &r, &err);
    if (rc != RB_OK && !time_is_up(ex)) {
        rb_door_look_again(ex, look);
    } else if (rc != RB_OK) {
        rb_door_error(ex, "ServiceUnavailableException", "The store is away; ask again.");
    } else if (!rb_str_eq(r->build.id, d->build_id)) {
        rb_door_error(ex, "InvalidInputException",
                      "Parameter mismatch: this call was made before with another build.");
    } else if (r->has_child) {
        d->child_id = rb_arena_strdup(&ex->arena, r->child.id);
        if (d->child_id == NULL) {
            rb_door_error(ex, "ServiceUnavailableException", "No memory for the request.");
            return;
        }
        ex->call = fetch;
        ex->next_step = RB_NEXT_CALL;
    } else if (r->state == RB_STATE_HELD) {
        rb_door_error(ex, "InvalidInputException",
                      "Retry %s of this build is held for a person: approve or deny it. %s", r->id,
                      last_note(r));
    } else if (rb_state_terminal(r->state)) {
        answer_ended(ex, r);
    } else {
        not_yet(ex, ses, r);
    }
}

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
        rb_door_error(ex, "ServiceUnavailableException",
                      "The store is away; nothing was accepted, ask again.");
    } else if (a->result == RB_ADMIT_MISMATCH) {
        result = RB_RESULT_MISMATCH;
        rb_door_error(ex, "InvalidInputException",
                      "Parameter mismatch: this idempotency token was used with another build.");
    } else {
        ok = true;
        result = a->result == RB_ADMIT_NEW ? RB_RESULT_ACCEPTED : RB_RESULT_DUPLICATE;
        (void)memcpy(ex->retry_id, a->retry_id, sizeof ex->retry_id);
    }
    rb_metric_add(ex->source->results[result], 1);
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
        look(ex, ses);
    }
}

static void finish(struct rb_exchange *ex)
{
    const struct rb_admission *a = ex->admissions[0];
    if (a->rc == RB_OK && a->result == RB_ADMIT_CHILD) {
        (void)memcpy(ex->retry_id, a->retry_id, sizeof ex->retry_id);
        rb_exchange_job(ex, look_at_parent);
    } else if (admitted(ex, a)) {
        rb_exchange_job(ex, look);
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
    return text_member(ex, body, "id", &ret->id) &&
           text_member(ex, body, "idempotencyToken", &ret->token);
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
        b->account = rb_arena_strdup(&ex->arena, ex->view->settings->aws.account);
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

void rb_door_retry(struct rb_exchange *ex)
{
    const struct rb_clock *clock = ex->httpd->deps.clock;
    struct rb_build build = RB_BUILD_INIT;
    struct ask ask = {.id = NULL};
    struct rb_err err = {.code = RB_OK};
    if (!read_ask(ex, &ask) || !read_build(ex, ask.id, &build)) {
        rb_metric_add(ex->source->results[RB_RESULT_INVALID], 1);
        return;
    }
    if (!rb_door_enter(ex)) {
        rb_metric_add(ex->source->results[RB_RESULT_OVERLOADED], 1);
        return;
    }
    ex->door->build_id = build.id;
    ex->door->until_ms = rb_boot_ms(clock) + ex->view->settings->front_door.wait_ms;
    ex->door->parent_ms = rb_boot_ms(clock) + PARENT_WAIT_MS;
    const struct rb_person_request p = {
        .build = &build,
        .token = call_token(ex, ask.token),
        .caller = ex->actor,
        .delivery = {.source = "front-door",
                     .type = "front-door",
                     .key = ex->request_id,
                     .at_ms = rb_now_ms(clock)},
    };
    enum rb_code rc = rb_engine_person_new(ex->httpd->deps.engine, &p, &ex->admissions[0], &err);
    if (rc != RB_OK) {
        rb_door_error(ex, "ServiceUnavailableException", "No memory for the request.");
        return;
    }
    ex->n_events = 1;
    rb_exchange_admit(ex, finish);
}
