/* explain.c - POST /v1/explain?source=TYPE with a payload, or ?retry=ID: the decision and why,
 * without effect; GET /v1/stats: what the ledger knows. Jobs of the API thread. */
#include <string.h>

#include <retrybuild/random.h>

#include "private.h"

struct query {
    const char *source, *retry, *unknown;
};

static enum MHD_Result take_argument(void *cls, enum MHD_ValueKind kind, const char *key,
                                     const char *value)
{
    struct query *q = cls;
    (void)kind;
    if (strcmp(key, "source") == 0) {
        q->source = value;
    } else if (strcmp(key, "retry") == 0) {
        q->retry = value;
    } else {
        q->unknown = key;
    }
    return MHD_YES;
}

static bool read_query(struct rb_exchange *ex, struct query *q)
{
    MHD_get_connection_values(ex->mhd, MHD_GET_ARGUMENT_KIND, take_argument, q);
    if (q->unknown != NULL) {
        rb_answer_problem(ex, 400, "unknown parameter '%.64s'; known are source, retry",
                          q->unknown);
    } else if ((q->source == NULL) == (q->retry == NULL)) {
        rb_answer_problem(ex, 400,
                          "say what the body is by ?source=TYPE, such as eventbridge, or name a "
                          "past retry by ?retry=ID");
    } else if (q->source != NULL && ex->body.len == 0) {
        rb_answer_problem(ex, 400, "the body is empty: it must be what the source would send");
    } else if (q->retry != NULL && rb_id_shard("rty_", q->retry) < 0) {
        rb_answer_problem(ex, 404, "there is no retry of this id");
    } else {
        return true;
    }
    return false;
}

static void explain_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct query q = {.source = NULL};
    struct rb_request req;
    struct rb_err err = {.code = RB_OK};
    if (!read_query(ex, &q)) {
        return;
    }
    rb_hook_request(ex, &req);
    enum rb_code rc = rb_engine_explain(ex->httpd->deps.engine, ses, q.source,
                                        q.source == NULL ? NULL : &req, q.retry, &ex->answer, &err);
    if (rc == RB_OK) {
        rb_answer_json(ex, 200);
    } else if (rc == RB_E_INVALID || rc == RB_E_TOO_LARGE) {
        rb_answer_problem(ex, 400, "%s", err.msg);
    } else {
        rb_answer_err(ex, rc, &err);
    }
}

void rb_handle_explain(struct rb_exchange *ex)
{
    rb_exchange_job(ex, explain_job);
}

static void stats_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_engine_stats(ex->httpd->deps.engine, ses, &ex->answer, &err);
    if (rc == RB_OK) {
        rb_answer_json(ex, 200);
    } else {
        rb_answer_err(ex, rc, &err);
    }
}

void rb_handle_stats(struct rb_exchange *ex)
{
    rb_exchange_job(ex, stats_job);
}
