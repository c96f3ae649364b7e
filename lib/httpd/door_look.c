/* door_look.c - what became of a retry that a front-door caller waits for, and the answer. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "door.h"

#define TYPE_MAX_BYTES 64
#define PAUSED_MAX_BYTES (256 * 1024)

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

bool rb_door_get_build(struct rb_exchange *ex, struct rb_codebuild *c, const char *id,
                       struct rb_http_answer *ret_answer, struct rb_slice *ret_text,
                       enum rb_code *ret_rc, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(1024);
    rb_buf_adds(&body, "{\"ids\":[");
    rb_buf_add_json_string(&body, id, strlen(id));
    rb_buf_adds(&body, "]}");
    *ret_rc = rb_codebuild_pass(c, ex->door->region, "BatchGetBuilds", &body, ret_answer, err);
    if (*ret_rc != RB_OK || ret_answer->status != 200) {
        return false;
    }
    *ret_text = first_build(&ret_answer->body);
    return true;
}

/* fetch - the child as CodeBuild shows it. What fails is tried again until the time is up. */
static void fetch(struct rb_exchange *ex, struct rb_codebuild *c)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    struct rb_slice build = {NULL, 0};
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = RB_OK;
    (void)rb_door_get_build(ex, c, ex->door->child_id, &answer, &build, &rc, &err);
    if (build.ptr != NULL) {
        rb_buf_adds(&ex->answer, "{\"build\":");
        rb_buf_add(&ex->answer, build.ptr, build.len);
        rb_buf_addc(&ex->answer, '}');
        rb_door_body(ex, 200);
    } else if (!time_is_up(ex)) {
        rb_door_look_again(ex, rb_door_look);
    } else if (rc != RB_OK) {
        rb_door_no_answer(ex, rc, &err);
    } else {
        rb_door_error(ex, "ServiceUnavailableException",
                      "Build %s was started, but CodeBuild does not show it yet; ask again.",
                      ex->door->child_id);
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
    bool set_aside = r->state == RB_STATE_SCHEDULED && rb_str_starts(last_note(r), "paused");
    if (set_aside && is_paused(ses, r->build.project)) {
        rb_door_error(ex, "ThrottlingException",
                      "Retries of %s are paused: retry %s waits for `retrybuild resume`.",
                      r->build.project, r->id);
    } else if (!time_is_up(ex)) {
        rb_door_look_again(ex, rb_door_look);
    } else {
        rb_door_error(ex, "ServiceUnavailableException",
                      "Retry %s is still %s; the same request again finds it. %s", r->id,
                      rb_state_name(r->state), last_note(r));
    }
}

void rb_door_look(struct rb_exchange *ex, struct rb_store_session *ses)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    struct rb_door *d = ex->door;
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_store_get(ses, ex->retry_id, &r, &err);
    if (rc != RB_OK && !time_is_up(ex)) {
        rb_door_look_again(ex, rb_door_look);
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
