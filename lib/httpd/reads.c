/* reads.c - GET /v1/retries and /v1/retries/{id}: jobs of the API thread. */
#include <string.h>

#include <retrybuild/record.h>
#include <retrybuild/timefmt.h>

#include <retrybuild/cleanup.h>

#include "private.h"

#define DEFAULT_LIMIT 50
#define MAX_LIMIT 200

struct query {
    const char *state, *project, *source, *since, *limit, *cursor, *q;
    const char *unknown;
    const char *repeated;
};

static enum MHD_Result take_argument(void *cls, enum MHD_ValueKind kind, const char *key,
                                     const char *value)
{
    struct query *q = cls;
    (void)kind;
    const struct {
        const char *name;
        const char **into;
    } known[] = {{"state", &q->state}, {"project", &q->project}, {"source", &q->source},
                 {"since", &q->since}, {"limit", &q->limit},     {"cursor", &q->cursor},
                 {"q", &q->q}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(key, known[i].name) == 0) {
            q->repeated = *known[i].into != NULL ? known[i].name : q->repeated;
            *known[i].into = value == NULL ? "" : value;
            return MHD_YES;
        }
    }
    q->unknown = key;
    return MHD_YES;
}

/* parse_since - a time, or a duration back from now. */
static bool parse_since(const char *s, int64_t now_ms, int64_t *ret_ms)
{
    int64_t ms = 0;
    if (rb_time_parse_iso(rb_slice_str(s), ret_ms)) {
        return true;
    }
    if (rb_parse_duration_ms(rb_slice_str(s), &ms)) {
        *ret_ms = now_ms - ms;
        return true;
    }
    return false;
}

static void wrong_state(struct rb_exchange *ex, const char *state)
{
    const char *names[RB_STATE_COUNT];
    for (unsigned i = 0; i < RB_STATE_COUNT; i++) {
        names[i] = rb_state_name((enum rb_state)i);
    }
    const char *near = rb_nearest(state, names, RB_STATE_COUNT);
    if (near == NULL) {
        rb_answer_problem(ex, 400, "'%.64s' is not a state", state);
    } else {
        rb_answer_problem(ex, 400, "'%.64s' is not a state; did you mean '%s'?", state, near);
    }
}

static bool build_filter(struct rb_exchange *ex, const struct query *q, struct rb_filter *f)
{
    uint64_t limit = DEFAULT_LIMIT;
    if (q->unknown != NULL) {
        rb_answer_problem(
            ex, 400,
            "unknown filter '%.64s'; known are state, project, source, since, limit, cursor, q",
            q->unknown);
    } else if (q->repeated != NULL) {
        rb_answer_problem(ex, 400, "'%s' may be given once", q->repeated);
    } else if (q->state != NULL && !rb_state_parse(q->state, &f->state)) {
        wrong_state(ex, q->state);
    } else if (q->since != NULL &&
               !parse_since(q->since, rb_now_ms(ex->httpd->deps.clock), &f->since_ms)) {
        rb_answer_problem(ex, 400,
                          "'since' must be a time (2026-11-03T14:00:00Z) or a duration (24h)");
    } else if (q->limit != NULL &&
               (!rb_parse_u64(rb_slice_str(q->limit), &limit) || limit < 1 || limit > MAX_LIMIT)) {
        rb_answer_problem(ex, 400, "'limit' must be 1 to %d", MAX_LIMIT);
    } else {
        f->by_state = q->state != NULL;
        f->project = q->project;
        f->source = q->source;
        f->limit = (unsigned)limit;
        f->cursor = q->cursor;
        return true;
    }
    return false;
}

static void list_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct query q = {.state = NULL};
    struct rb_filter f = {.by_state = false};
    MHD_get_connection_values(ex->mhd, MHD_GET_ARGUMENT_KIND, take_argument, &q);
    if (!build_filter(ex, &q, &f)) {
        return;
    }
    struct rb_retry *items[MAX_LIMIT] = {NULL};
    unsigned n = 0;
    char next[RB_CURSOR_BYTES] = "";
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_str_empty(q.q) ? rb_store_list(ses, &f, items, &n, next, &err)
                                        : rb_search(ex, ses, &f, q.q, items, &n, next, &err);
    if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
        return;
    }
    rb_buf_adds(&ex->answer, "{\"retries\":[");
    for (unsigned i = 0; i < n; i++) {
        rb_buf_adds(&ex->answer, i == 0 ? "" : ",");
        rb_retry_write_json(items[i], &ex->answer);
        rb_retry_free(items[i]);
    }
    rb_buf_adds(&ex->answer, "],\"next\":");
    rb_buf_add_json_string(&ex->answer, next[0] == '\0' ? NULL : next, strlen(next));
    rb_buf_adds(&ex->answer, "}\n");
    rb_answer_json(ex, 200);
}

void rb_handle_retries_list(struct rb_exchange *ex)
{
    rb_exchange_job(ex, list_job);
}

bool rb_take_retry_id(struct rb_exchange *ex)
{
    char id[RB_ID_BYTES] = "";
    if (ex->param.len == RB_ID_BYTES - 1) {
        (void)memcpy(id, ex->param.ptr, ex->param.len);
    }
    if (rb_id_shard("rty_", id) < 0) {
        rb_answer_problem(ex, 404, "there is no retry of this id");
        return false;
    }
    (void)memcpy(ex->retry_id, id, sizeof id);
    return true;
}

static void show(struct rb_exchange *ex, enum rb_code rc, const struct rb_retry *r,
                 const struct rb_err *err)
{
    if (rc == RB_E_NOT_FOUND) {
        rb_answer_problem(ex, 404, "there is no retry of this id");
    } else if (rc != RB_OK) {
        rb_answer_err(ex, rc, err);
    } else {
        rb_retry_write_json(r, &ex->answer);
        rb_buf_addc(&ex->answer, '\n');
        rb_answer_json(ex, 200);
    }
}

static void get_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(ses, ex->retry_id, &r, &err);
    show(ex, rc, r, &err);
}

void rb_handle_retry_get(struct rb_exchange *ex)
{
    if (rb_take_retry_id(ex)) {
        rb_exchange_job(ex, get_job);
    }
}

/* ---- verbs on one retry ---- */

static void act(struct rb_exchange *ex, struct rb_store_session *ses, enum rb_verb verb)
{
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    enum rb_code rc =
        rb_engine_act(ex->httpd->deps.engine, ses, ex->retry_id, verb, ex->actor, &r, &err);
    show(ex, rc, r, &err);
}

static void cancel_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    act(ex, ses, RB_VERB_CANCEL);
}

static void approve_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    act(ex, ses, RB_VERB_APPROVE);
}

static void deny_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    act(ex, ses, RB_VERB_DENY);
}

static void requeue_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    act(ex, ses, RB_VERB_REQUEUE);
}

static void start_verb(struct rb_exchange *ex,
                       void (*job)(struct rb_exchange *ex, struct rb_store_session *ses))
{
    if (rb_take_retry_id(ex)) {
        rb_exchange_job(ex, job);
    }
}

void rb_handle_cancel(struct rb_exchange *ex)
{
    start_verb(ex, cancel_job);
}

void rb_handle_approve(struct rb_exchange *ex)
{
    start_verb(ex, approve_job);
}

void rb_handle_deny(struct rb_exchange *ex)
{
    start_verb(ex, deny_job);
}

void rb_handle_requeue(struct rb_exchange *ex)
{
    start_verb(ex, requeue_job);
}
