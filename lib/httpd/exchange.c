/* exchange.c - one request from its headers to its answer.
 *
 * The library calls rb_httpd_access several times for a request: once with the headers, once for
 * each piece of the body, once at its end, and again after each resume. An exchange that waits
 * (store, API thread) is suspended; nothing but the loop thread suspends or resumes.
 */
#include <string.h>

#include "door.h"
#include "hook_find.h"
#include "private.h"

#define ARENA_MIN_BYTES ((size_t)256 * 1024)

struct rb_exchange *rb_exchange_new(struct rb_httpd *h, struct MHD_Connection *mhd)
{
    struct rb_exchange *ex = h->spare;
    if (ex != NULL) {
        h->spare = ex->next;
        h->n_spare--;
    } else {
        ex = calloc(1, sizeof *ex);
        if (ex == NULL) {
            return NULL;
        }
        rb_arena_init(&ex->arena, ARENA_MIN_BYTES);
        rb_buf_init(&ex->answer, RB_ANSWER_MAX_BYTES);
    }
    ex->httpd = h;
    ex->mhd = mhd;
    ex->view = h->view;
    ex->view->refs++;
    ex->phase = RB_EX_BODY;
    (void)clock_gettime(CLOCK_MONOTONIC, &ex->started);
    ex->content_type = "application/json";
    ex->body.max_bytes = ex->view->settings->listen.max_body;
    ex->arena.max_bytes = ARENA_MIN_BYTES + 2 * ex->body.max_bytes; /* a text in a text, a batch */
    ex->admissions = ex->few;
    ex->reasons = ex->few_reasons;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    ex->conn = info == NULL ? NULL : info->socket_context;
    h->n_exchanges++;
    return ex;
}

static void trim_buf(struct rb_buf *b)
{
    if (b->cap > RB_BODY_KEEP_BYTES) {
        rb_buf_release(b);
    }
    rb_buf_clear(b);
}

static void give_room(struct rb_exchange *ex)
{
    ex->httpd->large_bytes -= ex->large;
    ex->large = 0;
}

void rb_exchange_free(struct rb_exchange *ex)
{
    struct rb_httpd *h = ex->httpd;
    for (unsigned i = 0; i < ex->n_events; i++) {
        rb_engine_admission_free(ex->admissions[i]);
    }
    rb_door_end(ex);
    rb_hook_resolve_end(ex);
    rb_hook_end(ex);
    rb_test_end(ex);
    rb_events_end(ex);
    rb_defer_end(ex);
    rb_view_unref(ex->view);
    h->n_exchanges--;
    give_room(ex);
    trim_buf(&ex->body);
    trim_buf(&ex->answer);
    rb_arena_reset(&ex->arena);
    if (h->n_spare >= RB_SPARE_EXCHANGES) {
        rb_buf_release(&ex->body);
        rb_buf_release(&ex->answer);
        rb_arena_release(&ex->arena);
        free(ex);
        return;
    }
    memset(ex->few, 0, sizeof ex->few);
    memset(ex->few_reasons, 0, sizeof ex->few_reasons);
    ex->bad = NULL;
    ex->ask = NULL;
    ex->codebuild = NULL;
    ex->route = NULL;
    ex->actor = NULL;
    ex->role = RB_ROLE_NONE;
    ex->param = (struct rb_slice){NULL, 0};
    ex->source = NULL;
    ex->n_events = ex->n_admitted = ex->n_waiting = 0;
    ex->n_headers = 0;
    ex->status = 0;
    ex->close = false;
    ex->job = NULL;
    ex->retry_id[0] = '\0';
    ex->aws_form = false;
    ex->door = NULL;
    ex->whose = NULL;
    ex->commands = NULL;
    ex->finish = NULL;
    ex->late = NULL;
    ex->deferring = ex->detached = false;
    ex->next_step = RB_NEXT_ANSWER;
    ex->call = NULL;
    ex->discarded = 0;
    ex->crowded = false;
    ex->next = h->spare;
    h->spare = ex;
    h->n_spare++;
}

/* ---- waiting ---- */

static void suspend(struct rb_exchange *ex)
{
    ex->phase = RB_EX_WAITING;
    rb_conn_suspend(ex->conn, ex->mhd);
}

void rb_exchange_resume(struct rb_exchange *ex)
{
    ex->phase = RB_EX_READY;
    rb_conn_resume(ex->httpd, ex->conn, ex->mhd);
}

void rb_exchange_job(struct rb_exchange *ex,
                     void (*job)(struct rb_exchange *ex, struct rb_store_session *ses))
{
    struct rb_httpd *h = ex->httpd;
    if (h->jobs_stop) { /* set by this very thread: nobody would run it any more */
        rb_answer_problem(ex, 503, "the service is stopping; send it again");
        ex->phase = RB_EX_READY;
        return;
    }
    if (ex->phase != RB_EX_WAITING) {
        suspend(ex);
    }
    ex->job = job;
    ex->next = NULL;
    pthread_mutex_lock(&h->lock);
    *h->jobs_tail = ex;
    h->jobs_tail = &ex->next;
    pthread_cond_signal(&h->jobs_cond);
    pthread_mutex_unlock(&h->lock);
}

void rb_exchange_call(struct rb_exchange *ex,
                      void (*call)(struct rb_exchange *ex, struct rb_codebuild *c))
{
    struct rb_httpd *h = ex->httpd;
    if (ex->phase != RB_EX_WAITING) {
        suspend(ex);
    }
    ex->call = call;
    ex->next = NULL;
    pthread_mutex_lock(&h->lock);
    *h->calls_tail = ex;
    h->calls_tail = &ex->next;
    pthread_cond_signal(&h->calls_cond);
    pthread_mutex_unlock(&h->lock);
}

bool rb_exchange_ask(struct rb_exchange *ex,
                     void (*ask)(struct rb_exchange *ex, struct rb_httpc *c),
                     void (*finish)(struct rb_exchange *ex))
{
    struct rb_httpd *h = ex->httpd;
    struct rb_err err = {.code = RB_OK};
    if (h->admitter == NULL || atomic_load(&h->stopping)) {
        rb_answer_problem(ex, 503, "the service is stopping; send it again");
        return false;
    }
    if (h->n_fetches >= RB_FETCHES_MAX || rb_door_threads(h, &err) != RB_OK) {
        rb_answer_problem(ex, 503, "too many deliveries wait for another server; send it again");
        return false;
    }
    h->n_fetches++;
    rb_conn_hold(ex->conn);
    ex->ask = ask;
    ex->finish = finish;
    rb_exchange_call(ex, NULL);
    return true;
}

void rb_exchange_admit(struct rb_exchange *ex, void (*finish)(struct rb_exchange *ex))
{
    ex->n_waiting = 0;
    for (unsigned i = 0; i < ex->n_events; i++) {
        struct rb_admission *a = ex->admissions[i];
        if (a == NULL) {
            continue;
        }
        struct rb_err err = {.code = RB_OK};
        a->user = ex;
        a->rc = rb_admitter_add(ex->httpd->admitter, a, &err);
        if (a->rc == RB_OK) {
            ex->n_waiting++;
        }
    }
    if (ex->n_waiting == 0) {
        finish(ex);
    } else {
        ex->finish = finish;
        suspend(ex);
    }
}

/* ---- the library's callbacks ---- */

/* refuse - an answer before the body is read: the connection cannot be used again. */
static enum MHD_Result refuse(struct rb_exchange *ex)
{
    ex->close = true;
    return rb_answer_send(ex);
}

static bool allowed(struct rb_exchange *ex)
{
    if (ex->route->role == RB_ROLE_NONE) {
        return true;
    }
    enum rb_role role = rb_auth_bearer(ex->view->settings, ex->mhd, &ex->actor);
    ex->role = role;
    if (role == RB_ROLE_NONE) {
        rb_answer_problem(ex, 401,
                          "a valid bearer token is needed (Authorization: Bearer …; api.tokens in "
                          "the configuration)");
        return false;
    }
    if (role < ex->route->role) {
        rb_answer_problem(ex, 403, "token '%s' is a viewer; this needs an operator", ex->actor);
        return false;
    }
    return true;
}

static enum MHD_Result begin(struct rb_httpd *h, struct MHD_Connection *mhd, const char *url,
                             const char *method, const char *version, void **req_cls)
{
    struct rb_exchange *ex = rb_exchange_new(h, mhd);
    if (ex == NULL) {
        return MHD_NO;
    }
    *req_cls = ex;
    rb_conn_extend(h, ex->conn);
    ex->method = method;
    ex->path = url;
    bool closed = rb_door_begin(ex);
    const char *why = NULL;
    unsigned status =
        rb_check_request(mhd, method, version, url, ex->view->settings->listen.max_body, &why);
    if (status != 0) {
        rb_answer_problem(ex, status, "%s", why);
        return refuse(ex);
    }
    const char *allow = NULL;
    ex->route = rb_route_find(method, url, &ex->param, &allow);
    if ((ex->route == NULL && allow == NULL) || closed) {
        rb_answer_problem(ex, 404, "there is nothing at this path");
        return refuse(ex);
    }
    if (ex->route == NULL) {
        rb_answer_problem(ex, 405, "this path answers to %s", allow);
        rb_answer_header(ex, MHD_HTTP_HEADER_ALLOW, allow);
        return refuse(ex);
    }
    return allowed(ex) ? MHD_YES : refuse(ex);
}

/* has_room - small bodies are bounded by the number of connections; larger ones share what
 * listen.max_body of each of them would exceed by far. A delivery has about 4 kB: it is never in
 * their way. */
static bool has_room(struct rb_exchange *ex, size_t len)
{
    struct rb_httpd *h = ex->httpd;
    size_t total = ex->body.len + len;
    size_t one_body = ex->view->settings->listen.max_body;
    size_t most = one_body > RB_LARGE_BODIES_MAX_BYTES ? one_body : RB_LARGE_BODIES_MAX_BYTES;
    if (total <= RB_BODY_KEEP_BYTES) {
        return true;
    }
    if (h->large_bytes - ex->large + total > most) {
        ex->crowded = true;
        return false;
    }
    h->large_bytes += total - ex->large;
    ex->large = total;
    return true;
}

/* take_body - the library cannot answer in the middle of a body: one past a limit is read on
 * without being kept, answered with 413 or 503 at its end, and cut where even that would cost too
 * much. */
static enum MHD_Result take_body(struct rb_exchange *ex, const char *data, size_t *data_len)
{
    size_t len = *data_len;
    *data_len = 0;
    if (ex->discarded == 0) {
        if (has_room(ex, len)) {
            rb_buf_add(&ex->body, data, len);
            if (!rb_buf_failed(&ex->body)) {
                return MHD_YES;
            }
        }
        rb_buf_release(&ex->body);
        rb_buf_clear(&ex->body);
        give_room(ex);
    }
    ex->discarded += len;
    return ex->discarded > RB_DISCARD_MAX_BYTES ? MHD_NO : MHD_YES;
}

enum MHD_Result rb_httpd_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_len, void **req_cls)
{
    struct rb_exchange *ex = *req_cls;
    const struct rb_httpd *h = cls;
    if (h->admitter == NULL && (ex == NULL || ex->phase == RB_EX_BODY)) {
        return MHD_NO; /* the last turn of all: answers go out, nothing new comes in */
    }
    if (ex == NULL) {
        return begin(cls, mhd, url, method, version, req_cls);
    }
    if (ex->phase == RB_EX_ANSWERED) {
        *data_len = 0; /* the rest of a refused body */
        return MHD_YES;
    }
    if (*data_len > 0) {
        return take_body(ex, data, data_len);
    }
    if (ex->phase == RB_EX_BODY) {
        rb_conn_extend(ex->httpd, ex->conn);
        if (ex->crowded) {
            rb_answer_problem(ex, 503, "too many large bodies at once; send this one again later");
            ex->close = true;
        } else if (ex->discarded > 0) {
            rb_answer_problem(ex, 413, "the body is larger than %zu bytes (%s)", ex->body.max_bytes,
                              ex->aws_form ? "at most 256 KiB here" : "listen.max_body");
            ex->close = true;
        } else {
            ex->route->handle(ex);
        }
    }
    if (ex->deferring) {
        if (!rb_defer_split(ex, &ex)) {
            return MHD_YES;
        }
        *req_cls = ex;
    }
    if (ex->phase == RB_EX_READY && ex->finish != NULL) {
        void (*finish)(struct rb_exchange *) = ex->finish;
        ex->finish = NULL;
        finish(ex);
    }
    if (ex->phase == RB_EX_WAITING) {
        return MHD_YES;
    }
    rb_defer_end(ex);
    rb_conn_extend(ex->httpd, ex->conn);
    return rb_answer_send(ex);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

void rb_httpd_completed(void *cls, struct MHD_Connection *mhd, void **req_cls,
                        enum MHD_RequestTerminationCode why)
{
    (void)mhd;
    (void)why;
    struct rb_httpd *h = cls;
    struct rb_exchange *ex = *req_cls;
    if (ex == NULL) {
        return;
    }
    *req_cls = NULL;
    if (ex->conn != NULL) {
        ex->conn->answering = ex->conn->unsure = false;
    }
    if (ex->route != NULL && ex->route->handle == rb_handle_hook) {
        rb_metric_observe(h->duration, seconds_since(&ex->started));
    }
    rb_conn_extend(h, ex->conn);
    rb_exchange_free(ex);
}
